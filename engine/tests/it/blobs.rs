//! Large values in files of their own: nobody sees that they are.

use std::collections::BTreeMap;
use std::time::Duration;

use ringkeep::{Batch, Changed, Database, Error, Options, Retention};

use crate::folder::{Folder, tiny};

const LARGE: usize = 100_000;

fn options() -> Options {
    let mut options = Options {
        retention: Retention::Versions(1000),
        ..tiny(2)
    };
    let shard = options.shard.as_mut().unwrap();
    shard.blob_bytes = Some(4096);
    options
}

fn value(key: u32, round: u32) -> Vec<u8> {
    // One in three is small.
    let length = if key.is_multiple_of(3) { 30 } else { LARGE };
    let bytes =
        (0..length).map(|at| (at as u32 ^ (at as u32 >> 7) ^ (key * 31) ^ (round * 17)) as u8);
    bytes.collect()
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn put_all(db: &Database, round: u32) {
    for number in 0..24 {
        db.put(key(number), value(number, round)).unwrap();
    }
    db.flush().unwrap();
}

fn content(round: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all = (0..24).map(|number| (key(number), value(number, round)));
    all.collect()
}

#[test]
fn every_way_to_read_gives_the_value() {
    let folder = Folder::new();
    let db = folder.open(options());
    put_all(&db, 1);
    let before = db.snapshot().unwrap();
    put_all(&db, 2);
    let stats = db.stats().unwrap().total;
    assert!(
        stats.blob_files > 0 && stats.blob_bytes > 2_000_000,
        "{stats:?}"
    );
    for _ in 0..2 {
        for number in 0..24 {
            assert_eq!(db.get(key(number)).unwrap(), Some(value(number, 2)));
            assert_eq!(before.get(key(number)).unwrap(), Some(value(number, 1)));
        }
        let keys: Vec<_> = (0..24).map(key).collect();
        let many = db.multi_get(&keys).unwrap().into_iter();
        assert!(many.eq((0..24).map(|number| Some(value(number, 2)))));
        let forward: BTreeMap<_, _> = db.scan(..).map(Result::unwrap).collect();
        assert_eq!(forward, content(2));
        let backward: BTreeMap<_, _> = before.scan(..).reverse().map(Result::unwrap).collect();
        assert_eq!(backward, content(1));
        assert_eq!(db.count(..).unwrap(), 24);
        assert_eq!(db.last(..).unwrap().unwrap().1, value(23, 2));
        let after = db.snapshot().unwrap();
        let changes = db.diff(&before, &after, ..).map(Result::unwrap);
        let expected = (0..24).map(|number| Changed {
            key: key(number),
            before: Some(value(number, 1)),
            after: Some(value(number, 2)),
        });
        assert!(changes.eq(expected));
        db.compact().unwrap();
    }
}

#[test]
fn transactions_batches_and_ends_are_as_with_any_value() {
    let folder = Folder::new();
    let db = folder.open(options());
    put_all(&db, 1);
    let moved = db.transact(|transaction| {
        let first = transaction.get(key(1))?.expect("it is there");
        transaction.put(key(2), first)?;
        transaction.delete(key(1))?;
        Ok(())
    });
    moved.unwrap();
    db.put_for("ends", value(4, 4), Duration::from_millis(30))
        .unwrap();
    db.put_for("stays", value(4, 5), Duration::from_secs(3600))
        .unwrap();
    let mut batch = Batch::new();
    batch.put("a", value(1, 7)).delete(key(4));
    db.write(batch).unwrap();
    db.compact().unwrap();
    assert_eq!(db.get(key(1)).unwrap(), None);
    assert_eq!(db.get(key(2)).unwrap(), Some(value(1, 1)));
    assert_eq!(db.get(key(4)).unwrap(), None);
    assert_eq!(db.get("a").unwrap(), Some(value(1, 7)));
    assert_eq!(db.get("stays").unwrap(), Some(value(4, 5)));
    while db.get("ends").unwrap().is_some() {
        std::thread::yield_now();
    }
    assert!(
        db.scan(..)
            .map(Result::unwrap)
            .all(|(key, _)| key != b"ends")
    );
}

#[test]
fn whatever_is_said_later_they_are_found_and_nothing_is_left_of_what_is_dead() {
    let folder = Folder::new();
    let without = || Options {
        retention: Retention::None,
        ..options()
    };
    let db = folder.open(without());
    put_all(&db, 1);
    db.close().unwrap();
    let mut later = without();
    later.shard.as_mut().unwrap().blob_bytes = None;
    let db = folder.open(later);
    let all: BTreeMap<_, _> = db.scan(..).map(Result::unwrap).collect();
    assert_eq!(all, content(1));
    put_all(&db, 2);
    db.compact().unwrap();
    let stats = db.stats().unwrap().total;
    assert_eq!((stats.blob_bytes, stats.blob_dead_bytes), (0, 0));
    // And again into blob files, from tables: those of the shard that has something to merge.
    drop(db);
    let db = folder.open(without());
    db.put(key(1), value(1, 3)).unwrap();
    db.compact().unwrap();
    let stats = db.stats().unwrap().total;
    let pages = LARGE.next_multiple_of(4096) as u64;
    assert!(stats.blob_bytes > pages && stats.blob_bytes.is_multiple_of(pages));
    assert_eq!(stats.blob_dead_bytes, 0);
    assert_eq!(db.verify(None).unwrap().damages, []);
    assert_eq!(db.get(key(2)).unwrap(), Some(value(2, 2)));
}

#[test]
fn too_small_a_limit_is_refused() {
    let folder = Folder::new();
    let options = Options {
        blob_bytes: Some(10),
        ..tiny(1)
    };
    match Database::open(folder.db(), options) {
        Err(Error::Option { name, .. }) => assert_eq!(name, "blob_bytes"),
        other => panic!("{other:?}"),
    }
}

//! Named keyspaces.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ringkeep::{
    Batch, Database, Error, Isolation, Keyspace, KeyspaceOptions, Retention, TransactionOptions,
};

use crate::asynchronous::block_on;
use crate::folder::{Folder, tiny};

const HOUR: Duration = Duration::from_secs(3600);

fn make(db: &Database, name: &str) -> Keyspace {
    let options = KeyspaceOptions::default();
    db.create_keyspace(name, options).unwrap()
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn all(scan: ringkeep::Scan) -> Entries {
    scan.collect::<Result<_, _>>().unwrap()
}

fn dropped<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(
        matches!(result, Err(Error::KeyspaceDropped { .. })),
        "{result:?}"
    );
}

/// Keys of all sorts, among them those that look like what stands in front of keys of keyspaces.
const KEYS: [&[u8]; 8] = [
    b"\0",
    b"a",
    b"ab",
    b"\xfe",
    b"\xff",
    b"\xff\0",
    b"\xff\x01",
    b"\xff\xff\xff",
];

#[test]
fn the_same_keys_are_others_in_each_keyspace_and_none_is_seen_in_another() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let spaces = [make(&db, "one"), make(&db, "two")];
    let expected = |tag: &str| -> Entries {
        let entry = |key: &&[u8]| (key.to_vec(), [tag.as_bytes(), key].concat());
        KEYS.iter().map(entry).collect()
    };
    for (key, value) in expected("default") {
        db.put(&key, &value).unwrap();
    }
    for space in &spaces {
        assert_eq!(all(space.scan(..)), []);
        for (key, value) in expected(space.name()) {
            space.put(&key, &value).unwrap();
        }
    }
    let check = |db: &Database, spaces: &[Keyspace]| {
        assert_eq!(all(db.scan(..)), expected("default"));
        let values = db.multi_get(KEYS).unwrap().into_iter().flatten();
        assert!(values.eq(expected("default").into_iter().map(|(_, value)| value)));
        for space in spaces {
            let expected = expected(space.name());
            assert_eq!(all(space.scan(..)), expected);
            let backward = expected.iter().rev().cloned().collect::<Entries>();
            assert_eq!(all(space.scan(..).reverse()), backward);
            let few = backward.len().min(3);
            assert_eq!(all(space.scan(..).reverse().limit(3)), backward[..few]);
            for (key, value) in &expected {
                assert_eq!(space.get(key).unwrap().as_ref(), Some(value));
                assert_ne!(db.get(key).unwrap().as_ref(), Some(value));
            }
            let values = space.multi_get(KEYS).unwrap().into_iter().flatten();
            assert!(values.eq(expected.iter().map(|(_, value)| value.clone())));
        }
        // Every range is the same part of each.
        for prefix in KEYS {
            let inside = |key: &[u8]| key.starts_with(prefix);
            let count = KEYS.iter().filter(|key| inside(key)).count();
            for scan in [db.scan_prefix(prefix), spaces[0].scan_prefix(prefix)] {
                let found = all(scan);
                assert!(found.iter().all(|(key, _)| inside(key)));
                assert_eq!(found.len(), count, "{prefix:?}");
            }
            let above = (Bound::Excluded(prefix), Bound::Unbounded);
            let count = KEYS.iter().filter(|key| **key > prefix).count();
            assert_eq!(db.scan(above).count(), count);
            assert_eq!(spaces[1].scan(above).count(), count);
            let below = KEYS.iter().filter(|key| **key < prefix).count();
            assert_eq!(db.scan(..prefix).count(), below);
            assert_eq!(spaces[1].scan(..prefix).count(), below);
        }
    };
    check(&db, &spaces);
    db.flush().unwrap();
    check(&db, &spaces);
    db.compact().unwrap();
    check(&db, &spaces);
    assert_eq!(
        spaces[0].delete("a").unwrap(),
        db.snapshot().unwrap().version()
    );
    assert!(spaces[1].get("a").unwrap().is_some() && db.get("a").unwrap().is_some());
    spaces[0].put("a", "onea").unwrap();
    drop((spaces, db));
    let db = folder.open(tiny(3));
    let spaces = ["one", "two"].map(|name| db.keyspace(name).unwrap());
    check(&db, &spaces);
    assert_eq!(db.keyspaces().unwrap(), ["one", "two"]);
    db.close().unwrap();
}

#[test]
fn a_dropped_keyspace_is_gone_for_good_with_all_that_it_took() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let (kept, gone) = (make(&db, "kept"), make(&db, "gone"));
    for number in 0..500u32 {
        gone.put(number.to_be_bytes(), [7; 100]).unwrap();
        kept.put(number.to_be_bytes(), [8; 100]).unwrap();
        if number % 200 == 100 {
            db.flush().unwrap();
        }
    }
    let snapshot = db.snapshot().unwrap();
    let mut begun = gone.scan(..);
    assert!(begun.next().is_some());
    let mut tx = db.transaction().unwrap();
    tx.put_in(&gone, "key", "value").unwrap();
    let mut batch = Batch::new();
    batch.put_in(&gone, "key", "value").put("key", "value");
    let mut value = b"earlier".to_vec();
    for (number, there) in [(100u32, true), (500, false)] {
        let found = block_on(gone.get_into_async(number.to_be_bytes(), &mut value));
        assert_eq!(found.unwrap(), there);
        assert_eq!(value, if there { vec![7; 100] } else { vec![] });
    }
    db.drop_keyspace("gone").unwrap();

    dropped(gone.get("key"));
    dropped(gone.get_into("key", &mut Vec::new()));
    let mut value = b"earlier".to_vec();
    dropped(block_on(
        gone.get_into_async(100u32.to_be_bytes(), &mut value),
    ));
    assert!(value.is_empty());
    dropped(gone.multi_get(["key"]));
    dropped(gone.put("key", "value"));
    dropped(gone.put_for("key", "value", HOUR));
    dropped(gone.delete("key"));
    dropped(gone.increment("key", 1));
    dropped(gone.put_if_absent("key", "value"));
    dropped(gone.scan(..).next().unwrap());
    dropped(begun.next().unwrap());
    assert!(begun.next().is_none());
    dropped(snapshot.get_in(&gone, "key"));
    dropped(snapshot.scan_in(&gone, ..).next().unwrap());
    dropped(tx.commit());
    dropped(db.write(batch));
    assert_eq!(db.get("key").unwrap(), None, "nothing of the batch");
    let name = "gone".to_owned();
    assert_eq!(db.drop_keyspace("gone"), Err(Error::NoKeyspace { name }));

    // The same name is another keyspace, of which old handles know nothing.
    let again = make(&db, "gone");
    assert_eq!(all(again.scan(..)), []);
    again.put("new", "value").unwrap();
    dropped(gone.get("new"));
    drop((snapshot, kept, begun));

    db.compact().unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    let entries = db.stats().unwrap().total.table_entries;
    assert_eq!(
        entries, 502,
        "the others, the new one, and the list of keyspaces"
    );
    drop((again, gone, db));
    let db = folder.open(tiny(2));
    assert_eq!(all(db.keyspace("gone").unwrap().scan(..)).len(), 1);
    assert_eq!(all(db.keyspace("kept").unwrap().scan(..)).len(), 500);
    assert!(db.verify(None).unwrap().damages.is_empty());
    db.close().unwrap();
}

#[test]
fn what_was_dropped_stays_so_however_the_database_ends() {
    let folder = Folder::new();
    for round in 0..4 {
        let db = folder.open(tiny(2));
        assert_eq!(db.keyspaces().unwrap(), [""; 0]);
        let space = make(&db, "brief");
        assert_eq!(all(space.scan(..)), [], "round {round}");
        space.put("key", "value").unwrap();
        if round % 2 == 0 {
            db.flush().unwrap();
        }
        space.put("other", "value").unwrap();
        db.drop_keyspace("brief").unwrap();
        if round / 2 == 0 {
            db.close().unwrap();
        }
    }
}

#[test]
fn batches_and_transactions_span_keyspaces() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let (users, names) = (make(&db, "users"), make(&db, "names"));
    let mut batch = Batch::new();
    batch
        .put_in(&users, "1", "ann")
        .put_in(&names, "ann", "1")
        .put("count", "1");
    batch.put_in(&users, "2", "bob").delete_in(&users, "2");
    let version = db.write(batch).unwrap();
    let then = db.snapshot().unwrap();
    assert!(then.version() >= version);

    let options = TransactionOptions {
        isolation: Isolation::Serializable,
        ..TransactionOptions::default()
    };
    let rename = |tx: &mut ringkeep::Transaction| {
        let old = tx.get_in(&users, "1")?.unwrap();
        tx.put_in(&users, "1", "eve")?;
        tx.delete_in(&names, &old)?;
        tx.put_in(&names, "eve", "1")?;
        let own: Vec<_> = tx.scan_in(&names, ..)?.collect::<Result<_, _>>()?;
        assert_eq!(own, [(b"eve".to_vec(), b"1".to_vec())]);
        tx.put("count", "one")
    };
    db.transact_with(&options, rename).unwrap();
    assert_eq!(users.get("1").unwrap().as_deref(), Some(&b"eve"[..]));
    assert_eq!(names.get("ann").unwrap(), None);
    let values = then.multi_get_in(&names, ["ann", "eve"]).unwrap();
    assert_eq!(values, [Some(b"1".to_vec()), None]);
    let was = then.get_in(&names, "ann").unwrap();
    assert_eq!(was.as_deref(), Some(&b"1"[..]));
    assert_eq!(
        all(then.scan_in(&users, ..)),
        [(b"1".to_vec(), b"ann".to_vec())]
    );
    let now = db.snapshot().unwrap();
    let changed: Vec<_> = names
        .diff(&then, &now, ..)
        .map(|c| c.unwrap().key)
        .collect();
    assert_eq!(changed, [b"ann", b"eve"]);

    // A conflict names the key, and a scan of one keyspace depends on nothing of another.
    let mut tx = db.transaction_with(&options).unwrap();
    assert_eq!(tx.scan_in(&names, ..).unwrap().count(), 1);
    tx.put("x", "y").unwrap();
    users.put("9", "zoe").unwrap();
    tx.commit().unwrap();
    let mut tx = db.transaction_with(&options).unwrap();
    assert_eq!(tx.scan_in(&names, ..).unwrap().count(), 1);
    tx.put("x", "z").unwrap();
    names.put("zoe", "9").unwrap();
    let error = tx.commit().unwrap_err();
    assert!(
        matches!(&error, Error::Conflict { key } if key == b"zoe"),
        "{error}"
    );
    db.close().unwrap();
}

#[test]
fn values_of_a_keyspace_stay_for_as_long_as_it_says() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    let stay = |time| KeyspaceOptions {
        stay: Some(time),
        ..KeyspaceOptions::default()
    };
    for wrong in [Duration::ZERO, Duration::MAX] {
        let error = db.create_keyspace("wrong", stay(wrong)).unwrap_err();
        assert!(
            matches!(error, Error::Option { name: "stay", .. }),
            "{error}"
        );
    }
    let cache = db.create_keyspace("cache", stay(HOUR)).unwrap();
    let now = SystemTime::now();
    cache.put("a", "1").unwrap();
    cache.put_until("b", "1", now - HOUR).unwrap();
    cache.put_until("c", "1", now + 3 * HOUR).unwrap();
    assert!(cache.put_if_absent("d", "1").unwrap());
    assert_eq!(cache.increment("e", 1).unwrap(), 1);
    let mut batch = Batch::new();
    batch.put_in(&cache, "f", "1").put("lasts", "1");
    db.write(batch).unwrap();
    assert_eq!(cache.scan(..).count(), 5);
    drop((cache, db));
    let db = folder.open(tiny(1));
    let cache = db.keyspace("cache").unwrap();
    assert_eq!(cache.scan(..).count(), 5);
    cache.put("g", "1").unwrap();
    // Two hours on, as a reader of the future would judge.
    let ends = |key: &str| cache.update(key, |old| old.map(<[u8]>::to_vec)).unwrap();
    assert!(ends("g").is_some());
    db.close().unwrap();
}

#[test]
fn names_and_handles_are_checked() {
    let folder = Folder::new();
    let other = Folder::new();
    let (db, foreign) = (folder.open(tiny(1)), other.open(tiny(1)));
    for name in ["", &"n".repeat(256)] {
        let error = db.create_keyspace(name, KeyspaceOptions::default());
        assert!(matches!(error, Err(Error::Option { name: "name", .. })));
    }
    let space = make(&db, &"n".repeat(255));
    let error = db.create_keyspace(space.name(), KeyspaceOptions::default());
    assert!(matches!(error, Err(Error::KeyspaceExists { .. })));
    assert!(matches!(db.keyspace("none"), Err(Error::NoKeyspace { .. })));
    assert!(matches!(space.put("", "1"), Err(Error::EmptyKey)));
    let long = [b'k'; ringkeep::limits::KEY_BYTES_MAX + 1];
    space.put(&long[1..], "1").unwrap();
    assert!(space.get(&long[1..]).unwrap().is_some());
    assert!(matches!(
        space.put(long, "1"),
        Err(Error::KeyTooLong { .. })
    ));
    db.put([b'\xff'; ringkeep::limits::KEY_BYTES_MAX], "1")
        .unwrap();
    db.flush().unwrap();

    make(&foreign, "its");
    let mut batch = Batch::new();
    batch.put_in(&space, "key", "value");
    let error = foreign.write(batch.clone()).unwrap_err();
    assert!(matches!(error, Error::ForeignKeyspace { .. }), "{error}");
    let error = foreign.snapshot().unwrap().get_in(&space, "key");
    assert!(matches!(error, Err(Error::ForeignKeyspace { .. })));
    let mut tx = foreign.transaction().unwrap();
    let error = tx.put_in(&space, "key", "value");
    assert!(matches!(error, Err(Error::ForeignKeyspace { .. })));
    db.write(batch).unwrap();
    db.close().unwrap();
    assert!(matches!(space.get("key"), Err(Error::Closed)));
    assert!(matches!(db.keyspaces(), Err(Error::Closed)));
    foreign.close().unwrap();
}

#[test]
fn makers_and_droppers_at_the_same_time_do_not_lose_each_other() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let names: Vec<String> = (0..6).map(|number| format!("space {number}")).collect();
    let stop = AtomicBool::new(false);
    let kept = make(&db, "kept");
    std::thread::scope(|scope| {
        let (db, stop, kept) = (&db, &stop, &kept);
        scope.spawn(move || {
            for number in 0u32.. {
                kept.put(number.to_be_bytes(), [1; 50]).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let makers: Vec<_> = names
            .iter()
            .map(|name| {
                scope.spawn(move || {
                    for round in 0..5 {
                        let space = make(db, name);
                        assert_eq!(space.scan(..).count(), 0);
                        for number in 0..40u32 {
                            space.put(number.to_be_bytes(), [2; 50]).unwrap();
                        }
                        assert_eq!(space.scan(..).count(), 40);
                        if round < 4 {
                            db.drop_keyspace(name).unwrap();
                        }
                    }
                })
            })
            .collect();
        makers.into_iter().for_each(|maker| maker.join().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(db.keyspaces().unwrap().len(), 7);
    db.compact().unwrap();
    for name in &names {
        assert_eq!(db.keyspace(name).unwrap().scan(..).count(), 40);
    }
    db.close().unwrap();
}

#[test]
fn a_salvage_brings_keyspaces_back() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let (kept, gone) = (make(&db, "kept"), make(&db, "gone"));
    kept.put("key", "value").unwrap();
    gone.put("key", "value").unwrap();
    db.put("key", "default").unwrap();
    db.flush().unwrap();
    db.drop_keyspace("gone").unwrap();
    drop((kept, gone, db));
    let to = folder.db().with_extension("new");
    ringkeep::salvage(folder.db(), &to, tiny(2), |_| {}).unwrap();
    let options = ringkeep::Options {
        retention: Retention::None,
        ..tiny(2)
    };
    let db = Database::open(&to, options).unwrap();
    assert_eq!(db.keyspaces().unwrap(), ["kept"]);
    let kept = db.keyspace("kept").unwrap();
    assert_eq!(all(kept.scan(..)), [(b"key".to_vec(), b"value".to_vec())]);
    assert_eq!(db.scan(..).count(), 1);
    db.compact().unwrap();
    assert_eq!(db.stats().unwrap().total.table_entries, 3);
    drop(kept);
    db.close().unwrap();
    std::fs::remove_dir_all(&to).unwrap();
}

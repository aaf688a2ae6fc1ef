//! Ranges deleted with one call: nothing older shows anywhere, and everything else does.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use ringkeep::{
    Batch, Database, Error, Isolation, KeyspaceOptions, Options, Result, Retention, Transaction,
    TransactionOptions,
};

use crate::folder::{Folder, tiny};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(number: u32) -> Vec<u8> {
    format!("key-{number:04}").into_bytes()
}

fn all(scan: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> Content {
    scan.collect::<Result<_>>().unwrap()
}

fn filled(db: &Database, keys: u32) -> Content {
    let entries = (0..keys).map(|at| (key(at), at.to_le_bytes().to_vec()));
    let entries: Content = entries.collect();
    for (key, value) in &entries {
        db.put_with(key, value, ringkeep::Durability::Buffered)
            .unwrap();
    }
    entries
}

/// Whatever can be read, read.
fn check(db: &Database, content: &Content, keys: u32) {
    assert_eq!(all(db.scan(..)), *content);
    assert_eq!(all(db.scan(..).reverse()), *content);
    assert_eq!(db.count(..).unwrap(), content.len() as u64);
    let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    assert_eq!(db.first(..).unwrap(), content.first_key_value().map(owned));
    assert_eq!(db.last(..).unwrap(), content.last_key_value().map(owned));
    for at in 0..keys {
        assert_eq!(db.get(key(at)).unwrap().as_ref(), content.get(&key(at)));
    }
    let found = db.multi_get((0..keys).map(key)).unwrap();
    let expected: Vec<_> = (0..keys).map(|at| content.get(&key(at)).cloned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_deleted_range_is_gone_from_every_read_through_flushes_merges_and_openings() {
    let folder = Folder::new();
    for shards in [1, 3] {
        let mut db = folder.open(tiny(shards));
        let mut content = filled(&db, 600);
        // Rows are shown to callers by now.
        check(&db, &content, 600);
        for (round, (from, to)) in [(100, 300), (0, 1), (250, 420), (590, 600)]
            .into_iter()
            .enumerate()
        {
            if round == 2 {
                db.flush().unwrap();
            }
            db.delete_range(key(from)..key(to)).unwrap();
            content.retain(|name, _| *name < key(from) || *name >= key(to));
            check(&db, &content, 600);
            // Written again, they are there.
            db.put(key(from), "again").unwrap();
            content.insert(key(from), b"again".to_vec());
            check(&db, &content, 600);
        }
        assert!(db.stats().unwrap().total.range_deletes_kept > 0);
        db.flush().unwrap();
        check(&db, &content, 600);
        drop(db);
        db = folder.open(tiny(shards));
        check(&db, &content, 600);
        db.compact().unwrap();
        check(&db, &content, 600);
        let stats = db.stats().unwrap().total;
        assert_eq!(stats.range_deletes_kept, 0, "nothing is left to hide");
        assert_eq!(stats.table_entries, content.len() as u64);
        assert_eq!(db.verify(None).unwrap().damages.len(), 0);
        db.close().unwrap();
        db = folder.open(tiny(shards));
        check(&db, &content, 600);
        drop(db);
        std::fs::remove_dir_all(folder.db()).unwrap();
    }
}

#[test]
fn every_kind_of_range_takes_just_the_keys_that_it_says() {
    let db = Database::in_memory(tiny(2)).unwrap();
    let names = ["", "a", "a\0", "b", "c", "d\u{7ff}", "\u{10ffff}"].map(str::as_bytes);
    let longest = vec![0xff; 4096];
    let names: Vec<&[u8]> = names[1..].iter().copied().chain([&longest[..]]).collect();
    let ends: Vec<Bound<&[u8]>> = names
        .iter()
        .flat_map(|name| [Bound::Included(*name), Bound::Excluded(*name)])
        .chain([Bound::Unbounded])
        .collect();
    for &from in &ends {
        for &to in &ends {
            let mut batch = Batch::new();
            for name in &names {
                batch.put(name, "");
            }
            db.write(batch).unwrap();
            db.delete_range((from, to)).unwrap();
            let inside = |name: &[u8]| {
                let above = match from {
                    Bound::Included(from) => from <= name,
                    Bound::Excluded(from) => from < name,
                    Bound::Unbounded => true,
                };
                above
                    && match to {
                        Bound::Included(to) => name <= to,
                        Bound::Excluded(to) => name < to,
                        Bound::Unbounded => true,
                    }
            };
            let left: Vec<_> = db.scan(..).keys_only().map(|e| e.unwrap().0).collect();
            let mut expected: Vec<_> = names
                .iter()
                .filter(|n| !inside(n))
                .map(|n| n.to_vec())
                .collect();
            expected.sort();
            assert_eq!(left, expected, "{from:?} to {to:?}");
        }
    }
    let too_long = vec![1; 4098];
    let error = db.delete_range(&too_long[..]..).unwrap_err();
    assert!(matches!(error, Error::KeyTooLong { .. }), "{error}");
}

#[test]
fn who_reads_below_still_sees_what_was_there() {
    let folder = Folder::new();
    let options = || Options {
        retention: Retention::Versions(1000),
        ..tiny(3)
    };
    let db = folder.open(options());
    let before = filled(&db, 200);
    let snapshot = db.snapshot().unwrap();
    let version = db.delete_range(key(50)..key(150)).unwrap();
    let mut after = before.clone();
    after.retain(|name, _| *name < key(50) || *name >= key(150));
    for step in [Database::flush, Database::compact, Database::compact] {
        assert_eq!(all(snapshot.scan(..)), before);
        assert_eq!(
            snapshot.get(key(60)).unwrap().as_ref(),
            before.get(&key(60))
        );
        assert_eq!(all(db.scan(..)), after);
        let then = db.as_of(version).unwrap();
        assert_eq!(all(then.scan(..)), after);
        let earlier = db.as_of(ringkeep::Version(version.0 - 1)).unwrap();
        assert_eq!(all(earlier.scan(..)).len(), 200);
        let changed: Vec<_> = db.diff(&earlier, &then, ..).map(Result::unwrap).collect();
        assert_eq!(changed.len(), 100);
        assert!(changed.iter().all(|changed| changed.after.is_none()));
        step(&db).unwrap();
    }
    drop(snapshot);
    db.close().unwrap();
    let db = folder.open(options());
    let earlier = db.as_of(ringkeep::Version(version.0 - 1)).unwrap();
    assert_eq!(all(earlier.scan(..)).len(), 200);
    assert_eq!(all(db.scan(..)), after);
}

#[test]
fn a_batch_is_in_order_and_over_all_shards_or_none() {
    let db = Database::in_memory(tiny(4)).unwrap();
    filled(&db, 100);
    let mut batch = Batch::new();
    batch.put(key(10), "before").put(key(200), "before");
    batch.delete_range(key(0)..key(50));
    batch.put(key(20), "after").put(key(60), "after");
    batch
        .delete_range(key(60)..key(70))
        .delete_range(key(9)..key(9));
    assert_eq!(batch.len(), 6, "an empty range is nothing");
    let version = db.write(batch).unwrap();
    // Parts that hear of it later have taken versions since.
    assert!(db.snapshot().unwrap().version() >= version);
    let left = all(db.scan(..));
    let numbers = (0..100).filter(|at| *at == 20 || (50..60).contains(at) || *at >= 70);
    let expected: Vec<_> = numbers.chain([200]).map(key).collect();
    assert!(left.keys().eq(&expected));
    assert_eq!(
        (&left[&key(20)][..], &left[&key(200)][..]),
        (&b"after"[..], &b"before"[..])
    );
}

#[test]
fn a_keyspace_loses_its_own_keys_alone() {
    let db = Database::in_memory(tiny(3)).unwrap();
    let space = |name| {
        db.create_keyspace(name, KeyspaceOptions::default())
            .unwrap()
    };
    let (one, two) = (space("one"), space("two"));
    let put = || {
        for at in 0..20 {
            db.put(key(at), "").unwrap();
            db.put([&[0xff], &key(at)[..]].concat(), "").unwrap();
            one.put(key(at), "").unwrap();
            two.put(key(at), "").unwrap();
        }
    };
    let counts = || {
        let spaces = [&one, &two].map(|space| space.scan(..).count());
        (db.scan(..).count(), spaces)
    };
    put();
    one.delete_range(..).unwrap();
    assert_eq!(counts(), (40, [0, 20]));
    db.delete_range(..).unwrap();
    assert_eq!(counts(), (0, [0, 20]));
    put();
    two.delete_range(key(5)..=key(9)).unwrap();
    let mut batch = Batch::new();
    batch
        .delete_range_in(&one, key(18)..)
        .delete_range(..key(1));
    db.write(batch).unwrap();
    assert_eq!(counts(), (39, [18, 15]));
    db.drop_keyspace("two").unwrap();
    let error = two.delete_range(..).unwrap_err();
    assert!(matches!(error, Error::KeyspaceDropped { .. }), "{error}");
}

#[test]
fn values_that_end_go_with_their_range() {
    let db = Database::in_memory(tiny(1)).unwrap();
    let hour = Duration::from_secs(3600);
    db.put_for("a", "1", hour).unwrap();
    db.delete_range(..).unwrap();
    assert_eq!(db.get("a").unwrap(), None);
    db.put_for("a", "2", hour).unwrap();
    assert_eq!(db.get("a").unwrap().unwrap(), b"2");
    db.flush().unwrap();
    db.compact().unwrap();
    assert_eq!(db.get("a").unwrap().unwrap(), b"2");
}

#[test]
fn a_transaction_sees_its_own_removal_and_what_it_puts_there_later() {
    let db = Database::in_memory(tiny(3)).unwrap();
    filled(&db, 100);
    let mut tx = db.transaction().unwrap();
    tx.put(key(10), "lost").unwrap();
    tx.delete_range(key(0)..key(50)).unwrap();
    tx.put(key(20), "kept").unwrap();
    assert_eq!(tx.get(key(10)).unwrap(), None);
    assert_eq!(tx.get(key(20)).unwrap().unwrap(), b"kept");
    let found = tx.multi_get([key(10), key(20), key(60)]).unwrap();
    assert!(found[0].is_none() && found[1].is_some() && found[2].is_some());
    assert_eq!(tx.scan(..).unwrap().count(), 51);
    assert_eq!(tx.scan(..).unwrap().reverse().count(), 51);
    assert_eq!(db.scan(..).count(), 100, "nobody else does yet");
    tx.commit().unwrap();
    assert_eq!(db.scan(..).count(), 51);
    let mut tx = db.transaction().unwrap();
    tx.delete_range(..).unwrap();
    tx.rollback();
    tx.commit().unwrap();
    assert_eq!(db.scan(..).count(), 51);
}

#[test]
fn a_removal_and_a_change_in_it_do_not_both_commit() {
    type Step = fn(&mut Transaction) -> Result<()>;
    let put: Step = |tx| tx.put(key(7), "new");
    let delete: Step = |tx| tx.delete(key(7));
    let insert: Step = |tx| tx.put("key-0007-and-more", "new");
    let remove: Step = |tx| tx.delete_range(key(5)..key(9));
    let part: Step = |tx| tx.delete_range(key(8)..key(80));
    let read: Step = |tx| {
        tx.get(key(7))?;
        tx.put(key(50), "read")
    };
    let scan: Step = |tx| {
        tx.scan(key(6)..key(8))?.for_each(drop);
        tx.put(key(51), "scanned")
    };
    let elsewhere: Step = |tx| {
        tx.put(key(4), "elsewhere")?;
        tx.delete_range(key(9)..key(10))
    };
    let cases = [
        (remove, put, true),
        (remove, delete, true),
        (remove, insert, true),
        (remove, remove, true),
        (remove, part, true),
        (remove, elsewhere, false),
        (put, remove, true),
        (insert, remove, true),
        (part, remove, true),
        (elsewhere, remove, false),
        (remove, read, true),
        (remove, scan, true),
        (read, remove, false),
    ];
    let options = TransactionOptions {
        isolation: Isolation::Serializable,
        ..TransactionOptions::default()
    };
    for shards in [1, 3] {
        let db = Database::in_memory(tiny(shards)).unwrap();
        for afterwards in [|_: &Database| Ok(()), Database::flush, Database::compact] {
            for (at, (first, second, conflict)) in cases.into_iter().enumerate() {
                filled(&db, 12);
                let mut winner = db.transaction().unwrap();
                let mut loser = db.transaction_with(&options).unwrap();
                first(&mut winner).unwrap();
                second(&mut loser).unwrap();
                winner.commit().unwrap();
                afterwards(&db).unwrap();
                let lost = loser.commit();
                let is_conflict = matches!(lost, Err(Error::Conflict { .. }));
                assert_eq!(is_conflict, conflict, "case {at} over {shards}: {lost:?}");
                assert!(conflict || lost.is_ok());
            }
        }
    }
}

#[test]
fn more_than_a_shard_keeps_are_refused_until_merges_have_been_there() {
    let db = Database::in_memory(tiny(1)).unwrap();
    db.put(key(0), "").unwrap();
    let held = db.snapshot().unwrap();
    let mut refused = None;
    for _ in 0..5000 {
        if let Err(error) = db.delete_range(key(0)..key(9)) {
            refused = Some(error);
            break;
        }
    }
    let Some(Error::TooManyRangeDeletes { kept, max, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(kept, max);
    db.put(key(1), "").expect("other writes go on");
    drop(held);
    db.compact().unwrap();
    db.delete_range(key(0)..key(9)).unwrap();
    assert_eq!(db.scan(..).count(), 0);
}

#[test]
fn an_estimate_leaves_out_what_is_removed() {
    let db = Database::in_memory(tiny(1)).unwrap();
    filled(&db, 4000);
    db.flush().unwrap();
    let whole = db.estimate(..).unwrap().records;
    db.delete_range(key(1000)..key(3000)).unwrap();
    let left = db.estimate(..).unwrap().records;
    assert!(left.abs_diff(whole / 2) < whole / 8, "{left} of {whole}");
    assert!(db.estimate(key(1100)..key(2900)).unwrap().records < whole / 8);
}

use std::collections::BTreeMap;
use std::ops::Bound;

use ringkeep::{Database, Durability, Error, KeyRange, KeyValue, Options, Result};

use crate::folder::{Folder, tiny};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Enough for several pages from each shard, some of it in tables and some in memory.
fn filled(db: &Database) -> Model {
    let mut model = Model::new();
    for number in 0..3000u32 {
        let (key, value) = (
            format!("{:05}", number * 7919 % 30_011),
            format!("{number}").repeat(20),
        );
        db.put_with(&key, &value, Durability::Buffered).unwrap();
        model.insert(key.into_bytes(), value.into_bytes());
        if number == 1500 {
            db.flush().unwrap();
        }
    }
    model
}

fn all(scan: impl Iterator<Item = Result<KeyValue>>) -> Vec<KeyValue> {
    scan.map(Result::unwrap).collect()
}

#[test]
fn every_kind_of_range_in_both_directions() {
    let folder = Folder::new();
    for shards in [1, 4] {
        let db = folder.open(tiny(shards));
        let model = filled(&db);
        let check =
            |name: &str, range: &dyn Fn() -> ringkeep::Keys, from: Bound<&str>, to: Bound<&str>| {
                let bytes = |end: Bound<&str>| end.map(|key| key.as_bytes().to_vec());
                let expected = model
                    .range((bytes(from), bytes(to)))
                    .map(|(k, v)| (k.clone(), v.clone()));
                let mut expected: Vec<KeyValue> = expected.collect();
                assert!(all(db.scan(range())) == expected, "{name}, {shards} shards");
                let keys: Vec<_> = expected
                    .iter()
                    .map(|(key, _)| (key.clone(), Vec::new()))
                    .collect();
                assert!(
                    all(db.scan(range()).keys_only()) == keys,
                    "{name}, keys only"
                );
                let limited = |expected: &[KeyValue], reverse: bool| {
                    for limit in [0, 1, 7, 600, expected.len(), expected.len() + 1, usize::MAX] {
                        let scan = db.scan(range()).limit(limit);
                        let found = all(if reverse { scan.reverse() } else { scan });
                        let first = &expected[..limit.min(expected.len())];
                        assert!(found == first, "{name}, {limit} of them, {reverse}");
                    }
                };
                limited(&expected, false);
                expected.reverse();
                assert!(
                    all(db.scan(range()).reverse()) == expected,
                    "{name}, reverse"
                );
                limited(&expected, true);
            };
        let (at, before, open) = (Bound::Included, Bound::Excluded, Bound::Unbounded);
        check("..", &|| (..).keys(), open, open);
        check("a..", &|| ("00500"..).keys(), at("00500"), open);
        check("..b", &|| (.."20000").keys(), open, before("20000"));
        check(
            "a..b",
            &|| ("00500".."20000").keys(),
            at("00500"),
            before("20000"),
        );
        check(
            "a..=b",
            &|| ("00500"..="20000").keys(),
            at("00500"),
            at("20000"),
        );
        check(
            "(a..b)",
            &|| (before("00500"), before("20000")).keys(),
            before("00500"),
            before("20000"),
        );
        check("outside", &|| ("9".."99").keys(), at("9"), before("99"));
        check(
            "one",
            &|| ("00000"..="00000").keys(),
            at("00000"),
            at("00000"),
        );
        check(
            "prefix",
            &|| ringkeep::Keys::prefix("12"),
            at("12"),
            before("13"),
        );
        drop(db);
        std::fs::remove_dir_all(folder.db()).unwrap();
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_empty() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    db.put("b", "1").unwrap();
    assert_eq!(all(db.scan("c".."a")), []);
    assert_eq!(all(db.scan("b".."b")), []);
    assert_eq!(
        all(db.scan((Bound::Excluded("b"), Bound::Excluded("b")))),
        []
    );
}

#[test]
fn a_scan_sees_the_instant_at_which_it_was_made() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let model = filled(&db);
    let mut scan = db.scan(..);
    let first = scan.next().unwrap().unwrap();
    for key in model.keys() {
        db.delete_with(key, Durability::Buffered).unwrap();
    }
    db.put("99999", "new").unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    let mut seen = vec![first];
    seen.extend(all(scan));
    assert!(seen.into_iter().eq(model));
    assert_eq!(db.scan(..).count(), 1);
    assert_eq!(db.stats().unwrap().pins, 0);
}

#[test]
fn a_scan_left_early_holds_nothing() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    filled(&db);
    for _ in 0..10 {
        let mut scan = db.scan(..).reverse();
        assert!(scan.next().is_some());
    }
    let mut ended = db.scan("9"..);
    assert!(ended.next().is_none() && ended.next().is_none());
    assert_eq!(
        db.stats().unwrap().pins,
        0,
        "a scan that has ended lets go before it is dropped"
    );
}

#[test]
fn a_scan_of_a_closed_database_says_so_once() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    filled(&db);
    let mut late = db.scan(..);
    let mut begun = db.scan(..);
    assert!(begun.next().unwrap().is_ok());
    db.close().unwrap();
    assert_eq!(late.next(), Some(Err(Error::Closed)));
    assert_eq!(late.next(), None);
    let last = begun.last();
    assert!(
        matches!(last, Some(Err(Error::Closed)) | Some(Ok(_))),
        "{last:?}"
    );
}

#[test]
fn a_scan_keeps_the_database_open() {
    let folder = Folder::new();
    let db = folder.open(Options {
        durability: Durability::Buffered,
        ..tiny(2)
    });
    let model = filled(&db);
    let scan = db.scan(..);
    drop(db);
    assert!(all(scan).into_iter().eq(model));
}

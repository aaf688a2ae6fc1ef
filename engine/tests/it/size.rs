//! Counts, estimates, first and last entries.

use std::time::{Duration, SystemTime};

use ringkeep::{Database, Error, KeyspaceOptions, Options};

use crate::folder::tiny;

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

#[test]
fn counts_are_exact_whatever_was_overwritten_removed_or_has_ended() {
    let db = Database::in_memory(tiny(3)).unwrap();
    let space = db.create_keyspace("space", KeyspaceOptions::default());
    let space = space.unwrap();
    let ended = SystemTime::now() - Duration::from_secs(1);
    for number in 0..1000 {
        db.put(key(number), "1").unwrap();
        match number % 4 {
            0 => drop(db.delete(key(number)).unwrap()),
            1 => drop(db.put_until(key(number), "2", ended).unwrap()),
            2 => drop(space.put(key(number), "2").unwrap()),
            _ => drop(db.put(key(number), "2").unwrap()),
        }
        if number == 600 {
            db.flush().unwrap();
        }
    }
    for step in 0..3 {
        match step {
            0 => {}
            1 => db.flush().unwrap(),
            _ => db.compact().unwrap(),
        }
        assert_eq!(
            (db.count(..).unwrap(), space.count(..).unwrap()),
            (500, 250)
        );
        assert_eq!(db.count(key(100)..key(200)).unwrap(), 50);
        assert_eq!(space.count(..=key(102)).unwrap(), 26);
        assert_eq!(db.count(key(7)..key(7)).unwrap(), 0);
        let first = db.first(..).unwrap().unwrap();
        assert_eq!(first, (key(2).to_vec(), b"1".to_vec()));
        let last = db.last(..).unwrap().unwrap();
        assert_eq!(last, (key(999).to_vec(), b"2".to_vec()));
        assert_eq!(space.first(key(3)..).unwrap().unwrap().0, key(6));
        assert_eq!(space.last(..key(6)).unwrap().unwrap().0, key(2));
        assert_eq!(space.last(..key(2)).unwrap(), None);
        assert_eq!(db.first(key(1000)..).unwrap(), None);
    }
    db.drop_keyspace("space").unwrap();
    let dropped = [space.count(..).err(), space.estimate(..).err()];
    for error in dropped.into_iter().chain([space.first(..).err()]) {
        assert!(
            matches!(error, Some(Error::KeyspaceDropped { .. })),
            "{error:?}"
        );
    }
    db.close().unwrap();
}

fn medium() -> Database {
    let options = Options {
        memory_bytes: 16 << 20,
        ..Options::small()
    };
    Database::in_memory(options).unwrap()
}

const COUNT: u32 = 30_000;

fn is_about(found: u64, expected: u64) -> bool {
    found.abs_diff(expected) <= expected / 4
}

#[test]
fn an_estimate_is_close_where_nothing_is_there_twice() {
    let db = medium();
    for number in 0..COUNT {
        db.put(key(number), [number as u8; 100]).unwrap();
    }
    for step in 0..3 {
        match step {
            0 => {}
            1 => db.flush().unwrap(),
            _ => db.compact().unwrap(),
        }
        let all = db.estimate(..).unwrap();
        assert_eq!(all.records, COUNT.into(), "step {step}");
        assert!(is_about(all.bytes, u64::from(COUNT) * 110), "{all:?}");
        let half = db.estimate(key(COUNT / 4)..key(3 * COUNT / 4)).unwrap();
        assert!(is_about(half.records, u64::from(COUNT) / 2), "{half:?}");
        assert!(is_about(half.bytes, all.bytes / 2), "{half:?} of {all:?}");
        assert_eq!(db.estimate(key(COUNT)..).unwrap().records, 0);
    }
    // Each is in another run, and hides one.
    for number in 0..COUNT / 10 {
        db.delete(key(number)).unwrap();
    }
    db.flush().unwrap();
    let all = db.estimate(..).unwrap();
    assert_eq!(all.records, u64::from(COUNT - COUNT / 10));
    db.close().unwrap();
}

#[test]
fn what_one_keyspace_is_said_to_have_no_other_is() {
    let db = medium();
    let options = KeyspaceOptions::default();
    let space = db.create_keyspace("space", options).unwrap();
    for number in 0..COUNT {
        db.put(key(number), [number as u8; 100]).unwrap();
        space.put(key(number), [number as u8; 100]).unwrap();
    }
    db.flush().unwrap();
    db.compact().unwrap();
    let (one, other) = (db.estimate(..).unwrap(), space.estimate(..).unwrap());
    let all = 2 * u64::from(COUNT) + 1;
    assert!(
        (all - 2..=all).contains(&(one.records + other.records)),
        "{one:?}, {other:?}"
    );
    db.close().unwrap();
}

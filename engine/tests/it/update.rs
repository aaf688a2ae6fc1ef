//! One key read and changed in one step, by many at once.

use ringkeep::Error;

use crate::folder::{Folder, tiny};

#[test]
fn increments_of_many_threads_are_all_there() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..50 {
                    db.increment(["a", "b"][number % 2], 3).unwrap();
                }
            });
        }
    });
    assert_eq!(db.increment("a", 0).unwrap(), 600);
    assert_eq!(db.increment("b", -600).unwrap(), 0);
    db.close().unwrap();
}

#[test]
fn of_those_that_put_if_absent_one_does() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let won: Vec<u8> = std::thread::scope(|scope| {
        let db = &db;
        let racers = (0..8u8).map(|me| scope.spawn(move || db.put_if_absent("key", [me]).unwrap()));
        let racers: Vec<_> = racers.collect();
        let ended = racers.into_iter().map(|racer| racer.join().unwrap());
        (0..8)
            .zip(ended)
            .filter(|(_, won)| *won)
            .map(|(me, _)| me)
            .collect()
    });
    assert_eq!(won.len(), 1);
    assert_eq!(db.get("key").unwrap(), Some(won));
    db.close().unwrap();
}

#[test]
fn a_swap_happens_only_where_the_value_is_the_expected_one() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    let (one, two) = (Some(&b"1"[..]), Some(&b"2"[..]));
    assert!(!db.compare_and_set("key", one, two).unwrap());
    assert!(db.compare_and_set("key", None, one).unwrap());
    assert!(!db.compare_and_set("key", None, two).unwrap());
    assert!(!db.compare_and_set("key", two, one).unwrap());
    assert!(db.compare_and_set("key", one, two).unwrap());
    assert_eq!(db.get("key").unwrap().as_deref(), two);
    assert!(db.compare_and_set("key", two, None).unwrap());
    assert_eq!(db.get("key").unwrap(), None);
    assert!(
        db.compare_and_set("key", None, None).unwrap(),
        "absent and stays so"
    );
    db.close().unwrap();
}

#[test]
fn what_is_no_counter_and_what_would_overflow_is_refused_and_stays() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    db.put("text", "seven b").unwrap();
    db.put("full", i64::MAX.to_le_bytes()).unwrap();
    for key in ["text", "full"] {
        let before = db.get(key).unwrap();
        let error = db.increment(key, 1).unwrap_err();
        assert!(matches!(error, Error::Counter { .. }), "{error}");
        assert_eq!(db.get(key).unwrap(), before);
    }
    assert!(matches!(db.increment("", 1), Err(Error::EmptyKey)));
    db.close().unwrap();
    assert!(matches!(db.increment("full", 0), Err(Error::Closed)));
}

use ringkeep::{Batch, Durability, Error};

use crate::folder::{Folder, tiny};

#[test]
fn a_batch_over_all_shards_is_there_as_a_whole() {
    let folder = Folder::new();
    let db = folder.open(tiny(4));
    let mut batch = Batch::new();
    for key in 0..100 {
        batch.put(format!("{key}"), "1");
    }
    assert_eq!(batch.len(), 100);
    let written = db.write(batch.clone()).unwrap();
    assert_eq!(db.scan(..).count(), 100);
    assert!(db.put("later", "2").unwrap() > written);

    let mut undo = Batch::new();
    for key in 0..100 {
        undo.delete(format!("{key}"));
    }
    db.write_with(undo, Durability::Buffered).unwrap();
    assert_eq!(db.scan(..).keys_only().count(), 1);
}

#[test]
fn of_two_changes_to_a_key_the_later_counts() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let mut batch = Batch::new();
    batch
        .put("a", "1")
        .delete("a")
        .put("b", "1")
        .put("b", "2")
        .delete("c")
        .put("c", "3");
    db.write(batch).unwrap();
    let values = db.multi_get(["a", "b", "c"]).unwrap();
    assert_eq!(values, [None, Some(b"2".to_vec()), Some(b"3".to_vec())]);
}

#[test]
fn readers_see_all_of_a_batch_or_nothing() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let keys: Vec<String> = (0..12).map(|key| format!("{key}")).collect();
    let write = |round: u32| {
        let mut batch = Batch::new();
        for key in &keys {
            batch.put(key, round.to_le_bytes());
        }
        db.write(batch).unwrap();
    };
    write(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (1..200).for_each(write));
        for _ in 0..500 {
            let values = db.multi_get(&keys).unwrap();
            assert!(values.iter().all(|value| value == &values[0]), "{values:?}");
            let mut scanned = db.scan(..).map(|entry| entry.unwrap().1);
            let first = scanned.next();
            assert!(scanned.all(|value| Some(value) == first));
        }
    });
}

#[test]
fn writers_of_the_same_keys_on_several_shards_do_not_deadlock() {
    let folder = Folder::new();
    let db = folder.open(tiny(4));
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let db = &db;
            scope.spawn(move || {
                for round in 0..50u8 {
                    let mut batch = Batch::new();
                    for key in 0..8u8 {
                        // Each thread in another order, so that first parts differ.
                        batch.put([(key + thread * 3) % 8 + 1], [thread, round]);
                    }
                    db.write(batch).unwrap();
                }
            });
        }
    });
    let mut values = db.scan(..).map(|entry| entry.unwrap().1);
    let first = values.next();
    assert!(
        values.all(|value| Some(value) == first),
        "the last batch counts as a whole"
    );
}

#[test]
fn an_empty_batch_writes_nothing() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let before = db.put("a", "1").unwrap();
    assert!(db.write(Batch::new()).unwrap() >= before);
    assert_eq!(db.stats().unwrap().total.writes, 1);
    db.close().unwrap();
    assert_eq!(db.write(Batch::new()), Err(Error::Closed));
}

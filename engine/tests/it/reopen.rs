use ringkeep::{Batch, Durability, Error, Options};

use crate::folder::{Folder, tiny};

#[test]
fn what_was_acknowledged_is_there_after_a_close_and_after_a_drop() {
    let folder = Folder::new();
    for round in 0..6u32 {
        let db = folder.open(Options {
            threads: Some(1 + round as usize % 3),
            ..tiny(3)
        });
        for earlier in 0..round {
            for key in 0..50 {
                let value = db.get(format!("{earlier}/{key}")).unwrap();
                assert_eq!(
                    value,
                    Some(format!("{key}").repeat(50).into_bytes()),
                    "{earlier}/{key} in {round}"
                );
            }
            assert!(db.get(format!("batch {earlier}")).unwrap().is_some());
        }
        let mut batch = Batch::new();
        for key in 0..50 {
            db.put_with(
                format!("{round}/{key}"),
                format!("{key}").repeat(50),
                Durability::Buffered,
            )
            .unwrap();
            batch
                .put(format!("batch {round}"), "1")
                .put(format!("batch {round} {key}"), "2");
        }
        db.write(batch).unwrap();
        match round % 3 {
            0 => db.close().unwrap(),
            1 => drop(db),
            _ => {
                db.flush().unwrap();
                db.compact().unwrap();
            }
        }
    }
    let db = folder.open(tiny(3));
    assert_eq!(db.scan_prefix("batch").count(), 6 * 51);
}

#[test]
fn a_closed_database_refuses_everything_and_closes_again() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let other = db.clone();
    db.put("a", "1").unwrap();
    db.close().unwrap();
    db.close().unwrap();
    other.close().unwrap();
    assert_eq!(other.get("a"), Err(Error::Closed));
    assert_eq!(other.put("a", "2"), Err(Error::Closed));
    assert_eq!(other.delete("a"), Err(Error::Closed));
    assert_eq!(other.multi_get(["a"]), Err(Error::Closed));
    assert_eq!(other.flush(), Err(Error::Closed));
    assert_eq!(other.compact(), Err(Error::Closed));
    assert_eq!(other.stats().map(drop), Err(Error::Closed));
    // The handles are still there, the database is free.
    let again = folder.open(tiny(2));
    assert_eq!(again.get("a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn a_close_beside_calls_lets_each_succeed_or_say_closed() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|thread| {
                let db = &db;
                scope.spawn(move || {
                    for round in 0.. {
                        let mut batch = Batch::new();
                        batch
                            .put(format!("{thread}/{round}/a"), "1")
                            .put(format!("{thread}/{round}/b"), "1");
                        match db.write(batch) {
                            Ok(_) => {}
                            Err(Error::Closed) => return round,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    unreachable!("it is closed before the numbers run out")
                })
            })
            .collect();
        while db.stats().unwrap().total.writes < 100 {
            std::thread::yield_now();
        }
        db.close().unwrap();
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect::<Vec<u32>>()
    });
    let db = folder.open(tiny(3));
    for (thread, rounds) in written.into_iter().enumerate() {
        for round in 0..rounds {
            let pair = db
                .multi_get([format!("{thread}/{round}/a"), format!("{thread}/{round}/b")])
                .unwrap();
            assert!(
                pair.iter().all(Option::is_some),
                "{thread}/{round} was acknowledged"
            );
        }
    }
}

#[test]
fn a_database_keeps_its_number_of_shards() {
    let folder = Folder::new();
    folder.open(tiny(3)).put("a", "1").unwrap();
    let db = folder.open(tiny(1));
    assert_eq!(db.stats().unwrap().shards.len(), 3);
    assert!(db.get("a").unwrap().is_some());
}

//! A fault of this program on a host thread: what it serves is lost until the next opening, all else goes on.

use ringkeep::{Batch, Database, Durability, Error, simulation};

use crate::folder::{Folder, on_glommio, tiny};

/// Keys of two different hosts.
fn keys(db: &Database) -> (String, String) {
    let gets = |db: &Database| -> Vec<u64> {
        let stats = db.stats().unwrap();
        stats.hosts.iter().map(|host| host.calls).collect()
    };
    let host_of = |key: &str| {
        let before = gets(db);
        for _ in 0..10 {
            db.get(key).unwrap();
        }
        let after = gets(db);
        (0..after.len())
            .max_by_key(|host| after[*host] - before[*host])
            .unwrap()
    };
    let one = "0".to_owned();
    let other = (1..)
        .map(|key| key.to_string())
        .find(|key| host_of(key) != host_of(&one))
        .unwrap();
    (one, other)
}

#[test]
fn the_other_hosts_go_on_and_nothing_acknowledged_is_lost() {
    let folder = Folder::new();
    let db = folder.open(ringkeep::Options {
        threads: Some(2),
        ..tiny(4)
    });
    let (dead, alive) = keys(&db);
    db.put(&dead, "1").unwrap();
    db.put_with(&alive, "1", Durability::Buffered).unwrap();
    simulation::panic_host(&db, dead.as_bytes());

    let error = loop {
        match db.get(&dead) {
            Ok(_) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HostStopped { .. }), "{error}");
    assert!(error.to_string().contains("this is a drill"), "{error}");
    assert!(matches!(db.put(&dead, "2"), Err(Error::HostStopped { .. })));
    assert!(matches!(
        db.multi_get([&dead, &alive]),
        Err(Error::HostStopped { .. })
    ));
    assert!(db.scan(..).any(|entry| entry.is_err()));
    let mut both = Batch::new();
    both.put(&dead, "3").put(&alive, "3");
    assert!(matches!(db.write(both), Err(Error::HostStopped { .. })));

    db.put(&alive, "2").unwrap();
    assert_eq!(db.get(&alive).unwrap().as_deref(), Some(&b"2"[..]));
    let stats = db.stats().unwrap();
    assert_eq!((stats.hosts.len(), stats.shards.len()), (1, 2));
    assert!(stats.stopped.is_some());
    assert!(matches!(db.close(), Err(Error::HostStopped { .. })));
    drop(db);

    let db = folder.open(tiny(4));
    assert_eq!(db.get(&dead).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(db.get(&alive).unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn callers_in_the_middle_of_anything_get_an_answer() {
    for round in 0..8 {
        // Every other time a host has more shards than one.
        let (threads, shards) = [(3, 3), (2, 5)][round % 2];
        let folder = Folder::new();
        let db = folder.open(ringkeep::Options {
            threads: Some(threads),
            ..tiny(shards)
        });
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let db = &db;
                scope.spawn(move || {
                    for key in 0.. {
                        let mut batch = Batch::new();
                        for part in 0..3 {
                            batch.put(format!("{thread}/{key}/{part}"), "1");
                        }
                        if let Err(error) = db.write(batch) {
                            assert!(
                                error.is_unknown() || matches!(error, Error::Shard { .. }),
                                "{error}"
                            );
                            break;
                        }
                    }
                });
            }
            while db.stats().unwrap().total.writes < 50 {
                std::thread::yield_now();
            }
            simulation::panic_host(&db, format!("{round}").as_bytes());
        });
        assert!(matches!(db.close(), Err(Error::HostStopped { .. })));
        drop(db);
        let db = folder.open(tiny(shards));
        let keys: Vec<Vec<u8>> = db
            .scan(..)
            .keys_only()
            .map(|entry| entry.unwrap().0)
            .collect();
        for batch in keys.chunks(3) {
            let stem = |key: &[u8]| key[..key.len() - 1].to_vec();
            assert!(
                batch.len() == 3 && stem(&batch[0]) == stem(&batch[2]),
                "half a batch: {batch:?}"
            );
        }
    }
}

#[test]
fn a_caller_that_panics_harms_nobody() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    std::thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let mut scan = db.scan(..);
            assert!(scan.next().is_none());
            db.put("a", "1").unwrap();
            panic!("as a caller does");
        });
        assert!(panics.join().is_err());
    });
    assert!(db.get("a").unwrap().is_some());
    db.close().unwrap();
}

#[test]
fn a_caller_that_panics_at_the_helm_takes_the_host_down_and_nobody_else() {
    if on_glommio() {
        return; // Nobody but its thread is ever at the helm of such a host.
    }
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    db.put("a", "1").unwrap();
    // Returns: the fault is this program's, and not the caller's.
    simulation::panic_visitor(&db, b"a");
    let error = loop {
        match db.put("a", "2") {
            Ok(_) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::HostStopped { .. }), "{error}");
    assert!(error.to_string().contains("this is a drill"), "{error}");
    drop(db);
    let db = folder.open(tiny(2));
    assert!(db.get("a").unwrap().is_some());
}

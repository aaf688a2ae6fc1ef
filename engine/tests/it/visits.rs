//! Callers that drive a host while it sleeps.

use std::thread;

use ringkeep::{Database, Durability, Options, simulation};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::{Folder, on_glommio, tiny};

fn visits(db: &Database) -> u64 {
    let stats = db.stats().unwrap();
    stats.hosts.iter().map(|host| host.visits).sum()
}

fn a_lone_caller_comes_to_serve_itself(db: &Database) {
    if on_glommio() {
        // An executor's thread sleeps in its own way, and nobody else may drive what it runs.
        db.put("key", "value").unwrap();
        return assert_eq!(visits(db), 0);
    }
    let mut round = 0_u32;
    while visits(db) < 100 {
        round += 1;
        assert!(round < 100_000, "nobody visits");
        let value = round.to_string();
        db.put("key", &value).unwrap();
        assert_eq!(db.get("key").unwrap().unwrap(), value.as_bytes());
    }
}

#[test]
fn a_lone_caller_serves_itself() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    a_lone_caller_comes_to_serve_itself(&db);
    db.close().unwrap();
}

#[test]
fn a_lone_caller_serves_itself_where_io_uring_is_denied() {
    let folder = Folder::new();
    let db = folder.open(Options {
        backend: ringkeep::Backend::Portable,
        ..tiny(2)
    });
    a_lone_caller_comes_to_serve_itself(&db);
    db.close().unwrap();
}

#[test]
fn a_lone_caller_serves_itself_in_memory() {
    let db = Database::in_memory(tiny(2)).unwrap();
    a_lone_caller_comes_to_serve_itself(&db);
    db.close().unwrap();
}

fn wakes_nobody(db: &Database, name: &str, call: impl Fn(u64)) {
    const CALLS: u64 = 200;
    let turns = || db.stats().unwrap().hosts[0].turns;
    // Whoever has the cores may keep the thread from lying down now and then.
    let quiet = (0..20).any(|_| {
        let before = turns();
        (0..CALLS).for_each(&call);
        turns() - before < CALLS / 2
    });
    assert!(quiet, "the thread has a turn for each {name}");
}

/// A caller once held the helm for as long as the device wrote for it, did not get it again behind that, and woke the
/// thread with each put.
#[test]
fn a_lone_callers_durable_puts_wake_nobody() {
    if on_glommio() {
        return;
    }
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    wakes_nobody(&db, "put", |number| {
        db.put("key", number.to_le_bytes()).unwrap();
    });
    db.close().unwrap();
}

/// Their commits were mail, since they are futures: each woke the thread, and that its caller.
#[test]
fn a_lone_callers_transactions_wake_nobody() {
    if on_glommio() {
        return;
    }
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    wakes_nobody(&db, "increment", |_| {
        db.increment("counter", 1).unwrap();
    });
    wakes_nobody(&db, "update", |_| {
        db.update("value", |_| Some(b"new".into())).unwrap();
    });
    wakes_nobody(&db, "transaction", |number| {
        db.transact(|tx| {
            tx.get("counter")?;
            tx.put("other", number.to_le_bytes())
        })
        .unwrap();
    });
    assert_eq!(db.increment("counter", 0).unwrap() % 200, 0);
    db.close().unwrap();
}

/// Or the simulator would prove nothing about visits.
#[test]
fn hosts_that_are_driven_by_hand_are_visited() {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    let options = Options {
        threads: Some(1),
        ..tiny(2)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, [7; 16]).expect("opens");
    for round in 0..20 {
        let key = format!("key {round}");
        hosts.run(db.put_async(&key, "value")).unwrap();
        let read = hosts.run(db.get_async(&key)).unwrap();
        assert_eq!(read.as_deref(), Some(&b"value"[..]));
    }
    let stats = hosts.run(db.stats_async()).unwrap();
    assert!(stats.hosts[0].visits > 0);
}

#[test]
fn what_callers_and_the_host_do_by_turns_is_one_history() {
    const ROUNDS: u32 = 3_000;
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    thread::scope(|scope| {
        for name in ["left", "right"] {
            let db = &db;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = format!("{name} {:03}", round % 200);
                    let value = format!("{round:08}").repeat(20);
                    let durability = match round % 16 {
                        0 => Durability::Sync,
                        _ => Durability::Buffered,
                    };
                    db.put_with(&key, &value, durability).unwrap();
                    let read = db.get(&key).unwrap();
                    assert_eq!(read.as_deref(), Some(value.as_bytes()));
                    if round % 50 == 49 {
                        check(db, name, round);
                    }
                }
            });
        }
    });
    assert_eq!(visits(&db) > 0, !on_glommio());
    drop(db);
    let db = folder.open(tiny(2));
    for name in ["left", "right"] {
        check(&db, name, ROUNDS - 1);
    }
}

/// Of a thread's keys, what it wrote last to each.
fn check(db: &Database, name: &str, last: u32) {
    let entries = db.scan_prefix(name).map(Result::unwrap);
    let entries: Vec<_> = entries.collect();
    assert_eq!(entries.len() as u32, (last + 1).min(200));
    for (index, (key, value)) in (0..).zip(entries) {
        assert_eq!(key, format!("{name} {index:03}").as_bytes());
        let written = last - (last + 200 - index) % 200;
        assert_eq!(&value[..8], format!("{written:08}").as_bytes());
    }
}

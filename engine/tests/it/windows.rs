//! Keyspaces that keep more of their past than the database, or less.

use std::time::Duration;

use ringkeep::{
    Database, Durability, Error, Keyspace, KeyspaceOptions, Options, Reason, Retention, Version,
    simulation,
};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::{Folder, tiny};

const HOUR: Duration = Duration::from_secs(3600);

fn keeping(retention: Retention) -> Options {
    Options {
        retention,
        ..tiny(3)
    }
}

fn make(db: &Database, name: &str, retention: Option<Retention>) -> Keyspace {
    let options = KeyspaceOptions {
        retention,
        ..KeyspaceOptions::default()
    };
    db.create_keyspace(name, options).unwrap()
}

/// What a round leaves under each of these keys, in all keyspaces.
fn value(round: u32) -> Vec<u8> {
    format!("{round}").repeat(40).into_bytes()
}

const KEYS: u32 = 40;

fn write_all(db: &Database, spaces: &[Keyspace], round: u32) -> Version {
    let mut batch = ringkeep::Batch::new();
    for key in 0..KEYS {
        batch.put(format!("{key}"), value(round));
        for space in spaces {
            batch.put_in(space, format!("{key}"), value(round));
        }
    }
    db.write(batch).unwrap()
}

fn shows(read: ringkeep::Result<Option<Vec<u8>>>, round: u32) {
    assert_eq!(read.unwrap(), Some(value(round)));
}

fn gone<T: std::fmt::Debug>(read: ringkeep::Result<T>, asked: Version) -> Version {
    match read {
        Err(Error::HistoryGone { asked: at, oldest }) if at == asked => oldest,
        other => panic!("{other:?} at {asked}"),
    }
}

#[test]
fn each_keyspace_is_kept_for_as_long_as_it_says_through_merges_and_openings() {
    let folder = Folder::new();
    let window = 12;
    let options = || keeping(Retention::Versions(window));
    let mut db = folder.open(options());
    let windows = [
        ("as the database", None),
        ("longer", Some(Retention::Versions(1_000_000))),
        ("none", Some(Retention::None)),
    ];
    let spaces = windows.map(|(name, retention)| make(&db, name, retention));
    let mut rounds: Vec<Version> = (0..12)
        .map(|round| write_all(&db, &spaces, round))
        .collect();
    drop(spaces);
    for pass in 0..3 {
        match pass {
            0 => db.compact().unwrap(),
            1 => {
                let spaces = windows.map(|(name, _)| db.keyspace(name).unwrap());
                rounds.extend((12..15).map(|round| write_all(&db, &spaces, round)));
                drop(spaces);
                drop(db);
                db = folder.open(options());
                // Nobody has asked yet which keyspaces there are.
                for key in 0..2000 {
                    db.put(format!("other {key}"), [7; 200]).unwrap();
                }
                db.flush().unwrap();
                db.compact().unwrap();
            }
            _ => {
                drop(db);
                db = folder.open(options());
            }
        }
        let spaces = windows.map(|(name, _)| db.keyspace(name).unwrap());
        let [same, longer, none] = &spaces;
        let newest = rounds.len() as u32 - 1;
        for (round, at) in rounds.iter().enumerate() {
            let round = round as u32;
            let then = longer.as_of(*at).unwrap();
            shows(then.get_in(longer, "7"), round);
            assert_eq!(then.scan_in(longer, ..).count(), KEYS as usize);
            let several = then.multi_get_in(longer, ["1", "2"]).unwrap();
            assert_eq!(several, [Some(value(round)), Some(value(round))]);
            match same.as_of(*at) {
                Ok(then) => shows(then.get_in(same, "7"), round),
                Err(_) => {
                    let oldest = gone(same.as_of(*at), *at);
                    assert_eq!(gone(db.as_of(*at), *at), oldest);
                    // The same snapshot shows what is kept for longer, and nothing else.
                    assert_eq!(gone(then.get("7"), *at), oldest);
                    assert_eq!(gone(then.get_in(same, "7"), *at), oldest);
                    assert_eq!(gone(then.multi_get(["7"]), *at), oldest);
                    let mut scan = then.scan(..).reverse();
                    assert_eq!(gone(scan.next().unwrap(), *at), oldest);
                    assert!(scan.next().is_none());
                    let then = rounds.iter().rposition(|at| *at <= oldest).unwrap();
                    shows(same.as_of(oldest).unwrap().get_in(same, "7"), then as u32);
                }
            }
        }
        // All that was written but the last was merged away where nothing is kept on purpose.
        let at = rounds[rounds.len() - 2];
        let oldest = gone(none.as_of(at), at);
        assert!(oldest > at);
        let then = longer.as_of(at).unwrap();
        assert_eq!(gone(then.get_in(none, "7"), at), oldest);
        let changes = none.diff(&then, &db.snapshot().unwrap(), ..).next();
        assert_eq!(gone(changes.unwrap(), at), oldest);
        let changes = longer.diff(&then, &db.snapshot().unwrap(), ..);
        assert_eq!(changes.count(), KEYS as usize);
        shows(none.get("7"), newest);
    }
    db.close().unwrap();
}

#[test]
fn merges_drop_in_one_keyspace_what_they_keep_in_another() {
    let folder = Folder::new();
    let db = folder.open(keeping(Retention::Versions(1_000_000)));
    let spaces = [make(&db, "none", Some(Retention::None))];
    for round in 0..10 {
        write_all(&db, &spaces, round);
    }
    db.compact().unwrap();
    // Ten of each key of the database, one of each of the keyspace, and the list of keyspaces.
    let entries = db.stats().unwrap().total.table_entries;
    assert_eq!(entries, u64::from(11 * KEYS + 1));
    // A snapshot holds all of them.
    let before = db.snapshot().unwrap();
    for round in 10..20 {
        write_all(&db, &spaces, round);
    }
    db.compact().unwrap();
    shows(before.get_in(&spaces[0], "3"), 9);
    drop(before);
    db.compact().unwrap();
    let entries = db.stats().unwrap().total.table_entries;
    assert_eq!(entries, u64::from(21 * KEYS + 1));
    db.close().unwrap();
}

#[test]
fn times_are_kept_for_a_keyspace_alone() {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    let options = Options {
        threads: Some(1),
        ..tiny(2)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, *b"a store of tests").unwrap();
    let hour = KeyspaceOptions {
        retention: Some(Retention::For(HOUR)),
        ..KeyspaceOptions::default()
    };
    let space = hosts.run(db.create_keyspace_async("hour", hour)).unwrap();
    let pass = |time: Duration| {
        disk.advance_to(disk.now() + time.as_nanos() as u64);
        hosts.turn();
    };
    let mut times = Vec::new();
    for minutes in 0..5 {
        hosts
            .run(space.put_async("key", format!("{minutes}")))
            .unwrap();
        hosts
            .run(db.put_async("key", format!("{minutes}")))
            .unwrap();
        times.push(db.snapshot().unwrap().time());
        pass(HOUR / 4);
    }
    hosts.run(db.compact_async()).unwrap();
    let at = |time| hosts.run(space.as_of_time_async(time));
    for (minutes, time) in times.iter().enumerate() {
        // The first is as old as the window when the last is written.
        let then = at(*time).unwrap();
        let found = hosts.run(then.get_in_async(&space, "key")).unwrap();
        assert_eq!(found, Some(format!("{minutes}").into_bytes()));
        let of_database = hosts.run(then.get_async("key"));
        assert_eq!(of_database.is_ok(), minutes == 4, "{of_database:?}");
    }
    hosts.run(space.put_async("key", "last")).unwrap();
    hosts.run(db.compact_async()).unwrap();
    assert!(matches!(at(times[0]), Err(Error::HistoryGone { .. })));
    assert!(at(times[1]).is_ok());
}

#[test]
fn what_a_keyspace_keeps_is_explained_by_its_name() {
    let folder = Folder::new();
    let db = folder.open(keeping(Retention::None));
    let window = Some(Retention::Versions(1_000_000));
    let spaces = [make(&db, "prices", window), make(&db, "other", None)];
    // What lies in a table with another keyspace may be taken for that one's.
    for round in 0..10 {
        for key in 0..KEYS {
            let mut batch = ringkeep::Batch::new();
            for space in &spaces {
                batch.put_in(space, format!("{key}"), value(round).repeat(100));
            }
            db.write_with(batch, Durability::Buffered).unwrap();
        }
    }
    db.compact().unwrap();
    let kept = db.explain_retention().unwrap();
    let [holder] = &kept.holders[..] else {
        panic!("{kept}");
    };
    assert_eq!(holder.reason, Reason::Keyspace("prices".into()));
    assert_eq!(holder.version, Version(0));
    // Nine of eleven entries.
    let bytes = db.stats().unwrap().total.table_bytes;
    assert!(
        (bytes / 4..bytes).contains(&holder.bytes),
        "{kept}, {bytes} in all"
    );
    assert!(
        kept.to_string().contains("the keyspace \"prices\""),
        "{kept}"
    );
    db.drop_keyspace("prices").unwrap();
    assert!(db.explain_retention().unwrap().holders.is_empty());
    db.close().unwrap();
}

#[test]
fn values_that_have_ended_are_read_where_their_past_is_kept() {
    let disk = SimulatedDisk::new(2, SimulatedOptions::default());
    let options = Options {
        threads: Some(1),
        retention: Retention::For(HOUR),
        ..tiny(2)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, *b"a store of tests").unwrap();
    let make = |name, retention| {
        let options = KeyspaceOptions {
            stay: Some(HOUR / 6),
            retention,
            ..KeyspaceOptions::default()
        };
        hosts.run(db.create_keyspace_async(name, options)).unwrap()
    };
    let same = make("as the database", None);
    let day = make("day", Some(Retention::For(24 * HOUR)));
    let none = make("none", Some(Retention::None));
    let pass = |time: Duration| {
        disk.advance_to(disk.now() + time.as_nanos() as u64);
        hosts.turn();
    };
    let put_all = |value: &str| {
        for space in [&same, &day, &none] {
            hosts.run(space.put_async(value, value)).unwrap();
        }
    };
    let read = |space: &Keyspace, time| {
        let then = hosts.run(space.as_of_time_async(time))?;
        hosts.run(then.get_in_async(space, "first"))
    };
    put_all("first");
    pass(HOUR / 12);
    put_all("second");
    let then = db.snapshot().unwrap().time();
    pass(HOUR / 2);
    put_all("third");
    hosts.run(db.compact_async()).unwrap();
    for space in [&same, &day, &none] {
        assert_eq!(hosts.run(space.get_async("first")).unwrap(), None);
    }
    let first = || Some(b"first".to_vec());
    assert_eq!(read(&same, then).unwrap(), first());
    assert_eq!(read(&day, then).unwrap(), first());
    assert!(matches!(read(&none, then), Err(Error::HistoryGone { .. })));

    // A clock that is set back makes windows keep more, and not less.
    disk.move_wall_clock(-3 * HOUR.as_nanos() as i64);
    put_all("fourth");
    hosts.run(db.compact_async()).unwrap();
    assert_eq!(read(&same, then).unwrap(), first());
    disk.move_wall_clock(6 * HOUR.as_nanos() as i64);
    put_all("fifth");
    put_all("sixth");
    hosts.run(db.compact_async()).unwrap();
    assert!(matches!(read(&same, then), Err(Error::HistoryGone { .. })));
    assert_eq!(read(&day, then).unwrap(), first());
}

#[test]
fn an_opening_with_another_window_of_the_database_changes_none_of_a_keyspace() {
    let folder = Folder::new();
    let mut rounds = Vec::new();
    let windows = [
        ("as the database", None),
        ("long", Some(Retention::Versions(1_000_000))),
        ("none", Some(Retention::None)),
    ];
    let lives = [
        Retention::Versions(1_000_000),
        Retention::None,
        Retention::Versions(1_000_000),
    ];
    for (life, retention) in lives.into_iter().enumerate() {
        let db = folder.open(keeping(retention));
        let spaces = windows.map(|(name, retention)| match life {
            0 => make(&db, name, retention),
            _ => db.keyspace(name).unwrap(),
        });
        let [same, long, none] = &spaces;
        rounds.extend((0..5).map(|round| write_all(&db, &spaces, 5 * life as u32 + round)));
        db.compact().unwrap();
        let newest = rounds.len() as u32 - 1;
        for (round, at) in rounds.iter().enumerate() {
            let round = round as u32;
            shows(long.as_of(*at).unwrap().get_in(long, "7"), round);
            if round < newest {
                gone(none.as_of(*at), *at);
            }
            // What the second life let go does not come back in the third.
            let let_go = match life {
                0 => 0,
                1 => newest,
                _ => 9,
            };
            if round < let_go {
                assert!(gone(same.as_of(*at), *at) > *at);
                gone(db.as_of(*at), *at);
            } else if round > let_go || life == 0 {
                shows(same.as_of(*at).unwrap().get_in(same, "7"), round);
                shows(db.as_of(*at).unwrap().get("7"), round);
            }
        }
        db.close().unwrap();
    }
}

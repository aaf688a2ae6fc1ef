//! Values that end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringkeep::{Batch, Database, Options, Retention, Snapshot, simulation};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::{Folder, tiny};

const HOUR: Duration = Duration::from_secs(3600);

fn past() -> SystemTime {
    SystemTime::now() - HOUR
}

fn future() -> SystemTime {
    SystemTime::now() + HOUR
}

fn names(db: &Database) -> Vec<Vec<u8>> {
    let keys = db.scan(..).keys_only().map(|entry| entry.unwrap().0);
    keys.collect()
}

#[test]
fn what_has_ended_is_nowhere_and_what_has_not_is_everywhere() {
    let folder = Folder::new();
    let db = folder.open(tiny(3));
    for key in ["was", "is", "lasts"] {
        db.put(key, "old").unwrap();
    }
    db.flush().unwrap();
    let mut batch = Batch::new();
    batch.put_until("was", "new", past());
    batch.put_until("is", "new", future());
    batch.put_until("lasts", "new", UNIX_EPOCH + Duration::from_secs(1 << 40));
    db.write(batch).unwrap();
    db.put_for("brief", "new", Duration::ZERO).unwrap();
    db.put_for("endless", "new", Duration::MAX).unwrap();
    let check = |db: &Database| {
        let keys = ["was", "is", "lasts", "brief", "endless"];
        let there = [false, true, true, false, true];
        for (key, there) in keys.into_iter().zip(there) {
            let value = there.then(|| b"new".to_vec());
            assert_eq!(db.get(key).unwrap(), value, "{key}");
        }
        let values = db.multi_get(keys).unwrap();
        assert_eq!(are_there(&values), there);
        assert_eq!(names(db), [&b"endless"[..], b"is", b"lasts"]);
    };
    check(&db);
    db.flush().unwrap();
    check(&db);
    db.compact().unwrap();
    check(&db);
    let stats = db.stats().unwrap().total;
    assert_eq!(stats.expired_dropped, 2);
    assert_eq!(stats.table_entries, 3, "nothing is left of what has ended");
    drop(db);
    let db = folder.open(tiny(3));
    check(&db);
    db.close().unwrap();
}

fn are_there(values: &[Option<Vec<u8>>]) -> Vec<bool> {
    values.iter().map(Option::is_some).collect()
}

#[test]
fn a_key_that_has_ended_is_absent_to_those_who_look_before_they_write() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let one = Some(&b"1"[..]);
    db.put_until("key", "old", past()).unwrap();
    assert!(!db.compare_and_set("key", Some(b"old"), one).unwrap());
    assert!(db.put_if_absent("key", "new").unwrap());
    db.put_until("key", "old", past()).unwrap();
    let new = db.update("key", |old| {
        assert_eq!(old, None);
        Some(b"made".to_vec())
    });
    assert_eq!(new.unwrap().as_deref(), Some(&b"made"[..]));
    db.put_until("count", 7_i64.to_le_bytes(), past()).unwrap();
    assert_eq!(db.increment("count", 1).unwrap(), 1);
    db.close().unwrap();
}

#[test]
fn a_transaction_sees_its_own_ends_by_its_own_time() {
    let folder = Folder::new();
    let db = folder.open(tiny(2));
    let mut tx = db.transaction().unwrap();
    tx.put_until("was", "1", past()).unwrap();
    tx.put_until("is", "1", future()).unwrap();
    assert_eq!(tx.get("was").unwrap(), None);
    assert!(tx.get("is").unwrap().is_some());
    let values = tx.multi_get(["was", "is"]).unwrap();
    assert_eq!(are_there(&values), [false, true]);
    assert_eq!(tx.scan(..).unwrap().count(), 1);
    tx.commit().unwrap();
    assert_eq!(names(&db), [b"is"]);
    // Overwriting takes the end away, and removing a value with one is removing.
    db.put("is", "2").unwrap();
    db.put_until("gone", "2", future()).unwrap();
    db.delete("gone").unwrap();
    assert_eq!(names(&db), [b"is"]);
    db.close().unwrap();
}

#[test]
fn the_past_is_judged_by_its_own_time() {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    let options = Options {
        retention: Retention::For(HOUR),
        threads: Some(1),
        ..tiny(2)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, *b"a store of tests").unwrap();
    let now = || db.snapshot().unwrap().time();
    let get = |then: &Snapshot| hosts.run(then.get_async("key")).unwrap().is_some();
    let other = hosts.run(db.put_async("other", "value")).unwrap();
    let soon = now() + HOUR / 4;
    let written = hosts.run(db.put_until_async("key", "value", soon));
    let written = written.unwrap();
    disk.advance_to(disk.now() + HOUR.as_nanos() as u64 / 3);
    hosts.turn();
    assert_eq!(hosts.run(db.get_async("key")).unwrap(), None);
    let past = db.as_of(written).unwrap();
    assert!(past.time() < soon && get(&past));
    for step in 0..3 {
        match step {
            0 => {}
            1 => hosts.run(db.flush_async()).unwrap(),
            _ => hosts.run(db.compact_async()).unwrap(),
        }
        assert!(get(&past));
        assert!(get(&db.as_of(written).unwrap()));
        assert!(!get(&db.snapshot().unwrap()));
    }
    let late = hosts.run(db.as_of_time_async(now())).unwrap();
    assert_eq!(late.version(), written, "only time has passed");
    assert!(!get(&late));
    let first = db.as_of(other).unwrap();
    let changed = |after: &Snapshot| {
        let mut changes = db.diff(&first, after, ..);
        hosts
            .run(changes.next_async())
            .map(|change| change.unwrap().key)
    };
    assert_eq!(changed(&past).as_deref(), Some(&b"key"[..]));
    assert_eq!(changed(&late), None);
}

#[test]
fn a_salvage_carries_ends_on() {
    let folder = Folder::new();
    let db = folder.open(tiny(1));
    db.put_until("tabled", "value", future()).unwrap();
    db.put_until("ended", "value", past()).unwrap();
    db.flush().unwrap();
    db.put_until("logged", "value", future()).unwrap();
    assert!(db.verify(None).unwrap().damages.is_empty());
    drop(db);
    let to = folder.db().with_extension("new");
    ringkeep::salvage(folder.db(), &to, tiny(1), |_| {}).unwrap();
    let db = Database::open(&to, tiny(1)).unwrap();
    assert_eq!(names(&db), [&b"logged"[..], b"tabled"]);
    db.close().unwrap();
    std::fs::remove_dir_all(&to).unwrap();
}

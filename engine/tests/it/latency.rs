//! How long calls took, as `stats` says it.

use std::time::Duration;

use ringkeep::simulation;
use ringkeep::{Batch, Database, Operation, Options, Percentiles, ShardId};
use ringkeep_io::{Latency, SimulatedDisk, SimulatedOptions};

use crate::folder::tiny;

pub const TAKES: Duration = Duration::from_micros(50);

/// A disk that takes the same time for everything, and processors that take none.
pub fn even_disk() -> SimulatedDisk {
    let latency = Latency {
        least: TAKES.as_nanos() as u64,
        most: TAKES.as_nanos() as u64,
        tail_probability: 0.0,
        tail_factor: 1,
    };
    let options = SimulatedOptions {
        latency,
        turn_nanos: 0,
        ..SimulatedOptions::default()
    };
    SimulatedDisk::new(1, options)
}

fn about(time: Duration, wanted: Duration) -> bool {
    time.abs_diff(wanted) < wanted / 100
}

#[test]
fn a_shard_that_does_not_get_its_core_is_seen_in_its_percentiles_alone() {
    let disk = even_disk();
    let options = Options {
        threads: Some(2),
        ..tiny(2)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, [7; 16]).expect("opens");
    let place = simulation::placement(2);
    let on = |shard| {
        (0..)
            .map(|n: u32| n.to_le_bytes())
            .filter(move |key| place(key) == shard)
    };
    for key in on(ShardId(0)).take(99) {
        hosts.run(db.put_async(key, "value")).expect("a put");
    }
    let pause = Duration::from_millis(30);
    hosts.hold(1, disk.now() + pause.as_nanos() as u64);
    let place = simulation::placement(2);
    let key = (0..)
        .map(|n: u32| n.to_le_bytes())
        .find(|key| place(key) == ShardId(1));
    hosts
        .run(db.put_async(key.unwrap(), "value"))
        .expect("a put");

    let stats = hosts.run(db.stats_async()).expect("stats");
    let puts = |shard| {
        stats
            .latency(shard, Operation::Put)
            .expect("there were puts")
            .last_10s
    };
    let Percentiles {
        calls, p50, max, ..
    } = puts(Some(ShardId(0)));
    assert_eq!(calls, 99);
    assert!(about(p50, TAKES) && about(max, TAKES), "{p50:?}, {max:?}");
    let Percentiles { calls, p50, .. } = puts(Some(ShardId(1)));
    assert_eq!(calls, 1);
    assert!(about(p50, pause + TAKES), "{p50:?}");
    let Percentiles {
        calls, p99, p999, ..
    } = puts(None);
    assert_eq!(calls, 100);
    assert!(
        about(p99, TAKES) && about(p999, pause + TAKES),
        "{p99:?}, {p999:?}"
    );
    assert_eq!(stats.latency(None, Operation::Delete), None);
}

#[test]
fn each_kind_of_call_is_counted_where_it_was_asked_for() {
    let db = Database::in_memory(tiny(1)).expect("opens");
    for n in 0..32u32 {
        db.put(n.to_le_bytes(), "value").expect("a put");
        // No row is ever shown for what is not there.
        assert_eq!(db.get("absent").expect("a get"), None);
    }
    db.multi_get(["absent", "too"]).expect("a multi-get");
    db.delete("absent").expect("a delete");
    let mut batch = Batch::new();
    batch.put("a", "1").delete("b");
    db.write(batch).expect("a batch");
    db.transact(|tx| tx.put("a", "2")).expect("a transaction");
    assert_eq!(db.scan(..).count(), 33);
    let stats = db.stats().expect("stats");
    let calls = |operation| stats.latency(None, operation).map(|all| all.last_60s.calls);
    let expected = [
        (Operation::Get, 32),
        (Operation::MultiGet, 1),
        (Operation::Put, 32),
        (Operation::Delete, 1),
        (Operation::Batch, 1),
        (Operation::Transaction, 1),
    ];
    for (operation, count) in expected {
        assert_eq!(calls(operation), Some(count), "{operation}");
    }
    assert!(calls(Operation::ScanPage) >= Some(1));
    let table = stats.to_string();
    assert!(
        table.contains("multi-get") && table.contains("p99.9"),
        "{table}"
    );
}

#[test]
fn what_was_found_in_memory_is_told_of_the_last_minute() {
    let disk = even_disk();
    let options = Options {
        threads: Some(1),
        ..tiny(1)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, [7; 16]).expect("opens");
    let get = |key: &str| hosts.run(db.get_async(key)).expect("a get");
    let put = |key: &str| hosts.run(db.put_async(key, "value")).expect("a put");
    put("key");
    hosts.run(db.flush_async()).expect("a flush");
    for _ in 0..5 {
        assert!(get("key").is_some());
    }
    let stats = || hosts.run(db.stats_async()).expect("stats");
    let now = stats();
    let [all, one] = &now.hit_rates[..] else {
        panic!("{:?}", now.hit_rates);
    };
    assert_eq!((all.shard, one.shard), (None, Some(ShardId(0))));
    assert_eq!((all.last_10s, all.last_60s), (one.last_10s, one.last_60s));
    let total = &now.total;
    assert_eq!(one.last_60s.gets, 5);
    assert_eq!(one.last_60s.row_hits, total.row_hits);
    let blocks = total.cache_hits + total.cache_misses;
    assert_eq!(
        (one.last_60s.blocks, one.last_60s.cache_hits),
        (blocks, total.cache_hits)
    );
    let table = now.to_string();
    assert!(table.contains("found in memory"), "{table}");

    disk.advance_to(disk.now() + Duration::from_secs(100).as_nanos() as u64);
    put("key");
    for _ in 0..3 {
        assert_eq!(get("absent"), None);
    }
    let later = stats();
    let all = &later.hit_rates[0];
    assert_eq!((all.last_60s.gets, all.last_60s.row_hits), (3, 0));
    assert_eq!((all.last_10s.gets, later.total.gets), (3, 8));
}

//! The scenarios, each with the smallest world in which its path and nothing else is walked.

use std::ops::Bound;

use ringkeep_shard::{Call, Codec, Durability, Moment, ScanCall, ScanPage, ShardOptions};

use crate::clocks::Clocks;
use crate::hosts::Hosts;
use crate::outcome::Outcome;
use crate::through;
use crate::world::{World, from};

/// A named piece of work.
pub struct Scenario {
    /// Its name, stable: baselines refer to it.
    pub name: &'static str,
    /// What one operation is.
    pub operation: &'static str,
    /// Operations unless told otherwise: enough that one of a kind does not matter, few enough for Callgrind.
    pub ops: u64,
    work: Work,
}

/// So many operations, in a world of its own.
enum Work {
    /// By one shard, whose calls are handed to it.
    Shard(fn(u64, Clocks) -> World),
    /// By a database, whose calls go from core to core.
    Database(fn(u64, Clocks) -> Hosts),
}

impl Scenario {
    /// By name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Does the work.
    pub fn run(&self, ops: u64, clocks: Clocks) -> Outcome {
        match self.work {
            Work::Shard(work) => work(ops, clocks).outcome(self.name, ops),
            Work::Database(work) => work(ops, clocks).outcome(self.name, ops),
        }
    }
}

/// All of them, in the order of a report.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "put",
        operation: "a durable put by the only caller",
        ops: 2_000,
        work: Work::Shard(put),
    },
    Scenario {
        name: "put_shared",
        operation: "a durable put by one of 1000 callers at once",
        ops: 8_000,
        work: Work::Shard(put_shared),
    },
    Scenario {
        name: "batch",
        operation: "a durable batch of 1000 puts",
        ops: 20,
        work: Work::Shard(batch),
    },
    Scenario {
        name: "get_memtable",
        operation: "a get of a key that was just written",
        ops: 4_000,
        work: Work::Shard(get_memtable),
    },
    Scenario {
        name: "get_hit",
        operation: "a get of a key whose block is cached",
        ops: 4_000,
        work: Work::Shard(get_hit),
    },
    Scenario {
        name: "get_cold",
        operation: "a get of a key whose block is on the device",
        ops: 2_000,
        work: Work::Shard(get_cold),
    },
    Scenario {
        name: "get_miss",
        operation: "a get of a key that does not exist",
        ops: 4_000,
        work: Work::Shard(get_miss),
    },
    Scenario {
        name: "scan",
        operation: "a cached scan of 100 records",
        ops: 200,
        work: Work::Shard(scan),
    },
    Scenario {
        name: "flush",
        operation: "a record of a memtable written out",
        ops: 10_000,
        work: Work::Shard(flush),
    },
    Scenario {
        name: "compaction",
        operation: "a record merged from one of four overlapping runs",
        ops: 20_000,
        work: Work::Shard(compaction),
    },
    Scenario {
        name: "overwrite",
        operation: "a buffered put over an aged set, with its flushes and merges",
        ops: 60_000,
        work: Work::Shard(overwrite),
    },
    Scenario {
        name: "recovery",
        operation: "a record replayed from the log of a killed process",
        ops: 10_000,
        work: Work::Shard(recovery),
    },
    Scenario {
        name: "put_through",
        operation: "a durable put from another core",
        ops: 1_000,
        work: Work::Database(through::put),
    },
    Scenario {
        name: "get_through",
        operation: "a get from another core of a key that has no hot row",
        ops: 2_000,
        work: Work::Database(through::get),
    },
    Scenario {
        name: "get_row",
        operation: "a get of a hot row, which its caller reads by itself",
        ops: 4_000,
        work: Work::Database(through::get_row),
    },
    Scenario {
        name: "multi_get_across",
        operation: "a get of two keys on two shards",
        ops: 1_000,
        work: Work::Database(through::multi_get_across),
    },
    Scenario {
        name: "seek_across",
        operation: "the first 100 records of a scan, from two shards on other cores, all cached",
        ops: 200,
        work: Work::Database(through::seek_across),
    },
    Scenario {
        name: "batch_across",
        operation: "a durable batch of two puts on two shards",
        ops: 500,
        work: Work::Database(through::batch_across),
    },
];

pub(crate) const RECORDS: u64 = 10_000;
pub(crate) const VALUE_BYTES: usize = 100;

/// Nothing is flushed or merged by itself.
pub(crate) fn quiet() -> ShardOptions {
    ShardOptions {
        memtable_bytes: 64 << 20,
        caches_bytes: (16 << 20) + (4 << 20),
        cache_bytes: 16 << 20,
        rows_bytes: 4 << 20,
        warm: false,
        segment_bytes: 16 << 20,
        group_bytes: 64 << 10,
        table_bytes: 16 << 20,
        runs_max: 16,
        codec: Codec::Raw,
        last_level_codec: Codec::Raw,
        blob_bytes: None,
        tail_bytes: 256 << 10,
        idle_close_after: u64::MAX / 4,
    }
}

/// Scattered over the key space, never twice the same: the multiplier is odd.
pub(crate) fn key(number: u64) -> Vec<u8> {
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [b"key:".as_slice(), &scattered.to_be_bytes()].concat()
}

fn absent_key(number: u64) -> Vec<u8> {
    let mut key = key(number);
    key.push(b'?');
    key
}

pub(crate) fn value(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().repeat(VALUE_BYTES.div_ceil(8));
    bytes.truncate(VALUE_BYTES);
    bytes
}

fn put_of(number: u64, durability: Durability) -> Call {
    World::put(key(number), value(number), durability)
}

/// Visits every one of `of` places before any twice, in no order that a cache could like.
pub(crate) fn visit(step: u64, of: u64) -> u64 {
    step.wrapping_mul(7919) % of
}

fn get_of(key: Vec<u8>) -> Call {
    Call::Get {
        key,
        at: None,
        room: Vec::with_capacity(VALUE_BYTES),
    }
}

fn put(ops: u64, clocks: Clocks) -> World {
    // No segment is made meanwhile.
    let options = ShardOptions {
        segment_bytes: 64 << 20,
        ..quiet()
    };
    let mut world = World::new(options, clocks);
    world.prepare((0..100).map(|n| put_of(n, Durability::Sync)), 1);
    let calls = (100..100 + ops).map(|n| put_of(n, Durability::Sync));
    world.measure(calls.collect(), 1);
    world
}

fn put_shared(ops: u64, clocks: Clocks) -> World {
    let mut world = World::new(quiet(), clocks);
    world.prepare((0..1000).map(|n| put_of(n, Durability::Sync)), 1000);
    let calls = (1000..1000 + ops).map(|n| put_of(n, Durability::Sync));
    world.measure(calls.collect(), 1000);
    world
}

fn batch(ops: u64, clocks: Clocks) -> World {
    let mut world = World::new(quiet(), clocks);
    let batch = |n: u64| {
        let records = (n * 1000..(n + 1) * 1000).map(|n| (key(n), value(n)));
        World::batch(records, Durability::Sync)
    };
    world.prepare([batch(0)], 1);
    world.measure((1..=ops).map(batch).collect(), 1);
    world
}

fn get_memtable(ops: u64, clocks: Clocks) -> World {
    let mut world = World::new(quiet(), clocks);
    world.prepare((0..RECORDS).map(|n| put_of(n, Durability::Buffered)), 1000);
    // Behind it the log is owed nothing.
    world.prepare([put_of(0, Durability::Sync)], 1);
    let calls = (0..ops).map(|n| get_of(key(visit(n, RECORDS))));
    world.measure(calls.collect(), 1);
    world
}

/// All records in one run of tables.
fn settled(options: ShardOptions, clocks: Clocks) -> World {
    let mut world = World::new(options, clocks);
    world.prepare((0..RECORDS).map(|n| put_of(n, Durability::Buffered)), 1000);
    world.prepare([Call::Compact], 1);
    world
}

/// All records in one run of tables, and every block in memory.
fn warm(clocks: Clocks) -> World {
    let mut world = settled(quiet(), clocks);
    world.prepare((0..RECORDS).map(|n| get_of(key(n))), 1);
    world
}

fn get_hit(ops: u64, clocks: Clocks) -> World {
    let mut world = warm(clocks);
    let calls = (0..ops).map(|n| get_of(key(visit(n, RECORDS))));
    world.measure(calls.collect(), 1);
    world
}

fn get_cold(ops: u64, clocks: Clocks) -> World {
    let mut options = quiet();
    options.cache_bytes = 32 << 10;
    options.caches_bytes = options.cache_bytes + options.rows_bytes;
    // Blocks borrow as much.
    options.memtable_bytes = 32 << 10;
    let mut world = settled(options, clocks);
    let call = |n| get_of(key(visit(n, RECORDS)));
    world.prepare((0..1000).map(call), 1);
    world.measure((1000..1000 + ops).map(call).collect(), 1);
    world
}

fn get_miss(ops: u64, clocks: Clocks) -> World {
    let mut world = warm(clocks);
    let calls = (0..ops).map(|n| get_of(absent_key(visit(n, RECORDS))));
    world.measure(calls.collect(), 1);
    world
}

fn scan(ops: u64, clocks: Clocks) -> World {
    let mut world = warm(clocks);
    let record_bytes = key(0).len() + VALUE_BYTES;
    let version = world.version();
    let calls = (0..ops).map(|n| {
        Call::Scan(Box::new(ScanCall {
            from: from(&key(visit(n, RECORDS))),
            to: Bound::Unbounded,
            reverse: false,
            at: Moment { millis: 0, version },
            page_bytes: 100 * record_bytes,
            entries_max: usize::MAX,
            keys_only: false,
            room: ScanPage::default(),
        }))
    });
    world.measure(calls.collect(), 1);
    world
}

fn flush(ops: u64, clocks: Clocks) -> World {
    let mut world = World::new(quiet(), clocks);
    world.prepare((0..ops).map(|n| put_of(n, Durability::Buffered)), 1000);
    world.measure(vec![Call::Flush], 1);
    world
}

fn compaction(ops: u64, clocks: Clocks) -> World {
    let mut world = World::new(quiet(), clocks);
    for run in 0..4 {
        // Half of each run's keys are those of the run before.
        let first = run * ops / 8;
        let puts = (first..first + ops / 4).map(|n| put_of(n, Durability::Buffered));
        world.prepare(puts, 1000);
        world.prepare([Call::Flush], 1);
    }
    world.measure(vec![Call::Compact], 1);
    world
}

fn overwrite(ops: u64, clocks: Clocks) -> World {
    let options = ShardOptions {
        memtable_bytes: 256 << 10,
        caches_bytes: (1 << 20) + (256 << 10),
        cache_bytes: 1 << 20,
        rows_bytes: 256 << 10,
        warm: false,
        segment_bytes: 1 << 20,
        table_bytes: 1 << 20,
        runs_max: 4,
        ..quiet()
    };
    let mut world = World::new(options, clocks);
    let puts = |from: u64, to: u64| {
        (from..to).map(|n| World::put(key(visit(n, RECORDS)), value(n), Durability::Buffered))
    };
    world.prepare(puts(0, RECORDS), 100);
    world.measure(puts(RECORDS, RECORDS + ops).collect(), 100);
    world
}

fn recovery(ops: u64, clocks: Clocks) -> World {
    // Several segments, of which one is free.
    let options = ShardOptions {
        segment_bytes: 1 << 20,
        ..quiet()
    };
    let mut world = World::new(options, clocks);
    world.prepare((0..ops).map(|n| put_of(n, Durability::Sync)), 10);
    world.measure_recovery();
    world
}

//! What things cost, counted where the disk is simulated and every count is exact.

use ringkeep_io::SimulatedOptions;
use ringkeep_shard::{Call, Durability, Reply};

use crate::world::{World, tiny_options};

fn quiet_world() -> World {
    let mut options = tiny_options();
    options.segment_bytes = 1 << 20;
    options.memtable_bytes = 4 << 20;
    World::new(1, options, SimulatedOptions::default())
}

#[test]
fn one_callers_durable_put_costs_one_device_write_and_no_sync() {
    let mut world = quiet_world();
    for number in 0u32..100 {
        let before = world.disk.counters();
        let token = world.put(&number.to_be_bytes(), b"value", Durability::Sync);
        assert!(matches!(world.wait(token), Reply::Written(_)));
        let after = world.disk.counters();
        assert_eq!(after.writes - before.writes, 1);
        assert_eq!(after.durable_writes - before.durable_writes, 1);
        assert_eq!(after.syncs - before.syncs, 0);
        assert_eq!(after.write_bytes - before.write_bytes, 4096);
    }
    let stats = world.stats();
    assert_eq!(
        (stats.writes, stats.groups, stats.log_frames),
        (100, 100, 100)
    );
    assert_eq!((stats.log_durable_writes, stats.log_syncs), (100, 0));
}

#[test]
fn a_thousand_callers_share_a_few_groups() {
    let mut world = quiet_world();
    let tokens: Vec<u64> = (0u32..1000)
        .map(|number| world.put(&number.to_be_bytes(), &[7; 100], Durability::Sync))
        .collect();
    for token in tokens {
        assert!(matches!(world.wait(token), Reply::Written(_)));
    }
    let stats = world.stats();
    assert_eq!(stats.writes, 1000);
    assert!(stats.groups <= 9, "{} groups of up to 16 KiB", stats.groups);
}

#[test]
fn an_idle_shard_closes_its_log_once_and_then_does_nothing() {
    let mut world = quiet_world();
    let token = world.put(b"key", b"value", Durability::Sync);
    world.wait(token);
    world.run(1000);
    assert_eq!(world.stats().log_closing_frames, 1);
    let before = world.disk.counters();
    assert_eq!(world.shard().next_deadline(), None);
    world.run(1000);
    assert_eq!(world.disk.counters().writes, before.writes);
}

#[test]
fn buffered_writes_are_durable_after_idling_without_being_asked() {
    let mut world = quiet_world();
    let token = world.put(b"key", b"value", Durability::Buffered);
    world.wait(token);
    world.run(1000);
    world.lose_power(ringkeep_io::Crash::LoseAll);
    world.open().expect("opens");
    assert_eq!(world.get(b"key"), Ok(Some(b"value".to_vec())));
}

#[test]
fn a_present_key_costs_one_device_read_once_its_index_is_in_memory() {
    let mut options = tiny_options();
    options.memtable_bytes = 8 << 20;
    options.segment_bytes = 1 << 20;
    options.table_bytes = 8 << 20;
    options.cache_bytes = 256 << 10;
    options.caches_bytes = options.cache_bytes + options.rows_bytes;
    let mut world = World::new(2, options, SimulatedOptions::default());
    let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    for number in 0..20_000 {
        world.put(&key(number), &[1; 100], Durability::Buffered);
    }
    world.done(Call::Compact).expect("compacts");
    let warm = |world: &mut World, from: u64, to: u64| {
        let before = world.disk.counters().reads;
        for number in from..to {
            world.get(&key(number * 7919 % 20_000)).expect("a get");
        }
        world.disk.counters().reads - before
    };
    warm(&mut world, 0, 2000);
    let reads = warm(&mut world, 2000, 4000);
    assert!(reads <= 2100, "{reads} reads for 2000 present keys");
    let before = world.disk.counters().reads;
    for number in 0..2000u64 {
        assert_eq!(world.get(&(number * 3 + 1).to_be_bytes()), Ok(None));
    }
    let reads = world.disk.counters().reads - before;
    assert!(reads <= 60, "{reads} reads for 2000 absent keys");
}

#[test]
fn an_absent_key_costs_next_to_no_reads_however_many_runs_there_are() {
    let mut options = tiny_options();
    options.memtable_bytes = 8 << 20;
    options.segment_bytes = 1 << 20;
    options.table_bytes = 8 << 20;
    options.cache_bytes = 64 << 10;
    options.caches_bytes = options.cache_bytes + options.rows_bytes;
    options.runs_max = 8;
    let mut world = World::new(2, options, SimulatedOptions::default());
    let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    for number in 0..20_000 {
        world.put(&key(number), &[1; 100], Durability::Buffered);
    }
    world.done(Call::Compact).expect("compacts");
    for run in 1..4u64 {
        // Each too small beside the next to be merged with it.
        for number in 0..2_000 / 3u64.pow(run as u32) {
            world.put(&key(number * run), &[2; 100], Durability::Buffered);
        }
        world.done(Call::Flush).expect("flushes");
    }
    let runs = world.stats().runs;
    assert_eq!(runs, 4);
    let before = world.disk.counters().reads;
    for number in 0..4_000u64 {
        assert_eq!(world.get(&(number * 3 + 1).to_be_bytes()), Ok(None));
    }
    let reads = world.disk.counters().reads - before;
    assert!(
        reads <= 120,
        "{reads} reads for 4000 absent keys in {runs} runs"
    );
}

#[test]
fn a_load_that_never_syncs_recycles_its_log_all_the_same() {
    let mut options = tiny_options();
    options.memtable_bytes = 64 << 10;
    let mut world = World::new(4, options, SimulatedOptions::default());
    for number in 0..5_000u32 {
        let token = world.put(&number.to_be_bytes(), &[1; 500], Durability::Buffered);
        world.wait(token);
    }
    let stats = world.stats();
    assert!(stats.log_bytes > 2 << 20);
    assert!(stats.log_segments <= 12, "{} segments", stats.log_segments);
}

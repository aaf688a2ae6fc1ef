//! What is kept of the past is out of the way of who reads the present, counted where every read of the disk is.

use ringkeep_io::SimulatedOptions;
use ringkeep_shard::{Call, Durability, Moment, Pin, Reply};

use crate::world::{World, tiny_options};

const KEYS: u32 = 600;
const VERSIONS: u8 = 20;

/// Every key overwritten again and again, merged into one run, and nothing of it in memory. Of each version pinned or not.
fn world(pinned: bool) -> (World, Vec<Pin>) {
    let mut options = tiny_options();
    options.memtable_bytes = 1 << 20;
    options.table_bytes = 256 << 10;
    options.segment_bytes = 4 << 20;
    options.cache_bytes = 4 << 20;
    options.caches_bytes = options.cache_bytes + options.rows_bytes;
    let mut world = World::new(1, options, SimulatedOptions::default());
    let mut pins = Vec::new();
    for version in 0..VERSIONS {
        let tokens: Vec<_> = (0..KEYS)
            .map(|key| world.put(&key.to_be_bytes(), &value(version), Durability::Buffered))
            .collect();
        for token in tokens {
            world.wait(token);
        }
        let pin = world.pins.as_ref().expect("open").pin();
        pins.extend(Some(pin).filter(|_| pinned));
    }
    assert_eq!(world.done(Call::Compact), Ok(()));
    (world, pins)
}

fn value(version: u8) -> [u8; 200] {
    [version; 200]
}

/// Reads of the disk, and bytes of them.
fn reads(world: &mut World, act: impl FnOnce(&mut World)) -> (u64, u64) {
    let before = world.disk.counters();
    act(world);
    let after = world.disk.counters();
    (
        after.reads - before.reads,
        after.read_bytes - before.read_bytes,
    )
}

fn scan(world: &mut World, pin: &Pin, version: u8) {
    let found = world.scan(pin, false, 256 << 10).expect("a scan");
    assert_eq!(found.len(), KEYS as usize);
    assert!(found.values().all(|found| *found == value(version)));
}

fn get(world: &mut World, key: u32, at: Option<Moment>, version: u8) {
    let key = key.to_be_bytes().to_vec();
    let room = Vec::new();
    let token = world.call(Call::Get { key, at, room });
    let Reply::Value(got) = world.wait(token) else {
        panic!("no value");
    };
    assert_eq!(got.value, value(version));
}

#[test]
fn a_present_scan_reads_what_it_would_read_without_a_past() {
    let (mut without, _) = world(false);
    let (mut with, pins) = world(true);
    let stats = [with.stats(), without.stats()];
    assert!(
        stats[0].table_bytes > 15 * stats[1].table_bytes,
        "{stats:?}"
    );
    let present = |world: &mut World| {
        let pin = world.pins.as_ref().expect("open").pin();
        reads(world, |world| scan(world, &pin, VERSIONS - 1))
    };
    let (few, many) = (present(&mut without), present(&mut with));
    let of_index = 2 * stats[0].tables;
    assert!(
        many.1 <= few.1 + (of_index << 12),
        "{many:?}, {few:?} without a past"
    );
    for (version, pin) in pins.iter().enumerate() {
        scan(&mut with, pin, version as u8);
    }
}

#[test]
fn a_present_get_reads_no_past_and_a_past_get_one_block_more() {
    let (mut without, _) = world(false);
    let (mut with, pins) = world(true);
    let tables = with.stats().tables;
    let all = |world: &mut World, at: Option<Moment>, version: u8| {
        let before = world.disk.counters().reads;
        for key in 0..KEYS {
            get(world, key * 211 % KEYS, at, version);
        }
        world.disk.counters().reads - before
    };
    let few = all(&mut without, None, VERSIONS - 1);
    let many = all(&mut with, None, VERSIONS - 1);
    // A table has a partition and a block that is not full.
    assert!(many <= few + 2 * tables, "{many}, {few} without a past");
    let past = all(&mut with, Some(pins[3].moment()), 3);
    let blocks = u64::from(KEYS) + tables;
    assert!(
        past <= blocks,
        "{past} reads of the past in {tables} tables"
    );
    assert_eq!(
        all(&mut with, Some(pins[19].moment()), 19),
        0,
        "in the cache"
    );
}

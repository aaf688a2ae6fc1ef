//! When other threads may see a row without asking: with its answer and not before, and never beside a newer value.

use std::sync::Arc;

use ringkeep_io::{Doing, SimulatedOptions};
use ringkeep_shard::{Call, Durability, Moment, Op, Reply, Rows, ShardOptions, Version};
use xxhash_rust::xxh3::xxh3_64;

use crate::random::Random;
use crate::world::{World, tiny_options};

pub fn shown(rows: &Rows, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    rows.read(xxh3_64(key), key, &mut value).then_some(value)
}

/// A shard with one key whose value is `old`, and what others see of it.
fn world() -> (World, Arc<Rows>) {
    let mut world = World::new(1, tiny_options(), SimulatedOptions::default());
    let token = world.put(b"key", b"old", Durability::Sync);
    world.wait(token);
    // What was written is shown; what was found by opening is not.
    world.kill();
    world.open().expect("opens");
    let rows = world.shard().rows();
    assert_eq!(shown(&rows, b"key"), None, "nobody has asked for it");
    (world, rows)
}

fn get(at: Option<Version>) -> Call {
    let key = b"key".as_slice().into();
    Call::Get {
        key,
        at: at.map(|version| Moment { millis: 0, version }),
        room: Vec::new(),
    }
}

#[test]
fn a_row_is_shown_with_its_answer_and_not_before() {
    let (mut world, rows) = world();
    world.call(get(None));
    world.shard().turn();
    world.shard().letters();
    assert_eq!(shown(&rows, b"key"), None, "letters come first");
    world.shard().replies();
    assert_eq!(shown(&rows, b"key"), Some(b"old".to_vec()));
}

#[test]
fn a_row_stays_until_a_newer_value_is_visible_and_is_never_seen_beside_it() {
    let (mut world, rows) = world();
    world.get(b"key").expect("an answer");
    world.disk.stick_next(Doing::Write);
    let token = world.put(b"key", b"new", Durability::Sync);
    world.turn();
    let old = Some(b"old".to_vec());
    assert_eq!(shown(&rows, b"key"), old, "nobody can have seen another");
    assert_eq!(world.get(b"key"), Ok(old.clone()));
    assert_eq!(shown(&rows, b"key"), old);
    world.disk.unstick();
    for _ in 0..2 {
        world.io.park(None);
        world.io.turn();
        world.shard().turn();
    }
    assert_eq!(shown(&rows, b"key"), None, "visible, and not answered");
    world.wait(token);
    assert_eq!(shown(&rows, b"key"), Some(b"new".to_vec()));
}

#[test]
fn of_several_changes_in_one_group_the_last_one_is_shown() {
    let put = |key: &str, value: &str| Op::Put {
        key: key.into(),
        value: value.into(),
    };
    let delete = |key: &str| Op::Delete { key: key.into() };
    let (mut world, rows) = world();
    let twice = vec![put("key", "passed"), put("key", "left")];
    let removed = vec![put("gone", "passed"), delete("gone")];
    let back = vec![delete("back"), put("back", "left")];
    let calls = [twice, removed, back, vec![put("other", "passed")]]
        .map(|ops| world.write(ops, Durability::Sync));
    let last = world.write(vec![delete("other")], Durability::Sync);
    for token in calls.into_iter().chain([last]) {
        world.wait(token);
    }
    assert_eq!(shown(&rows, b"key").as_deref(), Some(&b"left"[..]));
    assert_eq!(shown(&rows, b"back").as_deref(), Some(&b"left"[..]));
    for key in ["gone", "other"] {
        assert_eq!(shown(&rows, key.as_bytes()), None, "{key}");
    }
}

#[test]
fn what_fits_is_read_in_at_opening_and_what_was_written_since_is_not_hidden_by_it() {
    let options = ShardOptions {
        caches_bytes: 256 << 10,
        rows_bytes: 256 << 10,
        warm: true,
        ..tiny_options()
    };
    let mut world = World::new(3, options, SimulatedOptions::default());
    let key = |number: u32| format!("key {number}");
    for number in 0..400 {
        // Among them rows that are too large to be any.
        let length = if number % 50 == 7 { 5000 } else { 20 };
        let value = vec![number as u8; length];
        let token = world.put(key(number).as_bytes(), &value, Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Compact).expect("compacts");
    world.kill();
    world.open().expect("opens");
    let token = world.put(key(399).as_bytes(), b"new", Durability::Sync);
    let rows = world.shard().rows();
    world.wait(token);
    while world.turn() {}
    world.run(200);
    let mut missing = 0;
    for number in 0..400 {
        let wanted = match number {
            399 => Some(b"new".to_vec()),
            _ if number % 50 == 7 => None,
            _ => Some(vec![number as u8; 20]),
        };
        let found = shown(&rows, key(number).as_bytes());
        assert!(found.is_none() || found == wanted, "{number}: {found:?}");
        missing += usize::from(found != wanted);
    }
    // Where too many hashes meet in one bucket, one gives way.
    assert!(missing <= 4, "{missing} of 400 are missing");
}

#[test]
fn an_answer_that_waits_to_be_shown_is_forgotten_when_its_key_is_written() {
    let (mut world, rows) = world();
    world.call(get(None));
    // It is visible in the very turn.
    world.put(b"key", b"new", Durability::Buffered);
    world.shard().turn();
    assert_eq!(shown(&rows, b"key"), None);
    world.shard().replies();
    assert_eq!(shown(&rows, b"key"), Some(b"new".to_vec()));
}

#[test]
fn a_read_of_the_past_shows_nothing_of_it() {
    let (mut world, rows) = world();
    let token = world.put(b"key", b"new", Durability::Sync);
    let Reply::Written(written) = world.wait(token) else {
        panic!("it was not written");
    };
    let token = world.call(get(Some(Version(written.version.0 - 1))));
    let Reply::Value(got) = world.wait(token) else {
        panic!("no value");
    };
    assert_eq!((got.found, &got.value[..]), (true, &b"old"[..]));
    assert_eq!(shown(&rows, b"key").as_deref(), Some(&b"new"[..]));
}

#[test]
fn what_is_written_is_shown_while_there_is_memory_that_nobody_uses() {
    let options = ShardOptions {
        memtable_bytes: 1 << 20,
        caches_bytes: 256 << 10,
        rows_bytes: 192 << 10,
        ..tiny_options()
    };
    let mut world = World::new(4, options, SimulatedOptions::default());
    let rows = world.shard().rows();
    let mut missing = 0;
    for number in 0..1500_u64 {
        let token = world.put(&number.to_be_bytes(), &[7; 40], Durability::Buffered);
        world.wait(token);
        missing += usize::from(shown(&rows, &number.to_be_bytes()).is_none());
    }
    let left = (0..1500_u64).filter(|number| shown(&rows, &number.to_be_bytes()).is_some());
    assert_eq!(missing, 0, "all came in");
    assert!(left.count() >= 1490, "and stayed");
}

/// Device reads of a scan over everything.
fn reads_of_a_scan(world: &mut World) -> u64 {
    let before = world.disk.counters().reads;
    world.all();
    world.disk.counters().reads - before
}

/// Of half a mebibyte, so many.
const ENTRIES: u64 = 3600;

fn half_a_mebibyte(warm: bool) -> World {
    let options = ShardOptions {
        memtable_bytes: 1 << 20,
        caches_bytes: 1 << 20,
        cache_bytes: 1 << 20,
        rows_bytes: 768 << 10,
        table_bytes: 1 << 20,
        warm,
        ..tiny_options()
    };
    let mut world = World::new(5, options, SimulatedOptions::default());
    for number in 0..ENTRIES {
        let token = world.put(&number.to_be_bytes(), &[7; 100], Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Compact).expect("compacts");
    world
}

#[test]
fn blocks_whose_rows_are_read_in_at_opening_are_there_for_scans() {
    for (warm, few) in [(false, false), (true, true)] {
        let mut world = half_a_mebibyte(warm);
        world.kill();
        world.open().expect("opens");
        world.run(2000);
        let before = world.disk.counters().read_bytes;
        world.all();
        let read = world.disk.counters().read_bytes - before;
        assert_eq!(read < 160 << 10, few, "{read} bytes");
    }
}

#[test]
fn the_blocks_that_rows_are_read_from_leave_them_the_memory_they_need() {
    let mut world = half_a_mebibyte(true);
    world.kill();
    world.open().expect("opens");
    world.run(2000);
    let rows = world.shard().rows();
    let missing = (0..ENTRIES).filter(|number| shown(&rows, &number.to_be_bytes()).is_none());
    // Where too many hashes meet in one bucket, one gives way.
    let missing = missing.count();
    assert!(missing <= 3, "{missing} of {ENTRIES} are missing");
}

#[test]
fn scans_take_the_memory_of_rows_that_nobody_asks_for() {
    // While they are written all rows are shown, and leave blocks a quarter.
    let mut world = half_a_mebibyte(false);
    let at_first = reads_of_a_scan(&mut world);
    for _ in 0..40 {
        world.all();
    }
    let reads = reads_of_a_scan(&mut world);
    assert_eq!(reads, 0, "after {at_first} at first");
}

#[test]
fn blocks_borrow_a_memtable_that_nobody_fills_and_give_it_back() {
    let options = ShardOptions {
        memtable_bytes: 512 << 10,
        caches_bytes: 128 << 10,
        cache_bytes: 128 << 10,
        rows_bytes: 0,
        warm: false,
        ..tiny_options()
    };
    let (own, memtable) = (options.cache_bytes, options.memtable_bytes);
    let mut world = World::new(5, options, SimulatedOptions::default());
    for number in 0..ENTRIES {
        let token = world.put(&number.to_be_bytes(), &[7; 100], Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Compact).expect("compacts");
    for _ in 0..8 {
        world.all();
    }
    // All of it fits.
    assert_eq!(reads_of_a_scan(&mut world), 0);
    let blocks = world.stats().cache_bytes as usize;
    assert!(blocks > 3 * own && blocks <= own + memtable, "{blocks}");
    let mut least = blocks;
    for number in 0..4 * ENTRIES {
        let token = world.put(&number.to_be_bytes(), &[8; 100], Durability::Buffered);
        world.wait(token);
        let stats = world.stats();
        let (blocks, filled) = (stats.cache_bytes as usize, stats.memtable_bytes as usize);
        // One that was just begun is asked back for with the next write.
        let taken = blocks + filled.clamp(memtable, 2 * memtable);
        assert!(
            taken <= own + 2 * memtable + (8 << 10),
            "{blocks} beside {filled}"
        );
        least = least.min(blocks);
    }
    assert!(least < blocks / 2, "there were always {least}");
    world.check("written beside borrowed memory");
}

/// How many rows readers do not find, of keys whose value is the given one.
fn missing(rows: &Rows, value: impl Fn(u64) -> Vec<u8>) -> usize {
    let is_missing = |number: &u64| match shown(rows, &number.to_be_bytes()) {
        Some(found) => {
            assert_eq!(found, value(*number), "{number}");
            false
        }
        None => true,
    };
    (0..ENTRIES).filter(is_missing).count()
}

fn put_of(number: u64, fill: u8) -> Op {
    Op::Put {
        key: number.to_be_bytes().into(),
        value: [fill; 100].into(),
    }
}

/// Overwrites everything in batches that are too large to be shown.
fn overwrite_in_bulk(world: &mut World, fill: u8) {
    let numbers: Vec<u64> = (0..ENTRIES).collect();
    for some in numbers.chunks(200) {
        let ops = some.iter().map(|number| put_of(*number, fill)).collect();
        let token = world.write(ops, Durability::Buffered);
        world.wait(token);
    }
}

#[test]
fn what_fits_and_was_overwritten_in_bulk_is_back_once_the_shard_rests() {
    for flushed in [false, true] {
        let mut world = half_a_mebibyte(true);
        for fill in 1..4 {
            overwrite_in_bulk(&mut world, fill);
            if flushed {
                world.done(Call::Compact).expect("compacts");
            }
        }
        let reads = world.disk.counters().reads;
        world.run(20_000);
        let rows = world.shard().rows();
        let missing = missing(&rows, |_| vec![3; 100]);
        assert!(missing <= 3, "{missing} of {ENTRIES} are missing");
        let reads = world.disk.counters().reads - reads;
        assert!(reads < 200, "{reads} reads, more than once over everything");
    }
}

#[test]
fn what_fits_stays_while_it_is_overwritten_again_and_again() {
    let mut world = half_a_mebibyte(true);
    world.run(20_000);
    let rows = world.shard().rows();
    let mut fills = vec![7_u8; ENTRIES as usize];
    let mut number = 1;
    for at in 0..5 * ENTRIES {
        // Half of the writes go to a hundred keys, and nobody reads anything.
        number = (number * 1103 + 12_345) % 1_000_003;
        let key = match at % 2 {
            0 => number % 100,
            _ => number % ENTRIES,
        };
        let fill = at as u8;
        fills[key as usize] = fill;
        let token = world.write(vec![put_of(key, fill)], Durability::Buffered);
        world.wait(token);
    }
    let missing = missing(&rows, |number| vec![fills[number as usize]; 100]);
    assert!(missing <= 3, "{missing} of {ENTRIES} are missing");
}

#[test]
fn what_a_walk_shows_is_never_older_than_what_was_acknowledged() {
    const KEYS: u64 = 600;
    let options = ShardOptions {
        memtable_bytes: 16 << 10,
        caches_bytes: 1 << 20,
        // Blocks come from the disk, so that a walk takes its time.
        cache_bytes: 8 << 10,
        rows_bytes: 768 << 10,
        warm: true,
        // So that walks begin between any two writes, and are in the middle of what comes next.
        idle_close_after: 1,
        ..tiny_options()
    };
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, options.clone(), SimulatedOptions::default());
        let (mut fill, mut found) = (0, 0);
        for _ in 0..400 {
            fill += 1;
            match random.below(8) {
                0 => {
                    let from = random.below(KEYS);
                    let some = from..KEYS.min(from + 60 + random.below(200));
                    let ops = some.map(|number| put_of(number, fill as u8)).collect();
                    world.write(ops, Durability::Buffered);
                }
                1 => {
                    let key = random.below(KEYS).to_be_bytes().into();
                    world.write(vec![Op::Delete { key }], Durability::Buffered);
                }
                2 if random.below(5) == 0 => {
                    let from = random.below(KEYS);
                    let (from, to) = (from.to_be_bytes(), (from + 20).to_be_bytes());
                    let range = Op::DeleteRange {
                        from: from.into(),
                        to: to.into(),
                    };
                    world.write(vec![range], Durability::Buffered);
                }
                3 if random.below(3) == 0 => {
                    world.call(Call::Flush);
                }
                2..5 => {
                    let put = put_of(random.below(KEYS), fill as u8);
                    world.write(vec![put], Durability::Sync);
                }
                5 => world.run(3),
                _ => {
                    world.turn();
                }
            }
            let rows = world.shard().rows();
            for _ in 0..20 {
                let key = random.below(KEYS).to_be_bytes();
                let row = shown(&rows, &key);
                if row.is_some() {
                    found += 1;
                    let possible = world.possible(&key);
                    assert!(possible.contains(&row), "seed {seed}: {key:?}");
                }
            }
        }
        assert!(found > 500, "seed {seed}: only {found} rows were found");
    }
}

#[test]
fn a_walk_shows_nothing_of_tables_that_others_lie_over_by_now() {
    let mut world = half_a_mebibyte(true);
    world.kill();
    world.open().expect("opens");
    world.disk.stick_next(Doing::Read);
    // The walk waits for the first block, and all that is in it is overwritten and flushed meanwhile.
    world.turn();
    let ops = (0..100).map(|number| put_of(number, 9)).collect();
    let token = world.write(ops, Durability::Sync);
    world.wait(token);
    world.done(Call::Flush).expect("flushes");
    world.disk.unstick();
    world.run(20_000);
    let rows = world.shard().rows();
    let missing = missing(&rows, |number| vec![if number < 100 { 9 } else { 7 }; 100]);
    assert!(missing <= 3, "{missing} of {ENTRIES} are missing");
}

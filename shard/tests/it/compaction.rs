//! What merging does to space, to the bytes written, and to reads while it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use ringkeep_io::{Crash, SimulatedOptions};
use ringkeep_shard::keyspace::Living;
use ringkeep_shard::{Call, Codec, Durability, Moment, Op, Reply, ShardOptions, Version};

use crate::world::{World, tiny_options};

const PRESENT: Moment = Moment {
    millis: 0,
    version: Version(u64::MAX),
};

const TABLE_BYTES: u64 = 32 << 10;
/// A table may overshoot by its index and filter.
const TABLE_BYTES_MOST: u64 = TABLE_BYTES + (16 << 10);

fn options() -> ShardOptions {
    ShardOptions {
        memtable_bytes: 64 << 10,
        table_bytes: TABLE_BYTES,
        runs_max: 8,
        segment_bytes: 256 << 10,
        caches_bytes: 256 << 10,
        cache_bytes: 256 << 10,
        rows_bytes: 0,
        warm: false,
        ..tiny_options()
    }
}

fn world(seed: u64) -> World {
    World::new(seed, options(), SimulatedOptions::default())
}

fn scattered(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn put(world: &mut World, key: &[u8], number: u64) {
    let mut value = [number as u8; 200];
    value[..8].copy_from_slice(&number.to_le_bytes());
    let token = world.put(key, &value, Durability::Buffered);
    assert!(matches!(world.wait(token), Reply::Written(_)));
}

fn delete(world: &mut World, key: &[u8]) {
    let delete = Op::Delete { key: key.into() };
    let token = world.write(vec![delete], Durability::Buffered);
    assert!(matches!(world.wait(token), Reply::Written(_)));
}

/// Bytes of all table files there are.
fn table_files(world: &World) -> u64 {
    let files = world.disk.files();
    let tables = files.iter().filter(|(path, _)| path.contains("table-"));
    tables.map(|(_, bytes)| bytes).sum()
}

/// Runs until nothing is left to merge.
fn settle(world: &mut World) {
    while world.stats().compaction_debt_bytes > 0 {
        world.run(100);
    }
}

#[test]
fn merging_everything_needs_room_for_a_few_tables_and_not_for_everything() {
    let mut world = world(1);
    for number in 0..10_000 {
        put(&mut world, &scattered(number % 5_000), number);
    }
    world.done(Call::Flush).expect("flushes");
    settle(&mut world);
    for number in 0..300 {
        put(&mut world, &scattered(number * 16), number);
    }
    world.done(Call::Flush).expect("flushes");
    let (before, runs) = (world.stats().table_bytes, world.stats().runs);
    assert!(before > 20 * TABLE_BYTES && runs > 1);
    let mut most = 0;
    world.call(Call::Compact);
    while world.stats().runs > 1 {
        world.run(1);
        most = most.max(table_files(&world));
    }
    let room = most - before;
    let allowed = (runs + 2) * TABLE_BYTES_MOST;
    assert!(
        room <= allowed,
        "{room} bytes more on the way, {allowed} allowed"
    );
    world.check("after merging everything");
}

#[test]
fn overwrites_take_bounded_space_and_write_each_byte_a_few_times() {
    let options = ShardOptions {
        memtable_bytes: 256 << 10,
        table_bytes: 128 << 10,
        segment_bytes: 1 << 20,
        // A writer that waits for the device, or merges would be behind all the time.
        tail_bytes: 0,
        ..options()
    };
    let mut world = World::new(2, options, SimulatedOptions::default());
    let keys = 10_000;
    for number in 0..keys {
        put(&mut world, &scattered(number), number);
    }
    world.done(Call::Compact).expect("compacts");
    let before = world.stats();
    let live = before.table_bytes;
    let mut most = 0;
    for number in 0..10 * keys {
        put(&mut world, &scattered(number * 7919 % keys), number);
        if number % 16 == 0 {
            most = most.max(table_files(&world));
        }
    }
    // What is above the last level, and as much again coming while that is merged into it, and pieces.
    let allowed = live * 2 + 8 * (128 << 10);
    assert!(most <= allowed, "{most} bytes of tables for {live} of data");
    let after = world.stats();
    let written = |stats: &ringkeep_shard::ShardStats| stats.flush_bytes + stats.compaction_bytes;
    let tables = written(&after) - written(&before);
    let amplification = tables as f64 / (after.user_bytes - before.user_bytes) as f64;
    println!(
        "{amplification:.2} written, {:.2} space",
        most as f64 / live as f64
    );
    assert!(
        amplification <= 7.0,
        "each byte is written {amplification} times"
    );
    assert!(after.runs <= 10, "{} runs", after.runs);
    world.check("after overwrites");
}

/// A hundred writes wait at any time, so only what the shard admits bounds runs and space. The clock is the
/// simulated disk's: the longest time without an answer is as exact as any count.
#[test]
fn writers_faster_than_merges_are_slowed_and_never_stopped() {
    let options = ShardOptions {
        memtable_bytes: 128 << 10,
        runs_max: 4,
        segment_bytes: 1 << 20,
        ..options()
    };
    let mut world = World::new(7, options.clone(), SimulatedOptions::default());
    let keys = 10_000u64;
    for number in 0..keys {
        put(&mut world, &scattered(number), number);
    }
    world.done(Call::Compact).expect("compacts");
    let live = world.stats().table_bytes;
    let (mut runs, mut bytes, mut waited, mut answered) = (0, 0, 0, world.io.now());
    let mut tokens = std::collections::VecDeque::new();
    for number in 0..6 * keys {
        let key = scattered(number * 7919 % keys);
        tokens.push_back(world.put(&key, &[number as u8; 200], Durability::Buffered));
        if tokens.len() < 100 {
            continue;
        }
        let oldest = tokens.pop_front().expect("a hundred");
        assert!(matches!(world.wait(oldest), Reply::Written(_)));
        waited = waited.max(world.io.now() - answered);
        answered = world.io.now();
        if number % 16 == 0 {
            runs = runs.max(world.stats().runs);
            bytes = bytes.max(table_files(&world));
        }
    }
    let space = bytes as f64 / live as f64;
    println!("{runs} runs, {space:.2} space, {waited} ns without an answer");
    assert!(runs <= 2 * (options.runs_max as u64 + 3), "{runs} runs");
    assert!(space <= 2.5, "{space} times the data");
    assert!(waited <= 20_000_000, "no answer for {waited} ns");
    world.check("after more than it could take");
}

#[test]
fn keys_in_order_are_not_merged_over_and_over() {
    let mut world = world(3);
    for number in 0..20_000u64 {
        put(&mut world, &number.to_be_bytes(), number);
    }
    world.done(Call::Flush).expect("flushes");
    settle(&mut world);
    let stats = world.stats();
    assert!(
        stats.tables_moved > 20,
        "{} tables moved",
        stats.tables_moved
    );
    assert_eq!(stats.compaction_bytes, 0, "nothing is written twice");
    world.check("after keys in order");
}

#[test]
fn deleting_most_of_the_data_gives_its_space_back_unasked() {
    let mut world = world(4);
    // Some keys are stored as those of keyspaces are, of which all is kept while nobody knows their windows.
    let pins = world.pins.as_ref().expect("open");
    pins.set_living(Living::default());
    for number in 0..4_000 {
        put(&mut world, &scattered(number), number);
    }
    world.done(Call::Compact).expect("compacts");
    let full = world.stats().table_bytes;
    for number in 0..3_800 {
        delete(&mut world, &scattered(number));
    }
    world.done(Call::Flush).expect("flushes");
    settle(&mut world);
    world.run(100);
    let stats = world.stats();
    let left = stats.table_bytes;
    assert!(
        left <= full / 2,
        "{left} of {full} bytes left, {} tombstones",
        stats.tombstones
    );
    world.done(Call::Compact).expect("compacts");
    let stats = world.stats();
    assert_eq!((stats.tombstones, stats.table_entries), (0, 200));
    world.check("after deletions");
}

#[test]
fn a_merge_cut_off_goes_on_where_it_was() {
    for power_cut in [false, true] {
        let mut world = world(5);
        for number in 0..8_000 {
            put(&mut world, &scattered(number % 4_000), number);
        }
        world.done(Call::Flush).expect("flushes");
        settle(&mut world);
        for number in 0..4_000 {
            put(&mut world, &scattered(number), number);
        }
        world.done(Call::Flush).expect("flushes");
        let all = world.stats().table_bytes;
        world.call(Call::Compact);
        while world.stats().compaction_pieces < 20 {
            world.run(1);
        }
        match power_cut {
            true => world.lose_power(Crash::Random),
            false => world.kill(),
        }
        world.open().expect("opens");
        world.check("in the middle of a merge");
        settle(&mut world);
        let stats = world.stats();
        assert!(
            stats.compaction_bytes < all * 3 / 4,
            "{stats:?}, {all} in all"
        );
        world.check("after the merge");
    }
}

#[test]
fn reads_are_right_at_every_step_of_a_merge() {
    let mut world = world(6);
    for number in 0..9_000 {
        put(&mut world, &scattered(number * 31 % 3_000), number);
        if number % 7 == 0 {
            delete(&mut world, &scattered(number % 3_000));
        }
    }
    world.done(Call::Flush).expect("flushes");
    settle(&mut world);
    for number in 0..300 {
        put(&mut world, &scattered(number * 10), number);
    }
    world.done(Call::Flush).expect("flushes");
    let model: BTreeMap<Vec<u8>, Vec<u8>> = (0..3_000)
        .map(|number| scattered(number).to_vec())
        .filter_map(|key| Some((key.clone(), world.possible(&key).pop()??)))
        .collect();
    let all = world.call(Call::Compact);
    let (mut steps, mut pieces) = (0, BTreeSet::new());
    while world.stats().runs > 1 {
        pieces.insert(world.stats().compaction_pieces);
        let key = scattered(steps * 37 % 3_000);
        assert_eq!(world.get(&key), Ok(model.get(&key[..]).cloned()));
        for reverse in [false, true] {
            let (from, to) = match reverse {
                false => (Included(key.into()), Unbounded),
                true => (Unbounded, Excluded(key.into())),
            };
            let page = world.scan_page(from, to, reverse, PRESENT, 900);
            let found = page.expect("a page");
            let above = model.range(key.to_vec()..);
            let below = model.range(..key.to_vec()).rev();
            let expected: Vec<_> = match reverse {
                false => above.take(found.len()).collect(),
                true => below.take(found.len()).collect(),
            };
            let expected = expected.iter().map(|(key, value)| (&key[..], &value[..]));
            assert!(found.iter().eq(expected));
        }
        steps += 1;
    }
    assert!(pieces.len() > 5, "looked at {pieces:?}");
    world.wait(all);
}

#[test]
fn rows_of_like_fields_take_half_the_space_with_lz4_and_a_third_with_zstandard() {
    let bytes = |codec| {
        let options = ShardOptions {
            last_level_codec: codec,
            codec,
            table_bytes: 1 << 20,
            ..options()
        };
        let mut world = World::new(8, options, SimulatedOptions::default());
        for number in 0..10_000u64 {
            let scattered = u64::from_be_bytes(scattered(number));
            let row = format!(
                "{{\"id\":{number},\"name\":\"user {}\",\"city\":\"{}\",\"balance\":{},\"active\":{}}}",
                scattered % 100_000,
                ["Lisbon", "Osaka", "Quito", "Tartu"][(scattered >> 20) as usize % 4],
                scattered >> 40,
                scattered.is_multiple_of(3),
            );
            let token = world.put(&number.to_be_bytes(), row.as_bytes(), Durability::Buffered);
            world.wait(token);
        }
        world.done(Call::Compact).expect("compacts");
        world.check("compressed");
        world.stats().table_bytes as f64
    };
    let raw = bytes(Codec::Raw);
    let (lz4, zstd) = (raw / bytes(Codec::Lz4), raw / bytes(Codec::Zstd));
    println!("{lz4:.2} with LZ4, {zstd:.2} with Zstandard");
    assert!(
        lz4 >= 1.7 && zstd >= 2.5,
        "{lz4} with LZ4, {zstd} with Zstandard"
    );
}

/// Readers of a whole shard hold tables for long. When one had held the inputs of the last merge there was, their
/// files stayed for as long as nothing else was merged: twice the space, in a database at rest.
#[test]
fn tables_that_were_read_while_they_were_merged_go_when_the_read_ends() {
    let mut world = world(11);
    world.open().unwrap();
    for number in 0..3000 {
        put(&mut world, &scattered(number % 700), number);
    }
    world.done(Call::Flush).unwrap();
    let bytes_per_second = 1 << 20;
    let reading = world.call(Call::Verify { bytes_per_second });
    world.done(Call::Compact).unwrap();
    let merged = world.stats().table_bytes;
    assert!(table_files(&world) > merged, "nothing was held");
    assert!(matches!(world.wait(reading), Reply::Verified(_)));
    world.run(1_000_000);
    assert_eq!(table_files(&world), world.stats().table_bytes);
}

/// Two runs at rest: nothing is to be merged.
fn two_runs(world: &mut World) {
    for number in 0..10_000 {
        put(world, &scattered(number % 5_000), number);
    }
    world.done(Call::Compact).expect("compacts");
    for number in 0..100 {
        put(world, &scattered(number * 16), number);
    }
    world.done(Call::Flush).expect("flushes");
    world.run(10_000);
    let stats = world.stats();
    assert_eq!((stats.runs, stats.compaction_debt_bytes), (2, 0));
}

/// Scans everything until scans have paid for a merge, and lets that end. How often.
fn scan_until_merged(world: &mut World, most: u64) -> u64 {
    let all = world.all();
    let times = (2..most).find(|_| {
        assert_eq!(world.all(), all);
        world.stats().compactions_for_scans > 0
    });
    world.run(100_000);
    assert_eq!(world.all(), all);
    times.unwrap_or(most)
}

#[test]
fn what_is_scanned_again_and_again_becomes_one_run_and_stays_it() {
    let mut world = world(12);
    two_runs(&mut world);
    let before = world.stats();
    let times = scan_until_merged(&mut world, 1000);
    let after = world.stats();
    assert_eq!((after.runs, after.compactions_for_scans), (1, 1));
    // A page pays for its seek and its entries.
    let paid = after.scan_pages - before.scan_pages;
    assert!(
        times > 5 && paid * 256 < 2 * before.table_bytes,
        "{times} times, {paid} pages"
    );
    let written = after.compaction_bytes;
    assert!(written > before.compaction_bytes);
    for _ in 0..2 * times {
        world.all();
    }
    assert_eq!(world.stats().compaction_bytes, written);
    world.check("after a merge for scans");
}

/// It would be the merge, which nobody needs, that fills the disk and stops writes.
#[test]
fn nothing_is_merged_for_scans_where_the_disk_has_no_room_for_it() {
    let mut world = world(13);
    two_runs(&mut world);
    let used: u64 = world.disk.files().iter().map(|(_, bytes)| bytes).sum();
    let almost = world.stats().table_bytes - 1;
    world.disk.set_capacity_bytes(used + almost);
    assert_eq!(scan_until_merged(&mut world, 60), 60);
    assert_eq!((world.stats().runs, world.stats().shards_full), (2, 0));
    world.disk.set_capacity_bytes(u64::MAX);
    assert!(scan_until_merged(&mut world, 60) < 60);
    assert_eq!(world.stats().runs, 1);
}

/// Scans had paid, and then nobody did; a writer went on, whose runs were merged no more, since the merge for scans waited for pay.
#[test]
fn a_merge_for_scans_holds_up_no_other_when_scans_stop_paying() {
    // All of it is one piece, as long as twenty memtables.
    let options = ShardOptions {
        table_bytes: 4 << 20,
        ..options()
    };
    let mut world = World::new(14, options, SimulatedOptions::default());
    two_runs(&mut world);
    while world.stats().compactions_for_scans == 0 {
        world.all();
    }
    let mut most = 0;
    for number in 0..20_000 {
        put(&mut world, &scattered(number % 5_000), number);
        if number % 64 == 0 {
            most = most.max(world.stats().runs);
        }
    }
    assert!(most < 40, "{most} runs");
}

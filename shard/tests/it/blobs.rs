//! Large values in files of their own: how often they are written and read, and that what nobody needs goes.

use std::ops::Bound;

use ringkeep_io::{Crash, SimulatedOptions};
use ringkeep_shard::{Call, Codec, Durability, Error, Op, Reply, ScanCall, ScanPage, ShardOptions};

use crate::world::{World, tiny_options};

const VALUE: usize = 64 << 10;
const KEYS: u64 = 32;

fn options(blob_bytes: Option<usize>) -> ShardOptions {
    ShardOptions {
        memtable_bytes: 1 << 20,
        table_bytes: 1 << 20,
        segment_bytes: 2 << 20,
        group_bytes: 256 << 10,
        cache_bytes: 64 << 10,
        caches_bytes: 64 << 10,
        rows_bytes: 0,
        warm: false,
        blob_bytes,
        ..tiny_options()
    }
}

fn world(blob_bytes: Option<usize>) -> World {
    World::new(3, options(blob_bytes), SimulatedOptions::default())
}

fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn value(number: u64, round: u64) -> Vec<u8> {
    let mut word = number << 32 | round;
    let mut value = Vec::with_capacity(VALUE);
    while value.len() < VALUE {
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        value.extend_from_slice(&(word ^ word >> 29).to_le_bytes());
    }
    value
}

fn put(world: &mut World, number: u64, round: u64) {
    let token = world.put(&key(number), &value(number, round), Durability::Buffered);
    assert!(matches!(world.wait(token), Reply::Written(_)));
}

/// Files whose name begins so: how many, and their bytes.
fn files(world: &World, start: &str) -> (u64, u64) {
    let files = world.disk.files().into_iter();
    let named = files.filter(|(path, _)| path.contains(start));
    named.fold((0, 0), |(count, sum), (_, bytes)| (count + 1, sum + bytes))
}

/// What the device wrote for each byte that callers did, over many rounds of overwriting everything.
fn write_amplification(blob_bytes: Option<usize>) -> f64 {
    let mut world = world(blob_bytes);
    let begun = world.disk.counters().write_bytes;
    let rounds = 40;
    for round in 0..rounds {
        for number in 0..KEYS {
            put(&mut world, (number * 7 + round) % KEYS, round);
        }
    }
    world.done(Call::Flush).expect("flushes");
    world.run(100_000);
    let written = world.disk.counters().write_bytes - begun;
    written as f64 / (rounds * KEYS * VALUE as u64) as f64
}

#[test]
fn a_large_value_is_written_to_the_log_and_once_more() {
    let (with, without) = (write_amplification(Some(4096)), write_amplification(None));
    println!("{with:.2} times with blob files, {without:.2} times without");
    assert!(with < 2.4, "{with:.2} times");
    assert!(without > 1.3 * with, "{without:.2} times without");
}

#[test]
fn what_is_dead_is_collected_and_takes_no_more_than_what_lives() {
    let mut world = world(Some(4096));
    for round in 0..20 {
        for number in 0..KEYS {
            // One in four stays as it was at first, in whatever file that is.
            if round == 0 || number % 4 > 0 {
                put(&mut world, number, round);
            }
        }
    }
    world.done(Call::Flush).expect("flushes");
    world.run(100_000);
    let stats = world.stats();
    assert!(
        stats.blob_dead_bytes <= stats.blob_bytes / 2 + stats.table_bytes,
        "{stats:?}"
    );
    assert_eq!(files(&world, "blob-"), (stats.blob_files, stats.blob_bytes));

    world.done(Call::Compact).expect("compacts");
    world.run(100_000);
    let stats = world.stats();
    assert_eq!(stats.blob_dead_bytes, 0);
    assert_eq!(stats.blob_bytes, KEYS * VALUE as u64);
    let sizes = world.disk.files().into_iter();
    let mut blobs = sizes.filter(|(path, _)| path.contains("blob-"));
    let most = world.options.table_bytes + VALUE as u64;
    assert!(blobs.all(|(_, bytes)| bytes <= most), "files end in time");
    assert_eq!(files(&world, "blob-"), (stats.blob_files, stats.blob_bytes));
    let before = world.disk.counters().write_bytes;
    world.done(Call::Compact).expect("compacts");
    let written = world.disk.counters().write_bytes - before;
    assert!(written < VALUE as u64, "{written} bytes for what is clean");
    world.check("all of it is there");

    for number in 0..KEYS {
        let delete = Op::Delete {
            key: key(number).into(),
        };
        let token = world.write(vec![delete], Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Compact).expect("compacts");
    world.run(100_000);
    assert_eq!(files(&world, "blob-"), (0, 0));
    assert_eq!(world.stats().blob_files, 0);
}

#[test]
fn what_is_left_of_many_files_is_collected_unasked() {
    let mut world = world(Some(4096));
    // Of each flush one value stays, and the next one overwrites the others.
    for round in 0..40 {
        put(&mut world, 1000 + round, 0);
        for number in 0..15 {
            put(&mut world, number, round);
        }
        world.done(Call::Flush).expect("flushes");
    }
    world.run(100_000);
    let stats = world.stats();
    assert!(
        stats.blob_dead_bytes <= stats.blob_bytes / 2 + stats.table_bytes,
        "{stats:?}"
    );
    let user_bytes = 40 * 16 * VALUE as u64;
    assert!(stats.blob_written_bytes > user_bytes, "some were collected");
    assert!(stats.blob_written_bytes < user_bytes * 3 / 2, "{stats:?}");
    assert_eq!(files(&world, "blob-"), (stats.blob_files, stats.blob_bytes));
    world.check("what was collected");
}

#[test]
fn merges_pass_references_on() {
    let mut world = world(Some(4096));
    for number in 0..8 * KEYS {
        put(&mut world, number, 0);
    }
    world.done(Call::Flush).expect("flushes");
    let written = world.stats().blob_written_bytes;
    assert_eq!(written, 8 * KEYS * VALUE as u64);
    world.done(Call::Compact).expect("compacts");
    let stats = world.stats();
    assert_eq!((stats.blob_written_bytes, stats.runs), (written, 1));
    assert!(stats.table_bytes < 64 << 10, "{stats:?}");
    world.check("references that were passed on");
}

#[test]
fn a_large_value_costs_one_read_beside_those_that_lead_to_it() {
    let mut world = world(Some(4096));
    for number in 0..KEYS {
        put(&mut world, number, 0);
    }
    world.done(Call::Compact).expect("compacts");
    let reads = |world: &mut World, number| {
        let before = world.disk.counters().reads;
        let found = world.get(&key(number)).expect("a get");
        assert_eq!(found, Some(value(number, 0)));
        world.disk.counters().reads - before
    };
    world.kill();
    world.open().expect("opens");
    // A partition of the index, a block, the value.
    assert_eq!(reads(&mut world, 1), 3);
    for number in 2..KEYS {
        assert_eq!(reads(&mut world, number), 1, "the block is in memory");
    }
    assert_eq!(world.get(&key(KEYS + 1)), Ok(None));
}

#[test]
fn a_scan_of_keys_reads_no_values_and_pages_end_by_what_they_hold() {
    let mut world = world(Some(4096));
    for number in 0..KEYS {
        put(&mut world, number, 0);
    }
    world.done(Call::Compact).expect("compacts");
    let pin = world.pins.as_ref().expect("open").pin();
    let before = world.disk.counters().read_bytes;
    let token = world.call(Call::Scan(Box::new(ScanCall {
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        reverse: false,
        at: pin.moment(),
        page_bytes: 3 * VALUE,
        entries_max: usize::MAX,
        keys_only: true,
        room: ScanPage::default(),
    })));
    assert!(matches!(world.wait(token), Reply::Page(page) if page.len() as u64 == KEYS));
    let read = world.disk.counters().read_bytes - before;
    assert!(read < VALUE as u64, "{read} bytes");
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    let page = world.scan_page(from, to, false, pin.moment(), 3 * VALUE);
    assert_eq!(page.map(|page| page.len()), Ok(3));
    let all = world.scan(&pin, true, 3 * VALUE).expect("a scan");
    assert_eq!(all.len() as u64, KEYS);
    assert!(all.iter().all(|(_, value)| value.len() == VALUE));
}

#[test]
fn what_a_snapshot_sees_stays_until_it_is_gone() {
    let mut world = world(Some(4096));
    put(&mut world, 1, 0);
    world.done(Call::Flush).expect("flushes");
    let pin = world.pins.as_ref().expect("open").pin();
    for round in 1..30 {
        put(&mut world, 1, round);
        world.done(Call::Flush).expect("flushes");
    }
    world.done(Call::Compact).expect("compacts");
    let all = world.scan(&pin, false, VALUE).expect("a scan");
    assert_eq!(all.values().collect::<Vec<_>>(), [&value(1, 0)]);
    // And the newest one.
    assert_eq!(files(&world, "blob-").1, 2 * VALUE as u64);
    drop(pin);
    world.done(Call::Compact).expect("compacts");
    world.run(100_000);
    assert_eq!(files(&world, "blob-"), (1, VALUE as u64));
}

#[test]
fn a_flipped_bit_is_told_with_its_place_and_costs_that_value_alone() {
    let mut world = world(Some(4096));
    for number in 0..8 {
        put(&mut world, number, 0);
    }
    world.done(Call::Compact).expect("compacts");
    let files = world.disk.files().into_iter();
    let mut files = files.filter(|(path, _)| path.contains("blob-"));
    let (path, _) = files.next().expect("a blob file");
    world.disk.flip_bit(&path, VALUE as u64 + 77, 3);
    let mut damaged = 0;
    for number in 0..8 {
        match world.get(&key(number)) {
            Ok(found) => assert_eq!(found, Some(value(number, 0))),
            Err(Error::Corrupt { file, offset, .. }) => {
                assert!(path.ends_with(&file), "{file}");
                assert_eq!(offset, VALUE as u64);
                damaged += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(damaged, 1);
}

#[test]
fn values_are_compressed_as_their_blocks_would_be() {
    let options = ShardOptions {
        last_level_codec: Codec::Lz4,
        codec: Codec::Lz4,
        ..options(Some(4096))
    };
    let mut world = World::new(4, options, SimulatedOptions::default());
    let value = vec![7; VALUE];
    for number in 0..KEYS {
        let token = world.put(&key(number), &value, Durability::Buffered);
        world.wait(token);
    }
    world.done(Call::Flush).expect("flushes");
    assert_eq!(world.stats().blob_bytes, KEYS * 4096);
    world.check("compressed values");
    world.lose_power(Crash::KeepAll);
    world.open().expect("opens");
    world.check("compressed values after an opening");
}

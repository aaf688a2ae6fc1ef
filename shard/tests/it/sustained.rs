//! Overwriting without a pause, four times as much data as memory, on a device that moves only so many bytes a
//! second: what the shard itself does to its writers and to space, with none of a machine's moods. All times are the
//! simulated disk's, so they are as exact as any count.

use std::collections::VecDeque;

use ringkeep_io::{Latency, SimulatedOptions};
use ringkeep_shard::{Call, Durability, Pin, Reply, ShardOptions};

use crate::world::{World, tiny_options};

const SECOND: u64 = 1_000_000_000;
const MEMORY: usize = 1 << 20;
const BYTES_PER_SECOND: u64 = 20 << 20;
const VALUE: usize = 100;
/// With keys of 16 bytes.
const KEYS: u64 = 4 * MEMORY as u64 / (16 + VALUE as u64);
const IN_FLIGHT: usize = 64;
/// Until memtables and runs are as full as they will be.
const WARM_SECONDS: usize = 4;

/// What writers saw, second by second.
#[derive(Default)]
struct Seen {
    puts: Vec<u64>,
    /// Bytes of all files.
    space: Vec<u64>,
    slowest_put: u64,
}

fn key(number: u64) -> Vec<u8> {
    let hashed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [hashed.to_be_bytes(), number.to_be_bytes()].concat()
}

fn world() -> World {
    let options = ShardOptions {
        table_bytes: 256 << 10,
        segment_bytes: 1 << 20,
        idle_close_after: tiny_options().idle_close_after,
        ..ShardOptions::for_budget(MEMORY)
    };
    let disk = SimulatedOptions {
        latency: Latency {
            least: 60_000,
            most: 100_000,
            tail_probability: 0.0,
            tail_factor: 1,
        },
        bytes_per_second: Some(BYTES_PER_SECOND),
        ..SimulatedOptions::default()
    };
    let mut world = World::new(1, options, disk);
    for number in 0..KEYS {
        let token = world.put(&key(number), &[1; VALUE], Durability::Buffered);
        assert!(matches!(world.wait(token), Reply::Written(_)));
    }
    world.done(Call::Compact).expect("compacts");
    world
}

fn overwrite(world: &mut World, seconds: usize) -> Seen {
    let mut seen = Seen::default();
    let mut flying = VecDeque::new();
    let begun = world.io.now();
    for number in 0u64.. {
        let key = key(number.wrapping_mul(7919) % KEYS);
        let token = world.put(&key, &[number as u8; VALUE], Durability::Buffered);
        flying.push_back((token, world.io.now()));
        if flying.len() < IN_FLIGHT {
            continue;
        }
        let (token, asked) = flying.pop_front().expect("many");
        assert!(matches!(world.wait(token), Reply::Written(_)));
        seen.slowest_put = seen.slowest_put.max(world.io.now() - asked);
        let second = ((world.io.now() - begun) / SECOND) as usize;
        while seen.puts.len() <= second {
            let files = world.disk.files();
            seen.space.push(files.iter().map(|(_, bytes)| bytes).sum());
            seen.puts.push(0);
        }
        if second == seconds {
            break;
        }
        seen.puts[second] += 1;
    }
    seen.puts.pop();
    let settled = &seen.puts[WARM_SECONDS..];
    let mean = settled.iter().sum::<u64>() as f64 / settled.len() as f64;
    let slowest = *settled.iter().min().expect("seconds") as f64 / mean;
    let data = KEYS * (16 + VALUE as u64);
    println!(
        "{mean:.0} puts a second, {slowest:.2} of it in the slowest, {} us for the slowest put, {:.2} times the data on disk",
        seen.slowest_put / 1000,
        *seen.space.iter().max().expect("seconds") as f64 / data as f64
    );
    println!("by second: {:?}, on disk {:?}", seen.puts, seen.space);
    seen
}

/// No put waits for longer than the device takes for the writes that may be ahead of it.
fn slowest_allowed() -> u64 {
    (3 << 20) * SECOND / BYTES_PER_SECOND
}

#[test]
fn writers_get_on_evenly_and_space_is_bounded() {
    let mut world = world();
    let seen = overwrite(&mut world, 10);
    let settled = &seen.puts[WARM_SECONDS..];
    let mean = settled.iter().sum::<u64>() / settled.len() as u64;
    let slowest = *settled.iter().min().expect("seconds");
    assert!(
        slowest * 10 >= mean * 7,
        "{slowest} puts, {mean} on average"
    );
    assert!(
        seen.slowest_put <= slowest_allowed(),
        "{} ns",
        seen.slowest_put
    );
    let data = KEYS * (16 + VALUE as u64);
    let most = *seen.space.iter().max().expect("seconds");
    assert!(most <= 3 * data, "{most} bytes on disk for {data} of data");
    world.check("after overwriting");
}

/// What came and went between a snapshot and the present is nobody's: it kept every version once, for as long as
/// anything was pinned.
#[test]
fn a_snapshot_held_open_keeps_what_it_sees_and_no_more() {
    let mut world = world();
    let snapshot: Pin = world.pins.as_ref().expect("open").pin();
    let before = world.scan(&snapshot, false, 64 << 10).expect("readable");
    let seen = overwrite(&mut world, 16);
    let data = KEYS * (16 + VALUE as u64);
    let most = *seen.space.iter().max().expect("seconds");
    assert!(most <= 5 * data, "{most} bytes on disk for {data} of data");
    assert!(
        seen.slowest_put <= slowest_allowed(),
        "{} ns",
        seen.slowest_put
    );
    let after = world.scan(&snapshot, false, 64 << 10).expect("readable");
    assert!(before == after, "the snapshot has changed");
    world.check("after overwriting under a snapshot");
}

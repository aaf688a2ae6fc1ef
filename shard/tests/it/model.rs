//! Random operations, crashes and reopenings against an ordered map.

use ringkeep_io::{Backend, Crash, IoOptions, SimulatedOptions};
use ringkeep_shard::{Call, Codec, Durability, Op, ShardOptions};

use crate::random::Random;
use crate::world::{World, tiny_options};

/// More: `RINGKEEP_SEEDS=100000 cargo test -p ringkeep-shard --test it model::simulated`. One:
/// `RINGKEEP_SEED=7`.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    let read = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    match read("RINGKEEP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..read("RINGKEEP_SEEDS").unwrap_or(usual),
    }
}

/// A value that tells key, number and length, with every byte depending on them.
fn value(key: &[u8], number: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(number ^ (key.len() as u64) << 32 ^ u64::from(key[0]));
    (0..length).map(|_| random.next() as u8).collect()
}

fn random_ops(random: &mut Random, number: u64) -> Vec<Op> {
    let count = if random.chance(150) {
        1 + random.below(12)
    } else {
        1
    };
    (0..count)
        .map(|_| {
            let key = format!("key{:03}", random.below(120)).into_bytes();
            if random.chance(200) {
                return Op::Delete { key };
            }
            if random.chance(40) {
                let to = random.below(121);
                let to = format!("key{to:03}").into_bytes();
                let (from, to) = (key.clone().min(to.clone()), key.max(to));
                return match from < to {
                    true => Op::DeleteRange { from, to },
                    false => Op::Delete { key: from },
                };
            }
            // Mostly small; sometimes a block of its own; seldom a group of several frames.
            let length = match random.below(100) {
                0 => 20_000 + random.below(40_000),
                1..4 => 3_000 + random.below(6_000),
                _ => random.below(200),
            };
            let mut value = value(&key, number, length as usize);
            if random.chance(500) {
                // Worth compressing.
                let kept = value.len() / 8;
                let tail = number as u8;
                value[kept..].fill(tail);
            }
            Op::Put { key, value }
        })
        .collect()
}

fn random_options(random: &mut Random) -> ShardOptions {
    let mut options = tiny_options();
    options.memtable_bytes = 4096 << random.below(7);
    options.table_bytes = 16384 << random.below(3);
    options.cache_bytes = (random.below(3) as usize) * (32 << 10);
    options.caches_bytes = options.cache_bytes.max(options.rows_bytes);
    options.runs_max = 1 + random.below(4) as usize;
    let codecs = [Codec::Raw, Codec::Lz4, Codec::Zstd];
    options.codec = codecs[random.below(3) as usize];
    options.last_level_codec = codecs[random.below(3) as usize];
    options.blob_bytes = [None, Some(1), Some(200), Some(3000)][random.below(4) as usize];
    options
}

fn simulated(seed: u64) {
    let mut random = Random::new(seed);
    let options = random_options(&mut random);
    let mut disk = SimulatedOptions::default();
    if random.chance(500) {
        disk.probabilities.short = 0.05;
    }
    let world = World::new(seed, options, disk);
    live(world, seed, &mut random, 400, true);
}

fn real(seed: u64, backend: Backend) {
    let mut random = Random::new(seed);
    let options = random_options(&mut random);
    let world = World::real(seed, options, backend);
    live(world, seed, &mut random, 250, false);
}

fn live(mut world: World, seed: u64, random: &mut Random, steps: u64, power_cuts: bool) {
    for number in 0..steps {
        let story = format!("seed {seed}, step {number}");
        let dice = random.below(100);
        if std::env::var("RINGKEEP_TELL").is_ok() {
            eprintln!("{story}: {dice}");
        }
        match dice {
            0..70 => {
                let durability = match random.below(10) {
                    0..6 => Durability::Sync,
                    6..8 => Durability::Buffered,
                    _ => Durability::Periodic(200_000),
                };
                let ops = random_ops(random, number);
                let token = world.write(ops, durability);
                if random.chance(500) {
                    world.wait(token);
                }
            }
            70..85 => {
                let key = format!("key{:03}", random.below(120)).into_bytes();
                let possible = world.possible(&key);
                let found = world.get(&key).expect("a get");
                let newer = world.possible(&key);
                assert!(
                    possible.contains(&found) || newer.contains(&found),
                    "{story}: a get gave a value that nobody could have left there"
                );
            }
            85..88 => world.check(&story),
            88..90 => drop(world.call(Call::Flush)),
            90..91 => drop(world.call(Call::Compact)),
            91..94 => world.run(random.below(200) as usize),
            94..96 => {
                world.kill();
                world.open().expect(&story);
                world.check(&story);
            }
            96..97 => {
                world.done(Call::Close).expect(&story);
                world.shard = None;
                world.open().expect(&story);
                world.check(&story);
            }
            _ if power_cuts => {
                world.lose_power(Crash::Random);
                world.open().unwrap_or_else(|e| panic!("{story}: {e}"));
                world.check(&story);
            }
            _ => {}
        }
    }
}

/// Runs seeds; a failing one says how to see it again.
fn run(seeds: std::ops::Range<u64>, test: &str, live: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!(
                "replay with: RINGKEEP_SEED={seed} cargo test -p ringkeep-shard --test it {test}"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn simulated_whatever_happens_a_shard_holds_the_first_n_writes() {
    run(seeds(150), "model::simulated", simulated);
}

#[test]
fn ring_whatever_happens_a_shard_holds_the_first_n_writes() {
    if ringkeep_io::Io::open(&IoOptions {
        backend: Backend::Ring,
        ..IoOptions::default()
    })
    .is_err()
    {
        println!("skipped: this machine denies io_uring");
        return;
    }
    run(seeds(6), "model::ring", |seed| real(seed, Backend::Ring));
}

#[test]
fn portable_whatever_happens_a_shard_holds_the_first_n_writes() {
    run(seeds(6), "model::portable", |seed| {
        real(seed, Backend::Portable)
    });
}

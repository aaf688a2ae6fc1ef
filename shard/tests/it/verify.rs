//! Verification finds what is damaged, names what it costs, and never cries wolf.

use ringkeep_io::{Crash, Doing, SimulatedOptions, Times};
use ringkeep_shard::{Call, Durability, Error, KeysAtRisk, Reply, ShardOptions, Verified};

use crate::random::Random;
use crate::world::{World, tiny_options};

const EIO: i32 = 5;

fn verify(world: &mut World, bytes_per_second: u64) -> Verified {
    let token = world.call(Call::Verify { bytes_per_second });
    match world.wait(token) {
        Reply::Verified(found) => *found,
        other => panic!("{other:?} is no answer to a verification"),
    }
}

/// Tables in several runs, and some log behind them.
fn world() -> World {
    world_of(tiny_options())
}

fn world_of(options: ShardOptions) -> World {
    let mut world = World::new(5, options, SimulatedOptions::default());
    for number in 0..1200u32 {
        let key = (number * 7919 % 1200).to_be_bytes();
        let token = world.put(&key, &[number as u8; 90], Durability::Buffered);
        world.wait(token);
    }
    let token = world.put(b"last", b"x", Durability::Sync);
    world.wait(token);
    // Until flushes and merges have caught up.
    world.run(10_000);
    world
}

#[test]
fn a_whole_shard_has_no_damage_and_every_byte_was_looked_at() {
    let mut world = world();
    let stats = world.stats();
    assert!(stats.runs > 1 && stats.memtable_bytes > 0, "{stats:?}");
    let found = verify(&mut world, 0);
    assert_eq!(found.damages, []);
    assert_eq!(found.tables, stats.tables);
    assert!(found.frames > 0);
    let user_bytes = stats.table_entries * (4 + 90);
    assert!(found.bytes > user_bytes, "{found:?}");
    assert_eq!(world.stats().verified_bytes, found.bytes);
}

#[test]
fn it_reads_no_faster_than_asked() {
    let mut world = world();
    let begun = world.disk.now();
    let found = verify(&mut world, 1 << 20);
    let took = world.disk.now() - begun;
    assert!(took >= found.bytes * 1_000_000_000 / (1 << 20), "{took} ns");
}

#[test]
fn every_damaged_file_is_named_and_every_key_that_cannot_be_read_is_at_risk() {
    let mut random = Random::new(11);
    for round in 0..60 {
        let mut world = match round % 3 {
            0 => world_of(ShardOptions {
                blob_bytes: Some(90),
                ..tiny_options()
            }),
            _ => world(),
        };
        world.lose_power(Crash::KeepAll);
        world.open().expect("it opens");
        // What merges take away meanwhile is no loss.
        world.run(100_000);
        assert_eq!(verify(&mut world, 0).damages, [], "before the damage");
        let tables = world.disk.files().into_iter();
        let is_data = |path: &str| path.contains("table-") || path.contains("blob-");
        let tables: Vec<_> = tables.filter(|(path, _)| is_data(path)).collect();
        let (path, _) = &tables[random.below(tables.len() as u64) as usize];
        let contents = world.disk.read_raw(path).expect("a table");
        let filled: Vec<_> = (0..contents.len())
            .filter(|at| contents[*at] != 0)
            .collect();
        let byte = filled[random.below(filled.len() as u64) as usize] as u64;
        world.disk.flip_bit(path, byte, random.below(8) as u8);

        let found = verify(&mut world, 0);
        let name = path.rsplit('/').next().expect("a name");
        assert!(
            found.damages.iter().all(|damage| damage.file == name),
            "{path} at {byte}: {found:?}"
        );
        assert!(!found.damages.is_empty(), "{path} at {byte}");
        for number in 0..1200u32 {
            let key = number.to_be_bytes();
            match world.get(&key) {
                Ok(value) => assert!(value.is_some(), "key {number} is gone"),
                Err(Error::Corrupt { .. }) => assert!(
                    found.damages.iter().any(|damage| match &damage.keys {
                        KeysAtRisk::None => false,
                        KeysAtRisk::Any => true,
                        KeysAtRisk::Between { after, to } => **after < key[..] && key[..] <= **to,
                    }),
                    "key {number}: {found:?}"
                ),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn damage_in_the_log_the_manifest_and_a_superblock_copy_is_found() {
    // What is in use of a log may begin behind any frame.
    let in_the_log: Vec<u64> = (0..16).map(|page| page * 4096 + 100).collect();
    for (file, places, keys) in [
        ("log-", &in_the_log[..], KeysAtRisk::Any),
        ("manifest-", &[20], KeysAtRisk::Any),
        ("superblock", &[17], KeysAtRisk::None),
    ] {
        let mut world = world();
        world.run(1000);
        let before = world.disk.files();
        let mut named = 0;
        for (path, bytes) in before.iter().filter(|(path, _)| path.contains(file)) {
            for &byte in places.iter().filter(|byte| *byte < bytes) {
                world.disk.flip_bit(path, byte, 3);
                let found = verify(&mut world, 0);
                world.disk.flip_bit(path, byte, 3);
                for damage in found.damages {
                    assert!(path.ends_with(&damage.file), "{damage:?} for {path}");
                    assert_eq!(damage.keys, keys);
                    named += 1;
                }
            }
        }
        assert!(named > 0, "{file} is damaged and nobody says so");
    }
}

#[test]
fn what_cannot_be_read_is_damage_and_the_rest_is_looked_at() {
    let mut world = world();
    world.run(1000);
    let whole = verify(&mut world, 0);
    world.disk.fail_at(Doing::Read, 20, EIO, Times::Count(4));
    let found = verify(&mut world, 0);
    assert!(!found.damages.is_empty());
    assert!(found.bytes > whole.bytes / 2, "{found:?} of {whole:?}");
    world.disk.heal();
    assert_eq!(verify(&mut world, 0).damages, []);
}

#[test]
fn a_shard_at_work_is_never_taken_for_a_damaged_one() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, tiny_options(), SimulatedOptions::default());
        let mut verifying = Vec::new();
        for number in 0..1500u32 {
            let durability = match random.chance(300) {
                true => Durability::Sync,
                false => Durability::Buffered,
            };
            let key = (random.below(300) as u32).to_be_bytes();
            let token = world.put(&key, &[number as u8; 200], durability);
            if random.chance(700) {
                world.wait(token);
            }
            if random.chance(20) {
                let bytes_per_second = random.below(2) << 22;
                verifying.push(world.call(Call::Verify { bytes_per_second }));
            }
            if random.chance(5) {
                world.call(Call::Compact);
            }
        }
        assert!(!verifying.is_empty());
        for token in verifying {
            let Reply::Verified(found) = world.wait(token) else {
                panic!("no verification");
            };
            assert_eq!(found.damages, [], "seed {seed}");
        }
    }
}

#[test]
fn a_close_does_not_wait_for_a_slow_verification() {
    let mut world = world();
    let slow = world.call(Call::Verify {
        bytes_per_second: 1,
    });
    world.run(5);
    assert_eq!(world.done(Call::Close), Ok(()));
    assert!(world.disk.now() < 1_000_000_000_000, "it waited");
    let _ = slow;
}

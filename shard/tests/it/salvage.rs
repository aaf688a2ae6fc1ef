//! A salvage gives what an opening would give, and as much of it as is left where there is no opening any more.

use std::collections::BTreeMap;

use ringkeep_io::{Crash, SimulatedOptions};
use ringkeep_shard::salvage::{Remains, Salvaged};
use ringkeep_shard::{Call, Durability, Error, KeysAtRisk, Op, ShardOptions};

use crate::random::Random;
use crate::world::{Map, World, identity, tiny_options};

fn salvage(world: &World) -> (Map, Salvaged) {
    let mut map = Map::new();
    let directory = world.directory();
    let remains = Remains::read(&world.io, &directory, &identity()).expect("a folder");
    let decided = BTreeMap::new();
    let mut keep = |key: &[u8], value: &[u8], until: Option<u64>| {
        assert_eq!(until, None);
        let twice = map.insert(key.to_vec(), value.to_vec());
        assert!(twice.is_none(), "{key:?} came twice");
        Ok::<(), Error>(())
    };
    let found = remains.keep(&world.io, &directory, &decided, &mut keep);
    (map, found.expect("a salvage"))
}

/// A shard with a past: overwritten and removed keys, tables, merges under way, log.
fn world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let options = ShardOptions {
        blob_bytes: seed.is_multiple_of(3).then_some(100),
        ..tiny_options()
    };
    let mut world = World::new(seed, options, SimulatedOptions::default());
    for number in 0..1000u32 {
        let key = (random.below(300) as u32).to_be_bytes();
        let durability = match random.chance(300) {
            true => Durability::Sync,
            false => Durability::Buffered,
        };
        let token = match random.chance(200) {
            true => world.write(vec![Op::Delete { key: key.into() }], durability),
            false => world.put(&key, &[number as u8; 150], durability),
        };
        if random.chance(600) {
            world.wait(token);
        }
        if random.chance(5) {
            world.call(Call::Compact);
        }
    }
    world
}

#[test]
fn of_a_whole_shard_a_salvage_gives_what_an_opening_gives() {
    for seed in 0..40 {
        let mut world = world(seed);
        world.lose_power(Crash::Random);
        let (map, found) = salvage(&world);
        assert_eq!(
            (found.damages, found.notes),
            (vec![], vec![]),
            "seed {seed}"
        );
        assert_eq!(found.keys, map.len() as u64);
        world.open().expect("it opens");
        assert!(map == world.all(), "seed {seed}");
    }
}

#[test]
fn one_flipped_bit_costs_only_keys_that_are_named() {
    let mut random = Random::new(7);
    for seed in 0..60 {
        let mut world = world(seed % 6);
        world.lose_power(Crash::KeepAll);
        let (whole, _) = salvage(&world);
        let files = world.disk.files();
        let (path, _) = &files[random.below(files.len() as u64) as usize];
        let contents = world.disk.read_raw(path).expect("a file");
        let filled: Vec<_> = (0..contents.len())
            .filter(|at| contents[*at] != 0)
            .collect();
        let Some(byte) = filled.get(random.below(filled.len().max(1) as u64) as usize) else {
            continue;
        };
        world
            .disk
            .flip_bit(path, *byte as u64, random.below(8) as u8);
        let (map, found) = salvage(&world);
        let at_risk = |key: &[u8]| {
            found.damages.iter().any(|damage| match &damage.keys {
                KeysAtRisk::None => false,
                KeysAtRisk::Any => true,
                KeysAtRisk::Between { after, to } => **after < *key && key <= &**to,
            })
        };
        // The end of the log that is not known to have been durable is cut without a word, as by an opening, and so is the
        // end of the tail.
        let is_log = path.contains("log-") || path.ends_with("/tail");
        for key in whole.keys().chain(map.keys()) {
            let same = whole.get(key) == map.get(key);
            assert!(
                same || at_risk(key) || is_log || !found.notes.is_empty(),
                "seed {seed}, {path} at {byte}: {key:?}"
            );
        }
        if is_log && world.open().is_ok() {
            assert!(map == world.all(), "seed {seed}, {path} at {byte}");
        }
    }
}

#[test]
fn without_superblock_and_manifest_nothing_is_missing_and_the_notes_say_what_that_means() {
    for seed in 0..10 {
        let mut world = world(seed);
        world.lose_power(Crash::KeepAll);
        let (whole, _) = salvage(&world);
        for name in ["superblock", "manifest-a", "manifest-b"] {
            world.disk.remove(&format!("/shard/{name}"));
        }
        let (map, found) = salvage(&world);
        assert_eq!(found.notes.len(), 1, "{found:?}");
        for (key, value) in &whole {
            assert_eq!(map.get(key), Some(value), "seed {seed}");
        }
    }
}

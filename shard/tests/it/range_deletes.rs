//! Range deletes are forgotten when nobody needs them, whoever else has keys in the same tables.

use std::collections::BTreeSet;

use ringkeep_io::SimulatedOptions;
use ringkeep_shard::keyspace::{KeyspaceId, Living, prefix, system};
use ringkeep_shard::{Call, Durability, Op, Reply, Retention, ShardOptions};

use crate::world::{World, tiny_options};

/// Everything is in one table, and no memtable is full.
fn options() -> ShardOptions {
    ShardOptions {
        memtable_bytes: 1 << 20,
        table_bytes: 1 << 20,
        segment_bytes: 1 << 20,
        ..tiny_options()
    }
}

const SHORT: u32 = 1;
const LONG: u32 = 2;

fn key(keyspace: u32, number: u32) -> Vec<u8> {
    let name = format!("key-{number:05}");
    [&prefix(KeyspaceId(keyspace))[..], name.as_bytes()].concat()
}

/// Two keyspaces, of which the second keeps all of its past.
fn two() -> Living {
    Living {
        next: 3,
        numbers: BTreeSet::from([SHORT, LONG]),
        windows: [(LONG, Retention::Versions(1 << 40))].into(),
        ..Living::default()
    }
}

fn write(world: &mut World, ops: Vec<Op>) {
    let token = world.write(ops, Durability::Buffered);
    assert!(matches!(world.wait(token), Reply::Written(_)));
}

/// So many that reads would feel them, each over one key.
const RANGES: u32 = 1200;

fn delete_ranges(world: &mut World, keyspace: u32, count: u32) {
    for number in 0..count {
        let from = key(keyspace, 2 * number);
        let to = key(keyspace, 2 * number + 1);
        write(world, vec![Op::DeleteRange { from, to }]);
    }
    world.done(Call::Flush).expect("flushes");
}

/// All keyspaces have a table in common.
fn filled(keyspaces: &[u32]) -> World {
    let mut world = World::new(1, options(), SimulatedOptions::default());
    let put = |key| Op::Put {
        key,
        value: b"value".to_vec(),
    };
    for keyspace in keyspaces {
        let keys = (0..2 * RANGES).map(|number| put(key(*keyspace, number)));
        for ops in keys.collect::<Vec<_>>().chunks(100) {
            write(&mut world, ops.to_vec());
        }
    }
    if keyspaces.len() > 1 {
        write(&mut world, vec![put(system("keyspaces"))]);
    }
    world.done(Call::Compact).expect("compacts");
    assert_eq!(world.stats().tables, 1);
    world
}

/// Merges that nobody asked for, until all but the newest are forgotten.
fn are_merged_away(world: &mut World) -> bool {
    for _ in 0..100 {
        if world.stats().range_deletes_kept < u64::from(RANGES / 2) {
            return true;
        }
        world.run(1000);
    }
    false
}

#[test]
fn they_are_merged_away_where_there_are_no_keyspaces() {
    let mut world = filled(&[0]);
    delete_ranges(&mut world, 0, RANGES);
    assert!(are_merged_away(&mut world));
    world.check("after it");
}

#[test]
fn and_where_nobody_has_asked_yet_which_keyspaces_there_are() {
    let mut world = filled(&[0, SHORT, LONG]);
    delete_ranges(&mut world, 0, RANGES);
    assert!(are_merged_away(&mut world));
    world.check("after it");
}

#[test]
fn and_beside_a_keyspace_that_keeps_its_past() {
    for deleted in [0, SHORT] {
        let mut world = filled(&[0, SHORT, LONG]);
        world.pins.as_ref().expect("open").set_living(two());
        // These have to stay: reads of the past do not see them.
        delete_ranges(&mut world, LONG, 7);
        delete_ranges(&mut world, deleted, RANGES);
        assert!(are_merged_away(&mut world), "of keyspace {deleted}");
        world.done(Call::Compact).expect("compacts");
        assert_eq!(world.stats().range_deletes_kept, 7);
        world.check("after it");
        // What is forgotten is so after the next opening, too.
        world.kill();
        world.open().expect("opens");
        assert_eq!(world.stats().range_deletes_kept, 7);
        world.pins.as_ref().expect("open").set_living(two());
        world.check("after the next opening");
    }
}

//! The memtable against an ordered map of the same writes.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::key_index::SEGMENTS;
use super::*;
use crate::content::of_test;
use crate::merge::seeded::{Seeded, with_seeds};

/// Ordered as the memtable is: versions of a key from the newest on.
type Model = BTreeMap<Vec<u8>, BTreeMap<std::cmp::Reverse<Version>, Option<Vec<u8>>>>;

/// A memtable whose writes came from the log, indexed and sorted in part.
fn from_log(random: &mut Seeded, model: &mut Model, writes: usize, keys: usize) -> Memtable {
    let mut bulk = BulkMemtable::new(random.below(2) << 24);
    let indexes_early = random.one_in(2);
    write(random, model, writes, keys, |commit, version| {
        bulk.insert(commit, version);
        if indexes_early {
            bulk.index_some();
        }
    });
    let mut table = bulk.finish();
    let slices_max = [3, 2 * SEGMENTS][random.below(2)];
    for _ in 0..random.below(slices_max) {
        table.sort_some();
    }
    table
}

fn write_some(
    random: &mut Seeded,
    table: &mut Memtable,
    model: &mut Model,
    writes: usize,
    keys: usize,
) {
    write(random, model, writes, keys, |commit, version| {
        table.insert(commit, version);
    });
}

fn write(
    random: &mut Seeded,
    model: &mut Model,
    writes: usize,
    keys: usize,
    mut insert: impl FnMut(&mut dyn Iterator<Item = Change<'_>>, Version),
) {
    let mut left = writes;
    while left > 0 {
        let count = left.min(1 + random.below(40));
        left -= count;
        let version = Version(1 + random.below(writes) as u64);
        let mut commit = Vec::new();
        for _ in 0..count {
            let length = if random.one_in(50) {
                70_000
            } else {
                random.below(40)
            };
            let value = (!random.one_in(5)).then(|| random.bytes(length));
            commit.push((random.key(keys), value));
        }
        let mut changes = commit.iter().map(|(key, value)| Change {
            key,
            content: of_test(value.as_deref()),
        });
        insert(&mut changes, version);
        for (key, value) in commit {
            let versions = model.entry(key).or_default();
            versions.insert(std::cmp::Reverse(version), value);
        }
    }
}

#[test]
fn answers_every_read_at_every_version_like_a_map() {
    with_seeds(20, |random| {
        let mut model = Model::new();
        let mut table = match random.one_in(2) {
            true if random.one_in(5) => from_log(random, &mut model, 20_000, 300),
            true => from_log(random, &mut model, 1500, 300),
            false => Memtable::new(),
        };
        if random.one_in(2) {
            write_some(random, &mut table, &mut model, 1000, 300);
        }
        let keeps_late = random.one_in(2);
        for _ in 0..2000 {
            let key = random.key(330);
            if !keeps_late && random.one_in(40) {
                table.sort_some();
            }
            if random.one_in(40) {
                write_some(random, &mut table, &mut model, 1, 300);
            }
            table.place_near(&key);
            if let Some(versions) = model.get(&key) {
                let newest = versions.keys().next().map(|version| version.0);
                assert_eq!(table.newest_of(&key), newest);
            }
            let newest = [2100, 21_000][random.below(2)];
            let at = Version(random.below(newest) as u64);
            let expected = model.get(&key).and_then(|versions| {
                let mut visible = versions.range(std::cmp::Reverse(at)..);
                Some(of_test(visible.next()?.1.as_deref()))
            });
            assert_eq!(table.get(&key, at), expected);
        }
        while table.sort_some() {}
        assert!(!table.is_unsorted());
        assert_eq!(
            table.entries(),
            model.values().map(BTreeMap::len).sum::<usize>()
        );
    });
}

#[test]
fn keys_of_a_log_come_to_the_index_with_those_that_are_needed() {
    let key = |number: u64| (number % 20_000).to_be_bytes();
    let mut bulk = BulkMemtable::new(1 << 20);
    for number in 0..30_000 {
        let key = key(number);
        let content = Content::Value(&key);
        bulk.insert([Change { key: &key, content }], Version(number));
    }
    let promised = bulk.bytes();
    let mut table = bulk.finish();
    let none = BulkMemtable::new(1 << 20).finish();
    assert!(!none.is_late());
    assert_eq!(table.index.bytes(), none.index.bytes());
    // There twice, once, and not at all; each in a segment of its own.
    for (key, newest) in [
        (&key(7)[..], Some(Version(20_007))),
        (&key(11_000), Some(Version(11_000))),
        (b"nobody", None),
    ] {
        table.place_near(key);
        assert_eq!(table.newest_of(key), newest);
    }
    table.put(b"another", Version(1), Content::Removed);
    let some = table.index.bytes();
    while table.sort_some() {}
    assert!(SEGMENTS * some < 10 * table.index.bytes());
    assert!(4 * table.bytes() < 5 * promised, "{}", table.bytes());
    assert_eq!(table.entries(), 30_001);
    assert_eq!(table.keys_in(Bound::Unbounded, Bound::Unbounded).1, 20_001);
}

#[test]
fn cursors_walk_both_ways_and_turn_like_a_map() {
    with_seeds(12, |random| {
        let mut model = Model::new();
        let mut table = match random.one_in(2) {
            true => from_log(random, &mut model, 5000, 6000),
            false => Memtable::new(),
        };
        for round in 0..4 {
            write_some(random, &mut table, &mut model, 2500, 6000);
            let keys: Vec<&Vec<u8>> = model.keys().collect();
            let mut cursor = table.cursor();
            for _ in 0..200 {
                let key = random.key(6500);
                let bound = match random.below(4) {
                    0 => Bound::Unbounded,
                    1 => Bound::Excluded(key.as_slice()),
                    _ => Bound::Included(key.as_slice()),
                };
                let forward = random.one_in(2);
                let mut at = match (forward, bound) {
                    (true, Bound::Unbounded) => 0,
                    (true, Bound::Included(key)) => keys.partition_point(|k| k.as_slice() < key),
                    (true, Bound::Excluded(key)) => keys.partition_point(|k| k.as_slice() <= key),
                    (false, Bound::Unbounded) => keys.len().wrapping_sub(1),
                    (false, Bound::Included(key)) => keys
                        .partition_point(|k| k.as_slice() <= key)
                        .wrapping_sub(1),
                    (false, Bound::Excluded(key)) => {
                        keys.partition_point(|k| k.as_slice() < key).wrapping_sub(1)
                    }
                };
                match forward {
                    true => cursor.seek(&table, bound),
                    false => cursor.seek_back(&table, bound),
                }
                for _ in 0..random.below(12) {
                    let expected = keys.get(at).map(|key| key.as_slice());
                    assert_eq!(cursor.key(&table), expected, "round {round}");
                    let Some(key) = expected else { break };
                    let expected = model[key]
                        .iter()
                        .map(|(v, value)| (v.0, of_test(value.as_deref())));
                    assert!(cursor.versions(&table).eq(expected));
                    if random.one_in(5) {
                        at = at.wrapping_sub(1);
                        cursor.prev(&table);
                    } else {
                        at = at.wrapping_add(1);
                        cursor.next(&table);
                    }
                }
            }
        }
    });
}

#[test]
fn a_cursor_keeps_its_keys_while_others_are_added() {
    let mut table = Memtable::new();
    for key in ["b", "d", "f"] {
        table.put(key.as_bytes(), Version(1), Content::Value(b"old"));
    }
    let mut cursor = table.cursor();
    cursor.seek(&table, Bound::Unbounded);
    for key in ["a", "c", "d", "e"] {
        table.put(key.as_bytes(), Version(2), Content::Value(b"new"));
    }
    let mut seen = Vec::new();
    while let Some(key) = cursor.key(&table) {
        seen.push((key, cursor.versions(&table).count()));
        cursor.next(&table);
    }
    assert_eq!(seen, [(b"b".as_slice(), 1), (b"d", 2), (b"f", 1)]);
}

#[test]
fn the_last_write_of_a_commit_wins_and_late_versions_find_their_place() {
    let mut table = Memtable::new();
    table.put(b"k", Version(5), Content::Value(b"five"));
    table.put(b"k", Version(3), Content::Until(7, b"three"));
    table.put(b"k", Version(4), Content::Removed);
    table.put(b"k", Version(5), Content::Value(b"five again"));
    let mut cursor = table.cursor();
    cursor.seek(&table, Bound::Unbounded);
    let versions: Vec<_> = cursor.versions(&table).collect();
    assert_eq!(
        versions,
        [
            (Version(5), Content::Value(b"five again")),
            (Version(4), Content::Removed),
            (Version(3), Content::Until(7, b"three")),
        ]
    );
    assert_eq!(table.get(b"k", Version(2)), None);
    assert_eq!(table.get(b"", Version(9)), None);
    assert_eq!(
        (table.oldest(), table.newest()),
        (Some(Version(3)), Some(Version(5)))
    );
}

#[test]
fn a_small_memtable_is_small_and_a_large_one_counts_everything() {
    let mut table = Memtable::new();
    assert!(table.bytes() < 8 << 10);
    table.put(b"", Version(1), Content::Value(b""));
    assert!(table.bytes() < 12 << 10);
    for mut table in [table, BulkMemtable::new(1 << 30).finish()] {
        let key = |key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        for number in 0..20_000u64 {
            table.put(
                &key(number),
                Version(number),
                Content::Value(&[number as u8; 100]),
            );
        }
        let raw = 20_000 * 108;
        let bytes = table.bytes();
        assert!(bytes > raw && bytes < 2 * raw, "{bytes}");
        table.put(b"large", Version(1), Content::Value(&vec![1; 9 << 20]));
        assert!(table.bytes() > raw + (9 << 20));
        for number in 0..20_000u64 {
            let found = table.get(&key(number), Version(number));
            assert_eq!(found, Some(Content::Value(&[number as u8; 100])));
        }
    }
}

//! Every read and every walk gives what the map gives.

use std::cmp::Reverse;
use std::ops::Bound;
use std::rc::Rc;

use super::fixture::{Fixture, Model, expected, random_model, section_of};
use crate::Version;
use crate::content::of_test;
use crate::limits::KEY_BYTES_MAX;
use crate::merge::seeded::{Seeded, with_seeds};
use crate::table::{BlockReader, Section, Table, TableCursor};

#[test]
fn finds_every_version_like_a_map() {
    with_seeds(24, |random| {
        let fixture = Fixture::new(64 << random.below(12));
        fixture.any_codecs(random);
        let entries = 1 + random.below(1500);
        let model = random_model(random, entries);
        let table = fixture.table(7, &model);
        assert_eq!(table.summary().entries, model.len() as u64);
        assert_eq!(table.first_key(), model.first_key_value().unwrap().0.0);
        assert_eq!(table.last_key(), model.last_key_value().unwrap().0.0);
        for (key, Reverse(version)) in model.keys() {
            assert!(table.may_contain(Table::key_hash(key)));
            for at in [version.0.saturating_sub(1), version.0, u64::MAX] {
                let found = fixture.find(&table, key, Version(at)).unwrap();
                assert_eq!(found, expected(&model, key, Version(at)));
            }
            let mut near = key.clone();
            near.push(random.next() as u8);
            let found = fixture.find(&table, &near, *version).unwrap();
            assert_eq!(found, expected(&model, &near, *version));
        }
        for _ in 0..200 {
            let key = random.key(5000);
            let found = fixture.find(&table, &key, Version(u64::MAX)).unwrap();
            assert_eq!(found, expected(&model, &key, Version(u64::MAX)));
        }
    });
}

#[test]
fn cursors_walk_both_ways_like_a_map() {
    with_seeds(24, |random| {
        let fixture = Fixture::new(64 << random.below(12));
        fixture.any_codecs(random);
        let entries = 1 + random.below(1200);
        let model = random_model(random, entries);
        let table = fixture.table(7, &model);
        let reader = match random.below(2) {
            0 => BlockReader::sequential(fixture.io.clone()),
            _ => BlockReader::cached(fixture.io.clone(), Rc::clone(&fixture.cache), 0),
        };
        let section = any_section(random);
        let model = section_of(&model, section);
        let mut cursor = TableCursor::new(table, section, reader);
        fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            for entry in &model {
                assert_at(&cursor, Some(entry));
                cursor.next().await.unwrap();
            }
            assert_at(&cursor, None);
            cursor.seek_back(Bound::Unbounded).await.unwrap();
            for entry in model.iter().rev() {
                assert_at(&cursor, Some(entry));
                cursor.prev().await.unwrap();
            }
            assert_at(&cursor, None);
            for _ in 0..if model.is_empty() { 0 } else { 150 } {
                walk_a_little(random.next(), &mut cursor, &model).await;
            }
        });
    });
}

fn any_section(random: &mut Seeded) -> Section {
    [Section::Present, Section::Past][random.below(2)]
}

async fn walk_a_little(seed: u64, cursor: &mut TableCursor, model: &Model) {
    let mut random = Seeded(seed);
    let entries: Vec<_> = model.iter().collect();
    let key = match random.below(3) {
        0 => random.key(2000),
        _ => entries[random.below(entries.len())].0.0.clone(),
    };
    let before =
        |at: fn(&Vec<u8>, &Vec<u8>) -> bool| entries.partition_point(|(k, _)| at(&k.0, &key));
    let (less, up_to) = (before(|k, key| k < key), before(|k, key| k <= key));
    let mut at = match random.below(4) {
        0 => {
            cursor.seek(Bound::Included(&key)).await.unwrap();
            less
        }
        1 => {
            cursor.seek(Bound::Excluded(&key)).await.unwrap();
            up_to
        }
        2 => {
            cursor.seek_back(Bound::Included(&key)).await.unwrap();
            up_to.wrapping_sub(1)
        }
        _ => {
            cursor.seek_back(Bound::Excluded(&key)).await.unwrap();
            less.wrapping_sub(1)
        }
    };
    let forward = random.one_in(2);
    for _ in 0..random.below(60) {
        assert_at(cursor, entries.get(at).copied());
        if at >= entries.len() {
            return;
        }
        if forward != random.one_in(6) {
            cursor.next().await.unwrap();
            at += 1;
        } else {
            cursor.prev().await.unwrap();
            at = at.wrapping_sub(1);
        }
    }
}

type Entry<'a> = (&'a (Vec<u8>, Reverse<Version>), &'a Option<Vec<u8>>);

fn assert_at(cursor: &TableCursor, entry: Option<Entry>) {
    let expected = entry.map(|((key, Reverse(version)), _)| (key.as_slice(), *version));
    assert_eq!(cursor.position(), expected);
    let expected = entry.map(|(_, value)| of_test(value.as_deref()));
    assert_eq!(cursor.content(), expected);
}

/// Three thousand entries, some thirty to a block.
fn padded() -> Model {
    let entry = |number| (padded_key(number), Some(vec![7; 100]));
    (0..3000).map(entry).collect()
}

fn padded_key(number: u64) -> (Vec<u8>, Reverse<Version>) {
    (number.to_be_bytes().to_vec(), Reverse(Version(number)))
}

#[test]
fn neighbours_come_along_while_the_cache_has_room() {
    let model = padded();
    for (cache_bytes, few) in [(16 << 20, true), (64 << 10, false)] {
        let fixture = Fixture::new(cache_bytes);
        let table = fixture.table(1, &model);
        let blocks = table.summary().file_bytes / 4096;
        let before = fixture.io.counters().reads;
        // No two seeks one behind the other go to blocks that touch.
        for (key, version) in (0..3000).map(|n| padded_key(n * 1009 % 3000)) {
            let reader = BlockReader::cached(fixture.io.clone(), Rc::clone(&fixture.cache), 4096);
            let mut cursor = TableCursor::new(Rc::clone(&table), Section::Present, reader);
            fixture.run(cursor.seek(Bound::Included(&key))).unwrap();
            let found = model.get_key_value(&(key, version));
            assert_at(&cursor, found);
        }
        let reads = fixture.io.counters().reads - before;
        assert_eq!(reads < blocks / 8, few, "{reads} reads of {blocks} blocks");
    }
}

#[test]
fn what_a_page_will_take_is_read_at_once_where_there_is_no_room_for_more() {
    let model = padded();
    let fixture = Fixture::new(96 << 10);
    let table = fixture.table(1, &model);
    for backward in [false, true] {
        for from in (200..2800u64).map(|n| 200 + n * 1009 % 2600) {
            let cache = Rc::clone(&fixture.cache);
            let reader = BlockReader::cached(fixture.io.clone(), cache, 12 << 10).going(backward);
            let mut cursor = TableCursor::new(Rc::clone(&table), Section::Present, reader);
            let key = from.to_be_bytes();
            let before = fixture.io.counters().reads;
            fixture.run(async {
                match backward {
                    true => cursor.seek_back(Bound::Included(&key)).await.unwrap(),
                    false => cursor.seek(Bound::Included(&key)).await.unwrap(),
                }
                for step in 0..100 {
                    let at = if backward { from - step } else { from + step };
                    let at = model.get_key_value(&padded_key(at));
                    assert_at(&cursor, at);
                    match backward {
                        true => cursor.prev().await.unwrap(),
                        false => cursor.next().await.unwrap(),
                    }
                }
            });
            let reads = fixture.io.counters().reads - before;
            // A partition, and what is on either side of the end of another or of what was there already.
            assert!(reads <= 3, "{reads} reads of 100 entries from {from} on");
        }
    }
}

/// A hundred entries are in five blocks at most. Nothing comes along in the smallest cache, and most of a page in the largest.
#[test]
fn what_comes_along_is_still_there_when_it_is_asked_for() {
    let model = padded();
    for cache_bytes in (24 << 10..256 << 10).step_by(8 << 10) {
        let fixture = Fixture::new(cache_bytes);
        let table = fixture.table(1, &model);
        for (from, backward) in (0..200u64).map(|n| (150 + n * 1009 % 2700, n % 2 == 0)) {
            let cache = Rc::clone(&fixture.cache);
            let reader = BlockReader::cached(fixture.io.clone(), cache, 12 << 10);
            let reader = reader.going(backward);
            let mut cursor = TableCursor::new(Rc::clone(&table), Section::Present, reader);
            let before = fixture.io.counters().read_bytes;
            fixture.run(async {
                let from = Bound::Included(&from.to_be_bytes()[..]);
                match backward {
                    true => cursor.seek_back(from).await.unwrap(),
                    false => cursor.seek(from).await.unwrap(),
                }
                for _ in 0..100 {
                    match backward {
                        true => cursor.prev().await.unwrap(),
                        false => cursor.next().await.unwrap(),
                    }
                }
            });
            let read = fixture.io.counters().read_bytes - before;
            // The blocks, each once.
            assert!(
                read <= 5 * 4096,
                "{read} bytes from {from} on, {cache_bytes} of cache"
            );
        }
    }
}

#[test]
fn a_long_walk_reads_ahead_and_a_repeated_one_reads_nothing() {
    let fixture = Fixture::new(16 << 20);
    let model: Model = (0..30_000u64)
        .map(|key| {
            (
                (key.to_be_bytes().to_vec(), Reverse(Version(key))),
                Some(vec![7; 100]),
            )
        })
        .collect();
    let table = fixture.table(1, &model);
    let pages = table.summary().file_bytes / 4096;
    let walk = |reader| {
        let before = fixture.io.counters().reads;
        let mut cursor = TableCursor::new(Rc::clone(&table), Section::Present, reader);
        fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            while cursor.position().is_some() {
                cursor.next().await.unwrap();
            }
        });
        fixture.io.counters().reads - before
    };
    let sequential = walk(BlockReader::sequential(fixture.io.clone()));
    assert!(
        sequential <= pages / 32 + 5,
        "{sequential} reads of {pages} pages"
    );
    let cached = || BlockReader::cached(fixture.io.clone(), Rc::clone(&fixture.cache), 0);
    let first = walk(cached());
    assert!(first <= pages / 32 + 10, "{first} reads of {pages} pages");

    // Lookups fill the cache; what is in it is not read again.
    for key in model.keys() {
        fixture.find(&table, &key.0, Version(u64::MAX)).unwrap();
    }
    assert_eq!(walk(cached()), 0);
}

#[test]
fn the_largest_keys_and_large_values_fit() {
    let fixture = Fixture::new(1 << 20);
    let key = |last: u8| [vec![b'k'; KEY_BYTES_MAX - 1], vec![last]].concat();
    let mut model = Model::new();
    for last in 0..20 {
        let value = (last % 3 > 0).then(|| vec![last; if last == 7 { 8 << 20 } else { 50 }]);
        model.insert((key(last), Reverse(Version(u64::MAX))), value);
        model.insert((key(last), Reverse(Version(0))), Some(vec![]));
    }
    let table = fixture.table(1, &model);
    for (key, Reverse(version)) in model.keys() {
        let found = fixture.find(&table, key, *version).unwrap();
        assert_eq!(found, expected(&model, key, *version));
    }
    for section in [Section::Present, Section::Past] {
        let reader = BlockReader::sequential(fixture.io.clone());
        let mut cursor = TableCursor::new(Rc::clone(&table), section, reader);
        fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            for entry in &section_of(&model, section) {
                assert_at(&cursor, Some(entry));
                cursor.next().await.unwrap();
            }
            assert_at(&cursor, None);
        });
    }
}

//! Merged streams against one ordered map of all writes.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::ops::Bound;
use std::rc::Rc;

use super::seeded::{Seeded, with_seeds};
use super::*;
use crate::content::of_test;
use crate::keyspace::{KeyspaceId, keyspace_of, prefix};
use crate::memtable::Memtable;
use crate::table::tests::fixture::{Fixture, Model, expected};
use crate::table::{BlockReader, Table};
use crate::table_set::TableRun;

/// What a shard has: memtables, newest first, then runs of tables, newest first.
struct Stack {
    fixture: Fixture,
    memtables: Vec<Rc<RefCell<Memtable>>>,
    runs: Vec<Vec<Rc<Table>>>,
    /// All that was ever written, and what of it is below the memtables' lowest version.
    all: Model,
    keys: usize,
    newest: u64,
}

impl Stack {
    /// Writes layer after layer, oldest first, versions rising.
    fn new(random: &mut Seeded) -> Stack {
        let fixture = Fixture::new(64 << random.below(12));
        let (keys, mut newest) = (1 + random.below(400), 0);
        let (mut memtables, mut runs, mut all) = (Vec::new(), Vec::new(), Model::new());
        let (tables, total) = (random.below(5), 1 + random.below(7));
        for layer in 0..total {
            let mut model = Model::new();
            for _ in 0..random.below(400) {
                newest += random.below(2) as u64;
                let length = if random.one_in(100) {
                    9000
                } else {
                    random.below(200)
                };
                let value = (!random.one_in(4)).then(|| random.bytes(length));
                model.insert((random.key(keys), Reverse(Version(newest))), value);
            }
            newest += 1;
            if layer < tables {
                fixture.any_codecs(random);
                runs.insert(0, run(&fixture, layer as u64, &model, random));
            } else {
                memtables.insert(0, memtable(&model));
            }
            all.extend(model);
        }
        Stack {
            fixture,
            memtables,
            runs,
            all,
            keys,
            newest,
        }
    }

    /// For who asks for nothing below `at`.
    fn sources(&self, random: &mut Seeded, at: Version) -> Vec<Source> {
        let memtables = self.memtables.iter().cloned().map(Source::memtable);
        let runs = self.runs.iter().flat_map(|run| {
            let (io, cache) = (&self.fixture.io, &self.fixture.cache);
            let is_cached = random.one_in(2);
            let reader = || match is_cached {
                false => BlockReader::sequential(io.clone()),
                true => BlockReader::cached(io.clone(), Rc::clone(cache), 0),
            };
            Source::run(&TableRun::new(run.clone()), at, reader)
        });
        memtables.chain(runs.flatten()).collect()
    }

    /// What a reader at `at` sees, in order.
    fn visible(&self, at: Moment) -> Vec<Seen> {
        let mut keys: Vec<_> = self.all.keys().map(|(key, _)| key.clone()).collect();
        keys.dedup();
        let visible = keys.into_iter().filter_map(|key| {
            let (version, value) = expected(&self.all, &key, at.version)?;
            let lasts = of_test(value.as_deref()).ends() > at.millis;
            Some((key, version, Some(value.filter(|_| lasts)?)))
        });
        visible.collect()
    }
}

/// A version, and a time at which some values have ended.
fn moment(random: &mut Seeded, stack: &Stack) -> Moment {
    Moment {
        millis: [0, 230, 245, 1000][random.below(4)],
        version: Version(random.below(stack.newest as usize + 2) as u64),
    }
}

fn present(version: u64) -> Moment {
    Moment {
        millis: 230,
        version: Version(version),
    }
}

type Seen = (Vec<u8>, Version, Option<Vec<u8>>);

fn seen(cursor: &MergeCursor) -> Option<Seen> {
    cursor.visit(|key, version, content| {
        assert_eq!(content, of_test(content.value()));
        (key.to_vec(), version, content.value().map(<[u8]>::to_vec))
    })
}

fn memtable(model: &Model) -> Rc<RefCell<Memtable>> {
    let mut table = Memtable::new();
    for ((key, Reverse(version)), value) in model {
        table.put(key, *version, of_test(value.as_deref()));
    }
    Rc::new(RefCell::new(table))
}

/// Cuts a model into tables between keys.
fn run(fixture: &Fixture, layer: u64, model: &Model, random: &mut Seeded) -> Vec<Rc<Table>> {
    let mut parts: Vec<Model> = Vec::new();
    let mut last: Option<&[u8]> = None;
    for ((key, version), value) in model {
        let new_key = last != Some(key);
        if parts.is_empty() || (new_key && random.one_in(60)) {
            parts.push(Model::new());
        }
        last = Some(key);
        let part = parts.last_mut().expect("pushed above");
        part.insert((key.clone(), *version), value.clone());
    }
    let ids = 100 * layer..;
    ids.zip(parts)
        .map(|(id, part)| fixture.table(id, &part))
        .collect()
}

#[test]
fn a_scan_sees_what_the_map_shows_in_both_directions() {
    with_seeds(60, |random| {
        let stack = Stack::new(random);
        for _ in 0..8 {
            let at = moment(random, &stack);
            let visible = stack.visible(at);
            let mut cursor = MergeCursor::visible(stack.sources(random, at.version), at);
            stack.fixture.run(async {
                cursor.seek(Bound::Unbounded).await.unwrap();
                for entry in &visible {
                    assert_eq!(seen(&cursor).as_ref(), Some(entry));
                    cursor.next().await.unwrap();
                }
                assert_eq!(cursor.key(), None);
                cursor.seek_back(Bound::Unbounded).await.unwrap();
                for entry in visible.iter().rev() {
                    assert_eq!(seen(&cursor).as_ref(), Some(entry));
                    cursor.prev().await.unwrap();
                }
                assert_eq!(cursor.key(), None);
                for _ in 0..10 {
                    wander(random.next(), &mut cursor, &visible, stack.keys).await;
                }
            });
        }
    });
}

#[test]
fn stretches_and_steps_show_the_same() {
    with_seeds(60, |random| {
        let stack = Stack::new(random);
        let at = moment(random, &stack);
        let mut visible = stack.visible(at);
        let end = random.key(stack.keys);
        let to = match random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(&end[..]),
            _ => Bound::Excluded(&end[..]),
        };
        let is_inside = |key: &[u8]| match to {
            Bound::Unbounded => true,
            Bound::Included(end) => *key <= *end,
            Bound::Excluded(end) => *key < *end,
        };
        visible.retain(|(key, ..)| is_inside(key));
        let mut cursor = MergeCursor::visible(stack.sources(random, at.version), at);
        let mut found = Vec::new();
        stack.fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            while let Some((key, _, value)) = seen(&cursor).filter(|(key, ..)| is_inside(key)) {
                found.push((key, value.unwrap()));
                let mut left = random.below(40);
                let passed = cursor.pass_at_hand(to, |pieces| {
                    let take = left > 0;
                    if take {
                        left -= 1;
                        let (suffix, value) = pieces.tail.split_at(pieces.suffix_length);
                        let key = [pieces.start, suffix].concat();
                        found.push((key, [value, pieces.rest].concat()));
                    }
                    take
                });
                if !passed {
                    cursor.next().await.unwrap();
                }
            }
        });
        let visible = visible
            .into_iter()
            .map(|(key, _, value)| (key, value.unwrap()));
        assert!(found.into_iter().eq(visible));
    });
}

async fn wander(seed: u64, cursor: &mut MergeCursor, visible: &[Seen], keys: usize) {
    let mut random = Seeded(seed);
    let key = random.key(keys);
    let less = visible.partition_point(|entry| entry.0 < key);
    let up_to = visible.partition_point(|entry| entry.0 <= key);
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
    for _ in 0..random.below(20) {
        assert_eq!(seen(cursor).as_ref(), visible.get(at));
        if at >= visible.len() {
            return;
        }
        if random.one_in(4) {
            cursor.prev().await.unwrap();
            at = at.wrapping_sub(1);
        } else {
            cursor.next().await.unwrap();
            at += 1;
        }
    }
}

/// After a merge, every read at a pinned version, and at any from some version on, answers as before, and nothing is
/// kept that no such read can see.
#[test]
fn what_is_needed_is_kept_and_nothing_else() {
    with_seeds(150, |random| {
        let stack = Stack::new(random);
        let Moment { millis, version } = moment(random, &stack);
        let pins = (0..random.below(4)).map(|_| moment(random, &stack).version);
        let mut pinned: Vec<Version> = pins.filter(|pin| *pin < version).collect();
        pinned.sort_unstable();
        let need = Need {
            watermark: pinned.first().copied().unwrap_or(version),
            whole_from: version,
            ended_by: millis,
        };
        let needs = Needs {
            common: need,
            pinned: pinned.clone().into(),
            ..Needs::default()
        };
        let last = random.one_in(2);
        let mut cursor = MergeCursor::needed(stack.sources(random, Version(0)), &needs, last);
        let mut kept = Model::new();
        stack.fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            while let Some((key, version, value)) = seen(&cursor) {
                let entry = (key, Reverse(version));
                assert!(
                    kept.last_key_value().is_none_or(|(last, _)| *last < entry),
                    "in order"
                );
                kept.insert(entry, value);
                cursor.next().await.unwrap();
            }
        });
        let mut needed = Model::new();
        for ((key, Reverse(version)), value) in &stack.all {
            let lasts = of_test(value.as_deref()).ends() > need.ended_by;
            let value = value.clone().filter(|_| lasts);
            let mut readers = pinned.iter().chain([&need.whole_from]);
            let is_seen = readers.any(|at| {
                expected(&stack.all, key, *at).is_some_and(|(newest, _)| newest == *version)
            });
            let hides = !(last && value.is_none() && *version <= need.watermark);
            if *version > need.whole_from || (is_seen && hides) {
                needed.insert((key.clone(), Reverse(*version)), value);
            }
        }
        assert_eq!(kept, needed);
    });
}

#[test]
fn a_newer_source_wins_where_two_have_the_very_same_entry() {
    let fixture = Fixture::new(1 << 20);
    let model = |value: &[u8]| -> Model {
        [((b"k".to_vec(), Reverse(Version(5))), Some(value.to_vec()))].into()
    };
    let sources = || {
        vec![
            Source::memtable(memtable(&model(b"new"))),
            Source::memtable(memtable(&model(b"old"))),
        ]
    };
    let expected = Some((b"k".to_vec(), Version(5), Some(b"new".to_vec())));
    fixture.run(async {
        let mut scan = MergeCursor::visible(sources(), present(9));
        scan.seek(Bound::Unbounded).await.unwrap();
        assert_eq!(seen(&scan), expected);
        scan.next().await.unwrap();
        assert_eq!(seen(&scan), None);
        scan.seek_back(Bound::Unbounded).await.unwrap();
        assert_eq!(seen(&scan), expected);
        scan.prev().await.unwrap();
        assert_eq!(seen(&scan), None);
        for watermark in [0, 9] {
            let needs = Needs::above(Version(watermark));
            let mut merge = MergeCursor::needed(sources(), &needs, false);
            merge.seek(Bound::Unbounded).await.unwrap();
            assert_eq!(seen(&merge), expected);
            merge.next().await.unwrap();
            assert_eq!(seen(&merge), None);
        }
    });
}

#[test]
fn a_scan_goes_on_while_its_memtable_takes_writes() {
    with_seeds(30, |random| {
        let stack = Stack::new(random);
        let at = present(stack.newest);
        let visible = stack.visible(at);
        let mut cursor = MergeCursor::visible(stack.sources(random, at.version), at);
        stack.fixture.run(async {
            cursor.seek(Bound::Unbounded).await.unwrap();
            for (step, entry) in visible.iter().enumerate() {
                assert_eq!(seen(&cursor).as_ref(), Some(entry));
                if let Some(memtable) = stack.memtables.first() {
                    let version = Version(stack.newest + 1 + step as u64);
                    memtable
                        .borrow_mut()
                        .put(&random.key(stack.keys), version, Content::Removed);
                }
                cursor.next().await.unwrap();
            }
            assert_eq!(cursor.key(), None);
        });
    });
}

#[test]
fn a_failed_read_ends_the_scan_with_its_error() {
    let fixture = Fixture::new(0);
    let model: Model = (0..2000u32)
        .map(|key| {
            (
                (key.to_be_bytes().to_vec(), Reverse(Version(1))),
                Some(vec![7; 100]),
            )
        })
        .collect();
    let table = fixture.table(1, &model);
    let damaged = u64::from(fixture_page(&table)) * 4096 + 100;
    fixture.disk.flip_bit("/table-1", damaged, 3);
    for backward in [false, true] {
        let reader = || BlockReader::sequential(fixture.io.clone());
        let sources = Source::run(&TableRun::new(vec![Rc::clone(&table)]), Version(9), reader);
        let sources = sources.into_iter().flatten().collect();
        let mut cursor = MergeCursor::visible(sources, present(9));
        let error = fixture.run(async {
            match backward {
                false => cursor.seek(Bound::Unbounded).await.unwrap(),
                true => cursor.seek_back(Bound::Unbounded).await.unwrap(),
            }
            for _ in 0..2000 {
                let moved = match backward {
                    false => cursor.next().await,
                    true => cursor.prev().await,
                };
                if let Err(error) = moved {
                    return Some(error);
                }
            }
            None
        });
        assert!(
            matches!(error, Some(crate::Error::Corrupt { .. })),
            "{error:?}"
        );
        assert_eq!(cursor.key(), None);
    }
}

#[test]
fn a_seek_asks_the_cache_for_each_block_once() {
    let fixture = Fixture::new(1 << 20);
    let key = |number: u32| number.to_be_bytes().to_vec();
    let entry = |number| ((key(number), Reverse(Version(1))), Some(vec![7; 100]));
    let table = fixture.table(1, &(0..2000).map(entry).collect());
    let asked = || {
        let cache = fixture.cache.borrow();
        (cache.hits(), cache.misses())
    };
    // Nothing is here; then the partition is; then both blocks are.
    for (number, hits, misses) in [(100, 0, 2), (1900, 1, 1), (1900, 2, 0)] {
        let reader = || {
            let cache = Rc::clone(&fixture.cache);
            BlockReader::cached(fixture.io.clone(), cache, 0)
        };
        let sources = Source::run(&TableRun::new(vec![Rc::clone(&table)]), Version(9), reader);
        let sources = sources.into_iter().flatten().collect();
        let mut cursor = MergeCursor::visible(sources, present(9));
        let (before, key) = (asked(), key(number));
        fixture.run(cursor.seek(Bound::Included(&key))).unwrap();
        assert_eq!(cursor.key(), Some(&*key));
        assert_eq!(asked(), (before.0 + hits, before.1 + misses));
    }
}

/// A page in the middle of the data.
fn fixture_page(table: &Table) -> u32 {
    (table.summary().file_bytes / 4096 / 2) as u32
}

#[test]
fn each_key_is_kept_by_the_need_of_its_keyspace() {
    let fixture = Fixture::new(1 << 20);
    let key = |number| [&prefix(KeyspaceId(number))[..], b"k"].concat();
    let mut model = Model::new();
    for number in 0..4 {
        for version in 1..=3 {
            let entry = (key(number), Reverse(Version(version)));
            model.insert(entry, Some(b"value".to_vec()));
        }
    }
    let need = |watermark| Need {
        watermark: Version(watermark),
        whole_from: Version(watermark),
        ended_by: 0,
    };
    let mut needs = Needs {
        common: need(9),
        own: [(1, need(0)), (3, need(2))].into(),
        unread: false,
        pinned: Arc::default(),
    };
    let kept = |needs: &Needs| {
        let mut kept = [0; 4];
        let sources = vec![Source::memtable(memtable(&model))];
        let mut merge = MergeCursor::needed(sources, needs, true);
        fixture.run(async {
            merge.seek(Bound::Unbounded).await.unwrap();
            while let Some(stored) = merge.key() {
                kept[keyspace_of(stored).unwrap().0 as usize] += 1;
                merge.next().await.unwrap();
            }
        });
        kept
    };
    assert_eq!(kept(&needs), [1, 3, 1, 2]);
    needs.unread = true;
    assert_eq!(kept(&needs), [1, 3, 3, 2]);
    needs.own.clear();
    assert_eq!(kept(&needs), [1, 3, 3, 3]);
}

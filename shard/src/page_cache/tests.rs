//! The cache on blocks of a real table.

use std::cmp::Reverse;

use super::*;
use crate::Version;
use crate::merge::seeded::with_seeds;
use crate::table::tests::fixture::{Fixture, Model};
use crate::table::{BlockKind, Table};

/// A table with one block a page, `pages` of them at least.
fn table(fixture: &Fixture, id: u64, pages: u32) -> Rc<Table> {
    let model: Model = (0..pages)
        .map(|key| {
            (
                (key.to_be_bytes().to_vec(), Reverse(Version(1))),
                Some(vec![7; 4000]),
            )
        })
        .collect();
    fixture.table(id, &model)
}

fn handle(page: u32) -> BlockHandle {
    BlockHandle {
        page,
        pages: 1,
        kind: BlockKind::Data,
    }
}

fn block(fixture: &Fixture, table: &Table, page: u32) -> Rc<Block> {
    let done = fixture.run(fixture.io.read(
        table.file(),
        u64::from(page) * 4096,
        fixture.io.frame(),
    ));
    Rc::new(table.decode_block(handle(page), done.buffer).unwrap())
}

const COST: usize = 4096 + ENTRY_OVERHEAD;

#[test]
fn a_scan_does_not_drive_out_what_is_used() {
    let fixture = Fixture::new(0);
    let table = table(&fixture, 1, 330);
    let mut cache = PageCache::new(100 * COST);
    let mut ask = |page: u32| {
        let found = cache.get(TableId(1), handle(page)).is_some();
        if !found {
            cache.insert(TableId(1), block(&fixture, &table, page));
        }
        found
    };
    let hot = || 0..50;
    for _ in 0..4 {
        hot().for_each(|page| {
            ask(page);
        });
    }
    (100..330).for_each(|page| {
        ask(page);
    });
    assert!(hot().all(ask), "what was used stayed");
}

#[test]
fn a_block_that_comes_back_is_kept() {
    let fixture = Fixture::new(0);
    let table = table(&fixture, 1, 200);
    let mut cache = PageCache::new(20 * COST);
    let mut insert = |pages: std::ops::Range<u32>| {
        for page in pages {
            cache.insert(TableId(1), block(&fixture, &table, page));
        }
    };
    insert(0..40);
    // Page 3 was evicted and is remembered; back again it outlives those that come but once.
    insert(3..4);
    insert(50..150);
    assert!(cache.get(TableId(1), handle(3)).is_some());
    assert!(cache.get(TableId(1), handle(51)).is_none());
    assert_eq!((cache.hits(), cache.misses()), (1, 1));
}

#[test]
fn the_budget_holds_and_forgotten_tables_leave_nothing() {
    with_seeds(10, |random| {
        let fixture = Fixture::new(0);
        let tables: Vec<_> = (0..4).map(|id| table(&fixture, id, 60)).collect();
        let budget = (4 + random.below(100)) * COST + random.below(COST);
        let mut cache = PageCache::new(budget);
        for step in 0..3000 {
            let table = &tables[random.below(4)];
            let page = random.below(60).min(random.below(60)) as u32;
            match random.below(60) {
                0 => {
                    cache.forget(table.id());
                    assert!((0..60).all(|page| cache.get(table.id(), handle(page)).is_none()));
                }
                _ => match cache.get(table.id(), handle(page)) {
                    Some(block) => assert_eq!(block.handle(), handle(page)),
                    None => {
                        let block = block(&fixture, table, page);
                        cache.insert(table.id(), Rc::clone(&block));
                        cache.insert(table.id(), block);
                    }
                },
            }
            assert!(cache.bytes() <= budget);
            assert_eq!(cache.bytes(), cache.len() * COST, "step {step}");
        }
        for table in &tables {
            cache.forget(table.id());
        }
        assert_eq!((cache.bytes(), cache.small_bytes, cache.len()), (0, 0, 0));
        assert!(cache.small.is_empty() && cache.main.is_empty() && cache.tables.is_empty());
        assert!(cache.slots.iter().all(|slot| slot.block.is_none()));
    });
}

#[test]
fn what_is_larger_than_its_share_is_not_taken() {
    let fixture = Fixture::new(0);
    let table = table(&fixture, 1, 3);
    for (budget, taken) in [(0, 0), (COST, 0), (4 * COST, 1)] {
        let mut cache = PageCache::new(budget);
        cache.insert(TableId(1), block(&fixture, &table, 0));
        assert_eq!(cache.len(), taken);
    }
}

#[test]
fn memory_that_is_wanted_back_is_given_back_a_slice_at_a_time() {
    let fixture = Fixture::new(0);
    fixture.io.move_frames_ceiling(16 << 20);
    let tables: Vec<_> = (0..5).map(|id| table(&fixture, id, 320)).collect();
    let held = block(&fixture, &tables[0], 0);
    let mut cache = PageCache::new(2000 * COST);
    for table in &tables {
        for page in 1..320 {
            cache.insert(table.id(), block(&fixture, table, page));
        }
    }
    let wanted_back = |cache: &PageCache| {
        let blocks = cache.slots.iter().filter_map(|slot| slot.block.as_deref());
        blocks.filter(|block| block.is_wanted_back()).count()
    };
    let wishes = fixture.io.wishes();
    fixture.io.move_frames_ceiling(-(16 << 20));
    assert!(fixture.io.wishes() > wishes && wanted_back(&cache) > 2 * SLOTS_PER_SLICE);
    cache.begin_giving_back();
    while wanted_back(&cache) > 0 {
        let (before, blocks) = (wanted_back(&cache), cache.len());
        cache.give_back_some();
        assert!(blocks - cache.len() <= SLOTS_PER_SLICE);
        assert_eq!(before - wanted_back(&cache), blocks - cache.len());
        assert!(cache.unsearched > 0 || wanted_back(&cache) == 0);
    }
    assert_eq!(cache.bytes(), cache.len() * COST);
    assert!(held.is_wanted_back());
    cache.insert(TableId(0), held);
    assert!(!cache.has(TableId(0), handle(0)));
}

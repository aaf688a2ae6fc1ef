//! What a shard does with range deletes: takes them, shows them to reads, and forgets them when nothing is left to hide.

use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};

use crate::call::Op;
use crate::core::Core;
use crate::error::Error;
use crate::limits::{RANGE_BYTES_MAX, RANGE_DELETES_MAX};
use crate::manifest::Manifest;
use crate::memtables::Generation;
use crate::needs::Needs;
use crate::ranges::{RangeDelete, Ranges, hides_in, still_needed};
use crate::token::Token;
use crate::version::Version;

/// Range deletes that are as durable as the tables. Flushes and merges drop nothing because of any other: that one might
/// be lost, and what it hides would be, too.
#[derive(Default)]
pub(crate) struct TableRanges {
    list: Vec<RangeDelete>,
    pub ranges: Rc<Ranges>,
}

impl TableRanges {
    pub fn of(list: Vec<RangeDelete>) -> TableRanges {
        let ranges = Rc::new(Ranges::of(&list));
        TableRanges { list, ranges }
    }

    /// How many could go, but that tables have something under them.
    pub fn count_up_to(&self, needs: &Needs) -> usize {
        let could_go = |range: &&RangeDelete| range.version <= needs.of(&range.from).watermark;
        self.list.iter().filter(could_go).count()
    }
}

impl<T: Token> Core<T> {
    /// Why no more range deletes are taken, if these ops bring some.
    pub fn refusal_of_ranges(&self, ops: &[Op]) -> Option<Error> {
        let mut brought = ops.iter().filter(|op| op.range().is_some()).peekable();
        brought.peek()?;
        let kept = self.ranges.borrow();
        let (mut count, mut bytes) = (kept.count(), kept.bytes());
        for op in brought {
            count += 1;
            bytes += op.bytes();
        }
        (count > RANGE_DELETES_MAX || bytes > RANGE_BYTES_MAX).then(|| Error::TooManyRanges {
            kept: kept.count(),
            max: RANGE_DELETES_MAX,
        })
    }

    /// Puts the range deletes of a change beside its memtable, above what anybody may see yet.
    pub fn add_ranges(&self, generation: &Generation, ops: &[Op], version: Version) {
        let mut all = self.ranges.borrow_mut();
        let mut own = generation.ranges.borrow_mut();
        for range in ops.iter().filter_map(|op| RangeDelete::of(op, version)) {
            self.stats.borrow_mut().range_deletes += 1;
            Rc::make_mut(&mut all).add(&range);
            own.push(range);
        }
    }

    /// Those of a memtable that has become tables are the manifest's from here on, as long as they hide something there.
    pub fn keep_ranges(manifest: &mut Manifest, flushed: Vec<RangeDelete>, gone: &Needs) {
        if manifest.ranges.is_empty() && flushed.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut manifest.ranges);
        if !planted(Defect::RangeLostAtFlush) {
            all.extend(flushed);
        }
        let runs = &manifest.runs;
        let hides = |range: &RangeDelete| {
            let mut runs = runs.iter();
            runs.any(|run| hides_in(range, &run.tables, |table| table))
        };
        manifest.ranges = still_needed(all, gone, hides);
    }

    /// Other tables are in place, and a memtable may have become one of them. The manifest says so already; but what it
    /// has forgotten for tables that are still to come is kept until these are in place here.
    pub fn tables_changed(&self, flushed: Vec<RangeDelete>) {
        if self.ranges.borrow().is_empty() {
            return;
        }
        let mut list = std::mem::take(&mut self.table_ranges.borrow_mut().list);
        list.extend(flushed);
        let list = {
            let tables = self.tables.borrow();
            let hides = |range: &RangeDelete| {
                let mut runs = tables.runs.iter();
                runs.any(|run| hides_in(range, &run.tables, |table| table.summary()))
            };
            still_needed(list, &self.pins.unseen_so_far(), hides)
        };
        let memtables = self.memtables.borrow();
        let mut all = Ranges::of(&list);
        for generation in memtables.newest_first() {
            generation
                .ranges
                .borrow()
                .iter()
                .for_each(|range| all.add(range));
        }
        *self.table_ranges.borrow_mut() = TableRanges::of(list);
        *self.ranges.borrow_mut() = Rc::new(all);
    }

    /// The range deletes by which the entries of a memtable are dropped on their way to tables: those of tables, and its own.
    pub fn ranges_to_flush(&self, generation: &Generation) -> Rc<Ranges> {
        let of_tables = Rc::clone(&self.table_ranges.borrow().ranges);
        let own = generation.ranges.borrow();
        if own.is_empty() {
            return of_tables;
        }
        let mut ranges = Ranges::clone(&of_tables);
        own.iter().for_each(|range| ranges.add(range));
        Rc::new(ranges)
    }

    /// Tables that are written from now on have nothing in them that a range delete up to this version hides from those for
    /// whom they are written, but for those of memtables other than the one that is `flushed`.
    pub fn cleared_to(&self, flushed: Option<&Generation>) -> Version {
        // A part that others decide may turn out to be older.
        let undecided = self.transactions.borrow().oldest_prepared();
        let memtables = self.memtables.borrow();
        let others = memtables.newest_first();
        let others = others.filter(|other| flushed.is_none_or(|own| !std::ptr::eq(own, &***other)));
        let waiting = others.flat_map(|other| {
            let first = other
                .ranges
                .borrow()
                .iter()
                .map(|range| range.version)
                .min();
            first.map(|version| Version(version.0 - 1))
        });
        let newest = Version(u64::MAX);
        waiting.chain(undecided).fold(newest, Version::min)
    }
}

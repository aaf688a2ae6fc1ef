//! Rows that are missing are read in: all of a shard that was just opened, and of one that was flushed on request or has
//! no more to load for a while those that loads and batches over several shards have hidden. What fits into the memory for
//! rows is read once, from one end to the other, beside the calls that come: large reads in order, against one read of
//! the device for each block of the first gets. What rows leave of the memory gets the blocks that they are in, for scans. Nothing is
//! read when not all rows fit, since nobody knows yet what will be wanted.

use std::cell::Cell;
use std::ops::Bound;
use std::rc::Rc;

use crate::content::Content;
use crate::core::Core;
use crate::error::Result;
use crate::hot_rows::SHOWN_OF_A_WRITE;
use crate::merge::{MergeCursor, Source};
use crate::rows::{RowWriter, SPARE_PARTS};
use crate::table::BlockReader;
use crate::table_set::TableSet;
use crate::tasks::{Signal, yield_now};
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::Version;

/// Rows between two looks at what else there is to do, some 50 us: a call that waits for blocks waits for one of these at each
/// step.
const ROWS_PER_SLICE: usize = 32;

/// What a row takes beside what its table has of it: two words of its own, key and value filled up to words, and two places
/// in the index. With less, blocks get what the last rows would have needed.
const ROW_OVERHEAD: u64 = 40;

/// Fewer missing rows than one part in so many of all come by the gets of them: a walk looks at all.
const MISSING_PARTS: u64 = 16;

/// When rows are read in that are missing.
#[derive(Default)]
pub(crate) struct Warmth {
    /// Raised when many are missing.
    missing: Signal,
    /// Writes so far whose rows are not shown with them.
    unshown: Cell<u64>,
    /// Keys that the last walk met.
    met: Cell<u64>,
    /// The next walk waits for no rest.
    at_once: Cell<bool>,
}

/// What ended a walk.
enum End {
    NoMore,
    /// Other tables are in place: a row may be old by now.
    Changed,
    /// What is read in now may be hidden in a moment.
    Loading,
}

impl<T: Token> Core<T> {
    /// Before a write: its rows are hidden, and may stay so.
    pub fn miss_rows(&self, rows: &mut RowWriter, count: usize) {
        rows.miss(count as u64);
        let unshown = &self.warmth.unshown;
        unshown.set(unshown.get() + u64::from(count > SHOWN_OF_A_WRITE));
        if self.are_many(rows) {
            self.warmth.missing.raise();
        }
    }

    /// What is missing is read in without waiting for a rest.
    pub fn warm_at_once(&self) {
        if self.can_warm() {
            self.warmth.at_once.set(true);
            self.warmth.missing.raise();
        }
    }

    /// Reads in what is missing, if all rows fit: at opening, and then whenever many are missing and nothing more is loaded.
    pub async fn keep_warming(self: Rc<Self>) {
        self.miss_all();
        self.warmth.at_once.set(true);
        loop {
            let missing = &self.warmth.missing;
            missing.wait_until(|| self.can_warm()).await;
            self.rest().await;
            self.warm().await;
        }
    }

    /// Until for a while, after which an idle log would be closed, no more rows were hidden that are not shown with their
    /// write.
    async fn rest(&self) {
        let mut before = None;
        while !self.warmth.at_once.take() && before != Some(self.warmth.unshown.get()) {
            before = Some(self.warmth.unshown.get());
            let rest = self.options.idle_close_after;
            self.tasks.sleep_until(self.io.now() + rest).await;
        }
    }

    fn miss_all(&self) {
        let tables = self.tables.borrow();
        let in_tables = tables.runs.iter().map(|run| run.entries).sum::<u64>();
        let memtables = self.memtables.borrow();
        let in_memory = memtables.newest_first().map(|g| g.table.borrow().entries());
        let in_memory = in_memory.sum::<usize>() as u64;
        self.rows.borrow_mut().miss(in_tables + in_memory);
    }

    fn are_many(&self, rows: &RowWriter) -> bool {
        let all = self.warmth.met.get().max(rows.entries() as u64);
        rows.missing() * MISSING_PARTS > all
    }

    fn can_warm(&self) -> bool {
        let mut rows = self.rows.borrow_mut();
        if !self.are_many(&rows) {
            return false;
        }
        let can = self.options.warm && rows.has_room() && self.fits(&rows);
        if !can {
            // Looked at again when as many more are missing, and not with each write.
            rows.forget_missing();
        }
        can
    }

    /// Whether all rows may have room.
    fn fits(&self, rows: &RowWriter) -> bool {
        self.wanted() <= rows.remembered_bytes()
    }

    /// Memory for all rows: those of the largest run, since nobody knows how much of it is an older version of what is in
    /// others.
    fn wanted(&self) -> usize {
        let tables = self.tables.borrow();
        let runs = tables.runs.iter();
        let wanted = runs.map(|run| run.bytes + run.entries * ROW_OVERHEAD);
        wanted.max().unwrap_or(0) as usize
    }

    /// What blocks get that are read for rows.
    fn left_beside_rows(&self) -> usize {
        let wanted = self.wanted();
        let spare = wanted / (SPARE_PARTS - 1);
        // The first segment may have begun with others, and the last one is not full.
        let begun = 2 * self.rows.borrow().segment_bytes();
        let left = self.options.caches_bytes;
        left.saturating_sub(wanted + spare + begun)
    }

    async fn warm(&self) {
        self.rows.borrow_mut().forget_missing();
        let (mut last, mut met) = (None, 0);
        let left = self.left_beside_rows();
        // What cannot be read is for a get to say.
        loop {
            match self.walk_behind(&mut last, &mut met, left).await {
                Ok(End::Changed) => {}
                Ok(End::Loading) => self.rest().await,
                Ok(End::NoMore) | Err(_) => break,
            }
        }
        self.warmth.met.set(met);
    }

    /// Goes on behind the last key that was offered. Blocks that are read get what is `left` beside the rows.
    async fn walk_behind(
        &self,
        last: &mut Option<Vec<u8>>,
        met: &mut u64,
        left: usize,
    ) -> Result<End> {
        self.sort_memtables().await;
        let unshown = self.warmth.unshown.get();
        let set = Rc::clone(&*self.tables.borrow());
        let version = self.visible.get();
        let mut cursor = MergeCursor::visible(
            self.sources_of(&set, version, left),
            Moment { millis: 0, version },
        );
        let ranges = Rc::clone(&self.ranges.borrow());
        cursor = cursor.under(ranges);
        let behind = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        cursor.seek(behind).await?;
        loop {
            for _ in 0..ROWS_PER_SLICE {
                if self.closing.get() {
                    return Ok(End::NoMore);
                }
                if !Rc::ptr_eq(&set, &self.tables.borrow()) {
                    return Ok(End::Changed);
                }
                let offered = cursor.visit(|key, version, content| {
                    *met += 1;
                    let last = last.get_or_insert_default();
                    last.clear();
                    last.extend_from_slice(key);
                    match content {
                        Content::Value(value) => self.offer_resting(key, version, value),
                        // Nobody takes a row away when its time has come; and what is in blob files is no row that
                        // would be read along.
                        Content::Until(..) | Content::Removed | Content::Elsewhere(..) => true,
                    }
                });
                if offered != Some(true) {
                    return Ok(End::NoMore);
                }
                if !cursor.next_at_hand() {
                    cursor.next().await?;
                }
            }
            if unshown != self.warmth.unshown.get() {
                return Ok(End::Loading);
            }
            yield_now().await;
        }
    }

    fn sources_of(&self, set: &TableSet, at: Version, left: usize) -> Vec<Source> {
        let reader = || BlockReader::filling(self.io.clone(), Rc::clone(&self.cache), left);
        let memtables = self.memtables.borrow();
        let generations = memtables
            .newest_first()
            .filter(|generation| !generation.is_empty())
            .map(|generation| Source::memtable(Rc::clone(&generation.table)));
        let runs = set.runs.iter();
        let runs = runs.flat_map(|run| Source::run(run, at, reader));
        generations.chain(runs.flatten()).collect()
    }
}

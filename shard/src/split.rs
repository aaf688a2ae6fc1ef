//! How the memory for caches is split between rows and blocks. Both take what nobody uses. When all is taken, each of
//! them tells what more memory would have saved: rows by the keys that were asked for again after they had left, or
//! before they got in, blocks by those that came back after they were evicted. Where a byte saves clearly more, there
//! it goes, a segment of rows at a time. Blocks also borrow the memory of the second memtable, which is
//! needed only while the first is written out. Nothing here looks at a clock: the same calls make the same split.

use std::cmp::Ordering;

use crate::core::Core;
use crate::page_cache::PageCache;
use crate::rows::RowWriter;
use crate::stats::ShardStats;

/// What a read of the device costs, in calls that cross to the shard.
const DEVICE_READ: u64 = 4;

/// Each has at least one part in so many.
const PARTS_MIN: usize = 8;

/// Less than this says nothing.
const EVIDENCE_MIN: u64 = 256;

/// Rows that leave for each block that comes while there are more than there may be.
const ROWS_PER_BLOCK: usize = 128;

/// The second memtable lends a part in so many at a time.
const LENT_PARTS: usize = 16;

/// What more memory would have saved lately, in calls.
#[derive(Default)]
pub(crate) struct Split {
    /// Of the second memtable.
    lent: usize,
    by_rows: u64,
    by_blocks: u64,
    missed: u64,
    /// What this shard has of its host's frames: to begin with, what its blocks may take at most.
    frames: usize,
    /// How often frames had been wanted back when it was last looked.
    wishes: u64,
    /// What the counters were when it was last looked.
    came_back: u64,
    gets: u64,
    waited: u64,
}

impl Split {
    /// A key was asked for that more memory for rows would have had.
    pub fn missed_row(&mut self) {
        self.missed += 1;
    }

    fn look(&mut self, cache: &PageCache, stats: &ShardStats) {
        let came_back = cache.came_back() - self.came_back;
        self.came_back = cache.came_back();
        self.by_blocks += came_back * DEVICE_READ;
        // As many of the missed ones needed the device as of all.
        let (gets, waited) = (stats.gets - self.gets, stats.gets_waited - self.waited);
        (self.gets, self.waited) = (stats.gets, stats.gets_waited);
        self.by_rows += self.missed + self.missed * DEVICE_READ * waited / gets.max(1);
        self.missed = 0;
    }

    /// Whether a byte saves clearly more with the rows (greater) or with the blocks (less).
    fn compare(&self, rows: &RowWriter, cache: &PageCache) -> Ordering {
        if self.by_rows + self.by_blocks < EVIDENCE_MIN {
            return Ordering::Equal;
        }
        // Rows remember keys for as much memory as they may have, the cache as many blocks as it has.
        let by_rows = u128::from(self.by_rows) * cache.bytes().max(1) as u128;
        let by_blocks = u128::from(self.by_blocks) * rows.remembered_bytes() as u128;
        if by_rows * 4 > by_blocks * 5 {
            Ordering::Greater
        } else if by_rows * 5 < by_blocks * 4 {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }

    /// What was seen counts half from now on.
    fn forget(&mut self) {
        self.by_rows /= 2;
        self.by_blocks /= 2;
    }
}

impl<T> Core<T> {
    /// To begin with rows have their least, and blocks the rest.
    pub fn begin_split(&self) {
        self.split.borrow_mut().frames = self.options.cache_bytes;
        let least = self.rows_least();
        self.rows.borrow_mut().set_limit(least);
        self.give_rest_to_blocks();
    }

    /// Before a row is offered or shown: if it drives out another, may there be more of them?
    pub fn make_room_for_rows(&self) {
        let granted = {
            let (mut rows, cache) = (self.rows.borrow_mut(), self.cache.borrow());
            if !rows.asks_for_more() {
                return;
            }
            let mut split = self.split.borrow_mut();
            split.look(&cache, &self.stats.borrow());
            let step = rows.segment_bytes();
            let left = (self.options.caches_bytes + split.lent).saturating_sub(rows.bytes());
            let is_unused = cache.bytes() + step <= left;
            let is_worth_it = split.compare(&rows, &cache) == Ordering::Greater
                && left >= step + self.options.caches_bytes / PARTS_MIN;
            split.forget();
            let granted = is_unused || is_worth_it;
            if granted {
                let more = rows.limit() + 1;
                rows.set_limit(more);
            }
            granted
        };
        if granted {
            self.give_rest_to_blocks();
        }
    }

    /// After a block was read: if it drove out another, may there be more of them?
    pub fn make_room_for_blocks(&self) {
        self.give_frames_back();
        if !self.cache.borrow().is_full() {
            return;
        }
        if self.borrow_from_memtable() || self.take_from_rows() {
            self.give_rest_to_blocks();
        }
    }

    fn borrow_from_memtable(&self) -> bool {
        let (step, mut split) = (self.step_of_lending(), self.split.borrow_mut());
        let lend = self.options.cache_bytes > 0 && split.lent + step <= self.idle_memtable();
        if lend {
            split.lent += step;
        }
        lend
    }

    fn take_from_rows(&self) -> bool {
        let (mut rows, cache) = (self.rows.borrow_mut(), self.cache.borrow());
        if rows.shrink(ROWS_PER_BLOCK) {
            return true;
        }
        let mut split = self.split.borrow_mut();
        split.look(&cache, &self.stats.borrow());
        let is_worth_it = rows.limit() > self.rows_least_of(&rows)
            && split.compare(&rows, &cache) == Ordering::Less;
        if is_worth_it {
            split.forget();
            let less = rows.limit() - 1;
            rows.set_limit(less);
        }
        is_worth_it
    }

    /// After memtables took memory: maybe what they had lent.
    pub fn return_to_memtable(&self) {
        let lent = self.split.borrow().lent;
        if lent == 0 {
            return;
        }
        self.give_frames_back();
        let (step, idle) = (self.step_of_lending(), self.idle_memtable());
        if lent > idle {
            self.split.borrow_mut().lent = idle / step * step;
            self.give_rest_to_blocks();
        }
    }

    fn step_of_lending(&self) -> usize {
        (self.options.memtable_bytes / LENT_PARTS).max(1)
    }

    /// What the second memtable does not need now; the first one lends nothing.
    fn idle_memtable(&self) -> usize {
        let one = self.options.memtable_bytes;
        (2 * one)
            .saturating_sub(self.memtables.borrow().bytes())
            .min(one)
    }

    fn give_rest_to_blocks(&self) {
        let rows = self.rows.borrow().bytes();
        let mut split = self.split.borrow_mut();
        let rest = (self.options.caches_bytes + split.lent).saturating_sub(rows);
        let blocks = rest.min(self.options.cache_bytes + split.lent);
        self.cache.borrow_mut().set_budget(blocks);
        let before = std::mem::replace(&mut split.frames, blocks);
        drop(split);
        self.io
            .move_frames_ceiling(blocks as isize - before as isize);
        self.give_frames_back();
    }

    /// Memory that this shard or another on its thread takes from blocks is in frames of both.
    fn give_frames_back(&self) {
        let (mut cache, mut split) = (self.cache.borrow_mut(), self.split.borrow_mut());
        let wishes = self.io.wishes();
        if split.wishes != wishes {
            split.wishes = wishes;
            cache.begin_giving_back();
        }
        cache.give_back_some();
    }

    fn rows_least(&self) -> usize {
        self.rows_least_of(&self.rows.borrow())
    }

    /// Segments.
    fn rows_least_of(&self, rows: &RowWriter) -> usize {
        (self.options.caches_bytes / PARTS_MIN / rows.segment_bytes()).max(2)
    }
}

//! Rows of a shard that was just opened, or flushed on request, as at the end of a load. What fits into the memory for
//! rows is read once, from one end to the other, beside the calls that come: large reads in order, against one read of
//! the device for each block of the first gets. What rows leave of the memory gets the blocks that they are in, for scans. Nothing is
//! read when not all rows fit, since nobody knows yet what will be wanted.

use std::ops::Bound;
use std::rc::Rc;

use crate::content::Content;
use crate::core::Core;
use crate::error::Result;
use crate::merge::{MergeCursor, Source};
use crate::table::BlockReader;
use crate::table_set::TableSet;
use crate::tasks::yield_now;
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::Version;

/// Rows between two looks at what else there is to do: well under 100 us.
const ROWS_PER_SLICE: usize = 128;

/// What a row takes beside what its table has of it: two words of its own, key and value filled up to words, and six places
/// in the index. With less, blocks get what the last rows would have needed.
const ROW_OVERHEAD: u64 = 72;

/// What ended a walk.
enum End {
    NoMore,
    /// Other tables are in place: a row may be old by now.
    Changed,
}

impl<T: Token> Core<T> {
    /// Begins, if all rows fit and most are missing.
    pub fn start_warming(self: &Rc<Self>) {
        let (mut wanted, mut entries) = (0, 0);
        for table in self.tables.borrow().tables() {
            entries += table.summary().entries;
            wanted += table.summary().file_bytes + table.summary().entries * ROW_OVERHEAD;
        }
        let (room, begun, missing) = {
            let rows = self.rows.borrow();
            let most_are_missing = entries > 2 * rows.entries() as u64;
            let room = rows.remembered_bytes() as u64;
            (room, 2 * rows.segment_bytes(), most_are_missing)
        };
        if self.options.warm && missing && wanted <= room && !self.split.borrow().warming {
            self.split.borrow_mut().warming = true;
            let core = Rc::clone(self);
            // The first segment may have begun with others, and the last one is not full.
            let left = self
                .options
                .caches_bytes
                .saturating_sub(wanted as usize + begun);
            self.tasks.spawn(async move { core.warm(left).await });
        }
    }

    /// Blocks that are read get what is `left` beside the rows.
    async fn warm(self: Rc<Self>, left: usize) {
        let mut last = None;
        // What cannot be read is for a get to say.
        while let Ok(End::Changed) = self.walk_behind(&mut last, left).await {}
        self.split.borrow_mut().warming = false;
    }

    /// Goes on behind the last key that was offered.
    async fn walk_behind(&self, last: &mut Option<Vec<u8>>, left: usize) -> Result<End> {
        let set = Rc::clone(&*self.tables.borrow());
        let version = self.visible.get();
        let mut cursor = MergeCursor::visible(
            self.tables_of(&set, version, left),
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
            yield_now().await;
        }
    }

    fn tables_of(&self, set: &TableSet, at: Version, left: usize) -> Vec<Source> {
        let reader = || BlockReader::filling(self.io.clone(), Rc::clone(&self.cache), left);
        let runs = set.runs.iter();
        runs.flat_map(|run| Source::run(&run.tables, &run.from, at, reader))
            .flatten()
            .collect()
    }
}

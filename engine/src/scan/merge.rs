//! The order over all shards: a heap of the entries at the front of each shard's cursor.

use std::cmp::Ordering;
use std::task::{Context, Poll, ready};

use super::cursor::{Cursor, Reading};
use super::range::Keys;
use crate::Result;
use crate::shards::Shards;

/// What a cursor is asked for beyond its even share.
const SHARE_SPARE_PARTS: usize = 8;
const SHARE_SPARE: usize = 8;

/// On an entry, or on none.
pub(super) struct Merge {
    cursors: Vec<Cursor>,
    /// The least one first.
    heads: Vec<Head>,
    /// Cursors whose next entry is not known yet.
    headless: Vec<usize>,
    reverse: bool,
    /// Entries to come at most.
    left: usize,
    /// The first head is the entry that this is on. It leaves with the next step, so that nobody is asked for more before
    /// more is wanted.
    on_entry: bool,
}

struct Head {
    /// The key's first eight bytes as a number, all bits turned in reverse: unequal ones decide.
    start: u64,
    cursor: usize,
}

impl Merge {
    pub fn new(keys: &Keys, reading: Reading, shards: &Shards) -> Merge {
        let all = shards.routing.shards();
        let wanted = share(reading.entries, all.len());
        let cursors: Vec<Cursor> = match keys.is_empty() || reading.entries == 0 {
            true => Vec::new(),
            false => all
                .map(|shard| Cursor::new(shard, keys.clone(), reading, shards, wanted))
                .collect(),
        };
        Merge {
            heads: Vec::with_capacity(cursors.len()),
            headless: (0..cursors.len()).collect(),
            cursors,
            reverse: reading.reverse,
            left: reading.entries,
            on_entry: false,
        }
    }

    /// To the next entry if it is in hand. If not, `poll` goes on with the step.
    #[inline]
    pub fn step(&mut self) -> bool {
        if std::mem::take(&mut self.on_entry) {
            self.leave_entry();
        }
        self.headless.is_empty() && self.arrive()
    }

    #[inline]
    fn arrive(&mut self) -> bool {
        self.on_entry = self.left > 0 && !self.heads.is_empty();
        self.left -= usize::from(self.on_entry);
        self.on_entry
    }

    /// To the next entry; false at the end.
    pub fn poll(&mut self, shards: &Shards, context: &mut Context<'_>) -> Poll<Result<bool>> {
        if self.step() {
            return Poll::Ready(Ok(true));
        }
        if self.left == 0 {
            return Poll::Ready(Ok(false));
        }
        let wanted = share(self.left, self.cursors.len());
        while let Some(&cursor) = self.headless.last() {
            if self.cursors[cursor].is_at_its_turn() {
                // Keys are spread evenly: the others have little left, too, and would be waited for one by one.
                for cursor in &mut self.cursors {
                    cursor.read_ahead(shards, wanted);
                }
            }
            if ready!(self.cursors[cursor].poll(shards, wanted, context))? {
                self.heads.push(self.head(cursor));
                self.lift_last();
            }
            self.headless.pop();
        }
        Poll::Ready(Ok(self.arrive()))
    }

    /// The key and value that it is on.
    #[inline]
    pub fn entry(&self) -> Option<(&[u8], &[u8])> {
        let first = self.heads.first().filter(|_| self.on_entry)?;
        self.cursors[first.cursor].entry()
    }

    fn leave_entry(&mut self) {
        let Some(first) = self.heads.first() else {
            return;
        };
        let cursor = first.cursor;
        if self.cursors[cursor].step() {
            if self.cursors.len() == 1 {
                return;
            }
            self.heads[0] = self.head(cursor);
        } else {
            self.headless.push(cursor);
            self.heads.swap_remove(0);
        }
        self.sink_first();
    }

    fn head(&self, cursor: usize) -> Head {
        let key = self.cursors[cursor].entry().map_or(&[][..], |(key, _)| key);
        let mut start = [0; 8];
        match key.first_chunk() {
            Some(first) => start = *first,
            None => start[..key.len()].copy_from_slice(key),
        }
        let start = u64::from_be_bytes(start);
        Head {
            start: if self.reverse { !start } else { start },
            cursor,
        }
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.heads[a], &self.heads[b]);
        let whole = || {
            let key = |head: &Head| self.cursors[head.cursor].entry().map(|(key, _)| key);
            let order = key(a).cmp(&key(b));
            if self.reverse { order.reverse() } else { order }
        };
        a.start.cmp(&b.start).then_with(whole) == Ordering::Less
    }

    fn sink_first(&mut self) {
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < self.heads.len() && self.is_before(child + 1, child) {
                child += 1;
            }
            if child >= self.heads.len() || !self.is_before(child, at) {
                return;
            }
            self.heads.swap(at, child);
            at = child;
        }
    }

    fn lift_last(&mut self) {
        let mut at = self.heads.len() - 1;
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.heads.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }
}

/// Of so many entries, those that one cursor is thought to have: keys are spread evenly, and what is a little more saves
/// another page.
fn share(entries: usize, cursors: usize) -> usize {
    match cursors {
        0 | 1 => entries,
        more => {
            let even = entries / more;
            entries.min(even + even / SHARE_SPARE_PARTS + SHARE_SPARE)
        }
    }
}

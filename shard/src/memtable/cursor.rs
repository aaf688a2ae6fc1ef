//! Walks the keys of a memtable in order, either way. The cursor owns its snapshot of the order and
//! borrows the memtable only for each call: keys may be added in between and are not seen, versions
//! of seen keys may be added and are.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;

use super::Memtable;
use super::arena::{Address, Arena};
use super::order::Run;
use crate::merge::heap;

/// A position on a key of a memtable, or on none.
pub(crate) struct MemtableCursor {
    runs: Vec<Arc<Run>>,
    /// The cursor's own key, and those behind it that were taken off the heads already.
    upcoming: VecDeque<Address>,
    /// How many to take next time: few after a seek, more on a long walk.
    lookahead: usize,
    /// The runs that are not exhausted, each at its next key, as a heap.
    heads: Vec<Head>,
    backward: bool,
}

/// Keys in order lie anywhere in the arena. Taken some at a time, their memory is fetched at once
/// instead of one after the other.
const LOOKAHEAD_MAX: usize = 16;

#[derive(Clone, Copy)]
struct Head {
    prefix: u64,
    key: Address,
    skip: u32,
    run: u32,
    at: usize,
}

impl MemtableCursor {
    pub(super) fn new(runs: Vec<Arc<Run>>) -> MemtableCursor {
        MemtableCursor {
            heads: Vec::with_capacity(runs.len()),
            runs,
            upcoming: VecDeque::with_capacity(LOOKAHEAD_MAX),
            lookahead: 1,
            backward: false,
        }
    }

    /// To the first key within the lower bound `from`.
    pub fn seek(&mut self, table: &Memtable, from: Bound<&[u8]>) {
        self.backward = false;
        self.place(table, |run| run.count_before(from, &table.arena));
    }

    /// To the last key within the upper bound `to`.
    pub fn seek_back(&mut self, table: &Memtable, to: Bound<&[u8]>) {
        self.backward = true;
        // What is within an upper bound is what lies before the opposite lower bound.
        let end = match to {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Excluded(key),
            Bound::Excluded(key) => Bound::Included(key),
        };
        self.place(table, |run| match end {
            Bound::Unbounded => run.places.len().wrapping_sub(1),
            end => run.count_before(end, &table.arena).wrapping_sub(1),
        });
    }

    /// To the following key.
    pub fn next(&mut self, table: &Memtable) {
        match self.key(table) {
            Some(key) if self.backward => self.seek(table, Bound::Excluded(key)),
            _ => self.take_next(table),
        }
    }

    /// To the preceding key.
    pub fn prev(&mut self, table: &Memtable) {
        match self.key(table) {
            Some(key) if !self.backward => self.seek_back(table, Bound::Excluded(key)),
            _ => self.take_next(table),
        }
    }

    /// The key under the cursor; nothing past either end.
    #[inline]
    pub fn key<'a>(&self, table: &'a Memtable) -> Option<&'a [u8]> {
        Some(table.arena.key(*self.upcoming.front()?))
    }

    /// Its versions, newest first.
    #[cfg(test)]
    pub fn versions<'a>(
        &self,
        table: &'a Memtable,
    ) -> impl Iterator<Item = (crate::Version, crate::content::Content<'a>)> + use<'a> {
        let mut next = self.newest(table);
        std::iter::from_fn(move || {
            let record = table.arena.version(next?);
            next = table.older(next?);
            Some((record.version, record.content))
        })
    }

    /// The address of the newest version of the key under the cursor.
    #[inline]
    pub(crate) fn newest(&self, table: &Memtable) -> Option<Address> {
        Some(table.arena.head(*self.upcoming.front()?))
    }

    fn place(&mut self, table: &Memtable, at: impl Fn(&Run) -> usize) {
        self.heads.clear();
        self.upcoming.clear();
        self.lookahead = 1;
        for (index, run) in self.runs.iter().enumerate() {
            let at = at(run);
            if let Some(place) = run.places.get(at) {
                self.heads.push(Head {
                    prefix: place.prefix,
                    key: place.key,
                    skip: run.skip as u32,
                    run: index as u32,
                    at,
                });
            }
        }
        heap::heapify(&mut self.heads, before(&table.arena, self.backward));
        self.take_ahead(table);
    }

    /// One key on in the present direction.
    #[inline]
    fn take_next(&mut self, table: &Memtable) {
        self.upcoming.pop_front();
        if self.upcoming.is_empty() {
            self.take_ahead(table);
        }
    }

    fn take_ahead(&mut self, table: &Memtable) {
        while self.upcoming.len() < self.lookahead
            && let Some(head) = self.heads.first()
        {
            self.upcoming.push_back(head.key);
            self.advance(table);
        }
        self.lookahead = LOOKAHEAD_MAX.min(2 * self.lookahead);
        if self.upcoming.len() > 1 {
            let touched = self.upcoming.iter().map(|key| table.arena.touch(*key));
            black_box(touched.fold(0, u8::wrapping_add));
        }
    }

    /// Moves the first head on.
    fn advance(&mut self, table: &Memtable) {
        let order = before(&table.arena, self.backward);
        let Some(head) = self.heads.first_mut() else {
            return;
        };
        head.at = match self.backward {
            false => head.at + 1,
            true => head.at.wrapping_sub(1),
        };
        match self.runs[head.run as usize].places.get(head.at) {
            Some(place) => {
                head.prefix = place.prefix;
                head.key = place.key;
                heap::sift_down(&mut self.heads, 0, order);
            }
            None => heap::pop(&mut self.heads, order),
        }
    }
}

#[inline]
fn before(arena: &Arena, backward: bool) -> impl Fn(&Head, &Head) -> bool {
    move |a, b| {
        let (a, b) = if backward { (b, a) } else { (a, b) };
        if a.skip == b.skip && a.prefix != b.prefix {
            a.prefix < b.prefix
        } else {
            arena.key(a.key) < arena.key(b.key)
        }
    }
}

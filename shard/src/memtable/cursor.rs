//! Walks the keys of a memtable in order, either way. The cursor owns its snapshot of the order and
//! borrows the memtable only for each call: keys may be added in between and are not seen, versions
//! of seen keys may be added and are.

use std::ops::Bound;
use std::rc::Rc;

use super::Memtable;
use super::arena::{Address, Arena};
use super::order::Run;
use crate::Version;
use crate::merge::heap;

/// A position on a key of a memtable, or on none.
pub(crate) struct MemtableCursor {
    runs: Vec<Rc<Run>>,
    /// The runs that are not exhausted, each at its next key; the cursor's own key comes first.
    heads: Vec<Head>,
    backward: bool,
}

#[derive(Clone, Copy)]
struct Head {
    prefix: u64,
    key: Address,
    skip: u32,
    run: u32,
    at: usize,
}

impl MemtableCursor {
    pub(super) fn new(runs: Vec<Rc<Run>>) -> MemtableCursor {
        MemtableCursor {
            heads: Vec::with_capacity(runs.len()),
            runs,
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
            _ => self.advance(table),
        }
    }

    /// To the preceding key.
    pub fn prev(&mut self, table: &Memtable) {
        match self.key(table) {
            Some(key) if !self.backward => self.seek_back(table, Bound::Excluded(key)),
            _ => self.advance(table),
        }
    }

    /// The key under the cursor; nothing past either end.
    #[inline]
    pub fn key<'a>(&self, table: &'a Memtable) -> Option<&'a [u8]> {
        Some(table.arena.key(self.heads.first()?.key))
    }

    /// Its versions, newest first.
    pub fn versions<'a>(
        &self,
        table: &'a Memtable,
    ) -> impl Iterator<Item = (Version, Option<&'a [u8]>)> + use<'a> {
        let mut next = self.newest(table);
        std::iter::from_fn(move || {
            let record = table.arena.version(next?);
            next = table.older(next?);
            Some((record.version, record.value))
        })
    }

    /// The address of the newest version of the key under the cursor.
    #[inline]
    pub(crate) fn newest(&self, table: &Memtable) -> Option<Address> {
        Some(table.arena.head(self.heads.first()?.key))
    }

    fn place(&mut self, table: &Memtable, at: impl Fn(&Run) -> usize) {
        self.heads.clear();
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
    }

    /// One key on in the present direction.
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

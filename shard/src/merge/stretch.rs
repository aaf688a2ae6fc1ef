//! Many entries at once: the way of a scan through the blocks that its sources are in.
//!
//! A step of the merge finds out anew which source is next, copies its key, and keeps its value, for whoever may ask for it
//! later. Between two blocks nothing of that is needed: the entries go from where they lie to where they are wanted,
//! and of each only eight bytes are compared, taken behind what all keys up to the ends of the blocks have in common.

use std::cmp::Ordering;
use std::ops::Bound;

use super::Source;
use crate::Version;
use crate::content::Content;
use crate::scan_page::Pieces;
use crate::table::{Block, BlockEntry};
use crate::timeline::Moment;

/// With more sources than this the heap of single steps is better.
pub(super) const LANES_MAX: usize = 8;

/// The entries of a source up to the end of its block.
#[derive(Clone, Copy)]
struct Lane<'a> {
    source: usize,
    block: &'a Block,
    at: usize,
    /// Eight bytes of the key, behind `skip`: unequal ones decide, equal ones say nothing.
    head: u64,
}

/// A key as it lies: a block's prefix and what follows it.
#[derive(Clone, Copy)]
struct Key<'a>(&'a [u8], &'a [u8]);

/// Several sources up to the first end of a block.
pub(super) struct Stretch<'a> {
    lanes: [Lane<'a>; LANES_MAX],
    /// So many lanes there are, in this order: the one with the least entry first.
    count: usize,
    order: [u8; LANES_MAX],
    /// Bytes with which all keys of the stretch begin.
    skip: usize,
    end: Option<End<'a>>,
    /// On the last key met, which the first source is on to begin with.
    met: Lane<'a>,
    /// Values that had ended.
    pub expired: u64,
    /// Entries passed over, shown or not.
    pub passed: usize,
}

#[derive(Clone, Copy)]
struct End<'a> {
    key: &'a [u8],
    with_equal: bool,
    head: u64,
}

impl<'a> Stretch<'a> {
    /// From behind the entry that the source on top of the heap is on, up to `to` and to what is in memtables. Nothing if
    /// that source has to load a block first.
    pub fn new(sources: &'a [Source], heap: &[usize], to: Bound<&'a [u8]>) -> Option<Stretch<'a>> {
        let (block, at) = sources[*heap.first()?].in_block()?;
        if at + 1 == block.count() {
            return None;
        }
        let top = Lane {
            source: heap[0],
            block,
            at,
            head: 0,
        };
        let (mut lanes, mut count) = ([top; LANES_MAX], 1);
        let (met, mut last) = (top.key(), top.last_key());
        let mut end = match to {
            Bound::Included(key) => Some((key, true)),
            Bound::Excluded(key) => Some((key, false)),
            Bound::Unbounded => None,
        };
        for &source in &heap[1..] {
            let Some((block, at)) = sources[source].in_block() else {
                // It is in a memtable, from which a step takes it.
                let (key, _) = sources[source].position()?;
                end = end.filter(|(end, _)| *end < key).or(Some((key, false)));
                continue;
            };
            let lane = lanes.get_mut(count)?;
            *lane = Lane {
                source,
                block,
                at,
                head: 0,
            };
            count += 1;
            let lane_last = lane.last_key();
            if last.compare(lane_last).is_lt() {
                last = lane_last;
            }
        }
        let end = end.filter(|(end, _)| last.compare(Key(end, &[])).is_ge());
        // Every key of the stretch, and its end, lies between these two.
        let skip = met.in_common(last);
        let mut order = [0; LANES_MAX];
        for (at, lane) in lanes[..count].iter_mut().enumerate() {
            lane.head = lane.key().head(skip);
            order[at] = at as u8;
        }
        let mut stretch = Stretch {
            met: lanes[0],
            lanes,
            count,
            order,
            skip,
            end: end.map(|(key, with_equal)| End {
                key,
                with_equal,
                head: Key(key, &[]).head(skip),
            }),
            expired: 0,
            passed: 0,
        };
        for at in (0..count).rev() {
            stretch.sink(at);
        }
        Some(stretch)
    }

    /// Lets `take` see what a reader at `at` sees. Until it takes no more; then all sources are on entries that have not been
    /// passed, or until one has passed the last of its block: then it is this one.
    #[inline]
    pub fn run(&mut self, at: Moment, mut take: impl FnMut(Pieces<'_>) -> bool) -> Option<usize> {
        let (mut first, mut lane, mut bound) = self.first();
        loop {
            if lane.at + 1 == lane.block.count() {
                self.lanes[first] = lane;
                return Some(lane.source);
            }
            lane.at += 1;
            let mut entry = lane.entry();
            lane.head = Key(lane.block.prefix(), entry.suffix).head(self.skip);
            if lane.head >= bound || lane.head == self.met.head {
                self.lanes[first] = lane;
                self.sink(0);
                (first, lane, bound) = self.first();
                entry = lane.entry();
                let key = Key(lane.block.prefix(), entry.suffix);
                if lane.head == self.met.head && key.compare(self.met.key()).is_eq() {
                    self.passed += 1;
                    continue;
                }
                if !self.is_inside(lane.head, key) {
                    return None;
                }
            }
            if entry.version <= at.version {
                let (tail, rest) = match entry.content {
                    Content::Value(_) => (entry.tail, &[][..]),
                    Content::Until(ends, value) if ends > at.millis => (entry.suffix, value),
                    // A step takes it, for whoever fetches it.
                    Content::Elsewhere(ends, _) if ends > at.millis => {
                        self.lanes[first] = lane;
                        return None;
                    }
                    gone => {
                        self.expired += u64::from(!matches!(gone, Content::Removed));
                        self.passed += 1;
                        self.met = lane;
                        continue;
                    }
                };
                let pieces = Pieces {
                    start: lane.block.prefix(),
                    tail,
                    suffix_length: entry.suffix.len(),
                    rest,
                };
                if !take(pieces) {
                    self.lanes[first] = lane;
                    return None;
                }
                self.met = lane;
            }
            self.passed += 1;
        }
    }

    /// The lane with the least entry, and a head below which another entry of its own is the next one, and inside.
    #[inline]
    fn first(&self) -> (usize, Lane<'a>, u64) {
        let first = usize::from(self.order[0]);
        let mut bound = self.end.map_or(u64::MAX, |end| end.head);
        if self.count > 1 {
            bound = bound.min(self.lanes[usize::from(self.order[1])].head);
        }
        (first, self.lanes[first], bound)
    }

    /// The last key met, in two pieces, and its version.
    pub fn met(&self) -> (&'a [u8], &'a [u8], Version) {
        let entry = self.met.entry();
        (self.met.block.prefix(), entry.suffix, entry.version)
    }

    /// The sources and where in their blocks they are now.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lanes[..self.count]
            .iter()
            .map(|lane| (lane.source, lane.at))
    }

    #[inline]
    fn is_inside(&self, head: u64, key: Key<'_>) -> bool {
        let Some(end) = &self.end else {
            return true;
        };
        let order = head
            .cmp(&end.head)
            .then_with(|| key.compare(Key(end.key, &[])));
        order.is_lt() || (end.with_equal && order.is_eq())
    }

    /// Finds the lane at this place of the order its own among those behind it.
    #[inline]
    fn sink(&mut self, mut at: usize) {
        while at + 1 < self.count && self.is_before(self.order[at + 1], self.order[at]) {
            self.order.swap(at, at + 1);
            at += 1;
        }
    }

    /// (key ascending, version descending, newest source first).
    #[inline]
    fn is_before(&self, a: u8, b: u8) -> bool {
        let (a, b) = (&self.lanes[usize::from(a)], &self.lanes[usize::from(b)]);
        if a.head != b.head {
            return a.head < b.head;
        }
        let order = a.key().compare(b.key());
        let order = order.then_with(|| b.entry().version.cmp(&a.entry().version));
        order.then_with(|| a.source.cmp(&b.source)).is_lt()
    }
}

impl<'a> Lane<'a> {
    #[inline(always)]
    fn entry(&self) -> BlockEntry<'a> {
        self.block.entry(self.at)
    }

    #[inline]
    fn key(&self) -> Key<'a> {
        Key(self.block.prefix(), self.entry().suffix)
    }

    fn last_key(&self) -> Key<'a> {
        let last = self.block.entry(self.block.count() - 1);
        Key(self.block.prefix(), last.suffix)
    }
}

impl Key<'_> {
    fn compare(self, other: Key<'_>) -> Ordering {
        let (a, b) = (self, other);
        if a.0.len() > b.0.len() {
            return b.compare(a).reverse();
        }
        let (start, rest) = b.0.split_at(a.0.len());
        let order = a.0.cmp(start);
        if order.is_ne() || rest.is_empty() {
            return order.then_with(|| a.1.cmp(b.1));
        }
        let (start, end) = a.1.split_at(rest.len().min(a.1.len()));
        let order = start.cmp(rest);
        order.then_with(|| end.cmp(b.1))
    }

    /// How many bytes both begin with.
    fn in_common(self, other: Key<'_>) -> usize {
        let length = |key: Key<'_>| key.0.len() + key.1.len();
        let length = length(self).min(length(other));
        let mut skip = 0;
        while skip < length {
            let differing = self.head(skip) ^ other.head(skip);
            if differing != 0 {
                return length.min(skip + differing.leading_zeros() as usize / 8);
            }
            skip += 8;
        }
        length
    }

    /// Eight bytes behind the first `skip` as a big-endian number, filled up with zeros.
    #[inline]
    fn head(self, skip: usize) -> u64 {
        let Key(prefix, suffix) = self;
        if let Some(skip) = skip.checked_sub(prefix.len())
            && let Some(rest) = suffix.len().checked_sub(skip)
        {
            if let Some(bytes) = suffix[skip..].first_chunk::<8>() {
                return u64::from_be_bytes(*bytes);
            }
            // What is left is the end of the last eight.
            if let Some(bytes) = suffix.last_chunk::<8>() {
                let bits = 8 * (8 - rest as u32);
                return u64::from_be_bytes(*bytes).checked_shl(bits).unwrap_or(0);
            }
        }
        let mut bytes = [0; 8];
        let start = prefix.get(skip..).unwrap_or_default();
        let rest = suffix.get(skip.saturating_sub(prefix.len())..);
        let (to, room) = bytes.split_at_mut(start.len().min(8));
        to.copy_from_slice(&start[..to.len()]);
        let rest = rest.unwrap_or_default();
        let length = rest.len().min(room.len());
        room[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(bytes)
    }
}

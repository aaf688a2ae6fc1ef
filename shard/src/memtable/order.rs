//! The order of the keys: sorted runs of unique keys, plus a short unsorted tail of the newest ones.
//! A put pays for order only every `PIECE` new keys, when the tail is sorted and becomes a run. Runs
//! are merged as they come up to `MERGE_BY_PUT` keys and when a cursor is opened up to `MERGE_BY_CURSOR`
//! keys, which bounds both a single step and the number of runs. An overwrite adds nothing. Keys that were read
//! back from the log wait to be sorted until the database is open.
//!
//! Each entry holds eight bytes of its key, taken after the `skip` bytes that all keys up to then had
//! in common, so that most comparisons touch no key. `skip` only ever falls; runs made under
//! different ones compare by whole keys.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::ops::Bound;
use std::sync::Arc;

use super::arena::{Address, Arena};

const PIECE: usize = 1024;
const MERGE_BY_PUT: usize = 8 << 10;
const MERGE_BY_CURSOR: usize = 32 << 10;

/// One key in a run.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub prefix: u64,
    pub key: Address,
}

/// Unique keys in ascending order, all of which share their first `skip` bytes.
pub(super) struct Run {
    pub skip: usize,
    pub places: Vec<Place>,
}

#[derive(Default)]
pub(super) struct Order {
    common: Common,
    tail: Vec<Address>,
    runs: Vec<Arc<Run>>,
    waiting: Waiting,
}

/// The bytes with which all keys so far begin; nothing before the first key.
#[derive(Default)]
pub(super) struct Common(Option<Vec<u8>>);

/// Keys to be sorted later, and how many of them are.
#[derive(Default)]
struct Waiting {
    keys: Vec<Address>,
    sorted: usize,
}

impl Order {
    /// Keys that are sorted later, piece by piece, without those that were abandoned by then.
    pub fn waiting(common: Common, keys: Vec<Address>) -> Order {
        Order {
            common,
            waiting: Waiting { keys, sorted: 0 },
            ..Order::default()
        }
    }

    pub fn bytes(&self) -> usize {
        let places: usize = self.runs.iter().map(|run| run.places.capacity()).sum();
        let unsorted = self.tail.capacity() + self.waiting.keys.capacity();
        places * size_of::<Place>() + unsorted * size_of::<Address>()
    }

    /// Adds a key that was not there yet.
    pub fn add(&mut self, key: &[u8], address: Address, arena: &Arena) {
        self.common.add(key);
        self.tail.push(address);
        if self.tail.len() == PIECE {
            self.sort_tail(arena);
            self.merge_runs(MERGE_BY_PUT, arena);
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting.sorted < self.waiting.keys.len()
    }

    /// Sorts a piece of the keys that wait for it; false when none is left.
    pub fn sort_waiting(&mut self, arena: &Arena) -> bool {
        let Waiting { keys, sorted } = &mut self.waiting;
        let piece = keys[*sorted..].iter().take(PIECE);
        if piece.len() == 0 {
            self.waiting = Waiting::default();
            return false;
        }
        *sorted += piece.len();
        let piece = piece.filter(|key| arena.head(**key) != Address::NONE);
        let piece = self.common.places(piece, arena);
        if !piece.is_empty() {
            self.add_run(piece, arena);
            self.merge_runs(MERGE_BY_PUT, arena);
        }
        true
    }

    /// All keys so far, as runs that stay as they are while keys go on being added.
    pub fn runs(&mut self, arena: &Arena) -> Vec<Arc<Run>> {
        while self.sort_waiting(arena) {}
        self.sort_tail(arena);
        self.merge_runs(MERGE_BY_CURSOR, arena);
        self.runs.clone()
    }

    fn sort_tail(&mut self, arena: &Arena) {
        if !self.tail.is_empty() {
            let places = self.common.places(self.tail.iter(), arena);
            self.tail.clear();
            self.add_run(places, arena);
        }
    }

    fn add_run(&mut self, mut places: Vec<Place>, arena: &Arena) {
        let skip = self.common.bytes();
        if !places.is_sorted_by(|a, b| compare(a, b, arena).is_lt()) {
            places.sort_unstable_by(|a, b| compare(a, b, arena));
        }
        if let Some(run) = self.runs.last_mut().and_then(Arc::get_mut)
            && run.skip == skip
            && run.places.len() + places.len() <= MERGE_BY_CURSOR
            && compare(&run.places[run.places.len() - 1], &places[0], arena).is_lt()
        {
            run.places.append(&mut places);
        } else {
            self.runs.push(Arc::new(Run { skip, places }));
        }
    }

    /// Merges the smallest two runs of like size (so that few sizes remain), again and again, while
    /// the `allowance` of keys to be moved lasts.
    fn merge_runs(&mut self, mut allowance: usize, arena: &Arena) {
        self.runs.sort_by_key(|run| Reverse(run.places.len()));
        loop {
            let size = |at: usize| self.runs[at].places.len();
            let alike = |&at: &usize| size(at - 1) <= 2 * size(at);
            let Some(at) = (1..self.runs.len()).rev().find(alike) else {
                return;
            };
            let total = size(at - 1) + size(at);
            if total > allowance {
                return;
            }
            allowance -= total;
            let (smaller, larger) = (self.runs.remove(at), self.runs.remove(at - 1));
            let merged = Arc::new(merge(&larger, &smaller, self.common.bytes(), arena));
            let at = self.runs.partition_point(|run| run.places.len() >= total);
            self.runs.insert(at, merged);
        }
    }
}

impl Common {
    pub fn add(&mut self, key: &[u8]) {
        match &mut self.0 {
            None => self.0 = Some(key.to_vec()),
            Some(common) if common.is_empty() || key.starts_with(common) => {}
            Some(common) => common.truncate(common_prefix(common, key)),
        }
    }

    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }

    fn places<'a>(&self, keys: impl Iterator<Item = &'a Address>, arena: &Arena) -> Vec<Place> {
        let skip = self.bytes();
        let place = |&key: &Address| Place {
            prefix: prefix(arena.key(key), skip),
            key,
        };
        keys.map(place).collect()
    }
}

impl Run {
    /// How many keys lie before `bound`: with `Included` before that key, with `Excluded` up to and
    /// with it. `Unbounded` is before all.
    pub fn count_before(&self, bound: Bound<&[u8]>, arena: &Arena) -> usize {
        let (key, with_equal) = match bound {
            Bound::Unbounded => return 0,
            Bound::Included(key) => (key, false),
            Bound::Excluded(key) => (key, true),
        };
        let common = &arena.key(self.places[0].key)[..self.skip];
        match key[..key.len().min(self.skip)].cmp(common) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.places.len(),
            Ordering::Equal => {}
        }
        let wanted = prefix(key, self.skip);
        self.places.partition_point(|place| {
            let order = place.prefix.cmp(&wanted);
            match order.then_with(|| arena.key(place.key).cmp(key)) {
                Ordering::Less => true,
                Ordering::Equal => with_equal,
                Ordering::Greater => false,
            }
        })
    }

    /// The places with their prefixes taken after `skip` bytes.
    fn places_from(&self, skip: usize, arena: &Arena) -> Cow<'_, [Place]> {
        if self.skip == skip {
            return Cow::Borrowed(&self.places);
        }
        let place = |place: &Place| Place {
            prefix: prefix(arena.key(place.key), skip),
            key: place.key,
        };
        Cow::Owned(self.places.iter().map(place).collect())
    }
}

/// The order of two places with the same `skip`.
#[inline]
pub(super) fn compare(a: &Place, b: &Place, arena: &Arena) -> Ordering {
    let order = a.prefix.cmp(&b.prefix);
    order.then_with(|| arena.key(a.key).cmp(arena.key(b.key)))
}

fn merge(a: &Run, b: &Run, skip: usize, arena: &Arena) -> Run {
    let (a, b) = (a.places_from(skip, arena), b.places_from(skip, arena));
    let (mut a, mut b) = (&*a, &*b);
    let mut places = Vec::with_capacity(a.len() + b.len());
    while let (Some(from_a), Some(from_b)) = (a.first(), b.first()) {
        // Which one it is nobody can foresee: a choice of values costs less than a branch.
        let first = compare(from_a, from_b, arena).is_lt();
        places.push(if first { *from_a } else { *from_b });
        a = &a[usize::from(first)..];
        b = &b[usize::from(!first)..];
    }
    places.extend_from_slice(a);
    places.extend_from_slice(b);
    Run { skip, places }
}

/// Eight bytes of the key as a big-endian number. A key that ends early is filled up with zeros, so
/// equal prefixes say nothing and unequal ones decide.
#[inline]
fn prefix(key: &[u8], skip: usize) -> u64 {
    let rest = &key[skip.min(key.len())..];
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(bytes)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

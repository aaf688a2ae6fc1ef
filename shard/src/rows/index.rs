//! Buckets of entries, each one cache line. Their number grows and shrinks one at a time (linear hashing), so that no
//! step takes long and the index is no larger than its rows need.
//!
//! With `n` buckets some bits belong to the bucket of their low ones below the next power of two, or, where that is not
//! there yet, to the one without the highest of these. So one more bucket takes from one other, and until its turn has come
//! a bucket has twice as many entries as one whose turn was. Therefore a hash has two homes, of bits that have nothing to do
//! with each other: an entry is in the first, or, if that was full, in the second.
//!
//! Readers may look in the bucket of a number that has just changed and find nothing: they ask the shard. They never find
//! what was removed: an entry leaves its old place within the step that moved it, before anything else happens to it.

use crossbeam_utils::CachePadded;

use super::atomics::{AtomicU64, Ordering, Words};
use super::entry::{EMPTY, Entry};

/// Entries of a bucket: one cache line.
pub(super) const WAYS: usize = 8;

/// One of the two buckets of a hash.
#[derive(Clone, Copy)]
pub(super) enum Home {
    First,
    Second,
}

pub(super) const HOMES: [Home; 2] = [Home::First, Home::Second];

impl Home {
    /// What chooses the bucket.
    #[inline]
    fn bits(self, hash: u64) -> usize {
        // Of a product the upper half depends on all bits below.
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = match self {
            Home::First => hash,
            Home::Second => hash.wrapping_mul(ODD),
        };
        (hash >> 32) as usize
    }
}

pub(super) struct Index {
    places: Words,
    /// Buckets in use. Written by the writer alone.
    buckets: CachePadded<AtomicU64>,
}

impl Index {
    /// One bucket in use, unless there shall be none.
    pub fn new(buckets_max: usize) -> Option<Index> {
        Some(Index {
            places: Words::zeroes(buckets_max * WAYS)?,
            buckets: CachePadded::new(AtomicU64::new(buckets_max.min(1) as u64)),
        })
    }

    /// Where a hash may be, as of now; none without memory.
    #[inline]
    pub fn home(&self, home: Home, hash: u64) -> &[AtomicU64] {
        // Acquire: what was moved into a new bucket is there.
        let buckets = self.buckets.load(Ordering::Acquire) as usize;
        let start = bucket_of(home.bits(hash), buckets) * WAYS;
        self.places.get(start..start + WAYS).unwrap_or_default()
    }

    /// All places where a hash may be, as of now.
    #[inline]
    pub fn places(&self, hash: u64) -> impl Iterator<Item = &AtomicU64> {
        HOMES
            .into_iter()
            .flat_map(move |home| self.home(home, hash))
    }

    pub fn buckets(&self) -> usize {
        self.buckets.load(Ordering::Relaxed) as usize
    }

    pub fn buckets_max(&self) -> usize {
        self.places.len() / WAYS
    }

    /// Where a new entry goes, and whether that was free: a free place; that of an entry which can go to its other home; or
    /// that of one that nobody reads, or of the oldest. Only for the writer.
    pub fn place_for(&self, hash: u64, hash_of: impl Fn(Entry) -> u64) -> (&AtomicU64, bool) {
        let entry = |place: &AtomicU64| Entry(place.load(Ordering::Relaxed));
        let free = |hash| self.places(hash).find(|place| entry(place).is_empty());
        if let Some(place) = free(hash) {
            return (place, true);
        }
        for place in self.places(hash) {
            let here = entry(place);
            if let Some(other) = free(hash_of(here)) {
                other.store(here.0, Ordering::Release);
                return (place, true);
            }
        }
        let rank = |place: &&AtomicU64| (entry(place).is_visited(), entry(place).position());
        let worst = self.places(hash).min_by_key(rank);
        (worst.expect("a bucket has places"), false)
    }

    /// One more bucket. `hash_of` tells the hash of an entry's row. Only for the writer.
    pub fn split(&self, hash_of: impl Fn(Entry) -> u64) {
        let new = self.buckets();
        let (old_places, new_places) = (self.at(twin(new)), self.at(new));
        let mut moves = [false; WAYS];
        for (at, place) in old_places.iter().enumerate() {
            let entry = Entry(place.load(Ordering::Relaxed));
            moves[at] = !entry.is_empty() && goes_to(hash_of(entry), new);
            let stays_or_moves = if moves[at] { entry } else { EMPTY };
            new_places[at].store(stays_or_moves.0, Ordering::Release);
        }
        self.buckets.store(new as u64 + 1, Ordering::Release);
        for (place, _) in old_places.iter().zip(moves).filter(|(_, moved)| *moved) {
            place.store(EMPTY.0, Ordering::Release);
        }
    }

    /// One bucket less; how many entries found no room in its twin. Only for the writer.
    pub fn merge(&self) -> usize {
        let last = self.buckets() - 1;
        let (old_places, new_places) = (self.at(last), self.at(twin(last)));
        let mut free = new_places
            .iter()
            .filter(|place| Entry(place.load(Ordering::Relaxed)).is_empty());
        let mut lost = 0;
        for place in old_places {
            let entry = Entry(place.load(Ordering::Relaxed));
            if entry.is_empty() {
                continue;
            }
            match free.next() {
                Some(room) => room.store(entry.0, Ordering::Release),
                None => lost += 1,
            }
        }
        self.buckets.store(last as u64, Ordering::Release);
        for place in old_places {
            place.store(EMPTY.0, Ordering::Release);
        }
        // In whole pages; what is less than one stays.
        const PAGE_BUCKETS: usize = 4096 / (WAYS * size_of::<u64>());
        if last.is_multiple_of(PAGE_BUCKETS) {
            let end = self.places.len().min((last + PAGE_BUCKETS) * WAYS);
            self.places.release(last * WAYS..end);
        }
        lost
    }

    fn at(&self, bucket: usize) -> &[AtomicU64] {
        &self.places[bucket * WAYS..][..WAYS]
    }
}

/// Whether an entry moves from its bucket when there is `new`, its twin.
fn goes_to(hash: u64, new: usize) -> bool {
    let twin = twin(new);
    let mut homes = HOMES.into_iter().map(|home| home.bits(hash));
    // Should both be here, either will do.
    let here = homes.find(|bits| bucket_of(*bits, new) == twin);
    here.is_some_and(|bits| bucket_of(bits, new + 1) == new)
}

/// The bucket of some bits among so many.
#[inline]
fn bucket_of(bits: usize, buckets: usize) -> usize {
    let mask = usize::MAX >> (buckets.saturating_sub(1) | 1).leading_zeros();
    let bucket = bits & mask;
    if bucket < buckets {
        bucket
    } else {
        bucket & mask >> 1
    }
}

/// The bucket that had a bucket's entries before there was that one.
fn twin(bucket: usize) -> usize {
    bucket ^ 1 << bucket.ilog2()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_more_bucket_takes_from_its_twin_alone() {
        for buckets in 1..70 {
            for bits in 0..300 {
                let (before, after) = (bucket_of(bits, buckets), bucket_of(bits, buckets + 1));
                assert!(before < buckets);
                if after != before {
                    assert_eq!((after, before), (buckets, twin(buckets)));
                }
            }
        }
    }

    #[test]
    fn what_is_there_is_found_while_the_number_changes() {
        let index = Index::new(64).expect("memory");
        // Entries whose position tells their hash.
        let hash_of = |entry: Entry| entry.position() << 32;
        let find = |number: u64| {
            let wanted = Entry::new(number << 32, number);
            let mut places = index.places(number << 32);
            places.any(|place| place.load(Ordering::Relaxed) == wanted.0)
        };
        for number in 1..=60 {
            while index.buckets() * WAYS < 2 * number as usize {
                index.split(hash_of);
            }
            let mut places = index.places(number << 32);
            let free = places.find(|place| place.load(Ordering::Relaxed) == 0);
            let entry = Entry::new(number << 32, number);
            free.expect("room").store(entry.0, Ordering::Relaxed);
            assert!((1..=number).all(find), "{number}");
        }
        let mut lost = 0;
        while index.buckets() > 1 {
            lost += index.merge();
            assert_eq!((1..=60).filter(|number| !find(*number)).count(), lost);
        }
        assert_eq!(lost, 60 - WAYS);
    }
}

//! Buckets of entries, each one cache line. Their number grows and shrinks one at a time (linear hashing), so that no
//! step takes long and the index is no larger than its rows need.
//!
//! With `n` buckets a hash belongs to the bucket of its low bits below the next power of two, or, where that is not
//! there yet, to the one without the highest of these bits. So one more bucket takes from one other. Readers may look
//! in the bucket of a number that has just changed and find nothing: they ask the shard. They never find what was
//! removed: an entry leaves its old bucket within the step that moved it, before anything else happens to it.

use crossbeam_utils::CachePadded;

use super::atomics::{AtomicU64, Ordering, Words};
use super::entry::{EMPTY, Entry};

/// Entries of a bucket: one cache line.
pub(super) const WAYS: usize = 8;

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
    pub fn bucket(&self, hash: u64) -> &[AtomicU64] {
        // Acquire: what was moved into a new bucket is there.
        let buckets = self.buckets.load(Ordering::Acquire) as usize;
        let start = bucket_of(hash, buckets) * WAYS;
        self.places.get(start..start + WAYS).unwrap_or_default()
    }

    pub fn buckets(&self) -> usize {
        self.buckets.load(Ordering::Relaxed) as usize
    }

    pub fn buckets_max(&self) -> usize {
        self.places.len() / WAYS
    }

    /// One more bucket. `hash_of` tells the hash of an entry's row. Only for the writer.
    pub fn split(&self, hash_of: impl Fn(Entry) -> u64) {
        let new = self.buckets();
        let (old_places, new_places) = (self.at(twin(new)), self.at(new));
        let mut moves = [false; WAYS];
        for (at, place) in old_places.iter().enumerate() {
            let entry = Entry(place.load(Ordering::Relaxed));
            moves[at] = !entry.is_empty() && bucket_of(hash_of(entry), new + 1) == new;
            let stays_or_moves = if moves[at] { entry } else { EMPTY };
            new_places[at].store(stays_or_moves.0, Ordering::Release);
        }
        self.buckets.store(new as u64 + 1, Ordering::Release);
        for (place, _) in old_places.iter().zip(moves).filter(|(_, moved)| *moved) {
            place.store(EMPTY.0, Ordering::Release);
        }
    }

    /// One bucket less; how many entries found no room in the other. Only for the writer.
    pub fn merge(&self) -> usize {
        let last = self.buckets() - 1;
        let (old_places, new_places) = (self.at(last), self.at(twin(last)));
        let mut free = new_places
            .iter()
            .filter(|place| Entry(place.load(Ordering::Relaxed)).is_empty());
        let mut lost = 0;
        for place in old_places {
            let entry = Entry(place.load(Ordering::Relaxed));
            match (entry.is_empty(), free.next()) {
                (true, _) => {}
                (false, Some(room)) => room.store(entry.0, Ordering::Release),
                (false, None) => lost += 1,
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

/// The bucket of a hash among so many.
#[inline]
fn bucket_of(hash: u64, buckets: usize) -> usize {
    let bits = (hash >> 32) as usize;
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
            for bits in 0..300_u64 {
                let hash = bits << 32;
                let (before, after) = (bucket_of(hash, buckets), bucket_of(hash, buckets + 1));
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
            let mut places = index.bucket(number << 32).iter();
            places.any(|place| place.load(Ordering::Relaxed) == wanted.0)
        };
        for number in 1..=60 {
            while index.buckets() * WAYS < 2 * number as usize {
                index.split(hash_of);
            }
            let mut places = index.bucket(number << 32).iter();
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

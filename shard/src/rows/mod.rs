//! Hot rows that any thread reads without asking the shard.
//!
//! The shard's thread is the only writer. Rows lie in a ring of words, one behind the other, under positions that
//! only grow; an index of small buckets leads to them. Readers take no lock and write nothing but one bit:
//!
//! 1. A reader loads an entry of the index (acquire), and so sees at least the row that the entry was stored for.
//! 2. It copies the row word by word, then looks at `reserved`, the position up to which the writer may have begun to
//!    write. If that has come round to the row, what was copied may be torn: it is thrown away, and the shard is asked.
//!    The writer moves `reserved` before it overwrites, with a release fence between; the reader has an acquire fence
//!    between its copy and its look. So a reader that saw one overwritten word sees the new `reserved` too.
//! 3. The answer was true when the entry was loaded, which lies between call and return.
//!
//! What keeps it true is the shard: it removes a key's entry before a newer version of the key can be seen by anybody,
//! and shows a row only when that is the newest version of its key, nothing about the key is undecided, and whatever
//! the shard has told others because of it is on its way.

mod atomics;
mod counters;
mod entry;
#[cfg(all(test, not(loom)))]
mod tests;
mod writer;

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use atomics::{AtomicU64, Ordering, fence, zeroes};
use counters::Counters;
use entry::{Entry, VISITED, bucket};

pub use counters::RowReads;
pub use writer::RowWriter;

/// Entries of a bucket: one cache line.
const WAYS: usize = 8;

/// Words before a row's key: the lengths of key (low half) and value (high half), then the hash.
const HEAD_WORDS: usize = 2;

/// A row larger than this stays in the page cache: copying it costs more than asking.
const ROW_WORDS_MAX: usize = 1 << 11;

/// The readers' side.
pub struct Rows {
    /// Buckets of `WAYS` entries.
    index: Box<[AtomicU64]>,
    ring: Box<[AtomicU64]>,
    /// The writer may have begun to write up to this position. All ones once it is gone.
    reserved: CachePadded<AtomicU64>,
    counters: Counters,
}

/// What came of copying a row.
enum Copied {
    Row,
    OtherKey,
    /// The ring has come round to it.
    Gone,
}

impl Rows {
    /// An empty cache in so many bytes, and the one who may write to it.
    pub fn new(bytes: usize) -> (Arc<Rows>, RowWriter) {
        // One eighth for the index, a place for every 64 bytes; one sixteenth for the writer's memory of keys seen
        // once; the rest for rows.
        let buckets = bytes / 8 / (WAYS * size_of::<u64>());
        let ghosts = bytes / 16 / size_of::<u16>();
        let ring_words = if buckets == 0 { 0 } else { bytes / 16 * 13 / 8 };
        Rows::sized(buckets, ring_words, ghosts)
    }

    /// The same in numbers of its parts.
    pub fn sized(buckets: usize, ring_words: usize, ghosts: usize) -> (Arc<Rows>, RowWriter) {
        let rows = Rows {
            index: zeroes(buckets * WAYS),
            ring: zeroes(ring_words),
            reserved: CachePadded::new(AtomicU64::new(0)),
            counters: Counters::default(),
        };
        RowWriter::over(rows, ghosts)
    }

    /// The value of a key, appended to `value`, if it is here. `hash` is the key's XXH3, the same that chose the shard.
    #[inline]
    pub fn read(&self, hash: u64, key: &[u8], value: &mut Vec<u8>) -> bool {
        let tag = Entry::tag(hash);
        for place in self.bucket(hash) {
            let entry = Entry(place.load(Ordering::Acquire));
            if !entry.may_be(tag) {
                continue;
            }
            match self.copy(entry.position(), key, value) {
                Copied::Row => {
                    if !entry.is_visited() {
                        // Should the place have got another row by now, that one is kept a little longer for nothing.
                        place.fetch_or(VISITED, Ordering::Relaxed);
                    }
                    self.counters.hit();
                    return true;
                }
                Copied::OtherKey => {}
                Copied::Gone => self.counters.lost(),
            }
        }
        false
    }

    /// What readers found so far.
    pub fn reads(&self) -> RowReads {
        self.counters.sum()
    }

    fn bucket(&self, hash: u64) -> &[AtomicU64] {
        let buckets = self.index.len() / WAYS;
        // Without memory there are no buckets, and no entries in none of them.
        let start = bucket(hash, buckets) * WAYS;
        &self.index[start..self.index.len().min(start + WAYS)]
    }

    #[inline]
    fn copy(&self, position: u64, key: &[u8], value: &mut Vec<u8>) -> Copied {
        let start = (position % self.ring.len() as u64) as usize;
        let before = value.len();
        let copied = self.copy_words(&self.ring[start..], key, value);
        fence(Ordering::Acquire);
        let reserved = self.reserved.load(Ordering::Relaxed);
        if reserved > position + self.ring.len() as u64 {
            value.truncate(before);
            return Copied::Gone;
        }
        copied
    }

    /// Any word may be of another row by now: nothing here is believed until `reserved` has been looked at.
    fn copy_words(&self, words: &[AtomicU64], key: &[u8], value: &mut Vec<u8>) -> Copied {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (key_bytes, value_bytes) = lengths(load(&words[0]));
        let value_from = HEAD_WORDS + key.len().div_ceil(8);
        let value_words = value_bytes.div_ceil(8);
        if key_bytes != key.len()
            || value_words > ROW_WORDS_MAX
            || value_from + value_words > words.len()
        {
            return Copied::OtherKey;
        }
        for (word, part) in words[HEAD_WORDS..value_from].iter().zip(key.chunks(8)) {
            if load(word) != word_of(part) {
                return Copied::OtherKey;
            }
        }
        // Not a byte more: a caller whose memory just holds the value is promised that nothing is allocated.
        value.reserve(value_bytes);
        let (whole, rest) = words[value_from..][..value_words].split_at(value_bytes / 8);
        for word in whole {
            value.extend_from_slice(&load(word).to_le_bytes());
        }
        if let Some(word) = rest.first() {
            value.extend_from_slice(&load(word).to_le_bytes()[..value_bytes % 8]);
        }
        Copied::Row
    }
}

/// Lengths of key and value in a row's first word.
fn lengths(word: u64) -> (usize, usize) {
    (word as u32 as usize, (word >> 32) as usize)
}

/// Up to eight bytes as a word, filled up with zeros.
fn word_of(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*whole);
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

//! Hot rows that any thread reads without asking the shard.
//!
//! Whoever drives the shard is the only writer. Rows lie in segments of words, one behind the other, under positions that
//! only grow; an index of small buckets leads to them. Readers take no lock and write nothing but one bit:
//!
//! 1. A reader loads an entry of the index (acquire), and so sees at least the row that the entry was stored for.
//! 2. It loads the row's first word (acquire), and asks the shard if that says that the row is hidden. It copies the row
//!    word by word, then looks at `kept_from`: memory of rows below that position may be another's by
//!    now, or the system's. If the row is one of these, or its first word has changed, what was copied may be torn: it is
//!    thrown away, and the shard is
//!    asked. The writer moves `kept_from` before it gives a segment's memory away, and hides a row before it writes over it,
//!    with a release fence between; the
//!    reader has an acquire fence between its copy and its look. So a reader that saw one word of somebody else sees the
//!    new `kept_from` too, or the new first word.
//! 3. The answer was true when the first word was loaded, which lies between call and return.
//!
//! A row is written over where it lies if it takes as many words as before: nothing is dead then, and nothing has to
//! move. Its first word counts how often that was (`head`), so that no word comes again under one position.
//!
//! A range of keys is removed in steps. From before the first one until after the last one `kept_from` is all ones, and
//! readers, who look at it before they load an entry, too, find nothing: so one that knows of the removal sees either the
//! ones or what the last step has left.
//!
//! How much memory there is plays no part in this, so it may change: a segment more is one that was never used, and one
//! less is one whose memory is given away to nobody.
//!
//! What keeps the answer true is the shard: it removes a key's entry, or hides its row, before a newer version of the key can be seen by
//! anybody, and shows a row only when that is the newest version of its key, nothing about the key is undecided, and
//! whatever the shard has told others because of it is on its way.

mod atomics;
mod cleaning;
mod counters;
mod entry;
mod head;
mod index;
mod removal;
mod ring;
#[cfg(all(test, not(loom)))]
mod tests;
mod writer;

use std::sync::Arc;

use crossbeam_utils::CachePadded;

use atomics::{AtomicU64, Ordering, fence};
use counters::Counters;
use entry::{Entry, VISITED};
use head::{HEAD_WORDS, Head};
use index::{HOMES, Index, WAYS};
use ring::Ring;

pub use cleaning::SPARE_PARTS;
pub use counters::RowReads;
pub use writer::RowWriter;

/// In `kept_from`: readers have to ask the shard, for a while or for good.
const NOT_NOW: u64 = u64::MAX;

/// A row larger than this stays in the page cache: copying it costs more than asking.
const ROW_WORDS_MAX: usize = 1 << 11;

/// A segment is one huge page at most; a small cache has so many of them.
const SEGMENT_BYTES_MAX: usize = 2 << 20;
const SEGMENT_BYTES_MIN: usize = 256;
const SEGMENTS_OF_SMALL: usize = 32;

/// For each so many bytes of rows one of index, with rows of a hundred bytes and more; and at most, with tiny ones.
const INDEX_PARTS: usize = 8;
const INDEX_PARTS_OF_TINY: usize = 2;

/// For each so many bytes one key is remembered that was asked for: about as many as there may be rows.
const GHOST_PER_BYTES: usize = 128;

/// The readers' side.
pub struct Rows {
    index: Index,
    ring: Ring,
    /// Rows below this position are gone. All ones once the writer is.
    kept_from: CachePadded<AtomicU64>,
    counters: Counters,
}

/// What came of copying a row.
enum Copied {
    Row(Head),
    /// None of this key, or it is hidden.
    Other,
    Gone,
}

/// A row that a reader has copied.
struct Seen {
    entry: Entry,
    head: Head,
}

impl Rows {
    /// An empty cache that may use so many bytes, and the one who may write to it.
    pub fn new(bytes_max: usize) -> (Arc<Rows>, RowWriter) {
        let ghosts = bytes_max / GHOST_PER_BYTES;
        let rest = bytes_max - ghosts * size_of::<u16>();
        let segment = (bytes_max / SEGMENTS_OF_SMALL).max(1);
        let segment = (1_usize << segment.ilog2()).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let segments = rest / (segment + segment / INDEX_PARTS);
        Rows::sized(segments, segment / size_of::<u64>(), ghosts)
    }

    /// The same in numbers of its parts: segments, words of each, a power of two, and keys remembered.
    pub fn sized(segments: usize, segment_words: usize, ghosts: usize) -> (Arc<Rows>, RowWriter) {
        // One is filled while another is emptied.
        let segments = if segments < 2 { 0 } else { segments };
        let buckets = (segments * segment_words / INDEX_PARTS_OF_TINY).div_ceil(WAYS);
        let make = |segments, buckets| {
            Some(Rows {
                index: Index::new(buckets)?,
                ring: Ring::new(segments, segment_words)?,
                kept_from: CachePadded::new(AtomicU64::new(0)),
                counters: Counters::default(),
            })
        };
        // Without addresses for it, there is no cache.
        let rows = make(segments, buckets).or_else(|| make(0, 0));
        let rows = rows.expect("nothing takes no memory");
        let ghosts = match rows.ring.segments() {
            0 => 0,
            _ => ghosts,
        };
        RowWriter::over(rows, ghosts)
    }

    /// The value of a key, appended to `value`, if it is here. `hash` is the key's XXH3, the same that chose the shard.
    #[inline]
    pub fn read(&self, hash: u64, key: &[u8], value: &mut Vec<u8>) -> bool {
        self.find(hash, key, value).is_some()
    }

    /// The values of several keys at one instant, each in a vector of its own, or nothing unless all are here, and none is about to
    /// be replaced: a snapshot that was taken since would have what comes, and not what another shard has shown since.
    pub fn read_all<'k>(
        all: impl Iterator<Item = (&'k Rows, u64, &'k [u8])> + Clone,
    ) -> Option<Vec<Vec<u8>>> {
        let mut seen = Vec::with_capacity(all.size_hint().0);
        let mut values = Vec::with_capacity(all.size_hint().0);
        for (rows, hash, key) in all.clone() {
            let mut value = Vec::new();
            seen.push(rows.find(hash, key, &mut value)?);
            values.push(value);
        }
        // Positions never come again, and neither do first words at one position. So what still is as it was has been so all
        // the time, and between this loop and the one above all were. The word comes first: as long as there is an entry the
        // memory is the row's.
        let is_there = |((rows, hash, _), seen): ((&Rows, u64, _), &Seen)| {
            // Acquire, as in `find`: what is being removed may still be where it was.
            let may_look = rows.kept_from.load(Ordering::Acquire) != NOT_NOW;
            let position = seen.entry.position();
            let is_same = rows.ring.at(position)[0].load(Ordering::Acquire) == seen.head.0;
            let entry = |place: &AtomicU64| Entry(place.load(Ordering::Acquire));
            let mut places = rows.index.places(hash);
            let is_latest = is_same && !seen.head.is_outdated();
            may_look && is_latest && places.any(|place| entry(place).position() == position)
        };
        fence(Ordering::Acquire);
        all.zip(&seen).all(is_there).then_some(values)
    }

    /// What readers found so far.
    pub fn reads(&self) -> RowReads {
        self.counters.sum()
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8], value: &mut Vec<u8>) -> Option<Seen> {
        // Acquire: whoever finds that a removal has ended sees the entries that it took away.
        if self.kept_from.load(Ordering::Acquire) == NOT_NOW {
            return None;
        }
        let mut homes = HOMES.into_iter();
        homes.find_map(|home| self.find_in(self.index.home(home, hash), hash, key, value))
    }

    #[inline]
    fn find_in(
        &self,
        bucket: &[AtomicU64],
        hash: u64,
        key: &[u8],
        value: &mut Vec<u8>,
    ) -> Option<Seen> {
        let tag = Entry::tag(hash);
        for place in bucket {
            let entry = Entry(place.load(Ordering::Acquire));
            if !entry.may_be(tag) {
                continue;
            }
            match self.copy(entry.position(), key, value) {
                Copied::Row(head) => {
                    if !entry.is_visited() {
                        // Should the place have got another row by now, that one is kept a little longer for nothing.
                        place.fetch_or(VISITED, Ordering::Relaxed);
                    }
                    self.counters.hit();
                    return Some(Seen { entry, head });
                }
                Copied::Other => {}
                Copied::Gone => self.counters.lost(),
            }
        }
        None
    }

    #[inline]
    fn copy(&self, position: u64, key: &[u8], value: &mut Vec<u8>) -> Copied {
        let before = value.len();
        let words = self.ring.at(position);
        // Acquire: what was written before this word was.
        let head = Head(words[0].load(Ordering::Acquire));
        if head.is_hidden() {
            return Copied::Other;
        }
        let is_its = copy_words(words, head, key, value);
        fence(Ordering::Acquire);
        if position < self.kept_from.load(Ordering::Relaxed)
            || words[0].load(Ordering::Relaxed) != head.0
        {
            value.truncate(before);
            return Copied::Gone;
        }
        match is_its {
            true => Copied::Row(head),
            false => Copied::Other,
        }
    }
}

/// False where that is not the key. Any word may be of another row by now: nothing here is believed until `kept_from` and
/// the first word have been looked at.
#[inline]
fn copy_words(words: &[AtomicU64], head: Head, key: &[u8], value: &mut Vec<u8>) -> bool {
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let Some((key_bytes, value_bytes)) = head.lengths() else {
        return false;
    };
    let value_from = HEAD_WORDS + key.len().div_ceil(8);
    let value_words = value_bytes.div_ceil(8);
    if key_bytes != key.len()
        || value_words > ROW_WORDS_MAX
        || value_from + value_words > words.len()
    {
        return false;
    }
    for (word, part) in words[HEAD_WORDS..value_from].iter().zip(key.chunks(8)) {
        if load(word) != word_of(part) {
            return false;
        }
    }
    // Not a byte more: a caller whose memory just holds the value is promised that nothing is allocated.
    value.reserve(value_bytes);
    let mut left = value_bytes;
    // A cache line at a time: growing the vector costs more than a word.
    for line in words[value_from..value_from + value_words].chunks(8) {
        let mut bytes = [0; 64];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(line) {
            *bytes = load(word).to_le_bytes();
        }
        let taken = left.min(bytes.len());
        value.extend_from_slice(&bytes[..taken]);
        left -= taken;
    }
    true
}

/// Up to eight bytes as a word, filled up with zeros.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*whole);
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

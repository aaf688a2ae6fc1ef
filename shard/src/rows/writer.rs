//! The writer's side: which rows are in the ring, and which leave it.
//!
//! The ring is a queue. When it comes round, a row that was read since it was written goes to the front once more; the
//! others leave. While the ring has free room every row gets in; later only one that is asked for a second time, or one
//! that was here when its key was written over: a walk over everything takes no room from what is hot.

use std::sync::Arc;

use super::atomics::{Ordering, fence};
use super::entry::{EMPTY, Entry};
use super::{HEAD_WORDS, ROW_WORDS_MAX, Rows, WAYS, lengths, word_of};

/// So many rows may stay for each new one: bounds the work of one insertion.
const SECOND_CHANCES: usize = 4;

/// In the place of the key's length: nothing but the way to the end of the ring.
const FILLER: u64 = u32::MAX as u64;

/// The only one who changes the rows. Dropped, it leaves none.
pub struct RowWriter {
    rows: Arc<Rows>,
    /// The next row goes here.
    head: u64,
    /// The oldest row.
    tail: u64,
    /// Tags of keys asked for once, by hash.
    ghosts: Box<[u16]>,
    /// The row being written, and those that get a second chance; kept for their memory.
    row: Vec<u64>,
    staying: Vec<u64>,
    inserted: u64,
}

impl RowWriter {
    pub(super) fn over(rows: Rows, ghosts: usize) -> (Arc<Rows>, RowWriter) {
        // Positions begin behind zero, which stands for no row.
        let start = rows.ring.len() as u64;
        rows.reserved.store(start, Ordering::Relaxed);
        let rows = Arc::new(rows);
        let writer = RowWriter {
            rows: Arc::clone(&rows),
            head: start,
            tail: start,
            ghosts: vec![0; ghosts].into(),
            row: Vec::new(),
            staying: Vec::new(),
            inserted: 0,
        };
        (rows, writer)
    }

    /// For readers.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// Rows written so far.
    pub fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Whether a row that was just asked for shall be shown.
    pub fn admits(&mut self, hash: u64, key: &[u8], value: &[u8]) -> bool {
        let words = HEAD_WORDS + key.len().div_ceil(8) + value.len().div_ceil(8);
        if words > ROW_WORDS_MAX.min(self.rows.ring.len() / 16) {
            return false;
        }
        let first_round = self.head + words as u64 <= 2 * self.rows.ring.len() as u64;
        let seen = self.ghost(hash);
        let tag = ghost_tag(hash);
        first_round || std::mem::replace(seen, tag) == tag
    }

    /// Shows a row that was admitted.
    pub fn show(&mut self, hash: u64, key: &[u8], value: &[u8]) {
        self.clear(hash);
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row.push(key.len() as u64 | (value.len() as u64) << 32);
        row.push(hash);
        row.extend(key.chunks(8).map(word_of));
        row.extend(value.chunks(8).map(word_of));
        self.append(&row, SECOND_CHANCES);
        self.row = row;
        self.inserted += 1;
        self.let_stay();
    }

    /// Before a newer version of this key can be seen: takes away what readers could still find.
    pub fn remove(&mut self, hash: u64) {
        if self.clear(hash) {
            *self.ghost(hash) = ghost_tag(hash);
        }
    }

    /// By tag alone: one row in thousands goes for another's sake.
    fn clear(&self, hash: u64) -> bool {
        let tag = Entry::tag(hash);
        let mut found = false;
        for place in self.rows.bucket(hash) {
            if Entry(place.load(Ordering::Relaxed)).may_be(tag) {
                place.store(EMPTY.0, Ordering::Release);
                found = true;
            }
        }
        found
    }

    fn append(&mut self, row: &[u64], second_chances: usize) {
        let length = self.rows.ring.len() as u64;
        let to_end = length - self.head % length;
        if row.len() as u64 <= to_end {
            self.make_room(row.len() as u64, second_chances);
        } else {
            self.make_room(to_end, second_chances);
            self.write(&[FILLER | to_end << 32]);
            self.head += to_end;
            self.make_room(row.len() as u64, second_chances);
        }
        self.write(row);
        let hash = row[1];
        let entry = Entry::new(hash, self.head);
        self.head += row.len() as u64;
        self.place(hash).store(entry.0, Ordering::Release);
    }

    /// Where a new entry of this bucket goes: a free place, one whose row is gone, one that nobody reads, any.
    fn place(&self, hash: u64) -> &super::AtomicU64 {
        let bucket = self.rows.bucket(hash);
        let rank = |at: &usize| {
            let entry = Entry(bucket[*at].load(Ordering::Relaxed));
            let in_use = !entry.is_empty() && entry.position() >= self.tail;
            (in_use, entry.is_visited(), entry.position())
        };
        let at = (0..WAYS).min_by_key(rank).expect("a bucket has places");
        &bucket[at]
    }

    /// Lets the oldest rows go until `words` more fit, and tells readers before they are overwritten.
    fn make_room(&mut self, words: u64, second_chances: usize) {
        let length = self.rows.ring.len() as u64;
        let mut chances = second_chances;
        while self.head + words > self.tail + length {
            let stays = self.drop_oldest(chances > 0);
            chances -= usize::from(stays);
        }
        self.rows
            .reserved
            .store(self.head + words, Ordering::Relaxed);
        // Pairs with the reader's fence: whoever sees a word written below sees `reserved` as well.
        fence(Ordering::Release);
    }

    /// True when the row gets a second chance.
    fn drop_oldest(&mut self, may_stay: bool) -> bool {
        let start = (self.tail % self.rows.ring.len() as u64) as usize;
        let word = |at: usize| self.rows.ring[start + at].load(Ordering::Relaxed);
        let (key_bytes, value_bytes) = lengths(word(0));
        if key_bytes as u64 == FILLER {
            self.tail += value_bytes as u64;
            return false;
        }
        let words = HEAD_WORDS + key_bytes.div_ceil(8) + value_bytes.div_ceil(8);
        let tag = Entry::tag(word(1));
        let mut stays = false;
        for place in self.rows.bucket(word(1)) {
            let entry = Entry(place.load(Ordering::Relaxed));
            if entry.may_be(tag) && entry.position() == self.tail {
                stays = may_stay && entry.is_visited();
                place.store(EMPTY.0, Ordering::Release);
            }
        }
        if stays {
            self.staying.extend((0..words).map(word));
        }
        self.tail += words as u64;
        stays
    }

    /// Writes the rows that get a second chance; for their sake others leave without one.
    fn let_stay(&mut self) {
        let staying = std::mem::take(&mut self.staying);
        let mut rest = staying.as_slice();
        while let Some(head) = rest.first() {
            let (key_bytes, value_bytes) = lengths(*head);
            let words = HEAD_WORDS + key_bytes.div_ceil(8) + value_bytes.div_ceil(8);
            self.append(&rest[..words], 0);
            rest = &rest[words..];
        }
        self.staying = staying;
        self.staying.clear();
    }

    fn write(&self, words: &[u64]) {
        let start = (self.head % self.rows.ring.len() as u64) as usize;
        for (place, word) in self.rows.ring[start..].iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
    }

    fn ghost(&mut self, hash: u64) -> &mut u16 {
        let at = super::bucket(hash, self.ghosts.len());
        &mut self.ghosts[at]
    }
}

/// Never zero, which stands for nobody.
fn ghost_tag(hash: u64) -> u16 {
    (hash >> 16) as u16 | 1
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        // From here on every copy is thrown away: nobody keeps the rows true any more.
        self.rows.reserved.store(u64::MAX, Ordering::Release);
    }
}

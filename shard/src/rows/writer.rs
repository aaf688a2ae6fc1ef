//! The writer's side: which rows are here, and which leave.
//!
//! Segments are a queue. While there is memory that was never used, or that only rows have which were written over
//! (`cleaning`), every row gets in. Later the oldest segment is emptied while the newest is filled: a row that was read
//! since it was written is written anew, the others leave; and only a key that is asked for a second time gets in, or one
//! that was here when it was written over. So a walk over everything takes no room from what is hot.

use std::sync::Arc;

use super::atomics::{AtomicU64, Ordering, fence};
use super::cleaning::Stays;
use super::entry::{EMPTY, Entry};
use super::head::{FILLER, HEAD_WORDS, Head, row_words};
use super::index::{HOMES, WAYS};
use super::removal::Removal;
use super::ring::Ring;
use super::{INDEX_PARTS, NOT_NOW, ROW_WORDS_MAX, Rows, word_of};

/// A row takes at most one part in so many of a segment, or too much of it would stay empty.
const ROW_PARTS: usize = 4;

/// In a ghost: the key had a row when it was written over.
const HAD_ROW: u16 = 2;

/// The index grows while it has fewer places than this for each row. With so many, three rows in ten thousand are
/// missing, most of them for another with the same tag, and nine in ten are in the first of their homes.
const PLACES_PER_ROW: usize = 2;
/// It shrinks while it has more.
const PLACES_PER_ROW_MAX: usize = 5;

/// The only one who changes the rows. Dropped, it leaves none.
pub struct RowWriter {
    pub(super) rows: Arc<Rows>,
    /// The next row goes here; its segment has memory.
    pub(super) head: u64,
    /// The oldest row that was not looked at for leaving. In the head's segment only if that is the only one.
    pub(super) tail: u64,
    /// Segments may be so many.
    limit: usize,
    /// Places with memory that no segment has, and those that have none.
    pub(super) spare: Vec<u32>,
    unused: Vec<u32>,
    /// No more memory was wanted to be given for the segment that is being filled.
    declined: bool,
    /// Entries in the index.
    pub(super) entries: usize,
    /// Rows from the tail to the head, with those that have left the index.
    pub(super) written: usize,
    /// Rows that readers miss for now, or for good: hidden for a write, or left for want of room. Counted roughly.
    missing: u64,
    /// Tags of keys that were asked for, or whose row left, by hash.
    ghosts: Box<[u16]>,
    /// What readers have to know of `kept_from` once they may look again.
    pub(super) kept: u64,
    pub(super) removal: Removal,
    /// The row being written, and one that stays; kept for their memory.
    row: Vec<u64>,
    pub(super) staying: Vec<u64>,
    inserted: u64,
}

impl RowWriter {
    pub(super) fn over(rows: Rows, ghosts: usize) -> (Arc<Rows>, RowWriter) {
        let segments = rows.ring.segments();
        let longest = ROW_WORDS_MAX.min(rows.ring.segment_words() / ROW_PARTS);
        // Positions begin behind zero, which stands for no row.
        let start = rows.ring.start(1);
        rows.kept_from.store(start, Ordering::Relaxed);
        rows.ring.put(1, 0);
        let rows = Arc::new(rows);
        let writer = RowWriter {
            rows: Arc::clone(&rows),
            head: start,
            tail: start,
            limit: segments,
            spare: Vec::new(),
            unused: (1..segments as u32).rev().collect(),
            declined: false,
            entries: 0,
            written: 0,
            missing: 0,
            ghosts: vec![0; ghosts].into(),
            kept: start,
            removal: Removal::default(),
            row: Vec::new(),
            // Gets allocate nothing, and rows may have to move for one.
            staying: Vec::with_capacity(longest),
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

    /// Memory that one more segment takes, with its part of the index.
    pub fn segment_bytes(&self) -> usize {
        let words = self.rows.ring.segment_words();
        (words + words / INDEX_PARTS) * size_of::<u64>()
    }

    /// Rows that readers can find.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Brings near what the next look at this hash will read: several of these wait for memory together.
    #[inline]
    pub fn approach(&self, hash: u64) {
        let place = self.rows.index.places(hash).next();
        std::hint::black_box(place.map(|place| place.load(Ordering::Relaxed)));
    }

    /// By tag alone: one key in thousands is taken for another.
    pub fn has(&self, hash: u64) -> bool {
        let tag = Entry::tag(hash);
        let mut places = self.rows.index.places(hash);
        places.any(|place| Entry(place.load(Ordering::Relaxed)).may_be(tag))
    }

    /// Rows that were hidden, or had to leave, and that nobody has shown since.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Some more are missing.
    pub fn miss(&mut self, rows: u64) {
        self.missing += rows;
    }

    /// From here on only what is missing anew counts.
    pub fn forget_missing(&mut self) {
        self.missing = 0;
    }

    /// Segments that there may be, now and at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn limit_max(&self) -> usize {
        self.rows.ring.segments()
    }

    /// Memory taken, and what may be taken without asking.
    pub fn bytes(&self) -> usize {
        let words = self.held().max(self.limit) * self.rows.ring.segment_words()
            + self.rows.index.buckets() * WAYS;
        words * size_of::<u64>() + size_of_val(&*self.ghosts)
    }

    /// Memory for rows themselves that there is at most, which is how far back ghosts remember.
    pub fn remembered_bytes(&self) -> usize {
        (self.limit_max() * self.segment_bytes()).max(1)
    }

    /// The next row takes the place of another, unless the limit is raised. Says so once for each segment. Not while the dead
    /// have memory: blocks need it more.
    pub fn asks_for_more(&mut self) -> bool {
        let asks = !self.declined
            && self.limit < self.limit_max()
            && self.is_at_limit()
            && !self.is_roomy();
        self.declined |= asks;
        asks
    }

    /// Sets how many segments there may be, two at least. With fewer than there are, `shrink` makes them leave.
    pub fn set_limit(&mut self, segments: usize) {
        self.limit = segments.max(2).min(self.limit_max());
    }

    /// Takes a step towards the limit; false when there is nothing to do.
    pub fn shrink(&mut self, rows: usize) -> bool {
        if self.held() <= self.limit {
            return false;
        }
        let stays = match self.is_roomy() {
            true => Stays::Alive,
            false => Stays::Nobody,
        };
        for _ in 0..rows {
            match self.spare.pop() {
                Some(place) => {
                    self.rows.ring.release(place);
                    self.unused.push(place);
                    break;
                }
                None => {
                    self.clean_one(stays);
                }
            }
        }
        self.fit_index();
        true
    }

    /// Whether a row that was just asked for shall be shown, and whether it would have been here with more memory.
    pub fn admits(&mut self, hash: u64, key: &[u8], value: &[u8]) -> (bool, bool) {
        if self.is_too_large(key, value) {
            return (false, false);
        }
        // A row that is being written over is missed whatever the memory, as is one that was removed for that.
        if self.is_hidden(hash, key) {
            return (true, false);
        }
        let room = self.has_room();
        let tag = ghost_tag(hash);
        let Some(seen) = self.ghost(hash) else {
            return (room, false);
        };
        let seen = std::mem::replace(seen, tag);
        let (missed, again) = (seen == tag, seen & !HAD_ROW == tag);
        (room || again, missed)
    }

    /// Every row gets in: there is memory that nobody uses, or that only dead rows have.
    pub fn has_room(&self) -> bool {
        !self.is_at_limit() || self.is_roomy()
    }

    /// Shows a row, unless it is too large for that.
    pub fn show(&mut self, hash: u64, key: &[u8], value: &[u8]) {
        if self.write_over(hash, key, value) {
            self.inserted += 1;
            self.missing = self.missing.saturating_sub(1);
            return;
        }
        self.clear(hash);
        if self.is_too_large(key, value) {
            return;
        }
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row.push(Head::new(key.len(), value.len()).0);
        row.push(hash);
        row.extend(key.chunks(8).map(word_of));
        row.extend(value.chunks(8).map(word_of));
        self.append(&row, 0);
        self.row = row;
        self.inserted += 1;
        self.missing = self.missing.saturating_sub(1);
        self.clean();
        self.fit_index();
    }

    /// Where a row of this key is, and it takes as many words as with its new value, it gets that.
    fn write_over(&mut self, hash: u64, key: &[u8], value: &[u8]) -> bool {
        let Some(words) = self.row_of(hash, key) else {
            return false;
        };
        let head = head_of(words);
        let Some(next) = head.written_over(value.len()) else {
            return false;
        };
        if next.row_words() != head.row_words() {
            return false;
        }
        words[0].store(head.hidden().0, Ordering::Relaxed);
        // Pairs with the reader's: whoever sees a word of the new value sees that the row was hidden.
        fence(Ordering::Release);
        let value_from = HEAD_WORDS + key.len().div_ceil(8);
        for (word, part) in words[value_from..].iter().zip(value.chunks(8)) {
            word.store(word_of(part), Ordering::Relaxed);
        }
        words[0].store(next.0, Ordering::Release);
        true
    }

    /// Before a newer version of this key can be seen, which will be shown soon: readers pass by what is here.
    pub fn hide(&mut self, hash: u64, key: &[u8]) {
        if let Some(words) = self.row_of(hash, key) {
            words[0].store(head_of(words).hidden().0, Ordering::Release);
        }
    }

    /// A newer version of this key has its place among all versions, and is not to be seen yet: what is here is still what a
    /// get finds, but no part of one instant over several shards.
    pub fn outdate(&mut self, hash: u64, key: &[u8]) {
        if let Some(words) = self.row_of(hash, key) {
            words[0].store(head_of(words).outdated().0, Ordering::Release);
        }
    }

    fn is_hidden(&self, hash: u64, key: &[u8]) -> bool {
        let row = self.row_of(hash, key);
        row.is_some_and(|words| head_of(words).is_hidden())
    }

    /// The row of a key, of which there is one at most, and what follows it.
    fn row_of(&self, hash: u64, key: &[u8]) -> Option<&[AtomicU64]> {
        let tag = Entry::tag(hash);
        for home in HOMES {
            for place in self.rows.index.home(home, hash) {
                let entry = Entry(place.load(Ordering::Relaxed));
                if entry.may_be(tag) {
                    let words = self.rows.ring.at(entry.position());
                    if is_of(words, key) {
                        return Some(words);
                    }
                }
            }
        }
        None
    }

    /// Before a newer version of this key can be seen: takes away what readers could still find.
    pub fn remove(&mut self, hash: u64) {
        if self.clear(hash)
            && let Some(ghost) = self.ghost(hash)
        {
            *ghost = ghost_tag(hash) | HAD_ROW;
        }
    }

    /// Whether a row that was just written shall be shown: it takes the place of the one that was hidden or removed for it.
    pub fn admits_written(&mut self, hash: u64, key: &[u8], value: &[u8]) -> bool {
        if self.is_too_large(key, value) {
            return false;
        }
        let had_row = |ghost: &mut u16| *ghost == ghost_tag(hash) | HAD_ROW;
        self.has_room() || self.is_hidden(hash, key) || self.ghost(hash).is_some_and(had_row)
    }

    /// By tag alone: one row in thousands goes for another's sake.
    fn clear(&mut self, hash: u64) -> bool {
        let tag = Entry::tag(hash);
        let mut found = 0;
        self.rows.index.places(hash).for_each(|place| {
            if Entry(place.load(Ordering::Relaxed)).may_be(tag) {
                place.store(EMPTY.0, Ordering::Release);
                found += 1;
            }
        });
        self.entries -= found;
        found > 0
    }

    fn is_too_large(&self, key: &[u8], value: &[u8]) -> bool {
        let most = ROW_WORDS_MAX.min(self.rows.ring.segment_words() / ROW_PARTS);
        row_words(key.len(), value.len()) > most
    }

    /// Segments with memory.
    fn held(&self) -> usize {
        self.limit_max() - self.unused.len()
    }

    pub(super) fn is_at_limit(&self) -> bool {
        self.held() >= self.limit && self.spare.is_empty()
    }

    /// `visited` is the bit of its entry.
    pub(super) fn append(&mut self, row: &[u64], visited: u64) {
        let ring = &self.rows.ring;
        let left = ring.segment_words() - ring.offset(self.head);
        // One word stays for what says that nothing follows.
        if row.len() >= left {
            ring.at(self.head)[0].store(FILLER.0, Ordering::Relaxed);
            self.begin_segment();
        }
        let place = self.rows.ring.at(self.head).iter();
        for (place, word) in place.zip(row) {
            place.store(*word, Ordering::Relaxed);
        }
        let hash = row[1];
        let entry = Entry::new(hash, self.head).0 | visited;
        self.head += row.len() as u64;
        self.written += 1;
        let (place, was_free) = self.rows.index.place_for(hash, hash_in(&self.rows.ring));
        place.store(entry, Ordering::Release);
        self.entries += usize::from(was_free);
    }

    fn begin_segment(&mut self) {
        let may_take = self.held() < self.limit;
        while self.spare.is_empty() && !may_take {
            self.clean_one(Stays::Nobody);
        }
        let place = self.spare.pop().or_else(|| self.unused.pop());
        let place = place.expect("one was just made sure of");
        let ring = &self.rows.ring;
        let segment = ring.segment(self.head) + 1;
        // Pairs with the reader's fence: whoever sees this memory in its new place, or a word written into it, sees
        // `kept_from` beyond the place that it had before.
        fence(Ordering::Release);
        ring.put(segment, place);
        self.head = ring.start(segment);
        self.declined = false;
    }

    /// One step towards an index that fits its rows.
    fn fit_index(&mut self) {
        let index = &self.rows.index;
        let places = index.buckets() * WAYS;
        if self.entries * PLACES_PER_ROW > places && index.buckets() < index.buckets_max() {
            index.split(hash_in(&self.rows.ring));
        } else if index.buckets() > 1 && self.entries * PLACES_PER_ROW_MAX < places {
            self.entries -= index.merge();
        }
    }

    /// A key whose row left for want of room.
    pub(super) fn remember_left(&mut self, hash: u64) {
        if let Some(ghost) = self.ghost(hash) {
            *ghost = ghost_tag(hash);
        }
    }

    fn ghost(&mut self, hash: u64) -> Option<&mut u16> {
        ghost(&mut self.ghosts, hash)
    }
}

/// The hash of an entry's row.
fn hash_in(ring: &Ring) -> impl Fn(Entry) -> u64 {
    |entry| ring.at(entry.position())[1].load(Ordering::Relaxed)
}

fn ghost(ghosts: &mut [u16], hash: u64) -> Option<&mut u16> {
    let at = ((hash >> 32) * ghosts.len() as u64) >> 32;
    ghosts.get_mut(at as usize)
}

/// Never zero, which stands for nobody.
fn ghost_tag(hash: u64) -> u16 {
    (hash >> 16) as u16 & !HAD_ROW | 1
}

fn is_of(words: &[AtomicU64], key: &[u8]) -> bool {
    let lengths = head_of(words).lengths();
    let mut words = words[HEAD_WORDS..].iter().zip(key.chunks(8));
    lengths.is_some_and(|(bytes, _)| bytes == key.len())
        && words.all(|(word, part)| word.load(Ordering::Relaxed) == word_of(part))
}

fn head_of(words: &[AtomicU64]) -> Head {
    Head(words[0].load(Ordering::Relaxed))
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        // From here on every copy is thrown away: nobody keeps the rows true any more.
        self.rows.kept_from.store(NOT_NOW, Ordering::Release);
    }
}

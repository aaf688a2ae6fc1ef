//! Taking away the rows of a range of keys: all rows are looked at, in steps, and readers ask the shard meanwhile.

use super::atomics::Ordering;
use super::entry::{EMPTY, Entry};
use super::head::{FILLER, HEAD_WORDS, Head};
use super::{NOT_NOW, RowWriter};

/// So few rows are looked at before a range delete goes on: a few microseconds.
const AT_ONCE: usize = 64;

/// More ranges at a time than this are taken for one: a row too many that leaves costs one question.
const RANGES_MAX: usize = 16;

/// The first key of a range, and the first one behind it.
type Ends = (Box<[u8]>, Box<[u8]>);

/// One under way.
#[derive(Default)]
pub(super) struct Removal {
    ranges: Vec<Ends>,
    /// The next row to look at, and where those begin that came later.
    next: u64,
    until: u64,
    /// Kept for its memory.
    key: Vec<u8>,
}

impl Removal {
    pub fn is_done(&self) -> bool {
        self.ranges.is_empty()
    }

    fn add(&mut self, from: &[u8], to: &[u8]) {
        self.ranges.push((from.into(), to.into()));
        if self.ranges.len() > RANGES_MAX {
            let from = self.ranges.iter().map(|(from, _)| from.clone()).min();
            let to = self.ranges.iter().map(|(_, to)| to.clone()).max();
            self.ranges = from.zip(to).into_iter().collect();
        }
    }

    fn has_key(&self) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(from, to)| **from <= *self.key && *self.key < **to)
    }
}

impl RowWriter {
    /// Before a newer version of any key from `from` on and below `to` can be seen: no reader finds one of their rows from
    /// here on. Until `remove_some` says that there is no more to do, they find none at all.
    pub fn remove_range(&mut self, from: &[u8], to: &[u8]) {
        if self.entries == 0 && self.removal.is_done() {
            return;
        }
        self.begin_removal(from, to);
        // Often that is all.
        self.remove_some(AT_ONCE);
    }

    /// The same before the first step.
    pub fn begin_removal(&mut self, from: &[u8], to: &[u8]) {
        self.rows.kept_from.store(NOT_NOW, Ordering::Release);
        self.removal.add(from, to);
        (self.removal.next, self.removal.until) = (self.tail, self.head);
    }

    /// A removal goes on.
    pub fn is_removing(&self) -> bool {
        !self.removal.is_done()
    }

    /// Looks at some more rows; false when readers may look again.
    pub fn remove_some(&mut self, rows: usize) -> bool {
        if self.removal.is_done() {
            return false;
        }
        // Rows that have left need no look.
        self.removal.next = self.removal.next.max(self.tail);
        for _ in 0..rows {
            if self.removal.next >= self.removal.until {
                self.removal.ranges.clear();
                self.rows.kept_from.store(self.kept, Ordering::Release);
                return false;
            }
            self.look_at_next();
        }
        true
    }

    fn look_at_next(&mut self) {
        let (ring, removal) = (&self.rows.ring, &mut self.removal);
        let position = removal.next;
        let words = ring.at(position);
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        let head = Head(word(0));
        if head == FILLER {
            removal.next = ring.start(ring.segment(position) + 1);
            return;
        }
        let (key_bytes, _) = head.lengths().unwrap_or_default();
        let value_from = HEAD_WORDS + key_bytes.div_ceil(8);
        removal.next += head.row_words() as u64;
        removal.key.clear();
        let key = (HEAD_WORDS..value_from).flat_map(|at| word(at).to_le_bytes());
        removal.key.extend(key.take(key_bytes));
        if !removal.has_key() {
            return;
        }
        for place in self.rows.index.places(word(1)) {
            let entry = Entry(place.load(Ordering::Relaxed));
            if !entry.is_empty() && entry.position() == position {
                place.store(EMPTY.0, Ordering::Release);
                self.entries -= 1;
            }
        }
    }
}

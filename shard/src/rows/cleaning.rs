//! How memory comes free: the oldest rows leave, or go to the newest segment.
//!
//! What was written over lies dead in its segment until that is the oldest. While all that is alive would fit with some
//! room to spare, whoever is alive goes to the newest segment, read or not, and the dead leave their memory. That begins
//! before the memory is needed, a few rows with each new one: there are long stretches of rows that are all alive, and
//! to pass them takes memory that was gained before.
//!
//! How much is alive is reckoned from how many rows are: to look at what each of them takes would be one miss of the
//! processor's caches more for each write.

use super::atomics::Ordering;
use super::entry::{EMPTY, Entry, VISITED};
use super::head::{FILLER, Head};
use super::writer::RowWriter;

/// So many rows may stay for each new one: bounds the work of one insertion.
const SECOND_CHANCES: usize = 4;

/// So many rows are looked at for each new one before memory is needed. Where four fifths of the memory are alive and a few keys
/// take all writes, that is what it takes to pass those that are not written.
const CLEANED_AHEAD: usize = 24;

/// Begins when so many times as much is dead as is free.
const DEAD_PER_FREE: usize = 2;

/// One part in so many is to spare, or moving what is alive would gain too little.
pub const SPARE_PARTS: usize = 6;

/// Which of the oldest rows go to the newest segment.
#[derive(Clone, Copy)]
pub(super) enum Stays {
    /// Those that readers can find.
    Alive,
    /// Of these, those that were read since they were written.
    Visited,
    Nobody,
}

impl RowWriter {
    /// All rows that are alive fit, and some more.
    pub(super) fn is_roomy(&self) -> bool {
        let spare = (self.words_max() / SPARE_PARTS).max(2 * self.rows.ring.segment_words());
        self.words_alive() + spare <= self.words_max()
    }

    /// Memory is to be had rather from the dead than from what is free.
    pub(super) fn is_mostly_dead(&self) -> bool {
        let used = self.words_used();
        let free = self.words_free();
        // For most, the first look is enough.
        used > DEAD_PER_FREE * free
            && self.ring_is_long()
            && used - self.words_alive() > DEAD_PER_FREE * free
            && self.is_roomy()
    }

    /// With each new row.
    pub(super) fn clean(&mut self) {
        // What a removal has not looked at yet may not move.
        if self.removal.is_done() && self.is_mostly_dead() {
            self.approach_oldest();
            for _ in 0..CLEANED_AHEAD {
                if self.ring_is_long() {
                    self.clean_one(Stays::Alive);
                }
            }
        }
        if !self.is_behind() {
            return;
        }
        let stays = match self.is_roomy() {
            true => Stays::Alive,
            false => Stays::Visited,
        };
        let mut chances = SECOND_CHANCES;
        while self.is_behind() {
            let stays = if chances > 0 { stays } else { Stays::Nobody };
            chances -= usize::from(self.clean_one(stays));
        }
    }

    /// Brings near what the index has of the oldest rows: they wait for memory together.
    fn approach_oldest(&self) {
        let words = self.rows.ring.at(self.tail);
        let mut at = 0;
        for _ in 0..CLEANED_AHEAD {
            let word = |at: usize| words.get(at).map(|word| word.load(Ordering::Relaxed));
            let Some(head) = word(at).map(Head).filter(|head| *head != FILLER) else {
                return;
            };
            self.approach(word(at + 1).unwrap_or_default());
            at += head.row_words();
        }
    }

    /// The oldest segment must be empty by the time that the newest is full.
    fn is_behind(&self) -> bool {
        let ring = &self.rows.ring;
        self.is_at_limit() && self.ring_is_long() && ring.offset(self.tail) < ring.offset(self.head)
    }

    fn ring_is_long(&self) -> bool {
        let ring = &self.rows.ring;
        ring.segment(self.tail) < ring.segment(self.head)
    }

    fn words_max(&self) -> usize {
        self.limit() * self.rows.ring.segment_words()
    }

    /// Until memory has to come from the oldest segment: what has left that one is not free before all has.
    fn words_free(&self) -> usize {
        let ring = &self.rows.ring;
        let since = ring.start(ring.segment(self.tail));
        self.words_max()
            .saturating_sub((self.head - since) as usize)
    }

    fn words_used(&self) -> usize {
        (self.head - self.tail) as usize
    }

    fn words_alive(&self) -> usize {
        self.words_used() * self.entries.min(self.written) / self.written.max(1)
    }

    /// Lets the oldest row go. True when it was written anew instead.
    pub(super) fn clean_one(&mut self, stays: Stays) -> bool {
        // What a removal has not looked at yet would get behind its end.
        let stays = match self.removal.is_done() {
            true => stays,
            false => Stays::Nobody,
        };
        let ring = &self.rows.ring;
        let words = ring.at(self.tail);
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        let head = Head(word(0));
        if head == FILLER {
            self.give_up_oldest();
            return false;
        }
        let count = head.row_words();
        let hash = word(1);
        let (mut leaves, mut anew) = (false, None);
        for place in self.rows.index.places(hash) {
            let entry = Entry(place.load(Ordering::Relaxed));
            if entry.position() == self.tail {
                place.store(EMPTY.0, Ordering::Release);
                self.entries -= 1;
                match stays {
                    // Nobody has shown it since it was hidden.
                    _ if head.is_hidden() => leaves = true,
                    Stays::Alive => anew = Some(entry.0 & VISITED),
                    // To stay again it has to be read again.
                    Stays::Visited if entry.is_visited() => anew = Some(0),
                    Stays::Visited | Stays::Nobody => leaves = true,
                }
            }
        }
        if anew.is_some() {
            self.staying.clear();
            self.staying.extend((0..count).map(word));
        }
        self.tail += count as u64;
        self.written -= 1;
        if leaves {
            self.remember_left(hash);
        }
        if let Some(visited) = anew {
            let staying = std::mem::take(&mut self.staying);
            self.append(&staying, visited);
            self.staying = staying;
        }
        anew.is_some()
    }

    fn give_up_oldest(&mut self) {
        let ring = &self.rows.ring;
        let segment = ring.segment(self.tail);
        debug_assert!(segment < ring.segment(self.head));
        self.spare.push(ring.place(segment));
        self.tail = ring.start(segment + 1);
        // Before the memory is given to another segment or back to the system.
        self.kept = self.tail;
        if self.removal.is_done() {
            self.rows.kept_from.store(self.kept, Ordering::Release);
        }
    }
}

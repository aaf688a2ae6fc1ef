//! The balance between what writers bring and what flushes and merges carry off.
//!
//! Writers are never stopped at an edge: they are let in at the rate at which work proceeds. The second
//! half of a memtable fills no faster than the one before it becomes a table. While the last level is rewritten, or runs
//! are too many, each merged byte lets a share of a byte in (`Room`), such that both meet before the
//! room is used up. Merges in turn take their time while there is room: they do only as much as is
//! needed to be done before it is used up, unless nobody writes.

use std::cell::Cell;

use ringkeep_io::Nanos;

use super::ration::Ration;
use super::room::Room;

/// A merge works this many times faster than would be just enough.
const HASTE: f64 = 2.0;
/// A merge that is ahead looks again after this long.
pub(crate) const MERGE_REST: Nanos = 500_000;

/// The balance of one shard.
pub(crate) struct Pace {
    room: Cell<Room>,
    ration: Ration,
    /// Bytes that callers have written.
    brought: Cell<u64>,
    /// Bytes that merges may carry off before more are brought.
    allowance: Cell<i64>,
    /// What had been brought when writers were last seen not to write.
    idle_at: Cell<u64>,
    /// Of the memtable that is being written out: bytes done, bytes in all.
    flushed: Cell<(u64, u64)>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            room: Cell::new(Room::UNLIMITED),
            ration: Ration::default(),
            brought: Cell::new(0),
            allowance: Cell::new(0),
            idle_at: Cell::new(u64::MAX),
            flushed: Cell::new((0, 1)),
        }
    }
}

impl Pace {
    /// Whether writers may fill a memtable further that holds `filled` of at most `full` bytes, while the
    /// one before it `is_flushing`.
    pub fn admits(&self, filled: usize, full: usize, is_flushing: bool) -> bool {
        !self.is_used_up()
            && (!is_flushing || filled as f64 <= full as f64 * (1.0 + self.flush_progress()) / 2.0)
    }

    /// Writers have to wait for what merges earn.
    pub fn is_used_up(&self) -> bool {
        self.ration.is_used_up()
    }

    /// How much the next group may bring.
    pub fn group_bytes(&self) -> usize {
        self.ration.group_bytes()
    }

    /// Hands writers what merges have earned for them by now.
    pub fn pay(&self, memtable_bytes: usize, now: impl FnOnce() -> Nanos) {
        if self.ration.is_limited() {
            self.ration.pay(memtable_bytes, now());
        }
    }

    fn flush_progress(&self) -> f64 {
        let (done, all) = self.flushed.get();
        (done as f64 / all.max(1) as f64).min(1.0)
    }

    /// Writers brought so many bytes.
    pub fn bring(&self, bytes: u64) {
        self.brought.set(self.brought.get() + bytes);
        self.ration.spend(bytes);
        let room = self.room.get();
        let needed = bytes as f64 * HASTE * room.debt as f64 / room.bytes.max(1) as f64;
        self.allowance
            .set(self.allowance.get().saturating_add(needed as i64));
    }

    pub fn begin_flush(&self, bytes: u64) {
        self.flushed.set((0, bytes));
    }

    pub fn flush(&self, bytes: u64) {
        let (done, all) = self.flushed.get();
        self.flushed.set((done + bytes, all));
    }

    /// A merge carried so many bytes off.
    pub fn merge(&self, bytes: u64) {
        self.ration.earn(bytes);
        self.allowance.set(self.allowance.get() - bytes as i64);
    }

    pub(super) fn room(&self) -> Room {
        self.room.get()
    }

    /// Runs have changed.
    pub(super) fn set_room(&self, room: Room, memtable_bytes: usize, now: Nanos) {
        self.ration.set_share(room.share, memtable_bytes, now);
        self.room.set(room);
        self.allowance.set(0);
    }

    /// Writers wait for merges.
    pub fn is_waited_for(&self) -> bool {
        self.room.get().pressure > 0.0 || self.is_used_up()
    }

    /// Merges are ahead of the writers, who have brought so many bytes by now and may bring more.
    pub fn merge_is_ahead(&self) -> Option<u64> {
        let brought = self.brought.get();
        let ahead = !self.is_waited_for() && self.allowance.get() < 0;
        (ahead && brought != self.idle_at.get()).then_some(brought)
    }

    /// After a rest that began at `brought`: if nobody has written since, merges rest no more until
    /// somebody does.
    pub fn end_rest(&self, brought: u64) {
        if self.brought.get() == brought {
            self.idle_at.set(brought);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMTABLE: usize = 800;
    const BURST: usize = MEMTABLE / 8;

    fn room(bytes: u64, share: f64, debt: u64) -> Room {
        Room {
            bytes,
            share,
            debt,
            ..Room::UNLIMITED
        }
    }

    #[test]
    fn a_memtable_fills_no_faster_than_the_one_before_it_is_written() {
        let pace = Pace::default();
        pace.begin_flush(1000);
        assert!(pace.admits(50, 100, true) && !pace.admits(51, 100, true));
        pace.flush(500);
        assert!(pace.admits(75, 100, true) && !pace.admits(76, 100, true));
        pace.flush(600);
        assert!(pace.admits(100, 100, true));
        assert!(
            pace.admits(1_000_000, 100, false),
            "nothing is being written"
        );
    }

    #[test]
    fn a_merge_rests_when_it_is_ahead_of_the_writers() {
        let pace = Pace::default();
        pace.set_room(room(1000, f64::INFINITY, 3000), MEMTABLE, 0);
        pace.merge(10);
        let seen = pace.merge_is_ahead().expect("nobody wrote yet");
        pace.end_rest(seen);
        assert_eq!(pace.merge_is_ahead(), None, "and nobody writes now");
        pace.bring(10);
        assert_eq!(
            pace.merge_is_ahead(),
            None,
            "sixty bytes are due for ten written"
        );
        pace.merge(51);
        assert!(pace.merge_is_ahead().is_some());
        let crowded = Room {
            pressure: 0.1,
            ..room(0, f64::INFINITY, 3000)
        };
        pace.set_room(crowded, MEMTABLE, 0);
        pace.merge(1000);
        assert_eq!(pace.merge_is_ahead(), None, "no rest under pressure");
    }

    #[test]
    fn a_merge_never_rests_while_writers_wait_for_what_it_earns() {
        let pace = Pace::default();
        pace.set_room(room(1000, 0.5, 3000), MEMTABLE, 0);
        pace.merge(4 * BURST as u64);
        assert!(!pace.admits(0, 100, false), "nothing is handed out yet");
        assert_eq!(pace.merge_is_ahead(), None);
        pace.pay(MEMTABLE, || 1_000_000_000);
        assert!(pace.admits(0, 100, false));
        assert_eq!(pace.group_bytes(), BURST);
        assert!(pace.merge_is_ahead().is_some());
        pace.bring(BURST as u64);
        assert!(!pace.admits(0, 100, false));
        pace.set_room(Room::UNLIMITED, MEMTABLE, 2_000_000_000);
        assert!(pace.admits(0, 100, false));
    }
}

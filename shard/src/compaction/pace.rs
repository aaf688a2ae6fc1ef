//! The balance between what writers bring and what flushes and merges carry off.
//!
//! Writers are never stopped at an edge: they are let in at the rate at which work proceeds. The second
//! half of a memtable fills no faster than the one before it becomes a table. When merges fall behind
//! (`Room` says how far), each merged byte lets fewer and fewer bytes in, so that both meet before the
//! room is used up. Merges in turn take their time while there is room: they do only as much as is
//! needed to be done before it is used up, unless nobody writes.

use std::cell::Cell;

use ringkeep_io::Nanos;

/// Bytes that writers may bring before runs or space pass what is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Room {
    /// Until writers are slowed; nothing once they are.
    pub bytes: u64,
    /// How much of what lies beyond is used, from 0 to 1.
    pub pressure: f64,
    /// What merges still have to read.
    pub debt: u64,
}

/// A merge works this many times faster than would be just enough.
const HASTE: f64 = 2.0;
/// However hard the pressure, a merged byte lets this part of a byte in.
const SHARE_LEAST: f64 = 0.05;
/// A merge that is ahead looks again after this long.
pub(crate) const MERGE_REST: Nanos = 500_000;

/// The balance of one shard.
pub(crate) struct Pace {
    room: Cell<Room>,
    /// Bytes that callers have written.
    brought: Cell<u64>,
    /// Bytes that writers may bring under pressure; a group may overdraw it.
    credit: Cell<i64>,
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
            room: Cell::new(Room {
                bytes: u64::MAX,
                pressure: 0.0,
                debt: 0,
            }),
            brought: Cell::new(0),
            credit: Cell::new(0),
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
        let slowed = self.room.get().pressure > 0.0 && self.credit.get() <= 0;
        !slowed
            && (!is_flushing || filled as f64 <= full as f64 * (1.0 + self.flush_progress()) / 2.0)
    }

    /// How much the next group may bring: under pressure groups are small, so that none waits for what a
    /// large one has overdrawn.
    pub fn group_bytes(&self) -> usize {
        match self.room.get().pressure > 0.0 {
            true => self.credit.get().max(0) as usize,
            false => usize::MAX,
        }
    }

    fn flush_progress(&self) -> f64 {
        let (done, all) = self.flushed.get();
        (done as f64 / all.max(1) as f64).min(1.0)
    }

    /// Writers brought so many bytes.
    pub fn bring(&self, bytes: u64) {
        self.brought.set(self.brought.get() + bytes);
        self.credit.set(self.credit.get() - bytes as i64);
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

    /// A merge carried so many bytes off. Credit does not pile up: `burst` is all there ever is.
    pub fn merge(&self, bytes: u64, burst: usize) {
        let pressure = self.room.get().pressure;
        let share = match pressure > 0.0 {
            true => ((1.0 - pressure) / pressure / HASTE).max(SHARE_LEAST),
            false => 0.0,
        };
        let credit = self.credit.get().max(-(burst as i64)) + (bytes as f64 * share) as i64;
        self.credit.set(credit.min(burst as i64));
        self.allowance.set(self.allowance.get() - bytes as i64);
    }

    pub(super) fn room(&self) -> Room {
        self.room.get()
    }

    /// Runs have changed.
    pub(super) fn set_room(&self, room: Room) {
        if self.room.get().pressure == 0.0 {
            self.credit.set(0);
        }
        self.room.set(room);
        self.allowance.set(0);
    }

    /// Merges are ahead of the writers, who have brought so many bytes by now and may bring more.
    pub fn merge_is_ahead(&self) -> Option<u64> {
        let ahead = self.room.get().pressure == 0.0 && self.allowance.get() < 0;
        let brought = self.brought.get();
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

    fn room(bytes: u64, pressure: f64, debt: u64) -> Room {
        Room {
            bytes,
            pressure,
            debt,
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
    fn under_pressure_writers_get_what_merges_earn_and_ever_less_of_it() {
        let mut earned = Vec::new();
        for tenths in 1..=10 {
            let pace = Pace::default();
            pace.set_room(room(0, f64::from(tenths) / 10.0, 1 << 30));
            assert!(!pace.admits(0, 100, false));
            pace.merge(1000, 1 << 20);
            let mut brought = 0;
            while pace.admits(0, 100, false) {
                pace.bring(1);
                brought += 1;
            }
            earned.push(brought);
        }
        assert!(earned.is_sorted_by(|a, b| a >= b), "{earned:?}");
        assert!(
            earned[0] > 1000 && earned[9] >= 50,
            "{earned:?}: slowed, never stopped"
        );
    }

    #[test]
    fn a_merge_rests_when_it_is_ahead_of_the_writers() {
        let pace = Pace::default();
        pace.set_room(room(1000, 0.0, 3000));
        pace.merge(10, 100);
        let seen = pace.merge_is_ahead().expect("nobody wrote yet");
        pace.end_rest(seen);
        assert_eq!(pace.merge_is_ahead(), None, "and nobody writes now");
        pace.bring(10);
        assert_eq!(
            pace.merge_is_ahead(),
            None,
            "sixty bytes are due for ten written"
        );
        pace.merge(51, 100);
        assert!(pace.merge_is_ahead().is_some());
        pace.set_room(room(0, 0.1, 3000));
        pace.merge(1000, 100);
        assert_eq!(pace.merge_is_ahead(), None, "no rest under pressure");
    }

    /// Writers as fast as they can, merges with a fixed speed: they settle, and short of full pressure.
    #[test]
    fn writers_and_merges_meet_before_the_room_is_used_up() {
        for cost in [2u64, 6, 12] {
            let (pace, mut behind, most) = (Pace::default(), 0u64, 1_000_000u64);
            let mut highest: f64 = 0.0;
            for _ in 0..20_000 {
                let pressure = (behind as f64 / most as f64).min(1.0);
                highest = highest.max(pressure);
                pace.set_room(room(0, pressure, behind));
                for _ in 0..10 {
                    if pressure == 0.0 || pace.admits(0, 1, false) {
                        pace.bring(1000);
                        behind += 1000 * cost;
                    }
                }
                let merged = behind.min(3000);
                behind -= merged;
                pace.merge(merged, 8000);
            }
            assert!(
                highest < 0.99,
                "pressure {highest} at {cost} bytes for each"
            );
        }
    }
}

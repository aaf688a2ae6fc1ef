//! What merges earn for writers, who bring no more than that while the last level is rewritten.
//!
//! Each merged byte lets a share of a byte in. It is not handed out at once but bit by bit, so that writers do not
//! stand still whenever a merge waits for the device: what they may bring follows the merge's pace and none of its steps.

use std::cell::Cell;

use ringkeep_io::Nanos;

/// What was earned is handed out over about so long.
const PAID_OVER: Nanos = 40_000_000;
/// And every so often, so that groups are worth their while: writers who wait look again after this long.
pub(crate) const PAY_EVERY: Nanos = 500_000;

/// However little is earned, a memtable is handed out over so long: a device that stands still stops nobody.
const LEAST_OVER: Nanos = 8_000_000_000;

/// Of a memtable, what writers may bring at once who have waited.
const BURST_PARTS: usize = 8;

pub(super) struct Ration {
    /// What each merged byte lets in; without a limit it is infinite.
    share: Cell<f64>,
    /// Bytes that were earned and not handed out yet.
    earned: Cell<f64>,
    /// Bytes that writers may bring now; a group may overdraw it.
    credit: Cell<i64>,
    /// What was earned is handed out up to this time.
    paid_at: Cell<Nanos>,
}

impl Default for Ration {
    fn default() -> Ration {
        Ration {
            share: Cell::new(f64::INFINITY),
            earned: Cell::new(0.0),
            credit: Cell::new(0),
            paid_at: Cell::new(0),
        }
    }
}

impl Ration {
    pub fn is_limited(&self) -> bool {
        self.share.get().is_finite()
    }

    /// Writers have to wait for what is earned.
    pub fn is_used_up(&self) -> bool {
        self.is_limited() && self.credit.get() <= 0
    }

    /// How much the next group may bring: small groups, so that none waits for what a large one has overdrawn.
    pub fn group_bytes(&self) -> usize {
        match self.is_limited() {
            true => self.credit.get().max(0) as usize,
            false => usize::MAX,
        }
    }

    /// A limit is new, or another one. Who was free until now starts with half a burst.
    pub fn set_share(&self, share: f64, memtable_bytes: usize, now: Nanos) {
        if !self.is_limited() {
            self.credit.set(0);
            self.earned.set((memtable_bytes / BURST_PARTS / 2) as f64);
            self.paid_at.set(now);
        }
        self.share.set(share);
    }

    /// Writers brought so many bytes.
    pub fn spend(&self, bytes: u64) {
        self.credit
            .set(self.credit.get().saturating_sub_unsigned(bytes));
    }

    /// A merge carried so many bytes off.
    pub fn earn(&self, bytes: u64) {
        if self.is_limited() {
            self.earned
                .set(self.earned.get() + bytes as f64 * self.share.get());
        }
    }

    /// Hands out what is due by now. It does not pile up where nobody brings anything.
    pub fn pay(&self, memtable_bytes: usize, now: Nanos) {
        let since = now.saturating_sub(self.paid_at.get());
        if !self.is_limited() || since < PAY_EVERY {
            return;
        }
        let earned = self.earned.get();
        // With small memtables there would be many runs before a smaller share is felt, were more held back than one.
        let due = earned * (since as f64 / PAID_OVER as f64).min(1.0);
        let least = memtable_bytes as f64 * (since as f64 / LEAST_OVER as f64).min(1.0);
        let part = due.max(earned - memtable_bytes as f64).max(least);
        let burst = (memtable_bytes / BURST_PARTS) as i64;
        self.earned.set((earned - part).max(0.0));
        self.paid_at.set(now);
        // What a large group has overdrawn is forgiven in part: others shall not wait for long.
        let credit = self.credit.get().max(-burst);
        self.credit
            .set(credit.saturating_add(part.ceil() as i64).min(burst));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMTABLE: usize = 8 << 20;
    const BURST: u64 = 1 << 20;

    /// Brings as much as there is credit for.
    fn bring(ration: &Ration) -> u64 {
        let bytes = ration.group_bytes() as u64;
        ration.spend(bytes);
        bytes
    }

    #[test]
    fn there_is_no_limit_before_one_is_set_and_none_after_it_is_lifted() {
        let ration = Ration::default();
        ration.spend(1 << 40);
        ration.pay(MEMTABLE, 5);
        assert!(!ration.is_used_up() && ration.group_bytes() == usize::MAX);
        ration.set_share(0.5, MEMTABLE, 10);
        assert!(ration.is_used_up(), "nothing is handed out yet");
        ration.set_share(f64::INFINITY, MEMTABLE, 20);
        assert!(!ration.is_used_up() && ration.group_bytes() == usize::MAX);
    }

    /// A merge that carries 100 KiB off each millisecond, but for one pause of 20.
    #[test]
    fn writers_bring_what_is_earned_and_feel_little_of_a_pause() {
        let ration = Ration::default();
        ration.set_share(0.25, MEMTABLE, 0);
        let mut brought = Vec::new();
        for milli in 1..=400 {
            if !(300..320).contains(&milli) {
                ration.earn(100 << 10);
            }
            ration.pay(MEMTABLE, milli * 1_000_000);
            brought.push(bring(&ration));
        }
        let steady: u64 = brought[200..299].iter().sum::<u64>() / 99;
        assert!(steady.abs_diff(25 << 10) < 256, "{steady}");
        let in_the_pause: u64 = brought[299..319].iter().sum::<u64>() / 20;
        assert!(in_the_pause > steady * 3 / 4, "{in_the_pause} of {steady}");
        let least = brought[200..].iter().min().expect("many");
        assert!(*least > steady / 2, "{least} of {steady}");
    }

    #[test]
    fn what_nobody_uses_does_not_pile_up_and_what_is_overdrawn_is_forgiven_in_part() {
        let ration = Ration::default();
        ration.set_share(1.0, MEMTABLE, 0);
        for milli in 1..100 {
            ration.earn(1 << 20);
            ration.pay(MEMTABLE, milli * 1_000_000);
        }
        assert_eq!(bring(&ration), BURST);
        ration.spend(100 << 20);
        ration.pay(MEMTABLE, 200 * 1_000_000);
        ration.earn(4 << 20);
        ration.pay(MEMTABLE, 300 * 1_000_000);
        assert!(!ration.is_used_up());
        ration.set_share(f64::MAX, MEMTABLE, 300_000_001);
        ration.earn(100);
        ration.pay(MEMTABLE, 301_000_000);
        assert_eq!(ration.group_bytes() as u64, BURST, "and no more than fits");
        ration.set_share(0.0, MEMTABLE, 301_000_000);
        ration.pay(MEMTABLE, 400 * 1_000_000);
        bring(&ration);
        ration.pay(MEMTABLE, 480 * 1_000_000);
        let least = (MEMTABLE as u64).div_ceil(100);
        assert_eq!(bring(&ration), least, "nothing more is earned");
    }
}

//! Scans pay for every run that they look through. What they have paid so far for those beside the last one is kept, in bytes that
//! merges would have carried off in the time; once it is as much as a merge of the runs would be, they are merged.
//!
//! So a scan costs at most twice what it would if somebody had known in advance whether more of them come: who scans
//! seldom writes nothing for it, and what is scanned all the time becomes one run. Nobody needs such a merge: no writer waits
//! for it, and it goes on as fast as scans go on to pay.

use std::cell::Cell;
use std::ops::Range;

use super::pick::RunFacts;

/// For each run but one a page takes as long as a merge does for so many bytes (2.4 us and 6 ns a byte, of a page of a hundred
/// entries), and for each entry about one more.
const SEEK_BYTES: u64 = 256;

/// What scans have paid, and what is done for it.
pub(super) struct Looks {
    /// For each run beside the last one, since a merge ended.
    paid: Cell<u64>,
    /// As much is enough for some of them.
    price: Cell<u64>,
    /// A merge was begun for it,
    is_served: Cell<bool>,
    /// and something else is to be merged by now.
    is_urgent: Cell<bool>,
    /// What was paid since, without what that merge has carried off.
    credit: Cell<i64>,
}

impl Default for Looks {
    fn default() -> Looks {
        Looks {
            paid: Cell::new(0),
            price: Cell::new(u64::MAX),
            is_served: Cell::new(false),
            is_urgent: Cell::new(false),
            credit: Cell::new(0),
        }
    }
}

impl Looks {
    /// A page of so many entries was read, of so many runs and one. True if it should be asked now which of them to merge.
    pub fn pay(&self, entries: usize, others: u64) -> bool {
        let bytes = SEEK_BYTES + entries as u64;
        if self.is_served.get() {
            let credit = self.credit.get();
            self.credit
                .set(credit.saturating_add_unsigned(bytes * others));
            return false;
        }
        self.paid.set(self.paid.get().saturating_add(bytes));
        let is_enough = self.paid.get() >= self.price.get();
        if is_enough {
            self.price.set(u64::MAX);
        }
        is_enough
    }

    /// The newest of these runs whose merge is paid, as many as possible.
    pub fn paid_for(&self, runs: &[RunFacts<'_>]) -> Option<Range<usize>> {
        let mut bytes = 0;
        let (mut longest, mut least) = (None, u64::MAX);
        for (others, run) in runs.iter().enumerate() {
            bytes += run.file_bytes;
            if others == 0 {
                continue;
            }
            let price = bytes / others as u64;
            least = least.min(price);
            if price <= self.paid.get() {
                longest = Some(0..others + 1);
            }
        }
        self.price.set(least);
        longest
    }

    /// What was paid is used up.
    pub fn begin_anew(&self) {
        self.paid.set(0);
    }

    /// What was paid for is being merged; or cannot be, or is no more.
    pub fn serve(&self, begins: bool) {
        self.is_served.set(begins);
        self.is_urgent.set(false);
        self.credit.set(0);
    }

    /// A merge for scans goes on.
    pub fn is_served(&self) -> bool {
        self.is_served.get()
    }

    /// Whether something else is to be merged meanwhile.
    pub fn hurry(&self, is_urgent: bool) {
        self.is_urgent.set(is_urgent);
    }

    /// What is merged now may rest.
    pub fn is_patient(&self) -> bool {
        self.is_served.get() && !self.is_urgent.get()
    }

    /// A merge for scans has carried off so many bytes.
    pub fn take(&self, bytes: u64) {
        let credit = self.credit.get();
        self.credit.set(credit.saturating_sub_unsigned(bytes));
    }

    /// Scans have paid for all of that.
    pub fn is_paid(&self) -> bool {
        self.credit.get() >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compaction::pick::tests::runs;

    /// Pages of 44 entries, which pay 300 each, until something is to be asked.
    fn pages(looks: &Looks) -> u64 {
        (1..).find(|_| looks.pay(44, 2)).expect("at some time")
    }

    #[test]
    fn runs_are_merged_when_scans_have_paid_as_much_as_that_takes() {
        let looks = Looks::default();
        let runs = runs(&[30_000, 30_000, 240_000]);
        assert_eq!(looks.paid_for(&runs), None);
        assert_eq!(pages(&looks), 200, "the two upper ones");
        assert_eq!(looks.paid_for(&runs), Some(0..2));
        // Somebody else had more urgent things to merge meanwhile.
        let asked = (200..500).filter(|_| looks.pay(44, 2)).count();
        assert_eq!((asked, looks.paid_for(&runs)), (1, Some(0..3)));
        looks.begin_anew();
        assert_eq!(looks.paid_for(&runs), None);
    }

    #[test]
    fn one_run_costs_nobody_anything() {
        let looks = Looks::default();
        assert_eq!(looks.paid_for(&runs(&[5])), None);
        assert!((0..1000).all(|_| !looks.pay(1000, 0)));
    }

    #[test]
    fn a_merge_for_scans_goes_on_as_they_pay_and_is_patient_until_others_are_due() {
        let looks = Looks::default();
        looks.serve(true);
        looks.take(1000);
        assert!(looks.is_patient() && !looks.is_paid());
        assert!(!looks.pay(44, 3) && !looks.is_paid());
        assert!(!looks.pay(44, 3) && looks.is_paid());
        looks.hurry(true);
        assert!(!looks.is_patient() && looks.is_served());
        looks.serve(false);
        assert!(!looks.is_patient());
        assert_eq!(
            looks.paid_for(&runs(&[1, 1])),
            None,
            "that was for the merge"
        );
    }
}

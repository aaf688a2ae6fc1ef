//! Range deletes: each removes every key between two ends that was written before it, with one record.
//!
//! A shard keeps those that still hide something in one list, in memory for reads and in the manifest for the next
//! opening; tables and memtables know nothing of them. `fragments` is the same list cut at all ends, so that what
//! hides a key is found by one search. [Decision 19](../../../docs/decisions/0019-range-deletes-are-a-list-beside-the-tables.md)
//! has why.

mod fragments;
mod keep;
#[cfg(test)]
mod tests;

use ringkeep_io::planted::{Defect, planted};

use crate::call::Op;
use crate::version::Version;

pub(crate) use fragments::Fragment;
use fragments::Fragments;
pub(crate) use keep::{ASK_TO_MERGE_FROM, hides_in, hides_some, is_wholly_under, still_needed};

/// Every key from `from` on and below `to` that is older than `version` is gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RangeDelete {
    pub from: Box<[u8]>,
    pub to: Box<[u8]>,
    pub version: Version,
}

impl RangeDelete {
    /// Of a change that is one.
    pub fn of(op: &Op, version: Version) -> Option<RangeDelete> {
        match op {
            Op::DeleteRange { from, to } => Some(RangeDelete {
                from: from.as_slice().into(),
                to: to.as_slice().into(),
                version,
            }),
            _ => None,
        }
    }

    /// Bytes of its ends.
    pub fn bytes(&self) -> usize {
        self.from.len() + self.to.len()
    }
}

/// The range deletes of a shard that still hide something.
#[derive(Clone, Default, Debug)]
pub(crate) struct Ranges {
    fragments: Fragments,
    count: usize,
    bytes: usize,
}

impl Ranges {
    /// Those that are given, whatever their order.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a RangeDelete>) -> Ranges {
        let mut ranges = Ranges::default();
        all.into_iter().for_each(|range| ranges.add(range));
        ranges
    }

    pub fn add(&mut self, range: &RangeDelete) {
        self.fragments.add(range);
        self.count += 1;
        self.bytes += range.bytes();
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of their ends.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a reader at `at` does not see of a key: everything below this version; nothing where that is zero.
    #[inline]
    pub fn hidden_below(&self, key: &[u8], at: Version) -> Version {
        match self.is_empty() {
            true => Version(0),
            false => self
                .fragment_of(key)
                .map_or(Version(0), |f| f.newest_up_to(at)),
        }
    }

    /// The newest range delete over a key, whether anybody sees it yet or not.
    pub fn newest_over(&self, key: &[u8]) -> Version {
        self.hidden_below(key, Version(u64::MAX))
    }

    /// The part of the list that has to do with keys from `from` on.
    pub fn above(&self, from: &[u8]) -> impl Iterator<Item = &Fragment> {
        self.fragments.above(from).iter()
    }

    /// The part of the list that has to do with keys from `first` to `last`, both included.
    pub fn over(&self, first: &[u8], last: &[u8]) -> &[Fragment] {
        self.fragments.touching(first, last)
    }

    /// Where a key lies, if a range delete is over it.
    #[cold]
    pub fn fragment_of(&self, key: &[u8]) -> Option<&Fragment> {
        self.fragments.of(key)
    }
}

/// Whether `version` of a key is hidden by what is hidden below `floor`.
#[inline]
pub(crate) fn hides(floor: Version, version: Version) -> bool {
    match planted(Defect::RangeHidesNewer) {
        false => version < floor,
        true => floor > Version(0),
    }
}

/// Within one call, what a range delete removes and was put before it is as if it had been deleted: all of a call gets one
/// version, and a range delete hides what is below its own.
pub(crate) fn settle_order(ops: &mut [Op]) {
    let ranges = ops.iter().filter(|op| matches!(op, Op::DeleteRange { .. }));
    if ranges.count() == 0 {
        return;
    }
    let mut behind = Ranges::default();
    for op in ops.iter_mut().rev() {
        match RangeDelete::of(op, Version(1)) {
            Some(range) => behind.add(&range),
            None if behind.newest_over(op.key()) > Version(0) => {
                let key = op.key().to_vec();
                *op = Op::Delete { key };
            }
            None => {}
        }
    }
}

/// A call may bring a range delete.
pub(crate) fn any(ops: &[Op]) -> bool {
    ops.iter().any(|op| matches!(op, Op::DeleteRange { .. }))
}

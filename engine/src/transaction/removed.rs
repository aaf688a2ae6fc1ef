//! Ranges that a transaction removes.

use std::ops::Bound;

use ringkeep_shard::Op;

use super::Transaction;
use crate::Result;
use crate::keyspace::{Keyspace, default_range};
use crate::range_delete::{check_ends, ends};
use crate::scan::{KeyRange, Keys};

/// Half-open, of keys as they are stored. What the transaction writes into one afterwards counts.
#[derive(Default)]
pub(super) struct Removed(Vec<(Vec<u8>, Vec<u8>)>);

impl Removed {
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(from, to)| from.as_slice() <= key && key < to.as_slice())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn into_ops(self) -> impl Iterator<Item = Op> {
        let ranges = self.0.into_iter();
        ranges.map(|(from, to)| Op::DeleteRange { from, to })
    }
}

impl Transaction {
    /// Removes every key of a range at the commit. It conflicts with whatever else has changed in the range since the
    /// transaction began, keys that are new included.
    pub fn delete_range(&mut self, range: impl KeyRange) -> Result<()> {
        self.remove(default_range(range.keys()))
    }

    /// Removes every key of a range of a keyspace at the commit.
    pub fn delete_range_in(&mut self, keyspace: &Keyspace, range: impl KeyRange) -> Result<()> {
        self.touch(&keyspace.space)?;
        self.remove(keyspace.space.range(range.keys()))
    }

    fn remove(&mut self, stored: Keys) -> Result<()> {
        self.check()?;
        let Some((from, to)) = ends(stored) else {
            return Ok(());
        };
        check_ends(&from, &to)?;
        let bytes = from.len() + to.len();
        self.check_size(1, bytes)?;
        self.write_bytes += bytes;
        let bounds = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        let inside = self.writes.range::<[u8], _>(bounds);
        let inside: Vec<_> = inside.map(|(key, _)| key.clone()).collect();
        for key in inside {
            if let Some(own) = self.writes.remove(&key) {
                self.write_bytes -= key.len() + own.value.map_or(0, |value| value.len());
            }
        }
        self.removed.0.push((from, to));
        Ok(())
    }
}

//! What a transaction will change, and sees itself already.

use std::collections::BTreeMap;

use ringkeep_shard::Op;
use ringkeep_shard::limits::UNTIL_MAX;

/// Changes that wait for the commit.
pub(super) type Writes = BTreeMap<Box<[u8]>, Own>;

/// A change of the transaction's own.
pub(super) struct Own {
    /// Nothing where it is a removal.
    pub(super) value: Option<Box<[u8]>>,
    /// When the value ends; `u64::MAX` when it does not.
    pub(super) until: u64,
}

impl Own {
    /// What the transaction sees of it, which judges ends at this time.
    pub(super) fn seen(&self, time: u64) -> Option<&[u8]> {
        self.value.as_deref().filter(|_| self.until > time)
    }

    pub(super) fn into_op(self, key: Box<[u8]>) -> Op {
        let (key, until) = (key.into_vec(), self.until);
        match self.value.map(<[u8]>::into_vec) {
            None => Op::Delete { key },
            Some(value) if until >= UNTIL_MAX => Op::Put { key, value },
            Some(value) => Op::PutUntil { key, value, until },
        }
    }
}

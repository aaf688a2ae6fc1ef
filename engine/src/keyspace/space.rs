//! One keyspace, as its handles share it.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ringkeep_io::planted::{Defect, planted};
use ringkeep_shard::Pins;
use ringkeep_shard::keyspace::{self, DEFAULT_END, KeyspaceId};

use super::Kept;
use crate::batch::check_key;
use crate::scan::Keys;
use crate::{Error, Result};

/// What is known of a keyspace.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) id: KeyspaceId,
    pub(crate) name: String,
    pub(crate) kept: Kept,
    prefix: Vec<u8>,
    /// Of the database that it belongs to, which they tell from all others.
    pins: Arc<Pins>,
    dropped: AtomicBool,
}

impl Space {
    pub(crate) fn new(id: KeyspaceId, name: String, kept: Kept, pins: Arc<Pins>) -> Space {
        Space {
            prefix: keyspace::prefix(id),
            id,
            name,
            kept,
            pins,
            dropped: AtomicBool::new(false),
        }
    }

    /// No call is let in from here on.
    pub(crate) fn shut(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Whether it is there, in this database.
    pub(crate) fn check(&self, pins: &Arc<Pins>) -> Result<()> {
        let name = || self.name.clone();
        if !Arc::ptr_eq(&self.pins, pins) {
            return Err(Error::ForeignKeyspace { name: name() });
        }
        if self.dropped.load(Ordering::Acquire) {
            return Err(Error::KeyspaceDropped { name: name() });
        }
        Ok(())
    }

    /// A key as it is stored.
    pub(crate) fn key(&self, key: &[u8]) -> Result<Vec<u8>> {
        check_key(key)?;
        Ok(self.stored(key))
    }

    pub(crate) fn stored(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix[..], key].concat()
    }

    /// A range as it is stored.
    pub(crate) fn range(&self, keys: Keys) -> Keys {
        let stored = |key: Box<[u8]>| self.stored(&key).into();
        Keys {
            from: match keys.from {
                Bound::Unbounded => Bound::Included(self.prefix.as_slice().into()),
                from => from.map(stored),
            },
            to: match keys.to {
                Bound::Unbounded => Bound::Excluded(self.end()),
                to => to.map(stored),
            },
        }
    }

    /// What no key of it is stored at, nor above.
    fn end(&self) -> Box<[u8]> {
        let mut end = self.prefix.clone();
        // Neither the last byte of a prefix of two, nor the last four of a long one, are all FF but for the very last
        // number, which is never given.
        for byte in end.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        end.into()
    }

    /// When a value that is written now ends, unless it says otherwise; `u64::MAX` when it does not.
    pub(crate) fn until(&self) -> u64 {
        match self.kept.stay {
            0 => u64::MAX,
            stay => self.pins.now().saturating_add(stay),
        }
    }
}

/// A range of the default keyspace as it is stored.
pub(crate) fn default_range(keys: Keys) -> Keys {
    let stored = |key: Box<[u8]>| match keyspace::default_prefix(&key) {
        [] => key,
        prefix => [prefix, &key].concat().into(),
    };
    Keys {
        from: keys.from.map(stored),
        to: match keys.to {
            Bound::Unbounded if planted(Defect::ScanPastKeyspace) => Bound::Unbounded,
            Bound::Unbounded => Bound::Excluded(DEFAULT_END.into()),
            to => to.map(stored),
        },
    }
}

/// A key of the default keyspace as it is stored: nearly always as it is.
#[inline]
pub(crate) fn default_key(key: &[u8]) -> Cow<'_, [u8]> {
    match keyspace::default_prefix(key) {
        [] => Cow::Borrowed(key),
        prefix => Cow::Owned([prefix, key].concat()),
    }
}

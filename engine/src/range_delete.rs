//! Removing every key of a range at once.

use std::future::Future;
use std::ops::Bound;

use ringkeep_shard::keyspace::{DEFAULT_END, user_key};
use ringkeep_shard::{Op, ShardId, Version};

use crate::keyspace::{Keyspace, default_range};
use crate::limits::KEY_BYTES_MAX;
use crate::routing::Routing;
use crate::scan::{KeyRange, Keys};
use crate::{Batch, Database, Error, Result, desk};

impl Database {
    /// Removes every key of a range, or none; returns the version of the write. However many keys that is, it costs each
    /// shard one record. As with [`Database::delete`], a snapshot from before still has them.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-range-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// db.put("2025-12-31", "old")?;
    /// db.put("2026-01-01", "new")?;
    /// db.delete_range(.."2026")?;
    /// assert_eq!(db.get("2025-12-31")?, None);
    /// assert_eq!(db.scan(..).count(), 1);
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Keys of a range are on all shards, so over several of them this is a batch: it is durable when it is
    /// acknowledged, whatever [`Options::durability`](crate::Options::durability) says. Each shard keeps a few thousand
    /// range deletes, until merges have dropped what they remove; more are an error.
    pub fn delete_range(&self, range: impl KeyRange) -> Result<Version> {
        self.write(removal(range))
    }

    /// [`Database::delete_range`] as a future.
    pub fn delete_range_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.write_async(removal(range))
    }
}

impl Keyspace {
    /// Removes every key of a range of this keyspace, as [`Database::delete_range`].
    pub fn delete_range(&self, range: impl KeyRange) -> Result<Version> {
        desk::block_on(self.delete_range_async(range))
    }

    /// [`Keyspace::delete_range`] as a future.
    pub fn delete_range_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Version>> + Send {
        let mut batch = Batch::new();
        batch.delete_range_in(self, range);
        self.db.write_async(batch)
    }
}

impl Batch {
    /// Adds: remove every key of a range. What the batch puts there later stays.
    pub fn delete_range(&mut self, range: impl KeyRange) -> &mut Batch {
        self.remove(default_range(range.keys()))
    }

    /// Adds: remove every key of a range of a keyspace.
    pub fn delete_range_in(&mut self, keyspace: &Keyspace, range: impl KeyRange) -> &mut Batch {
        self.touch(&keyspace.space);
        self.remove(keyspace.space.range(range.keys()))
    }

    fn remove(&mut self, stored: Keys) -> &mut Batch {
        match ends(stored) {
            Some((from, to)) => self.push(Op::DeleteRange { from, to }),
            None => self,
        }
    }
}

fn removal(range: impl KeyRange) -> Batch {
    let mut batch = Batch::new();
    batch.delete_range(range);
    batch
}

/// The first key of a range as it is stored, and the first one behind it; nothing where no key can be in it.
pub(crate) fn ends(stored: Keys) -> Option<(Vec<u8>, Vec<u8>)> {
    let after = |key: Box<[u8]>| [&key[..], &[0]].concat();
    let from = match stored.from {
        Bound::Included(key) => key.into_vec(),
        Bound::Excluded(key) => after(key),
        Bound::Unbounded => Vec::new(),
    };
    let to = match stored.to {
        Bound::Included(key) => after(key),
        Bound::Excluded(key) => key.into_vec(),
        Bound::Unbounded => DEFAULT_END.into(),
    };
    (from < to).then_some((from, to))
}

/// Refuses ends over the limit. The first key behind a range may be one that no key is: the last one and a byte.
pub(crate) fn check_ends(from: &[u8], to: &[u8]) -> Result<()> {
    let bytes = user_key(from).len().max(user_key(to).len());
    match bytes > KEY_BYTES_MAX + 1 {
        true => Err(Error::KeyTooLong {
            bytes,
            max: KEY_BYTES_MAX,
        }),
        false => Ok(()),
    }
}

/// Each shard's part of changes among which are range deletes: those are for all of them.
pub(crate) fn dealt_out(routing: &Routing, ops: Vec<Op>) -> Vec<(ShardId, Vec<Op>)> {
    let mut parts: Vec<(ShardId, Vec<Op>)> = routing.shards().map(|s| (s, Vec::new())).collect();
    let first = ops.first().map(|op| routing.shard(op.key()));
    for op in ops {
        match op.range() {
            Some(_) => parts.iter_mut().for_each(|(_, part)| part.push(op.clone())),
            None => parts[usize::from(routing.shard(op.key()).0)].1.push(op),
        }
    }
    // The first one coordinates.
    if let Some(first) = first {
        parts.swap(0, usize::from(first.0));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_take_in_what_the_bounds_say() {
        let at = |key: &str| Bound::Included(key.as_bytes().into());
        let beyond = |key: &str| Bound::Excluded(key.as_bytes().into());
        let ends = |from, to| ends(Keys { from, to });
        let pair = |from: &[u8], to: &[u8]| Some((from.to_vec(), to.to_vec()));
        assert_eq!(ends(at("a"), beyond("b")), pair(b"a", b"b"));
        assert_eq!(ends(beyond("a"), at("b")), pair(b"a\0", b"b\0"));
        assert_eq!(ends(at("a"), at("a")), pair(b"a", b"a\0"));
        assert_eq!(ends(at("a"), beyond("a")), None);
        assert_eq!(ends(at("b"), at("a")), None);
        assert_eq!(ends(Bound::Unbounded, beyond("a")), pair(b"", b"a"));
    }

    #[test]
    fn every_shard_gets_the_ranges_and_the_keys_that_are_its_own_in_order() {
        let routing = Routing::even(4);
        let key = b"k".to_vec();
        let owner = routing.shard(&key);
        let put = Op::Put { key, value: vec![] };
        let range = Op::DeleteRange {
            from: vec![],
            to: b"z".to_vec(),
        };
        let parts = dealt_out(&routing, vec![put.clone(), range.clone(), put.clone()]);
        assert_eq!(parts.len(), 4);
        assert_eq!(parts[0], (owner, vec![put.clone(), range.clone(), put]));
        for (shard, ops) in &parts[1..] {
            assert_ne!(*shard, owner);
            assert_eq!(ops, std::slice::from_ref(&range));
        }
    }
}

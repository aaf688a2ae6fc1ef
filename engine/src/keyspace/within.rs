//! Batches, snapshots and transactions over several keyspaces.

use std::time::SystemTime;

use ringkeep_io::planted::{Defect, planted};

use super::Keyspace;
use crate::batch::{check_value, delete};
use crate::database::take_value;
use crate::expiry::{put_until, since_1970};
use crate::scan::{KeyRange, Scan};
use crate::{Batch, Result, Snapshot, Transaction, TransactionScan, desk};

impl Batch {
    /// Adds: store `value` under `key` of a keyspace.
    pub fn put_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut Batch {
        let stored = keyspace.space.stored(key.as_ref());
        self.touch(&keyspace.space);
        self.push(put_until(&stored, value.as_ref(), keyspace.space.until()))
    }

    /// Adds: store `value` under `key` of a keyspace until `time`.
    pub fn put_until_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> &mut Batch {
        let stored = keyspace.space.stored(key.as_ref());
        self.touch(&keyspace.space);
        self.push(put_until(&stored, value.as_ref(), since_1970(time)))
    }

    /// Adds: remove `key` of a keyspace.
    pub fn delete_in(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> &mut Batch {
        let stored = keyspace.space.stored(key.as_ref());
        self.touch(&keyspace.space);
        self.push(delete(&stored))
    }
}

impl Snapshot {
    /// The value that a key of a keyspace had. Of a keyspace that has been dropped since, nothing can be read.
    pub fn get_in(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        let mut value = Vec::new();
        let at = Some(self.moment_in(keyspace.space.id)?);
        let (shard, call) = self.inner.get(&stored, at, &mut value);
        let reply = self.inner.shards.ask(shard, call)?;
        keyspace.still(take_value(reply, &mut value).then_some(value))
    }

    /// [`Snapshot::get_in`] as a future.
    pub async fn get_in_async(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        let at = self.moment_in(keyspace.space.id)?;
        keyspace.still(self.get_stored(&stored, at).await?)
    }

    /// The values that several keys of a keyspace had, in their order.
    pub fn multi_get_in<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let stored = |key: K| {
            self.key_in(keyspace, key.as_ref())
                .map(Vec::into_boxed_slice)
        };
        let keys = keys.into_iter().map(stored).collect::<Result<Vec<_>>>()?;
        let at = self.moment_in(keyspace.space.id)?;
        keyspace.still(desk::block_on(self.multi_get_stored(keys, at))?)
    }

    /// The entries of a range of keys of a keyspace.
    pub fn scan_in(&self, keyspace: &Keyspace, range: impl KeyRange) -> Scan {
        if planted(Defect::SnapshotOfKeyspaceMoves) {
            return keyspace.scan(range);
        }
        let keys = keyspace.space.range(range.keys());
        let at = self.moment_in(keyspace.space.id);
        self.scan_stored(keys, at).of(&keyspace.space)
    }

    fn key_in(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Vec<u8>> {
        keyspace.space.check(&self.inner.pins)?;
        keyspace.space.key(key)
    }
}

impl Transaction {
    /// The value of a key of a keyspace.
    pub fn get_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        desk::block_on_steps(self.get_in_async(keyspace, key))
    }

    /// [`Transaction::get_in`] as a future.
    pub async fn get_in_async(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        keyspace.still(self.get_stored(stored.into()).await?)
    }

    /// Stores a value under a key of a keyspace at the commit.
    pub fn put_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        check_value(value.as_ref())?;
        self.write(&stored, Some(value.as_ref()), keyspace.space.until())
    }

    /// The same until `time`, as [`Transaction::put_until`].
    pub fn put_until_in(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> Result<()> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        check_value(value.as_ref())?;
        self.write(&stored, Some(value.as_ref()), since_1970(time))
    }

    /// Removes a key of a keyspace, there or not, at the commit.
    pub fn delete_in(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<()> {
        let stored = self.key_in(keyspace, key.as_ref())?;
        self.write(&stored, None, u64::MAX)
    }

    /// The entries of a range of keys of a keyspace, with this transaction's changes in it.
    pub fn scan_in(
        &mut self,
        keyspace: &Keyspace,
        range: impl KeyRange,
    ) -> Result<TransactionScan<'_>> {
        self.touch(&keyspace.space)?;
        self.scan_stored(keyspace.space.range(range.keys()), Some(&keyspace.space))
    }

    fn key_in(&mut self, keyspace: &Keyspace, key: &[u8]) -> Result<Vec<u8>> {
        self.touch(&keyspace.space)?;
        keyspace.space.key(key)
    }
}

//! What can be asked of a keyspace: what can be asked of a database, of the keys in it alone.

use std::future::Future;
use std::time::{Duration, SystemTime};

use ringkeep_shard::{Op, Version};

use super::Keyspace;
use crate::batch::{check_value, delete};
use crate::database::{take_value, written};
use crate::expiry::{put_until, since_1970};
use crate::past::Diff;
use crate::scan::{KeyRange, Keys, Scan};
use crate::{Result, Snapshot, desk};

type Value = Option<Vec<u8>>;

impl Keyspace {
    /// The newest value of a key, as [`Database::get`](crate::Database::get).
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Value> {
        let mut value = Vec::new();
        Ok(self.get_into(key, &mut value)?.then_some(value))
    }

    /// [`Keyspace::get`] as a future.
    pub async fn get_async(&self, key: impl AsRef<[u8]>) -> Result<Value> {
        let mut value = Vec::new();
        let found = self.get_into_async(key, &mut value).await?;
        Ok(found.then_some(value))
    }

    /// The same into memory that the caller keeps, as [`Database::get_into`](crate::Database::get_into).
    pub fn get_into(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let stored = self.key(key.as_ref())?;
        let inner = &self.db.0;
        if inner.shards.read_row(&stored, value)? {
            return self.still(true);
        }
        let (shard, call) = inner.get(&stored, None, value);
        let reply = inner.shards.ask(shard, call)?;
        self.still(take_value(reply, value))
    }

    /// [`Keyspace::get_into`] as a future. Dropped before its end, or failed, it leaves `value` empty.
    pub async fn get_into_async(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let stored = self.key(key.as_ref())?;
        let found = self.db.0.get_stored(&stored, value).await?;
        self.still(found).inspect_err(|_| value.clear())
    }

    /// The values of several keys, in their order, all from the same instant.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Value>> {
        desk::block_on(self.multi_get_async(keys))
    }

    /// [`Keyspace::multi_get`] as a future.
    pub fn multi_get_async<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Value>>> + Send {
        let keys = self.keys(keys);
        async move { self.still(self.db.0.multi_get(keys?, None).await?) }
    }

    /// Stores a value; returns the version of the write.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Version> {
        self.write_one(self.op(key.as_ref(), value.as_ref(), self.space.until()))
    }

    /// [`Keyspace::put`] as a future.
    pub fn put_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.write_one_async(self.op(key.as_ref(), value.as_ref(), self.space.until()))
    }

    /// Stores a value until a time, as [`Database::put_until`](crate::Database::put_until).
    pub fn put_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> Result<Version> {
        self.write_one(self.op(key.as_ref(), value.as_ref(), since_1970(time)))
    }

    /// [`Keyspace::put_until`] as a future.
    pub fn put_until_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.write_one_async(self.op(key.as_ref(), value.as_ref(), since_1970(time)))
    }

    /// Stores a value for so long from now: [`Keyspace::put_until`].
    pub fn put_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<Version> {
        self.put_until(key, value, self.db.0.time_in(time))
    }

    /// [`Keyspace::put_for`] as a future.
    pub fn put_for_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.put_until_async(key, value, self.db.0.time_in(time))
    }

    /// Removes a key, there or not; returns the version of the write.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<Version> {
        self.write_one(self.key(key.as_ref()).map(|key| delete(&key)))
    }

    /// [`Keyspace::delete`] as a future.
    pub fn delete_async(
        &self,
        key: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.write_one_async(self.key(key.as_ref()).map(|key| delete(&key)))
    }

    /// Replaces a value by what `change` makes of it, as [`Database::update`](crate::Database::update).
    pub fn update(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnMut(Option<&[u8]>) -> Value + Send,
    ) -> Result<Value> {
        desk::block_on_steps(self.update_async(key, change))
    }

    /// [`Keyspace::update`] as a future.
    pub async fn update_async(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnMut(Option<&[u8]>) -> Value + Send,
    ) -> Result<Value> {
        let key = self.key(key.as_ref());
        let updated = self.db.update_stored(key, || self.space.until(), change);
        self.still(updated.await?)
    }

    /// Swaps a value for another if it is the expected one, as
    /// [`Database::compare_and_set`](crate::Database::compare_and_set).
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        desk::block_on_steps(self.compare_and_set_async(key, expected, new))
    }

    /// [`Keyspace::compare_and_set`] as a future.
    pub async fn compare_and_set_async(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        let key = self.key(key.as_ref());
        let (expected, new) = (expected.map(Box::from), new.map(Box::from));
        let swapped = self.db.swap(key, || self.space.until(), expected, new);
        self.still(swapped.await?)
    }

    /// Stores a value under a key that is absent; says whether it was.
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.compare_and_set(key, None, Some(value.as_ref()))
    }

    /// [`Keyspace::put_if_absent`] as a future.
    pub async fn put_if_absent_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<bool> {
        let new = Some(value.as_ref());
        self.compare_and_set_async(key, None, new).await
    }

    /// Adds to a counter and returns its new value, as [`Database::increment`](crate::Database::increment).
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        desk::block_on_steps(self.increment_async(key, by))
    }

    /// [`Keyspace::increment`] as a future.
    pub async fn increment_async(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        let key = self.key(key.as_ref());
        let added = self.db.add_stored(key, || self.space.until(), by);
        self.still(added.await?)
    }

    /// The entries of a range of keys, in order, as [`Database::scan`](crate::Database::scan).
    pub fn scan(&self, range: impl KeyRange) -> Scan {
        Scan::new(self.db.0.clone(), self.space.range(range.keys())).of(&self.space)
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        self.scan(Keys::prefix(prefix))
    }

    /// What has changed from one snapshot to another, as [`Database::diff`](crate::Database::diff).
    pub fn diff(&self, before: &Snapshot, after: &Snapshot, range: impl KeyRange) -> Diff {
        let keys = range.keys();
        Diff::new(
            before.scan_in(self, keys.clone()),
            after.scan_in(self, keys),
        )
    }

    /// A key as it is stored, if the keyspace is there.
    pub(crate) fn key(&self, key: &[u8]) -> Result<Vec<u8>> {
        self.space.check(&self.db.0.pins)?;
        self.space.key(key)
    }

    /// What was read, unless the keyspace was dropped meanwhile: merges may have got ahead of the read.
    pub(crate) fn still<R>(&self, read: R) -> Result<R> {
        self.space.check(&self.db.0.pins)?;
        Ok(read)
    }

    fn keys<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Box<[u8]>>> {
        let stored = |key: K| self.key(key.as_ref()).map(Vec::into_boxed_slice);
        keys.into_iter().map(stored).collect()
    }

    fn op(&self, key: &[u8], value: &[u8], until: u64) -> Result<Op> {
        let stored = self.key(key)?;
        check_value(value)?;
        Ok(put_until(&stored, value, until))
    }

    fn write_one(&self, op: Result<Op>) -> Result<Version> {
        let inner = &self.db.0;
        let (shard, call) = inner.one(vec![op?], inner.durability);
        inner.shards.ask(shard, call).map(written)
    }

    fn write_one_async(&self, op: Result<Op>) -> impl Future<Output = Result<Version>> + Send {
        let call = op.map(|op| self.db.0.one(vec![op], self.db.0.durability));
        self.db.written(call)
    }
}

//! One key read and changed in one step, which nobody gets between.

use std::future::Future;

use ringkeep_shard::Durability;
use ringkeep_shard::keyspace::user_key;

use super::TransactionOptions;
use crate::batch::{check_key, check_value};
use crate::keyspace::default_key;
use crate::{Database, Error, Result, desk};

/// What becomes of a key.
pub(crate) enum Next {
    Unchanged,
    Put(Vec<u8>),
    Removed,
}

impl Database {
    /// Replaces the value of a key by what `change` makes of it, nothing standing for an absent key; returns the new
    /// one. When somebody else changes the key meanwhile, `change` is called again with the newer value, for as
    /// often as it takes.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-update-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// let append = |old: Option<&[u8]>| Some([old.unwrap_or_default(), b"x"].concat());
    /// db.update("log", append)?;
    /// assert_eq!(db.update("log", append)?.as_deref(), Some(&b"xx"[..]));
    /// assert_eq!(db.update("log", |_| None)?, None);
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn update(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>> + Send,
    ) -> Result<Option<Vec<u8>>> {
        desk::block_on_steps(self.update_async(key, change))
    }

    /// [`Database::update`] as a future.
    pub fn update_async(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>> + Send,
    ) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
        self.update_stored(stored(key.as_ref()), never, change)
    }

    pub(crate) fn update_stored(
        &self,
        key: Result<Vec<u8>>,
        until: impl Fn() -> u64 + Send,
        mut change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>> + Send,
    ) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
        self.step(key, until, None, move |old| {
            let new = change(old);
            let next = match &new {
                Some(new) => Next::Put(new.clone()),
                None => Next::Removed,
            };
            Ok((next, new))
        })
    }

    /// Stores `new` under a key, or removes it where that is nothing, if its value is `expected`, or it is absent
    /// where that is nothing; says whether it was.
    pub fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<bool> {
        desk::block_on_steps(self.compare_and_set_async(key, expected, new))
    }

    /// [`Database::compare_and_set`] as a future.
    pub fn compare_and_set_async(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> impl Future<Output = Result<bool>> + Send {
        let (expected, new) = (expected.map(Box::from), new.map(Box::from));
        self.swap(stored(key.as_ref()), never, expected, new)
    }

    pub(crate) fn swap(
        &self,
        key: Result<Vec<u8>>,
        until: impl Fn() -> u64 + Send,
        expected: Option<Box<[u8]>>,
        new: Option<Box<[u8]>>,
    ) -> impl Future<Output = Result<bool>> + Send {
        self.step(key, until, None, move |old| {
            if old != expected.as_deref() {
                return Ok((Next::Unchanged, false));
            }
            let next = match &new {
                Some(new) => Next::Put(new.to_vec()),
                None => Next::Removed,
            };
            Ok((next, true))
        })
    }

    /// Stores a value under a key that is absent; says whether it was.
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool> {
        self.compare_and_set(key, None, Some(value.as_ref()))
    }

    /// [`Database::put_if_absent`] as a future.
    pub fn put_if_absent_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<bool>> + Send {
        let new = Some(value.as_ref().into());
        self.swap(stored(key.as_ref()), never, None, new)
    }

    /// Adds to a counter and returns its new value. A counter is eight bytes, an `i64` in little-endian order; an
    /// absent one is 0.
    pub fn increment(&self, key: impl AsRef<[u8]>, by: i64) -> Result<i64> {
        desk::block_on_steps(self.increment_async(key, by))
    }

    /// [`Database::increment`] as a future.
    pub fn increment_async(
        &self,
        key: impl AsRef<[u8]>,
        by: i64,
    ) -> impl Future<Output = Result<i64>> + Send {
        self.add_stored(stored(key.as_ref()), never, by)
    }

    pub(crate) fn add_stored(
        &self,
        key: Result<Vec<u8>>,
        until: impl Fn() -> u64 + Send,
        by: i64,
    ) -> impl Future<Output = Result<i64>> + Send {
        let name = key.clone().unwrap_or_default();
        self.step(key, until, None, move |old| {
            let wrong = |detail: String| Error::Counter {
                key: user_key(&name).to_vec(),
                detail,
            };
            let old = match old {
                None => 0,
                Some(bytes) => i64::from_le_bytes(
                    bytes
                        .try_into()
                        .map_err(|_| wrong(format!("it holds {} bytes and not 8", bytes.len())))?,
                ),
            };
            let new = old
                .checked_add(by)
                .ok_or_else(|| wrong(format!("{old} and {by} together are too large")))?;
            Ok((Next::Put(new.to_le_bytes().to_vec()), new))
        })
    }

    /// A transaction of one key, as it is stored, repeated until nobody gets in its way. `until` says when a value that is
    /// written now ends.
    pub(crate) async fn step<R>(
        &self,
        key: Result<Vec<u8>>,
        until: impl Fn() -> u64 + Send,
        durability: Option<Durability>,
        mut step: impl FnMut(Option<&[u8]>) -> Result<(Next, R)> + Send,
    ) -> Result<R> {
        let key = key?;
        let options = TransactionOptions {
            durability,
            ..TransactionOptions::default()
        };
        let mut attempt = 1;
        loop {
            let mut transaction = self.transaction_with(&options)?;
            let old = transaction.get_stored(key.as_slice().into()).await?;
            let (next, result) = step(old.as_deref())?;
            match next {
                Next::Unchanged => return Ok(result),
                Next::Put(value) => {
                    check_value(&value)?;
                    transaction.write(&key, Some(&value), until())?;
                }
                Next::Removed => transaction.write(&key, None, u64::MAX)?,
            }
            match transaction.commit_async().await {
                Ok(_) => return Ok(result),
                Err(Error::Conflict { .. }) => self.pause(&key, attempt).await?,
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }
}

/// A key of the default keyspace, whose values do not end unless they say so.
fn stored(key: &[u8]) -> Result<Vec<u8>> {
    check_key(key)?;
    Ok(default_key(key).into())
}

fn never() -> u64 {
    u64::MAX
}

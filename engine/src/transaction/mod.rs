//! Transactions: reads at one snapshot, writes kept back until the commit, which happens as a whole or not
//! at all. Until then a transaction costs the shards nothing but its pinned version.
//!
//! ```text
//!   mod.rs     reading, writing, committing
//!   removed.rs ranges that it will remove
//!   reads.rs   what a serializable transaction has read
//!   scan.rs    ranges, with its own writes among them
//!   retry.rs   running it again after a conflict
//!   update.rs  one key read and changed in one step
//!   writes.rs  what it will change
//! ```

mod reads;
mod removed;
mod retry;
mod scan;
mod update;
mod writes;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ringkeep_shard::{Call, Durability, Moment, Op, Part, ShardId, Transact, Version};

use crate::batch::{check_key, check_value, grouped};
use crate::database::{default_keys, written};
use crate::expiry::since_1970;
use crate::keyspace::{Space, default_key, default_range};
use crate::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, TRANSACTION_AGE_MAX, TRANSACTION_ATTEMPTS};
use crate::range_delete::dealt_out;
use crate::scan::{KeyRange, Keys};
use crate::{Database, Error, Result, Snapshot, desk};
use reads::ReadSet;
use removed::Removed;
pub use scan::TransactionScan;
pub(crate) use update::Next;
use writes::{Own, Writes};

/// What transactions that run at the same time may do to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// All reads are of one instant, and no two transactions of which neither has seen the other
    /// change the same key. Two that each read what the other one changes may both commit.
    #[default]
    Snapshot,
    /// As if transactions had run one after the other: keys and ranges that were read must be
    /// unchanged at the commit, too.
    Serializable,
}

/// How a transaction runs.
///
/// ```
/// # use ringkeep::{Isolation, TransactionOptions};
/// let options = TransactionOptions { isolation: Isolation::Serializable, ..TransactionOptions::default() };
/// ```
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    /// What others may do meanwhile.
    pub isolation: Isolation,
    /// When a commit may be acknowledged; as [`Options::durability`](crate::Options::durability) when absent.
    /// Over several shards it is always [`Durability::Sync`].
    pub durability: Option<Durability>,
    /// From then on every call but [`Transaction::rollback`] is refused: what a transaction can see is kept on
    /// disk for as long as it lives.
    pub age_max: Duration,
    /// How often [`Database::transact`] runs it before it gives the conflict back.
    pub attempts: u32,
}

impl Default for TransactionOptions {
    fn default() -> TransactionOptions {
        TransactionOptions {
            isolation: Isolation::default(),
            durability: None,
            age_max: TRANSACTION_AGE_MAX,
            attempts: TRANSACTION_ATTEMPTS,
        }
    }
}

/// Reads of one instant and changes that happen together, or not at all if what they depend on has
/// changed meanwhile. Dropped without [`Transaction::commit`], it changes nothing.
///
/// It sees the database as it was when it began, and its own changes. Nobody waits for it, and it
/// waits for nobody: whether it can be committed shows at the commit.
///
/// ```
/// # fn main() -> ringkeep::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-transaction-{}", std::process::id()));
/// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
/// # let db = ringkeep::Database::open(&folder, options)?;
/// db.put("stock:pear", "3")?;
/// let mut sale = db.transaction()?;
/// assert_eq!(sale.get("stock:pear")?.as_deref(), Some(&b"3"[..]));
/// sale.put("stock:pear", "2")?;
///
/// db.put("stock:pear", "30")?;
/// let error = sale.commit().unwrap_err();
/// assert!(matches!(error, ringkeep::Error::Conflict { key } if key == b"stock:pear"));
/// assert_eq!(db.get("stock:pear")?.as_deref(), Some(&b"30"[..]));
/// # db.close()?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    snapshot: Snapshot,
    began: Instant,
    age_max: Duration,
    durability: Durability,
    writes: Writes,
    removed: Removed,
    write_bytes: usize,
    /// Of a serializable one.
    reads: Option<ReadSet>,
    /// The keyspaces that it has read or changed, but for the default one.
    spaces: Vec<Arc<Space>>,
}

impl Database {
    /// Begins a transaction at [`Isolation::Snapshot`]. To have it run again after a conflict, use
    /// [`Database::transact`].
    pub fn transaction(&self) -> Result<Transaction> {
        self.transaction_with(&TransactionOptions::default())
    }

    /// Begins a transaction.
    pub fn transaction_with(&self, options: &TransactionOptions) -> Result<Transaction> {
        let serializable = options.isolation == Isolation::Serializable;
        Ok(Transaction {
            snapshot: self.snapshot()?,
            began: Instant::now(),
            age_max: options.age_max,
            durability: options.durability.unwrap_or(self.0.durability),
            writes: Writes::new(),
            removed: Removed::default(),
            write_bytes: 0,
            reads: serializable.then(ReadSet::default),
            spaces: Vec::new(),
        })
    }
}

impl Transaction {
    /// It sees every commit up to and including this one.
    pub fn version(&self) -> Version {
        self.snapshot.version()
    }

    /// The value of a key.
    pub fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        desk::block_on_steps(self.get_async(key))
    }

    /// [`Transaction::get`] as a future.
    pub fn get_async(
        &mut self,
        key: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send {
        let user: Box<[u8]> = key.as_ref().into();
        async move {
            check_key(&user)?;
            self.get_stored(default_key(&user).into()).await
        }
    }

    pub(crate) async fn get_stored(&mut self, key: Box<[u8]>) -> Result<Option<Vec<u8>>> {
        self.check()?;
        if let Some(own) = self.writes.get(&key) {
            return Ok(own.seen(self.moment().millis).map(<[u8]>::to_vec));
        }
        if self.removed.contains(&key) {
            return Ok(None);
        }
        let value = self.snapshot.get_stored(&key, self.moment()).await?;
        self.note(key)?;
        Ok(value)
    }

    /// The values of several keys, in their order.
    pub fn multi_get<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        desk::block_on(self.multi_get_async(keys))
    }

    /// [`Transaction::multi_get`] as a future.
    pub fn multi_get_async<K: AsRef<[u8]>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send {
        let keys = default_keys(keys);
        async move {
            self.check()?;
            let mut values = self
                .snapshot
                .multi_get_stored(keys.clone(), self.moment())
                .await?;
            for (key, value) in keys.into_iter().zip(&mut values) {
                match self.writes.get(&key) {
                    Some(own) => *value = own.seen(self.moment().millis).map(<[u8]>::to_vec),
                    None if self.removed.contains(&key) => *value = None,
                    None => self.note(key)?,
                }
            }
            Ok(values)
        }
    }

    /// The entries of a range of keys, in order, with this transaction's changes in it.
    pub fn scan(&mut self, range: impl KeyRange) -> Result<TransactionScan<'_>> {
        self.scan_stored(default_range(range.keys()), None)
    }

    pub(crate) fn scan_stored(
        &mut self,
        keys: Keys,
        space: Option<&Arc<Space>>,
    ) -> Result<TransactionScan<'_>> {
        self.check()?;
        let mut scan = self.snapshot.scan_stored(keys.clone(), Ok(self.moment()));
        if let Some(space) = space {
            scan = scan.of(space);
        }
        Ok(TransactionScan::new(
            scan,
            keys,
            (&self.writes, &self.removed),
            self.snapshot.pin.moment().millis,
            self.reads.as_mut(),
        ))
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<TransactionScan<'_>> {
        self.scan(Keys::prefix(prefix))
    }

    /// Stores a value at the commit.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        check_key(key)?;
        check_value(value)?;
        self.write(&default_key(key), Some(value), u64::MAX)
    }

    /// Stores a value at the commit that is there until `time`, as [`Database::put_until`]. The transaction itself judges
    /// by the time at which it began. That a value which it has read ends before the commit is no conflict.
    pub fn put_until(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        check_key(key)?;
        check_value(value)?;
        self.write(&default_key(key), Some(value), since_1970(time))
    }

    /// Removes a key, there or not, at the commit.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        check_key(key.as_ref())?;
        self.write(&default_key(key.as_ref()), None, u64::MAX)
    }

    /// Forgets all changes so far.
    pub fn rollback(&mut self) {
        self.writes.clear();
        self.removed.clear();
        self.write_bytes = 0;
    }

    /// Makes the changes, all or none; returns their version. One that changes nothing has no conflicts,
    /// and its version is the one that it has seen.
    pub fn commit(self) -> Result<Version> {
        desk::block_on_steps(self.commit_async())
    }

    /// [`Transaction::commit`] as a future.
    pub async fn commit_async(self) -> Result<Version> {
        self.check()?;
        self.check_size(0, 0)?;
        let inner = &self.snapshot.inner;
        inner.shards.check_open()?;
        let mut spaces = self.spaces.iter();
        spaces.try_for_each(|space| space.check(&inner.pins))?;
        if self.writes.is_empty() && self.removed.is_empty() {
            return Ok(self.version());
        }
        let parts = parts(self.writes, self.removed, self.reads, &inner.shards.routing);
        let coordinator = parts[0].shard;
        let call = Call::Transact(Transact {
            parts,
            snapshot: self.snapshot.pin,
            durability: self.durability,
        });
        inner.shards.ask_async(coordinator, call).await.map(written)
    }

    /// It has to do with a keyspace, which must still be there at the commit.
    pub(crate) fn touch(&mut self, space: &Arc<Space>) -> Result<()> {
        space.check(&self.snapshot.inner.pins)?;
        if !self.spaces.iter().any(|known| Arc::ptr_eq(known, space)) {
            self.spaces.push(Arc::clone(space));
        }
        Ok(())
    }

    pub(crate) fn moment(&self) -> Moment {
        self.snapshot.pin.moment()
    }

    /// Of a key as it is stored.
    pub(crate) fn write(&mut self, key: &[u8], value: Option<&[u8]>, until: u64) -> Result<()> {
        self.check()?;
        let bytes = |value: Option<&[u8]>| key.len() + value.map_or(0, <[u8]>::len);
        let before = self.writes.get(key);
        let (keys_before, bytes_before) = match before {
            Some(own) => (1, bytes(own.value.as_deref())),
            None => (0, 0),
        };
        let grown = bytes(value).saturating_sub(bytes_before);
        self.check_size(1 - keys_before, grown)?;
        self.write_bytes = self.write_bytes + bytes(value) - bytes_before;
        let value = value.map(Box::from);
        self.writes.insert(key.into(), Own { value, until });
        Ok(())
    }

    fn note(&mut self, key: Box<[u8]>) -> Result<()> {
        let Some(reads) = &self.reads else {
            return Ok(());
        };
        if !reads.has_key(&key) {
            self.check_size(1, key.len())?;
        }
        if let Some(reads) = &mut self.reads {
            reads.add_key(key);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let age = self.began.elapsed();
        if age > self.age_max {
            let max = self.age_max;
            return Err(Error::TransactionTooOld { age, max });
        }
        Ok(())
    }

    /// Whether there is room for so many more keys and bytes.
    fn check_size(&self, keys: usize, bytes: usize) -> Result<()> {
        let (read, read_bytes) = self.reads.as_ref().map_or((0, 0), ReadSet::size);
        let keys = self.writes.len() + self.removed.len() + read + keys;
        let bytes = self.write_bytes + read_bytes + bytes;
        if keys > BATCH_OPS_MAX || bytes > BATCH_BYTES_MAX {
            return Err(Error::TransactionTooLarge {
                keys,
                keys_max: BATCH_OPS_MAX,
                bytes,
                bytes_max: BATCH_BYTES_MAX,
            });
        }
        Ok(())
    }
}

/// Each shard's share; first the one of the first key that is changed, which coordinates.
fn parts(
    writes: Writes,
    removed: Removed,
    reads: Option<ReadSet>,
    routing: &crate::routing::Routing,
) -> Vec<Part> {
    let op = |(key, own): (Box<[u8]>, Own)| own.into_op(key);
    let (keys, ranges) = reads.unwrap_or_default().into_parts(&writes);
    let removes = !removed.is_empty();
    let ops = removed
        .into_ops()
        .chain(writes.into_iter().map(op))
        .collect();
    let dealt = match removes {
        false => grouped(routing, ops, Op::key),
        true => dealt_out(routing, ops),
    };
    let mut parts: Vec<Part> = Vec::new();
    for (shard, ops) in dealt {
        part_of(&mut parts, shard).ops = ops.into();
    }
    for (shard, keys) in grouped(routing, keys, |key| key) {
        part_of(&mut parts, shard).reads.keys = keys;
    }
    if !ranges.is_empty() {
        // Keys of a range are on all shards.
        for shard in routing.shards() {
            part_of(&mut parts, shard).reads.ranges = ranges.clone();
        }
    }
    parts
}

fn part_of(parts: &mut Vec<Part>, shard: ShardId) -> &mut Part {
    let index = parts.iter().position(|part| part.shard == shard);
    let index = index.unwrap_or_else(|| {
        parts.push(Part {
            shard,
            ..Part::default()
        });
        parts.len() - 1
    });
    &mut parts[index]
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("version", &self.version())
            .field("changes", &self.writes.len())
            .field("serializable", &self.reads.is_some())
            .finish_non_exhaustive()
    }
}

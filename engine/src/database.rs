//! The database as services see it: a handle to clone and to call from any thread, blocking or async.
//! Checks limits and routes on the caller's thread; everything else happens on the shards.

mod closing;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringkeep_shard::keyspace::user_key;
use ringkeep_shard::{
    Call, CommitClock, Durability, Moment, Op, Pins, Reply, ShardId, Version, Written,
};

use crate::batch::{check, check_key, check_value, delete, grouped};
use crate::health::Samples;
use crate::hits::with_sum;
use crate::host::{Outcome, Post};
use crate::keyspace::{Catalog, default_key, default_range};
use crate::latency::summed;
use crate::mailbox::Lost;
use crate::open::{self, Opened};
use crate::options::Options;
use crate::scan::{KeyRange, Keys, Scan};
use crate::shards::{Question, Shards};
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use crate::threads::{Running, Threads};
use crate::{Batch, Result, desk};

/// An open database. Clones are handles to the same one; the last one dropped closes it without a
/// flush, and loses nothing that was acknowledged.
///
/// Every call that can wait has an `_async` twin, which runs on any executor. A future does nothing
/// before it is first polled; dropped after that, its call runs its course unheard.
///
/// ```
/// # fn main() -> ringkeep::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-{}", std::process::id()));
/// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
/// let db = ringkeep::Database::open(&folder, options)?;
/// db.put("hello", "world")?;
/// assert_eq!(db.get("hello")?.as_deref(), Some(&b"world"[..]));
/// db.close()?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database(pub(crate) Arc<Inner>);

/// What the handles share.
pub(crate) struct Inner {
    pub(crate) shards: Shards,
    pub(crate) pins: Arc<Pins>,
    pub(crate) clock: Arc<CommitClock>,
    pub(crate) durability: Durability,
    /// What calls of `health` saw.
    pub(crate) samples: Samples,
    pub(crate) catalog: Catalog,
    path: PathBuf,
    running: Running,
}

impl Database {
    /// Opens the database in the folder `path`, or makes one there.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Database> {
        let options = options.validated()?;
        Database::start(Threads::prepare(path.as_ref(), &options)?, &options)
    }

    /// Makes a database without a folder, with the same engine over files in memory; they go with its last handle.
    /// Caches and memtables take [`Options::memory_bytes`] and files at most [`Options::in_memory_bytes`]: beyond that,
    /// writes are refused as on a full disk, while reads and deletes go on.
    ///
    /// ```
    /// # use ringkeep::{Database, Options};
    /// let db = Database::in_memory(Options::small())?;
    /// db.put("key", "value")?;
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub fn in_memory(options: Options) -> Result<Database> {
        let options = options.validated()?.in_memory()?;
        Database::start(Threads::in_memory(&options), &options)
    }

    fn start(mut threads: Threads<'_>, options: &Options) -> Result<Database> {
        let path = threads.path().to_path_buf();
        let opened = open::open(&path, options, open::random_store()?, &mut threads)?;
        let parts = threads.go(opened);
        Ok(Database::assemble(path, options, parts))
    }

    pub(crate) fn assemble(
        path: PathBuf,
        options: &Options,
        (opened, shards, running): (Opened, Shards, Running),
    ) -> Database {
        Database(Arc::new(Inner {
            catalog: Catalog::new(Arc::clone(&opened.pins)),
            shards,
            pins: opened.pins,
            clock: opened.clock,
            durability: options.durability,
            samples: Samples::default(),
            path,
            running,
        }))
    }

    /// Where it is: `in memory` when it has no folder.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The newest value of a key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_into(key, &mut value)?.then_some(value))
    }

    /// [`Database::get`] as a future.
    pub async fn get_async(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        let found = self.get_into_async(key, &mut value).await?;
        Ok(found.then_some(value))
    }

    /// Puts the newest value of a key in `value`, in place of what that holds; false, and `value` empty, when there is
    /// none. A value that is in memory costs no allocation if `value` has room for it.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-into-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// let mut value = Vec::with_capacity(100);
    /// db.put("hello", "world")?;
    /// assert!(db.get_into("hello", &mut value)?);
    /// assert_eq!(value, b"world");
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_into(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> Result<bool> {
        let key = default_key(key.as_ref());
        if self.0.read_row(&key, value)? {
            return Ok(true);
        }
        let (shard, call) = self.0.get(&key, None, value);
        let reply = self.0.shards.ask(shard, call)?;
        Ok(take_value(reply, value))
    }

    /// [`Database::get_into`] as a future. Dropped before its end, or failed, it leaves `value` empty.
    pub async fn get_into_async(&self, key: impl AsRef<[u8]>, value: &mut Vec<u8>) -> Result<bool> {
        self.0.get_stored(&default_key(key.as_ref()), value).await
    }

    /// The values of several keys, in their order, all from the same instant.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        desk::block_on(self.multi_get_async(keys))
    }

    /// [`Database::multi_get`] as a future.
    pub fn multi_get_async<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send {
        let keys = default_keys(keys);
        async move { self.0.multi_get(keys, None).await }
    }

    /// Stores a value; returns the version of the write.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Version> {
        self.put_with(key, value, self.0.durability)
    }

    /// [`Database::put`], acknowledged when `durability` says so.
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<Version> {
        let (shard, call) = self.0.put(key.as_ref(), value.as_ref(), durability)?;
        self.0.shards.ask(shard, call).map(written)
    }

    /// [`Database::put`] as a future.
    pub fn put_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.put_with_async(key, value, self.0.durability)
    }

    /// [`Database::put_with`] as a future.
    pub fn put_with_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.written(self.0.put(key.as_ref(), value.as_ref(), durability))
    }

    /// Removes a key, there or not; returns the version of the write.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<Version> {
        self.delete_with(key, self.0.durability)
    }

    /// [`Database::delete`], acknowledged when `durability` says so.
    pub fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<Version> {
        let (shard, call) = self.0.delete(key.as_ref(), durability)?;
        self.0.shards.ask(shard, call).map(written)
    }

    /// [`Database::delete`] as a future.
    pub fn delete_async(
        &self,
        key: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.delete_with_async(key, self.0.durability)
    }

    /// [`Database::delete_with`] as a future.
    pub fn delete_with_async(
        &self,
        key: impl AsRef<[u8]>,
        durability: Durability,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.written(self.0.delete(key.as_ref(), durability))
    }

    /// Writes a batch, all of it or nothing, over however many shards; returns its version.
    pub fn write(&self, batch: Batch) -> Result<Version> {
        self.write_with(batch, self.0.durability)
    }

    /// [`Database::write`], acknowledged when `durability` says so. A batch over several shards is always
    /// at least [`Durability::Sync`].
    pub fn write_with(&self, batch: Batch, durability: Durability) -> Result<Version> {
        match self.0.write(batch, durability)? {
            Some((shard, call)) => self.0.shards.ask(shard, call).map(written),
            None => self.0.nothing_written(),
        }
    }

    /// [`Database::write`] as a future.
    pub fn write_async(&self, batch: Batch) -> impl Future<Output = Result<Version>> + Send {
        self.write_with_async(batch, self.0.durability)
    }

    /// [`Database::write_with`] as a future.
    pub fn write_with_async(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> impl Future<Output = Result<Version>> + Send {
        let call = self.0.write(batch, durability);
        async move {
            match call? {
                Some((shard, call)) => self.0.shards.ask_async(shard, call).await.map(written),
                None => self.0.nothing_written(),
            }
        }
    }

    /// The database as it is now, for as long as the snapshot lives.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::new(Arc::clone(&self.0))
    }

    /// The entries of a range of keys, in order: `..`, `"a".."b"`, `"a"..`, and so on.
    pub fn scan(&self, range: impl KeyRange) -> Scan {
        Scan::new(Arc::clone(&self.0), default_range(range.keys()))
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        self.scan(Keys::prefix(prefix))
    }

    /// Writes what is in memory out to tables, on every shard.
    pub fn flush(&self) -> Result<()> {
        desk::block_on(self.flush_async())
    }

    /// [`Database::flush`] as a future.
    pub fn flush_async(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.on_all_shards(|| Call::Flush)
    }

    /// Merges the tables of every shard into one run, which drops what was overwritten and removed.
    pub fn compact(&self) -> Result<()> {
        desk::block_on(self.compact_async())
    }

    /// [`Database::compact`] as a future.
    pub async fn compact_async(&self) -> Result<()> {
        // Or what was dropped with its keyspace would stay. Where that is not known, all counts as there.
        let _ = self.load_catalog().await;
        self.0.on_all_shards(|| Call::Compact).await
    }

    /// Counters since the database was opened.
    pub fn stats(&self) -> Result<Stats> {
        desk::block_on(self.stats_async())
    }

    /// [`Database::stats`] as a future.
    pub fn stats_async(&self) -> impl Future<Output = Result<Stats>> + Send {
        self.0.stats()
    }

    /// Lets the calls under way finish, flushes, and stops the threads. Calls from then on are refused with
    /// [`Error::Closed`](crate::Error::Closed); closing again is fine. What it cannot flush, because the disk is full or a flush has
    /// failed, is durable all the same, unless a log has failed, and there after the next opening.
    pub fn close(&self) -> Result<()> {
        desk::block_on(self.close_async())
    }

    /// [`Database::close`] as a future.
    pub fn close_async(&self) -> impl Future<Output = Result<()>> + Send {
        self.0.close()
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn panic_host(&self, key: &[u8]) {
        let shards = &self.0.shards;
        shards.panic_host(shards.routing.shard(key));
    }

    pub(crate) fn panic_visitor(&self, key: &[u8]) {
        let shards = &self.0.shards;
        shards.panic_visitor(shards.routing.shard(key));
    }

    pub(crate) async fn written(&self, call: Result<(ShardId, Call)>) -> Result<Version> {
        let (shard, call) = call?;
        self.0.shards.ask_async(shard, call).await.map(written)
    }
}

impl Inner {
    /// The newest value under a key as it is stored.
    pub(crate) async fn get_stored(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        if self.read_row(key, value)? {
            return Ok(true);
        }
        let (shard, call) = self.get(key, None, value);
        let reply = self.shards.ask_async(shard, call).await?;
        Ok(take_value(reply, value))
    }

    /// Without asking anybody.
    fn read_row(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        check_key(user_key(key))?;
        self.shards.read_row(key, value)
    }

    /// The call for a key that was checked, at a pinned version or now. The memory of `value` goes with it and comes
    /// back with the answer.
    pub(crate) fn get(
        &self,
        key: &[u8],
        at: Option<Moment>,
        value: &mut Vec<u8>,
    ) -> (ShardId, Call) {
        let call = Call::Get {
            key: desk::key(key),
            at,
            room: std::mem::take(value),
        };
        (self.shards.routing.shard(key), call)
    }

    fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<(ShardId, Call)> {
        check_key(key)?;
        // Before the copy: a value over the limit may be far over it.
        check_value(value)?;
        Ok(self.one(desk::put(&default_key(key), value), durability))
    }

    fn delete(&self, key: &[u8], durability: Durability) -> Result<(ShardId, Call)> {
        check_key(key)?;
        Ok(self.one(vec![delete(&default_key(key))], durability))
    }

    pub(crate) fn one(&self, ops: Vec<Op>, durability: Durability) -> (ShardId, Call) {
        debug_assert!(ops.len() == 1 && check(&ops[0]).is_ok());
        let shard = self.shards.routing.shard(ops[0].key());
        (shard, Call::Write { ops, durability })
    }

    /// The call for a batch; nothing when it has no changes.
    fn write(&self, batch: Batch, durability: Durability) -> Result<Option<(ShardId, Call)>> {
        let mut parts = batch.split(&self.shards.routing, &self.pins)?;
        Ok(match parts.len() {
            0 => None,
            1 => parts
                .pop()
                .map(|(shard, ops)| (shard, Call::Write { ops, durability })),
            _ => Some((parts[0].0, Call::Commit { parts })),
        })
    }

    fn nothing_written(&self) -> Result<Version> {
        self.shards.check_open()?;
        Ok(self.clock.now())
    }

    pub(crate) async fn multi_get(
        &self,
        keys: Vec<Box<[u8]>>,
        at: Option<Moment>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.shards.check_open()?;
        keys.iter().try_for_each(|key| check_key(user_key(key)))?;
        if at.is_none()
            && let Some(values) = self.shards.read_rows(keys.iter().map(|key| &**key))
        {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = vec![None; keys.len()];
        let places: Vec<(usize, Box<[u8]>)> = keys.into_iter().enumerate().collect();
        let groups = grouped(&self.shards.routing, places, |(_, key)| key);
        // One shard answers all its keys from one instant by itself.
        let pin = (groups.len() > 1 && at.is_none()).then(|| self.pins.pin());
        let at = at.or(pin.as_ref().map(ringkeep_shard::Pin::moment));
        let mut questions = Vec::with_capacity(groups.len());
        let mut asked = Vec::with_capacity(groups.len());
        for (shard, group) in groups {
            let (places, keys): (Vec<usize>, Vec<_>) = group.into_iter().unzip();
            questions.push(self.shards.question(shard, Call::MultiGet { keys, at }));
            asked.push((shard, places));
        }
        let outcomes = self.shards.ask_all(questions).await;
        for ((shard, places), outcome) in asked.into_iter().zip(outcomes) {
            match self.shards.reply(shard, outcome)? {
                Reply::Values(found) => {
                    for (place, value) in places.into_iter().zip(found) {
                        values[place] = value.map(<[u8]>::into_vec);
                    }
                }
                reply => wrong(&reply),
            }
        }
        Ok(values)
    }

    /// The same call to every shard; the first error after all have answered.
    async fn on_all_shards(&self, call: impl Fn() -> Call) -> Result<()> {
        self.shards.check_open()?;
        let all = self.shards.routing.shards();
        let questions: Vec<Question> = all
            .map(|shard| self.shards.question(shard, call()))
            .collect();
        let outcomes = self.shards.ask_all(questions).await;
        for (shard, outcome) in self.shards.routing.shards().zip(outcomes) {
            match self.shards.reply(shard, outcome)? {
                Reply::Done => {}
                reply => wrong(&reply),
            }
        }
        Ok(())
    }

    /// Of hosts that have ended it says so; of the rest everything.
    async fn stats(&self) -> Result<Stats> {
        self.shards.check_open()?;
        let shards = self.shards.routing.shards();
        let mut questions: Vec<Question> = shards
            .map(|shard| self.shards.question(shard, Call::Stats))
            .collect();
        questions.extend(self.shards.question_hosts(Post::Report));
        let asked: Vec<ShardId> = questions.iter().map(Question::shard).collect();
        let mut stats = Stats {
            version: self.clock.now(),
            pins: self.pins.count(),
            ..Stats::default()
        };
        let mut latencies = Vec::new();
        for (shard, outcome) in asked.into_iter().zip(self.shards.ask_all(questions).await) {
            match outcome {
                Ok(Outcome::Reply(Reply::Stats(counters))) => stats.add(shard, *counters),
                Ok(Outcome::Report(reported)) => {
                    stats.hosts.push(reported.host);
                    latencies.extend(reported.latencies);
                    stats.hit_rates.extend(reported.hit_rates);
                }
                Ok(outcome) => drop(self.shards.reply(shard, Ok(outcome))?),
                // Of a host that has ended; closed is another matter.
                Err(Lost) => self.shards.check_open()?,
            }
        }
        latencies.sort_by_key(|(shard, _)| *shard);
        stats.latencies = summed(&latencies);
        stats.hit_rates = with_sum(stats.hit_rates);
        stats.stopped = self.shards.any_lost();
        Ok(stats)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

/// Keys of the default keyspace as they are stored.
pub(crate) fn default_keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Vec<Box<[u8]>> {
    let stored = |key: K| default_key(key.as_ref()).into();
    keys.into_iter().map(stored).collect()
}

/// Puts the answer's value where it belongs; false when there is none.
pub(crate) fn take_value(reply: Reply, value: &mut Vec<u8>) -> bool {
    match reply {
        Reply::Value(got) => {
            desk::keep_key(got.key);
            *value = got.value;
            got.found
        }
        reply => wrong(&reply),
    }
}

pub(crate) fn written(reply: Reply) -> Version {
    match reply {
        Reply::Written(Written { version, ops }) => {
            desk::keep_ops(ops);
            version
        }
        reply => wrong(&reply),
    }
}

pub(crate) fn wrong(reply: &Reply) -> ! {
    unreachable!("a shard gave the answer to another question: {reply:?}")
}

//! How much there is in a range of keys: exactly, by looking at every key, or about, from what is in memory anyway.

use std::future::Future;
use std::sync::Arc;

use ringkeep_shard::{Call, Estimate, Reply, ShardId, Span};

use crate::database::wrong;
use crate::keyspace::{Keyspace, Space, default_range};
use crate::scan::{KeyRange, KeyValue, Keys, Scan};
use crate::shards::Question;
use crate::{Database, Result, desk};

impl Database {
    /// How many keys there are in a range: exactly, at one instant. It walks over all of them, so it takes as long as a scan
    /// whose values do not travel; [`Database::estimate`] takes no time.
    ///
    /// ```
    /// # use ringkeep::{Database, Options};
    /// let db = Database::in_memory(Options::small())?;
    /// db.put("fruit:apple", "red")?;
    /// db.put("fruit:plum", "blue")?;
    /// db.put("root:carrot", "orange")?;
    /// assert_eq!(db.count("fruit:".."fruit;")?, 2);
    /// assert_eq!(db.first(..)?.unwrap().0, b"fruit:apple");
    /// assert_eq!(db.last(.."root")?.unwrap().1, b"blue");
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub fn count(&self, range: impl KeyRange) -> Result<u64> {
        desk::block_on(count(self.scan(range)))
    }

    /// [`Database::count`] as a future.
    pub fn count_async(&self, range: impl KeyRange) -> impl Future<Output = Result<u64>> + Send {
        count(self.scan(range))
    }

    /// The first entry of a range of keys.
    pub fn first(&self, range: impl KeyRange) -> Result<Option<KeyValue>> {
        desk::block_on(first(self.scan(range)))
    }

    /// [`Database::first`] as a future.
    pub fn first_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Option<KeyValue>>> + Send {
        first(self.scan(range))
    }

    /// The last entry of a range of keys.
    pub fn last(&self, range: impl KeyRange) -> Result<Option<KeyValue>> {
        desk::block_on(first(self.scan(range).reverse()))
    }

    /// [`Database::last`] as a future.
    pub fn last_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Option<KeyValue>>> + Send {
        first(self.scan(range).reverse())
    }

    /// About how much there is in a range of keys, without reading any: from what tables and memtables say of themselves.
    ///
    /// A key that was written again counts once for each run of tables and memtable that it is in, and one that was
    /// removed is taken off once, until merges have seen both; a value that has ended counts until then. A table at an end of
    /// the range is divided as if its keys were evenly spread, and may be counted as a whole, or not at all, where they are
    /// not, as where it has the end of one keyspace and the beginning of another: so of each run and shard two tables may be
    /// wrong, and the others are not. Bytes are those of the files, compressed, with their indexes.
    pub fn estimate(&self, range: impl KeyRange) -> Result<Estimate> {
        desk::block_on(self.estimate_async(range))
    }

    /// [`Database::estimate`] as a future.
    pub fn estimate_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Estimate>> + Send {
        self.estimate_stored(default_range(range.keys()), None)
    }

    async fn estimate_stored(&self, keys: Keys, space: Option<Arc<Space>>) -> Result<Estimate> {
        let inner = &self.0;
        let check = || {
            space
                .as_ref()
                .map_or(Ok(()), |space| space.check(&inner.pins))
        };
        check()?;
        inner.shards.check_open()?;
        let span = Span {
            from: keys.from,
            to: keys.to,
        };
        let all: Vec<ShardId> = inner.shards.routing.shards().collect();
        let ask = |shard: &ShardId| inner.shards.question(*shard, Call::Estimate(span.clone()));
        let questions: Vec<Question> = all.iter().map(ask).collect();
        let mut sum = Estimate::default();
        for (shard, outcome) in all.into_iter().zip(inner.shards.ask_all(questions).await) {
            match inner.shards.reply(shard, outcome)? {
                Reply::Estimated(part) => {
                    sum.records += part.records;
                    sum.bytes += part.bytes;
                }
                reply => wrong(&reply),
            }
        }
        check()?;
        Ok(sum)
    }
}

impl Keyspace {
    /// How many keys there are in a range, as [`Database::count`].
    pub fn count(&self, range: impl KeyRange) -> Result<u64> {
        desk::block_on(count(self.scan(range)))
    }

    /// [`Keyspace::count`] as a future.
    pub fn count_async(&self, range: impl KeyRange) -> impl Future<Output = Result<u64>> + Send {
        count(self.scan(range))
    }

    /// The first entry of a range of keys.
    pub fn first(&self, range: impl KeyRange) -> Result<Option<KeyValue>> {
        desk::block_on(first(self.scan(range)))
    }

    /// The last entry of a range of keys.
    pub fn last(&self, range: impl KeyRange) -> Result<Option<KeyValue>> {
        desk::block_on(first(self.scan(range).reverse()))
    }

    /// About how much there is in a range of keys, as [`Database::estimate`].
    pub fn estimate(&self, range: impl KeyRange) -> Result<Estimate> {
        desk::block_on(self.estimate_async(range))
    }

    /// [`Keyspace::estimate`] as a future.
    pub fn estimate_async(
        &self,
        range: impl KeyRange,
    ) -> impl Future<Output = Result<Estimate>> + Send {
        let (keys, space) = (self.space.range(range.keys()), Arc::clone(&self.space));
        self.db.estimate_stored(keys, Some(space))
    }
}

async fn count(scan: Scan) -> Result<u64> {
    let mut scan = scan.keys_only();
    let mut count = 0;
    while let Some(entry) = scan.next_entry_async().await {
        entry?;
        count += 1;
    }
    Ok(count)
}

async fn first(scan: Scan) -> Result<Option<KeyValue>> {
    scan.limit(1).next_async().await.transpose()
}

//! Running a transaction again when somebody got ahead of it.

use ringkeep_shard::Call;

use super::{Transaction, TransactionOptions};
use crate::limits::{RETRY_PAUSE, RETRY_PAUSE_MAX};
use crate::{Database, Error, Result, desk};

impl Database {
    /// Runs `body` in a transaction and commits it; after a conflict, all of it again on a newer snapshot, until it
    /// is committed or has lost too often. An error of `body` ends it without a change. Whatever else `body` does
    /// may happen several times.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-transact-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// let visits = db.transact(|tx| {
    ///     let visits = tx.get("visits")?.map_or(0, |bytes| bytes[0]) + 1;
    ///     tx.put("visits", [visits])?;
    ///     Ok(visits)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn transact<R>(&self, body: impl FnMut(&mut Transaction) -> Result<R>) -> Result<R> {
        self.transact_with(&TransactionOptions::default(), body)
    }

    /// [`Database::transact`] with options.
    pub fn transact_with<R>(
        &self,
        options: &TransactionOptions,
        mut body: impl FnMut(&mut Transaction) -> Result<R>,
    ) -> Result<R> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.transaction_with(options)?;
            let result = match body(&mut transaction) {
                Ok(result) => transaction.commit().map(|_| result),
                Err(error) => Err(error),
            };
            match result {
                Err(Error::Conflict { key }) if attempt < options.attempts => {
                    desk::block_on_steps(self.pause(&key, attempt))?;
                }
                result => return result,
            }
            attempt += 1;
        }
    }

    /// [`Database::transact`] as a future.
    pub async fn transact_async<R>(
        &self,
        body: impl AsyncFnMut(&mut Transaction) -> Result<R>,
    ) -> Result<R> {
        self.transact_with_async(&TransactionOptions::default(), body)
            .await
    }

    /// [`Database::transact_with`] as a future.
    pub async fn transact_with_async<R>(
        &self,
        options: &TransactionOptions,
        mut body: impl AsyncFnMut(&mut Transaction) -> Result<R>,
    ) -> Result<R> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.transaction_with(options)?;
            let result = match body(&mut transaction).await {
                Ok(result) => transaction.commit_async().await.map(|_| result),
                Err(error) => Err(error),
            };
            match result {
                Err(Error::Conflict { key }) if attempt < options.attempts => {
                    self.pause(&key, attempt).await?;
                }
                result => return result,
            }
            attempt += 1;
        }
    }

    /// Somebody has committed, so the first retry is at once; then each waits longer, by a different time. The
    /// shard of the key has a clock for threads and futures alike.
    pub(super) async fn pause(&self, key: &[u8], attempt: u32) -> Result<()> {
        if attempt == 1 {
            return Ok(());
        }
        let longest = (RETRY_PAUSE << attempt.min(16)).min(RETRY_PAUSE_MAX);
        let drawn = mix(self.0.clock.now().0 ^ u64::from(attempt) << 56) % longest;
        let shards = &self.0.shards;
        let asked = shards.ask_async(shards.routing.shard(key), Call::Pause(drawn));
        asked.await.map(drop)
    }
}

/// Splitmix64: neighbouring versions give times far apart.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

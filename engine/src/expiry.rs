//! Values that end: when, and how that is said.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringkeep_shard::limits::UNTIL_MAX;
use ringkeep_shard::{Op, Version};

use crate::batch::{self, check_key, check_value};
use crate::database::{Inner, written};
use crate::keyspace::default_key;
use crate::{Database, Result};

impl Database {
    /// Stores a value that is there until `time` and absent from then on, by the machine's clock, to the millisecond.
    ///
    /// The key is as if it had been removed then: whatever it held before does not come back. Snapshots and
    /// transactions judge by the time at which they were made, so that what they see never changes. Reads of values
    /// without an end cost nothing for this; those of values with one always ask the shard.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-until-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// use std::time::{Duration, SystemTime};
    /// let hour = Duration::from_secs(3600);
    /// db.put_until("offer", "-20 %", SystemTime::now() + hour)?;
    /// assert!(db.get("offer")?.is_some());
    /// db.put_until("offer", "-30 %", SystemTime::now() - hour)?;
    /// assert!(db.get("offer")?.is_none());
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> Result<Version> {
        let op = self
            .0
            .op_until(key.as_ref(), value.as_ref(), since_1970(time))?;
        let (shard, call) = self.0.one(vec![op], self.0.durability);
        self.0.shards.ask(shard, call).map(written)
    }

    /// [`Database::put_until`] as a future.
    pub fn put_until_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: SystemTime,
    ) -> impl Future<Output = Result<Version>> + Send {
        let op = self
            .0
            .op_until(key.as_ref(), value.as_ref(), since_1970(time));
        self.written(op.map(|op| self.0.one(vec![op], self.0.durability)))
    }

    /// Stores a value that is there for so long from now: [`Database::put_until`].
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-for-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// db.put_for("session:7", "ann", std::time::Duration::from_secs(1800))?;
    /// assert!(db.get("session:7")?.is_some());
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> Result<Version> {
        self.put_until(key, value, self.0.time_in(time))
    }

    /// [`Database::put_for`] as a future.
    pub fn put_for_async(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        time: Duration,
    ) -> impl Future<Output = Result<Version>> + Send {
        self.put_until_async(key, value, self.0.time_in(time))
    }
}

impl Inner {
    /// So long from now; or the last time there is.
    pub(crate) fn time_in(&self, time: Duration) -> SystemTime {
        let now = UNIX_EPOCH + Duration::from_millis(self.pins.now());
        let last = UNIX_EPOCH + Duration::from_millis(UNTIL_MAX);
        now.checked_add(time).unwrap_or(last)
    }

    fn op_until(&self, key: &[u8], value: &[u8], until: u64) -> Result<Op> {
        check_key(key)?;
        check_value(value)?;
        Ok(put_until(&default_key(key), value, until))
    }
}

/// Of a stored key. A value that ends beyond all times that can be stored does not.
pub(crate) fn put_until(key: &[u8], value: &[u8], until: u64) -> Op {
    if until >= UNTIL_MAX {
        return batch::put(key, value);
    }
    let (key, value) = (key.into(), value.into());
    Op::PutUntil { key, value, until }
}

/// In milliseconds; what lies before 1970 has ended as well as what ended then.
pub(crate) fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

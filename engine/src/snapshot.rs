//! The database as it was at one version.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringkeep_shard::keyspace::KeyspaceId;
use ringkeep_shard::{Moment, Past, Pin, Version};

use crate::batch::check_key;
use crate::database::{Inner, default_keys, take_value};
use crate::keyspace::{default_key, default_range};
use crate::scan::{KeyRange, Keys, Scan};
use crate::{Error, Result, desk};

/// The keyspace that a database itself is.
pub(crate) const DEFAULT: KeyspaceId = KeyspaceId(0);

/// All that was written up to one instant, and nothing later, for as long as this or a clone of it lives. Readers
/// of it wait for nobody; what it costs is the space of versions that were overwritten since. It keeps the database
/// open.
///
/// ```
/// # fn main() -> ringkeep::Result<()> {
/// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-snapshot-{}", std::process::id()));
/// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
/// # let db = ringkeep::Database::open(&folder, options)?;
/// db.put("price", "10")?;
/// let before = db.snapshot()?;
/// db.put("price", "12")?;
/// assert_eq!(before.get("price")?.as_deref(), Some(&b"10"[..]));
/// # drop(before);
/// # db.close()?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) inner: Arc<Inner>,
    pub(crate) pin: Arc<Pin>,
}

impl Snapshot {
    pub(crate) fn new(inner: Arc<Inner>) -> Result<Snapshot> {
        inner.shards.check_open()?;
        let pin = Arc::new(inner.pins.pin());
        Ok(Snapshot { inner, pin })
    }

    pub(crate) fn pinned(inner: Arc<Inner>, pin: Pin) -> Snapshot {
        let pin = Arc::new(pin);
        Snapshot { inner, pin }
    }

    /// Every commit up to and including this one is in it.
    pub fn version(&self) -> Version {
        self.pin.version()
    }

    /// Values that end were judged at this time, by the machine's clock.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.pin.moment().millis)
    }

    /// The value that a key had.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        check_key(key.as_ref())?;
        let mut value = Vec::new();
        let key = default_key(key.as_ref());
        let at = Some(self.moment_in(DEFAULT)?);
        let (shard, call) = self.inner.get(&key, at, &mut value);
        let reply = self.inner.shards.ask(shard, call)?;
        Ok(take_value(reply, &mut value).then_some(value))
    }

    /// [`Snapshot::get`] as a future.
    pub async fn get_async(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        check_key(key.as_ref())?;
        let at = self.moment_in(DEFAULT)?;
        self.get_stored(&default_key(key.as_ref()), at).await
    }

    pub(crate) async fn get_stored(&self, key: &[u8], at: Moment) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        let (shard, call) = self.inner.get(key, Some(at), &mut value);
        let reply = self.inner.shards.ask_async(shard, call).await?;
        Ok(take_value(reply, &mut value).then_some(value))
    }

    /// The values that several keys had, in their order.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        desk::block_on(self.multi_get_async(keys))
    }

    /// [`Snapshot::multi_get`] as a future.
    pub fn multi_get_async<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>>> + Send {
        let (keys, at) = (default_keys(keys), self.moment_in(DEFAULT));
        async move { self.multi_get_stored(keys, at?).await }
    }

    pub(crate) async fn multi_get_stored(
        &self,
        keys: Vec<Box<[u8]>>,
        at: Moment,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.inner.multi_get(keys, Some(at)).await
    }

    /// The entries of a range of keys, as [`Database::scan`](crate::Database::scan).
    pub fn scan(&self, range: impl KeyRange) -> Scan {
        self.scan_stored(default_range(range.keys()), self.moment_in(DEFAULT))
    }

    pub(crate) fn scan_stored(&self, keys: Keys, at: Result<Moment>) -> Scan {
        Scan::at(Arc::clone(&self.inner), keys, Arc::clone(&self.pin)).by(at)
    }

    /// By what a keyspace is read, unless its window is shorter than this is old.
    pub(crate) fn moment_in(&self, keyspace: KeyspaceId) -> Result<Moment> {
        let moment = self.pin.moment_in(keyspace);
        moment.map_err(|past| not_there(self.version(), past))
    }

    /// The entries whose keys began with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan {
        self.scan(Keys::prefix(prefix))
    }
}

pub(crate) fn not_there(asked: Version, past: Past) -> Error {
    match past {
        Past::Gone(oldest) => Error::HistoryGone { asked, oldest },
        Past::NotYet(newest) => Error::NotYet { asked, newest },
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

//! Named keyspaces: keys of their own in one database, under one log, one clock and one set of caches.
//!
//! ```text
//!   mod.rs      the handle
//!   calls.rs    what can be asked of it
//!   past.rs     what it was
//!   within.rs   batches, snapshots and transactions over several keyspaces
//!   catalog.rs  which keyspaces there are: making, opening, dropping
//!   format.rs   the catalog's bytes
//!   space.rs    one keyspace, as its handles share it
//! ```

mod calls;
mod catalog;
mod format;
pub(crate) mod fuzz;
mod past;
mod space;
mod within;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringkeep_shard::{Codec, Retention};

pub(crate) use catalog::Catalog;
pub(crate) use space::{Space, default_key, default_range};

use crate::{Database, Error, Result};

/// What a name can have: it is in messages and in one record with all others.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// How a keyspace is made. It stays so for as long as the keyspace lives.
#[derive(Clone, Debug, Default)]
pub struct KeyspaceOptions {
    /// How long values stay that are written without an end of their own, from when they are written; for ever when
    /// absent.
    pub stay: Option<Duration>,
    /// How much of its past can be read with [`Keyspace::as_of`], beside what snapshots hold; as much as of the database
    /// ([`Options::retention`](crate::Options::retention)) when absent. More or less than that, as it says: merges keep of each
    /// keyspace what its own window asks for.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// use ringkeep::{KeyspaceOptions, Retention};
    /// # let db = ringkeep::Database::in_memory(ringkeep::Options::small())?;
    /// let options = KeyspaceOptions { retention: Some(Retention::Versions(1_000)), ..KeyspaceOptions::default() };
    /// let prices = db.create_keyspace("prices", options)?;
    /// let then = prices.put("plum", "10")?;
    /// prices.put("plum", "12")?;
    /// db.compact()?;
    /// assert_eq!(prices.as_of(then)?.get_in(&prices, "plum")?.as_deref(), Some(&b"10"[..]));
    /// assert!(db.as_of(then).is_err(), "the database keeps nothing");
    /// # Ok(())
    /// # }
    /// ```
    pub retention: Option<Retention>,
    /// How its blocks are compressed, on every level; as those of the database ([`Options::codec`](crate::Options::codec) and
    /// [`Options::last_level_codec`](crate::Options::last_level_codec)) when absent. In the log nothing is compressed, and
    /// after an opening merges know of it from the first call that names a keyspace.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// use ringkeep::{Codec, KeyspaceOptions};
    /// # let db = ringkeep::Database::in_memory(ringkeep::Options::small())?;
    /// let options = KeyspaceOptions { codec: Some(Codec::Zstd), ..KeyspaceOptions::default() };
    /// let logs = db.create_keyspace("logs", options)?;
    /// for second in 0..1_000 {
    ///     logs.put(format!("{second:06}"), "GET /index.html 200 ".repeat(10))?;
    /// }
    /// db.compact()?;
    /// assert!(db.stats()?.total.table_bytes < 100_000, "200,000 were written");
    /// # Ok(())
    /// # }
    /// ```
    pub codec: Option<Codec>,
}

impl KeyspaceOptions {
    /// As they are kept.
    fn validated(&self) -> Result<Kept> {
        let stay = match self.stay.map(|stay| (stay, stay.as_millis().try_into())) {
            None => 0,
            Some((_, Ok(millis @ 1..))) => millis,
            Some((stay, _)) => {
                return Err(Error::Option {
                    name: "stay",
                    detail: format!("{stay:?} is not between a millisecond and the end of time"),
                });
            }
        };
        if let Some(Retention::For(time)) = self.retention
            && u64::try_from(time.as_millis()).is_err()
        {
            return Err(Error::Option {
                name: "retention",
                detail: format!("{time:?} is beyond the end of time"),
            });
        }
        Ok(Kept {
            stay,
            retention: self.retention,
            codec: self.codec,
        })
    }
}

/// The options of a keyspace as the catalog has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Kept {
    /// How long values stay, in milliseconds; 0 is for ever.
    pub(crate) stay: u64,
    /// Its own window; that of the database when absent.
    pub(crate) retention: Option<Retention>,
    /// Its own codec; that of each level when absent.
    pub(crate) codec: Option<Codec>,
}

/// A keyspace of a database. Clones are handles to the same one; they keep the database open, and are refused once it is
/// dropped. What a batch, a snapshot or a transaction does with it is called `…_in` there.
#[derive(Clone)]
pub struct Keyspace {
    pub(crate) db: Database,
    pub(crate) space: Arc<Space>,
}

impl Keyspace {
    fn new(db: Database, space: Arc<Space>) -> Keyspace {
        Keyspace { db, space }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.space.name
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace")
            .field("name", &self.space.name)
            .finish_non_exhaustive()
    }
}

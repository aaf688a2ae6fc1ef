//! Named keyspaces: keys of their own in one database, under one log, one clock and one set of caches.
//!
//! ```text
//!   mod.rs      the handle
//!   calls.rs    what can be asked of it
//!   within.rs   batches, snapshots and transactions over several keyspaces
//!   catalog.rs  which keyspaces there are: making, opening, dropping
//!   format.rs   the catalog's bytes
//!   space.rs    one keyspace, as its handles share it
//! ```

mod calls;
mod catalog;
mod format;
pub(crate) mod fuzz;
mod space;
mod within;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
}

impl KeyspaceOptions {
    /// In milliseconds; 0 for ever.
    fn validated(&self) -> Result<u64> {
        let Some(stay) = self.stay else {
            return Ok(0);
        };
        match u64::try_from(stay.as_millis()) {
            Ok(millis @ 1..) => Ok(millis),
            _ => Err(Error::Option {
                name: "stay",
                detail: format!("{stay:?} is not between a millisecond and the end of time"),
            }),
        }
    }
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

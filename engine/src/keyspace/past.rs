//! A keyspace as it was.

use std::time::SystemTime;

use ringkeep_shard::Version;

use super::Keyspace;
use crate::{Result, Snapshot, desk};

impl Keyspace {
    /// The database as it was at a version of the past, as [`Database::as_of`](crate::Database::as_of), of which this keyspace
    /// can be read: all versions within its own window ([`KeyspaceOptions::retention`](crate::KeyspaceOptions::retention)) can
    /// be, whatever the database keeps. Of what else the snapshot can still show, reads tell.
    pub fn as_of(&self, version: Version) -> Result<Snapshot> {
        self.space.check(&self.db.0.pins)?;
        self.db.as_of_moment(self.space.id, version, None)
    }

    /// The same at a time of the past, as [`Database::as_of_time`](crate::Database::as_of_time).
    pub fn as_of_time(&self, time: SystemTime) -> Result<Snapshot> {
        desk::block_on(self.as_of_time_async(time))
    }

    /// [`Keyspace::as_of_time`] as a future.
    pub async fn as_of_time_async(&self, time: SystemTime) -> Result<Snapshot> {
        self.space.check(&self.db.0.pins)?;
        self.db.as_of_time_in(self.space.id, time).await
    }
}

//! redb as a target: one table of a copy-on-write B-tree with its own page cache.
//!
//! Reads take a fresh snapshot each, as a `get` of the other targets does. Writes go through a commit group,
//! because redb has one writer at a time; a durable group is a 1-phase commit (`Durability::Immediate`). A commit
//! that need not be durable leaves its freed pages to the next durable one, so every so often one is.

mod calls;
mod open;

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use redb::{Database, Durability, TableDefinition};
use ringkeep_bench::target::{
    Caller, CommitGroup, Counters, Failure, Settings, Target, TargetKind,
};

/// The target, to be listed beside others.
pub const REDB: TargetKind = TargetKind {
    name: "redb",
    about: "redb, a copy-on-write B-tree in Rust, behind a commit group",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv");

struct RedbTarget {
    database: Database,
    group: CommitGroup,
    commits: AtomicU64,
    settings: Settings,
}

impl RedbTarget {
    fn sync(&self) -> Result<(), Failure> {
        let mut txn = self.database.begin_write().map_err(Failure::new)?;
        txn.set_durability(Durability::Immediate)
            .map_err(Failure::new)?;
        txn.commit().map_err(Failure::new)
    }
}

impl Target for RedbTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.settings.shown()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls { target: self }))
    }

    /// Nothing happens in the background; what was not durable becomes so.
    fn settle(&self) -> Result<Instant, Failure> {
        self.sync()?;
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.sync()
    }
}

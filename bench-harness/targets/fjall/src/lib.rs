//! fjall as a target: one keyspace, an LSM tree with a shared journal.
//!
//! Durable writes go through a commit group: fjall holds its journal's lock through a sync, so that without one
//! a thousand callers are as fast as one. Writes that need not be durable go straight in, each flushed to the
//! operating system.

mod calls;
mod open;

use std::time::Instant;

use fjall::{Database, Keyspace, PersistMode};
use ringkeep_bench::target::{
    Caller, CommitGroup, Counters, Failure, Settings, Target, TargetKind, wait_until_idle,
};

/// The target, to be listed beside others.
pub const FJALL: TargetKind = TargetKind {
    name: "fjall",
    about: "fjall, an LSM tree in Rust, behind a commit group",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

struct FjallTarget {
    database: Database,
    keyspace: Keyspace,
    group: CommitGroup,
    settings: Settings,
}

impl Target for FjallTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.settings.shown()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls::new(self)))
    }

    fn settle(&self) -> Result<Instant, Failure> {
        self.database
            .persist(PersistMode::SyncData)
            .map_err(Failure::new)?;
        self.keyspace
            .rotate_memtable_and_wait()
            .map_err(Failure::new)?;
        let database = &self.database;
        wait_until_idle(|| {
            let works = database.active_compactions() > 0 || database.outstanding_flushes() > 0;
            Ok((database.compactions_completed(), works))
        })
    }

    fn counters(&self) -> Counters {
        let totals = [(
            "compactions".to_string(),
            self.database.compactions_completed() as u64,
        )];
        let levels = [
            ("tables".to_string(), self.keyspace.table_count() as u64),
            ("cache_bytes".to_string(), self.database.cache_size()),
            (
                "memtable_bytes".to_string(),
                self.database.write_buffer_size(),
            ),
        ];
        Counters {
            totals: totals.into(),
            levels: levels.into(),
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(Failure::new)
    }
}

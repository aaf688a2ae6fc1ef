//! LMDB as a target, through heed: one database in a memory-mapped B-tree.
//!
//! Reads take a fresh snapshot each, as a `get` of the other targets does. Writes go through a commit group,
//! because LMDB has one writer at a time; a durable group is one default commit (fdatasync, then the meta page),
//! any other is committed with MDB_NOSYNC.

mod calls;
mod open;

use std::time::Instant;

use heed::types::Bytes;
use heed::{Database, Env};
use ringkeep_bench::target::{
    Caller, CommitGroup, Counters, Failure, Settings, Target, TargetKind,
};

/// The target, to be listed beside others.
pub const LMDB: TargetKind = TargetKind {
    name: "lmdb",
    about: "LMDB, a memory-mapped B-tree in C, behind a commit group",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

struct LmdbTarget {
    env: Env,
    database: Database<Bytes, Bytes>,
    group: CommitGroup,
    settings: Settings,
}

impl Target for LmdbTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.settings.shown()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls { target: self }))
    }

    /// Nothing happens in the background; what MDB_NOSYNC left to the kernel is synced.
    fn settle(&self) -> Result<Instant, Failure> {
        self.env.force_sync().map_err(Failure::new)?;
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        let file_bytes = self.env.real_disk_size().unwrap_or(0);
        Counters {
            levels: [("file_bytes".to_string(), file_bytes)].into(),
            ..Counters::default()
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.env.force_sync().map_err(Failure::new)?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

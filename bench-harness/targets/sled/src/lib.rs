//! sled as a target: a lock-free tree over a log-structured page cache.
//!
//! sled 0.34 is the last released version and gets no maintenance; it is measured because people ask. Its own
//! `flush` waits for `sync_file_range`, which empties neither the device's cache nor writes the file's metadata,
//! so a durable write here is that flush and an fdatasync of its log, behind a commit group.

mod calls;
mod open;

use std::fs::File;
use std::time::Instant;

use ringkeep_bench::target::{
    Caller, CommitGroup, Counters, Failure, Settings, Target, TargetKind,
};
use sled::Db;

/// The target, to be listed beside others.
pub const SLED: TargetKind = TargetKind {
    name: "sled",
    about: "sled 0.34, unmaintained, behind a commit group with fdatasync",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

struct SledTarget {
    database: Db,
    log: File,
    group: CommitGroup,
    settings: Settings,
}

impl SledTarget {
    fn sync(&self) -> Result<(), Failure> {
        self.database.flush().map_err(Failure::new)?;
        self.log.sync_data().map_err(Failure::new)
    }
}

impl Target for SledTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.settings.shown()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls { target: self }))
    }

    /// sled does not say what it does in the background; the log is complete.
    fn settle(&self) -> Result<Instant, Failure> {
        self.sync()?;
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        let levels = self.database.size_on_disk().map(|bytes| {
            let name = "file_bytes".to_string();
            [(name, bytes)].into()
        });
        Counters {
            levels: levels.unwrap_or_default(),
            ..Counters::default()
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.sync()
    }
}

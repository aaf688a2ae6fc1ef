//! fjall as a target: one keyspace, an LSM tree with a shared journal.
//!
//! Durable writes go through a commit group: fjall holds its journal's lock through a sync, so that without one
//! a thousand callers are as fast as one. Writes that need not be durable go straight in, each flushed to the
//! operating system.

mod calls;
mod open;

use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, PersistMode};
use ringkeep_bench::target::{
    Caller, CommitGroup, Counters, Failure, PageCacheOff, Pipeline, Target, TargetKind,
};
use ringkeep_bench::workload::OpKind;

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
    options: Vec<(String, String)>,
    _page_cache: Option<PageCacheOff>,
}

/// Looks that must find no work before the store counts as settled.
const IDLE_LOOKS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const SETTLE_MAX: Duration = Duration::from_secs(300);

impl Target for FjallTarget {
    fn name(&self) -> &str {
        FJALL.name
    }

    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls::new(self)))
    }

    fn pipeline<'a>(&'a self, _slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        None
    }

    fn settle(&self) -> Result<(), Failure> {
        self.database
            .persist(PersistMode::SyncData)
            .map_err(Failure::new)?;
        self.keyspace
            .rotate_memtable_and_wait()
            .map_err(Failure::new)?;
        let began = Instant::now();
        let (mut idle, mut completed) = (0, self.database.compactions_completed());
        while idle < IDLE_LOOKS {
            if began.elapsed() > SETTLE_MAX {
                return Err(Failure(format!(
                    "fjall still compacted after {} s",
                    SETTLE_MAX.as_secs()
                )));
            }
            std::thread::sleep(LOOK_EVERY);
            let now = self.database.compactions_completed();
            let quiet = now == completed
                && self.database.active_compactions() == 0
                && self.database.outstanding_flushes() == 0;
            idle = if quiet { idle + 1 } else { 0 };
            completed = now;
        }
        Ok(())
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

//! Ringkeep as a target: the public API, called as an application would call it.
//!
//! `open` turns a run's settings into options, `calls` carries out operations on threads that wait,
//! `asked` as futures through the `_async` twins, of which `in_flight` keeps many under way on one thread and `resident` runs
//! a row of them on the shard of their keys; `numbers` names the counters.

mod asked;
mod calls;
mod in_flight;
mod numbers;
mod open;
mod resident;

use std::time::Instant;

use ringkeep::{Database, Snapshot};
use ringkeep_bench::target::{
    Caller, Counters, Failure, Held, Pipeline, Resident, Target, TargetKind, wait_until_idle,
};
use ringkeep_bench::workload::OpKind;

/// The target, to be listed beside others.
pub const RINGKEEP: TargetKind = TargetKind {
    name: "ringkeep",
    about: "this repository's engine through its public API",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

/// An open database and what it was opened with.
pub struct RingkeepTarget {
    database: Database,
    options: Vec<(String, String)>,
}

impl Target for RingkeepTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::BlockingCalls::new(&self.database)))
    }

    fn pipeline<'a>(&'a self, slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        Some(in_flight::pipeline(&self.database, slots))
    }

    fn resident<'a>(&'a self) -> Option<Box<dyn Resident + 'a>> {
        Some(Box::new(resident::Visits::new(&self.database)))
    }

    fn snapshot<'a>(&'a self) -> Result<Option<Box<dyn Held + 'a>>, Failure> {
        let snapshot = self.database.snapshot().map_err(Failure::new)?;
        Ok(Some(Box::new(OpenSnapshot(snapshot))))
    }

    /// Flushes, then waits until no merge is due and the device stands still: an idle database does no I/O.
    fn settle(&self) -> Result<Instant, Failure> {
        self.database.flush().map_err(Failure::new)?;
        let written = wait_until_idle(|| {
            let now = numbers::background(&self.database)?;
            Ok((now.written_bytes, now.debt_bytes > 0))
        })?;
        // Rows of a load are read into memory afterwards. No other target fills a cache before it is asked, so this is
        // no part of the load; but what is measured next should find it done.
        wait_until_idle(|| Ok((numbers::background(&self.database)?, false)))?;
        Ok(written)
    }

    fn counters(&self) -> Counters {
        numbers::counters(&self.database)
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.database.close().map_err(Failure::new)
    }
}

struct OpenSnapshot(#[expect(dead_code, reason = "held, never read")] Snapshot);

impl Held for OpenSnapshot {}

//! Ringkeep as a target: the public API, called as an application would call it.
//!
//! `open` turns a run's settings into options, `calls` carries out operations on threads that wait,
//! `in_flight` keeps many under way on one thread through the `_async` twins, `numbers` names the counters.

mod calls;
mod in_flight;
mod numbers;
mod open;

use std::time::{Duration, Instant};

use ringkeep::Database;
use ringkeep_bench::target::{Caller, Counters, Failure, Pipeline, Target, TargetKind};
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

/// Looks that must find the device idle before the database counts as settled.
const IDLE_LOOKS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const SETTLE_MAX: Duration = Duration::from_secs(300);

impl Target for RingkeepTarget {
    fn name(&self) -> &str {
        "ringkeep"
    }

    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::BlockingCalls::new(&self.database)))
    }

    fn pipeline<'a>(&'a self, slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        Some(in_flight::pipeline(&self.database, slots))
    }

    /// Flushes, then waits until no merge is due and the device has stood still for a few looks: an idle database
    /// does no I/O.
    fn settle(&self) -> Result<(), Failure> {
        self.database.flush().map_err(Failure::new)?;
        let began = Instant::now();
        let mut idle = 0;
        let mut before = numbers::background(&self.database)?;
        while idle < IDLE_LOOKS {
            if began.elapsed() > SETTLE_MAX {
                return Err(Failure(format!(
                    "background work still had not ended after {} s: {} bytes wait to be merged",
                    SETTLE_MAX.as_secs(),
                    before.debt_bytes
                )));
            }
            std::thread::sleep(LOOK_EVERY);
            let now = numbers::background(&self.database)?;
            idle = match now == before && now.debt_bytes == 0 {
                true => idle + 1,
                false => 0,
            };
            before = now;
        }
        Ok(())
    }

    fn counters(&self) -> Counters {
        numbers::counters(&self.database)
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.database.close().map_err(Failure::new)
    }
}

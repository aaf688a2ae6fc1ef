//! What is measured, and what comes out of it.

use clap::ValueEnum;
use serde::Serialize;

/// One load on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// What is done.
    pub kind: JobKind,
    /// Bytes each.
    pub bytes: u64,
    /// In flight at once.
    pub depth: u32,
}

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Random reads.
    Read,
    /// Writes one after the other, each durable when it completes (RWF_DSYNC).
    DurableWrite,
    /// A plain page write, then a sync; the sync alone is timed.
    Sync,
}

/// What a load came to. Absent where it is not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    pub operations: u64,
    pub per_s: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub cpu_ns_per_operation: Option<f64>,
}

impl Job {
    /// Those of some kinds, or of all where none is named, in the order of the table.
    pub fn of(kinds: &[JobKind]) -> Vec<Job> {
        let mut jobs = Job::all();
        jobs.retain(|job| kinds.is_empty() || kinds.contains(&job.kind));
        jobs
    }

    fn all() -> Vec<Job> {
        let mut jobs = Vec::new();
        for depth in [1, 2, 4, 8, 16, 32, 128] {
            jobs.push(Job {
                kind: JobKind::Read,
                bytes: 4 << 10,
                depth,
            });
        }
        for depth in [1, 2] {
            for kib in [4, 16, 64, 256, 1024] {
                jobs.push(Job {
                    kind: JobKind::DurableWrite,
                    bytes: kib << 10,
                    depth,
                });
            }
        }
        jobs.push(Job {
            kind: JobKind::Sync,
            bytes: 4 << 10,
            depth: 1,
        });
        jobs
    }

    /// Its share of the time: reads carry tails that need samples, so each counts double.
    pub fn share(&self, all: &[Job]) -> f64 {
        let weight = |job: &Job| if job.kind == JobKind::Read { 2.0 } else { 1.0 };
        weight(self) / all.iter().map(weight).sum::<f64>()
    }
}

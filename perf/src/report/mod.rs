//! What a run found, and the file that it is kept in. A baseline is such a file.

mod file;
mod matrix;

use std::collections::BTreeMap;

use ringkeep_scenarios::Toolchain;
use serde::{Deserialize, Serialize};

pub use file::{load, save, write};
pub use matrix::matrix;

/// One run of some scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub schema_version: u32,
    pub kind: String,
    /// What counted the instructions, or why nothing did.
    pub instruments: Result<Instruments, String>,
    pub scenarios: BTreeMap<String, ScenarioReport>,
}

/// Everything that instruction counts depend on besides the code. Other metrics do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruments {
    pub valgrind: String,
    pub libc: String,
    pub toolchain: Toolchain,
}

/// One scenario's costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioReport {
    /// Identity of the work.
    pub workload: String,
    /// Identity of the answers.
    pub answers: String,
    pub ops: u64,
    pub metrics: BTreeMap<String, Metric>,
}

/// A value as an exact fraction: a total for a number of operations or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub total: u64,
    pub per: u64,
}

impl Metric {
    /// For each.
    pub fn value(&self) -> f64 {
        self.total as f64 / self.per as f64
    }
}

impl Report {
    pub const SCHEMA_VERSION: u32 = 1;
    pub const KIND: &str = "ringkeep-perf-work";

    /// Of nothing yet.
    pub fn new(instruments: Result<Instruments, String>) -> Report {
        Report {
            schema_version: Report::SCHEMA_VERSION,
            kind: Report::KIND.to_owned(),
            instruments,
            scenarios: BTreeMap::new(),
        }
    }

    /// The same with every total grown by `share`: what a gate that works must not let pass.
    pub fn inflated(mut self, share: f64) -> Report {
        for scenario in self.scenarios.values_mut() {
            for metric in scenario.metrics.values_mut() {
                metric.total = (metric.total as f64 * (1.0 + share)).ceil() as u64;
            }
        }
        self
    }
}

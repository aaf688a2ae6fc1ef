//! What was asked, what was answered, and what exists: by it a judge tells whether two runs did the same work.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::Xxh3;

use crate::counts::Measured;
use crate::outcome::{Outcome, Toolchain};

/// Of one world.
#[derive(Default)]
pub(crate) struct Ledger {
    asked: Xxh3,
    answered: Xxh3,
    /// Bytes of key and value of what exists.
    live: BTreeMap<Vec<u8>, u64>,
}

impl Ledger {
    pub fn asks(&mut self, bytes: &[u8]) {
        self.asked.update(bytes);
    }

    pub fn answers(&mut self, bytes: &[u8]) {
        self.answered.update(bytes);
    }

    /// A record that is asked to be written; empty values for those that are removed.
    pub fn writes(&mut self, key: &[u8], value: &[u8]) {
        self.asked.update(key);
        self.asked.update(value);
        self.live
            .insert(key.to_vec(), (key.len() + value.len()) as u64);
    }

    /// The end of a scenario.
    pub fn outcome(
        &self,
        scenario: &str,
        ops: u64,
        measured: Measured,
        space_bytes: u64,
    ) -> Outcome {
        Outcome {
            scenario: scenario.to_owned(),
            workload: format!("{scenario}-{ops}-{:016x}", self.asked.digest()),
            answers: format!("{:016x}", self.answered.digest()),
            ops,
            user_bytes: measured.user_bytes,
            counts: measured.counts,
            space_bytes,
            live_bytes: self.live.values().sum(),
            cpu_ns: measured.cpu_ns,
            wall_ns: measured.wall_ns,
            toolchain: Toolchain::current(),
        }
    }
}

//! What a run can fail by.

use std::fmt;

/// The check that a run did not pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Check {
    /// What was acknowledged is there after a stop, as far as its durability goes; a shard keeps a row of
    /// writes without holes.
    Durability,
    /// A batch is there whole or not at all.
    Atomicity,
    /// A read finds what was acknowledged before it began, or something newer.
    Freshness,
    /// What is found was written, under this key, and never undone.
    Content,
    /// A scan shows exactly the commits up to its version.
    Snapshot,
    /// No commit comes between a transaction's snapshot and its own commit, to what it depends on; and
    /// transactions are in an order that their isolation allows.
    Isolation,
    /// Two checkers of one history say the same.
    Checkers,
    /// Versions grow with time.
    Versions,
    /// Every error has a cause.
    Errors,
    /// After any stop, and once faults are gone, the database opens.
    Opening,
    /// Damage is refused by name or without effect.
    Damage,
    /// Files, pins and operations in flight go back to what is needed.
    Leaks,
    /// Memory stays within its budget.
    Memory,
    /// Every call ends; an idle database is still.
    Progress,
    /// The same plan does the same twice.
    Repeatability,
    /// No code gives up.
    Panic,
}

impl Check {
    /// As it stands in the report.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A check that failed, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which.
    pub check: Check,
    /// What was seen and what should have been.
    pub story: String,
}

/// The result of a check.
pub type Verdict<T = ()> = Result<T, Failure>;

/// A failed check.
pub fn failed<T>(check: Check, story: impl Into<String>) -> Verdict<T> {
    let story = story.into();
    Err(Failure { check, story })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check.name(), self.story)
    }
}

//! Outcomes of parts of batches over several shards. Nobody waits for one: until it is durable, the prepare frame and the
//! coordinator's decision are kept, and that is all. So it waits for company, and goes in one frame with whatever gets in line
//! next, in front of that: what is written later to the keys of a part is logged behind its outcome, and an opening
//! relies on it.

use ringkeep_io::Nanos;

use super::{Ack, Body, Commits, Pending};
use crate::call::Durability;

/// Without company an outcome gets a frame of its own after this long: a write of the device for a few bytes.
const COMPANY_FOR: Nanos = 2_000_000;

/// Those that wait.
pub(crate) struct Outcomes<T> {
    waiting: Vec<Pending<T>>,
    /// Until then.
    at: Option<Nanos>,
}

impl<T> Default for Outcomes<T> {
    fn default() -> Self {
        Outcomes {
            waiting: Vec::new(),
            at: None,
        }
    }
}

impl<T> Outcomes<T> {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When to look again, while the log could take a frame.
    pub fn deadline(&self) -> Option<Nanos> {
        self.at
    }
}

impl<T> Commits<T> {
    /// Takes an outcome that may wait.
    pub(super) fn push_outcome(&mut self, body: Body, ack: Ack<T>, now: Nanos) {
        let outcome = Pending::new(body, Durability::Sync, ack);
        self.outcomes.waiting.push(outcome);
        self.outcomes.at.get_or_insert(now + COMPANY_FOR);
    }

    /// Somebody gets in line: outcomes do so first.
    #[inline]
    pub(super) fn line_up_outcomes(&mut self) {
        if self.outcomes.at.take().is_some() {
            self.pending.extend(self.outcomes.waiting.drain(..));
        }
    }

    /// They have waited long enough.
    pub(super) fn line_up_outcomes_if_due(&mut self, now: impl FnOnce() -> Nanos) {
        if self.outcomes.at.is_some_and(|at| at <= now()) {
            self.line_up_outcomes();
        }
    }
}

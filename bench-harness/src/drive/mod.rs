//! Drivers: the threads that issue operations and take the answers.
//!
//! A phase runs each of its traffic streams through one `Run`. The pipelined driver keeps many operations in
//! flight on few threads; the threaded driver gives each client a thread that waits; the resident driver sends each
//! client's operations to where their data is. All take intended times from the same schedules and planned operations from
//! the same streams, and all feed the same ledger.

mod pipelined;
mod resident;
mod start;
mod threads;

use std::sync::atomic::{AtomicU64, Ordering};

pub use pipelined::{pipelined, slots_of};
pub use resident::resident;
pub use start::Crew;
pub use threads::{Due, threads_closed, threads_open};

use crate::clock::Clock;
use crate::recorder::Ledger;
use crate::target::Answer;
use crate::window::Window;
use crate::workload::stream::Mix;
use crate::workload::{Load, OnFull, Think};

/// Longest sleep of a driver with nothing to do: how late it may notice that the window has moved.
const NAP_NS: u64 = 20_000_000;

/// How operations are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Many in flight on each thread.
    Pipelined,
    /// A thread for each client, which waits.
    Threads,
    /// A thread for each client, whose operations run where their data is.
    Resident,
}

impl Way {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Way::Pipelined => "pipelined",
            Way::Threads => "threads",
            Way::Resident => "resident",
        }
    }
}

/// What all drivers of one traffic stream share.
#[derive(Debug)]
pub struct Run<'a> {
    /// The time line.
    pub clock: &'a Clock,
    /// When to measure and when to end.
    pub window: &'a Window,
    /// What to issue.
    pub mix: &'a Mix,
    /// When to issue it.
    pub load: &'a Load,
    /// Where samples go.
    pub ledger: &'a Ledger,
    /// Seed of arrivals and think times.
    pub seed: u64,
    /// Operations in all, for a phase that counts.
    pub ops_max: Option<u64>,
    /// Prove every read?
    pub validate: bool,
    /// How it went.
    pub totals: &'a Totals,
}

/// What drivers report besides samples. Written by every driver when it ends, read after all have.
#[derive(Debug, Default)]
pub struct Totals {
    /// CPU time of the driver threads inside the window and the drain.
    pub cpu_ns: AtomicU64,
    /// Operations due while the in-flight limit was reached.
    pub held_by_limit: AtomicU64,
    /// Operations that the limit made the load drop.
    pub dropped: AtomicU64,
    /// Operations due in the window and never issued.
    pub never_issued: AtomicU64,
    /// Operations in flight at once, at most.
    pub in_flight_max: AtomicU64,
    /// Answers proven wrong.
    pub wrong: AtomicU64,
    /// Operations whose target call failed, in the whole phase.
    pub errors: AtomicU64,
    /// The first few messages.
    pub messages: std::sync::Mutex<Vec<String>>,
}

const MESSAGES_MAX: usize = 5;

impl Totals {
    /// Keeps `message` if it is one of the first.
    pub fn note(&self, message: &str) {
        let mut messages = self.messages.lock().expect("nothing panics while noting");
        if messages.len() < MESSAGES_MAX && !messages.iter().any(|m| m == message) {
            messages.push(message.to_string());
        }
    }

    /// Counts a failed call.
    pub fn failed(&self, message: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.note(message);
    }

    fn take_answer(&self, answer: &Answer<'_>) {
        self.wrong.fetch_add(answer.wrong, Ordering::Relaxed);
        if let Some(message) = &answer.first_wrong {
            self.note(message);
        }
    }
}

impl<'a> Run<'a> {
    fn answer(&self) -> Answer<'a> {
        match self.validate {
            true => Answer::checking(self.mix),
            false => Answer::counting(),
        }
    }

    fn kind_index(&self, planned: &crate::workload::stream::Planned) -> usize {
        let kind = self.mix.kind(planned);
        self.ledger
            .kinds
            .iter()
            .position(|&k| k == kind)
            .expect("the ledger has every kind of the mix")
    }

    /// The share of a counted phase that falls to `part` of `parts`.
    fn ops_of(&self, part: usize, parts: usize) -> u64 {
        match self.ops_max {
            None => u64::MAX,
            Some(ops) => ops / parts as u64 + u64::from((part as u64) < ops % parts as u64),
        }
    }

    /// Operations that can be under way at once.
    pub fn clients(&self) -> usize {
        match *self.load {
            Load::Open { in_flight_max, .. } => in_flight_max,
            Load::Closed { clients, .. } => clients,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.load, Load::Open { .. })
    }

    fn think(&self) -> Think {
        match *self.load {
            Load::Closed { think, .. } => think,
            Load::Open { .. } => Think::Fixed {
                time: crate::quantity::Span::default(),
            },
        }
    }

    fn drops_when_full(&self) -> bool {
        matches!(
            self.load,
            Load::Open {
                on_full: OnFull::Drop,
                ..
            }
        )
    }
}

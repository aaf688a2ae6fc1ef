//! The write path: calls wait in line, a group of them becomes one log frame, and all are answered
//! when it is as durable as each asked. Those that need not be durable are answered before the log has them
//! (`owed`).
//!
//! Batching is natural: the next group takes whatever came while the device was busy. At most two
//! frames are in flight that somebody waits for. A group is acknowledged only after every earlier one.

mod answers;
mod groups;
mod line;
mod outcomes;
mod owed;
mod promises;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use crate::call::{Durability, Op};
use crate::core::Core;
use crate::log::Log;
use crate::log::format::{OP_OVERHEAD, RECORD_OVERHEAD, Record};
use crate::ranges;
use crate::shard::TransactionId;
use crate::token::Token;
use crate::version::{ShardId, Version};
use crate::watch::Watch;
use outcomes::Outcomes;
use owed::Owed;

/// Changes in line that one transaction looks at.
const LINE_LOOKED_THROUGH: usize = 64;

/// Lists kept for their memory: as many as frames in flight that somebody waits for, and one being filled.
const ACKS_SPARE_MAX: usize = 3;

/// What waits for the log, and what is in it unacknowledged.
pub(crate) struct Commits<T> {
    pending: VecDeque<Pending<T>>,
    /// How many have left the line since the shard was opened.
    served: u64,
    /// Writes to keys that an undecided cross-shard batch holds.
    held_up: Vec<Pending<T>>,
    /// Not in line yet.
    outcomes: Outcomes<T>,
    /// In flight, oldest first.
    groups: VecDeque<Group<T>>,
    /// A group that takes more than one frame, with the rest of its payload.
    large: Option<Large>,
    /// What was answered and is not in the log, and the payload of the group being built.
    owed: Owed,
    /// When a promised periodic sync is due.
    sync_at: Option<Nanos>,
    /// It was due, and waits until this frame is written.
    sync_behind: Option<u64>,
    /// When an idle log gets its closing frame.
    close_at: Option<Nanos>,
    /// The members of the group being built, and lists of whom to answer: empty, kept for their memory.
    members: Vec<Pending<T>>,
    acks_spare: Vec<Acks<T>>,
}

struct Pending<T> {
    body: Body,
    durability: Durability,
    ack: Ack<T>,
    /// At most this much payload.
    bytes: usize,
    /// It brings a range delete, which hides what is older than its group.
    begins_group: bool,
}

enum Body {
    Ops(Vec<Op>),
    Record(Record),
}

/// Who hears of it.
enum Ack<T> {
    Caller(T),
    /// The coordinator, that the part is prepared.
    Vote(TransactionId, ShardId),
    /// The participants, if any, that the batch or transaction is committed; then the caller. Locks are let go
    /// before that, when it is applied.
    Decision(TransactionId, Vec<ShardId>, T),
    /// The coordinator, that the outcome is durable here.
    Outcome(TransactionId, ShardId),
}

impl<T: Token> Ack<T> {
    fn watch(&self) -> Option<&Rc<Watch>> {
        match self {
            Ack::Caller(token) | Ack::Decision(_, _, token) => token.watch(),
            Ack::Vote(..) | Ack::Outcome(..) => None,
        }
    }

    /// Readers keep the rows that these changes replace until their group is visible: no other shard may tell of them before,
    /// and each row can be told that it will be replaced.
    fn leaves_rows(&self, ops: &[Op]) -> bool {
        let is_of_one_shard = match self {
            Ack::Caller(_) => true,
            Ack::Decision(_, participants, _) => participants.is_empty(),
            Ack::Vote(..) | Ack::Outcome(..) => false,
        };
        is_of_one_shard && ops.iter().all(|op| op.range().is_none())
    }
}

struct Group<T> {
    version: Version,
    /// `u64::MAX` until the last frame is written; 0 when it need not be.
    last_sequence: u64,
    durable: bool,
    /// The shortest interval asked for.
    periodic: Option<Nanos>,
    acks: Acks<T>,
}

/// Who hears of a group, and the changes that each of them handed in, which go back for their memory.
type Acks<T> = Vec<(Ack<T>, Vec<Op>)>;

struct Large {
    payload: Vec<u8>,
    written: usize,
    version: Version,
    millis: u64,
    durable: bool,
}

impl<T> Default for Commits<T> {
    fn default() -> Self {
        Commits {
            pending: VecDeque::new(),
            served: 0,
            held_up: Vec::new(),
            outcomes: Outcomes::default(),
            groups: VecDeque::new(),
            large: None,
            owed: Owed::default(),
            sync_at: None,
            sync_behind: None,
            close_at: None,
            members: Vec::new(),
            acks_spare: Vec::new(),
        }
    }
}

impl<T> Commits<T> {
    /// The version of the oldest group that is not acknowledged.
    pub fn oldest_in_flight(&self) -> Option<Version> {
        self.groups.front().map(|group| group.version)
    }

    /// Every group that began at or before this frame is acknowledged.
    pub fn are_done(&self, sequence: u64) -> bool {
        let oldest = self.groups.front();
        oldest.is_none_or(|group| group.last_sequence > sequence)
    }

    /// No group is half written, and every one is in a frame.
    pub fn is_between_groups(&self) -> bool {
        self.large.is_none() && self.owed.is_empty()
    }

    /// A group has some of its frames in the log, and not the last one.
    pub fn is_half_written(&self) -> bool {
        self.large.is_some()
    }

    /// Nothing waits, nothing is unanswered, and nothing is owed.
    pub fn is_quiet(&self) -> bool {
        self.pending.is_empty()
            && self.held_up.is_empty()
            && self.outcomes.is_empty()
            && self.groups.is_empty()
            && self.owed.is_empty()
    }

    /// Somebody waits for the log to have everything.
    pub fn hurry(&mut self, now: Nanos) {
        self.owed.hurry(now);
    }

    /// A place in line behind everything that waits now.
    pub fn end_of_line(&self) -> u64 {
        self.served + self.pending.len() as u64
    }

    /// Everything in front of a place in line has been applied, or refused.
    pub fn has_served(&self, place: u64) -> bool {
        self.served >= place
    }

    /// Whether one of the changes in line is `wanted`; yes also where that would take long to tell.
    pub fn any_in_line(&self, wanted: impl Fn(&[Op]) -> bool) -> bool {
        let mut left = LINE_LOOKED_THROUGH;
        self.pending.iter().any(|write| {
            let ops = match &write.body {
                Body::Ops(ops) | Body::Record(Record::Decide { ops, .. }) => &ops[..],
                Body::Record(_) => &[],
            };
            left = left.saturating_sub(1 + ops.len());
            left == 0 || wanted(ops)
        })
    }

    /// When to look again if nothing ends before. What waits for the log's device has none.
    pub fn next_deadline(&self, log: &Log) -> Option<Nanos> {
        let outcomes = self.outcomes.deadline();
        let unwritten = outcomes.into_iter().chain(self.owed.deadline()).min();
        let unwritten = unwritten.filter(|_| log.has_flight_free());
        let may_sync = self.sync_behind.is_none() && !log.is_syncing();
        let sync = self.sync_at.filter(|_| may_sync);
        unwritten.into_iter().chain(sync).chain(self.close_at).min()
    }

    fn push(&mut self, body: Body, durability: Durability, ack: Ack<T>) {
        if !planted(Defect::OutcomeOvertaken) {
            self.line_up_outcomes();
        }
        let write = Pending::new(body, durability, ack);
        self.pending.push_back(write);
    }
}

impl<T> Pending<T> {
    fn new(body: Body, durability: Durability, ack: Ack<T>) -> Pending<T> {
        let (bytes, begins_group) = match &body {
            Body::Ops(ops) => (ops_bytes(ops), ranges::any(ops)),
            Body::Record(Record::Prepare { ops, .. }) => (RECORD_OVERHEAD + ops_bytes(ops), false),
            Body::Record(Record::Decide { ops, .. }) => {
                (RECORD_OVERHEAD + ops_bytes(ops), ranges::any(ops))
            }
            Body::Record(_) => (RECORD_OVERHEAD, false),
        };
        Pending {
            body,
            durability,
            ack,
            bytes,
            begins_group,
        }
    }
}

fn ops_bytes(ops: &[Op]) -> usize {
    ops.iter().map(|op| op.bytes() + OP_OVERHEAD).sum()
}

fn adds_data(ops: &[Op]) -> bool {
    ops.iter().any(|op| op.value().is_some())
}

impl<T: Token> Core<T> {
    /// Acknowledges what the log has finished, and starts what may start.
    pub fn turn_commits(&self) {
        if self.is_failed() {
            return self.keep_last_promise();
        }
        let reaped = self.log.borrow_mut().reap();
        match reaped {
            Err(failure) => return self.fail(&failure),
            Ok(true) => self.finish_groups(),
            Ok(false) => {}
        }
        while self.start_frame() {}
        if planted(Defect::AnsweredBeforeWritten) {
            self.finish_groups();
        }
        self.sync_or_close();
        if matches!(reaped, Ok(true)) {
            self.log.borrow_mut().start_syncing_what_was_left(&self.io);
            // Some wait for the log and not for an answer.
            self.published.raise();
            self.notice_dead_log();
        }
    }
}

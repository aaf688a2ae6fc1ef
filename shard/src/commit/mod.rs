//! The write path: calls wait in line, a group of them becomes one log frame, and all are answered
//! when it is as durable as each asked. Those that need not be durable are answered before the log has them
//! (`owed`).
//!
//! Batching is natural: the next group takes whatever came while the device was busy. At most two
//! frames are in flight. A group is acknowledged only after every earlier one.

mod outcomes;
mod owed;
mod promises;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use crate::call::{Durability, Op, Reply, Written};
use crate::core::Core;
use crate::cross_shard::Decision;
use crate::letter::{Content, Outcome, Verdict};
use crate::log::format::{
    GROUP_BYTES, HEADER_BYTES, OP_OVERHEAD, RECORD_OVERHEAD, Record, push_op, push_record,
};
use crate::log::{FrameIntent, Log};
use crate::ranges;
use crate::shard::TransactionId;
use crate::token::Token;
use crate::version::{ShardId, Version};
use crate::watch::{Phase, Watch};
use outcomes::Outcomes;
use owed::{Formed, Owed};

/// Changes in line that one transaction looks at.
const LINE_LOOKED_THROUGH: usize = 64;

/// Lists kept for their memory: as many as frames in flight, and one being filled.
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
    /// A write to this shard alone.
    pub fn accept_write(&self, token: T, mut ops: Vec<Op>, durability: Durability) {
        if let Some(error) = self.refusal(adds_data(&ops)) {
            return self.reply(token, Reply::Failed(error));
        }
        if ranges::any(&ops) {
            if let Some(error) = self.refusal_of_ranges(&ops) {
                return self.reply(token, Reply::Failed(error));
            }
            ranges::settle_order(&mut ops);
        }
        let blocked = self.transactions.borrow().blocks(&ops);
        let mut commits = self.commits.borrow_mut();
        commits.push(Body::Ops(ops), durability, Ack::Caller(token));
        if blocked && let Some(write) = commits.pending.pop_back() {
            commits.held_up.push(write);
        }
    }

    /// Puts a prepared part in the log.
    pub fn log_prepare(&self, transaction: TransactionId, coordinator: ShardId, ops: Arc<Vec<Op>>) {
        let record = Record::Prepare {
            transaction,
            coordinator,
            ops,
        };
        let ack = Ack::Vote(transaction, coordinator);
        let mut commits = self.commits.borrow_mut();
        let durability = match planted(Defect::PrepareNotSynced) {
            false => Durability::Sync,
            true => Durability::Buffered,
        };
        commits.push(Body::Record(record), durability, ack);
    }

    /// Puts a decision to commit in the log, with this shard's own part. Where nobody else has a part to
    /// apply, the part is the decision.
    pub fn log_decision(&self, decision: Decision, token: T) {
        let participants = decision.participants();
        let durability = match (participants.is_empty(), planted(Defect::DecisionNotSynced)) {
            (true, _) => decision.durability,
            (false, false) => Durability::Sync,
            (false, true) => Durability::Buffered,
        };
        let Decision {
            transaction,
            ops,
            writers,
            ..
        } = decision;
        let body = match writers.is_empty() {
            true => Body::Ops(ops),
            false => Body::Record(Record::Decide {
                transaction,
                participants: writers,
                ops,
            }),
        };
        let ack = Ack::Decision(transaction, participants, token);
        let mut commits = self.commits.borrow_mut();
        commits.push(body, durability, ack);
    }

    /// Has the outcome of a prepared part put in the log, with what comes next or a little later.
    pub fn log_outcome(
        &self,
        transaction: TransactionId,
        coordinator: ShardId,
        version: Option<Version>,
    ) {
        // A log that has failed takes nothing any more, and nothing must wait for it: the next opening asks.
        if self.is_failed() {
            return;
        }
        let record = Record::Outcome {
            transaction,
            version,
        };
        let ack = Ack::Outcome(transaction, coordinator);
        let mut commits = self.commits.borrow_mut();
        commits.push_outcome(Body::Record(record), ack, self.io.now());
    }

    /// Writes that waited for a key's undecided batch get in line.
    pub fn release_held_up(&self) {
        if planted(Defect::HeldUpForgotten) {
            return;
        }
        let transactions = self.transactions.borrow();
        let mut commits = self.commits.borrow_mut();
        let waiting = std::mem::take(&mut commits.held_up);
        if !waiting.is_empty() {
            commits.line_up_outcomes();
        }
        for write in waiting {
            let blocked = match &write.body {
                Body::Ops(ops) => transactions.blocks(ops),
                Body::Record(_) => false,
            };
            if blocked {
                commits.held_up.push(write);
            } else {
                commits.pending.push_back(write);
            }
        }
    }

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

    fn finish_groups(&self) {
        let mut published = false;
        loop {
            let group = {
                let log = self.log.borrow();
                let mut commits = self.commits.borrow_mut();
                let done = |group: &Group<T>| {
                    let written = log.completed() >= group.last_sequence;
                    let durable = log.durable() >= group.last_sequence;
                    (written || planted(Defect::AnsweredBeforeWritten))
                        && (!group.durable || durable || planted(Defect::AnsweredBeforeDurable))
                };
                let place = match planted(Defect::AnsweredOutOfOrder) {
                    false => commits
                        .groups
                        .front()
                        .filter(|group| done(group))
                        .map(|_| 0),
                    true => commits.groups.iter().rposition(done),
                };
                let Some(place) = place else { break };
                commits.groups.remove(place)
            };
            let Some(group) = group else { break };
            self.publish(group.version);
            published = true;
            if let Some(interval) = group.periodic {
                let due = self.io.now() + interval;
                let mut commits = self.commits.borrow_mut();
                commits.sync_at = Some(commits.sync_at.map_or(due, |at| at.min(due)));
            }
            let mut acks = group.acks;
            for (ack, ops) in acks.drain(..) {
                self.acknowledge(ack, ops, group.version);
            }
            let spare = &mut self.commits.borrow_mut().acks_spare;
            if spare.len() < ACKS_SPARE_MAX {
                spare.push(acks);
            }
        }
        if published {
            self.published.raise();
        }
    }

    fn acknowledge(&self, ack: Ack<T>, ops: Vec<Op>, version: Version) {
        match ack {
            Ack::Caller(token) => {
                self.stats.borrow_mut().writes += 1;
                self.offer_written(&ops);
                self.reply(token, Reply::Written(Written { version, ops }));
            }
            Ack::Vote(transaction, coordinator) => self.send(
                coordinator,
                Content::Vote {
                    transaction,
                    from: self.identity.shard,
                    verdict: Verdict::Prepared,
                },
            ),
            Ack::Decision(transaction, participants, token) => {
                // The letters go out before the answer: whoever asks a participant after hearing of
                // the commit finds it applied.
                self.send_outcome(transaction, &participants, &Outcome::Committed(version));
                let mut stats = self.stats.borrow_mut();
                stats.writes += 1;
                stats.commits_coordinated += u64::from(!participants.is_empty());
                drop(stats);
                self.reply(token, Reply::Written(Written { version, ops }));
            }
            Ack::Outcome(transaction, coordinator) => {
                self.transactions.borrow_mut().settled(transaction);
                self.send(
                    coordinator,
                    Content::Settled {
                        transaction,
                        from: self.identity.shard,
                    },
                );
            }
        }
    }

    /// Starts one group, or puts what is owed in the log: if there is something, and room. True when it did.
    fn start_frame(&self) -> bool {
        self.lacks_room.set(false);
        let has_flight = self.log.borrow().has_flight_free();
        if self.commits.borrow().large.is_some() {
            return has_flight && self.continue_large_group();
        }
        let now = || match self.closing.get() {
            true => Nanos::MAX,
            false => self.io.now(),
        };
        self.commits.borrow_mut().line_up_outcomes_if_due(now);
        if self.commits.borrow().pending.is_empty() {
            return self.pay_if_due(false);
        }
        if !has_flight && self.commits.borrow().owed.tail.is_none() {
            return false;
        }
        if !self.memory_allows() {
            // A memtable is sealed between frames.
            return self.pay_if_due(self.memory_is_full());
        }
        let payload_max = self.log.borrow().payload_max();
        let group_bytes = payload_max.min(self.compaction.pace.group_bytes());
        let early = self.early_members(group_bytes);
        if early > 0 {
            self.start_group(early, payload_max, true);
            self.finish_groups();
            return true;
        }
        if !has_flight {
            return self.owes_full_frame() && self.pay_if_due(true);
        }
        let (count, bytes) = {
            let commits = self.commits.borrow();
            let mut bytes = 0;
            let fitting = commits.pending.iter().take_while(|write| {
                let is_first = bytes == 0;
                bytes += write.bytes;
                bytes <= group_bytes && (is_first || !write.begins_group)
            });
            let count = fitting.count().max(1);
            let members = commits.pending.iter().take(count);
            (count, members.map(|write| write.bytes).sum::<usize>())
        };
        let bytes = match self.commits.borrow().owed.payload.len() {
            0 => bytes,
            owed => owed + GROUP_BYTES + bytes,
        };
        let has_room = self.log.borrow().has_room(bytes.min(payload_max));
        if (bytes > payload_max || !has_room) && self.pay_if_due(true) {
            return true;
        }
        if !has_room {
            self.lack_room();
            return false;
        }
        self.start_group(count, payload_max, false);
        true
    }

    /// Seals a full memtable. False while writers have to wait for what flushes and merges do.
    fn memory_allows(&self) -> bool {
        let mut memtables = self.memtables.borrow_mut();
        let full = self.options.memtable_bytes;
        let filled = memtables.active().filled(full);
        let is_flushing = memtables.sealed_count() > 0;
        let admitted = self.pay_writers() && self.compaction.pace.admits(filled, full, is_flushing);
        if admitted && filled < full {
            return true;
        }
        if admitted && !is_flushing {
            if !self.commits.borrow().owed.is_empty() {
                return false;
            }
            memtables.seal(self.log.borrow().last_sequence());
            self.compaction.pace.begin_flush(filled as u64);
            self.work.raise();
            return true;
        }
        // On a full disk only removals come this far: the log's room bounds them.
        self.is_full()
    }

    fn memory_is_full(&self) -> bool {
        let (memtables, full) = (self.memtables.borrow(), self.options.memtable_bytes);
        memtables.active().filled(full) >= full
    }

    /// `early`: it is put in the tail, and in the log behind what is owed.
    fn start_group(&self, count: usize, payload_max: usize, early: bool) {
        let version = self.clock.next();
        let millis = self.note_time(version);
        let (mut members, mut payload) = {
            let mut commits = self.commits.borrow_mut();
            commits.close_at = None;
            let mut members = std::mem::take(&mut commits.members);
            members.extend(commits.pending.drain(..count));
            commits.served += count as u64;
            commits.owed.count();
            (members, std::mem::take(&mut commits.owed.payload))
        };
        let from = payload.len();
        if early || from > 0 {
            push_record(&mut payload, &Record::Group { version, millis });
        }
        let mut durable = false;
        let mut periodic: Option<Nanos> = None;
        let dropped = planted(Defect::LastRecordDropped) && members.len() > 1;
        for write in &members[..members.len() - usize::from(dropped)] {
            if let Some(watch) = write.ack.watch() {
                watch.enter(Phase::Flush, self.io.now());
            }
            match &write.body {
                Body::Ops(ops) => ops.iter().for_each(|op| push_op(&mut payload, op)),
                Body::Record(record) => push_record(&mut payload, record),
            }
            match write.durability {
                Durability::Sync => durable = true,
                Durability::Periodic(every) => {
                    periodic = Some(periodic.map_or(every, |least| least.min(every)));
                }
                Durability::Buffered => {}
            }
        }
        self.stats.borrow_mut().groups += 1;

        // The device first: it works while the memtable is filled. A group larger than a frame gets
        // its sequence from its last one; its first is the next to be written.
        let first_sequence = self.log.borrow().last_sequence() + 1;
        let formed = Formed {
            version,
            millis,
            periodic,
            from,
        };
        let last_sequence = if early {
            let owed = &mut self.commits.borrow_mut().owed;
            owed.payload = payload;
            match owed.take(first_sequence, &formed, self.io.now()) {
                true => {
                    self.stats.borrow_mut().early_groups += 1;
                    0
                }
                false => first_sequence,
            }
        } else if payload.len() <= payload_max {
            let (version, millis) = self.commits.borrow().owed.head(&formed);
            let intent = FrameIntent {
                version,
                millis,
                continues: false,
                closing: false,
                durable,
            };
            let sequence = self.write_frame(&payload, intent);
            let owed = &mut self.commits.borrow_mut().owed;
            owed.payload = payload;
            owed.settle();
            sequence
        } else {
            self.commits.borrow_mut().large = Some(Large {
                payload,
                written: 0,
                version,
                millis,
                durable,
            });
            u64::MAX
        };
        let acks = self.apply(&mut members, version, first_sequence);
        self.commits.borrow_mut().members = members;
        if planted(Defect::VisibleBeforeAnswered) {
            self.publish(version);
        }
        self.commits.borrow_mut().groups.push_back(Group {
            version,
            last_sequence,
            durable,
            periodic,
            acks,
        });
    }

    fn continue_large_group(&self) -> bool {
        let mut commits = self.commits.borrow_mut();
        let Some(mut large) = commits.large.take() else {
            return false;
        };
        let payload_max = self.log.borrow().payload_max();
        let rest = large.payload.len() - large.written;
        let part = rest.min(payload_max);
        if !self.log.borrow().has_room(part) {
            // Begun is begun: it waits for room even on a full disk, unless the shard ends.
            commits.large = Some(large);
            drop(commits);
            self.lack_room();
            return false;
        }
        let last = part == rest;
        let intent = FrameIntent {
            version: large.version,
            millis: large.millis,
            continues: !last,
            closing: false,
            durable: last && large.durable,
        };
        let sequence = self.write_frame(&large.payload[large.written..][..part], intent);
        large.written += part;
        if last {
            let group = commits.groups.back_mut();
            group.expect("a large group is in flight").last_sequence = sequence;
        } else {
            commits.large = Some(large);
        }
        true
    }

    /// What is next has no room in the log. Who makes room was told when the log came so close to its end, and says so when
    /// there is some: to tell it again at each turn would give it, and so the shard, something to do at each turn.
    fn lack_room(&self) {
        self.lacks_room.set(true);
        if planted(Defect::RoomAskedAgain) {
            self.work.raise();
        }
        if self.is_full() {
            self.refuse_pending();
        }
    }

    fn write_frame(&self, payload: &[u8], intent: FrameIntent) -> u64 {
        let mut log = self.log.borrow_mut();
        let mut buffer = log.take_buffer();
        buffer[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
        let sequence = log.append(&self.io, buffer, payload.len(), intent);
        if log.wants_slot() {
            self.work.raise();
        }
        sequence
    }

    /// Puts the group's changes in the memtable, above what anybody may see yet.
    fn apply(&self, members: &mut Vec<Pending<T>>, version: Version, sequence: u64) -> Acks<T> {
        let generation = std::rc::Rc::clone(self.memtables.borrow().active());
        let mut memtable = generation.table.borrow_mut();
        let mut stats = self.stats.borrow_mut();
        let mut acks = self
            .commits
            .borrow_mut()
            .acks_spare
            .pop()
            .unwrap_or_default();
        acks.reserve(members.len());
        let (mut unlocked, mut brought) = (false, 0);
        for write in members.drain(..) {
            match &write.body {
                Body::Ops(ops) | Body::Record(Record::Decide { ops, .. }) => {
                    self.hide_rows(ops);
                    memtable.insert(ops.iter().filter_map(Op::change), version);
                    if write.begins_group {
                        drop(stats);
                        self.add_ranges(&generation, ops, version);
                        stats = self.stats.borrow_mut();
                    }
                    let bytes: u64 = ops.iter().map(|op| op.bytes() as u64).sum();
                    stats.user_bytes += bytes;
                    brought += bytes;
                    stats.ops += ops.len() as u64;
                }
                Body::Record(_) => {}
            }
            let mut transactions = self.transactions.borrow_mut();
            match &write.body {
                Body::Record(Record::Prepare { transaction, .. }) => {
                    transactions.prepare_logged(*transaction, sequence);
                }
                Body::Record(Record::Decide {
                    transaction,
                    participants,
                    ..
                }) => transactions.decided(*transaction, version, sequence, participants),
                _ => {}
            }
            if let Ack::Decision(transaction, ..) = &write.ack {
                transactions.unlock(*transaction);
                unlocked = true;
            }
            let ops = match write.body {
                // The caller's memory goes back to the caller.
                Body::Ops(ops) | Body::Record(Record::Decide { ops, .. }) => ops,
                Body::Record(_) => Vec::new(),
            };
            acks.push((write.ack, ops));
        }
        drop((memtable, stats));
        self.compaction.pace.bring(brought);
        if unlocked {
            self.release_held_up();
            self.retry_prepares();
        } else if !self.transactions.borrow().locks.is_empty() {
            // Who holds locks may wait for this group to be applied.
            self.published.raise();
        }
        acks
    }

    pub fn send_outcome(
        &self,
        transaction: TransactionId,
        participants: &[ShardId],
        outcome: &Outcome,
    ) {
        for participant in participants {
            self.send(
                *participant,
                Content::Outcome {
                    transaction,
                    coordinator: self.identity.shard,
                    outcome: outcome.clone(),
                },
            );
        }
    }
}

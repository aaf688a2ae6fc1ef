//! What a group changes, and who hears of it: applied when its frame is on its way, answered when that is there.

use ringkeep_io::planted::{Defect, planted};

use super::{ACKS_SPARE_MAX, Ack, Acks, Body, Group, Pending};
use crate::call::{Op, Reply, Written};
use crate::core::Core;
use crate::letter::{Content, Outcome, Verdict};
use crate::log::format::Record;
use crate::shard::TransactionId;
use crate::token::Token;
use crate::version::{ShardId, Version};

impl<T: Token> Core<T> {
    /// Puts the group's changes in the memtable, above what anybody may see yet.
    pub(super) fn apply(
        &self,
        members: &mut Vec<Pending<T>>,
        version: Version,
        sequence: u64,
    ) -> Acks<T> {
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

    pub(super) fn finish_groups(&self) {
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

    pub(super) fn acknowledge(&self, ack: Ack<T>, ops: Vec<Op>, version: Version) {
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

//! Who hears of a group: its callers and other shards, when its frame is there.

use ringkeep_io::planted::{Defect, planted};

use super::{ACKS_SPARE_MAX, Ack, Group};
use crate::call::{Op, Reply, Written};
use crate::core::Core;
use crate::letter::{Content, Outcome, Verdict};
use crate::shard::TransactionId;
use crate::token::Token;
use crate::version::{ShardId, Version};

impl<T: Token> Core<T> {
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
            for (ack, ops) in &group.acks {
                if ack.leaves_rows(ops) {
                    self.hide_rows(ops);
                }
            }
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

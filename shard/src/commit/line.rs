//! What gets in line: callers' writes, and what transactions over several shards put in the log.

use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use super::{Ack, Body, adds_data};
use crate::call::{Durability, Op, Reply};
use crate::core::Core;
use crate::cross_shard::Decision;
use crate::log::format::Record;
use crate::ranges;
use crate::shard::TransactionId;
use crate::token::Token;
use crate::version::{ShardId, Version};

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
}

//! Writes that are answered with an error: those that the disk has no room for, and all of them after a failure.

use super::{Ack, Body, Pending};
use crate::call::Reply;
use crate::core::Core;
use crate::error::Error;
use crate::letter::{Content, Outcome, Verdict};
use crate::log::format::Record;
use crate::token::Token;

impl<T: Token> Core<T> {
    /// The log has no room and the disk none for more log: what waits is refused, untouched.
    pub(super) fn refuse_pending(&self) {
        let refused: Vec<_> = {
            let mut commits = self.commits.borrow_mut();
            commits.served += commits.pending.len() as u64;
            let pending = std::mem::take(&mut commits.pending);
            let is_outcome =
                |write: &Pending<T>| matches!(write.body, Body::Record(Record::Outcome { .. }));
            // The outcome of a batch that is prepared here must not be lost: it waits for room, in front of whoever gets
            // in line because another lets go of its locks.
            let (outcomes, refused) = pending.into_iter().partition(is_outcome);
            commits.pending = outcomes;
            Vec::from(refused)
        };
        if refused.is_empty() {
            return;
        }
        for write in refused {
            let error = self.full_error();
            self.refuse(write.ack, error);
        }
        // Whoever waits for those in front.
        self.published.raise();
    }

    /// Lets go of a group of which a part is in the log: it was never answered, and an opening passes over what is there of
    /// it. Nothing can be written behind it, so that writes are stopped with it. True when there was one.
    pub fn give_up_half_a_group(&self) -> bool {
        let acks = {
            let mut commits = self.commits.borrow_mut();
            if !commits.is_half_written() {
                return false;
            }
            // The group itself stays in flight until then, so that nobody sees it, nor what lies above it.
            let group = commits.groups.back_mut();
            std::mem::take(&mut group.expect("a large group is in flight").acks)
        };
        for (ack, _) in acks {
            self.refuse(ack, self.full_error());
        }
        self.refuse_pending();
        self.full_disk.give_up();
        self.fail_because("the disk had no room for the rest of a write of several log frames");
        true
    }

    /// After a failure: tells everybody who waits.
    pub fn refuse_everything(&self, reason: &str) {
        let (groups, pending) = {
            let mut commits = self.commits.borrow_mut();
            commits.large = None;
            commits.close_at = None;
            commits.line_up_outcomes();
            let mut pending: Vec<_> = commits.pending.drain(..).collect();
            pending.append(&mut commits.held_up);
            (std::mem::take(&mut commits.groups), pending)
        };
        for (ack, _) in groups.into_iter().flat_map(|group| group.acks) {
            let reason = reason.to_string();
            self.refuse(ack, Error::Unknown { reason });
        }
        for write in pending {
            let reason = reason.to_string();
            self.refuse(write.ack, Error::Failed { reason });
        }
        self.refuse_waiting_prepares(reason);
    }

    pub(super) fn refuse(&self, ack: Ack<T>, error: Error) {
        match ack {
            Ack::Caller(token) => self.reply(token, Reply::Failed(error)),
            Ack::Vote(transaction, coordinator) => {
                self.forget_prepared(transaction);
                self.send(
                    coordinator,
                    Content::Vote {
                        transaction,
                        from: self.identity.shard,
                        verdict: Verdict::Refused(error),
                    },
                );
            }
            Ack::Decision(transaction, participants, token) => {
                // Written and failed: nobody knows. Not written: nothing happened.
                let outcome = match &error {
                    Error::Unknown { reason } => Outcome::Lost(reason.clone()),
                    _ => Outcome::Aborted,
                };
                self.release_locks(transaction);
                self.send_outcome(transaction, &participants, &outcome);
                self.reply(token, Reply::Failed(error));
            }
            // Recovery asks the coordinator again.
            Ack::Outcome(..) => {}
        }
    }
}

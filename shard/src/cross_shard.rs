//! Batches over several shards: on all of them or on none.
//!
//! ```text
//! coordinator (owns one part)                participant
//!   lock own keys
//!   Prepare ───────────────────────────────▶ lock keys, log the part, sync
//!           ◀─────────────────────────────── Vote
//!   log the decision with its own part, sync: this is the commit, at the version of its group
//!   answer the caller
//!   Outcome ───────────────────────────────▶ apply at that version, unlock, log the outcome, sync
//!           ◀─────────────────────────────── Settled: the decision may be forgotten
//! ```
//!
//! After a crash a participant that holds a prepared part asks the coordinator's log; no decision in
//! an intact log means that there was no commit. So a prepare frame is kept until the outcome and
//! the changes are safe, and a decision frame until every participant has settled: `oldest_needed`.
//!
//! A batch that finds a key held by an older batch lets go of everything and starts over, keeping its
//! age; an older one waits. So there is never a ring of waiters. Locks are hashes of keys: a false
//! conflict costs a wait and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};
use xxhash_rust::xxh3::xxh3_64;

use crate::call::{Change, Op, Reply};
use crate::core::Core;
use crate::error::Error;
use crate::letter::{Content, Letter, Outcome, Verdict};
use crate::shard::{InDoubt, TransactionId};
use crate::version::{ShardId, Version};

/// Pause before a batch that lost a conflict tries again; grows with each attempt.
const RETRY_AFTER: u64 = 50_000;
const RETRY_AFTER_MAX: u64 = 5_000_000;

/// Everything undecided, from both sides.
#[derive(Default)]
pub(crate) struct Transactions {
    /// Who holds which key, by hash.
    locks: HashMap<u64, TransactionId>,
    held: HashMap<TransactionId, Vec<u64>>,
    /// Parts that wait for their outcome.
    prepared: BTreeMap<TransactionId, Prepared>,
    /// Parts applied, whose outcome record is not durable yet: the sequence of the prepare frame.
    settling: BTreeMap<TransactionId, u64>,
    /// Prepares that wait for a younger batch to let go.
    waiting: Vec<(TransactionId, ShardId, Vec<Op>)>,
    /// Votes for the batches that this shard coordinates now.
    ballots: HashMap<TransactionId, Vec<(ShardId, Verdict)>>,
    /// Commits decided here that some participant has not settled.
    decided: BTreeMap<TransactionId, Decided>,
}

struct Prepared {
    coordinator: ShardId,
    ops: Vec<Op>,
    /// Every version handed out before the part was locked.
    since: Version,
    /// Of the prepare frame; `u64::MAX` until it is written.
    sequence: u64,
}

struct Decided {
    version: Version,
    sequence: u64,
    unsettled: Vec<ShardId>,
}

impl Transactions {
    /// A single write must wait for these keys.
    pub fn blocks(&self, ops: &[Op]) -> bool {
        !self.locks.is_empty() && ops.iter().any(|op| self.locks.contains_key(&lock_of(op)))
    }

    /// An undecided batch holds the key with this hash.
    pub fn holds(&self, hash: u64) -> bool {
        self.locks.contains_key(&hash)
    }

    /// Takes all the locks or none; the error is the oldest batch in the way.
    fn lock(&mut self, transaction: TransactionId, ops: &[Op]) -> Result<(), TransactionId> {
        let in_the_way = ops.iter().filter_map(|op| self.locks.get(&lock_of(op)));
        if let Some(oldest) = in_the_way.filter(|holder| **holder != transaction).min() {
            return Err(*oldest);
        }
        let hashes: Vec<u64> = ops.iter().map(lock_of).collect();
        for hash in &hashes {
            self.locks.insert(*hash, transaction);
        }
        self.held.insert(transaction, hashes);
        Ok(())
    }

    pub fn unlock(&mut self, transaction: TransactionId) {
        for hash in self.held.remove(&transaction).unwrap_or_default() {
            self.locks.remove(&hash);
        }
    }

    pub fn prepare_logged(&mut self, transaction: TransactionId, sequence: u64) {
        if let Some(part) = self.prepared.get_mut(&transaction) {
            part.sequence = sequence;
        }
    }

    pub fn decided(
        &mut self,
        transaction: TransactionId,
        version: Version,
        sequence: u64,
        participants: &[ShardId],
    ) {
        self.decided.insert(
            transaction,
            Decided {
                version,
                sequence,
                unsettled: participants.to_vec(),
            },
        );
    }

    /// The outcome record of a part is durable.
    pub fn settled(&mut self, transaction: TransactionId) {
        self.settling.remove(&transaction);
    }

    /// Readers at this version or above must wait for the oldest undecided part.
    pub fn oldest_undecided(&self) -> Option<Version> {
        self.prepared.values().map(|part| part.since).min()
    }

    /// The oldest log frame that an unfinished batch may need after a crash.
    pub fn oldest_needed(&self) -> u64 {
        let prepared = self.prepared.values().map(|part| part.sequence);
        let settling = self.settling.values().copied();
        let decided = self.decided.values().map(|decided| decided.sequence);
        let decided = decided.filter(|_| !planted(Defect::DecisionFreedEarly));
        let all = prepared.chain(settling).chain(decided);
        all.min().unwrap_or(u64::MAX)
    }

    /// Nothing is undecided or on its way here. Decisions that a participant has not settled may be
    /// left: they stay in the log, and the next opening asks again.
    pub fn is_idle(&self) -> bool {
        self.prepared.is_empty()
            && self.settling.is_empty()
            && self.waiting.is_empty()
            && self.ballots.is_empty()
    }

    pub fn in_doubt(&self) -> Vec<InDoubt> {
        let prepared = self.prepared.iter();
        let in_doubt = prepared.map(|(transaction, part)| InDoubt {
            transaction: *transaction,
            coordinator: part.coordinator,
        });
        in_doubt.collect()
    }

    pub fn decision(&self, transaction: TransactionId) -> Option<Version> {
        self.decided
            .get(&transaction)
            .map(|decided| decided.version)
    }

    /// Recovery: a prepare record was replayed.
    pub fn replay_prepare(
        &mut self,
        transaction: TransactionId,
        coordinator: ShardId,
        ops: Vec<Op>,
        sequence: u64,
        since: Version,
    ) {
        let locked = self.lock(transaction, &ops);
        assert!(locked.is_ok(), "two prepared batches hold one key");
        let part = Prepared {
            coordinator,
            ops,
            since,
            sequence,
        };
        self.prepared.insert(transaction, part);
    }

    /// A part leaves the undecided ones; its changes and the sequence of its prepare frame.
    pub fn take_prepared(&mut self, transaction: TransactionId) -> Option<(Vec<Op>, u64)> {
        let part = self.prepared.remove(&transaction)?;
        self.unlock(transaction);
        Some((part.ops, part.sequence))
    }

    /// Recovery: asks every participant of a live decision to settle again.
    pub fn unsettled_decisions(&self) -> Vec<(TransactionId, Version, Vec<ShardId>)> {
        let decided = self.decided.iter();
        let unsettled =
            decided.map(|(transaction, d)| (*transaction, d.version, d.unsettled.clone()));
        unsettled.collect()
    }
}

fn lock_of(op: &Op) -> u64 {
    xxh3_64(op.key())
}

impl<T: 'static> Core<T> {
    /// A batch over several shards, coordinated here.
    pub fn accept_commit(self: &Rc<Self>, token: T, parts: Vec<(ShardId, Vec<Op>)>) {
        let adds = parts
            .iter()
            .any(|(_, ops)| ops.iter().any(|op| op.value().is_some()));
        if let Some(error) = self.refusal(adds) {
            return self.reply(token, Reply::Failed(error));
        }
        let core = Rc::clone(self);
        self.tasks
            .spawn(async move { core.coordinate(token, parts).await });
    }

    async fn coordinate(self: Rc<Self>, token: T, parts: Vec<(ShardId, Vec<Op>)>) {
        // Older is smaller: the clock is the order of age, and no two batches share a tick.
        let transaction = TransactionId(self.clock.next().0);
        let me = self.identity.shard;
        let (own, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(id, _)| *id == me);
        let own: Vec<Op> = own.into_iter().flat_map(|(_, ops)| ops).collect();
        let participants: Vec<ShardId> = others.iter().map(|(id, _)| *id).collect();
        let mut pause = RETRY_AFTER;
        loop {
            // Holding nothing yet, this may wait for anybody.
            self.published
                .wait_until(|| {
                    self.is_failed()
                        || self
                            .transactions
                            .borrow_mut()
                            .lock(transaction, &own)
                            .is_ok()
                })
                .await;
            if let Some(error) = self.refusal(false) {
                self.release_locks(transaction);
                return self.reply(token, Reply::Failed(error));
            }
            match self.gather_votes(transaction, &others).await {
                Ok(()) => {
                    // The shard may have failed while the others voted: nobody would answer then.
                    let Some(error) = self.refusal(false) else {
                        return self.log_decision(transaction, participants, own, token);
                    };
                    self.release_locks(transaction);
                    self.send_outcome(transaction, &participants, &Outcome::Aborted);
                    return self.reply(token, Reply::Failed(error));
                }
                Err(refusal) => {
                    self.release_locks(transaction);
                    if let Some(error) = refusal {
                        return self.reply(token, Reply::Failed(error));
                    }
                }
            }
            self.tasks.sleep_until(self.io.now() + pause).await;
            pause = (pause * 2).min(RETRY_AFTER_MAX);
        }
    }

    /// Asks every participant to prepare. Unless all do, lets go of those that did; the error is
    /// empty when trying again makes sense.
    async fn gather_votes(
        &self,
        transaction: TransactionId,
        others: &[(ShardId, Vec<Op>)],
    ) -> Result<(), Option<Error>> {
        let coordinator = self.identity.shard;
        let ballot = Vec::with_capacity(others.len());
        self.transactions
            .borrow_mut()
            .ballots
            .insert(transaction, ballot);
        for (participant, ops) in others {
            let ops = ops.clone();
            self.send(
                *participant,
                Content::Prepare {
                    transaction,
                    coordinator,
                    ops,
                },
            );
        }
        self.published
            .wait_until(|| {
                let transactions = self.transactions.borrow();
                let votes = transactions.ballots.get(&transaction).map_or(0, Vec::len);
                votes == others.len()
            })
            .await;
        let ballot = self.transactions.borrow_mut().ballots.remove(&transaction);
        let mut verdict = Ok(());
        let mut prepared = Vec::new();
        for (participant, vote) in ballot.unwrap_or_default() {
            match vote {
                Verdict::Prepared => prepared.push(participant),
                Verdict::Conflict => verdict = verdict.and(Err(None)),
                Verdict::Refused(error) => verdict = Err(Some(error)),
            }
        }
        if verdict.is_err() {
            for participant in prepared {
                self.send(
                    participant,
                    Content::Outcome {
                        transaction,
                        coordinator,
                        outcome: Outcome::Aborted,
                    },
                );
            }
        }
        verdict
    }

    /// A letter from another shard.
    pub fn open_letter(&self, letter: Letter) {
        match letter.0 {
            Content::Prepare {
                transaction,
                coordinator,
                ops,
            } => self.prepare(transaction, coordinator, ops),
            Content::Vote {
                transaction,
                from,
                verdict,
            } => {
                let mut transactions = self.transactions.borrow_mut();
                if let Some(ballot) = transactions.ballots.get_mut(&transaction) {
                    ballot.push((from, verdict));
                }
                drop(transactions);
                self.published.raise();
            }
            Content::Outcome {
                transaction,
                coordinator,
                outcome,
            } => self.settle(transaction, coordinator, outcome),
            Content::Settled { transaction, from } => {
                let mut transactions = self.transactions.borrow_mut();
                if let Some(decided) = transactions.decided.get_mut(&transaction) {
                    decided.unsettled.retain(|shard| *shard != from);
                    if decided.unsettled.is_empty() {
                        transactions.decided.remove(&transaction);
                    }
                }
                drop(transactions);
                self.published.raise();
            }
        }
    }

    fn prepare(&self, transaction: TransactionId, coordinator: ShardId, ops: Vec<Op>) {
        let adds = ops.iter().any(|op| op.value().is_some());
        if let Some(error) = self.refusal(adds) {
            return self.vote(transaction, coordinator, Verdict::Refused(error));
        }
        let mut transactions = self.transactions.borrow_mut();
        match transactions.lock(transaction, &ops) {
            Ok(()) => {
                let part = Prepared {
                    coordinator,
                    ops: ops.clone(),
                    since: self.clock.now(),
                    sequence: u64::MAX,
                };
                transactions.prepared.insert(transaction, part);
                if planted(Defect::LocksReleasedEarly) {
                    transactions.unlock(transaction);
                }
                drop(transactions);
                // The coordinator may decide, and its caller hear of it, before this shard does.
                self.hide_rows(&ops);
                self.log_prepare(transaction, coordinator, ops);
            }
            Err(holder) if transaction < holder => {
                transactions.waiting.push((transaction, coordinator, ops));
            }
            Err(_) => {
                drop(transactions);
                self.vote(transaction, coordinator, Verdict::Conflict);
            }
        }
    }

    fn vote(&self, transaction: TransactionId, coordinator: ShardId, verdict: Verdict) {
        let from = self.identity.shard;
        self.send(
            coordinator,
            Content::Vote {
                transaction,
                from,
                verdict,
            },
        );
    }

    /// The coordinator has spoken: applies or drops the part, at once and in memory; then the log
    /// hears of it.
    pub fn settle(&self, transaction: TransactionId, coordinator: ShardId, outcome: Outcome) {
        let version = match outcome {
            Outcome::Committed(version) => Some(version),
            Outcome::Aborted => None,
            Outcome::Lost(reason) => {
                let reason = format!(
                    "the outcome of a batch is not known since shard {coordinator} failed ({reason})"
                );
                return self.fail_because(&reason);
            }
        };
        let part = self.transactions.borrow_mut().take_prepared(transaction);
        let Some((ops, sequence)) = part else {
            // Settled before: the coordinator asks again after a crash. Unless the record is still
            // under way, when its own acknowledgement answers.
            if !self
                .transactions
                .borrow()
                .settling
                .contains_key(&transaction)
            {
                let from = self.identity.shard;
                self.send(coordinator, Content::Settled { transaction, from });
            }
            return;
        };
        if let Some(version) = version
            && !planted(Defect::PartNotApplied)
        {
            let memtables = self.memtables.borrow();
            let generation = memtables.active();
            let mut memtable = generation.table.borrow_mut();
            let mut stats = self.stats.borrow_mut();
            memtable.insert(ops.iter().map(Change::from), version);
            stats.user_bytes += ops.iter().map(|op| op.bytes() as u64).sum::<u64>();
            stats.ops += ops.len() as u64;
            drop(stats);
            let needs_from = generation.needs_from.get().min(sequence);
            generation.needs_from.set(needs_from);
            let elsewhere = self.committed_elsewhere.get().max(version);
            self.committed_elsewhere.set(elsewhere);
        }
        self.publish(Version::default());
        self.transactions
            .borrow_mut()
            .settling
            .insert(transaction, sequence);
        self.log_outcome(transaction, coordinator, version);
        self.release_held_up();
        self.retry_prepares();
    }

    /// Locks were let go: those who waited for them try again.
    pub fn retry_prepares(&self) {
        let waiting = std::mem::take(&mut self.transactions.borrow_mut().waiting);
        for (transaction, coordinator, ops) in waiting {
            self.prepare(transaction, coordinator, ops);
        }
        self.published.raise();
    }

    /// After a failure: prepares that wait for a key will never get it.
    pub fn refuse_waiting_prepares(&self, reason: &str) {
        let waiting = std::mem::take(&mut self.transactions.borrow_mut().waiting);
        for (transaction, coordinator, _) in waiting {
            let reason = reason.to_string();
            let verdict = Verdict::Refused(Error::Failed { reason });
            self.vote(transaction, coordinator, verdict);
        }
    }

    /// The prepare record was refused: the part never was.
    pub fn forget_prepared(&self, transaction: TransactionId) {
        let part = self.transactions.borrow_mut().take_prepared(transaction);
        if part.is_some() {
            self.release_held_up();
        }
    }

    pub fn release_locks(&self, transaction: TransactionId) {
        self.transactions.borrow_mut().unlock(transaction);
        self.release_held_up();
        self.retry_prepares();
    }
}

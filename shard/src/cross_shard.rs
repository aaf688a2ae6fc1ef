//! Batches over several shards: on all of them or on none.
//!
//! ```text
//! coordinator (owns one part)                participant
//!   lock own keys
//!   Prepare ───────────────────────────────▶ lock keys, log the part, sync
//!           ◀─────────────────────────────── Vote
//!   log the decision with its own part, sync: this is the commit, at the version of its group
//!   answer the caller
//!   Outcome ───────────────────────────────▶ apply at that version, unlock
//!                                              log the outcome with what comes next, sync
//!           ◀─────────────────────────────── Settled: the decision may be forgotten
//! ```
//!
//! After a crash a participant that holds a prepared part asks the coordinator's log; no decision in
//! an intact log means that there was no commit. So a prepare frame is kept until the outcome and
//! the changes are safe, and a decision frame until every participant has settled: `oldest_needed`.
//!
//! A batch that finds a key held by an older batch lets go of everything and starts over, keeping its
//! age; an older one waits. So there is never a ring of waiters.
//!
//! A transaction is a batch whose parts are validated while they hold their locks, before they are
//! logged (`validation`). A part that was only read is locked and validated and never logged: its vote
//! holds for as long as its locks, and no crash leaves anything of it to undo.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use crate::call::{Durability, Op, Reply};
use crate::core::Core;
use crate::error::Error;
use crate::letter::{Content, Letter, Outcome, Prepare, Verdict};
use crate::locks::Locks;
use crate::ranges;
use crate::shard::{InDoubt, TransactionId};
use crate::token::Token;
use crate::transaction::{Part, Transact};
use crate::version::{Pin, ShardId, Version};
use crate::watch::Phase;

/// Pause before a batch that lost a conflict tries again; grows with each attempt.
const RETRY_AFTER: u64 = 50_000;
const RETRY_AFTER_MAX: u64 = 5_000_000;

/// Everything undecided, from both sides.
#[derive(Default)]
pub(crate) struct Transactions {
    pub locks: Locks,
    /// Parts that wait for their outcome.
    prepared: BTreeMap<TransactionId, Prepared>,
    /// Parts applied, whose outcome record is not durable yet: the sequence of the prepare frame.
    settling: BTreeMap<TransactionId, u64>,
    /// Prepares that wait for a younger batch to let go.
    waiting: Vec<Prepare>,
    /// Prepares that hold their locks and are to be validated.
    unvalidated: VecDeque<Prepare>,
    /// Votes for the batches that this shard coordinates now.
    ballots: BTreeMap<TransactionId, Ballot>,
    /// Commits decided here that some participant has not settled.
    decided: BTreeMap<TransactionId, Decided>,
}

/// Whose votes a batch needs, and those that were cast.
#[derive(Default)]
struct Ballot(Vec<(ShardId, Option<Verdict>)>);

impl Ballot {
    fn of(parts: &[Part]) -> Ballot {
        Ballot(parts.iter().map(|part| (part.shard, None)).collect())
    }

    /// Of each shard the first vote counts.
    fn cast(&mut self, from: ShardId, verdict: Verdict) {
        let mut votes = self.0.iter_mut();
        if let Some((_, vote)) = votes.find(|(shard, _)| *shard == from) {
            vote.get_or_insert(verdict);
        }
    }

    fn is_complete(&self) -> bool {
        self.0.iter().all(|(_, vote)| vote.is_some())
    }
}

struct Prepared {
    coordinator: ShardId,
    ops: Arc<Vec<Op>>,
    /// Every version handed out before the part was locked.
    since: Version,
    /// Of the prepare frame; `u64::MAX` until it is written.
    sequence: u64,
    news: News,
}

/// What may still be heard of a part before the shard is opened again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// Its outcome comes.
    Awaited,
    /// Its coordinator failed and does not know the outcome: until the database is opened again, nobody shows it.
    Unknown,
    /// Its coordinator is gone, and may have told others that it is committed.
    Never,
}

/// Everything is ready for it.
pub(crate) struct Decision {
    pub transaction: TransactionId,
    /// What this shard changes itself.
    pub ops: Vec<Op>,
    /// Shards that only hold locks.
    pub readers: Vec<ShardId>,
    /// Shards that have prepared changes.
    pub writers: Vec<ShardId>,
    pub durability: Durability,
}

impl Decision {
    /// All the other shards.
    pub fn participants(&self) -> Vec<ShardId> {
        [&self.writers[..], &self.readers].concat()
    }
}

fn shards_where(parts: &[Part], wanted: impl Fn(&Part) -> bool) -> Vec<ShardId> {
    let parts = parts.iter().filter(|part| wanted(part));
    parts.map(|part| part.shard).collect()
}

struct Decided {
    version: Version,
    sequence: u64,
    unsettled: Vec<ShardId>,
}

impl Transactions {
    /// A single write must wait for these keys.
    pub fn blocks(&self, ops: &[Op]) -> bool {
        self.locks.blocks(ops)
    }

    pub fn unlock(&mut self, transaction: TransactionId) {
        self.locks.release(transaction);
    }

    /// The next prepare to be validated.
    pub fn next_unvalidated(&mut self) -> Option<Prepare> {
        self.unvalidated.pop_front()
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
        self.oldest_with(News::Awaited)
    }

    /// Readers at this version or above wait in vain.
    pub fn oldest_never_decided(&self) -> Option<Version> {
        self.oldest_with(News::Never)
    }

    /// Every part that is prepared, and whose outcome this shard has not heard, gets a version above this one, if any.
    pub fn oldest_prepared(&self) -> Option<Version> {
        self.prepared.values().map(|part| part.since).min()
    }

    fn oldest_with(&self, news: News) -> Option<Version> {
        let parts = self.prepared.values().filter(|part| part.news == news);
        parts.map(|part| part.since).min()
    }

    fn outcome_is_unknown(&mut self, transaction: TransactionId) {
        if let Some(part) = self.prepared.get_mut(&transaction) {
            part.news = News::Unknown;
        }
    }

    /// Nothing will be heard of these shards any more: neither how a batch has ended that they decide, nor what they vote.
    fn lose(&mut self, is_lost: impl Fn(ShardId) -> bool, reason: &str) {
        for part in self.prepared.values_mut() {
            if is_lost(part.coordinator) && part.news == News::Awaited {
                part.news = News::Never;
            }
        }
        for ballot in self.ballots.values_mut() {
            for (_, vote) in ballot.0.iter_mut().filter(|(shard, _)| is_lost(*shard)) {
                let reason = reason.to_string();
                vote.get_or_insert(Verdict::Refused(Error::Failed { reason }));
            }
        }
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
            && self.unvalidated.is_empty()
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
        let part = Part {
            ops: ops.into(),
            ..Part::default()
        };
        let locked = self.locks.take(transaction, &part);
        assert!(locked.is_ok(), "two prepared batches hold one key");
        let part = Prepared {
            coordinator,
            ops: part.ops,
            since,
            sequence,
            news: News::Awaited,
        };
        self.prepared.insert(transaction, part);
    }

    /// The transaction was validated here, changes nothing here, and holds its locks until it has ended.
    fn is_reading(&self, transaction: TransactionId) -> bool {
        self.locks.has(transaction) && !self.prepared.contains_key(&transaction)
    }

    /// A part leaves the undecided ones; its changes and the sequence of its prepare frame.
    pub fn take_prepared(&mut self, transaction: TransactionId) -> Option<(Arc<Vec<Op>>, u64)> {
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

impl<T: Token> Core<T> {
    /// A batch over several shards, coordinated here.
    pub fn accept_commit(self: &Rc<Self>, token: T, parts: Vec<(ShardId, Vec<Op>)>) {
        let part = |(shard, ops): (_, Vec<_>)| Part {
            shard,
            ops: ops.into(),
            ..Part::default()
        };
        let parts = parts.into_iter().map(part).collect();
        self.accept_parts(token, parts, None, Durability::Sync);
    }

    /// A transaction, coordinated here.
    pub fn accept_transact(self: &Rc<Self>, token: T, transact: Transact) {
        let Transact {
            parts,
            snapshot,
            durability,
        } = transact;
        self.accept_parts(token, parts, Some(snapshot), durability);
    }

    fn accept_parts(
        self: &Rc<Self>,
        token: T,
        mut parts: Vec<Part>,
        snapshot: Option<Arc<Pin>>,
        durability: Durability,
    ) {
        let mut ops = parts.iter().flat_map(|part| &*part.ops);
        let adds = ops.any(|op| op.value().is_some());
        let me = self.identity.shard;
        let mut own = parts.iter().filter(|part| part.shard == me);
        let refusal = self.refusal(adds);
        let refusal = refusal.or_else(|| own.find_map(|part| self.refusal_of_ranges(&part.ops)));
        if let Some(error) = refusal {
            return self.reply(token, Reply::Failed(error));
        }
        for part in parts.iter_mut().filter(|part| ranges::any(&part.ops)) {
            let ops: &mut Vec<Op> = Arc::make_mut(&mut part.ops);
            ranges::settle_order(ops);
        }
        let (core, watch) = (Rc::clone(self), token.watch().cloned());
        if let Some(watch) = watch.as_ref().filter(|_| parts.len() > 1) {
            // For what the others prepare, which they answer when it is durable.
            watch.rests_in(Phase::Flush);
        }
        self.spawn_for(watch, async move {
            let committed = core.coordinate(parts, snapshot, durability).await;
            match committed {
                Ok(decision) => core.log_decision(decision, token),
                Err(error) => {
                    let conflict = matches!(error, Error::Conflict { .. });
                    core.stats.borrow_mut().conflicts += u64::from(conflict);
                    core.reply(token, Reply::Failed(error));
                }
            }
        });
    }

    /// Gets everything as far as the decision to commit; after an error nothing is held anywhere.
    async fn coordinate(
        &self,
        parts: Vec<Part>,
        snapshot: Option<Arc<Pin>>,
        durability: Durability,
    ) -> Result<Decision, Error> {
        // Older is smaller: the clock is the order of age, and no two batches share a tick.
        let transaction = TransactionId(self.clock.next().0);
        let me = self.identity.shard;
        let (own, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.shard == me);
        let own = own.into_iter().next().unwrap_or_default();
        let mut pause = RETRY_AFTER;
        loop {
            // Holding nothing yet, this may wait for anybody.
            self.published
                .wait_until(|| self.is_failed() || self.take_locks(transaction, &own))
                .await;
            if let Some(error) = self.refusal(false) {
                self.release_locks(transaction);
                return Err(error);
            }
            let gathered = match self.validate(transaction, &own, snapshot.as_deref()).await {
                Ok(()) => self.gather_votes(transaction, &others, &snapshot).await,
                Err(error) => Err(Some(error)),
            };
            match gathered {
                Ok(()) => {
                    let decision = Decision {
                        transaction,
                        ops: Arc::unwrap_or_clone(own.ops),
                        readers: shards_where(&others, |part| part.ops.is_empty()),
                        writers: shards_where(&others, |part| !part.ops.is_empty()),
                        durability,
                    };
                    // The shard may have failed while the others voted: nobody would answer then.
                    let Some(error) = self.refusal(false) else {
                        return Ok(decision);
                    };
                    self.release_locks(transaction);
                    self.send_outcome(transaction, &decision.participants(), &Outcome::Aborted);
                    return Err(error);
                }
                Err(refusal) => {
                    self.release_locks(transaction);
                    if let Some(error) = refusal {
                        return Err(error);
                    }
                }
            }
            self.tasks.sleep_until(self.io.now() + pause).await;
            pause = (pause * 2).min(RETRY_AFTER_MAX);
        }
    }

    fn take_locks(&self, transaction: TransactionId, part: &Part) -> bool {
        let mut transactions = self.transactions.borrow_mut();
        transactions.locks.take(transaction, part).is_ok()
    }

    /// Asks every participant to prepare. Unless all do, lets go of those that did; the error is
    /// empty when trying again makes sense.
    async fn gather_votes(
        &self,
        transaction: TransactionId,
        others: &[Part],
        snapshot: &Option<Arc<Pin>>,
    ) -> Result<(), Option<Error>> {
        if others.is_empty() {
            return Ok(());
        }
        // It may be because a shard is gone that is to vote now.
        if let Some(error) = self.refusal(false) {
            return Err(Some(error));
        }
        let coordinator = self.identity.shard;
        self.transactions
            .borrow_mut()
            .ballots
            .insert(transaction, Ballot::of(others));
        for part in others {
            let prepare = Prepare {
                transaction,
                coordinator,
                part: part.clone(),
                snapshot: snapshot.clone(),
            };
            self.send(part.shard, Content::Prepare(prepare));
        }
        self.published
            .wait_until(|| {
                let transactions = self.transactions.borrow();
                let ballot = transactions.ballots.get(&transaction);
                ballot.is_none_or(Ballot::is_complete)
            })
            .await;
        let ballot = self.transactions.borrow_mut().ballots.remove(&transaction);
        let mut verdict = Ok(());
        let mut prepared = Vec::new();
        for (participant, vote) in ballot.unwrap_or_default().0 {
            match vote {
                Some(Verdict::Prepared) => prepared.push(participant),
                Some(Verdict::Conflict) => verdict = verdict.and(Err(None)),
                Some(Verdict::Refused(error)) => verdict = Err(Some(error)),
                None => {}
            }
        }
        if verdict.is_err() {
            self.send_outcome(transaction, &prepared, &Outcome::Aborted);
        }
        verdict
    }

    /// A letter from another shard.
    pub fn open_letter(&self, letter: Letter) {
        match letter.0 {
            Content::Prepare(prepare) => self.prepare(prepare),
            Content::Vote {
                transaction,
                from,
                verdict,
            } => {
                let mut transactions = self.transactions.borrow_mut();
                if let Some(ballot) = transactions.ballots.get_mut(&transaction) {
                    ballot.cast(from, verdict);
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

    fn prepare(&self, prepare: Prepare) {
        let (transaction, coordinator) = (prepare.transaction, prepare.coordinator);
        let adds = prepare.part.ops.iter().any(|op| op.value().is_some());
        let refusal = self.refusal(adds);
        let refusal = refusal.or_else(|| self.refusal_of_ranges(&prepare.part.ops));
        if let Some(error) = refusal {
            return self.vote(transaction, coordinator, Verdict::Refused(error));
        }
        let mut transactions = self.transactions.borrow_mut();
        match transactions.locks.take(transaction, &prepare.part) {
            Ok(()) if prepare.snapshot.is_some() => {
                transactions.unvalidated.push_back(prepare);
                self.to_validate.raise();
            }
            Ok(()) => {
                drop(transactions);
                self.promise(prepare);
            }
            Err(holder) if transaction < holder => transactions.waiting.push(prepare),
            Err(_) => {
                drop(transactions);
                self.vote(transaction, coordinator, Verdict::Conflict);
            }
        }
    }

    /// Votes for a part that is locked and valid, once that is durable.
    pub fn promise(&self, prepare: Prepare) {
        let Prepare {
            transaction,
            coordinator,
            part,
            ..
        } = prepare;
        if part.ops.is_empty() {
            return self.vote(transaction, coordinator, Verdict::Prepared);
        }
        let ops = part.ops;
        let part = Prepared {
            coordinator,
            ops: ops.clone(),
            since: self.clock.now(),
            sequence: u64::MAX,
            news: News::Awaited,
        };
        let mut transactions = self.transactions.borrow_mut();
        transactions.prepared.insert(transaction, part);
        if planted(Defect::LocksReleasedEarly) {
            transactions.unlock(transaction);
        }
        drop(transactions);
        // The coordinator may decide, and its caller hear of it, before this shard does.
        self.hide_rows(&ops);
        self.log_prepare(transaction, coordinator, ops);
    }

    /// Lets go of a part that is not valid, or cannot be logged.
    pub fn refuse_part(&self, prepare: &Prepare, error: Error) {
        self.release_locks(prepare.transaction);
        let refused = Verdict::Refused(error);
        self.vote(prepare.transaction, prepare.coordinator, refused);
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
        if self.transactions.borrow().is_reading(transaction) {
            return self.release_locks(transaction);
        }
        let version = match outcome {
            Outcome::Committed(version) => Some(version),
            Outcome::Aborted => None,
            Outcome::Lost(reason) => {
                let reason = format!(
                    "the outcome of a batch is not known since shard {coordinator} failed ({reason})"
                );
                self.transactions
                    .borrow_mut()
                    .outcome_is_unknown(transaction);
                self.fail_because(&reason);
                // It may have failed before, with readers who wait for this.
                return self.published.raise();
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
            memtable.insert(ops.iter().filter_map(Op::change), version);
            self.add_ranges(generation, &ops, version);
            let mut stats = self.stats.borrow_mut();
            stats.user_bytes += ops.iter().map(|op| op.bytes() as u64).sum::<u64>();
            stats.ops += ops.len() as u64;
            drop(stats);
            let needs_from = generation.needs_from.get().min(sequence);
            generation.needs_from.set(needs_from);
            let elsewhere = self.committed_elsewhere.get().max(version);
            self.committed_elsewhere.set(elsewhere);
        }
        self.return_to_memtable();
        self.publish(Version::default());
        self.transactions
            .borrow_mut()
            .settling
            .insert(transaction, sequence);
        self.log_outcome(transaction, coordinator, version);
        self.let_others_lock();
    }

    /// Other shards are gone for good and will not answer.
    pub fn lose_peers(&self, is_lost: impl Fn(ShardId) -> bool, reason: &str) {
        self.transactions.borrow_mut().lose(is_lost, reason);
        self.fail_because(reason);
        self.published.raise();
    }

    /// Locks were let go: everybody who waited for them tries again.
    pub fn let_others_lock(&self) {
        self.release_held_up();
        let waiting = std::mem::take(&mut self.transactions.borrow_mut().waiting);
        for prepare in waiting {
            self.prepare(prepare);
        }
        self.published.raise();
    }

    /// After a failure: prepares that wait for a key will never get it.
    pub fn refuse_waiting_prepares(&self, reason: &str) {
        let waiting = std::mem::take(&mut self.transactions.borrow_mut().waiting);
        for Prepare {
            transaction,
            coordinator,
            ..
        } in waiting
        {
            let reason = reason.to_string();
            let verdict = Verdict::Refused(Error::Failed { reason });
            self.vote(transaction, coordinator, verdict);
        }
    }

    /// The prepare record was refused: the part never was.
    pub fn forget_prepared(&self, transaction: TransactionId) {
        let part = self.transactions.borrow_mut().take_prepared(transaction);
        if part.is_some() {
            self.let_others_lock();
        }
    }

    pub fn release_locks(&self, transaction: TransactionId) {
        self.transactions.borrow_mut().unlock(transaction);
        self.let_others_lock();
    }
}

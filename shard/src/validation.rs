//! Whether what a transaction depends on is still as it was at its snapshot.
//!
//! Asked while the part holds its locks, so that the answer stays true until they are let go: what was
//! taken before the locks is waited for and seen, what comes later is held up or votes no. A version
//! above the snapshot is in a memtable, or in a table with such a version: most tables are older than
//! most transactions and need no look. It cannot be merged away, since the snapshot is pinned. That a value
//! ends is no change: it was said when it was written.

use std::ops::Bound;
use std::rc::Rc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use crate::call::{Op, Reply};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::merge::{MergeCursor, Source};
use crate::needs::Needs;
use crate::read_path::Blocks;
use crate::shard::TransactionId;
use crate::table::{BlockReader, Found, Table};
use crate::table_set::TableRun;
use crate::tasks::yield_now;
use crate::token::Token;
use crate::transaction::{Part, Span};
use crate::version::{Pin, Version};

/// Keys between two looks at what else there is to do.
const KEYS_PER_SLICE: usize = 256;

const NEWEST: Version = Version(u64::MAX);

impl<T: Token> Core<T> {
    /// A task that validates what other shards ask to be validated, each part in a task of its own.
    pub fn start_validating(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            loop {
                let mut next = None;
                core.to_validate
                    .wait_until(|| {
                        next = core.transactions.borrow_mut().next_unvalidated();
                        next.is_some()
                    })
                    .await;
                let Some(prepare) = next else { continue };
                let shard = Rc::clone(&core);
                core.tasks.spawn(async move {
                    let snapshot = prepare.snapshot.as_deref();
                    let verdict = shard.validate(prepare.transaction, &prepare.part, snapshot);
                    let verdict = verdict.await;
                    // It may have failed meanwhile: nobody would answer then.
                    match verdict.and_then(|()| shard.refusal(false).map_or(Ok(()), Err)) {
                        Ok(()) => shard.promise(prepare),
                        Err(error) => shard.refuse_part(&prepare, error),
                    }
                });
            }
        });
    }

    /// Whether a part, whose locks the transaction holds, depends on nothing that has changed since the
    /// snapshot.
    pub async fn validate(
        &self,
        transaction: TransactionId,
        part: &Part,
        snapshot: Option<&Pin>,
    ) -> Result<()> {
        let Some(snapshot) = snapshot.map(Pin::version) else {
            return Ok(());
        };
        self.await_line(transaction).await;
        if let Some(error) = self.refusal(false) {
            return Err(error);
        }
        if planted(Defect::NotValidated) {
            return Ok(());
        }
        let reads = part.reads.keys.iter().map(|key| &**key);
        let reads = reads.filter(|_| !planted(Defect::ReadsNotValidated));
        let changed = part.ops.iter().filter(|op| op.range().is_none());
        let keys = changed.map(Op::key).chain(reads);
        for (from, to) in part.ops.iter().filter_map(Op::range) {
            let span = Span {
                from: Bound::Included(from.into()),
                to: Bound::Excluded(to.into()),
            };
            if let Some(key) = self.changed_in(&span, snapshot).await? {
                return Err(Error::Conflict { key });
            }
        }
        for (index, key) in keys.enumerate() {
            if self.has_changed(key, snapshot).await? {
                return Err(Error::Conflict { key: key.into() });
            }
            if index % KEYS_PER_SLICE == KEYS_PER_SLICE - 1 {
                yield_now().await;
            }
        }
        if planted(Defect::RangesNotValidated) {
            return Ok(());
        }
        for span in &part.reads.ranges {
            if let Some(key) = self.changed_in(span, snapshot).await? {
                return Err(Error::Conflict { key });
            }
        }
        Ok(())
    }

    /// Writes that were in line before the locks were taken have no version yet.
    async fn await_line(&self, transaction: TransactionId) {
        let place = {
            let commits = self.commits.borrow();
            let transactions = self.transactions.borrow();
            let locks = &transactions.locks;
            match commits.any_in_line(|ops| locks.blocks_for(transaction, ops)) {
                true => commits.end_of_line(),
                false => return,
            }
        };
        if planted(Defect::LineNotAwaited) {
            return;
        }
        let served = || self.is_failed() || self.commits.borrow().has_served(place);
        self.published.wait_until(served).await;
    }

    async fn has_changed(&self, key: &[u8], since: Version) -> Result<bool> {
        if self.ranges.borrow().newest_over(key) > since && !planted(Defect::RangeNotValidated) {
            return Ok(true);
        }
        let in_memory = self.memtables.borrow().newest_first().any(|generation| {
            let newest = || generation.table_for(key).newest_of(key);
            generation.newest() > since && newest().is_some_and(|version| version > since)
        });
        if in_memory || planted(Defect::TablesNotValidated) {
            return Ok(in_memory);
        }
        let tables = Rc::clone(&self.tables.borrow());
        let hash = Table::key_hash(key);
        for table in tables.runs.iter().filter_map(|run| run.table_for(key)) {
            if table.summary().newest <= since || !table.may_contain(hash) {
                continue;
            }
            let mut held = Vec::new();
            loop {
                let blocks = Blocks {
                    cache: &self.cache,
                    held: &held,
                };
                match table.find(key, NEWEST, &blocks) {
                    Found::Value(_, version)
                    | Found::Until(_, _, version)
                    | Found::Elsewhere(_, _, version)
                    | Found::Tombstone(version)
                        if version > since =>
                    {
                        return Ok(true);
                    }
                    Found::Value(..)
                    | Found::Until(..)
                    | Found::Elsewhere(..)
                    | Found::Tombstone(_)
                    | Found::Absent => {
                        break;
                    }
                    Found::Needs(handle) => {
                        let block = self.load_block(table, handle).await?;
                        held.push((table.id(), block));
                    }
                }
            }
        }
        Ok(false)
    }

    /// The first key of a range that has changed: also one that was added, or removed.
    async fn changed_in(&self, span: &Span, since: Version) -> Result<Option<Box<[u8]>>> {
        if let Some(key) = self.removed_in(span, since)
            && !planted(Defect::RangeNotValidated)
        {
            return Ok(Some(key));
        }
        self.sort_memtables().await;
        let needs = Needs::above(since);
        let mut cursor = MergeCursor::needed(self.sources_above(since), &needs, false);
        cursor.seek(span.from.as_ref().map(|key| &**key)).await?;
        let mut passed = 0;
        while let Some(key) = cursor.key() {
            if span.ends_before(key) {
                break;
            }
            let changed = cursor.visit(|key, version, _| (version > since).then(|| key.into()));
            if let Some(key) = changed.flatten() {
                return Ok(Some(key));
            }
            passed += 1;
            if passed % KEYS_PER_SLICE == 0 {
                yield_now().await;
            }
            if !cursor.next_at_hand() {
                cursor.next().await?;
            }
        }
        Ok(None)
    }

    /// The low end of a range delete that is newer, or of what it has in common with this range.
    fn removed_in(&self, span: &Span, since: Version) -> Option<Box<[u8]>> {
        let ranges = self.ranges.borrow();
        if ranges.is_empty() {
            return None;
        }
        let from: &[u8] = match &span.from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let newer = ranges
            .above(from)
            .take_while(|fragment| !span.ends_before(&fragment.from));
        let mut newer = newer.filter(|fragment| fragment.newest_up_to(NEWEST) > since);
        newer.next().map(|fragment| from.max(&fragment.from).into())
    }

    /// Whatever has a version above this one, newest first.
    fn sources_above(&self, version: Version) -> Vec<Source> {
        let memtables = self.memtables.borrow();
        let generations = memtables.newest_first();
        let generations = generations.filter(|generation| generation.newest() > version);
        let generations =
            generations.map(|generation| Source::memtable(Rc::clone(&generation.table)));
        let run = |run: &Rc<TableRun>| {
            let reader = || BlockReader::cached(self.io.clone(), Rc::clone(&self.cache), 0);
            // What is older than the newest version of a key changes no verdict.
            Source::run(&run.newer_than(version), NEWEST, reader)
        };
        let tables = self.tables.borrow();
        let runs = tables.runs.iter().flat_map(run).flatten();
        let runs = runs.filter(|_| !planted(Defect::TablesNotValidated));
        generations.chain(runs).collect()
    }

    /// Answers after a while: where a transaction that lost waits before it runs again.
    pub fn accept_pause(self: &Rc<Self>, token: T, nanos: Nanos) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            core.tasks.sleep_until(core.io.now() + nanos).await;
            core.reply(token, Reply::Done);
        });
    }
}

//! Merging runs, so that a read never looks through many of them and old versions go.
//!
//! `pick` chooses neighbouring runs, `piece` merges the next stretch of their keys; then `pick` is asked
//! again. Only neighbours are ever merged: the order of runs is the order of versions.

mod looks;
pub(crate) mod pace;
mod pick;
mod piece;
mod ration;
mod room;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use crate::blob::Census;
use crate::call::Reply;
use crate::core::Core;
use crate::error::Result;
use crate::full_disk::{Starved, Survived};
use crate::keyspace::{Dead, Living};
use crate::manifest::Manifest;
use crate::needs::Needs;
use crate::ranges::{ASK_TO_MERGE_FROM, Ranges, hides_some, is_wholly_under};
use crate::stats::{ROOM_UNLIMITED, ShardStats};
use crate::table::{Table, TableId};
use crate::table_set::{TableRun, TableSet};
use crate::tasks::{Signal, yield_now};
use crate::token::Token;
use looks::Looks;
use pace::{MERGE_REST, Pace};
use pick::RunFacts;
use ration::PAY_EVERY;
use room::Room;

pub(crate) use piece::Piece;

/// A merge for scans that nobody pays for rests as often after each slice: it still carries off ten megabytes a second.
const RESTS_FOR_SCANS: usize = 4;

/// How often it is asked whether a merged table is still read.
const LOOK_AGAIN: Nanos = 10_000_000;

/// What was asked of compaction from outside.
#[derive(Default)]
pub(crate) struct Compaction {
    /// Everything shall become one run.
    requested: Cell<Request>,
    /// Merged tables whose files are still there, because somebody reads them.
    obsolete: RefCell<Vec<Rc<Table>>>,
    pub pace: Pace,
    looks: Looks,
    /// Raised when writers have to wait for what merges earn,
    used_up: Signal,
    /// as they did when they last looked.
    writers_wait: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Request {
    #[default]
    None,
    /// Waits for the merges that have begun.
    Asked,
    /// Its merge has begun.
    Running,
}

impl Compaction {
    /// A merge on request that found no room is chosen anew.
    fn ask_again(&self) {
        if self.requested.get() == Request::Running {
            self.requested.set(Request::Asked);
        }
    }
}

impl TableRun {
    fn facts(
        &self,
        needs: &Needs,
        living: &Living,
        ranges: &Ranges,
        census: &Census,
        table_bytes: u64,
    ) -> RunFacts<'_> {
        let is_small = |table: &Rc<Table>| table.summary().weight() < table_bytes / 2;
        let mut facts = RunFacts {
            bytes: self.weight,
            file_bytes: self.bytes,
            from: &self.from,
            in_splinters: self.tables.windows(2).any(|pair| pair.iter().all(is_small)),
            ..RunFacts::default()
        };
        let (mut rewritten, mut sparse) = (0, BTreeSet::new());
        for table in &self.tables {
            facts.replaces += table.replaces();
            let table = table.summary();
            let blobs = || table.blobs.iter().map(|share| share.file);
            facts.has_dead_blobs |= blobs().any(|file| census.has_dead(file));
            let emptied = blobs().filter_map(|file| Some((file, census.sparse(file)?)));
            let emptied: Vec<_> = emptied.collect();
            rewritten += table.file_bytes * u64::from(!emptied.is_empty());
            sparse.extend(emptied);
            let need = needs.over(&table.first_key, &table.last_key);
            facts.entries += table.entries;
            facts.tombstones += table.tombstones;
            let dead = living.dead_in(&table.first_key, &table.last_key);
            facts.droppable += match dead {
                Dead::Wholly => table.entries,
                Dead::InPart => table.entries / 2,
                Dead::Perhaps | Dead::No => 0,
            };
            facts.may_be_dead |= dead != Dead::No;
            if !ranges.is_empty() {
                let whole = is_wholly_under(ranges, table, needs);
                facts.droppable += if whole { table.entries } else { 0 };
                facts.may_be_dead |= hides_some(ranges, table, needs);
            }
            if table.newest <= need.watermark {
                facts.droppable += table.entries - table.keys + table.tombstones;
                if table.last_end <= need.ended_by {
                    facts.droppable += table.ending;
                }
            }
            // Nobody knows of whose keys there are older versions.
            let most = needs.most_over(&table.first_key, &table.last_key);
            let is_bare = table.entries == table.keys && table.tombstones + table.ending == 0;
            facts.may_be_dead |= most != need && !is_bare && table.oldest <= most.watermark;
        }
        let given_back: u64 = sparse.iter().map(|(_, dead)| dead).sum();
        facts.is_to_collect =
            !sparse.is_empty() && given_back >= rewritten && !planted(Defect::BlobNeverCollected);
        facts
    }
}

impl<T: Token> Core<T> {
    /// What there is to know about each run.
    fn facts<'a>(&self, tables: &'a TableSet) -> Vec<RunFacts<'a>> {
        let (needs, living) = (self.pins.needs(), self.pins.living());
        let ranges = &self.table_ranges.borrow().ranges;
        let table_bytes = self.options.table_bytes;
        let runs = tables.runs.iter();
        let census = tables.census();
        runs.map(|run| run.facts(&needs, &living, ranges, census, table_bytes))
            .collect()
    }

    /// The runs to merge next. Counts a request as begun or done on the way.
    fn runs_to_merge(&self) -> Option<Range<usize>> {
        self.now();
        let tables = self.tables.borrow();
        let facts = self.facts(&tables);
        let begun = pick::begun(&facts);
        let request = &self.compaction.requested;
        // The output of a merge of everything is the last run, so its inputs end right before that.
        let at_the_bottom = begun
            .last()
            .is_some_and(|merge| merge.end + 1 >= facts.len());
        if request.get() == Request::Running && !at_the_bottom {
            request.set(Request::None);
            self.published.raise();
        }
        let whole = request.get() == Request::Asked && begun.is_empty();
        let picked = pick::pick(&facts, self.options.runs_max, whole);
        if begun.is_empty() {
            self.compaction.looks.serve(false);
        }
        self.set_room(&facts);
        if whole {
            match &picked {
                Some(range) if range.end == facts.len() && range.start == 0 => {
                    request.set(Request::Running);
                }
                Some(_) => {}
                None => {
                    request.set(Request::None);
                    self.published.raise();
                }
            }
        }
        picked.or_else(|| self.runs_paid_for(&facts))
    }

    /// What there is between writers and merges now. A merge for scans is nothing that writers should wait for, or that lets
    /// them in; but it shall not be long in the way of what they need.
    fn set_room(&self, facts: &[RunFacts<'_>]) {
        let (compaction, options) = (&self.compaction, &self.options);
        let memtable_bytes = options.memtable_bytes;
        let room = |facts: &[_]| Room::of(facts, options.runs_max, memtable_bytes as u64);
        let room = match compaction.looks.is_served() {
            false => room(facts),
            true => {
                let unbegun = |run: &RunFacts<'_>| RunFacts { from: &[], ..*run };
                let facts: Vec<_> = facts.iter().map(unbegun).collect();
                let room = room(&facts);
                compaction.looks.hurry(room.debt > 0);
                room
            }
        };
        compaction
            .pace
            .set_room(room, memtable_bytes, self.io.now());
    }

    /// A flush has put another run in front. What is merged next is chosen when a piece is done, and a piece for scans may take
    /// its time.
    pub fn look_at_room(&self) {
        if self.compaction.looks.is_patient() {
            let tables = self.tables.borrow();
            self.set_room(&self.facts(&tables));
        }
    }

    /// What scans have paid for, where there is room enough on the disk: nobody needs it, so it must not be what fills that.
    fn runs_paid_for(&self, facts: &[RunFacts<'_>]) -> Option<Range<usize>> {
        let looks = &self.compaction.looks;
        let range = looks.paid_for(facts)?;
        looks.begin_anew();
        let bytes: u64 = facts[range.clone()].iter().map(|run| run.file_bytes).sum();
        // All shards are asked for as many scans, and begin together.
        let free_bytes = self.directory.free_bytes().unwrap_or(0) / u64::from(self.identity.shards);
        let begins = !self.closing.get() && free_bytes >= bytes;
        looks.serve(begins);
        self.stats.borrow_mut().compactions_for_scans += u64::from(begins);
        begins.then_some(range)
    }

    /// A page of a scan was read, of so many entries.
    pub fn pay_for_looks(&self, entries: usize) {
        let others = self.tables.borrow().runs.len().saturating_sub(1);
        if others == 0 {
            return;
        }
        if self.compaction.looks.pay(entries, others as u64) {
            self.work.raise();
        }
    }

    pub async fn keep_merging(self: Rc<Self>) {
        loop {
            let mut picked = None;
            self.work
                .wait_until(|| {
                    picked = self.runs_to_merge();
                    if picked.is_none() {
                        self.mark_starved(Starved::Compaction, false);
                    }
                    picked.is_some()
                })
                .await;
            let Some(range) = picked else { continue };
            let inputs = self.tables.borrow().runs[range].to_vec();
            if self.is_failed() {
                return;
            }
            let piece = self.merge_piece(&inputs).await;
            let piece = match self.survive(Starved::Compaction, piece).await {
                Survived::Done(piece) => piece,
                // After what was deleted since, another merge may be the one there is room for.
                Survived::Full => {
                    self.compaction.ask_again();
                    continue;
                }
                Survived::Failed => return,
            };
            if planted(Defect::InputsRemovedEarly) && !piece.moved && piece.next.is_none() {
                for table in inputs.iter().flat_map(|run| &run.tables) {
                    let _ = self.directory.remove(table.name());
                }
            }
            // What moves on as it is was owed as well.
            let moved = match piece.moved {
                true => piece
                    .tables
                    .iter()
                    .map(|table| table.summary().weight())
                    .sum(),
                false => 0,
            };
            match self.install_piece(&inputs, piece).await {
                Ok(tables) => {
                    self.compaction.obsolete.borrow_mut().extend(tables);
                    self.compaction.pace.merge(moved);
                }
                Err(error) => {
                    let errand = Starved::Manifest.errand();
                    return self.fail_because(&format!("{errand}: {error}"));
                }
            }
            drop(inputs);
            if self.remove_unread() {
                self.work.raise();
            }
            self.published.raise();
        }
    }

    /// Puts what a piece gave in the place of what it took. The tables that are not needed any more.
    async fn install_piece(&self, inputs: &[Rc<TableRun>], piece: Piece) -> Result<Vec<Rc<Table>>> {
        let next_table = self.next_table.get();
        let pins = Arc::clone(&self.pins);
        let edit = {
            // Flushes only put runs in front, here and in the manifest, and may have done so there
            // already: what is behind is the same.
            let before = Rc::clone(&self.tables.borrow());
            let after = before.with_piece(inputs, &piece);
            let records: Vec<_> = after.runs.iter().map(|run| run.record()).collect();
            move |manifest: &mut Manifest| {
                manifest.next_table = manifest.next_table.max(next_table);
                manifest.let_go(&pins.let_go_so_far());
                let flushed = manifest.runs.len() - before.runs.len();
                manifest.runs.truncate(flushed);
                manifest.runs.extend(records);
                Core::<T>::keep_ranges(manifest, Vec::new(), &pins.unseen_so_far());
            }
        };
        self.commit_manifest(edit).await?;
        let tables = inputs.iter().flat_map(|run| &run.tables);
        let is_gone = |table: &&Rc<Table>| {
            let next = piece.next.as_deref();
            let is_behind = next.is_none_or(|next| table.last_key() < next);
            is_behind && !piece.tables.iter().any(|kept| Rc::ptr_eq(kept, table))
        };
        let gone: Vec<_> = tables.filter(is_gone).cloned().collect();
        self.count_piece(inputs, &piece, &gone);
        let after = self.tables.borrow().with_piece(inputs, &piece);
        *self.tables.borrow_mut() = Rc::new(after);
        self.tables_changed(Vec::new());
        Ok(gone)
    }

    fn count_piece(&self, inputs: &[Rc<TableRun>], piece: &Piece, gone: &[Rc<Table>]) {
        let bytes = |tables: &[Rc<Table>]| -> u64 {
            tables.iter().map(|table| table.summary().file_bytes).sum()
        };
        let is_last = {
            let tables = self.tables.borrow();
            let behind = tables.runs.iter().rev();
            let behind =
                behind.take_while(|run| !inputs.iter().any(|input| Rc::ptr_eq(input, run)));
            behind.count() == usize::from(piece.appends)
        };
        let mut stats = self.stats.borrow_mut();
        stats.compaction_read_bytes += bytes(gone);
        stats.compaction_pieces += 1;
        stats.compactions += u64::from(piece.next.is_none());
        if piece.next.is_none() {
            // What was paid was for runs that are no more.
            self.compaction.looks.begin_anew();
        }
        match piece.moved {
            true => stats.tables_moved += 1,
            false => {
                stats.compaction_bytes += bytes(&piece.tables);
                stats.compaction_last_level_bytes += u64::from(is_last) * bytes(&piece.tables);
            }
        }
    }

    /// After a slice of a merge: lets others run, and writers bring as much as was carried off. A merge
    /// that is ahead of the writers rests until they have caught up or stopped.
    pub async fn end_merge_slice(&self, bytes: u64) {
        let pace = &self.compaction.pace;
        pace.merge(bytes);
        yield_now().await;
        if self.compaction.looks.is_patient() {
            return self.rest_for_scans(bytes).await;
        }
        while self.compaction.requested.get() == Request::None
            && !self.closing.get()
            && let Some(brought) = pace.merge_is_ahead()
        {
            self.tasks.sleep_until(self.io.now() + MERGE_REST).await;
            pace.end_rest(brought);
        }
    }

    /// A merge for scans goes on as fast as they go on to pay for it; and not so slowly that others have to wait for long, since
    /// none is chosen before its piece is done.
    async fn rest_for_scans(&self, bytes: u64) {
        let compaction = &self.compaction;
        compaction.looks.take(bytes);
        for _ in 0..RESTS_FOR_SCANS {
            let is_wanted = compaction.requested.get() != Request::None
                || compaction.pace.is_waited_for()
                || !compaction.looks.is_patient();
            if is_wanted || compaction.looks.is_paid() || self.closing.get() {
                return;
            }
            self.tasks.sleep_until(self.io.now() + MERGE_REST).await;
        }
    }

    /// Lets writers bring what merges have earned for them by now. False when that is used up.
    pub fn pay_writers(&self) -> bool {
        let compaction = &self.compaction;
        let memtable_bytes = self.options.memtable_bytes;
        compaction.pace.pay(memtable_bytes, || self.io.now());
        let is_used_up = compaction.pace.is_used_up();
        if is_used_up {
            compaction.writers_wait.set(true);
            compaction.used_up.raise();
        }
        !is_used_up
    }

    /// Wakes the shard for writers who wait until more is handed out, also while merges wait for the device.
    pub async fn keep_paying(self: Rc<Self>) {
        loop {
            let compaction = &self.compaction;
            let writers_wait = || compaction.writers_wait.take();
            compaction.used_up.wait_until(writers_wait).await;
            self.tasks.sleep_until(self.io.now() + PAY_EVERY).await;
        }
    }

    /// Files that a read held when their tables were merged go soon after it ends, also when nothing is
    /// merged any more.
    pub async fn keep_removing(self: Rc<Self>) {
        loop {
            let is_left = || !self.compaction.obsolete.borrow().is_empty();
            self.work.wait_until(is_left).await;
            self.tasks.sleep_until(self.io.now() + LOOK_AGAIN).await;
            self.remove_unread();
        }
    }

    /// Removes the files of merged tables that no read holds any more; true when some are left. What a stop leaves
    /// goes at the next opening, since the manifest does not name it.
    fn remove_unread(&self) -> bool {
        let mut obsolete = self.compaction.obsolete.borrow_mut();
        obsolete.retain(|table| {
            if Rc::strong_count(table) > 1 {
                return true;
            }
            self.cache.borrow_mut().forget(table.id());
            let _ = self.directory.remove(table.name());
            self.remove_unheld(table);
            false
        });
        !obsolete.is_empty()
    }

    /// Removes the blob files that no other table holds than this one, which goes.
    fn remove_unheld(&self, table: &Table) {
        for file in table.blobs() {
            // The list of files has it as well.
            if Rc::strong_count(file) <= 2 || planted(Defect::BlobRemovedEarly) {
                self.cache.borrow_mut().forget(TableId(file.id.0));
                let _ = self.directory.remove(file.name());
                self.blobs.forget(file.id);
            }
        }
    }

    /// Merges everything into one run and answers when that is done.
    pub fn accept_compact(self: &Rc<Self>, token: T) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            let reply = match core.compact().await {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed(error),
            };
            core.reply(token, reply);
        });
    }

    /// Merges everything where so many range deletes are kept that reads and manifests would feel it, unless somebody
    /// reads below them.
    pub fn ask_to_merge_ranges(&self) {
        let (needs, requested) = (self.pins.needs(), &self.compaction.requested);
        let is_due = self.table_ranges.borrow().count_up_to(&needs) >= ASK_TO_MERGE_FROM;
        if is_due && requested.get() == Request::None {
            requested.set(Request::Asked);
            self.work.raise();
        }
    }

    async fn compact(&self) -> Result<()> {
        self.flush().await?;
        self.merge_all().await?;
        // What the merge has dropped leaves holes in blob files.
        let has_holes = self.tables.borrow().census().dead() > 0;
        match has_holes {
            true => self.merge_all().await,
            false => Ok(()),
        }
    }

    async fn merge_all(&self) -> Result<()> {
        self.compaction.requested.set(Request::Asked);
        self.work.raise();
        let found = self.full_disk.found();
        let whom = [Starved::Compaction, Starved::Manifest];
        let is_done = || self.compaction.requested.get() == Request::None;
        self.published
            .wait_until(|| self.is_refused_work(found, &whom) || is_done())
            .await;
        self.refusal_of_work(found, &whom).map_or(Ok(()), Err)
    }

    /// What the levels hold and what is to be done about it.
    pub fn gather_levels(&self, stats: &mut ShardStats) {
        let tables = self.tables.borrow();
        let facts = self.facts(&tables);
        stats.last_level_bytes = tables.runs.last().map_or(0, |run| run.bytes);
        stats.tombstones = facts.iter().map(|run| run.tombstones).sum();
        stats.compaction_debt_bytes = pick::debt(&facts, self.options.runs_max);
        let room = self.compaction.pace.room();
        stats.shards_slowed = u64::from(room.pressure > 0.0);
        stats.room_bytes = room.bytes.min(ROOM_UNLIMITED);
    }
}

//! What a shard does for itself: memtables become tables; runs are merged (`compaction`), and the log gets room
//! (`log_room`).
//!
//! Seven tasks that live as long as the shard, and one until what the log said is in order. Each waits for work, does one
//! piece of it in slices, and waits again. A full disk makes a piece of work wait and try again; any other failure of it
//! stops the shard's writes, since a shard that cannot shed data must not take more.

use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use crate::call::Reply;
use crate::core::Core;
use crate::error::Result;
use crate::full_disk::Starved;
use crate::manifest::Manifest;
use crate::memtables::Generation;
use crate::merge::{MergeCursor, Source};
use crate::needs::Needs;
use crate::open::drop_dead_pieces;
use crate::run_writer::{Errand, RunWriter};
use crate::stats::{Lookups, ShardStats};
use crate::table::Table;
use crate::table_set::TableRun;
use crate::token::Token;
use crate::version::Version;

impl<T: Token> Core<T> {
    pub fn start_maintenance(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_log_room().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_log_small().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.sort_memtables().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_flushing().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_merging().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_paying().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_removing().await });
        let core = Rc::clone(self);
        self.tasks
            .spawn(async move { core.keep_removing_rows().await });
        let core = Rc::clone(self);
        self.tasks.spawn(async move { core.keep_warming().await });
    }

    async fn keep_flushing(self: Rc<Self>) {
        loop {
            self.work
                .wait_until(|| self.memtables.borrow().sealed_count() > 0)
                .await;
            let oldest = self.memtables.borrow().oldest_sealed().cloned();
            let Some(generation) = oldest else { continue };
            // Only what is acknowledged may become a table, and what the log has: what leads on from its end must not be
            // in tables already.
            let last_sequence = generation.last_sequence.get();
            self.published
                .wait_until(|| {
                    let is_written = self.log.borrow().completed() >= last_sequence
                        || planted(Defect::TailFlushedEarly);
                    let are_done = self.commits.borrow().are_done(last_sequence);
                    self.is_failed() || (are_done && is_written)
                })
                .await;
            if planted(Defect::LogFreedEarly) {
                self.log.borrow_mut().release(last_sequence);
            }
            let Some(tables) = self
                .persist(Starved::Flush, async || {
                    self.write_tables(&generation).await
                })
                .await
            else {
                return;
            };
            if let Err(error) = self.install_flushed(&generation, tables).await {
                return self.fail_because(&format!("{}: {error}", Starved::Manifest.errand()));
            }
        }
    }

    async fn install_flushed(&self, flushed: &Generation, tables: Vec<Rc<Table>>) -> Result<()> {
        let run = TableRun::new(tables);
        // Frames that unfinished batches need stay, and so do those behind them.
        let needed = self
            .transactions
            .borrow()
            .oldest_needed()
            .min(self.memtables.borrow().needs_from_after_flush());
        let last_sequence = flushed.last_sequence.get();
        let replay_after = last_sequence.min(needed.saturating_sub(1));
        let next_table = self.next_table.get();
        let (newest, record) = (flushed.newest(), run.record());
        self.add_latest();
        let (pins, moments) = (Arc::clone(&self.pins), self.pins.timeline().moments());
        let ranges = flushed.ranges.borrow().clone();
        let edit = move |manifest: &mut Manifest| {
            manifest.next_table = manifest.next_table.max(next_table);
            manifest.newest = manifest.newest.max(newest);
            manifest.let_go(&pins.let_go_so_far());
            manifest.moments = moments;
            manifest.replay_after = manifest.replay_after.max(replay_after);
            manifest.flushed = manifest.flushed.max(last_sequence);
            drop_dead_pieces(manifest);
            if !record.tables.is_empty() {
                let place = match planted(Defect::ManifestOrder) {
                    false => 0,
                    true => manifest.runs.len(),
                };
                manifest.runs.insert(place, record);
            }
            Core::<T>::keep_ranges(manifest, ranges, &pins.unseen_so_far());
        };
        self.commit_manifest(edit).await?;
        let bytes = run.bytes;
        let with_run = self.tables.borrow().with_newest(run);
        *self.tables.borrow_mut() = Rc::new(with_run);
        self.memtables.borrow_mut().drop_oldest();
        self.tables_changed(flushed.ranges.take());
        self.look_at_room();
        self.ask_to_merge_ranges();
        // Not what the manifest says by now: another edit of it may be on its way, and not durable yet.
        self.log.borrow_mut().release(replay_after);
        let mut stats = self.stats.borrow_mut();
        stats.flushes += 1;
        stats.flush_bytes += bytes;
        drop(stats);
        self.published.raise();
        self.work.raise();
        self.notice_dead_log();
        Ok(())
    }

    /// Whoever walks over memtables lets this end before: nothing is left to do but soon after the opening.
    pub async fn sort_memtables(&self) {
        loop {
            let unsorted = self.memtables.borrow().oldest_unsorted();
            match unsorted {
                Some(generation) => generation.sort().await,
                None => return,
            }
        }
    }

    async fn write_tables(&self, generation: &Generation) -> Result<Vec<Rc<Table>>> {
        generation.sort().await;
        let sources = vec![Source::memtable(Rc::clone(&generation.table))];
        self.now();
        self.compaction.pace.begin_flush(generation.bytes() as u64);
        let last = self.tables.borrow().runs.is_empty();
        let needs = self.pins.let_go();
        let merge = MergeCursor::needed(sources, &needs, last);
        let merge = merge.under(self.ranges_to_flush(generation));
        let cleared = self.cleared_to(Some(generation));
        let merge = merge.among(self.pins.living());
        self.write_run(merge, needs, cleared).await
    }

    /// Writes what a merge gives as one run; gives the space back when that fails.
    async fn write_run(
        &self,
        mut merge: MergeCursor,
        needs: Needs,
        cleared: Version,
    ) -> Result<Vec<Rc<Table>>> {
        let older = Rc::clone(&self.tables.borrow());
        let make = self.make(false);
        let mut writer = RunWriter::new(self, Errand::Flush, make, (needs, cleared), &older.runs);
        let copy = async {
            merge.seek(Bound::Unbounded).await?;
            writer.add_all(&mut merge).await?;
            writer.finish().await
        };
        let outcome = copy.await;
        self.stats.borrow_mut().expired_dropped += merge.expired();
        if outcome.is_err() {
            writer.abandon().await;
        }
        outcome
    }

    /// Writes the memtables out, the one that takes writes included, and answers when they are tables.
    pub fn accept_flush(self: &Rc<Self>, token: T) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            let reply = match core.flush().await {
                Ok(()) => {
                    core.warm_at_once();
                    Reply::Done
                }
                Err(error) => Reply::Failed(error),
            };
            core.reply(token, reply);
        });
    }

    pub async fn flush(&self) -> Result<()> {
        // One generation is on its way at a time: seal behind it. Never in the middle of a group, whose
        // frames recovery could not join again.
        let found = self.full_disk.found();
        let refusal = || {
            let whom = [Starved::Flush, Starved::Manifest, Starved::Log];
            // Only a group that is half written waits for a log file.
            let count = match self.commits.borrow().is_between_groups() {
                true => 2,
                false => 3,
            };
            self.refusal_of_work(found, &whom[..count])
        };
        self.published
            .wait_until(|| {
                self.commits.borrow_mut().hurry(self.io.now());
                let between_groups = self.commits.borrow().is_between_groups();
                refusal().is_some()
                    || (between_groups && self.memtables.borrow().sealed_count() == 0)
            })
            .await;
        if let Some(error) = refusal() {
            return Err(error);
        }
        let sealed = {
            let mut memtables = self.memtables.borrow_mut();
            if memtables.active().is_empty() {
                return Ok(());
            }
            memtables.seal(self.log.borrow().last_sequence())
        };
        self.work.raise();
        let whom = [Starved::Flush, Starved::Manifest];
        self.published
            .wait_until(|| {
                let memtables = self.memtables.borrow();
                let waiting = memtables
                    .newest_first()
                    .any(|other| Rc::ptr_eq(other, &sealed));
                self.is_refused_work(found, &whom) || !waiting
            })
            .await;
        self.refusal_of_work(found, &whom).map_or(Ok(()), Err)
    }

    /// At little cost, unlike all of the counters.
    pub fn lookups(&self) -> Lookups {
        let cache = self.cache.borrow();
        let row_hits = self.rows.borrow().rows().reads().hits;
        Lookups {
            gets: self.stats.borrow().gets + row_hits,
            row_hits,
            blocks: cache.hits() + cache.misses(),
            cache_hits: cache.hits(),
        }
    }

    pub fn gather_stats(&self) -> ShardStats {
        let mut stats = self.stats.borrow().clone();
        let log = self.log.borrow();
        stats.log_frames = log.counters.frames;
        stats.log_bytes = log.counters.bytes;
        stats.log_durable_writes = log.counters.durable_writes;
        stats.log_syncs = log.counters.syncs;
        stats.log_closing_frames = log.counters.closing_frames;
        stats.log_segments = log.slot_counts().0 as u64;
        stats.tails_lost = u64::from(self.commits.borrow().has_lost_tail());
        let tables = self.tables.borrow();
        stats.runs = tables.runs.len() as u64;
        let census = tables.census();
        stats.blob_files = census.files();
        stats.blob_bytes = census.bytes();
        stats.blob_dead_bytes = census.dead();
        for table in tables.tables() {
            stats.tables += 1;
            stats.table_bytes += table.summary().file_bytes;
            stats.table_entries += table.summary().entries;
            stats.resident_bytes += table.resident_bytes() as u64;
        }
        drop(tables);
        self.gather_levels(&mut stats);
        stats.range_deletes_kept = self.ranges.borrow().count() as u64;
        stats.memtable_bytes = self.memtables.borrow().bytes() as u64;
        let cache = self.cache.borrow();
        stats.cache_bytes = cache.bytes() as u64;
        stats.cache_hits = cache.hits();
        stats.cache_misses = cache.misses();
        let rows = self.rows.borrow();
        let reads = rows.rows().reads();
        stats.row_hits = reads.hits;
        stats.rows_lost = reads.lost;
        stats.rows_shown = rows.inserted();
        stats.rows_bytes = rows.bytes() as u64;
        stats.gets += reads.hits;
        stats.gets_found += reads.hits;
        stats.shards_full = u64::from(self.is_full());
        stats.shards_failed = u64::from(self.is_failed());
        stats
    }
}

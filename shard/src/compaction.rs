//! Merging runs, so that a read never looks through many of them.
//!
//! Runs grow by tiers: neighbours of like size are merged once there are `TIER_RUNS` of them, so each
//! record is rewritten about once a tier. When that leaves more than `runs_max`, the cheapest
//! neighbours go too. Only neighbours are ever merged: the order of runs is the order of versions.

use std::ops::Range;
use std::rc::Rc;

use crate::call::Reply;
use crate::core::{Core, Starved};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::merge::{MergeCursor, Source};
use crate::table::{BlockReader, Table};
use crate::table_set::TableRun;

const TIER_RUNS: usize = 4;

/// Which runs to merge, given their bytes, newest first.
fn pick(bytes: &[u64], runs_max: usize, all: bool) -> Option<Range<usize>> {
    if all {
        return (bytes.len() > 1).then_some(0..bytes.len());
    }
    if let Some(tier) = full_tier(bytes) {
        return Some(tier);
    }
    if bytes.len() <= runs_max.max(1) {
        return None;
    }
    // The cheapest stretch that brings the count back to the limit.
    let count = bytes.len() - runs_max.max(1) + 1;
    let starts = 0..=bytes.len() - count;
    let start = starts.min_by_key(|start| bytes[*start..start + count].iter().sum::<u64>())?;
    Some(start..start + count)
}

/// The newest stretch of runs in which none is larger than all newer ones in it together, by much.
fn full_tier(bytes: &[u64]) -> Option<Range<usize>> {
    for start in 0..bytes.len() {
        let mut sum = bytes[start];
        let mut end = start + 1;
        while end < bytes.len() && bytes[end] <= sum + sum / 4 {
            sum += bytes[end];
            end += 1;
        }
        if end - start >= TIER_RUNS {
            return Some(start..end);
        }
    }
    None
}

impl<T: 'static> Core<T> {
    fn runs_to_merge(&self) -> Option<Range<usize>> {
        let tables = self.tables.borrow();
        let bytes: Vec<u64> = tables.runs.iter().map(|run| run.bytes).collect();
        pick(&bytes, self.options.runs_max, self.compact_all.get())
    }

    pub async fn keep_merging(self: Rc<Self>) {
        let mut obsolete: Vec<Rc<Table>> = Vec::new();
        loop {
            self.work
                .wait_until(|| self.runs_to_merge().is_some() || self.compact_all.get())
                .await;
            let Some(range) = self.runs_to_merge() else {
                self.compact_all.set(false);
                self.published.raise();
                continue;
            };
            let (inputs, last) = {
                let tables = self.tables.borrow();
                let last = range.end == tables.runs.len();
                (tables.runs[range].to_vec(), last)
            };
            let Some(merged) = self
                .persist(Starved::Compaction, async || {
                    self.merge(&inputs, last).await
                })
                .await
            else {
                return;
            };
            if let Err(error) = self.install_merged(&inputs, merged).await {
                return self.fail_because(&error.to_string());
            }
            obsolete.extend(inputs.iter().flat_map(|run| run.tables.iter().cloned()));
            drop(inputs);
            self.remove_unread(&mut obsolete);
            self.work.raise();
            self.published.raise();
        }
    }

    async fn merge(&self, inputs: &[Rc<TableRun>], last: bool) -> Result<Vec<Rc<Table>>> {
        let source = |run: &Rc<TableRun>| {
            let reader = BlockReader::sequential(self.io.clone());
            Source::run(run.tables.clone(), reader)
        };
        let sources = inputs.iter().map(source).collect();
        self.write_run(MergeCursor::needed(sources, self.pins.oldest(), last))
            .await
    }

    async fn install_merged(&self, inputs: &[Rc<TableRun>], merged: Vec<Rc<Table>>) -> Result<()> {
        let run = TableRun::new(merged);
        let record = run.record();
        let next_table = self.next_table.get();
        let ids: Vec<_> = inputs.iter().map(|input| input.id()).collect();
        let edit = move |manifest: &mut Manifest| {
            manifest.next_table = manifest.next_table.max(next_table);
            let is_input = |run: &crate::manifest::Run| {
                ids.contains(&run.tables.first().map(|table| table.id))
            };
            let at = manifest.runs.iter().position(is_input).unwrap_or(0);
            manifest.runs.retain(|run| !is_input(run));
            if !record.tables.is_empty() {
                manifest.runs.insert(at, record);
            }
        };
        self.commit_manifest(edit).await?;
        let read: u64 = inputs.iter().map(|input| input.bytes).sum();
        let bytes = run.bytes;
        let with_merged = self.tables.borrow().with_merged(inputs, run);
        *self.tables.borrow_mut() = Rc::new(with_merged);
        let mut stats = self.stats.borrow_mut();
        stats.compactions += 1;
        stats.compaction_bytes += bytes;
        stats.compaction_read_bytes += read;
        Ok(())
    }

    /// Removes the files of merged tables that no read holds any more. Those still read go next time,
    /// or at the next open, since the manifest does not name them.
    fn remove_unread(&self, obsolete: &mut Vec<Rc<Table>>) {
        obsolete.retain(|table| {
            if Rc::strong_count(table) > 1 {
                return true;
            }
            self.cache.borrow_mut().forget(table.id());
            let _ = self.directory.remove(table.name());
            false
        });
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

    async fn compact(&self) -> Result<()> {
        self.flush().await?;
        self.compact_all.set(true);
        self.work.raise();
        self.published
            .wait_until(|| self.is_failed() || self.is_full() || !self.compact_all.get())
            .await;
        self.refusal_of_work().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_sized_neighbours_merge_and_large_old_runs_are_left_alone() {
        let picked = |bytes: &[u64]| pick(bytes, 8, false);
        assert_eq!(picked(&[10, 10, 10]), None);
        assert_eq!(picked(&[10, 10, 10, 10]), Some(0..4));
        assert_eq!(picked(&[10, 10, 10, 10, 400]), Some(0..4));
        assert_eq!(picked(&[10, 40, 40, 40, 40, 400]), Some(1..5));
        assert_eq!(
            picked(&[10, 20, 40, 80, 160]),
            None,
            "each larger than the newer"
        );
        assert_eq!(
            pick(&[1, 1000, 10, 10], 3, false),
            Some(2..4),
            "the cheapest"
        );
        assert_eq!(pick(&[5, 9], 8, true), Some(0..2));
        assert_eq!(pick(&[5], 8, true), None);
    }

    #[test]
    fn a_long_load_keeps_the_runs_few_and_rewrites_each_byte_a_few_times() {
        let (mut runs, mut written, flushes) = (Vec::new(), 0u64, 1000);
        for _ in 0..flushes {
            runs.insert(0, 64u64);
            while let Some(range) = pick(&runs, 8, false) {
                let sum: u64 = runs[range.clone()].iter().sum();
                written += sum;
                runs.splice(range, [sum]);
            }
            assert!(runs.len() <= 12, "{} runs", runs.len());
        }
        assert!(written <= 6 * 64 * flushes, "rewrote {written} bytes");
    }
}

//! A piece of a merge: the tables at its lower end become one table, or one moves down as it is.
//!
//! Inputs are neighbouring runs. A piece takes everything below some key out of all of them and puts what
//! is left of it behind the run that follows them, if that ends below, or makes a run there. So between
//! two pieces every key still is in the right order of runs, in the manifest as in memory: a merge can be
//! left alone there for as long as it takes, over a restart too, and needs no more space than its pieces.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use super::Request;
use crate::blob::BlobId;
use crate::core::Core;
use crate::error::Result;
use crate::keyspace::{Dead, Living};
use crate::merge::{MergeCursor, Source};
use crate::needs::Needs;
use crate::ranges::{Ranges, hides_some};
use crate::run_writer::{Errand, RunWriter, out_of_order};
use crate::table::{BlockReader, Table};
use crate::table_set::{TableRun, TableSet};
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::Version;

/// Tables that are smaller than one in so many parts of all there is are merged also where nothing falls between their
/// keys, or there would be ever more of them.
const PARTS_MOST: u64 = 128;

/// What one piece changes.
pub(crate) struct Piece {
    /// Replaces everything below `next` in the inputs.
    pub tables: Vec<Rc<Table>>,
    /// Where the merge goes on; nothing when it is done.
    pub next: Option<Box<[u8]>>,
    /// The tables go behind those of the run that follows the inputs.
    pub appends: bool,
    /// The table was not written but is an input's.
    pub moved: bool,
}

/// Where a merge stands.
pub(super) struct Standing<'a> {
    inputs: &'a [Rc<TableRun>],
    /// The runs behind them.
    older: &'a [Rc<TableRun>],
    /// Nothing older lies below what it works on.
    last: bool,
    appends: bool,
    /// What a table must have to be worth a file of its own.
    worth_bytes: u64,
    /// What is not needed can be dropped.
    needs: Needs,
    /// And what belongs to other keyspaces.
    living: Arc<Living>,
    /// And what these hide from all who read at the watermark.
    ranges: Rc<Ranges>,
    /// Of these blob files nothing is to be left.
    collect: &'a BTreeSet<BlobId>,
}

impl<'a> Standing<'a> {
    /// Of the merge of `inputs`, which are runs of `set`, newest first.
    pub fn new(
        set: &'a TableSet,
        inputs: &'a [Rc<TableRun>],
        worth_bytes: u64,
        needs: Needs,
        living: Arc<Living>,
        ranges: Rc<Ranges>,
        collect: &'a BTreeSet<BlobId>,
    ) -> Standing<'a> {
        let is_last_input = |run: &Rc<TableRun>| inputs.last().is_some_and(|i| Rc::ptr_eq(i, run));
        let end = set.runs.iter().position(is_last_input);
        let older = &set.runs[end.map_or(set.runs.len(), |at| at + 1)..];
        let first = inputs.iter().map(|run| run.first_key()).min();
        let ends_below = |run: &&Rc<TableRun>| run.from.is_empty() && Some(run.last_key()) < first;
        let appends = older.first().is_some_and(|run| ends_below(&run));
        Standing {
            inputs,
            older,
            last: older.len() == usize::from(appends) || planted(Defect::RemovalDroppedEarly),
            appends,
            worth_bytes,
            needs,
            living,
            ranges,
            collect,
        }
    }

    /// Where the first table from `run` on begins that can move down as it is, and the table.
    fn movable(&self) -> Option<&'a Rc<Table>> {
        let of_run = |run: &'a Rc<TableRun>| {
            let mut tables = run.tables.iter();
            tables.find(|table| self.is_movable(run, table))
        };
        let movable = self.inputs.iter().filter_map(of_run);
        movable.min_by_key(|table| table.first_key())
    }

    /// Nothing of the other inputs falls between its keys, nothing in it could be dropped, and it is worth
    /// a file of its own.
    fn is_movable(&self, run: &Rc<TableRun>, table: &Table) -> bool {
        let summary = table.summary();
        let is_whole = *run.from <= *table.first_key();
        let most = self.needs.most_over(table.first_key(), table.last_key());
        let ended = summary.ending > 0 && summary.last_end <= most.ended_by;
        let droppable =
            summary.entries - summary.keys + if self.last { summary.tombstones } else { 0 };
        let others = self.inputs.iter().filter(|other| !Rc::ptr_eq(other, run));
        is_whole
            && droppable == 0
            && !ended
            && !hides_some(&self.ranges, summary, &self.needs)
            && self.living.dead_in(table.first_key(), table.last_key()) == Dead::No
            && summary.weight() >= self.worth_bytes
            && !summary
                .blobs
                .iter()
                .any(|share| self.collect.contains(&share.file))
            && others.into_iter().all(|other| !other.overlaps(table))
    }
}

impl<T: Token> Core<T> {
    /// Does the next piece of the merge of `inputs`.
    pub(super) async fn merge_piece(&self, inputs: &[Rc<TableRun>]) -> Result<Piece> {
        let tables = Rc::clone(&self.tables.borrow());
        self.now();
        let ranges = Rc::clone(&self.table_ranges.borrow().ranges);
        let (needs, living) = (self.pins.needs(), self.pins.living());
        let bytes: u64 = tables.runs.iter().map(|run| run.weight).sum();
        // Whoever asks for a merge wants few files, and compressed as the last level is.
        let on_request = self.compaction.requested.get() == Request::Running;
        let worth_bytes = match on_request {
            true => self.options.table_bytes / 2,
            false => (self.options.table_bytes / 2).min(bytes / PARTS_MOST),
        };
        let collect = match planted(Defect::BlobNeverCollected) {
            false => tables.census().to_collect(on_request),
            true => BTreeSet::new(),
        };
        let standing = Standing::new(
            &tables,
            inputs,
            worth_bytes,
            needs,
            living,
            Rc::clone(&ranges),
            &collect,
        );
        let first = inputs.iter().map(|run| run.first_key()).min();
        let movable = standing.movable();
        if let Some(table) = movable
            && Some(table.first_key()) == first
        {
            let behind = |run: &Rc<TableRun>| run.first_key_behind(table.last_key());
            return Ok(Piece {
                next: inputs.iter().filter_map(behind).min(),
                tables: vec![Rc::clone(table)],
                appends: standing.appends,
                moved: true,
            });
        }
        let source = |run: &Rc<TableRun>| {
            let reader = || BlockReader::sequential(self.io.clone());
            Source::run(run, Version(0), reader)
        };
        let sources = inputs.iter().flat_map(source).flatten().collect();
        let needs = self.pins.let_go();
        let mut merge = match planted(Defect::OldVersionKept) {
            false => MergeCursor::needed(sources, &needs, standing.last)
                .under(ranges)
                .among(self.pins.living()),
            true => {
                let version = Version(needs.common.watermark.0.saturating_sub(1));
                MergeCursor::visible(sources, Moment { millis: 0, version })
            }
        };
        let mut writer = RunWriter::new(
            self,
            Errand::Merge,
            self.make(standing.last),
            (needs, self.cleared_to(None)),
            standing.older,
        );
        writer.collect(collect.clone());
        let copy = async {
            merge.seek(Bound::Unbounded).await?;
            let until = movable.map(|table| table.first_key());
            writer.add_table(&mut merge, until).await?;
            // Or this merge would never end.
            if merge
                .key()
                .is_some_and(|next| first.is_none_or(|first| next <= first))
            {
                return Err(out_of_order());
            }
            writer.finish().await
        };
        let copied = copy.await;
        self.stats.borrow_mut().expired_dropped += merge.expired();
        match copied {
            Ok(tables) => Ok(Piece {
                tables,
                next: merge.key().map(Box::from),
                appends: standing.appends,
                moved: false,
            }),
            Err(error) => {
                writer.abandon().await;
                Err(error)
            }
        }
    }
}

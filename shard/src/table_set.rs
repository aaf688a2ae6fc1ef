//! The sorted runs of a shard, newest first: what a read looks through after the memtables.
//!
//! A set never changes. Flushes and merges put a new one in its place, so that whoever reads holds
//! on to one consistent set, and the tables in it, for as long as it takes.

use std::cell::OnceCell;
use std::rc::Rc;

use ringkeep_io::{Directory, Io, OpenMode};

use crate::blob::{Blobs, Census};
use crate::compaction::Piece;
use crate::error::{Error, Result};
use crate::join::join_all;
use crate::manifest::Run;
use crate::shard::Identity;
use crate::superblock::missing_or;
use crate::table::{Table, TableId, TableSummary};
use crate::version::Version;

/// Each waits for two reads of the device, one behind the other.
const OPENED_AT_ONCE: usize = 16;

/// Tables that do not overlap, in key order.
pub(crate) struct TableRun {
    pub tables: Vec<Rc<Table>>,
    /// Of these, those that have a past.
    aged: Vec<Rc<Table>>,
    /// Entries below this key do not count: a merge that goes on at this key has them in its output.
    /// Empty when all count.
    pub from: Box<[u8]>,
    /// Of its files.
    pub bytes: u64,
    /// The same, and what it refers to in blob files.
    pub weight: u64,
    /// Versions of keys, and removals.
    pub entries: u64,
}

pub(crate) struct TableSet {
    /// Newest first.
    pub runs: Vec<Rc<TableRun>>,
    census: OnceCell<Census>,
}

pub(crate) fn table_name(id: TableId) -> String {
    format!("table-{:08}", id.0)
}

/// The number in a table's file name.
pub(crate) fn table_number(name: &str) -> Option<u64> {
    name.strip_prefix("table-")?.parse().ok()
}

impl TableRun {
    pub fn new(tables: Vec<Rc<Table>>) -> Rc<TableRun> {
        TableRun::starting(tables, Box::default())
    }

    fn starting(tables: Vec<Rc<Table>>, from: Box<[u8]>) -> Rc<TableRun> {
        let aged = tables.iter().filter(|table| table.has_past());
        let aged = aged.cloned().collect();
        let bytes = tables.iter().map(|table| table.summary().file_bytes).sum();
        let weight = tables.iter().map(|table| table.summary().weight()).sum();
        let entries = tables.iter().map(|table| table.summary().entries).sum();
        Rc::new(TableRun {
            tables,
            aged,
            from,
            bytes,
            weight,
            entries,
        })
    }

    /// What is left of it at and above `from`; nothing when no table is.
    pub fn rest(&self, from: &[u8]) -> Option<Rc<TableRun>> {
        let gone = self.tables.partition_point(|table| table.last_key() < from);
        let tables = self.tables[gone..].to_vec();
        (!tables.is_empty()).then(|| TableRun::starting(tables, from.into()))
    }

    /// Those of its tables that have a past, and something newer than this in front of it; nothing when none has.
    pub fn past_behind(&self, version: Version) -> Option<Rc<TableRun>> {
        let aged = self.aged.iter();
        let aged = aged.filter(|table| table.summary().newest > version);
        let aged: Vec<_> = aged.cloned().collect();
        (!aged.is_empty()).then(|| TableRun::starting(aged, self.from.clone()))
    }

    /// Those of its tables that have something newer than this.
    pub fn newer_than(&self, version: Version) -> Rc<TableRun> {
        let tables = self.tables.iter();
        let newer = tables.filter(|table| table.summary().newest > version);
        TableRun::starting(newer.cloned().collect(), self.from.clone())
    }

    /// With tables behind its own.
    pub fn with_behind(&self, tables: &[Rc<Table>]) -> Rc<TableRun> {
        let all = [&self.tables, tables].concat();
        TableRun::starting(all, self.from.clone())
    }

    /// No entry that counts is below this key.
    pub fn first_key(&self) -> &[u8] {
        let first = self
            .tables
            .first()
            .map_or(&[][..], |table| table.first_key());
        first.max(&self.from)
    }

    /// The last key, with nothing behind it.
    pub fn last_key(&self) -> &[u8] {
        self.tables.last().map_or(&[], |table| table.last_key())
    }

    /// The first key that may count behind `last`; nothing when there is none.
    pub fn first_key_behind(&self, last: &[u8]) -> Option<Box<[u8]>> {
        let behind = self
            .tables
            .partition_point(|table| table.last_key() <= last);
        let first = self.tables.get(behind)?.first_key();
        Some(first.max(&self.from).into())
    }

    /// Some key that counts may lie between the first and the last of `table`.
    pub fn overlaps(&self, table: &Table) -> bool {
        let behind = |own: &Rc<Table>| own.last_key() < table.first_key();
        let first = self.tables.get(self.tables.partition_point(behind));
        first.is_some_and(|own| {
            own.first_key() <= table.last_key() && *self.from <= *table.last_key()
        })
    }

    /// The only table that may have the key.
    #[inline]
    pub fn table_for(&self, key: &[u8]) -> Option<&Rc<Table>> {
        let index = self.tables.partition_point(|table| table.last_key() < key);
        let table = self.tables.get(index)?;
        (table.first_key() <= key && *self.from <= *key).then_some(table)
    }

    /// What the manifest records.
    pub fn record(&self) -> Run {
        let summaries = self.tables.iter().map(|table| table.summary().clone());
        Run {
            from: self.from.clone(),
            tables: summaries.collect(),
        }
    }
}

impl TableSet {
    /// Opens every table that the manifest names: each must be there and whole.
    pub async fn open(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        runs: &[Run],
        blobs: &Blobs,
    ) -> Result<TableSet> {
        let open = async |summary: &TableSummary| {
            let name = table_name(summary.id);
            let file = directory
                .open(&name, OpenMode::Read)
                .map_err(|e| missing_or(e, &name))?;
            let size = file.size().map_err(|e| Error::io(e, name.as_str()))?;
            if size < summary.file_bytes {
                return Err(Error::Missing { file: name });
            }
            let (store, shard) = (identity.store, identity.shard);
            let table = Table::open(io, file, name, summary, store, shard).await?;
            for share in &summary.blobs {
                blobs.find(share.file, share.file_bytes)?;
            }
            table.hold(blobs.of(summary)?);
            Ok(Rc::new(table))
        };
        let summaries: Vec<_> = runs.iter().flat_map(|run| &run.tables).collect();
        let mut opened = Vec::with_capacity(summaries.len());
        for some in summaries.chunks(OPENED_AT_ONCE) {
            opened.extend(join_all(some.iter().map(|summary| open(summary))).await?);
        }
        let mut tables = opened.into_iter();
        let run = |run: &Run| {
            let tables = tables.by_ref().take(run.tables.len()).collect();
            TableRun::starting(tables, run.from.clone())
        };
        Ok(TableSet::of(runs.iter().map(run).collect()))
    }

    fn of(runs: Vec<Rc<TableRun>>) -> TableSet {
        TableSet {
            runs,
            census: OnceCell::new(),
        }
    }

    /// How much of each blob file is alive.
    pub fn census(&self) -> &Census {
        let shares = || self.tables().flat_map(|table| &table.summary().blobs);
        self.census.get_or_init(|| Census::of(shares()))
    }

    /// With a newer run in front.
    pub fn with_newest(&self, run: Rc<TableRun>) -> TableSet {
        let runs = std::iter::once(run).chain(self.runs.iter().cloned());
        TableSet::of(runs.filter(|run| !run.tables.is_empty()).collect())
    }

    /// With what a piece of a merge leaves of its inputs, and its output behind them.
    pub fn with_piece(&self, inputs: &[Rc<TableRun>], piece: &Piece) -> TableSet {
        let is_first = |run: &Rc<TableRun>| inputs.first().is_some_and(|i| Rc::ptr_eq(i, run));
        let start = self.runs.iter().position(is_first).unwrap_or(0);
        let (newer, rest) = self.runs.split_at(start);
        let (_, mut older) = rest.split_at(inputs.len());
        let left = inputs
            .iter()
            .filter_map(|run| run.rest(piece.next.as_deref()?));
        let mut runs: Vec<_> = newer.iter().cloned().chain(left).collect();
        match older.split_first() {
            Some((output, others)) if piece.appends => {
                runs.push(output.with_behind(&piece.tables));
                older = others;
            }
            _ if piece.tables.is_empty() => {}
            _ => runs.push(TableRun::new(piece.tables.clone())),
        }
        runs.extend_from_slice(older);
        TableSet::of(runs)
    }

    pub fn tables(&self) -> impl Iterator<Item = &Rc<Table>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
}

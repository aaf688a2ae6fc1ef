//! The sorted runs of a shard, newest first: what a read looks through after the memtables.
//!
//! A set never changes. Flushes and merges put a new one in its place, so that whoever reads holds
//! on to one consistent set, and the tables in it, for as long as it takes.

use std::rc::Rc;

use ringkeep_io::{Directory, Io, OpenMode};

use crate::error::{Error, Result};
use crate::manifest::Run;
use crate::shard::Identity;
use crate::superblock::missing_or;
use crate::table::{Table, TableId};

/// Tables that do not overlap, in key order.
pub(crate) struct TableRun {
    pub tables: Vec<Rc<Table>>,
    pub bytes: u64,
}

pub(crate) struct TableSet {
    /// Newest first.
    pub runs: Vec<Rc<TableRun>>,
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
        let bytes = tables.iter().map(|table| table.summary().file_bytes).sum();
        Rc::new(TableRun { tables, bytes })
    }

    /// The only table that may have the key.
    pub fn table_for(&self, key: &[u8]) -> Option<&Rc<Table>> {
        let index = self.tables.partition_point(|table| table.last_key() < key);
        let table = self.tables.get(index)?;
        (table.first_key() <= key).then_some(table)
    }

    /// What the manifest records.
    pub fn record(&self) -> Run {
        Run {
            tables: self
                .tables
                .iter()
                .map(|table| table.summary().clone())
                .collect(),
        }
    }

    /// Names the run: no two have the same first table.
    pub fn id(&self) -> Option<TableId> {
        self.tables.first().map(|table| table.id())
    }
}

impl TableSet {
    /// Opens every table that the manifest names: each must be there and whole.
    pub async fn open(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        runs: &[Run],
    ) -> Result<TableSet> {
        let mut opened = Vec::new();
        for run in runs {
            let mut tables = Vec::new();
            for summary in &run.tables {
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
                tables.push(Rc::new(table));
            }
            opened.push(TableRun::new(tables));
        }
        Ok(TableSet { runs: opened })
    }

    /// With a newer run in front.
    pub fn with_newest(&self, run: Rc<TableRun>) -> TableSet {
        let runs = std::iter::once(run).chain(self.runs.iter().cloned());
        TableSet {
            runs: runs.filter(|run| !run.tables.is_empty()).collect(),
        }
    }

    /// With neighbouring runs replaced by the one that they were merged into.
    pub fn with_merged(&self, inputs: &[Rc<TableRun>], merged: Rc<TableRun>) -> TableSet {
        let is_input = |run: &Rc<TableRun>| inputs.iter().any(|input| Rc::ptr_eq(input, run));
        let at = self.runs.iter().position(is_input).unwrap_or(0);
        let mut runs: Vec<_> = self
            .runs
            .iter()
            .filter(|run| !is_input(run))
            .cloned()
            .collect();
        if !merged.tables.is_empty() {
            runs.insert(at, merged);
        }
        TableSet { runs }
    }

    pub fn tables(&self) -> impl Iterator<Item = &Rc<Table>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
}

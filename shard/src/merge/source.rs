//! The two kinds of sorted entries that are merged, behind one face.

use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};

use crate::content::{Content, NEVER};
use crate::memtable::{Address, Memtable, MemtableCursor};
use crate::ranges::Fragment;
use crate::table::{Block, BlockReader, Kept, RunCursor, Section, ValueRef};
use crate::table_set::TableRun;
use crate::{Result, Version};

/// Where a merge gets entries from.
pub(crate) enum Source {
    Memtable(MemtableSource),
    Run(RunCursor),
}

/// The value of an entry, kept while its source moves on.
pub(super) enum Held {
    /// In the memtable of the source with this index.
    Memtable(usize, Address),
    Block(ValueRef),
    /// The same of a value that ends.
    BlockUntil(u64, ValueRef),
    /// The reference to a value in a blob file, and when that ends.
    Elsewhere(u64, ValueRef),
    Deleted,
}

/// The entries of a memtable. Borrows it only within a call.
pub(crate) struct MemtableSource {
    table: Rc<RefCell<Memtable>>,
    cursor: MemtableCursor,
    /// Each key at the newest version up to this one only; otherwise all versions, forward.
    at: Option<Version>,
    entry: Option<MemtableEntry>,
    key: Vec<u8>,
}

#[derive(Clone, Copy)]
struct MemtableEntry {
    version: Version,
    ends: u64,
    address: Address,
}

impl Source {
    /// The keys that are in the memtable now.
    pub fn memtable(table: Rc<RefCell<Memtable>>) -> Source {
        let cursor = table.borrow_mut().cursor();
        Source::Memtable(MemtableSource {
            table,
            cursor,
            at: None,
            entry: None,
            key: Vec::new(),
        })
    }

    /// All that is needed of a run by who asks for nothing below the version `at`. The past of a table is not, if all of its
    /// present is old enough.
    pub fn run(
        run: &Rc<TableRun>,
        at: Version,
        reader: impl Fn() -> BlockReader,
    ) -> [Option<Source>; 2] {
        let source = |run, section| Source::Run(RunCursor::new(run, section, reader()));
        let past = match planted(Defect::PastLeftOut) {
            false => run.past_behind(at),
            true => None,
        };
        [
            (!run.tables.is_empty()).then(|| source(Rc::clone(run), Section::Present)),
            past.map(|past| source(past, Section::Past)),
        ]
    }

    /// Only what is visible at `at` will be asked for.
    pub(super) fn only_visible(&mut self, at: Version) {
        if let Source::Memtable(source) = self {
            source.at = Some(at);
        }
    }

    /// To the first entry within the lower bound `from` if nothing has to be waited for. If not, `seek` has to be awaited.
    pub(super) fn seek_at_hand(&mut self, from: Bound<&[u8]>) -> bool {
        match self {
            Source::Memtable(source) => {
                source.seek(from);
                true
            }
            Source::Run(run) => run.seek_at_hand(from),
        }
    }

    pub(super) async fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        match self {
            Source::Memtable(source) => source.seek(from),
            Source::Run(run) => run.seek(from).await?,
        }
        Ok(())
    }

    pub(super) async fn seek_back(&mut self, to: Bound<&[u8]>) -> Result<()> {
        match self {
            Source::Memtable(source) => source.seek_back(to),
            Source::Run(run) => run.seek_back(to).await?,
        }
        Ok(())
    }

    /// One entry on if nothing has to be waited for. If not, nothing has moved and `advance` has to be awaited.
    #[inline]
    pub(super) fn advance_at_hand(&mut self, backward: bool) -> bool {
        match self {
            Source::Memtable(source) => {
                match backward {
                    true => source.prev(),
                    false => source.next(),
                }
                true
            }
            Source::Run(run) if backward => run.prev_in_block(),
            Source::Run(run) => run.next_at_hand(),
        }
    }

    /// One entry on, waiting for a block if need be.
    pub(super) async fn advance(&mut self, backward: bool) -> Result<()> {
        if self.advance_at_hand(backward) {
            return Ok(());
        }
        match self {
            Source::Memtable(_) => Ok(()),
            Source::Run(run) if backward => run.prev().await,
            Source::Run(run) => run.next().await,
        }
    }

    /// The block that the source is in, and on which of its entries; nothing in a memtable.
    #[inline]
    pub(super) fn in_block(&self) -> Option<(&Block, usize)> {
        match self {
            Source::Memtable(_) => None,
            Source::Run(run) => run.in_block(),
        }
    }

    /// To another entry of that block.
    #[inline]
    pub(super) fn move_in_block(&mut self, at: usize) {
        if let Source::Run(run) = self {
            run.move_in_block(at);
        }
    }

    /// To where a fragment ends, as far as the table that the source is on has nothing from `floor` on; false where it
    /// stays.
    pub(super) async fn leap(
        &mut self,
        fragment: &Fragment,
        floor: Version,
        backward: bool,
    ) -> Result<bool> {
        let Source::Run(run) = self else {
            return Ok(false);
        };
        let Some(table) = run
            .table()
            .filter(|table| table.summary().newest < floor)
            .cloned()
        else {
            return Ok(false);
        };
        match backward {
            false if *fragment.to > *table.last_key() => {
                run.seek(Bound::Excluded(table.last_key())).await?
            }
            false => run.seek(Bound::Included(&fragment.to)).await?,
            true => {
                let end = table.first_key().max(&fragment.from);
                run.seek_back(Bound::Excluded(end)).await?;
            }
        }
        Ok(true)
    }

    /// The key and version that the source is on.
    #[inline]
    pub(super) fn position(&self) -> Option<(&[u8], Version)> {
        match self {
            Source::Memtable(source) => Some((&source.key, source.entry?.version)),
            Source::Run(run) => run.position(),
        }
    }

    /// The value that the source with this `index` is on, unless it is deleted, and when that ends to be seen.
    #[inline]
    pub(super) fn hold(&self, index: usize) -> (Held, u64) {
        match self {
            Source::Memtable(source) => match source.entry {
                Some(entry) if entry.ends > 0 => (Held::Memtable(index, entry.address), entry.ends),
                _ => (Held::Deleted, 0),
            },
            Source::Run(run) => match run.value_ref() {
                Some((value, kept)) if kept.elsewhere => {
                    (Held::Elsewhere(kept.ends, value), kept.ends)
                }
                Some((value, Kept { ends: NEVER, .. })) => (Held::Block(value), NEVER),
                Some((value, Kept { ends, .. })) => (Held::BlockUntil(ends, value), ends),
                None => (Held::Deleted, 0),
            },
        }
    }

    /// Lets `visit` see what was held from this source.
    pub(super) fn visit<R>(&self, address: Address, visit: impl FnOnce(Content<'_>) -> R) -> R {
        match self {
            Source::Memtable(source) => visit(source.table.borrow().entry(address).1),
            Source::Run(_) => visit(Content::Removed),
        }
    }
}

impl MemtableSource {
    fn seek(&mut self, from: Bound<&[u8]>) {
        self.cursor.seek(&self.table.borrow(), from);
        self.enter_key(false);
    }

    fn seek_back(&mut self, to: Bound<&[u8]>) {
        self.cursor.seek_back(&self.table.borrow(), to);
        self.enter_key(true);
    }

    fn next(&mut self) {
        let table = self.table.borrow();
        if let (None, Some(entry)) = (self.at, self.entry)
            && let Some(older) = table.older(entry.address)
        {
            self.entry = Some(MemtableEntry::at(&table, older));
            return;
        }
        self.cursor.next(&table);
        drop(table);
        self.enter_key(false);
    }

    fn prev(&mut self) {
        debug_assert!(self.at.is_some(), "all versions are walked forward only");
        self.cursor.prev(&self.table.borrow());
        self.enter_key(true);
    }

    /// To the version that is wanted of the key under the cursor, or of the first key further on
    /// that has one.
    fn enter_key(&mut self, backward: bool) {
        let table = self.table.borrow();
        self.entry = None;
        while let Some(newest) = self.cursor.newest(&table) {
            let mut entry = Some(MemtableEntry::at(&table, newest));
            while let (Some(found), Some(at)) = (entry, self.at)
                && found.version > at
            {
                let older = table.older(found.address);
                entry = older.map(|older| MemtableEntry::at(&table, older));
            }
            if entry.is_some() {
                self.entry = entry;
                self.key.clear();
                self.key
                    .extend_from_slice(self.cursor.key(&table).unwrap_or_default());
                return;
            }
            match backward {
                true => self.cursor.prev(&table),
                false => self.cursor.next(&table),
            }
        }
    }
}

impl MemtableEntry {
    fn at(table: &Memtable, address: Address) -> MemtableEntry {
        let (version, content) = table.entry(address);
        MemtableEntry {
            version,
            ends: content.ends(),
            address,
        }
    }
}

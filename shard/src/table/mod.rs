//! Sorted tables: immutable files of entries ordered by (key ascending, version descending), in two sections. The
//! present has of each key the newest entry of the table, the past all others; each has blocks and an index of its own.
//!
//! `format` has the bytes. A `TableWriter` makes a file; a `Table` is an open one, with its top
//! indexes and its filter resident. Finding a key takes one step in each of the top index, a partition
//! of the index, and a data block. `find` never waits: it says which block it needs, and whoever
//! asked reads that block and asks again. `TableCursor` walks a section in both directions and does
//! wait for blocks, through a `BlockReader`.

mod block;
mod block_builder;
mod block_reader;
mod codec;
mod cursor;
mod filter;
mod format;
pub(crate) mod fuzz;
mod open_table;
mod output;
mod part;
mod run_cursor;
mod section;
mod separator;
#[cfg(test)]
pub(crate) mod tests;
mod together;
mod verify;
mod writer;

use std::rc::Rc;

use crate::Version;
use crate::blob::BlobShare;
use crate::keyspace::keyspace_of;

pub(crate) use block::{Block, BlockEntry, Kept};
pub(crate) use block_reader::BlockReader;
pub use codec::Codec;
pub(crate) use codec::{Compressor, unpack};
pub(crate) use cursor::TableCursor;
pub(crate) use filter::FilterSize;
pub(crate) use open_table::{Found, Table, ValueRef};
pub(crate) use output::Output;
pub(crate) use part::Part;
pub(crate) use run_cursor::RunCursor;
pub(crate) use writer::{Make, TableWriter};

/// Which table of a shard; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct TableId(pub u64);

/// Where a part of a table file is, in pages, and what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BlockHandle {
    pub page: u32,
    pub pages: u32,
    pub kind: BlockKind,
}

/// What a part of a table file is. The number is persisted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum BlockKind {
    /// Entries.
    Data = 0xd1,
    /// Index over data blocks.
    Partition = 0xd2,
    /// Index over partitions.
    Top = 0xd3,
    /// All keys, roughly.
    Filter = 0xd4,
    /// Where the rest is.
    Footer = 0xd5,
    /// The same three of the past.
    PastData = 0xd6,
    PastPartition = 0xd7,
    PastTop = 0xd8,
    /// A value in a blob file. Of no table, so the number is in none; in memory it is a block among others.
    Blob = 0xdb,
}

impl BlockKind {
    pub(crate) fn is_data(self) -> bool {
        matches!(self, BlockKind::Data | BlockKind::PastData)
    }

    /// What the entries of an index block lead to.
    fn below(self) -> BlockKind {
        match self {
            BlockKind::Top => BlockKind::Partition,
            BlockKind::PastTop => BlockKind::PastPartition,
            BlockKind::PastPartition | BlockKind::PastData => BlockKind::PastData,
            _ => BlockKind::Data,
        }
    }
}

/// Which entries of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// Of each key the newest.
    Present,
    /// The others.
    Past,
}

impl Section {
    pub(crate) fn data(self) -> BlockKind {
        self.top().below().below()
    }

    fn top(self) -> BlockKind {
        match self {
            Section::Present => BlockKind::Top,
            Section::Past => BlockKind::PastTop,
        }
    }
}

/// What the manifest knows of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TableSummary {
    pub id: TableId,
    pub file_bytes: u64,
    pub entries: u64,
    pub tombstones: u64,
    pub keys: u64,
    /// Values that end, and the time at which the last of them has.
    pub ending: u64,
    pub last_end: u64,
    pub first_key: Box<[u8]>,
    pub last_key: Box<[u8]>,
    pub oldest: Version,
    pub newest: Version,
    /// Nothing in it is hidden by range deletes up to this version.
    pub cleared: Version,
    /// Nor by those of these keyspaces, of which less was needed than of others in it, up to later ones. By number.
    pub cleared_of: Vec<(u32, Version)>,
    /// Ties the file to this summary: another table's footer, or an older one's, has another.
    pub footer_crc: u32,
    /// What it refers to in blob files, by their number.
    pub blobs: Vec<BlobShare>,
}

impl TableSummary {
    /// Its file, and what it refers to in others.
    pub fn weight(&self) -> u64 {
        let blobs = self.blobs.iter().map(|share| share.bytes);
        self.file_bytes + blobs.sum::<u64>()
    }

    /// A range delete that begins at `from` hides something in it only if it is above this version.
    pub fn cleared_for(&self, from: &[u8]) -> Version {
        let of_all = self.oldest.max(self.cleared);
        let number = keyspace_of(from).unwrap_or_default().0;
        let mut own = self.cleared_of.iter();
        let own = own.find(|(other, _)| *other == number);
        own.map_or(of_all, |(_, version)| of_all.max(*version))
    }
}

/// Blocks that are in memory.
pub(crate) trait BlockSource {
    /// The block, if it is there.
    fn block(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>>;
}

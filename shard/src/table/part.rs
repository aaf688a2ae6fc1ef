//! A part of a table file known by itself alone, for those who cannot trust the indexes.

use ringkeep_io::Buffer;
use zerocopy::FromBytes;

use super::format::Identity;
use super::{Block, BlockHandle, BlockKind, TableId};
use crate::content::Content;
use crate::version::Version;

/// What a page says of the part that begins with it. Only its checksum tells whether that is true.
pub(crate) struct Part {
    pub handle: BlockHandle,
    table: TableId,
}

impl Part {
    /// The part of this table that begins with this page.
    pub fn at(page: &[u8], number: u32, table: TableId) -> Option<Part> {
        let (identity, _) = Identity::read_from_prefix(page).ok()?;
        let kinds = [
            BlockKind::Data,
            BlockKind::Partition,
            BlockKind::Top,
            BlockKind::Filter,
            BlockKind::Footer,
            BlockKind::PastData,
            BlockKind::PastPartition,
            BlockKind::PastTop,
        ];
        let kind = kinds
            .into_iter()
            .find(|kind| *kind as u8 == identity.kind)?;
        let handle = BlockHandle {
            page: number,
            pages: identity.pages.get().into(),
            kind,
        };
        let ours =
            identity.table.get() == table.0 && identity.page.get() == number && identity.is_known();
        ours.then_some(Part { handle, table })
    }

    /// The block, if it is whole; or what is wrong with it.
    pub fn into_block(self, bytes: Buffer, pages: u32) -> Result<Block, String> {
        Block::verify(bytes, self.handle, self.table, pages).map_err(|damage| damage.detail)
    }
}

impl Block {
    /// The key of an entry; of an index entry, one that is at or above all keys that it leads to.
    pub(crate) fn key(&self, index: usize) -> Box<[u8]> {
        [self.prefix(), self.entry(index).suffix].concat().into()
    }

    pub(crate) fn version(&self, index: usize) -> Version {
        self.entry(index).version
    }

    pub(crate) fn content(&self, index: usize) -> Content<'_> {
        self.entry(index).content
    }
}

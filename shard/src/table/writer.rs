//! Builds a table file front to back: entries in order in, chunks of whole pages out. Nothing here
//! waits; whoever owns the writer writes the chunks, in any order, and syncs once.

use std::collections::VecDeque;

use ringkeep_io::{Buffer, PAGE};
use zerocopy::IntoBytes;

use super::block_builder::BlockBuilder;
use super::codec::{Codec, Compressor};
use super::filter::{self, FilterBuilder, FilterSize};
use super::format::{FOOTER_MAGIC, Footer, Identity, handle_to_bytes, seal};
use super::{BlockHandle, BlockKind, TableId, TableSummary, separator};
use crate::content::Content;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{ShardId, Version};

const CHUNK_BYTES: usize = 256 << 10;

/// How a table is made, which depends on where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Make {
    /// Of blocks until the writer is told another one.
    pub codec: Codec,
    pub filter: FilterSize,
}

/// A table file in the making.
pub(crate) struct TableWriter {
    id: TableId,
    store: [u8; 16],
    shard: ShardId,
    data: BlockBuilder,
    /// Of the data block in the making.
    compressor: Compressor,
    /// Of the entries that come.
    codec: Codec,
    /// A data block before it is compressed.
    plain: Vec<u8>,
    partition: BlockBuilder,
    /// Separators of the finished partitions.
    top: Vec<IndexEntry>,
    /// The last data block, whose separator depends on the next one's first key.
    closed: Option<BlockHandle>,
    last_separator: (Vec<u8>, Version),
    hashes: Vec<u64>,
    filter: FilterBuilder,
    first_key: Box<[u8]>,
    last_key: Vec<u8>,
    last_version: Version,
    entries: u64,
    tombstones: u64,
    ending: u64,
    last_end: u64,
    oldest: Version,
    newest: Version,
    out: Output,
}

struct IndexEntry {
    key: Vec<u8>,
    version: Version,
    handle: BlockHandle,
}

impl TableWriter {
    /// An empty table, which has to get at least one entry before it is finished.
    pub fn new(id: TableId, store: [u8; 16], shard: ShardId, make: Make) -> TableWriter {
        TableWriter {
            id,
            store,
            shard,
            data: BlockBuilder::with_pages(make.codec.plain_pages()),
            compressor: Compressor::new(make.codec),
            codec: make.codec,
            plain: Vec::new(),
            partition: BlockBuilder::default(),
            top: Vec::new(),
            closed: None,
            last_separator: (Vec::new(), Version(0)),
            hashes: Vec::new(),
            filter: FilterBuilder::new(make.filter),
            first_key: Box::default(),
            last_key: Vec::new(),
            last_version: Version(0),
            entries: 0,
            tombstones: 0,
            ending: 0,
            last_end: 0,
            oldest: Version(u64::MAX),
            newest: Version(0),
            out: Output::default(),
        }
    }

    /// From the next entry on. No block holds entries of two codecs.
    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    /// Adds the next entry in the order of (key ascending, version descending).
    pub fn add(&mut self, key: &[u8], version: Version, content: Content<'_>) {
        let added = self.try_add(key, version, content);
        assert!(added, "entries of a table come in order, each once");
    }

    /// The same for entries from elsewhere: false, and nothing is added, when they are not as they must be.
    #[must_use]
    pub fn try_add(&mut self, key: &[u8], version: Version, content: Content<'_>) -> bool {
        let value_bytes = content.value().map_or(0, <[u8]>::len);
        if key.len() > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
            return false;
        }
        let first = self.entries == 0;
        let order = self
            .last_key
            .as_slice()
            .cmp(key)
            .then(version.cmp(&self.last_version));
        if !first && !order.is_lt() {
            return false;
        }
        if self.codec != self.compressor.codec() || !self.data.push(key, version, content) {
            self.begin_block(key);
            self.data.push(key, version, content);
        }
        if first {
            self.first_key = key.into();
        }
        if first || self.last_key != key {
            self.hashes.push(filter::key_hash(key));
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.last_version = version;
        self.entries += 1;
        match content {
            Content::Value(_) => {}
            Content::Removed => self.tombstones += 1,
            Content::Until(until, _) => {
                self.ending += 1;
                self.last_end = self.last_end.max(until);
            }
        }
        self.oldest = self.oldest.min(version);
        self.newest = self.newest.max(version);
        true
    }

    /// About what the file would be if it ended here.
    pub fn bytes(&self) -> u64 {
        let pending = self.data.bytes() + self.partition.bytes();
        let filter = self.filter.pages(self.hashes.len()) * PAGE;
        u64::from(self.out.next_page) * PAGE as u64 + (pending + filter + 2 * PAGE) as u64
    }

    /// A finished chunk: where in the file it belongs, and how much of the buffer is to be written.
    pub fn pending(&mut self) -> Option<(u64, Buffer, usize)> {
        self.out.ready.pop_front()
    }

    /// After the last entry: a slice of what `finish` would do at once. False when there is none left.
    pub fn prepare_filter(&mut self) -> bool {
        self.filter.add_some(&self.hashes)
    }

    /// Ends the file: the chunks that are left, and what the manifest has to know.
    pub fn finish(mut self) -> (Vec<(u64, Buffer, usize)>, TableSummary) {
        assert!(self.entries > 0, "a table has entries");
        self.close_data();
        self.index_closed(None);
        self.close_partition();

        let filter_pages = self.filter.pages(self.hashes.len());
        let (filter_handle, part) = self.out.part(BlockKind::Filter, filter_pages);
        self.filter
            .finish(&self.hashes, filter_handle, self.id, part);

        let top_page = self.out.next_page;
        let mut top = BlockBuilder::default();
        for entry in std::mem::take(&mut self.top) {
            let value = handle_to_bytes(entry.handle);
            let value = Content::Value(&value);
            if !top.push(&entry.key, entry.version, value) {
                self.out.close(&mut top, BlockKind::Top, self.id);
                top.push(&entry.key, entry.version, value);
            }
        }
        self.out.close(&mut top, BlockKind::Top, self.id);

        let (footer_handle, part) = self.out.part(BlockKind::Footer, 1);
        let footer = Footer {
            identity: Identity::new(footer_handle, self.id),
            magic: FOOTER_MAGIC,
            store: self.store,
            shard: self.shard.0.into(),
            zeros: 0.into(),
            filter_page: filter_handle.page.into(),
            top_page: top_page.into(),
            entries: self.entries.into(),
            tombstones: self.tombstones.into(),
            keys: (self.hashes.len() as u64).into(),
            oldest: self.oldest.0.into(),
            newest: self.newest.0.into(),
        };
        part[..size_of::<Footer>()].copy_from_slice(footer.as_bytes());
        let footer_crc = seal(part);

        let summary = TableSummary {
            id: self.id,
            file_bytes: u64::from(self.out.next_page) * PAGE as u64,
            entries: self.entries,
            tombstones: self.tombstones,
            keys: self.hashes.len() as u64,
            ending: self.ending,
            last_end: self.last_end,
            first_key: self.first_key,
            last_key: self.last_key.into(),
            oldest: self.oldest,
            newest: self.newest,
            cleared: Version(0),
            cleared_of: Vec::new(),
            footer_crc,
        };
        (self.out.finish(), summary)
    }

    /// Ends the block before this key, if there is one.
    fn begin_block(&mut self, key: &[u8]) {
        if !self.data.is_empty() {
            self.close_data();
            self.index_closed(Some(key));
        }
        if self.codec != self.compressor.codec() {
            self.compressor.set_codec(self.codec);
            self.data.set_pages(self.codec.plain_pages());
        }
    }

    fn close_data(&mut self) {
        self.closed = self.close_compressed();
        if self.closed.is_none() {
            self.closed = Some(self.out.close(&mut self.data, BlockKind::Data, self.id));
        }
    }

    /// Writes the data block compressed, if that saves a page.
    fn close_compressed(&mut self) -> Option<BlockHandle> {
        if !self.compressor.tries(self.data.pages()) {
            return None;
        }
        let unplaced = BlockHandle {
            page: 0,
            pages: 0,
            kind: BlockKind::Data,
        };
        self.plain.clear();
        self.plain.resize(self.data.pages() * PAGE, 0);
        self.data.lay_out(unplaced, self.id, &mut self.plain);
        let stored = self.compressor.compress(&self.plain)?;
        let (handle, part) = self.out.part(BlockKind::Data, stored.len().div_ceil(PAGE));
        part[..stored.len()].copy_from_slice(stored);
        let identity = Identity::new(handle, self.id);
        part[..size_of::<Identity>()].copy_from_slice(identity.as_bytes());
        seal(part);
        self.data.clear();
        Some(handle)
    }

    /// Lists the last data block in its partition, now that the key behind it is known.
    fn index_closed(&mut self, next_key: Option<&[u8]>) {
        let Some(handle) = self.closed.take() else {
            return;
        };
        let separator = match next_key {
            // The key goes on in the next block: only its version tells the two apart.
            Some(next) if next == self.last_key => (self.last_key.clone(), self.last_version),
            Some(next) => (separator::between(&self.last_key, next), Version(0)),
            None => (self.last_key.clone(), Version(0)),
        };
        let value = handle_to_bytes(handle);
        let value = Content::Value(&value);
        if !self.partition.push(&separator.0, separator.1, value) {
            self.close_partition();
            self.partition.push(&separator.0, separator.1, value);
        }
        self.last_separator = separator;
    }

    fn close_partition(&mut self) {
        let handle = self
            .out
            .close(&mut self.partition, BlockKind::Partition, self.id);
        let (key, version) = self.last_separator.clone();
        self.top.push(IndexEntry {
            key,
            version,
            handle,
        });
    }
}

/// Pages in file order, gathered into chunks.
#[derive(Default)]
struct Output {
    next_page: u32,
    chunk: Option<Chunk>,
    ready: VecDeque<(u64, Buffer, usize)>,
}

struct Chunk {
    offset: u64,
    buffer: Buffer,
    filled: usize,
}

impl Output {
    /// Writes a block at the end of the file.
    fn close(
        &mut self,
        builder: &mut BlockBuilder,
        kind: BlockKind,
        table: TableId,
    ) -> BlockHandle {
        let (handle, part) = self.part(kind, builder.pages());
        builder.close(handle, table, part);
        handle
    }

    /// The next `pages` pages of the file, zeroed. What does not fit the chunk begins the next one.
    fn part(&mut self, kind: BlockKind, pages: usize) -> (BlockHandle, &mut [u8]) {
        assert!(pages <= usize::from(u16::MAX), "a part is within 256 MiB");
        let bytes = pages * PAGE;
        let page = self.next_page;
        self.next_page = u32::try_from(page as usize + pages).expect("a table is within 16 TiB");
        let full = |chunk: &Chunk| chunk.filled + bytes > chunk.buffer.len();
        if self.chunk.as_ref().is_none_or(full) {
            self.emit();
        }
        let chunk = self.chunk.get_or_insert_with(|| Chunk {
            offset: u64::from(page) * PAGE as u64,
            buffer: Buffer::zeroed(bytes.max(CHUNK_BYTES)),
            filled: 0,
        });
        let start = chunk.filled;
        chunk.filled += bytes;
        let handle = BlockHandle {
            page,
            pages: pages as u32,
            kind,
        };
        (handle, &mut chunk.buffer[start..start + bytes])
    }

    fn emit(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.ready
                .push_back((chunk.offset, chunk.buffer, chunk.filled));
        }
    }

    fn finish(mut self) -> Vec<(u64, Buffer, usize)> {
        self.emit();
        self.ready.into()
    }
}

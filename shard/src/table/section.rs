//! One section of a table in the making: its data blocks and the index over them.
//!
//! Blocks are gathered in extents before they get their place in the file. So those of the present, which a scan reads one
//! behind the other, lie next to each other, although the past of their keys comes between them.

use ringkeep_io::{Buffer, PAGE};
use zerocopy::IntoBytes;

use super::block_builder::BlockBuilder;
use super::codec::{Codec, Compressor};
use super::format::{Identity, handle_to_bytes, settle};
use super::output::{CHUNK_BYTES, Output};
use super::{BlockHandle, Section, separator};
use crate::Version;
use crate::content::Content;

const EXTENT_BYTES: usize = CHUNK_BYTES;

pub(super) struct SectionWriter {
    section: Section,
    data: BlockBuilder,
    /// Of the data block in the making.
    codec: Codec,
    last_key: Vec<u8>,
    last_version: Version,
    extent: Option<Extent>,
    /// Its blocks. Their pages are counted from its beginning.
    unplaced: Vec<IndexEntry>,
    partition: BlockBuilder,
    /// The last block in the partition.
    listed: Option<IndexEntry>,
    /// The finished partitions.
    top: Vec<IndexEntry>,
    /// Of data blocks and partitions that have their place.
    pages: u32,
}

/// Data blocks back to back, before it is known where in the file they will be.
struct Extent {
    buffer: Buffer,
    filled: usize,
}

struct IndexEntry {
    key: Vec<u8>,
    version: Version,
    handle: BlockHandle,
}

impl SectionWriter {
    pub fn new(section: Section, codec: Codec) -> SectionWriter {
        SectionWriter {
            section,
            data: BlockBuilder::with_pages(codec.plain_pages()),
            codec,
            last_key: Vec::new(),
            last_version: Version(0),
            extent: None,
            unplaced: Vec::new(),
            partition: BlockBuilder::default(),
            listed: None,
            top: Vec::new(),
            pages: 0,
        }
    }

    /// The key of the last entry.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Adds the next entry of the section. No block holds entries of two codecs.
    #[inline]
    pub fn add(
        &mut self,
        (key, version, content): (&[u8], Version, Content<'_>),
        codec: Codec,
        compressor: &mut Compressor,
        out: &mut Output,
    ) {
        if self.codec != codec || !self.data.push(key, version, content) {
            self.close_data(Some(key), compressor, out);
            if self.codec != codec {
                self.codec = codec;
                self.data.set_pages(codec.plain_pages());
            }
            self.data.push(key, version, content);
        }
        if self.last_key != key {
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.last_version = version;
    }

    /// Bytes that are not in the file yet.
    pub fn pending_bytes(&self) -> usize {
        let extent = self.extent.as_ref().map_or(0, |extent| extent.filled);
        extent + self.data.bytes() + self.partition.bytes()
    }

    /// After the last entry: all blocks but the top index get their place. Gives their pages.
    pub fn finish(&mut self, compressor: &mut Compressor, out: &mut Output) -> u32 {
        self.close_data(None, compressor, out);
        self.place_extent(out);
        self.close_partition(out);
        self.pages
    }

    /// Writes the top index, and gives the page where it begins.
    pub fn finish_top(&mut self, out: &mut Output) -> u32 {
        let (page, kind) = (out.next_page, self.section.top());
        let mut top = BlockBuilder::default();
        for entry in std::mem::take(&mut self.top) {
            if !entry.push_to(&mut top) {
                out.close(&mut top, kind);
                entry.push_to(&mut top);
            }
        }
        out.close(&mut top, kind);
        page
    }

    /// Puts the block in the making, if there is one, into the extent. `next` is the key behind it.
    fn close_data(&mut self, next: Option<&[u8]>, compressor: &mut Compressor, out: &mut Output) {
        if self.data.is_empty() {
            return;
        }
        let (key, version) = match next {
            // The key goes on in the next block: only its version tells the two apart.
            Some(next) if next == self.last_key => (self.last_key.clone(), self.last_version),
            Some(next) => (separator::between(&self.last_key, next), Version(0)),
            None => (self.last_key.clone(), Version(0)),
        };
        let mut handle = BlockHandle {
            page: 0,
            pages: self.data.pages() as u32,
            kind: self.section.data(),
        };
        let stored = compressor.stored(self.codec, &self.data, handle, out.table);
        if let Some(stored) = stored {
            handle.pages = stored.len().div_ceil(PAGE) as u32;
        }
        let bytes = handle.pages as usize * PAGE;
        if self
            .extent
            .as_ref()
            .is_some_and(|extent| !extent.has_room(bytes))
        {
            self.place_extent(out);
            out.emit();
        }
        let extent = self.extent.get_or_insert_with(|| Extent::of(bytes));
        handle.page = (extent.filled / PAGE) as u32;
        let part = &mut extent.buffer[extent.filled..extent.filled + bytes];
        extent.filled += bytes;
        match stored {
            Some(stored) => {
                part[..stored.len()].copy_from_slice(stored);
                let identity = Identity::new(handle, out.table);
                part[..size_of::<Identity>()].copy_from_slice(identity.as_bytes());
            }
            None => self.data.lay_out(handle, out.table, part),
        }
        self.data.clear();
        self.unplaced.push(IndexEntry {
            key,
            version,
            handle,
        });
    }

    /// Puts the extent, if there is one, at the end of the file, and lists its blocks behind it.
    fn place_extent(&mut self, out: &mut Output) {
        let Some(mut extent) = self.extent.take() else {
            return;
        };
        let first = out.next_page;
        for IndexEntry { handle, .. } in &mut self.unplaced {
            let start = handle.page as usize * PAGE;
            handle.page += first;
            settle(
                &mut extent.buffer[start..start + handle.pages as usize * PAGE],
                handle.page,
            );
        }
        out.append(extent.buffer, extent.filled);
        self.pages += out.next_page - first;
        let mut placed = std::mem::take(&mut self.unplaced);
        for block in placed.drain(..) {
            if !block.push_to(&mut self.partition) {
                self.close_partition(out);
                block.push_to(&mut self.partition);
            }
            self.listed = Some(block);
        }
        self.unplaced = placed;
    }

    fn close_partition(&mut self, out: &mut Output) {
        if let Some(IndexEntry { key, version, .. }) = self.listed.take() {
            let handle = out.close(&mut self.partition, self.section.top().below());
            self.pages += handle.pages;
            self.top.push(IndexEntry {
                key,
                version,
                handle,
            });
        }
    }
}

impl Extent {
    /// With room for a block of so many bytes, and for others if it is not large. The chunk that it becomes has room for a
    /// partition behind it.
    fn of(bytes: usize) -> Extent {
        Extent {
            buffer: Buffer::zeroed(EXTENT_BYTES.max(bytes) + PAGE),
            filled: 0,
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.filled + bytes <= EXTENT_BYTES
    }
}

impl IndexEntry {
    fn push_to(&self, index: &mut BlockBuilder) -> bool {
        let value = handle_to_bytes(self.handle);
        index.push(&self.key, self.version, Content::Value(&value))
    }
}

//! Builds a table file front to back: entries in order in, chunks of whole pages out. Nothing here
//! waits; whoever owns the writer writes the chunks, in any order, and syncs once.

use ringkeep_io::{Buffer, PAGE};
use zerocopy::IntoBytes;

use super::codec::{Codec, Compressor};
use super::filter::{self, FilterBuilder, FilterSize};
use super::format::{FOOTER_MAGIC, Footer, Identity, seal};
use super::output::Output;
use super::section::SectionWriter;
use super::{BlockKind, Section, TableId, TableSummary};
use crate::content::{Content, NEVER};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{ShardId, Version};

/// How a table is made, which depends on where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Make {
    /// Of blocks until the writer is told another one.
    pub codec: Codec,
    pub filter: FilterSize,
}

/// A table file in the making.
pub(crate) struct TableWriter {
    store: [u8; 16],
    shard: ShardId,
    /// Of the entries that come.
    codec: Codec,
    compressor: Compressor,
    /// Has every key.
    present: SectionWriter,
    past: SectionWriter,
    hashes: Vec<u64>,
    filter: FilterBuilder,
    first_key: Box<[u8]>,
    last_version: Version,
    entries: u64,
    tombstones: u64,
    ending: u64,
    last_end: u64,
    oldest: Version,
    newest: Version,
    out: Output,
}

impl TableWriter {
    /// An empty table, which has to get at least one entry before it is finished.
    pub fn new(id: TableId, store: [u8; 16], shard: ShardId, make: Make) -> TableWriter {
        TableWriter {
            store,
            shard,
            codec: make.codec,
            compressor: Compressor::default(),
            present: SectionWriter::new(Section::Present, make.codec),
            past: SectionWriter::new(Section::Past, make.codec),
            hashes: Vec::new(),
            filter: FilterBuilder::new(make.filter),
            first_key: Box::default(),
            last_version: Version(0),
            entries: 0,
            tombstones: 0,
            ending: 0,
            last_end: 0,
            oldest: Version(u64::MAX),
            newest: Version(0),
            out: Output::new(id),
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
        let order = self.present.last_key().cmp(key);
        if !first && order.then(version.cmp(&self.last_version)).is_ge() {
            return false;
        }
        let is_newest = first || order.is_ne();
        let section = match is_newest {
            true => &mut self.present,
            false => &mut self.past,
        };
        let entry = (key, version, content);
        section.add(entry, self.codec, &mut self.compressor, &mut self.out);
        if first {
            self.first_key = key.into();
        }
        if is_newest {
            self.hashes.push(filter::key_hash(key));
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
            Content::Elsewhere(NEVER, _) => {}
            Content::Elsewhere(until, _) => {
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
        let pending = self.present.pending_bytes() + self.past.pending_bytes();
        let filter = self.filter.pages(self.hashes.len()) * PAGE;
        u64::from(self.out.next_page) * PAGE as u64 + (pending + filter + 2 * PAGE) as u64
    }

    /// A finished chunk: where in the file it belongs, and how much of the buffer is to be written.
    pub fn pending(&mut self) -> Option<(u64, Buffer, usize)> {
        self.out.pop()
    }

    /// After the last entry: a slice of what `finish` would do at once. False when there is none left.
    pub fn prepare_filter(&mut self) -> bool {
        self.filter.add_some(&self.hashes)
    }

    /// Ends the file: the chunks that are left, and what the manifest has to know.
    pub fn finish(mut self) -> (Vec<(u64, Buffer, usize)>, TableSummary) {
        assert!(self.entries > 0, "a table has entries");
        self.present.finish(&mut self.compressor, &mut self.out);
        let past_pages = self.past.finish(&mut self.compressor, &mut self.out);

        let id = self.out.table;
        let filter_pages = self.filter.pages(self.hashes.len());
        let (filter_handle, part) = self.out.part(BlockKind::Filter, filter_pages);
        self.filter.finish(&self.hashes, filter_handle, id, part);

        let top_page = self.present.finish_top(&mut self.out);
        let past_top_page = match past_pages {
            0 => 0,
            _ => self.past.finish_top(&mut self.out),
        };

        let (footer_handle, part) = self.out.part(BlockKind::Footer, 1);
        let footer = Footer {
            identity: Identity::new(footer_handle, id),
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
            past_top_page: past_top_page.into(),
            past_pages: past_pages.into(),
        };
        part[..size_of::<Footer>()].copy_from_slice(footer.as_bytes());
        let footer_crc = seal(part);

        let summary = TableSummary {
            id,
            file_bytes: u64::from(self.out.next_page) * PAGE as u64,
            entries: self.entries,
            tombstones: self.tombstones,
            keys: self.hashes.len() as u64,
            ending: self.ending,
            last_end: self.last_end,
            first_key: self.first_key,
            last_key: self.present.last_key().into(),
            oldest: self.oldest,
            newest: self.newest,
            cleared: Version(0),
            cleared_of: Vec::new(),
            footer_crc,
            blobs: Vec::new(),
        };
        (self.out.finish(), summary)
    }
}

//! One block in memory. It is verified once, when it is read: checksum, identity, and that every
//! entry lies within it. After that the accessors take offsets as they are.

use std::cmp::Ordering;
use std::ops::Range;

use ringkeep_io::{Buffer, PAGE};
use zerocopy::FromBytes;

use super::codec::restore;
use super::format::{
    BLOCK_HEADER_BYTES, BlockHeader, Damage, HANDLE_BYTES, Identity, MIXED_BLOCK_PAGES_MAX, Shape,
    TAG_ELSEWHERE, TAG_NO_VALUE, TIME_BYTES, handle_from_bytes, time_from_bytes,
};
use super::{BlockHandle, BlockKind, TableId};
use crate::Version;
use crate::blob::BlobRef;
use crate::content::{Content, NEVER};
use crate::limits::KEY_BYTES_MAX;

/// Heads of keys kept beside a block. A lookup compares these before it touches the block itself,
/// whose entries each lie on another cache line.
const HEADS_MAX: usize = 48;

/// A verified block.
pub(crate) struct Block {
    bytes: Buffer,
    handle: BlockHandle,
    shape: Shape,
    count: usize,
    prefix_length: usize,
    /// Of uniform blocks.
    suffix_length: usize,
    /// Of uniform blocks.
    stride: usize,
    version_bytes: usize,
    base: u64,
    /// Where the first entry begins.
    start: usize,
    /// The first four bytes of the suffix of every `heads_stride`th entry.
    heads: [u32; HEADS_MAX],
    heads_count: usize,
    heads_stride: usize,
}

/// An entry as it lies in its block.
#[derive(Clone, Copy)]
pub(crate) struct BlockEntry<'a> {
    pub suffix: &'a [u8],
    pub version: Version,
    pub content: Content<'a>,
    /// The suffix and what follows it in the block: of a value for ever, the value.
    pub tail: &'a [u8],
}

impl Block {
    /// Checks everything that the accessors rely on. `data_pages` bounds what an index may lead to.
    pub(super) fn verify(
        bytes: Buffer,
        handle: BlockHandle,
        table: TableId,
        data_pages: u32,
    ) -> Result<Block, Damage> {
        if bytes.len() != handle.pages as usize * PAGE {
            return Err(Damage::new(0, "the block is not as long as its index says"));
        }
        Identity::verify(&bytes, handle, table)?;
        let bytes = restore(bytes)?;
        let (header, _) = BlockHeader::read_from_prefix(&bytes)
            .map_err(|_| Damage::new(0, "no room for a header"))?;
        let shape = Shape::from_byte(header.shape)
            .ok_or_else(|| Damage::new(27, format!("unknown shape {}", header.shape)))?;
        let prefix_length = usize::from(header.prefix_length.get());
        let suffix_length = usize::from(header.suffix_length.get());
        let version_bytes = usize::from(header.version_bytes);
        let value_length = header.value_length.get() as usize;
        let mut block = Block {
            handle,
            shape,
            count: header.count.get().into(),
            prefix_length,
            suffix_length,
            stride: version_bytes + suffix_length + value_length,
            version_bytes,
            base: header.base.get(),
            start: BLOCK_HEADER_BYTES + prefix_length,
            bytes,
            heads: [0; HEADS_MAX],
            heads_count: 0,
            heads_stride: 1,
        };
        if block.count == 0 || version_bytes > 8 || block.start > block.bytes.len() {
            return Err(Damage::new(20, "impossible counts in the header"));
        }
        match shape {
            Shape::Mixed => block.verify_ends()?,
            Shape::UniformDeleted if value_length != 0 => {
                return Err(Damage::new(28, "deletions with values"));
            }
            Shape::UniformEnding if value_length < TIME_BYTES => {
                return Err(Damage::new(28, "values that end without a time"));
            }
            Shape::Uniform | Shape::UniformDeleted | Shape::UniformEnding => {
                let room = block.bytes.len() - block.start;
                if block.stride * block.count > room
                    || prefix_length + suffix_length > KEY_BYTES_MAX
                {
                    return Err(Damage::new(20, "entries past the end of the block"));
                }
            }
        }
        if !handle.kind.is_data() {
            block.verify_handles(data_pages)?;
        }
        block.take_heads();
        Ok(block)
    }

    /// A value of a blob file, which was compared with its checksum. It has no entries.
    pub(crate) fn of_blob(bytes: Buffer, handle: BlockHandle) -> Block {
        Block {
            handle,
            shape: Shape::Uniform,
            count: 0,
            prefix_length: 0,
            suffix_length: 0,
            stride: 0,
            version_bytes: 0,
            base: 0,
            start: 0,
            bytes,
            heads: [0; HEADS_MAX],
            heads_count: 0,
            heads_stride: 1,
        }
    }

    /// The value of a blob file that it is.
    pub(crate) fn blob(&self, length: usize) -> &[u8] {
        &self.bytes[..length.min(self.bytes.len())]
    }

    /// The memory that it lies in should be given back.
    pub fn is_wanted_back(&self) -> bool {
        self.bytes.is_wanted_back()
    }

    fn take_heads(&mut self) {
        self.heads_stride = self.count.div_ceil(HEADS_MAX);
        self.heads_count = self.count.div_ceil(self.heads_stride);
        for at in 0..self.heads_count {
            self.heads[at] = head(self.entry(at * self.heads_stride).suffix);
        }
    }

    fn verify_ends(&self) -> Result<(), Damage> {
        let table = self.bytes.len().checked_sub(2 * self.count);
        let table =
            table.filter(|&table| table >= self.start && self.pages() <= MIXED_BLOCK_PAGES_MAX);
        let Some(table) = table else {
            return Err(Damage::new(20, "more entries than fit the block"));
        };
        let mut start = self.start;
        for index in 0..self.count {
            let end = self.end(index);
            let suffix_at = start + 2 + self.version_bytes;
            if suffix_at > end || end > table {
                let detail = format!("entry {index} ends at {end}");
                return Err(Damage::new(table + 2 * index, detail));
            }
            let tag = self.u16_at(start);
            let suffix_length = suffix_length(tag);
            let body_at = suffix_at + suffix_length;
            let body = (body_at <= end).then(|| &self.bytes[body_at..end]);
            if self.prefix_length + suffix_length > KEY_BYTES_MAX
                || body.is_none_or(|body| !is_body(tag, body))
            {
                let detail = format!("entry {index} has a key of {suffix_length} bytes");
                return Err(Damage::new(start, detail));
            }
            start = end;
        }
        Ok(())
    }

    fn verify_handles(&self, data_pages: u32) -> Result<(), Damage> {
        for index in 0..self.count {
            let Content::Value(value) = self.entry(index).content else {
                return Err(Damage::new(self.start, "an index entry that was deleted"));
            };
            let leads = value.first_chunk().is_some_and(|bytes| {
                let handle = handle_from_bytes(bytes, BlockKind::Data);
                handle.pages > 0
                    && u64::from(handle.page) + u64::from(handle.pages) <= data_pages.into()
            });
            if !leads || value.len() != HANDLE_BYTES {
                let detail = format!("index entry {index} leads nowhere");
                return Err(Damage::new(self.start, detail));
            }
        }
        Ok(())
    }

    /// Where the block is, and which kind it is of.
    pub fn handle(&self) -> BlockHandle {
        self.handle
    }

    /// Memory of the buffer.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Entries.
    pub fn count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    pub fn prefix(&self) -> &[u8] {
        &self.bytes[BLOCK_HEADER_BYTES..self.start]
    }

    #[inline(always)]
    pub fn entry(&self, index: usize) -> BlockEntry<'_> {
        let (at, suffix_length, end, tag) = self.locate(index);
        let suffix_at = at + self.version_bytes;
        let tail = &self.bytes[suffix_at..end];
        let (suffix, body) = tail.split_at(suffix_length);
        BlockEntry {
            suffix,
            version: Version(self.base.wrapping_add(self.delta(at))),
            content: match tag {
                0 => Content::Value(body),
                TAG_NO_VALUE => removed_or_ending(body),
                _ => elsewhere(tag, body),
            },
            tail,
        }
    }

    /// The place of an entry's value, for those who keep the block.
    #[inline]
    pub(super) fn value_span(&self, index: usize) -> Range<usize> {
        let (at, suffix_length, end, tag) = self.locate(index);
        let body_at = at + self.version_bytes + suffix_length;
        match tag & TAG_NO_VALUE != 0 && body_at < end {
            false => body_at..end,
            true => body_at + TIME_BYTES..end,
        }
    }

    /// The same and what is said of it; nothing for a deletion.
    #[inline]
    pub(super) fn value_at(&self, index: usize) -> Option<(Range<usize>, Kept)> {
        let (at, suffix_length, end, tag) = self.locate(index);
        let body_at = at + self.version_bytes + suffix_length;
        if tag == 0 {
            return Some((
                body_at..end,
                Kept {
                    ends: NEVER,
                    elsewhere: false,
                },
            ));
        }
        let elsewhere = tag & TAG_ELSEWHERE != 0;
        if tag & TAG_NO_VALUE == 0 {
            return Some((
                body_at..end,
                Kept {
                    ends: NEVER,
                    elsewhere,
                },
            ));
        }
        let (time, _) = self.bytes[body_at..end].split_first_chunk()?;
        let ends = time_from_bytes(time);
        Some((body_at + TIME_BYTES..end, Kept { ends, elsewhere }))
    }

    #[inline]
    pub(super) fn slice(&self, start: usize, end: usize) -> &[u8] {
        &self.bytes[start..end]
    }

    /// What an index entry leads to.
    #[inline]
    pub(super) fn handle_at(&self, index: usize) -> BlockHandle {
        let bytes = &self.bytes[self.value_span(index)];
        let bytes = bytes.first_chunk().expect("verified with the block");
        handle_from_bytes(bytes, self.handle.kind.below())
    }

    /// What these index entries lead to, which lies one behind the other.
    pub(super) fn span_of(&self, entries: Range<usize>) -> BlockHandle {
        let (first, last) = (
            self.handle_at(entries.start),
            self.handle_at(entries.end - 1),
        );
        BlockHandle {
            pages: last.page + last.pages - first.page,
            ..first
        }
    }

    /// What the index entry behind leads to lies right behind what this one does.
    pub(super) fn touches_next(&self, index: usize) -> bool {
        let handle = self.handle_at(index);
        handle.page + handle.pages == self.handle_at(index + 1).page
    }

    /// How many entries come before (`key`, `at`): those with a lesser key, and those with the same
    /// key and a newer version.
    #[inline]
    pub(super) fn lower_bound(&self, key: &[u8], at: Version) -> usize {
        let prefix = self.prefix();
        let suffix = match key.strip_prefix(prefix) {
            Some(suffix) => suffix,
            None if key < prefix => return 0,
            None => return self.count,
        };
        let wanted = head(suffix);
        let heads = &self.heads[..self.heads_count];
        let less = heads.iter().filter(|&&head| head < wanted).count();
        let up_to = heads.iter().filter(|&&head| head <= wanted).count();
        // The last lesser head's entry comes before, the first greater head's does not.
        let mut low = less
            .checked_sub(1)
            .map_or(0, |at| at * self.heads_stride + 1);
        let mut high = self.count.min(up_to * self.heads_stride);
        while low < high {
            let middle = (low + high) / 2;
            let (start, suffix_length, _, _) = self.locate(middle);
            let suffix_at = start + self.version_bytes;
            let order = self.bytes[suffix_at..suffix_at + suffix_length].cmp(suffix);
            let before = match order {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => self.base.wrapping_add(self.delta(start)) > at.0,
            };
            if before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The order of an entry against (`key`, `at`).
    pub(super) fn compare(&self, index: usize, key: &[u8], at: Version) -> Ordering {
        let entry = self.entry(index);
        let prefix = self.prefix();
        let head = &key[..key.len().min(prefix.len())];
        let order = prefix
            .cmp(head)
            .then_with(|| entry.suffix.cmp(&key[head.len()..]));
        order.then_with(|| at.cmp(&entry.version))
    }

    /// Whether the entry is of this very key.
    #[inline]
    pub(super) fn is_key(&self, index: usize, key: &[u8]) -> bool {
        key.strip_prefix(self.prefix()) == Some(self.entry(index).suffix)
    }

    /// Where the version of an entry begins, how long its suffix is, where it ends, and what of its tag is not that
    /// length: zero for a value for ever.
    #[inline(always)]
    fn locate(&self, index: usize) -> (usize, usize, usize, u16) {
        if self.shape == Shape::Mixed {
            let start = match index {
                0 => self.start,
                _ => self.end(index - 1),
            };
            let tag = self.u16_at(start);
            (
                start + 2,
                suffix_length(tag),
                self.end(index),
                tag & (TAG_NO_VALUE | TAG_ELSEWHERE),
            )
        } else {
            let start = self.start + index * self.stride;
            let tag = u16::from(self.shape != Shape::Uniform) * TAG_NO_VALUE;
            (start, self.suffix_length, start + self.stride, tag)
        }
    }

    #[inline(always)]
    fn end(&self, index: usize) -> usize {
        self.u16_at(self.bytes.len() - 2 * (self.count - index))
            .into()
    }

    #[inline(always)]
    fn delta(&self, at: usize) -> u64 {
        if self.version_bytes == 0 {
            return 0;
        }
        // Most blocks have eight bytes more behind a delta: one load and a mask.
        if let Some(bytes) = self.bytes[at..].first_chunk::<8>() {
            return u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * self.version_bytes));
        }
        let mut bytes = [0; 8];
        bytes[..self.version_bytes].copy_from_slice(&self.bytes[at..at + self.version_bytes]);
        u64::from_le_bytes(bytes)
    }

    #[inline]
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// Restored ones: on the device a compressed block has fewer.
    fn pages(&self) -> usize {
        self.bytes.len() / PAGE
    }
}

/// What an entry says of its value beside where it lies.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    /// When it ends.
    pub ends: u64,
    /// It is a reference.
    pub elsewhere: bool,
}

#[inline(always)]
fn suffix_length(tag: u16) -> usize {
    usize::from((tag & !TAG_ELSEWHERE) >> 1)
}

/// Whether an entry with this tag can have this body.
fn is_body(tag: u16, body: &[u8]) -> bool {
    let time = match tag & TAG_NO_VALUE {
        0 => 0,
        _ => TIME_BYTES,
    };
    match tag & TAG_ELSEWHERE {
        0 => time == 0 || body.is_empty() || body.len() >= time,
        _ => body.get(time..).and_then(BlobRef::read).is_some(),
    }
}

/// A body that `is_body` has seen.
#[cold]
fn elsewhere(tag: u16, body: &[u8]) -> Content<'_> {
    let (ends, reference) = match (tag & TAG_NO_VALUE, body.split_first_chunk()) {
        (TAG_NO_VALUE, Some((time, reference))) => (time_from_bytes(time), reference),
        _ => (NEVER, body),
    };
    BlobRef::read(reference).map_or(Content::Removed, |found| Content::Elsewhere(ends, found))
}

/// The body of an entry that is no value for ever.
#[inline]
fn removed_or_ending(body: &[u8]) -> Content<'_> {
    match body.split_first_chunk() {
        Some((time, value)) => Content::Until(time_from_bytes(time), value),
        None => Content::Removed,
    }
}

/// The first four bytes as a big-endian number, short suffixes filled up with zeros: unequal ones
/// decide, equal ones say nothing.
#[inline]
fn head(suffix: &[u8]) -> u32 {
    if let Some(bytes) = suffix.first_chunk::<4>() {
        return u32::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 4];
    bytes[..suffix.len()].copy_from_slice(suffix);
    u32::from_be_bytes(bytes)
}

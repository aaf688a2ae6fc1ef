//! The bytes of a table file. Everything is little-endian; every part is whole pages and begins
//! with a checksum over the rest of its pages, padding included.
//!
//! ```text
//! file    [data blocks of the present and of the past in extents, each partition behind the data blocks that it lists]
//!         [filter] [top index of the present] [top index of the past, if there is one] [footer]
//!
//! block   0 crc u32 | 4 kind u8 | 5 format u8 | 6 pages u16 | 8 table u64 | 16 page u32
//!         20 count u16 | 22 prefix length u16 | 24 suffix length u16 | 26 version bytes u8 | 27 shape u8
//!         28 value length u32 | 32 base version u64 | 40 prefix | entries | zeros
//!
//!   shape 0 (mixed)    entry = elsewhere << 15 | suffix length << 1 | no value for ever u16, version - base, suffix, body
//!                      and the block's last 2 * count bytes are the entries' ends, u16 each
//!   shape 1 (uniform)  entry = version - base, suffix, value: all suffixes and all values are of one
//!                      length, so entries are found by multiplication and need no ends
//!   shape 2 (uniform, all deleted) likewise without values
//!   shape 3 (uniform, all ending) likewise, a value being its time and itself
//! ```
//!
//! The body of an entry is its value. Where it is no value for ever, the body is empty if the key was deleted;
//! otherwise it is six bytes of the time from which on the value is none (milliseconds since 1970), and then the
//! value. So what does not end takes no byte for that. In place of a value that is elsewhere stands a reference
//! (`blob/format.rs`); only mixed blocks have such.
//!
//! The upper four bits of the shape are the codec of a compressed block: 0 raw, 1 LZ4 (a block without
//! frame), 2 Zstandard (a frame). Then the pages are those that are stored, and behind the header come
//! 40 restored pages u16 | zero u16 | 44 length u32 | 48 what byte 40 and all behind it of the restored
//! block were compressed to | zeros. The checksum is over what is stored.
//!
//! The present has of each key the newest entry of the table, the past has the others. Their blocks are told apart by
//! their kinds. A table of version 2 has all its entries in what is the present here.
//!
//! The prefix is what all keys of the block begin with; suffixes are what is left of them. Versions
//! are stored as their distance from the base, in `version bytes` bytes (none when they are all the
//! same). Table, page and page count make a block that landed elsewhere, or was left there by another
//! file, recognisable.
//!
//! In index blocks the keys are separators: at least the last entry of the block that they lead to,
//! below the first entry of the next one, and the value is that block's `page u32 | pages u16`.
//! Separators are compared as (key ascending, version descending), so versions of a key that went
//! to two blocks are told apart. Top index blocks lead to partitions, partitions to data blocks.
//!
//! Example: keys `user1`, `user2` at versions 7 and 9 with values `a` and `b` make a uniform block:
//! prefix `user`, suffix length 1, value length 1, base 7, version bytes 1, entries `00 31 61 02 32 62`.

use ringkeep_io::PAGE;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{BlockHandle, BlockKind, TableId};
use ringkeep_io::planted::{Defect, planted};

use crate::checksum::crc32c;
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Of every part of the file. The footer decides which versions can be opened.
pub(super) const FORMAT_VERSION: u8 = 3;
/// Without a past: all entries are where the present is.
pub(super) const FORMAT_OF_ONE_SECTION: u8 = 2;
pub(super) const FOOTER_MAGIC: [u8; 8] = *b"RKTABLE\n";

pub(super) const BLOCK_HEADER_BYTES: usize = 40;
pub(super) const COMPRESSED_HEADER_BYTES: usize = 48;
/// A compressed block is at most so large before: it is restored in one step.
pub(super) const COMPRESSED_PAGES_MAX: usize = 256;
pub(super) const FILTER_HEADER_BYTES: usize = 64;
pub(super) const HANDLE_BYTES: usize = 6;
/// In front of a value that ends.
pub(super) const TIME_BYTES: usize = 6;
/// In front of an entry of a mixed block: the value is not for ever, or there is none,
pub(super) const TAG_NO_VALUE: u16 = 1;
/// and it is in a blob file.
pub(super) const TAG_ELSEWHERE: u16 = 1 << 15;
/// Ends of entries in a mixed block are `u16`.
pub(super) const MIXED_BLOCK_PAGES_MAX: usize = 8;

const _: () = assert!(MIXED_BLOCK_PAGES_MAX * PAGE <= u16::MAX as usize);
const _: () = assert!((VALUE_BYTES_MAX + KEY_BYTES_MAX) / PAGE + 2 <= u16::MAX as usize);
const _: () = assert!(KEY_BYTES_MAX << 1 < TAG_ELSEWHERE as usize);
const _: () = assert!(size_of::<BlockHeader>() == BLOCK_HEADER_BYTES);
const _: () = assert!(size_of::<CompressedHeader>() == COMPRESSED_HEADER_BYTES);
const _: () = assert!(size_of::<FilterHeader>() == FILTER_HEADER_BYTES);

/// How the entries of a block are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Mixed,
    Uniform,
    UniformDeleted,
    UniformEnding,
}

impl Shape {
    /// The bits above say how the block is compressed.
    pub const MASK: u8 = 0x0f;

    pub fn from_byte(byte: u8) -> Option<Shape> {
        let shapes = [
            Shape::Mixed,
            Shape::Uniform,
            Shape::UniformDeleted,
            Shape::UniformEnding,
        ];
        shapes.get(usize::from(byte)).copied()
    }
}

/// What every part begins with.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct Identity {
    pub crc: U32,
    pub kind: u8,
    pub format: u8,
    pub pages: U16,
    pub table: U64,
    pub page: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct BlockHeader {
    pub identity: Identity,
    pub count: U16,
    pub prefix_length: U16,
    pub suffix_length: U16,
    pub version_bytes: u8,
    pub shape: u8,
    pub value_length: U32,
    pub base: U64,
}

/// What a compressed block begins with. Its page count is that of the stored part.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct CompressedHeader {
    pub block: BlockHeader,
    /// Of the block when it is restored.
    pub pages: U16,
    pub zeros: [u8; 2],
    /// Of the compressed bytes.
    pub length: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct FilterHeader {
    pub identity: Identity,
    pub lines: U32,
    pub keys: U64,
    pub zeros: [u8; 32],
}

/// The last page. The magic stays where it is in every future format.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(super) struct Footer {
    pub identity: Identity,
    pub magic: [u8; 8],
    pub store: [u8; 16],
    pub shard: U16,
    pub zeros: U16,
    pub filter_page: U32,
    pub top_page: U32,
    pub entries: U64,
    pub tombstones: U64,
    pub keys: U64,
    pub oldest: U64,
    pub newest: U64,
    /// Of the past; 0 where there is none.
    pub past_top_page: U32,
    /// Data blocks and partitions of the past.
    pub past_pages: U32,
}

/// Damage found in one part: where, from its first byte on, and what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub at: usize,
    pub detail: String,
}

impl Damage {
    pub fn new(at: usize, detail: impl Into<String>) -> Damage {
        let detail = detail.into();
        Damage { at, detail }
    }
}

impl Identity {
    pub fn new(handle: BlockHandle, table: TableId) -> Identity {
        Identity {
            crc: 0.into(),
            kind: handle.kind as u8,
            format: FORMAT_VERSION,
            pages: (handle.pages as u16).into(),
            table: table.0.into(),
            page: handle.page.into(),
        }
    }

    /// Whether it is of a version that this build reads.
    pub fn is_known(&self) -> bool {
        (FORMAT_OF_ONE_SECTION..=FORMAT_VERSION).contains(&self.format)
    }

    /// Checks that `part` is whole and that it is what `handle` says. The checksum comes first, so
    /// that damage is called damage and everything after it is about a part that once was written.
    pub fn verify(part: &[u8], handle: BlockHandle, table: TableId) -> Result<(), Damage> {
        let Ok((identity, _)) = Identity::ref_from_prefix(part) else {
            return Err(Damage::new(0, "no room for a header"));
        };
        let computed = crc32c(&part[4..]);
        if identity.crc.get() != computed && !planted(Defect::BlockChecksumSkipped) {
            let stored = identity.crc.get();
            let detail = format!("checksum {computed:08x} where {stored:08x} is recorded");
            return Err(Damage::new(0, detail));
        }
        let expected = Identity::new(handle, table);
        let expect = |at: usize, what: &str, found: u64, expected: u64| {
            let detail = || format!("{what} {found} where {expected} belongs");
            (found == expected)
                .then_some(())
                .ok_or_else(|| Damage::new(at, detail()))
        };
        expect(8, "table", identity.table.get(), table.0)?;
        expect(16, "page", identity.page.get().into(), handle.page.into())?;
        expect(4, "kind", identity.kind.into(), expected.kind.into())?;
        if !identity.is_known() {
            expect(5, "format", identity.format.into(), FORMAT_VERSION.into())?;
        }
        expect(
            6,
            "page count",
            identity.pages.get().into(),
            handle.pages.into(),
        )
    }
}

/// Fills the checksum of a finished part in.
pub(super) fn seal(part: &mut [u8]) -> u32 {
    let crc = crc32c(&part[4..]);
    part[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Gives a part that was laid out before its page was known this page, and its checksum.
pub(super) fn settle(part: &mut [u8], page: u32) {
    const PAGE_AT: usize = std::mem::offset_of!(Identity, page);
    part[PAGE_AT..PAGE_AT + 4].copy_from_slice(&page.to_le_bytes());
    seal(part);
}

pub(super) fn handle_to_bytes(handle: BlockHandle) -> [u8; HANDLE_BYTES] {
    let mut bytes = [0; HANDLE_BYTES];
    bytes[..4].copy_from_slice(&handle.page.to_le_bytes());
    bytes[4..].copy_from_slice(&(handle.pages as u16).to_le_bytes());
    bytes
}

pub(super) fn time_to_bytes(millis: u64) -> [u8; TIME_BYTES] {
    let [a, b, c, d, e, f, ..] = millis.to_le_bytes();
    [a, b, c, d, e, f]
}

pub(super) fn time_from_bytes(bytes: &[u8; TIME_BYTES]) -> u64 {
    let [a, b, c, d, e, f] = *bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// The handle in a verified index entry.
pub(super) fn handle_from_bytes(bytes: &[u8; HANDLE_BYTES], kind: BlockKind) -> BlockHandle {
    let [p0, p1, p2, p3, n0, n1] = *bytes;
    BlockHandle {
        page: u32::from_le_bytes([p0, p1, p2, p3]),
        pages: u16::from_le_bytes([n0, n1]).into(),
        kind,
    }
}

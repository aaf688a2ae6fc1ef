//! One place of the index: where a row is, and enough of its hash to pass by others. One word, so that a reader
//! sees all of it or nothing.
//!
//! ```text
//! bit 0        a reader was here
//! bits 1..16   tag: 15 bits of the hash
//! bits 16..64  position: words since the ring was made, which never comes again
//! ```

/// See the module. Zero but for the lowest bit is no row: positions begin behind zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(pub u64);

pub(super) const EMPTY: Entry = Entry(0);
pub(super) const VISITED: u64 = 1;

/// The low 14 bits of a hash chose the shard, so they are alike here; the upper half chooses the bucket.
const TAG_SHIFT: u32 = 16;
const TAG_BITS: u64 = 0xfffe;

impl Entry {
    pub fn new(hash: u64, position: u64) -> Entry {
        Entry(position << 16 | Entry::tag(hash))
    }

    /// The tag of a hash, where it stands in an entry.
    #[inline]
    pub fn tag(hash: u64) -> u64 {
        hash >> TAG_SHIFT & TAG_BITS
    }

    #[inline]
    pub fn position(self) -> u64 {
        self.0 >> 16
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.position() == 0
    }

    #[inline]
    pub fn may_be(self, tag: u64) -> bool {
        self.0 & TAG_BITS == tag && !self.is_empty()
    }

    #[inline]
    pub fn is_visited(self) -> bool {
        self.0 & VISITED != 0
    }
}

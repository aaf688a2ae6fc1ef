//! Gathers entries until their block is full, then lays them out in the shape that takes least.

use ringkeep_io::PAGE;
use zerocopy::IntoBytes;

use super::format::{
    BLOCK_HEADER_BYTES, BlockHeader, Identity, Shape, TAG_ELSEWHERE, TAG_NO_VALUE, TIME_BYTES,
    seal, time_to_bytes,
};
use super::{BlockHandle, TableId};
use crate::Version;
use crate::blob::REFERENCE_BYTES;
use crate::content::{Content, NEVER};

/// Blocks of several entries take at most this many pages.
const BLOCK_PAGES_MAX: usize = 4;
/// A block that would end with more than one part in this many unused takes another page instead:
/// only entries that are large beside a page make it so.
const WASTE_PARTS: usize = 5;
/// A large value leaves no large staging area behind.
const STAGED_BYTES_KEPT: usize = 64 << 10;

const _: () = assert!(BLOCK_PAGES_MAX <= super::format::MIXED_BLOCK_PAGES_MAX);

/// A block in the making.
#[derive(Default)]
pub(super) struct BlockBuilder {
    /// The block takes so many pages before it is asked whether another one pays.
    pages_least: usize,
    /// Keys and bodies, back to back.
    staged: Vec<u8>,
    entries: Vec<Staged>,
    measure: Measure,
}

struct Staged {
    version: Version,
    key_length: u32,
    body_length: u32,
    /// What stands beside the length of the key.
    tag: u16,
}

/// What decides the size of a block.
#[derive(Clone, Copy, Default)]
struct Measure {
    count: usize,
    key_bytes: usize,
    body_bytes: usize,
    prefix_length: usize,
    first_key_length: usize,
    first_body_length: usize,
    keys_alike: bool,
    bodies_alike: bool,
    deleted: usize,
    ending: usize,
    elsewhere: usize,
    oldest: u64,
    newest: u64,
}

impl Measure {
    fn of(key: &[u8], version: Version, content: Content<'_>) -> Measure {
        let (body_length, deleted, ending, elsewhere) = match content {
            Content::Removed => (0, 1, 0, 0),
            Content::Value(value) => (value.len(), 0, 0, 0),
            Content::Until(_, value) => (TIME_BYTES + value.len(), 0, 1, 0),
            Content::Elsewhere(NEVER, _) => (REFERENCE_BYTES, 0, 0, 1),
            Content::Elsewhere(..) => (TIME_BYTES + REFERENCE_BYTES, 0, 1, 1),
        };
        Measure {
            count: 1,
            key_bytes: key.len(),
            body_bytes: body_length,
            prefix_length: key.len(),
            first_key_length: key.len(),
            first_body_length: body_length,
            keys_alike: true,
            bodies_alike: true,
            deleted,
            ending,
            elsewhere,
            oldest: version.0,
            newest: version.0,
        }
    }

    fn with(mut self, prefix_length: usize, one: Measure) -> Measure {
        self.count += 1;
        self.key_bytes += one.key_bytes;
        self.body_bytes += one.body_bytes;
        self.prefix_length = prefix_length;
        self.keys_alike &= one.first_key_length == self.first_key_length;
        self.bodies_alike &= one.first_body_length == self.first_body_length;
        self.deleted += one.deleted;
        self.ending += one.ending;
        self.elsewhere += one.elsewhere;
        self.oldest = self.oldest.min(one.oldest);
        self.newest = self.newest.max(one.newest);
        self
    }

    fn version_bytes(&self) -> usize {
        let bits = u64::BITS - (self.newest - self.oldest).leading_zeros();
        bits.div_ceil(8) as usize
    }

    fn shape(&self) -> Shape {
        let alike = self.keys_alike && self.bodies_alike && self.elsewhere == 0;
        match (self.deleted, self.ending) {
            (0, 0) if alike => Shape::Uniform,
            (deleted, 0) if alike && deleted == self.count => Shape::UniformDeleted,
            (0, ending) if alike && ending == self.count => Shape::UniformEnding,
            _ => Shape::Mixed,
        }
    }

    fn bytes(&self) -> usize {
        let per_entry = match self.shape() {
            Shape::Mixed => 4,
            Shape::Uniform | Shape::UniformDeleted | Shape::UniformEnding => 0,
        };
        let suffix_bytes = self.key_bytes - self.count * self.prefix_length;
        BLOCK_HEADER_BYTES
            + self.prefix_length
            + suffix_bytes
            + self.body_bytes
            + self.count * (per_entry + self.version_bytes())
    }
}

impl BlockBuilder {
    pub fn with_pages(pages_least: usize) -> BlockBuilder {
        BlockBuilder {
            pages_least,
            ..BlockBuilder::default()
        }
    }

    /// For a block that has no entries yet.
    pub fn set_pages(&mut self, pages_least: usize) {
        debug_assert!(self.is_empty());
        self.pages_least = pages_least;
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn pages(&self) -> usize {
        self.measure.bytes().div_ceil(PAGE)
    }

    /// Bytes that are filled so far.
    pub fn bytes(&self) -> usize {
        self.measure.bytes()
    }

    /// Adds an entry, unless the block is better closed before it.
    pub fn push(&mut self, key: &[u8], version: Version, content: Content<'_>) -> bool {
        let one = Measure::of(key, version, content);
        if self.is_empty() {
            self.measure = one;
        } else {
            let first = &self.staged[..self.measure.prefix_length];
            let prefix_length = match key.starts_with(first) {
                true => first.len(),
                false => common_prefix(first, key),
            };
            let grown = self.measure.with(prefix_length, one);
            if !self.worth_growing_to(grown.bytes()) {
                return false;
            }
            self.measure = grown;
        }
        self.staged.extend_from_slice(key);
        if one.ending > 0 {
            self.staged
                .extend_from_slice(&time_to_bytes(content.ends()));
        }
        self.staged.extend_from_slice(match content {
            Content::Removed => &[],
            Content::Value(value) | Content::Until(_, value) => value,
            Content::Elsewhere(_, reference) => reference.as_bytes(),
        });
        self.entries.push(Staged {
            version,
            key_length: key.len() as u32,
            body_length: one.first_body_length as u32,
            tag: ((one.deleted + one.ending) as u16 * TAG_NO_VALUE)
                | (one.elsewhere as u16 * TAG_ELSEWHERE),
        });
        true
    }

    fn worth_growing_to(&self, bytes: usize) -> bool {
        let (now, then) = (self.pages(), bytes.div_ceil(PAGE));
        let wasted = now * PAGE - self.measure.bytes();
        then <= BLOCK_PAGES_MAX.max(self.pages_least)
            && (then <= now.max(self.pages_least) || wasted > now * PAGE / WASTE_PARTS)
    }

    /// Writes the finished block into its pages of zeros and starts the next one.
    pub fn close(&mut self, handle: BlockHandle, table: TableId, out: &mut [u8]) {
        self.lay_out(handle, table, out);
        seal(out);
        self.clear();
    }

    /// Starts the next block.
    pub fn clear(&mut self) {
        self.measure = Measure::default();
        self.staged.clear();
        self.staged.shrink_to(STAGED_BYTES_KEPT);
        self.entries.clear();
    }

    /// Writes the block, but for its checksum, into its pages of zeros.
    pub fn lay_out(&self, handle: BlockHandle, table: TableId, out: &mut [u8]) {
        let measure = &self.measure;
        let shape = measure.shape();
        let version_bytes = measure.version_bytes();
        let prefix_length = measure.prefix_length;
        let uniform = |length: usize| if shape == Shape::Mixed { 0 } else { length };
        let header = BlockHeader {
            identity: Identity::new(handle, table),
            count: (measure.count as u16).into(),
            prefix_length: (prefix_length as u16).into(),
            suffix_length: (uniform(measure.first_key_length - prefix_length) as u16).into(),
            version_bytes: version_bytes as u8,
            shape: shape as u8,
            value_length: (uniform(measure.first_body_length) as u32).into(),
            base: measure.oldest.into(),
        };
        out[..BLOCK_HEADER_BYTES].copy_from_slice(header.as_bytes());
        let mut at = BLOCK_HEADER_BYTES;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
            at
        };
        put(&self.staged[..prefix_length]);
        let mut rest = self.staged.as_slice();
        let mut ends = Vec::with_capacity(if shape == Shape::Mixed {
            measure.count
        } else {
            0
        });
        for entry in &self.entries {
            let (key, after) = rest.split_at(entry.key_length as usize);
            let (body, after) = after.split_at(entry.body_length as usize);
            rest = after;
            let suffix = &key[prefix_length..];
            if shape == Shape::Mixed {
                let tag = (suffix.len() << 1) as u16 | entry.tag;
                put(&tag.to_le_bytes());
            }
            put(&(entry.version.0 - measure.oldest).to_le_bytes()[..version_bytes]);
            put(suffix);
            let end = put(body);
            if shape == Shape::Mixed {
                ends.push(end as u16);
            }
        }
        let table_at = out.len() - 2 * ends.len();
        for (end, out) in ends.iter().zip(out[table_at..].chunks_exact_mut(2)) {
            out.copy_from_slice(&end.to_le_bytes());
        }
    }
}

pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

//! Where the memtable's bytes live: chunks that are only ever appended to, so that an address stays
//! good for as long as the memtable and growing never moves what is there.
//!
//! An address is 16 bits of chunk and 16 bits of offset in units of 4 bytes. Chunks start small, so
//! that a small memtable is small, and double up to 256 KiB. A record that would waste much of a
//! chunk gets one of its own, at offset 0; the chunk that was being filled goes on being filled. Large chunks come from the
//! kernel: the memory of a memtable that is gone is free for everybody.
//!
//! ```text
//! key record      head: u32 address of the newest version | key length u32 | key
//! version record  version u64 | prev: u32 address of the next older one | length u32 | end u64? | value
//! ```
//!
//! Both are padded to 4 bytes. A tombstone has the length `TOMBSTONE` and no value; a value that ends has the
//! bit `ENDS` in its length, and says when. Nothing here is persisted.

use ringkeep_io::Span;

use crate::Version;
use crate::content::Content;

const UNIT: usize = 4;
const CHUNK_BYTES_MIN: usize = 4 << 10;
const CHUNK_BYTES_MAX: usize = UNIT << 16;
const OWN_CHUNK_FROM_BYTES: usize = CHUNK_BYTES_MAX / 4;

const KEY_HEADER: usize = 8;
const VERSION_HEADER: usize = 16;
const PREV_AT: usize = 8;
const TOMBSTONE: u32 = u32::MAX;
const ENDS: u32 = 1 << 31;
const END_BYTES: usize = 8;

const _: () = assert!(crate::limits::VALUE_BYTES_MAX < ENDS as usize);
// A key record and the version record behind it share a chunk, so the second one's offset has to fit.
const _: () = assert!(crate::limits::KEY_BYTES_MAX + KEY_HEADER + UNIT < CHUNK_BYTES_MAX);

/// Where a record is. Valid in the arena that gave it, for that arena's whole life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Address(u32);

impl Address {
    pub(super) const NONE: Address = Address(u32::MAX);

    fn new(chunk: usize, offset: usize) -> Address {
        assert!(
            chunk < usize::from(u16::MAX),
            "a memtable is sealed long before it has 65,535 chunks"
        );
        Address((chunk as u32) << 16 | (offset / UNIT) as u32)
    }

    fn chunk(self) -> usize {
        (self.0 >> 16) as usize
    }

    fn offset(self) -> usize {
        (self.0 as usize & 0xffff) * UNIT
    }

    fn forward(self, bytes: usize) -> Address {
        Address(self.0 + (bytes / UNIT) as u32)
    }
}

/// One version of a key.
pub(super) struct VersionRecord<'a> {
    pub version: Version,
    pub prev: Address,
    pub content: Content<'a>,
}

#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Chunk>,
    filling: usize,
    capacity_bytes: usize,
    /// Much is coming: large chunks are taken from huge pages.
    is_bulk: bool,
    spans: Vec<Span>,
}

struct Chunk {
    memory: Memory,
    used: usize,
}

enum Memory {
    Boxed(Box<[u8]>),
    Span(Span),
}

impl Arena {
    /// One that will be filled at once: see [`Span`].
    pub fn bulk() -> Arena {
        Arena {
            is_bulk: true,
            ..Arena::default()
        }
    }

    /// Memory taken for chunks.
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Adds a key with its first version and returns the key's address.
    #[inline]
    pub fn add_key(&mut self, key: &[u8], version: Version, content: Content<'_>) -> Address {
        let key_bytes = (KEY_HEADER + key.len()).next_multiple_of(UNIT);
        let (address, record) = self.room(key_bytes + version_bytes(content));
        let (key_record, version_record) = record.split_at_mut(key_bytes);
        key_record[..4].copy_from_slice(&address.forward(key_bytes).0.to_le_bytes());
        key_record[4..KEY_HEADER].copy_from_slice(&(key.len() as u32).to_le_bytes());
        key_record[KEY_HEADER..][..key.len()].copy_from_slice(key);
        write_version(version_record, version, Address::NONE, content);
        address
    }

    /// Adds a version. Nothing leads to it yet.
    pub fn add_version(&mut self, version: Version, content: Content<'_>) -> Address {
        let (address, record) = self.room(version_bytes(content));
        write_version(record, version, Address::NONE, content);
        address
    }

    /// Links an added version in at its place in the chain of a key, normally the head. True if it replaces one:
    /// of two changes of one key in one commit the last one wins.
    pub fn link(&mut self, key: Address, added: Address) -> bool {
        let version = self.version(added).version;
        let (mut newer, mut next) = (Address::NONE, self.head(key));
        let mut replaces = false;
        while next != Address::NONE {
            let record = self.version(next);
            if record.version <= version {
                replaces = record.version == version;
                if replaces {
                    next = record.prev;
                }
                break;
            }
            newer = next;
            next = record.prev;
        }
        self.set_prev(added, next);
        match newer {
            Address::NONE => self.set_head(key, added),
            newer => self.set_prev(newer, added),
        }
        replaces
    }

    #[inline]
    pub fn key(&self, key: Address) -> &[u8] {
        let record = self.record(key);
        let length = read_u32(record, 4) as usize;
        &record[KEY_HEADER..KEY_HEADER + length]
    }

    /// The newest version of a key.
    #[inline]
    pub fn head(&self, key: Address) -> Address {
        Address(read_u32(self.record(key), 0))
    }

    #[inline]
    pub fn version(&self, version: Address) -> VersionRecord<'_> {
        let record = self.record(version);
        let length = read_u32(record, 12);
        VersionRecord {
            version: Version(u64::from(read_u32(record, 0)) | u64::from(read_u32(record, 4)) << 32),
            prev: Address(read_u32(record, PREV_AT)),
            content: match length < ENDS {
                true => Content::Value(&record[VERSION_HEADER..][..length as usize]),
                false => removed_or_ending(record, length),
            },
        }
    }

    /// Reads something of each of the first cache lines of a key and what follows it, so that they
    /// are near when they are needed.
    #[inline]
    pub fn touch(&self, key: Address) -> u8 {
        let record = self.record(key);
        let line = |at: usize| record.get(at).copied().unwrap_or_default();
        line(0) ^ line(64) ^ line(128)
    }

    /// Takes its version away from a key that is there twice.
    pub fn abandon(&mut self, key: Address) {
        self.set_head(key, Address::NONE);
    }

    fn set_head(&mut self, key: Address, head: Address) {
        self.write_u32(key, 0, head.0);
    }

    fn set_prev(&mut self, version: Address, prev: Address) {
        self.write_u32(version, PREV_AT, prev.0);
    }

    #[inline]
    fn record(&self, address: Address) -> &[u8] {
        &self.chunks[address.chunk()].bytes()[address.offset()..]
    }

    fn write_u32(&mut self, address: Address, at: usize, value: u32) {
        let start = address.offset() + at;
        let chunk = self.chunks[address.chunk()].bytes_mut();
        chunk[start..start + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// The next `bytes`, which are zero, and their address.
    #[inline]
    fn room(&mut self, bytes: usize) -> (Address, &mut [u8]) {
        let index = match self.chunks.get(self.filling) {
            Some(chunk) if bytes < OWN_CHUNK_FROM_BYTES && chunk.room() >= bytes => self.filling,
            _ => self.chunk_for(bytes),
        };
        let chunk = &mut self.chunks[index];
        let start = chunk.used;
        chunk.used += bytes;
        let address = Address::new(index, start);
        (address, &mut chunk.bytes_mut()[start..start + bytes])
    }

    #[cold]
    fn chunk_for(&mut self, bytes: usize) -> usize {
        if bytes >= OWN_CHUNK_FROM_BYTES {
            return self.add_chunk(bytes);
        }
        let last = self.chunks.get(self.filling).map_or(0, Chunk::capacity);
        let next = (2 * last).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        self.filling = self.add_chunk(next.max(bytes));
        self.filling
    }

    fn add_chunk(&mut self, bytes: usize) -> usize {
        let memory = match self.span(bytes) {
            Some(span) => Memory::Span(span),
            None => Memory::Boxed(vec![0; bytes].into()),
        };
        self.capacity_bytes += bytes;
        self.chunks.push(Chunk { memory, used: 0 });
        self.chunks.len() - 1
    }

    fn span(&mut self, bytes: usize) -> Option<Span> {
        if bytes < CHUNK_BYTES_MAX {
            return None;
        }
        if !self.is_bulk || bytes > CHUNK_BYTES_MAX {
            return Span::alone(bytes);
        }
        if self.spans.is_empty() {
            self.spans = Span::several(CHUNK_BYTES_MAX);
        }
        self.spans.pop()
    }
}

impl Chunk {
    fn capacity(&self) -> usize {
        self.bytes().len()
    }

    fn room(&self) -> usize {
        self.capacity() - self.used
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Boxed(bytes) => bytes,
            Memory::Span(span) => span,
        }
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Boxed(bytes) => bytes,
            Memory::Span(span) => span,
        }
    }
}

#[inline]
fn version_bytes(content: Content<'_>) -> usize {
    let body = match content {
        Content::Removed => 0,
        Content::Value(value) => value.len(),
        Content::Until(_, value) => END_BYTES + value.len(),
        Content::Elsewhere(..) => unreachable!("only tables refer to blob files"),
    };
    (VERSION_HEADER + body).next_multiple_of(UNIT)
}

/// Padding is zero already.
#[inline]
fn write_version(record: &mut [u8], version: Version, prev: Address, content: Content<'_>) {
    record[..PREV_AT].copy_from_slice(&version.0.to_le_bytes());
    record[PREV_AT..12].copy_from_slice(&prev.0.to_le_bytes());
    let (length, value_at, value) = match content {
        Content::Removed => (TOMBSTONE, VERSION_HEADER, &[][..]),
        Content::Value(value) => (value.len() as u32, VERSION_HEADER, value),
        Content::Until(until, value) => {
            record[VERSION_HEADER..][..END_BYTES].copy_from_slice(&until.to_le_bytes());
            let length = value.len() as u32 | ENDS;
            (length, VERSION_HEADER + END_BYTES, value)
        }
        Content::Elsewhere(..) => unreachable!("only tables refer to blob files"),
    };
    record[12..VERSION_HEADER].copy_from_slice(&length.to_le_bytes());
    record[value_at..][..value.len()].copy_from_slice(value);
}

#[cold]
fn removed_or_ending(record: &[u8], length: u32) -> Content<'_> {
    if length == TOMBSTONE {
        return Content::Removed;
    }
    let low = u64::from(read_u32(record, VERSION_HEADER));
    let high = u64::from(read_u32(record, VERSION_HEADER + 4));
    let value = &record[VERSION_HEADER + END_BYTES..][..(length & !ENDS) as usize];
    Content::Until(low | high << 32, value)
}

#[inline]
fn read_u32(record: &[u8], at: usize) -> u32 {
    let bytes = record[at..at + 4].first_chunk::<4>();
    u32::from_le_bytes(*bytes.expect("four bytes were sliced"))
}

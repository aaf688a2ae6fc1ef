//! The bytes of a trace file, version 1. Little endian.
//!
//! ```text
//! head    magic "RKTRACE\0" 8 | version u32 | flags u32 (1: raw keys) | one in N u32 | 0 u32
//!         | started, ns since 1970 u64 | CRC32C of all before u32 | 0 u32                          = 40 bytes
//! block   magic "RKTB" 4 | payload bytes u32 | records u32 | base, ns since the start u64
//!         | CRC32C of all before and of the payload u32                                            = 24 bytes
//! record  varint ns since the record before (first: since the base) | operation u8 | fields varint
//!         | one varint for each set bit of fields | varint keys | each key
//! key     8 bytes of a keyed hash, or varint length and the bytes
//! ```
//!
//! A reader takes fields whose bit it does not know for what they are: varints to skip. A file may end within a
//! block, because the recording process may die; a block that is whole and does not match its checksum is damage.

use crc_fast::{CrcAlgorithm, Digest};

use super::Trace;
use crate::workload::OpKind;

const MAGIC: &[u8; 8] = b"RKTRACE\0";
const BLOCK_MAGIC: &[u8; 4] = b"RKTB";
/// The version that this code writes and reads.
pub const VERSION: u32 = 1;
const HEAD_BYTES: usize = 40;
const BLOCK_HEAD_BYTES: usize = 24;
/// A block is closed when it is longer than this.
pub const BLOCK_BYTES: usize = 64 * 1024;
/// No block is longer than this, or something else is wrong.
const BLOCK_BYTES_MAX: usize = 64 << 20;

const RAW_KEYS: u32 = 1;

const KEY_SIZE: u64 = 1;
const VALUE_SIZE: u64 = 1 << 1;
const ENTRIES: u64 = 1 << 2;
const ABSENT: u64 = 1 << 3;

/// How keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// As a hash under a secret that nobody keeps.
    Anonymous,
    /// As they are.
    Raw,
}

/// What a trace says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How keys are kept.
    pub keys: Keys,
    /// One in this many keys is in the trace, with everything that happened to it.
    pub one_in: u32,
    /// When recording began.
    pub started_unix_ns: u64,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Only which one.
    Hash(u64),
    /// Itself.
    Raw(Vec<u8>),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Since the start.
    pub at_ns: u64,
    /// What was done.
    pub op: OpKind,
    /// To which keys.
    pub keys: Vec<Key>,
    /// Bytes of each key.
    pub key_size: u32,
    /// Bytes of each value written; 0 for reads.
    pub value_size: u32,
    /// Entries asked of a scan.
    pub entries: u32,
    /// A read that found nothing.
    pub absent: bool,
}

/// The head's bytes.
pub fn encode_head(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    let flags = match head.keys {
        Keys::Anonymous => 0,
        Keys::Raw => RAW_KEYS,
    };
    bytes.extend(flags.to_le_bytes());
    bytes.extend(head.one_in.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(head.started_unix_ns.to_le_bytes());
    bytes.extend(crc32c(&[&bytes]).to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes
}

fn decode_head(bytes: &[u8]) -> Result<Head, String> {
    if bytes.len() < HEAD_BYTES || &bytes[..8] != MAGIC {
        return Err("this is not a trace; `loadgen trace convert` reads other formats".to_string());
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if word(8) != VERSION {
        return Err(format!(
            "the trace has version {}, this program reads {VERSION}; use the loadgen that wrote it",
            word(8)
        ));
    }
    if crc32c(&[&bytes[..32]]) != word(32) {
        return Err("the head of the trace is damaged".to_string());
    }
    Ok(Head {
        keys: match word(12) {
            0 => Keys::Anonymous,
            RAW_KEYS => Keys::Raw,
            flags => return Err(format!("unknown flags {flags:#x}")),
        },
        one_in: word(16).max(1),
        started_unix_ns: u64::from_le_bytes(bytes[24..32].try_into().expect("eight bytes")),
    })
}

/// Collects records of one thread, which must come in the order of time.
#[derive(Debug)]
pub struct BlockBuilder {
    keys: Keys,
    base_ns: u64,
    last_ns: u64,
    count: u32,
    payload: Vec<u8>,
}

impl BlockBuilder {
    /// An empty block.
    pub fn new(keys: Keys) -> BlockBuilder {
        BlockBuilder {
            keys,
            base_ns: 0,
            last_ns: 0,
            count: 0,
            payload: Vec::new(),
        }
    }

    /// Is it time to take it?
    pub fn is_full(&self) -> bool {
        self.payload.len() >= BLOCK_BYTES
    }

    /// Adds a record. A key of the other kind than the trace's is kept as a hash of itself.
    pub fn push(&mut self, record: &Record) {
        if self.count == 0 {
            self.base_ns = record.at_ns;
            self.last_ns = record.at_ns;
        }
        self.count += 1;
        let out = &mut self.payload;
        varint(record.at_ns.saturating_sub(self.last_ns), out);
        self.last_ns = record.at_ns.max(self.last_ns);
        out.push(op_code(record.op));
        let fields = [
            (KEY_SIZE, u64::from(record.key_size)),
            (VALUE_SIZE, u64::from(record.value_size)),
            (ENTRIES, u64::from(record.entries)),
            (ABSENT, u64::from(record.absent)),
        ];
        let set: u64 = fields
            .iter()
            .filter(|field| field.1 > 0)
            .map(|field| field.0)
            .sum();
        varint(set, out);
        for (_, value) in fields.iter().filter(|field| field.1 > 0) {
            varint(*value, out);
        }
        varint(record.keys.len() as u64, out);
        for key in &record.keys {
            match (self.keys, key) {
                (Keys::Raw, Key::Raw(bytes)) => {
                    varint(bytes.len() as u64, out);
                    out.extend(bytes);
                }
                (Keys::Raw, Key::Hash(hash)) => {
                    varint(8, out);
                    out.extend(hash.to_le_bytes());
                }
                (Keys::Anonymous, Key::Hash(hash)) => out.extend(hash.to_le_bytes()),
                (Keys::Anonymous, Key::Raw(bytes)) => {
                    out.extend(xxhash_rust::xxh3::xxh3_64(bytes).to_le_bytes());
                }
            }
        }
    }

    /// The block's bytes, none if it is empty; the builder is empty again.
    pub fn take(&mut self) -> Vec<u8> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(BLOCK_HEAD_BYTES + self.payload.len());
        bytes.extend(BLOCK_MAGIC);
        bytes.extend((self.payload.len() as u32).to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.base_ns.to_le_bytes());
        bytes.extend(crc32c(&[&bytes, &self.payload]).to_le_bytes());
        bytes.append(&mut self.payload);
        self.count = 0;
        bytes
    }
}

/// A whole file.
pub fn decode(bytes: &[u8]) -> Result<Trace, String> {
    let head = decode_head(bytes)?;
    let mut records = Vec::new();
    let mut rest = &bytes[HEAD_BYTES..];
    let mut torn_bytes = 0;
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        if rest.len() < BLOCK_HEAD_BYTES {
            torn_bytes = rest.len();
            break;
        }
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
        let length = word(4) as usize;
        if &rest[..4] != BLOCK_MAGIC || length > BLOCK_BYTES_MAX {
            return Err(format!(
                "no block begins at byte {offset}: the trace is damaged"
            ));
        }
        if rest.len() < BLOCK_HEAD_BYTES + length {
            torn_bytes = rest.len();
            break;
        }
        let payload = &rest[BLOCK_HEAD_BYTES..BLOCK_HEAD_BYTES + length];
        if crc32c(&[&rest[..20], payload]) != word(20) {
            return Err(format!("the block at byte {offset} is damaged"));
        }
        let base_ns = u64::from_le_bytes(rest[12..20].try_into().expect("eight bytes"));
        decode_block(payload, word(8), base_ns, head.keys, &mut records)
            .ok_or_else(|| format!("the block at byte {offset} does not hold what it says"))?;
        rest = &rest[BLOCK_HEAD_BYTES + length..];
    }
    // Each thread wrote blocks of its own.
    records.sort_by_key(|record| record.at_ns);
    Ok(Trace {
        head,
        records,
        torn_bytes,
    })
}

fn decode_block(
    mut payload: &[u8],
    count: u32,
    base_ns: u64,
    keys: Keys,
    records: &mut Vec<Record>,
) -> Option<()> {
    let mut at_ns = base_ns;
    for _ in 0..count {
        at_ns = at_ns.checked_add(take_varint(&mut payload)?)?;
        let op = from_code(*take(&mut payload, 1)?.first()?)?;
        let set = take_varint(&mut payload)?;
        let mut record = Record {
            at_ns,
            op,
            keys: Vec::new(),
            key_size: 0,
            value_size: 0,
            entries: 0,
            absent: false,
        };
        for bit in 0..64 {
            if set & (1 << bit) == 0 {
                continue;
            }
            let value = take_varint(&mut payload)?;
            match 1 << bit {
                KEY_SIZE => record.key_size = u32::try_from(value).ok()?,
                VALUE_SIZE => record.value_size = u32::try_from(value).ok()?,
                ENTRIES => record.entries = u32::try_from(value).ok()?,
                ABSENT => record.absent = value > 0,
                _ => {}
            }
        }
        for _ in 0..take_varint(&mut payload)? {
            record.keys.push(match keys {
                Keys::Anonymous => {
                    let hash = take(&mut payload, 8)?;
                    Key::Hash(u64::from_le_bytes(hash.try_into().ok()?))
                }
                Keys::Raw => {
                    let length = usize::try_from(take_varint(&mut payload)?).ok()?;
                    Key::Raw(take(&mut payload, length)?.to_vec())
                }
            });
        }
        records.push(record);
    }
    payload.is_empty().then_some(())
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The numbers of operations are part of the format.
fn op_code(op: OpKind) -> u8 {
    match op {
        OpKind::Get => 0,
        OpKind::MultiGet => 1,
        OpKind::Put => 2,
        OpKind::Insert => 3,
        OpKind::Delete => 4,
        OpKind::Scan => 5,
        OpKind::Rmw => 6,
        OpKind::Batch => 7,
    }
}

fn from_code(code: u8) -> Option<OpKind> {
    OpKind::ALL.into_iter().find(|&op| op_code(op) == code)
}

fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        keys: Keys::Anonymous,
        one_in: 10,
        started_unix_ns: 0x1122_3344_5566_7788,
    };

    fn records() -> Vec<Record> {
        let get = Record {
            at_ns: 1000,
            op: OpKind::Get,
            keys: vec![Key::Hash(0x0102_0304_0506_0708)],
            key_size: 24,
            value_size: 0,
            entries: 0,
            absent: true,
        };
        let batch = Record {
            at_ns: 1300,
            op: OpKind::Batch,
            keys: vec![Key::Hash(1), Key::Hash(2)],
            value_size: 1024,
            absent: false,
            ..get.clone()
        };
        vec![get, batch]
    }

    fn file(head: &Head, records: &[Record]) -> Vec<u8> {
        let mut bytes = encode_head(head);
        let mut block = BlockBuilder::new(head.keys);
        records.iter().for_each(|record| block.push(record));
        bytes.extend(block.take());
        bytes
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_bytes() {
        let bytes = file(&HEAD, &records());
        let (head, block) = bytes.split_at(HEAD_BYTES);
        assert_eq!(hex(head), GOLDEN_HEAD);
        assert_eq!(hex(block), GOLDEN_BLOCK);
    }

    const GOLDEN_HEAD: &str =
        "524b54524143450001000000000000000a000000000000008877665544332211b0bb6a3e00000000";
    const GOLDEN_BLOCK: &str = "524b54422600000002000000e8030000000000001f8b16a30000091801010807060504030201ac020703188008020100\
         0000000000000200000000000000";

    #[test]
    fn what_is_written_is_read() {
        let trace = decode(&file(&HEAD, &records())).unwrap();
        assert_eq!((trace.head, trace.torn_bytes), (HEAD, 0));
        assert_eq!(trace.records, records());
        let raw = Head {
            keys: Keys::Raw,
            ..HEAD
        };
        let mut one = records();
        one.truncate(1);
        one[0].keys = vec![Key::Raw(b"user:1".to_vec())];
        assert_eq!(decode(&file(&raw, &one)).unwrap().records, one);
    }

    #[test]
    fn a_torn_end_is_counted_and_every_flipped_bit_is_refused() {
        let bytes = file(&HEAD, &records());
        for end in HEAD_BYTES..bytes.len() {
            let trace = decode(&bytes[..end]).unwrap();
            assert_eq!(trace.torn_bytes, end - HEAD_BYTES);
            assert!(trace.records.is_empty());
        }
        for at in 0..bytes.len() {
            // The last word of the head is padding that nothing covers or reads.
            if (36..40).contains(&at) {
                continue;
            }
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            // A longer length makes the block look torn; then nothing of it is believed.
            let read = decode(&bad);
            assert!(
                read.as_ref().is_err() || read.as_ref().unwrap().records.is_empty(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        let mut bytes = file(&HEAD, &records());
        bytes[8] = 2;
        assert!(decode(&bytes).unwrap_err().contains("version 2"));
        assert!(decode(b"hello").unwrap_err().contains("not a trace"));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let mut payload = Vec::new();
        varint(5, &mut payload);
        payload.push(0);
        varint(KEY_SIZE | 1 << 20, &mut payload);
        varint(24, &mut payload);
        varint(99, &mut payload);
        varint(0, &mut payload);
        let mut found = Vec::new();
        decode_block(&payload, 1, 100, Keys::Anonymous, &mut found).unwrap();
        assert_eq!((found[0].at_ns, found[0].key_size), (105, 24));
    }
}

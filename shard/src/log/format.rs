//! The bytes of the log.
//!
//! A segment file is a row of frames, each starting on a 4 KiB boundary:
//!
//! ```text
//! byte  0  magic "RKLG"            4  format version u16     6  flags u16
//!       8  store id [16]
//!      24  shard u16   26  time u48: milliseconds since 1970 when the group was formed; 0 = not kept
//!      32  segment u64   40 epoch u64   48 sequence u64
//!      56  durable u64: the highest sequence known durable when this frame was written
//!      64  version u64: of all writes in the group; of several groups, of the first
//!      72  payload bytes u32        76  checksum of the previous frame's header u32
//!      80  payload checksum u32     84  checksum of bytes 0 to 83 u32
//!      88  payload, zeroes to the next boundary
//! ```
//!
//! Flags: 1 = the group goes on in the next frame, 2 = closing frame of a log gone idle, 4 = the last frame that an opening
//! has put here from the tail: nothing in the tail leads on from it.
//! The payloads of a group, joined, are a row of records:
//!
//! ```text
//! 1 put      key length, value length (varints), key, value
//! 2 delete   key length (varint), key
//! 3 prepare  transaction u64, coordinator u16, operations (varint), puts and deletes
//! 4 decide   transaction u64, participants (varint), u16 each, operations (varint), puts and deletes
//! 5 outcome  transaction u64, version u64 (0 = aborted)
//! 6 put      key length, value length (varints), time u48 from which on it is absent, key, value
//! 7 range    length of both ends (varints), first key, first key behind the range: all between are deleted
//! ```
//!
//! A slot that was never used begins with an empty frame of segment 0, epoch 0 and sequence 0, which no other has, so that it is told
//! from one whose first frame is damaged. Slots made before this was so hold zeroes alone.
//!
//! Where puts and deletes are named, 6 and 7 are meant as well. A frame that does not go on in the next one may hold
//! several groups. Each then begins with
//!
//! ```text
//! 8 group    version u64, time u48 as in a header: of the records up to the next one of these
//! ```
//!
//! Version 2 is this without groups.

use ringkeep_io::PAGE;
use std::sync::Arc;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::call::{Change, Op};
use crate::checksum::crc32c;
use crate::content::Content;
use crate::limits::{
    BATCH_OPS_MAX, COUNTER_MAX, KEY_BYTES_MAX, RANGE_END_BYTES_MAX, SHARDS_MAX, VALUE_BYTES_MAX,
};
use crate::ranges::RangeDelete;
use crate::shard::{Identity, TransactionId};
use crate::varint;
use crate::version::{ShardId, Version};

pub(crate) const MAGIC: [u8; 4] = *b"RKLG";
pub(crate) const FORMAT_VERSION: u16 = 3;
/// The oldest that is read.
pub(crate) const FORMAT_WITHOUT_GROUPS: u16 = 2;
pub(crate) const HEADER_BYTES: usize = 88;

const TIME_BYTES: usize = 6;

const FLAG_CONTINUES: u16 = 1;
const FLAG_CLOSING: u16 = 2;
const FLAG_ENDS_TAIL: u16 = 4;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct HeaderBytes {
    magic: [u8; 4],
    format: U16,
    flags: U16,
    store: [u8; 16],
    shard: U16,
    time: [u8; 6],
    segment: U64,
    epoch: U64,
    sequence: U64,
    durable: U64,
    version: U64,
    payload_bytes: U32,
    previous_crc: U32,
    payload_crc: U32,
    crc: U32,
}

const _: () = assert!(size_of::<HeaderBytes>() == HEADER_BYTES);

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct FrameHeader {
    pub segment: u64,
    pub epoch: u64,
    pub sequence: u64,
    pub durable: u64,
    pub version: Version,
    pub millis: u64,
    pub continues: bool,
    pub closing: bool,
    pub ends_tail: bool,
    pub payload_bytes: u32,
    pub previous_crc: u32,
    pub payload_crc: u32,
    /// The checksum of this header, which covers the payload through `payload_crc`.
    pub crc: u32,
}

/// How much of the file a frame with this payload takes.
pub(crate) fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(PAGE)
}

impl FrameHeader {
    /// What a slot begins with that was never used.
    pub const UNUSED: FrameHeader = FrameHeader {
        segment: 0,
        epoch: 0,
        sequence: 0,
        durable: 0,
        version: Version(0),
        millis: 0,
        continues: false,
        closing: false,
        ends_tail: false,
        payload_bytes: 0,
        previous_crc: 0,
        payload_crc: 0,
        crc: 0,
    };

    pub fn is_unused(&self) -> bool {
        self.epoch == FrameHeader::UNUSED.epoch
    }

    /// Completes the frame in `frame`, whose payload is in place: fills the header in, clears the
    /// padding, and returns the header with its checksums.
    pub fn seal(mut self, identity: &Identity, frame: &mut [u8]) -> FrameHeader {
        let payload = self.payload_bytes as usize;
        let end = HEADER_BYTES + payload;
        frame[end..frame_bytes(payload)].fill(0);
        self.payload_crc = crc32c(&frame[HEADER_BYTES..end]);
        let flags = if self.continues { FLAG_CONTINUES } else { 0 }
            | if self.closing { FLAG_CLOSING } else { 0 }
            | if self.ends_tail { FLAG_ENDS_TAIL } else { 0 };
        let mut bytes = HeaderBytes {
            magic: MAGIC,
            format: FORMAT_VERSION.into(),
            flags: flags.into(),
            store: identity.store,
            shard: identity.shard.0.into(),
            time: low_bytes(self.millis),
            segment: self.segment.into(),
            epoch: self.epoch.into(),
            sequence: self.sequence.into(),
            durable: self.durable.into(),
            version: self.version.0.into(),
            payload_bytes: self.payload_bytes.into(),
            previous_crc: self.previous_crc.into(),
            payload_crc: self.payload_crc.into(),
            crc: 0.into(),
        };
        self.crc = crc32c(&bytes.as_bytes()[..HEADER_BYTES - 4]);
        bytes.crc = self.crc.into();
        frame[..HEADER_BYTES].copy_from_slice(bytes.as_bytes());
        self
    }

    /// Reads a header. Nothing unless it is whole, of this format and of this very shard. The
    /// length is believed only because the checksum covers it.
    pub fn read(identity: &Identity, frame: &[u8]) -> Option<FrameHeader> {
        if !frame.starts_with(&MAGIC) {
            return None;
        }
        let (bytes, _) = HeaderBytes::read_from_prefix(frame).ok()?;
        let ours = bytes.store == identity.store && bytes.shard.get() == identity.shard.0;
        let whole = bytes.crc.get() == crc32c(&bytes.as_bytes()[..HEADER_BYTES - 4]);
        if !ours || !whole || !is_read(bytes.format.get()) {
            return None;
        }
        let numbers = [
            bytes.segment,
            bytes.epoch,
            bytes.sequence,
            bytes.durable,
            bytes.version,
        ];
        if numbers.iter().any(|number| number.get() >= COUNTER_MAX) {
            return None;
        }
        Some(FrameHeader {
            segment: bytes.segment.get(),
            epoch: bytes.epoch.get(),
            sequence: bytes.sequence.get(),
            durable: bytes.durable.get(),
            version: Version(bytes.version.get()),
            millis: from_low_bytes(bytes.time),
            continues: bytes.flags.get() & FLAG_CONTINUES != 0,
            closing: bytes.flags.get() & FLAG_CLOSING != 0,
            ends_tail: bytes.flags.get() & FLAG_ENDS_TAIL != 0,
            payload_bytes: bytes.payload_bytes.get(),
            previous_crc: bytes.previous_crc.get(),
            payload_crc: bytes.payload_crc.get(),
            crc: bytes.crc.get(),
        })
    }

    /// The format version of a frame of ours whose header is whole, whatever that version is.
    pub fn format_of(frame: &[u8]) -> Option<u16> {
        let (bytes, _) = HeaderBytes::read_from_prefix(frame).ok()?;
        let whole = bytes.crc.get() == crc32c(&bytes.as_bytes()[..HEADER_BYTES - 4]);
        (bytes.magic == MAGIC && whole).then(|| bytes.format.get())
    }
}

/// Whether this build reads a format version.
pub(crate) fn is_read(format: u16) -> bool {
    (FORMAT_WITHOUT_GROUPS..=FORMAT_VERSION).contains(&format)
}

/// 48 bits of milliseconds last until the year 10889.
fn low_bytes(millis: u64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = millis.to_le_bytes();
    [a, b, c, d, e, f]
}

fn from_low_bytes([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// One record of a group beside its single changes, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Prepare {
        transaction: TransactionId,
        coordinator: ShardId,
        ops: Arc<Vec<Op>>,
    },
    Decide {
        transaction: TransactionId,
        participants: Vec<ShardId>,
        ops: Vec<Op>,
    },
    Outcome {
        transaction: TransactionId,
        version: Option<Version>,
    },
    Group {
        version: Version,
        millis: u64,
    },
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const PREPARE: u8 = 3;
const DECIDE: u8 = 4;
const OUTCOME: u8 = 5;
const PUT_UNTIL: u8 = 6;
const RANGE: u8 = 7;
const GROUP: u8 = 8;

/// At most this many bytes of an operation beside key and value: kind, two lengths and a time.
pub(crate) const OP_OVERHEAD: usize = 1 + 3 + 5 + TIME_BYTES;

/// At most this many bytes of any other record beside its operations.
pub(crate) const RECORD_OVERHEAD: usize = 1 + 8 + 5 + 2 * SHARDS_MAX as usize + 5;

/// The bytes of the record that begins a group.
pub(crate) const GROUP_BYTES: usize = 1 + 8 + TIME_BYTES;

/// Appends one operation.
pub(crate) fn push_op(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Put { key, value } => {
            out.push(PUT);
            varint::push(out, key.len() as u64);
            varint::push(out, value.len() as u64);
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
        Op::PutUntil { key, value, until } => {
            out.push(PUT_UNTIL);
            varint::push(out, key.len() as u64);
            varint::push(out, value.len() as u64);
            out.extend_from_slice(&low_bytes(*until));
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
        Op::Delete { key } => {
            out.push(DELETE);
            varint::push(out, key.len() as u64);
            out.extend_from_slice(key);
        }
        Op::DeleteRange { from, to } => {
            out.push(RANGE);
            varint::push(out, from.len() as u64);
            varint::push(out, to.len() as u64);
            out.extend_from_slice(from);
            out.extend_from_slice(to);
        }
    }
}

fn push_ops(out: &mut Vec<u8>, ops: &[Op]) {
    varint::push(out, ops.len() as u64);
    for op in ops {
        push_op(out, op);
    }
}

/// Appends one record.
pub(crate) fn push_record(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Prepare {
            transaction,
            coordinator,
            ops,
        } => {
            out.push(PREPARE);
            out.extend_from_slice(&transaction.0.to_le_bytes());
            out.extend_from_slice(&coordinator.0.to_le_bytes());
            push_ops(out, ops);
        }
        Record::Decide {
            transaction,
            participants,
            ops,
        } => {
            out.push(DECIDE);
            out.extend_from_slice(&transaction.0.to_le_bytes());
            varint::push(out, participants.len() as u64);
            for participant in participants {
                out.extend_from_slice(&participant.0.to_le_bytes());
            }
            push_ops(out, ops);
        }
        Record::Outcome {
            transaction,
            version,
        } => {
            out.push(OUTCOME);
            out.extend_from_slice(&transaction.0.to_le_bytes());
            out.extend_from_slice(&version.map_or(0, |v| v.0).to_le_bytes());
        }
        Record::Group { version, millis } => {
            out.push(GROUP);
            out.extend_from_slice(&version.0.to_le_bytes());
            out.extend_from_slice(&low_bytes(*millis));
        }
    }
}

/// One record of a group's payload, whose changes stay where they lie.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    Change(Change<'a>),
    Range(Span<'a>),
    Prepare {
        transaction: TransactionId,
        coordinator: ShardId,
        changes: Changes<'a>,
    },
    Decide {
        transaction: TransactionId,
        participants: Vec<ShardId>,
        changes: Changes<'a>,
    },
    Outcome {
        transaction: TransactionId,
        version: Option<Version>,
    },
    Group {
        version: Version,
        millis: u64,
    },
}

/// A range delete where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    from: &'a [u8],
    to: &'a [u8],
}

impl From<Span<'_>> for Op {
    fn from(span: Span<'_>) -> Op {
        Op::DeleteRange {
            from: span.from.into(),
            to: span.to.into(),
        }
    }
}

impl Span<'_> {
    pub fn at(&self, version: Version) -> RangeDelete {
        RangeDelete {
            from: self.from.into(),
            to: self.to.into(),
            version,
        }
    }
}

/// The changes of single keys in one part of a commit, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes<'a>(&'a [u8]);

impl<'a> Changes<'a> {
    /// Changes that were taken off a payload before, and copied.
    pub fn of(bytes: &'a [u8]) -> Changes<'a> {
        Changes(bytes)
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The range deletes among them.
    pub fn ranges(self) -> impl Iterator<Item = Span<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                match take_range(&mut rest) {
                    Some(span) => return Some(span),
                    None => take_change(&mut rest)?,
                };
            }
            None
        })
    }

    /// All of them in order.
    pub fn ops(mut self) -> Vec<Op> {
        let next = || match take_range(&mut self.0) {
            Some(span) => Some(span.into()),
            None => take_change(&mut self.0).map(Op::from),
        };
        std::iter::from_fn(next).collect()
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        loop {
            match take_change(&mut self.0) {
                None => take_range(&mut self.0)?,
                change => return change,
            };
        }
    }
}

/// Takes one record off the front of a group's payload; nothing when it does not parse.
pub(crate) fn take_record<'a>(input: &mut &'a [u8]) -> Option<Read<'a>> {
    let (&kind, rest) = input.split_first()?;
    match kind {
        PUT | DELETE | PUT_UNTIL => take_change(input).map(Read::Change),
        RANGE => take_range(input).map(Read::Range),
        PREPARE => {
            *input = rest;
            Some(Read::Prepare {
                transaction: TransactionId(take_u64(input)?),
                coordinator: ShardId(take_u16(input)?),
                changes: take_changes(input)?,
            })
        }
        DECIDE => {
            *input = rest;
            let transaction = TransactionId(take_u64(input)?);
            let count = varint::take(input)?;
            if count > u64::from(SHARDS_MAX) {
                return None;
            }
            let participants = (0..count)
                .map(|_| take_u16(input).map(ShardId))
                .collect::<Option<Vec<_>>>()?;
            Some(Read::Decide {
                transaction,
                participants,
                changes: take_changes(input)?,
            })
        }
        OUTCOME => {
            *input = rest;
            let transaction = TransactionId(take_u64(input)?);
            let version = take_u64(input)?;
            Some(Read::Outcome {
                transaction,
                version: (version != 0).then_some(Version(version)),
            })
        }
        GROUP => {
            *input = rest;
            let version = take_u64(input).filter(|version| *version < COUNTER_MAX)?;
            Some(Read::Group {
                version: Version(version),
                millis: take_time(input)?,
            })
        }
        _ => None,
    }
}

fn take_changes<'a>(input: &mut &'a [u8]) -> Option<Changes<'a>> {
    let count = usize::try_from(varint::take(input)?).ok()?;
    if count > BATCH_OPS_MAX {
        return None;
    }
    let all = *input;
    for _ in 0..count {
        if take_range(input).is_none() {
            take_change(input)?;
        }
    }
    Some(Changes(&all[..all.len() - input.len()]))
}

/// Takes one range delete off the front; where something else comes next, or damage, nothing is taken.
fn take_range<'a>(input: &mut &'a [u8]) -> Option<Span<'a>> {
    let (&RANGE, mut rest) = input.split_first()? else {
        return None;
    };
    let mut length = || {
        let bytes = usize::try_from(varint::take(&mut rest)?).ok()?;
        (bytes <= RANGE_END_BYTES_MAX).then_some(bytes)
    };
    let (from, to) = (length()?, length()?);
    let span = Span {
        from: take(&mut rest, from)?,
        to: take(&mut rest, to)?,
    };
    *input = rest;
    (span.from < span.to).then_some(span)
}

/// Takes one single change off the front; where something else comes next, or damage, nothing is taken.
pub(crate) fn take_change<'a>(input: &mut &'a [u8]) -> Option<Change<'a>> {
    let (&kind, mut rest) = input.split_first()?;
    if !matches!(kind, PUT | DELETE | PUT_UNTIL) {
        return None;
    }
    let key_bytes = varint::take(&mut rest)?;
    if key_bytes == 0 || key_bytes > KEY_BYTES_MAX as u64 {
        return None;
    }
    let value_bytes = match kind {
        DELETE => None,
        _ => Some(varint::take(&mut rest)?),
    };
    if value_bytes.is_some_and(|bytes| bytes > VALUE_BYTES_MAX as u64) {
        return None;
    }
    let until = match kind {
        PUT_UNTIL => Some(take_time(&mut rest)?),
        _ => None,
    };
    let key = take(&mut rest, key_bytes as usize)?;
    let content = match (value_bytes, until) {
        (None, _) => Content::Removed,
        (Some(bytes), None) => Content::Value(take(&mut rest, bytes as usize)?),
        (Some(bytes), Some(until)) => Content::Until(until, take(&mut rest, bytes as usize)?),
    };
    *input = rest;
    Some(Change { key, content })
}

fn take_time(input: &mut &[u8]) -> Option<u64> {
    take(input, TIME_BYTES)?.try_into().ok().map(from_low_bytes)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(front)
}

fn take_u16(input: &mut &[u8]) -> Option<u16> {
    take(input, 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    take(input, 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            store: *b"0123456789abcdef",
            shard: ShardId(3),
            shards: 8,
        }
    }

    fn put(key: &[u8], value: &[u8]) -> Op {
        Op::Put {
            key: key.into(),
            value: value.into(),
        }
    }

    #[test]
    fn golden_header() {
        let header = FrameHeader {
            segment: 1,
            epoch: 2,
            sequence: 3,
            durable: 4,
            version: Version(5),
            millis: 0x0605_0403_0201,
            continues: true,
            payload_bytes: 3,
            previous_crc: 0x0a0b_0c0d,
            ..FrameHeader::default()
        };
        let mut frame = vec![0xee; PAGE];
        frame[HEADER_BYTES..HEADER_BYTES + 3].copy_from_slice(b"abc");
        let sealed = header.seal(&identity(), &mut frame);
        let hex: String = frame[..80].iter().map(|b| format!("{b:02x}")).collect();
        let expected = "524b4c47 0300 0100 30313233343536373839616263646566 0300 010203040506 \
             0100000000000000 0200000000000000 0300000000000000 0400000000000000 \
             0500000000000000 03000000 0d0c0b0a";
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(hex, expected);
        assert_eq!(sealed.payload_crc, crc32c(b"abc"));
        assert!(frame[HEADER_BYTES + 3..].iter().all(|b| *b == 0));
        assert_eq!(FrameHeader::read(&identity(), &frame), Some(sealed));
        let mut older = frame.clone();
        older[4] = 2;
        let crc = crc32c(&older[..HEADER_BYTES - 4]);
        older[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        let read = FrameHeader::read(&identity(), &older).map(|header| header.version);
        assert_eq!(
            read,
            Some(Version(5)),
            "without groups, but for that the same"
        );
        let mut other = identity();
        other.shard = ShardId(4);
        assert_eq!(FrameHeader::read(&other, &frame), None);
        for bit in 0..HEADER_BYTES * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::read(&identity(), &frame), None, "bit {bit}");
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn golden_head_of_a_slot_that_was_never_used() {
        let mut frame = vec![0xee; PAGE];
        let sealed = FrameHeader::UNUSED.seal(&identity(), &mut frame);
        let (head, rest) = frame.split_at(HEADER_BYTES);
        let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
        let zeroes = "00".repeat(5 * 8 + 3 * 4);
        let expected = "524b4c47 0300 0000 30313233343536373839616263646566 0300 000000000000";
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(hex, expected + &zeroes + "4ee46f3a");
        assert!(rest.iter().all(|b| *b == 0));
        assert!(sealed.is_unused());
        assert_eq!(FrameHeader::read(&identity(), &frame), Some(sealed));
    }

    fn owned(read: Read<'_>) -> std::result::Result<Record, Op> {
        let owned = |changes: Changes<'_>| changes.ops();
        Ok(match read {
            Read::Range(span) => return Err(span.into()),
            Read::Change(change) => return Err(change.into()),
            Read::Prepare {
                transaction,
                coordinator,
                changes,
            } => Record::Prepare {
                transaction,
                coordinator,
                ops: owned(changes).into(),
            },
            Read::Decide {
                transaction,
                participants,
                changes,
            } => Record::Decide {
                transaction,
                participants,
                ops: owned(changes),
            },
            Read::Outcome {
                transaction,
                version,
            } => Record::Outcome {
                transaction,
                version,
            },
            Read::Group { version, millis } => Record::Group { version, millis },
        })
    }

    #[test]
    fn golden_records() {
        let records = [
            (Err(put(b"k", b"vv")), "01 01 02 6b 7676"),
            (
                Err(Op::PutUntil {
                    key: (*b"k").into(),
                    value: (*b"vv").into(),
                    until: 0x0605_0403_0201,
                }),
                "06 01 02 010203040506 6b 7676",
            ),
            (
                Err(Op::Delete {
                    key: (*b"kk").into(),
                }),
                "02 02 6b6b",
            ),
            (
                Err(Op::DeleteRange {
                    from: (*b"k").into(),
                    to: (*b"mm").into(),
                }),
                "07 01 02 6b 6d6d",
            ),
            (
                Ok(Record::Prepare {
                    transaction: TransactionId(9),
                    coordinator: ShardId(1),
                    ops: vec![
                        put(b"a", b""),
                        Op::DeleteRange {
                            from: Vec::new(),
                            to: (*b"b").into(),
                        },
                    ]
                    .into(),
                }),
                "03 0900000000000000 0100 02 01 01 00 61 07 00 01 62",
            ),
            (
                Ok(Record::Prepare {
                    transaction: TransactionId(9),
                    coordinator: ShardId(1),
                    ops: vec![put(b"a", b"")].into(),
                }),
                "03 0900000000000000 0100 01 01 01 00 61",
            ),
            (
                Ok(Record::Decide {
                    transaction: TransactionId(9),
                    participants: vec![ShardId(0), ShardId(2)],
                    ops: vec![],
                }),
                "04 0900000000000000 02 0000 0200 00",
            ),
            (
                Ok(Record::Outcome {
                    transaction: TransactionId(9),
                    version: Some(Version(10)),
                }),
                "05 0900000000000000 0a00000000000000",
            ),
            (
                Ok(Record::Group {
                    version: Version(10),
                    millis: 0x0605_0403_0201,
                }),
                "08 0a00000000000000 010203040506",
            ),
        ];
        for (record, expected) in records {
            let mut bytes = Vec::new();
            match &record {
                Ok(record) => push_record(&mut bytes, record),
                Err(change) => push_op(&mut bytes, change),
            }
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let expected: String = expected.split_whitespace().collect();
            assert_eq!(hex, expected);
            for cut in 0..bytes.len() {
                assert!(take_record(&mut &bytes[..cut]).is_none());
            }
            let mut rest = bytes.as_slice();
            let read = take_record(&mut rest).expect("it parses");
            assert_eq!(owned(read), record);
            assert!(rest.is_empty());
        }
    }
}

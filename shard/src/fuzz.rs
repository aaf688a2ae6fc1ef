//! A door to every decoder for `engine/fuzz`, which feeds it bytes that nobody wrote. No part of the interface: it
//! promises nothing, and holds nothing that a shard uses.
//!
//! A decoder may refuse bytes. It may not panic, allocate by what they say, or take what it could not have written:
//! what is read is written again and read once more, and must be the same.

use std::collections::BTreeMap;

use ringkeep_io::PAGE;

use crate::blob::{BlobId, BlobShare};
use crate::call::Op;
use crate::checksum::crc32c;
use crate::log::format::{
    Changes, FrameHeader, HEADER_BYTES, Read, Record, frame_bytes, push_op, push_record,
    take_record,
};
use crate::log::tail::{self, format::Head};
use crate::manifest::{LogPiece, Manifest, PieceEnd, Run};
use crate::needs::Need;
use crate::ranges::RangeDelete;
use crate::shard::{Identity, TransactionId};
use crate::superblock::Superblock;
use crate::table::{TableId, TableSummary, fuzz as table};
use crate::varint;
use crate::version::{ShardId, Version};

pub use crate::table::fuzz::{block, block_seeds, filter, filter_seeds, table, table_seeds};

const IDENTITY: Identity = Identity {
    store: *b"a store to fuzz.",
    shard: ShardId(0),
    shards: 1,
};

/// What follows the first byte of an input, and that byte. Its lowest bit asks for checksums that match: behind
/// a checksum no mutation gets anywhere, and whoever forges a file forges those too.
pub fn split(input: &[u8]) -> Option<(u8, &[u8])> {
    input.split_first().map(|(flags, rest)| (*flags, rest))
}

pub(crate) const MENDED: u8 = 1;

/// Numbers of variable length.
pub fn varint(input: &[u8]) {
    let mut rest = input;
    while let Some(value) = varint::take(&mut rest) {
        let mut bytes = Vec::new();
        varint::push(&mut bytes, value);
        assert_eq!(varint::take(&mut bytes.as_slice()), Some(value));
    }
}

/// Numbers of every width.
pub fn varint_seeds() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    for value in [0, 127, 128, 1 << 35, u64::MAX] {
        varint::push(&mut bytes, value);
    }
    vec![bytes]
}

/// A frame of the log, and the records in it.
pub fn log(input: &[u8]) {
    let Some((flags, bytes)) = split(input) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flags & MENDED != 0 {
        mend_frame(&mut bytes);
    }
    FrameHeader::format_of(&bytes);
    if let Some(header) = FrameHeader::read(&IDENTITY, &bytes) {
        let payload = header.payload_bytes as usize;
        if let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + payload) {
            let mut frame = vec![0xee; frame_bytes(payload.len())];
            frame[HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
            let sealed = header.seal(&IDENTITY, &mut frame);
            assert_eq!(FrameHeader::read(&IDENTITY, &frame), Some(sealed));
            records(payload);
        }
    }
    records(&bytes);
}

fn records(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let before = rest.len();
        let Some(read) = take_record(&mut rest) else {
            break;
        };
        assert!(rest.len() < before, "a record of no bytes");
        let (read, mut again) = (owned(&read), Vec::new());
        match &read {
            Ok(record) => push_record(&mut again, record),
            Err(op) => push_op(&mut again, op),
        }
        let mut again = again.as_slice();
        let twice = take_record(&mut again).expect("what was written is read");
        assert!(again.is_empty() && owned(&twice) == read);
    }
}

fn owned(read: &Read<'_>) -> Result<Record, Op> {
    let ops = |changes: &Changes<'_>| changes.ops();
    Ok(match read {
        Read::Change(change) => return Err((*change).into()),
        Read::Range(span) => return Err((*span).into()),
        Read::Prepare {
            transaction,
            coordinator,
            changes,
        } => Record::Prepare {
            transaction: *transaction,
            coordinator: *coordinator,
            ops: ops(changes).into(),
        },
        Read::Decide {
            transaction,
            participants,
            changes,
        } => Record::Decide {
            transaction: *transaction,
            participants: participants.clone(),
            ops: ops(changes),
        },
        Read::Outcome {
            transaction,
            version,
        } => Record::Outcome {
            transaction: *transaction,
            version: *version,
        },
        Read::Group { version, millis } => Record::Group {
            version: *version,
            millis: *millis,
        },
    })
}

/// A frame with a record of every kind.
pub fn log_seeds() -> Vec<Vec<u8>> {
    let put = Op::Put {
        key: (*b"a key").into(),
        value: (*b"its value").into(),
    };
    let delete = Op::Delete {
        key: (*b"another").into(),
    };
    let mut payload = Vec::new();
    let put_until = Op::PutUntil {
        key: (*b"a third").into(),
        value: (*b"for a while").into(),
        until: 1 << 40,
    };
    push_op(&mut payload, &put);
    push_op(&mut payload, &delete);
    push_op(&mut payload, &put_until);
    let delete_range = Op::DeleteRange {
        from: Vec::new(),
        to: (*b"b").into(),
    };
    push_op(&mut payload, &delete_range);
    let records = [
        Record::Prepare {
            transaction: TransactionId(7),
            coordinator: ShardId(1),
            ops: vec![put.clone(), delete].into(),
        },
        Record::Decide {
            transaction: TransactionId(7),
            participants: vec![ShardId(0), ShardId(1)],
            ops: vec![put],
        },
        Record::Outcome {
            transaction: TransactionId(7),
            version: Some(Version(9)),
        },
        Record::Group {
            version: Version(10),
            millis: 11,
        },
    ];
    for record in &records {
        push_record(&mut payload, record);
    }
    let mut frame = vec![0; frame_bytes(payload.len())];
    frame[HEADER_BYTES..][..payload.len()].copy_from_slice(&payload);
    let header = FrameHeader {
        sequence: 1,
        payload_bytes: payload.len() as u32,
        ..FrameHeader::default()
    };
    header.seal(&IDENTITY, &mut frame);
    frame.truncate(HEADER_BYTES + payload.len());
    flagged([frame, payload])
}

/// A tail of the log.
pub fn tail(input: &[u8]) {
    let Some((flags, bytes)) = split(input) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flags & MENDED != 0 {
        mend_tail(&mut bytes);
    }
    let next = u64::from(flags >> 1);
    let mut before: Option<u64> = None;
    for owed in tail::owed(&bytes, &IDENTITY, 1, next) {
        assert!(owed.sequence >= next && before.is_none_or(|before| owed.sequence == before + 1));
        before = Some(owed.sequence);
        records(&owed.payload);
    }
}

/// Two frames in two halves.
pub fn tail_seeds() -> Vec<Vec<u8>> {
    let mut file = vec![0; 512];
    for (number, (at, sequence, place)) in (1..).zip([(0, 0, 0), (88, 0, 1), (256, 1, 0)]) {
        let (mut payload, mut entry) = (Vec::new(), Vec::new());
        let version = Version(number);
        push_record(&mut payload, &Record::Group { version, millis: 5 });
        push_op(
            &mut payload,
            &Op::Delete {
                key: (*b"k").into(),
            },
        );
        let head = Head {
            epoch: 1,
            sequence,
            number,
            place,
        };
        head.seal(&IDENTITY, &payload, &mut entry);
        file[at..][..entry.len()].copy_from_slice(&entry);
    }
    flagged([file])
}

/// A manifest. What stands behind its checksum, which the superblock holds.
pub fn manifest(input: &[u8]) {
    if let Ok(manifest) = Manifest::decode(input) {
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }
}

/// A manifest with some of everything.
pub fn manifest_seeds() -> Vec<Vec<u8>> {
    let piece = LogPiece {
        epoch: 1,
        first_segment: 1,
        first_sequence: 1,
        end: None,
    };
    let table = TableSummary {
        id: TableId(8),
        file_bytes: 8192,
        entries: 10,
        tombstones: 1,
        keys: 6,
        ending: 2,
        last_end: 1 << 40,
        oldest: Version(3),
        newest: Version(9),
        cleared: Version(7),
        cleared_of: vec![(3, Version(8))],
        footer_crc: 0x0102_0304,
        first_key: (*b"a").into(),
        last_key: (*b"zz").into(),
        blobs: vec![BlobShare {
            file: BlobId(7),
            file_bytes: 8192,
            bytes: 4096,
        }],
    };
    let end = Some(PieceEnd {
        sequence: 80,
        crc: 5,
    });
    let manifest = Manifest {
        next_table: 9,
        log_slots: 3,
        segment_bytes: 1 << 20,
        pieces: vec![LogPiece { end, ..piece }, piece],
        runs: vec![Run {
            from: (*b"k").into(),
            tables: vec![table],
        }],
        ranges: vec![RangeDelete {
            from: (*b"b").into(),
            to: (*b"c").into(),
            version: Version(9),
        }],
        own: [(2, Need::default()), (300, Need::default())].into(),
        ..Manifest::default()
    };
    vec![manifest.encode(), Manifest::default().encode()]
}

/// A copy of the superblock.
pub fn superblock(input: &[u8]) {
    let Some((flags, bytes)) = split(input) else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if flags & MENDED != 0 {
        seal_superblock(&mut bytes);
    }
    for copy in 0..4 {
        if let Ok(superblock) = Superblock::decode(copy, &bytes) {
            let mut page = vec![0; PAGE];
            superblock.encode(copy, &mut page);
            assert_eq!(Superblock::decode(copy, &page), Ok(superblock));
        }
    }
}

/// One copy each.
pub fn superblock_seeds() -> Vec<Vec<u8>> {
    let superblock = Superblock {
        identity: IDENTITY,
        sequence: 5,
        manifest_bytes: 200,
        manifest_crc: 6,
        parent_crc: 7,
    };
    let pages = [0, 3].map(|copy| {
        let mut page = vec![0; PAGE];
        superblock.encode(copy, &mut page);
        page.truncate(SUPERBLOCK_BYTES);
        page
    });
    flagged(pages)
}

/// Each as it is, and once more with its checksums to be mended.
pub(crate) fn flagged(seeds: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let both = |seed: Vec<u8>| [0, MENDED].map(|flags| [&[flags], seed.as_slice()].concat());
    seeds.into_iter().flat_map(both).collect()
}

// Where the sums lie is written out in the pages of each format.
const SUPERBLOCK_BYTES: usize = 72;
const MANIFEST_SUM_AT: usize = 56;

fn seal_superblock(copy: &mut [u8]) {
    if copy.len() >= SUPERBLOCK_BYTES {
        sum_up(copy, SUPERBLOCK_BYTES - 4);
    }
}

/// Writes the checksum of all bytes before `at` to there.
fn sum_up(bytes: &mut [u8], at: usize) {
    let crc = crc32c(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn mend_frame(frame: &mut [u8]) {
    if frame.len() < HEADER_BYTES {
        return;
    }
    let length = u32::from_le_bytes([frame[72], frame[73], frame[74], frame[75]]) as usize;
    if let Some(payload) = frame.get(HEADER_BYTES..HEADER_BYTES.saturating_add(length)) {
        let crc = crc32c(payload);
        frame[80..84].copy_from_slice(&crc.to_le_bytes());
    }
    sum_up(frame, HEADER_BYTES - 4);
}

fn mend_tail(file: &mut [u8]) {
    let half = tail::half_bytes(file.len());
    for start in [0, half] {
        let mut at = start;
        while let Some(entry) = file
            .get_mut(at..)
            .filter(|rest| rest.len() >= tail::format::HEADER_BYTES)
        {
            let length = u32::from_le_bytes([entry[52], entry[53], entry[54], entry[55]]) as usize;
            let Some(entry) = entry.get_mut(..tail::format::HEADER_BYTES.saturating_add(length))
            else {
                break;
            };
            let crc = crc32c(&entry[4..]);
            entry[..4].copy_from_slice(&crc.to_le_bytes());
            at += tail::format::entry_bytes(length);
        }
    }
}

/// Makes the checksums in the files of one shard match what they are over, as far as they can be found: those of
/// frames, of the parts of tables, of footers in the manifest, of the manifest in the superblock.
pub fn mend(files: &mut BTreeMap<String, Vec<u8>>) {
    let mut footers = BTreeMap::new();
    for (name, bytes) in files.iter_mut() {
        if name == tail::FILE_NAME {
            mend_tail(bytes);
        } else if name.starts_with("log-") {
            let frames = bytes.chunks_mut(PAGE).map(|page| page.starts_with(b"RKLG"));
            let frames: Vec<usize> = (0..).zip(frames).filter(|f| f.1).map(|f| f.0).collect();
            for page in frames {
                mend_frame(&mut bytes[page * PAGE..]);
            }
        } else if let Some(number) = crate::table_set::table_number(name) {
            footers.insert(TableId(number), table::mend(bytes, TableId(number)));
        }
    }
    let Some(mut superblock) = files.remove(crate::superblock::FILE_NAME) else {
        return;
    };
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (sequence, length) = (word(&superblock, 40), word(&superblock, 48));
    if let (Some(sequence), Some(length)) = (sequence, length)
        && let Some(file) = files.get_mut(crate::manifest::FILE_NAMES[(sequence % 2) as usize])
        && let Some(bytes) = file.get_mut(..length as usize)
    {
        if let Ok(mut manifest) = Manifest::decode(bytes) {
            let tables = manifest.runs.iter_mut().flat_map(|run| &mut run.tables);
            for table in tables {
                table.footer_crc = footers.get(&table.id).copied().unwrap_or(table.footer_crc);
            }
            let again = manifest.encode();
            if let Some(same) = bytes.get_mut(..again.len()) {
                same.copy_from_slice(&again);
            }
        }
        let crc = crc32c(bytes);
        for copy in superblock.chunks_mut(64 << 10) {
            if copy.len() >= SUPERBLOCK_BYTES {
                copy[MANIFEST_SUM_AT..][..4].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }
    superblock.chunks_mut(64 << 10).for_each(seal_superblock);
    files.insert(crate::superblock::FILE_NAME.into(), superblock);
}

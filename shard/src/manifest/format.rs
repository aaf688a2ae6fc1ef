//! The bytes of a manifest: the whole state of a shard's files, written anew at each change.
//!
//! ```text
//! magic "RKMANIF\0", format version u32, zero u32
//! next table u64, replay after u64 and flushed u64 (log sequences), newest version u64, history from u64,
//!     ended by u64 (milliseconds since 1970)
//! log slots u32, zero u32, segment bytes u64
//! pieces u32, then each: epoch, first segment, first sequence, last sequence (all u64; the last one
//!     is 2^64-1 while the piece is open), last checksum u32
//! runs u32, then each, newest first: from (u16 length, bytes), tables u32, then each table:
//!     id, file bytes, entries, tombstones, keys, values that end, the last end in milliseconds since 1970,
//!     oldest version, newest version, cleared of range deletes up to version (u64; the last not in format 5),
//!     footer checksum u32, first key (u16 length, bytes), last key (u16 length, bytes), keyspaces that are cleared up to
//!     later versions u32, then each: number u32, version u64 (these not in formats 5 and 6), blob files that it refers
//!     to u32, then each: number, bytes of the file, bytes that it refers to (u64; these not in formats 5 to 7)
//! moments u32, then each: milliseconds since 1970, version (u64)
//! range deletes u32, then each: version u64, first key (u16 length, bytes), first key behind it (u16 length, bytes);
//!     not in format 5
//! keyspaces with a window of their own u32, then each, by number: number u32, history from u64, ended by u64; not in
//!     formats 5 and 6
//! ```
//!
//! Little-endian, padded with zeroes to whole 4 KiB pages. Its length and checksum stand in the
//! superblock that refers to it, so it has none of its own.

use std::collections::BTreeMap;

use ringkeep_io::PAGE;

use crate::blob::{BlobId, BlobShare};
use crate::limits::{COUNTER_MAX, KEY_BYTES_MAX, RANGE_END_BYTES_MAX};
use crate::needs::{Need, Needs};
use crate::ranges::RangeDelete;
use crate::table::{TableId, TableSummary};
use crate::timeline::Moment;
use crate::version::Version;

pub(crate) const MAGIC: [u8; 8] = *b"RKMANIF\0";
pub(crate) const FORMAT_VERSION: u32 = 8;
/// Without blob files, and otherwise the same.
const FORMAT_WITHOUT_BLOBS: u32 = 7;
/// Without keyspaces that have a window of their own as well.
const FORMAT_WITHOUT_WINDOWS: u32 = 6;
/// Without range deletes as well.
const FORMAT_WITHOUT_RANGES: u32 = 5;
const OPEN_END: u64 = u64::MAX;

/// Everything that a shard must know to open its files.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Manifest {
    /// The id that the next table gets. Ids are never used twice.
    pub next_table: u64,
    /// Log frames up to this sequence are not needed any more.
    pub replay_after: u64,
    /// The changes of frames up to this sequence are in tables. Those of them behind `replay_after` are kept
    /// for what they say of batches over several shards, and for nothing else: a tail that a power cut took
    /// from the log may be in tables, so what is replayed must never lie above them.
    pub flushed: u64,
    /// The newest version in tables.
    pub newest: Version,
    /// Reads at or above this version find all that they must: merges have dropped what only reads below it
    /// could see.
    pub history_from: Version,
    /// Merges have dropped values that had ended by then: milliseconds since 1970.
    pub ended_by: u64,
    /// How many log files there are, each of `segment_bytes`.
    pub log_slots: u32,
    pub segment_bytes: u64,
    /// The log's epochs whose frames may still be needed, oldest first; the last one is open.
    pub pieces: Vec<LogPiece>,
    /// Sorted runs, newest first.
    pub runs: Vec<Run>,
    /// When commits were that the log does not tell any more.
    pub moments: Vec<Moment>,
    /// Range deletes that still hide something in tables.
    pub ranges: Vec<RangeDelete>,
    /// As `history_from` and `ended_by`, of keyspaces that have a window of their own: those are for all others.
    pub own: BTreeMap<u32, Need>,
}

/// The frames that one incarnation of the shard wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogPiece {
    pub epoch: u64,
    pub first_segment: u64,
    pub first_sequence: u64,
    /// Set when the next incarnation took over: its log ends exactly here.
    pub end: Option<PieceEnd>,
}

impl LogPiece {
    /// Whether all its frames are in tables, as those up to and with `replay_after` are. One that is still written never is.
    pub fn is_dead(&self, replay_after: u64) -> bool {
        self.end.is_some_and(|end| end.sequence <= replay_after)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PieceEnd {
    pub sequence: u64,
    pub crc: u32,
}

/// Tables that do not overlap, in key order.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Run {
    /// Entries below this key are in the output of a merge that goes on here; empty when there is none.
    pub from: Box<[u8]>,
    pub tables: Vec<TableSummary>,
}

impl Manifest {
    /// From here on this may be missing: all that is let go so far.
    pub fn let_go(&mut self, gone: &Needs) {
        self.history_from = self.history_from.max(gone.common.watermark);
        self.ended_by = self.ended_by.max(gone.common.ended_by);
        // It has what is here already, but for keyspaces that are gone.
        self.own.clone_from(&gone.own);
    }

    /// What may be missing.
    pub fn gone(&self) -> Needs {
        Needs {
            common: Need {
                watermark: self.history_from,
                whole_from: self.history_from,
                ended_by: self.ended_by,
            },
            own: self.own.clone(),
            unread: true,
            ..Needs::default()
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(&MAGIC);
        put_u32(&mut out, FORMAT_VERSION);
        put_u32(&mut out, 0);
        let words = [
            self.next_table,
            self.replay_after,
            self.flushed,
            self.newest.0,
            self.history_from.0,
            self.ended_by,
        ];
        for word in words {
            put_u64(&mut out, word);
        }
        put_u32(&mut out, self.log_slots);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.segment_bytes);
        put_u32(&mut out, self.pieces.len() as u32);
        for piece in &self.pieces {
            put_u64(&mut out, piece.epoch);
            put_u64(&mut out, piece.first_segment);
            put_u64(&mut out, piece.first_sequence);
            put_u64(&mut out, piece.end.map_or(OPEN_END, |end| end.sequence));
            put_u32(&mut out, piece.end.map_or(0, |end| end.crc));
        }
        put_u32(&mut out, self.runs.len() as u32);
        for run in &self.runs {
            put_key(&mut out, &run.from);
            put_u32(&mut out, run.tables.len() as u32);
            for table in &run.tables {
                put_table(&mut out, table);
            }
        }
        put_u32(&mut out, self.moments.len() as u32);
        for moment in &self.moments {
            put_u64(&mut out, moment.millis);
            put_u64(&mut out, moment.version.0);
        }
        put_u32(&mut out, self.ranges.len() as u32);
        for range in &self.ranges {
            put_u64(&mut out, range.version.0);
            put_key(&mut out, &range.from);
            put_key(&mut out, &range.to);
        }
        put_u32(&mut out, self.own.len() as u32);
        for (number, gone) in &self.own {
            put_u32(&mut out, *number);
            put_u64(&mut out, gone.watermark.0);
            put_u64(&mut out, gone.ended_by);
        }
        out
    }

    /// Reads a manifest back. The caller has checked the checksum; a manifest of another release or
    /// one that does not parse still gives an error and never a panic.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, Unreadable> {
        let mut input = Input { rest: bytes };
        if input.take(8)? != MAGIC {
            return Err(Unreadable::Damaged);
        }
        let format = input.u32()?;
        if !(FORMAT_WITHOUT_RANGES..=FORMAT_VERSION).contains(&format) {
            return Err(Unreadable::Format(format));
        }
        input.u32()?;
        let mut manifest = Manifest {
            next_table: input.u64()?,
            replay_after: input.u64()?,
            flushed: input.u64()?,
            newest: Version(input.u64()?),
            history_from: Version(input.u64()?),
            ended_by: input.u64()?,
            log_slots: input.u32()?,
            ..Manifest::default()
        };
        input.u32()?;
        manifest.segment_bytes = input.u64()?;
        for _ in 0..input.u32()? {
            let (epoch, first_segment, first_sequence) = (input.u64()?, input.u64()?, input.u64()?);
            let (sequence, crc) = (input.u64()?, input.u32()?);
            manifest.pieces.push(LogPiece {
                epoch,
                first_segment,
                first_sequence,
                end: (sequence != OPEN_END).then_some(PieceEnd { sequence, crc }),
            });
        }
        for _ in 0..input.u32()? {
            let mut run = Run {
                from: input.key()?,
                ..Run::default()
            };
            for _ in 0..input.u32()? {
                run.tables.push(input.table(format)?);
            }
            manifest.runs.push(run);
        }
        for _ in 0..input.u32()? {
            let (millis, version) = (input.u64()?, Version(input.u64()?));
            manifest.moments.push(Moment { millis, version });
        }
        let ranges = match format {
            FORMAT_WITHOUT_RANGES => 0,
            _ => input.u32()?,
        };
        for _ in 0..ranges {
            manifest.ranges.push(RangeDelete {
                version: Version(input.u64()?),
                from: input.bytes(RANGE_END_BYTES_MAX)?,
                to: input.bytes(RANGE_END_BYTES_MAX)?,
            });
        }
        let own = match format {
            ..=FORMAT_WITHOUT_WINDOWS => 0,
            _ => input.u32()?,
        };
        for _ in 0..own {
            let number = input.u32()?;
            let watermark = Version(input.u64()?);
            let gone = Need {
                watermark,
                whole_from: watermark,
                ended_by: input.u64()?,
            };
            manifest.own.insert(number, gone);
        }
        if input.rest.iter().any(|byte| *byte != 0) || !manifest.is_sound() {
            return Err(Unreadable::Damaged);
        }
        Ok(manifest)
    }

    /// What the code that uses it relies on: no arithmetic on its numbers overflows, and searches find their order.
    /// A checksum says that it was written; not by whom.
    fn is_sound(&self) -> bool {
        let counts = |number: u64| number < COUNTER_MAX;
        let numbers = [
            self.next_table,
            self.replay_after,
            self.flushed,
            self.newest.0,
            self.ended_by,
            self.segment_bytes,
        ];
        let pieces = self.pieces.iter().all(|piece| {
            let starts = [piece.epoch, piece.first_segment, piece.first_sequence];
            starts.into_iter().all(counts) && piece.end.is_none_or(|end| counts(end.sequence))
        });
        let table = |table: &TableSummary| {
            let bounded = [table.id.0, table.oldest.0, table.newest.0, table.cleared.0];
            let of_keyspaces = table.cleared_of.iter();
            bounded.into_iter().all(counts)
                && of_keyspaces.map(|(_, version)| version.0).all(counts)
                && table.id.0 < self.next_table
                && table.file_bytes.is_multiple_of(PAGE as u64)
                && table.file_bytes / (PAGE as u64) <= u64::from(u32::MAX)
                && table.entries <= table.file_bytes
                && table.tombstones.max(table.keys).max(table.ending) <= table.entries
                && table.oldest <= table.newest
                && table.first_key <= table.last_key
                && table.blobs.iter().all(|share| self.is_sound_share(share))
        };
        let run = |run: &Run| {
            let pairs = run.tables.windows(2);
            let mut pairs = pairs.map(|pair| pair[0].last_key < pair[1].first_key);
            !run.tables.is_empty() && run.tables.iter().all(table) && pairs.all(|ordered| ordered)
        };
        let moment = |moment: &Moment| counts(moment.millis) && counts(moment.version.0);
        let range = |range: &RangeDelete| counts(range.version.0) && range.from < range.to;
        let own = |gone: &Need| counts(gone.watermark.0) && counts(gone.ended_by);
        numbers.into_iter().all(counts)
            && self.moments.iter().all(moment)
            && self.ranges.iter().all(range)
            && self.own.values().all(own)
            && pieces
            && self.runs.iter().all(run)
    }
}

impl Manifest {
    fn is_sound_share(&self, share: &BlobShare) -> bool {
        share.file.0 < self.next_table
            && share.file_bytes.is_multiple_of(PAGE as u64)
            && share.file_bytes / (PAGE as u64) <= u64::from(u32::MAX)
            && share.bytes <= share.file_bytes
    }
}

/// Why bytes are not a manifest of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Damaged,
    Format(u32),
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_table(out: &mut Vec<u8>, table: &TableSummary) {
    for word in [
        table.id.0,
        table.file_bytes,
        table.entries,
        table.tombstones,
        table.keys,
        table.ending,
        table.last_end,
        table.oldest.0,
        table.newest.0,
        table.cleared.0,
    ] {
        put_u64(out, word);
    }
    put_u32(out, table.footer_crc);
    put_key(out, &table.first_key);
    put_key(out, &table.last_key);
    put_u32(out, table.cleared_of.len() as u32);
    for (number, version) in &table.cleared_of {
        put_u32(out, *number);
        put_u64(out, version.0);
    }
    put_u32(out, table.blobs.len() as u32);
    for share in &table.blobs {
        for word in [share.file.0, share.file_bytes, share.bytes] {
            put_u64(out, word);
        }
    }
}

fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    out.extend_from_slice(&(key.len() as u16).to_le_bytes());
    out.extend_from_slice(key);
}

/// What is left to read; every length is checked before it is believed.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (front, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Unreadable::Damaged)?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| Unreadable::Damaged)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().map(u64::from_le_bytes)
    }

    fn key(&mut self) -> Result<Box<[u8]>, Unreadable> {
        self.bytes(KEY_BYTES_MAX)
    }

    fn bytes(&mut self, max: usize) -> Result<Box<[u8]>, Unreadable> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > max {
            return Err(Unreadable::Damaged);
        }
        Ok(self.take(length)?.into())
    }

    fn table_key(&mut self) -> Result<Box<[u8]>, Unreadable> {
        let key = self.key()?;
        (!key.is_empty()).then_some(key).ok_or(Unreadable::Damaged)
    }

    fn table(&mut self, format: u32) -> Result<TableSummary, Unreadable> {
        Ok(TableSummary {
            id: TableId(self.u64()?),
            file_bytes: self.u64()?,
            entries: self.u64()?,
            tombstones: self.u64()?,
            keys: self.u64()?,
            ending: self.u64()?,
            last_end: self.u64()?,
            oldest: Version(self.u64()?),
            newest: Version(self.u64()?),
            cleared: match format {
                FORMAT_WITHOUT_RANGES => Version(0),
                _ => Version(self.u64()?),
            },
            footer_crc: self.u32()?,
            first_key: self.table_key()?,
            last_key: self.table_key()?,
            cleared_of: match format {
                ..=FORMAT_WITHOUT_WINDOWS => Vec::new(),
                _ => self.cleared_of()?,
            },
            blobs: match format {
                ..=FORMAT_WITHOUT_BLOBS => Vec::new(),
                _ => self.blobs()?,
            },
        })
    }

    fn blobs(&mut self) -> Result<Vec<BlobShare>, Unreadable> {
        // No more memory than there are bytes, whatever the count says.
        let mut all = Vec::new();
        for _ in 0..self.u32()? {
            all.push(BlobShare {
                file: BlobId(self.u64()?),
                file_bytes: self.u64()?,
                bytes: self.u64()?,
            });
        }
        Ok(all)
    }

    fn cleared_of(&mut self) -> Result<Vec<(u32, Version)>, Unreadable> {
        // No more memory than there are bytes, whatever the count says.
        let mut all = Vec::new();
        for _ in 0..self.u32()? {
            all.push((self.u32()?, Version(self.u64()?)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            next_table: 9,
            replay_after: 77,
            flushed: 79,
            newest: Version(500),
            history_from: Version(400),
            ended_by: 0x0001_8fff_0000_0000,
            log_slots: 3,
            segment_bytes: 1 << 20,
            pieces: vec![
                LogPiece {
                    epoch: 1,
                    first_segment: 1,
                    first_sequence: 1,
                    end: Some(PieceEnd {
                        sequence: 80,
                        crc: 0xaabb_ccdd,
                    }),
                },
                LogPiece {
                    epoch: 2,
                    first_segment: 5,
                    first_sequence: 81,
                    end: None,
                },
            ],
            runs: vec![Run {
                from: (*b"k").into(),
                tables: vec![TableSummary {
                    id: TableId(8),
                    file_bytes: 8192,
                    entries: 10,
                    tombstones: 1,
                    keys: 6,
                    ending: 2,
                    last_end: 0x0001_9100_0000_0000,
                    oldest: Version(3),
                    newest: Version(9),
                    cleared: Version(7),
                    cleared_of: vec![(2, Version(8))],
                    footer_crc: 0x0102_0304,
                    first_key: (*b"a").into(),
                    last_key: (*b"zz").into(),
                    blobs: vec![BlobShare {
                        file: BlobId(6),
                        file_bytes: 0x0010_0000,
                        bytes: 0x8000,
                    }],
                }],
            }],
            moments: vec![Moment {
                millis: 0x0001_9000_0000_0000,
                version: Version(450),
            }],
            ranges: vec![RangeDelete {
                from: Box::default(),
                to: (*b"m").into(),
                version: Version(499),
            }],
            own: [(
                2,
                Need {
                    watermark: Version(498),
                    whole_from: Version(498),
                    ended_by: 0x0001_9000_0000_0000,
                },
            )]
            .into(),
        }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample()
            .encode()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let expected = "524b4d414e494600 08000000 00000000 0900000000000000 4d00000000000000 \
             4f00000000000000 f401000000000000 9001000000000000 00000000ff8f0100 03000000 00000000 0000100000000000 02000000 \
             0100000000000000 0100000000000000 0100000000000000 5000000000000000 ddccbbaa \
             0200000000000000 0500000000000000 5100000000000000 ffffffffffffffff 00000000 \
             01000000 0100 6b 01000000 0800000000000000 0020000000000000 0a00000000000000 \
             0100000000000000 0600000000000000 0200000000000000 0000000000910100 \
             0300000000000000 0900000000000000 0700000000000000 04030201 0100 61 0200 7a7a \
             01000000 02000000 0800000000000000 \
             01000000 0600000000000000 0000100000000000 0080000000000000 \
             01000000 0000000000900100 c201000000000000 \
             01000000 f301000000000000 0000 0100 6d \
             01000000 02000000 f201000000000000 0000000000900100";
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn comes_back_padded_and_is_refused_cut_short() {
        let mut bytes = sample().encode();
        let whole = bytes.len();
        for cut in 0..whole {
            assert_eq!(Manifest::decode(&bytes[..cut]), Err(Unreadable::Damaged));
        }
        bytes.resize(4096, 0);
        assert_eq!(Manifest::decode(&bytes), Ok(sample()));
        bytes[8] = 1;
        assert_eq!(Manifest::decode(&bytes), Err(Unreadable::Format(1)));
    }

    /// The bytes that format 7 has for it, but for the number of that format.
    fn without_blobs(manifest: &mut Manifest) -> Vec<u8> {
        manifest.runs[0].tables[0].blobs.clear();
        let mut bytes = manifest.encode();
        // The last count of its table, which ends before the count of moments.
        let moments = &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0x90, 1, 0];
        let behind = bytes.windows(12).rposition(|window| window == moments);
        let count = behind.expect("it is there") - 4;
        bytes.drain(count..count + 4);
        bytes
    }

    /// The bytes that format 6 has for it, but for the number of that format.
    fn without_windows(manifest: &mut Manifest) -> Vec<u8> {
        manifest.own.clear();
        manifest.runs[0].tables[0].cleared_of.clear();
        let mut bytes = without_blobs(manifest);
        bytes.truncate(bytes.len() - 4);
        // The count behind the last key.
        let last_key = bytes.windows(4).rposition(|window| window == b"\x02\0zz");
        let count = last_key.expect("it is there") + 4;
        bytes.drain(count..count + 4);
        bytes
    }

    #[test]
    fn one_from_before_there_were_blob_files_is_read() {
        let mut older = sample();
        let mut bytes = without_blobs(&mut older);
        bytes[8] = 7;
        assert_eq!(Manifest::decode(&bytes), Ok(older));
    }

    #[test]
    fn one_from_before_there_were_range_deletes_is_read() {
        let mut older = sample();
        older.ranges.clear();
        older.runs[0].tables[0].cleared = Version(0);
        let mut bytes = without_windows(&mut older);
        // No count of range deletes in the end, and no version behind those of the table, which is behind its newest.
        bytes.truncate(bytes.len() - 4);
        let newest = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let at = bytes.windows(16).rposition(|window| window == newest);
        let cleared = at.expect("it is there") + 8;
        bytes.drain(cleared..cleared + 8);
        bytes[8] = 5;
        assert_eq!(Manifest::decode(&bytes), Ok(older));
    }

    #[test]
    fn one_from_before_keyspaces_had_windows_is_read() {
        let mut older = sample();
        let mut bytes = without_windows(&mut older);
        bytes[8] = 6;
        assert_eq!(Manifest::decode(&bytes), Ok(older));
    }

    #[test]
    fn no_flipped_bit_makes_it_panic_or_allocate_wildly() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let _ = Manifest::decode(&bent);
        }
    }

    #[test]
    fn what_merges_let_go_never_comes_back() {
        let mut manifest = sample();
        let before = (manifest.history_from, manifest.ended_by);
        for (watermark, ended_by, expected) in [
            (Version(600), 1, (Version(600), before.1)),
            (Version(1), before.1 + 5, (Version(600), before.1 + 5)),
        ] {
            let common = Need {
                watermark,
                whole_from: watermark,
                ended_by,
            };
            manifest.let_go(&Needs {
                common,
                ..Needs::default()
            });
            assert_eq!((manifest.history_from, manifest.ended_by), expected);
        }
    }

    /// A checksum says that it was written, and not by whom.
    #[test]
    fn numbers_that_this_code_never_writes_are_refused() {
        type Set = fn(&mut Manifest, u64);
        type Change = fn(&mut Manifest);
        fn table(manifest: &mut Manifest) -> &mut TableSummary {
            &mut manifest.runs[0].tables[0]
        }
        fn own(manifest: &mut Manifest) -> &mut Need {
            manifest.own.get_mut(&2).unwrap()
        }
        fn add_table(manifest: &mut Manifest, first_key: &[u8]) {
            let mut next = table(manifest).clone();
            (next.first_key, next.last_key) = (first_key.into(), (*b"zzzz").into());
            manifest.runs[0].tables.push(next);
        }
        fn share(manifest: &mut Manifest) -> &mut BlobShare {
            &mut table(manifest).blobs[0]
        }
        let cases: [(Set, u64); 28] = [
            (|m, n| m.next_table = n, COUNTER_MAX),
            (|m, n| m.replay_after = n, COUNTER_MAX),
            (|m, n| m.flushed = n, COUNTER_MAX),
            (|m, n| m.newest = Version(n), COUNTER_MAX),
            (|m, n| m.ended_by = n, COUNTER_MAX),
            (|m, n| m.segment_bytes = n, COUNTER_MAX),
            (|m, n| m.pieces[0].epoch = n, COUNTER_MAX),
            (|m, n| m.pieces[1].first_segment = n, COUNTER_MAX),
            (|m, n| m.pieces[1].first_sequence = n, COUNTER_MAX),
            (
                |m, n| {
                    m.pieces[0].end = Some(PieceEnd {
                        sequence: n,
                        crc: 0,
                    })
                },
                COUNTER_MAX,
            ),
            (|m, n| m.moments[0].millis = n, COUNTER_MAX),
            (|m, n| m.moments[0].version = Version(n), COUNTER_MAX),
            (|m, n| m.ranges[0].version = Version(n), COUNTER_MAX),
            (|m, n| own(m).watermark = Version(n), COUNTER_MAX),
            (|m, n| table(m).newest = Version(n), COUNTER_MAX),
            (|m, n| table(m).cleared = Version(n), COUNTER_MAX),
            (|m, n| table(m).cleared_of[0].1 = Version(n), COUNTER_MAX),
            (|m, n| table(m).id = TableId(n), 9),
            (|m, n| share(m).file = BlobId(n), 9),
            (|m, n| share(m).file_bytes = n * PAGE as u64, 1 << 32),
            (|m, n| share(m).bytes = n, (1 << 20) + 1),
            (|m, n| table(m).file_bytes = n * PAGE as u64, 1 << 32),
            (|m, n| table(m).entries = n, 8193),
            (|m, n| table(m).tombstones = n, 11),
            (|m, n| table(m).keys = n, 11),
            (|m, n| table(m).ending = n, 11),
            (|m, n| table(m).oldest = Version(n), 10),
            (|m, n| table(m).first_key = vec![b'z'; n as usize].into(), 3),
        ];
        for (number, (set, refused)) in cases.into_iter().enumerate() {
            for (value, sound) in [(refused - 1, true), (refused, false), (refused + 1, false)] {
                let mut manifest = sample();
                set(&mut manifest, value);
                let read = Manifest::decode(&manifest.encode());
                assert_eq!(read.is_ok(), sound, "case {number}, {value}");
            }
        }
        let cases: [(Change, bool); 9] = [
            (|m| table(m).file_bytes += 1, false),
            (|m| m.runs[0].tables.clear(), false),
            (|m| add_table(m, b"zz"), false),
            (|m| add_table(m, b"zzz"), true),
            (|m| table(m).first_key = Box::default(), false),
            (|m| m.ranges[0].from = (*b"m").into(), false),
            (|m| m.ranges[0].from = (*b"l").into(), true),
            (
                |m| m.ranges[0].to = vec![b'm'; RANGE_END_BYTES_MAX].into(),
                true,
            ),
            (
                |m| m.ranges[0].to = vec![b'm'; RANGE_END_BYTES_MAX + 1].into(),
                false,
            ),
        ];
        for (number, (change, sound)) in cases.into_iter().enumerate() {
            let mut manifest = sample();
            change(&mut manifest);
            let read = Manifest::decode(&manifest.encode());
            assert_eq!(read.is_ok(), sound, "case {number}");
        }
    }
}

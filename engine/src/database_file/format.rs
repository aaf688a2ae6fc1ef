//! The bytes of the file `database`: four copies of one record, each in its own 36 KiB.
//!
//! ```text
//! copy n at n * 36 KiB, little-endian
//!   0  magic           "RINGKEEP"
//!   8  version         u32   of this layout; read before anything else is believed
//!  12  copy            u8    n, so that a copy written to another's place is seen
//!  13  state           u8    1 creating, 2 ready
//!  14  slot function   u8    1 = XXH3
//!  15  zero
//!  16  store id        16 bytes from the kernel's random generator
//!  32  sequence        u64   1 for the first record, one more for each that replaces it
//!  40  shards          u16
//!  42  zero            6 bytes
//!  48  table checksum  u64   XXH3 of the slot table
//!  56  checksum        u64   XXH3 of bytes 0 to 55
//!  64  zero, to 4 KiB
//! 4096 slot table      16,384 × u16: the shard of each slot
//! ```
//!
//! Example: the first 64 bytes of copy 0 of a new database with 2 shards and store id 00 01 … 0f are
//! in this file's test.

use xxhash_rust::xxh3::xxh3_64;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DatabaseFile, State};
use crate::routing::{Routing, SLOTS, SlotFunction};

/// The layout above.
pub(super) const VERSION: u32 = 1;

pub(super) const COPIES: usize = 4;
const TABLE_AT: usize = 4096;
pub(super) const COPY_BYTES: usize = TABLE_AT + 2 * SLOTS;

const MAGIC: [u8; 8] = *b"RINGKEEP";

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U32,
    copy: u8,
    state: u8,
    slot_function: u8,
    zero_a: u8,
    store: [u8; 16],
    sequence: U64,
    shards: U16,
    zero_b: [u8; 6],
    table_checksum: U64,
    checksum: U64,
}

const CHECKED: usize = 56;
const _: () = assert!(size_of::<Header>() == CHECKED + 8);
const _: () = assert!(COPY_BYTES.is_multiple_of(ringkeep_io::PAGE));

/// What one copy turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Copy {
    Valid(DatabaseFile),
    /// Ours, by another version.
    Version(u32),
    Damaged(&'static str),
}

/// Writes copy `copy` of a record into `bytes`.
pub(super) fn encode(file: &DatabaseFile, copy: usize, bytes: &mut [u8]) {
    let (page, table) = bytes.split_at_mut(TABLE_AT);
    for (cell, shard) in table.chunks_exact_mut(2).zip(&file.routing.table) {
        cell.copy_from_slice(&shard.to_le_bytes());
    }
    let mut header = Header::new_zeroed();
    header.magic = MAGIC;
    header.version = VERSION.into();
    header.copy = copy as u8;
    header.state = file.state as u8;
    header.slot_function = file.routing.function.id();
    header.store = file.store;
    header.sequence = file.sequence.into();
    header.shards = file.routing.shards.into();
    header.table_checksum = xxh3_64(table).into();
    header.checksum = xxh3_64(&header.as_bytes()[..CHECKED]).into();
    page.fill(0);
    page[..size_of::<Header>()].copy_from_slice(header.as_bytes());
}

/// Reads copy `copy`; believes nothing before its checksum.
pub(super) fn decode(bytes: &[u8], copy: usize) -> Copy {
    let Some((page, table)) = bytes.get(..COPY_BYTES).map(|all| all.split_at(TABLE_AT)) else {
        return Copy::Damaged("the file is too short");
    };
    let Ok((header, _)) = Header::ref_from_prefix(page) else {
        return Copy::Damaged("the file is too short");
    };
    if header.magic != MAGIC {
        return Copy::Damaged("no database file begins like this");
    }
    if header.version != VERSION {
        return Copy::Version(header.version.get());
    }
    if header.checksum.get() != xxh3_64(&page[..CHECKED]) {
        return Copy::Damaged("the header's checksum is wrong");
    }
    if usize::from(header.copy) != copy {
        return Copy::Damaged("a copy is in another's place");
    }
    if header.table_checksum.get() != xxh3_64(table) {
        return Copy::Damaged("the slot table's checksum is wrong");
    }
    let function = SlotFunction::from_id(header.slot_function);
    let state = State::from_id(header.state);
    let (Some(function), Some(state)) = (function, state) else {
        return Copy::Damaged("the slot function or state is not known");
    };
    let shards = header.shards.get();
    let entry = |cell: &[u8]| u16::from_le_bytes([cell[0], cell[1]]);
    let table: Box<[u16]> = table.chunks_exact(2).map(entry).collect();
    if table.iter().any(|shard| *shard >= shards) {
        return Copy::Damaged("a slot belongs to no shard");
    }
    Copy::Valid(DatabaseFile {
        store: header.store,
        state,
        sequence: header.sequence.get(),
        routing: Routing {
            function,
            shards,
            table,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> DatabaseFile {
        DatabaseFile {
            store: std::array::from_fn(|index| index as u8),
            state: State::Creating,
            sequence: 1,
            routing: Routing::even(2),
        }
    }

    #[test]
    fn the_bytes_are_golden() {
        let mut bytes = vec![0xff; COPY_BYTES];
        encode(&sample(), 0, &mut bytes);
        let hex: String = bytes[..64]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let golden = concat!(
            "52494e474b454550",
            "01000000",
            "00",
            "01",
            "01",
            "00",
            "000102030405060708090a0b0c0d0e0f",
            "0100000000000000",
            "0200",
            "000000000000",
            "b7b3d89937daf03c",
            "cf24ee1e9d16c6d2",
        );
        assert_eq!(hex, golden);
        assert!(bytes[64..4096 + 2 * 8192].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[4096 + 2 * 8192..4096 + 2 * 8192 + 2], [1, 0]);
    }

    #[test]
    fn what_is_written_is_read() {
        for copy in 0..COPIES {
            let mut bytes = vec![0; COPY_BYTES];
            encode(&sample(), copy, &mut bytes);
            assert_eq!(decode(&bytes, copy), Copy::Valid(sample()));
        }
    }

    #[test]
    fn every_flipped_bit_that_means_something_is_noticed() {
        let mut bytes = vec![0; COPY_BYTES];
        encode(&sample(), 0, &mut bytes);
        for byte in (0..64).chain([4096, 20_000, COPY_BYTES - 1]) {
            for bit in 0..8 {
                bytes[byte] ^= 1 << bit;
                let copy = decode(&bytes, 0);
                assert!(!matches!(copy, Copy::Valid(_)), "byte {byte}, bit {bit}");
                bytes[byte] ^= 1 << bit;
            }
        }
        assert_eq!(
            decode(&bytes, 1),
            Copy::Damaged("a copy is in another's place")
        );
        assert_eq!(
            decode(&bytes[..100], 0),
            Copy::Damaged("the file is too short")
        );
    }
}

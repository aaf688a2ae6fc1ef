//! The bytes of the log's tail.
//!
//! The file is two halves of the same size, each a row of entries from its beginning, every one on a multiple of 8:
//!
//! ```text
//! byte  0  checksum of all bytes from 4 on u32    4  magic "RKTL"
//!       8  store id [16]
//!      24  epoch u64   32  sequence u64: of the log's frame that carries this group
//!      40  number u64: of this group among all of the epoch
//!      48  place u32: groups before it in that frame
//!      52  payload bytes u32
//!      56  format version u16   58  shard u16   60  zero u32
//!      64  payload: the group as it is in that frame, which begins with its record of kind 8
//! ```
//!
//! A row ends where the next entry is not whole, or is no newer: what lies there is of an earlier use.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::limits::COUNTER_MAX;
use crate::shard::Identity;

pub(crate) const MAGIC: [u8; 4] = *b"RKTL";
pub(crate) const FORMAT_VERSION: u16 = 1;
pub(crate) const HEADER_BYTES: usize = 64;

const ALIGNMENT: usize = 8;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct HeaderBytes {
    crc: U32,
    magic: [u8; 4],
    store: [u8; 16],
    epoch: U64,
    sequence: U64,
    number: U64,
    place: U32,
    payload_bytes: U32,
    format: U16,
    shard: U16,
    zero: U32,
}

const _: () = assert!(size_of::<HeaderBytes>() == HEADER_BYTES);

/// Where a group is in the log, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub epoch: u64,
    pub sequence: u64,
    pub number: u64,
    pub place: u32,
}

/// How much of a half an entry takes.
pub(crate) fn entry_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

impl Head {
    /// Makes one entry of it, in memory that is kept for that.
    pub fn seal(&self, identity: &Identity, payload: &[u8], entry: &mut Vec<u8>) {
        let header = HeaderBytes {
            crc: 0.into(),
            magic: MAGIC,
            store: identity.store,
            epoch: self.epoch.into(),
            sequence: self.sequence.into(),
            number: self.number.into(),
            place: self.place.into(),
            payload_bytes: (payload.len() as u32).into(),
            format: FORMAT_VERSION.into(),
            shard: identity.shard.0.into(),
            zero: 0.into(),
        };
        entry.clear();
        entry.extend_from_slice(header.as_bytes());
        entry.extend_from_slice(payload);
        let crc = crc32c(&entry[4..]);
        entry[..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// The entry at the beginning of `bytes` and its payload. Nothing unless it is whole, of this format and of this
    /// very shard.
    pub fn read<'a>(identity: &Identity, bytes: &'a [u8]) -> Option<(Head, &'a [u8])> {
        let (header, rest) = HeaderBytes::read_from_prefix(bytes).ok()?;
        let ours = header.store == identity.store && header.shard.get() == identity.shard.0;
        if header.magic != MAGIC || header.format.get() != FORMAT_VERSION || !ours {
            return None;
        }
        let payload = rest.get(..header.payload_bytes.get() as usize)?;
        if crc32c(&bytes[4..HEADER_BYTES + payload.len()]) != header.crc.get() {
            return None;
        }
        let numbers = [header.epoch, header.sequence, header.number];
        if numbers.iter().any(|number| number.get() >= COUNTER_MAX) {
            return None;
        }
        let head = Head {
            epoch: header.epoch.get(),
            sequence: header.sequence.get(),
            number: header.number.get(),
            place: header.place.get(),
        };
        Some((head, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::ShardId;

    #[test]
    fn golden_entry() {
        let identity = Identity {
            store: *b"0123456789abcdef",
            shard: ShardId(3),
            shards: 8,
        };
        let head = Head {
            epoch: 2,
            sequence: 3,
            number: 4,
            place: 5,
        };
        let mut entry = vec![0xee; 9];
        head.seal(&identity, b"abc", &mut entry);
        let hex: String = entry.iter().map(|b| format!("{b:02x}")).collect();
        let expected = "524b544c 30313233343536373839616263646566 0200000000000000 \
             0300000000000000 0400000000000000 05000000 03000000 0100 0300 00000000 616263";
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(hex[8..], expected);
        assert_eq!(entry[..4], crc32c(&entry[4..]).to_le_bytes());
        assert_eq!(entry_bytes(3), 72);
        assert_eq!(Head::read(&identity, &entry), Some((head, &b"abc"[..])));
        for cut in 0..entry.len() {
            assert_eq!(Head::read(&identity, &entry[..cut]), None);
        }
        let mut other = identity.clone();
        other.store[0] ^= 1;
        assert_eq!(Head::read(&other, &entry), None);
        for bit in 0..entry.len() * 8 {
            entry[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::read(&identity, &entry), None, "bit {bit}");
            entry[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

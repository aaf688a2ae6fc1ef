//! The bytes of a superblock copy.
//!
//! ```text
//! byte  0  magic "RKSUPER\0"
//!       8  format version u32      12  copy (0 to 3) u32
//!      16  store id [16]
//!      32  shard u16   34 shards u16   36 zero u32
//!      40  sequence u64
//!      48  manifest bytes u64
//!      56  manifest checksum u32   60  checksum of the previous superblock u32
//!      64  zero u32                68  checksum of bytes 0 to 67 u32
//! ```
//! The rest of the 4 KiB block is zero. The copies lie `COPY_STRIDE` apart, so that no one damaged
//! stretch of the device takes two of them.

use ringkeep_io::PAGE;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::limits::COUNTER_MAX;
use crate::shard::Identity;
use crate::version::ShardId;

pub(crate) const MAGIC: [u8; 8] = *b"RKSUPER\0";
pub(crate) const FORMAT_VERSION: u32 = 1;
pub(crate) const COPIES: usize = 4;
pub(crate) const COPY_STRIDE: u64 = 64 << 10;
pub(crate) const FILE_BYTES: u64 = COPY_STRIDE * (COPIES as u64 - 1) + PAGE as u64;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct SuperblockBytes {
    magic: [u8; 8],
    format: U32,
    copy: U32,
    store: [u8; 16],
    shard: U16,
    shards: U16,
    zero: U32,
    sequence: U64,
    manifest_bytes: U64,
    manifest_crc: U32,
    parent_crc: U32,
    zero_too: U32,
    crc: U32,
}

const BYTES: usize = size_of::<SuperblockBytes>();
const _: () = assert!(BYTES == 72 && BYTES <= 512, "one sector, so it never tears");

/// The root of a shard: which manifest is the valid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub identity: Identity,
    /// One higher at each write. The manifest lies in the file of its parity.
    pub sequence: u64,
    pub manifest_bytes: u64,
    pub manifest_crc: u32,
    /// The checksum of the superblock before this one.
    pub parent_crc: u32,
}

/// Why a copy does not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Damaged,
    Format(u32),
}

impl Superblock {
    pub fn encode(&self, copy: usize, page: &mut [u8]) {
        let mut bytes = SuperblockBytes {
            magic: MAGIC,
            format: FORMAT_VERSION.into(),
            copy: (copy as u32).into(),
            store: self.identity.store,
            shard: self.identity.shard.0.into(),
            shards: self.identity.shards.into(),
            zero: 0.into(),
            sequence: self.sequence.into(),
            manifest_bytes: self.manifest_bytes.into(),
            manifest_crc: self.manifest_crc.into(),
            parent_crc: self.parent_crc.into(),
            zero_too: 0.into(),
            crc: 0.into(),
        };
        bytes.crc = crc32c(&bytes.as_bytes()[..BYTES - 4]).into();
        page.fill(0);
        page[..BYTES].copy_from_slice(bytes.as_bytes());
    }

    pub fn decode(copy: usize, page: &[u8]) -> Result<Superblock, Invalid> {
        let (bytes, _) = SuperblockBytes::read_from_prefix(page).map_err(|_| Invalid::Damaged)?;
        if bytes.magic != MAGIC || bytes.crc.get() != crc32c(&bytes.as_bytes()[..BYTES - 4]) {
            return Err(Invalid::Damaged);
        }
        if bytes.format.get() != FORMAT_VERSION {
            return Err(Invalid::Format(bytes.format.get()));
        }
        if bytes.copy.get() as usize != copy || bytes.sequence.get() >= COUNTER_MAX {
            return Err(Invalid::Damaged);
        }
        Ok(Superblock {
            identity: Identity {
                store: bytes.store,
                shard: ShardId(bytes.shard.get()),
                shards: bytes.shards.get(),
            },
            sequence: bytes.sequence.get(),
            manifest_bytes: bytes.manifest_bytes.get(),
            manifest_crc: bytes.manifest_crc.get(),
            parent_crc: bytes.parent_crc.get(),
        })
    }

    /// What the next superblock records as its parent: the checksum without the copy number.
    pub fn crc(&self) -> u32 {
        let mut page = [0; BYTES];
        self.encode(0, &mut page);
        u32::from_le_bytes(page[BYTES - 4..].try_into().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            identity: Identity {
                store: *b"0123456789abcdef",
                shard: ShardId(3),
                shards: 8,
            },
            sequence: 0x0102,
            manifest_bytes: 0x0304,
            manifest_crc: 0x0506_0708,
            parent_crc: 0x090a_0b0c,
        }
    }

    #[test]
    fn golden_bytes() {
        let mut page = vec![0xee; PAGE];
        sample().encode(2, &mut page);
        let expected = "524b5355504552000100000002000000303132333435363738396162636465660300080000000000\
                        02010000000000000403000000000000080706050c0b0a0900000000";
        let expected: String = expected.split_whitespace().collect();
        let hex: String = page[..68].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
        assert!(page[BYTES..].iter().all(|b| *b == 0));
        assert_eq!(Superblock::decode(2, &page), Ok(sample()));
        sample().encode(0, &mut page);
        assert_eq!(sample().crc().to_le_bytes(), page[BYTES - 4..BYTES]);
    }

    #[test]
    fn a_flipped_bit_another_copy_or_another_version_is_refused() {
        let mut page = vec![0; PAGE];
        sample().encode(0, &mut page);
        assert_eq!(Superblock::decode(1, &page), Err(Invalid::Damaged));
        for bit in 0..BYTES * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::decode(0, &page).is_err(), "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        page[8] = 9;
        let crc = crc32c(&page[..BYTES - 4]);
        page[BYTES - 4..BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Superblock::decode(0, &page), Err(Invalid::Format(9)));
    }
}

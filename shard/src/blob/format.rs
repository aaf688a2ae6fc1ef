//! The bytes of blob files, and of what leads to them.
//!
//! ```text
//! blob file   values, each from the beginning of a page on, filled up with zeros to whole pages
//!
//! reference   0 blob file u64 | 8 page u32 | 12 pages u16 | 14 codec u8 | 15 zero u8
//!             16 bytes of the value u32 | 20 bytes stored u32 | 24 crc u32 of what is stored
//! ```
//!
//! Little-endian. A blob file has nothing but values: whatever is known of one stands in the reference to it, which lies in
//! a table in place of the value. So a reference is checked with its block, and what it leads to by it: bytes that
//! landed elsewhere, or were left there by another file, are not those.

use ringkeep_io::PAGE;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::BlobId;
use crate::limits::{COUNTER_MAX, VALUE_BYTES_MAX};
use crate::table::Codec;

pub(crate) const REFERENCE_BYTES: usize = 28;

const _: () = assert!(size_of::<BlobRef>() == REFERENCE_BYTES);
const _: () = assert!(VALUE_BYTES_MAX / PAGE <= u16::MAX as usize);

/// Where a value is.
#[derive(
    FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, PartialEq, Eq, Debug,
)]
#[repr(C)]
pub(crate) struct BlobRef {
    file: U64,
    page: U32,
    pages: U16,
    codec: u8,
    zero: u8,
    length: U32,
    stored: U32,
    crc: U32,
}

impl BlobRef {
    /// To a value of `length` bytes, of which these are stored from a page on.
    pub fn new(file: BlobId, page: u32, codec: Codec, length: usize, stored: &[u8]) -> BlobRef {
        BlobRef {
            file: file.0.into(),
            page: page.into(),
            pages: (stored.len().div_ceil(PAGE) as u16).into(),
            codec: codec as u8,
            zero: 0,
            length: (length as u32).into(),
            stored: (stored.len() as u32).into(),
            crc: crate::checksum::crc32c(stored).into(),
        }
    }

    /// The same bytes elsewhere.
    pub fn moved_to(&self, file: BlobId, page: u32) -> BlobRef {
        BlobRef {
            file: file.0.into(),
            page: page.into(),
            ..*self
        }
    }

    /// A reference that was written; anything else is damage.
    pub fn read(bytes: &[u8]) -> Option<&BlobRef> {
        let reference = BlobRef::ref_from_bytes(bytes).ok()?;
        let stored = reference.stored.get() as usize;
        let length = reference.length.get() as usize;
        let is_raw = reference.codec == Codec::Raw as u8;
        let is_sound = reference.file.get() < COUNTER_MAX
            && reference
                .page
                .get()
                .checked_add(reference.pages())
                .is_some()
            && stored > 0
            && stored.div_ceil(PAGE) == reference.pages() as usize
            && Codec::from_byte(reference.codec).is_some()
            && reference.zero == 0
            && length <= VALUE_BYTES_MAX
            && if is_raw {
                stored == length
            } else {
                stored < length
            };
        is_sound.then_some(reference)
    }

    pub fn file(&self) -> BlobId {
        BlobId(self.file.get())
    }

    pub fn page(&self) -> u32 {
        self.page.get()
    }

    pub fn pages(&self) -> u32 {
        self.pages.get().into()
    }

    /// What it takes of its file.
    pub fn file_bytes(&self) -> u64 {
        u64::from(self.pages()) * PAGE as u64
    }

    pub fn offset(&self) -> u64 {
        u64::from(self.page()) * PAGE as u64
    }

    /// Of the value.
    pub fn length(&self) -> usize {
        self.length.get() as usize
    }

    /// Of what is stored of it.
    pub fn stored(&self) -> usize {
        self.stored.get() as usize
    }

    pub fn codec(&self) -> Codec {
        Codec::from_byte(self.codec).unwrap_or_default()
    }

    pub fn crc(&self) -> u32 {
        self.crc.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let whole = BlobRef::new(BlobId(0x0102), 3, Codec::Raw, 5000, &[7; 5000]);
        let packed = BlobRef::new(BlobId(0x0102), 5, Codec::Zstd, 5000, b"packed");
        let hex = |reference: &BlobRef| -> String {
            let bytes = reference.as_bytes().iter();
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        let expected: String = GOLDEN.split_whitespace().collect();
        assert_eq!(hex(&whole) + &hex(&packed), expected);
    }

    const GOLDEN: &str = "0201000000000000 03000000 0200 00 00 88130000 88130000 dc675a93 \
         0201000000000000 05000000 0100 02 00 88130000 06000000 792e2999";

    #[test]
    fn what_was_never_written_is_refused() {
        let sound = BlobRef::new(BlobId(9), 3, Codec::Raw, 5000, &[7; 5000]);
        assert_eq!(BlobRef::read(sound.as_bytes()), Some(&sound));
        assert_eq!(BlobRef::read(&sound.as_bytes()[1..]), None);
        let changes: [fn(&mut BlobRef); 8] = [
            |r| r.file = COUNTER_MAX.into(),
            |r| r.page = (u32::MAX - 1).into(),
            |r| r.pages = 1.into(),
            |r| r.codec = 3,
            |r| r.codec = 1,
            |r| r.zero = 1,
            |r| r.length = 4999.into(),
            |r| r.stored = 0.into(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut reference = sound;
            change(&mut reference);
            assert_eq!(BlobRef::read(reference.as_bytes()), None, "{number}");
        }
    }
}

//! Data blocks made smaller on their way to the device. A block is compressed whole, behind its header,
//! and stays raw unless that saves it a page.

use ringkeep_io::{Buffer, PAGE};
use zerocopy::{FromBytes, IntoBytes};

use super::block_builder::BlockBuilder;
use super::format::{
    BLOCK_HEADER_BYTES, BlockHeader, COMPRESSED_HEADER_BYTES, COMPRESSED_PAGES_MAX,
    CompressedHeader, Damage, Shape,
};
use super::{BlockHandle, TableId};

/// How data blocks are compressed. The number is persisted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    Raw = 0,
    /// LZ4: quick both ways.
    Lz4 = 1,
    /// Zstandard: smaller, and several times the work both ways.
    Zstd = 2,
}

/// Of Zstandard: on blocks of this size the levels below are no quicker, and those above hardly smaller.
const ZSTD_LEVEL: i32 = 3;
/// Pages of a block before it is compressed: what a read of one record has to decompress.
const PLAIN_PAGES: usize = 4;

impl Codec {
    /// What a persisted number stands for.
    pub fn from_byte(byte: u8) -> Option<Codec> {
        [Codec::Raw, Codec::Lz4, Codec::Zstd]
            .into_iter()
            .find(|codec| *codec as u8 == byte)
    }

    /// Pages that a block of small entries is filled to.
    pub(super) fn plain_pages(self) -> usize {
        match self {
            Codec::Raw => 1,
            Codec::Lz4 | Codec::Zstd => PLAIN_PAGES,
        }
    }

    /// Bytes whose compression takes a few tens of microseconds.
    pub(crate) fn slice_bytes(self) -> usize {
        match self {
            Codec::Raw => 128 << 10,
            Codec::Lz4 => 32 << 10,
            Codec::Zstd => 16 << 10,
        }
    }
}

/// Compresses the blocks of one table, or the values of a blob file.
#[derive(Default)]
pub(crate) struct Compressor {
    codec: Codec,
    /// Made when it is first needed.
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// A block before it is compressed.
    plain: Vec<u8>,
    out: Vec<u8>,
}

impl Compressor {
    /// What is stored of a block in place of itself; nothing when it is to be stored as it is.
    pub(super) fn stored(
        &mut self,
        codec: Codec,
        block: &BlockBuilder,
        handle: BlockHandle,
        table: TableId,
    ) -> Option<&[u8]> {
        self.set_codec(codec);
        if !self.tries(block.pages()) {
            return None;
        }
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        plain.resize(block.pages() * PAGE, 0);
        block.lay_out(handle, table, &mut plain);
        let is_smaller = self.compress(&plain).is_some();
        self.plain = plain;
        is_smaller.then_some(self.out.as_slice())
    }

    /// For the blocks from here on.
    fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
        if codec == Codec::Zstd && self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
    }

    /// Whether a block of so many pages is worth the try.
    fn tries(&self, pages: usize) -> bool {
        self.codec != Codec::Raw && (2..=COMPRESSED_PAGES_MAX).contains(&pages)
    }

    /// What is stored of a block in place of itself; nothing when that would save no page.
    fn compress(&mut self, plain: &[u8]) -> Option<&[u8]> {
        let pages = plain.len() / PAGE;
        debug_assert!(self.tries(pages));
        let length = self.pack_behind(COMPRESSED_HEADER_BYTES, &plain[BLOCK_HEADER_BYTES..])?;
        let stored = COMPRESSED_HEADER_BYTES + length;
        // Anything longer saves no page.
        if stored > plain.len() - PAGE {
            return None;
        }
        let (block, _) = BlockHeader::read_from_prefix(plain).ok()?;
        let header = CompressedHeader {
            block: BlockHeader {
                shape: block.shape | (self.codec as u8) << 4,
                ..block
            },
            pages: (pages as u16).into(),
            zeros: [0; 2],
            length: (length as u32).into(),
        };
        self.out[..COMPRESSED_HEADER_BYTES].copy_from_slice(header.as_bytes());
        self.out.truncate(stored);
        Some(&self.out)
    }

    /// What is stored of a value in place of itself; nothing when that would save no page.
    pub fn pack(&mut self, codec: Codec, value: &[u8]) -> Option<&[u8]> {
        self.set_codec(codec);
        let pages = value.len().div_ceil(PAGE);
        if !self.tries(pages) {
            return None;
        }
        let length = self.pack_behind(0, value)?;
        (length.div_ceil(PAGE) < pages).then(|| &self.out[..length])
    }

    /// How many bytes it came to.
    fn pack_behind(&mut self, start: usize, plain: &[u8]) -> Option<usize> {
        let longest = lz4_flex::block::get_maximum_output_size(plain.len());
        self.out.clear();
        self.out.resize(start + longest, 0);
        let packed = &mut self.out[start..];
        match (self.codec, &mut self.zstd) {
            (Codec::Raw, _) | (Codec::Zstd, None) => None,
            (Codec::Lz4, _) => lz4_flex::block::compress_into(plain, packed).ok(),
            (Codec::Zstd, Some(zstd)) => zstd.compress_to_buffer(plain, packed).ok(),
        }
    }
}

/// Fills `plain` with what was packed; false when that is not what comes of it.
pub(crate) fn unpack(codec: Codec, packed: &[u8], plain: &mut [u8]) -> bool {
    let bytes = match codec {
        Codec::Raw => None,
        Codec::Lz4 => lz4_flex::block::decompress_into(packed, plain).ok(),
        Codec::Zstd => zstd::bulk::decompress_to_buffer(packed, plain).ok(),
    };
    bytes == Some(plain.len())
}

/// The block as it was before it was compressed. What is asked for is allocated only after its size was
/// checked against the limit.
pub(super) fn restore(stored: Buffer) -> Result<Buffer, Damage> {
    let Ok((header, rest)) = CompressedHeader::ref_from_prefix(&stored) else {
        return Err(Damage::new(0, "no room for a header"));
    };
    let codec = Codec::from_byte(header.block.shape >> 4)
        .ok_or_else(|| Damage::new(27, format!("unknown codec {}", header.block.shape >> 4)))?;
    if codec == Codec::Raw {
        return Ok(stored);
    }
    let pages = usize::from(header.pages.get());
    let length = header.length.get() as usize;
    if pages * PAGE <= stored.len() || pages > COMPRESSED_PAGES_MAX || length > rest.len() {
        return Err(Damage::new(40, "impossible sizes of a compressed block"));
    }
    let mut plain = Buffer::zeroed(pages * PAGE);
    let (front, body) = plain.split_at_mut(BLOCK_HEADER_BYTES);
    if !unpack(codec, &rest[..length], body) {
        let detail = "a compressed block that does not decompress to its size";
        return Err(Damage::new(COMPRESSED_HEADER_BYTES, detail));
    }
    let shape = header.block.shape & Shape::MASK;
    let block = BlockHeader {
        shape,
        ..header.block
    };
    front.copy_from_slice(block.as_bytes());
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use crate::content::Content;
    use crate::merge::seeded::{Seeded, with_seeds};
    use crate::table::BlockKind;
    use crate::table::format::Identity;

    const HANDLE: BlockHandle = BlockHandle {
        page: 0,
        pages: 2,
        kind: BlockKind::Data,
    };

    /// Two pages of ten like entries.
    fn plain() -> Vec<u8> {
        let mut builder = BlockBuilder::with_pages(2);
        for number in 0..10 {
            assert!(builder.push(&[b'k', number], Version(5), Content::Value(&[number; 500])));
        }
        let mut plain = vec![0; 2 * PAGE];
        builder.lay_out(HANDLE, TableId(9), &mut plain);
        plain
    }

    fn compressor(codec: Codec) -> Compressor {
        let mut compressor = Compressor::default();
        compressor.set_codec(codec);
        compressor
    }

    fn stored(codec: Codec, plain: &[u8]) -> Vec<u8> {
        compressor(codec)
            .compress(plain)
            .expect("worth it")
            .to_vec()
    }

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::zeroed(bytes.len().next_multiple_of(PAGE));
        buffer[..bytes.len()].copy_from_slice(bytes);
        buffer
    }

    #[test]
    fn a_block_comes_back_as_it_was() {
        for codec in [Codec::Lz4, Codec::Zstd] {
            let plain = plain();
            let stored = stored(codec, &plain);
            assert!(stored.len() < PAGE);
            let restored = restore(buffer(&stored)).expect("restores");
            assert_eq!(&restored[..], &plain[..]);
        }
    }

    #[test]
    fn what_saves_no_page_stays_raw() {
        let mut random = Seeded(1);
        let mut noise = plain();
        let bytes = random.bytes(noise.len() - BLOCK_HEADER_BYTES);
        noise[BLOCK_HEADER_BYTES..].copy_from_slice(&bytes);
        assert!(!compressor(Codec::Raw).tries(2));
        for codec in [Codec::Lz4, Codec::Zstd] {
            assert!(!compressor(codec).tries(1));
            assert_eq!(compressor(codec).compress(&noise), None);
        }
    }

    /// Only what it restores to is the format: how it was compressed may change with the libraries.
    #[test]
    fn golden_bytes_restore() {
        let golden: Vec<u8> = GOLDEN
            .split_whitespace()
            .flat_map(|word| (0..word.len() / 2).map(move |at| &word[2 * at..2 * at + 2]))
            .map(|byte| u8::from_str_radix(byte, 16).expect("two digits"))
            .collect();
        let restored = restore(buffer(&golden)).expect("restores");
        let identity = size_of::<Identity>();
        let plain = plain();
        assert_eq!(restored[identity..], plain[identity..]);
        let own = stored(Codec::Lz4, &plain);
        assert_eq!(
            own[..COMPRESSED_HEADER_BYTES],
            golden[..COMPRESSED_HEADER_BYTES]
        );
    }

    const GOLDEN: &str = "00000000 d1 03 0200 0900000000000000 00000000 \
         0a00 0100 0100 00 11 f4010000 0500000000000000 \
         0200 0000 57000000 \
         2f6b000100ffe21f010100ffe21f0201 00ffe21f030100ffe21f040100ffe21f 050100ffe21f060100ffe21f070100ff \
         e21f080100ffe21f090100ffe20f9113 ffe20f0200ffffffffffffffffffff42 60000000000000";

    #[test]
    fn malformed_blocks_are_errors_or_blocks_of_their_size() {
        with_seeds(400, |random| {
            let codec = [Codec::Lz4, Codec::Zstd][random.below(2)];
            let mut bytes = stored(codec, &plain());
            for _ in 0..1 + random.below(4) {
                let at = 27 + random.below(bytes.len() - 27);
                bytes[at] = random.next() as u8;
            }
            if let Ok(restored) = restore(buffer(&bytes)) {
                assert!(restored.len() <= COMPRESSED_PAGES_MAX * PAGE);
            }
        });
        let mut huge = stored(Codec::Lz4, &plain());
        huge[40..42].copy_from_slice(&u16::MAX.to_le_bytes());
        assert!(
            restore(buffer(&huge)).is_err(),
            "no room for 256 MiB is made"
        );
    }
}

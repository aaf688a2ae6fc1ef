//! A Bloom filter over the keys of a table, whose probes of one key all fall in one cache line.
//!
//! The upper half of a key's XXH3 chooses the line, the lower half the bits in it: six times the top
//! nine bits, multiplied by 0x9e3779b9 in between. The hash is part of the format; how many lines there
//! are is the writer's choice.

use ringkeep_io::{Buffer, PAGE};
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::{FromBytes, IntoBytes};

use super::format::{Damage, FILTER_HEADER_BYTES, FilterHeader, Identity, seal};
use super::{BlockHandle, TableId};

const LINE_BYTES: usize = 64;
const LINE_BITS: usize = 8 * LINE_BYTES;
const PROBES: usize = 6;
/// A few tens of microseconds' worth.
const KEYS_PER_SLICE: usize = 4096;

// Lines follow the header in page-aligned memory, so a line is a cache line.
const _: () =
    assert!(FILTER_HEADER_BYTES.is_multiple_of(LINE_BYTES) && PAGE.is_multiple_of(LINE_BYTES));

/// How many bits a filter spends on a key. A read of an absent key asks the filter of every run, but nearly
/// all keys are in the last level: above it more bits cost next to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FilterSize {
    /// About one false positive in a hundred.
    LastLevel = 10,
    /// About one in a thousand.
    Tier = 16,
}

/// The hash that `Filter::may_contain` takes.
#[inline]
pub(super) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The filter of one table, resident.
pub(super) struct Filter {
    part: Buffer,
    lines: u32,
}

impl Filter {
    pub fn verify(part: Buffer, handle: BlockHandle, table: TableId) -> Result<Filter, Damage> {
        Identity::verify(&part, handle, table)?;
        let (header, _) = FilterHeader::read_from_prefix(&part)
            .map_err(|_| Damage::new(0, "no room for a header"))?;
        let lines = header.lines.get();
        let room = (part.len() - FILTER_HEADER_BYTES) / LINE_BYTES;
        if lines == 0 || lines as usize > room {
            return Err(Damage::new(20, format!("{lines} lines in room for {room}")));
        }
        Ok(Filter { part, lines })
    }

    /// Memory of the filter.
    pub fn bytes(&self) -> usize {
        self.part.len()
    }

    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let start = FILTER_HEADER_BYTES + line(hash, self.lines) * LINE_BYTES;
        let line = &self.part[start..start + LINE_BYTES];
        probes(hash).all(|bit| line[bit / 8] & (1 << (bit % 8)) != 0)
    }
}

/// Pages that a filter of so many keys takes.
pub(super) fn pages(keys: usize, size: FilterSize) -> usize {
    (FILTER_HEADER_BYTES + lines(keys, size) * LINE_BYTES).div_ceil(PAGE)
}

/// The lines of a filter in the making.
pub(super) struct FilterBuilder {
    size: FilterSize,
    lines: Vec<u8>,
    added: usize,
}

impl FilterBuilder {
    pub fn new(size: FilterSize) -> FilterBuilder {
        FilterBuilder {
            size,
            lines: Vec::new(),
            added: 0,
        }
    }

    /// Pages that the filter of so many keys takes.
    pub fn pages(&self, keys: usize) -> usize {
        pages(keys, self.size)
    }

    /// Adds the next keys of all of them, as many as fit a slice; false when there are none left.
    pub fn add_some(&mut self, hashes: &[u64]) -> bool {
        let count = lines(hashes.len(), self.size);
        self.lines.resize(count * LINE_BYTES, 0);
        let end = hashes.len().min(self.added + KEYS_PER_SLICE);
        for &hash in &hashes[self.added..end] {
            let start = line(hash, count as u32) * LINE_BYTES;
            let line = &mut self.lines[start..start + LINE_BYTES];
            for bit in probes(hash) {
                line[bit / 8] |= 1 << (bit % 8);
            }
        }
        self.added = end;
        end < hashes.len()
    }

    /// Writes the filter of all keys into its zeroed pages.
    pub fn finish(&mut self, hashes: &[u64], handle: BlockHandle, table: TableId, part: &mut [u8]) {
        while self.add_some(hashes) {}
        let header = FilterHeader {
            identity: Identity::new(handle, table),
            lines: (lines(hashes.len(), self.size) as u32).into(),
            keys: (hashes.len() as u64).into(),
            zeros: [0; 32],
        };
        part[..FILTER_HEADER_BYTES].copy_from_slice(header.as_bytes());
        part[FILTER_HEADER_BYTES..][..self.lines.len()].copy_from_slice(&self.lines);
        seal(part);
    }
}

fn lines(keys: usize, size: FilterSize) -> usize {
    (keys * size as usize).div_ceil(LINE_BITS).max(1)
}

#[inline]
fn line(hash: u64, lines: u32) -> usize {
    (((hash >> 32) * u64::from(lines)) >> 32) as usize
}

#[inline]
fn probes(hash: u64) -> impl Iterator<Item = usize> {
    let mut bits = hash as u32;
    (0..PROBES).map(move |_| {
        let bit = (bits >> 23) as usize;
        bits = bits.wrapping_mul(0x9e37_79b9);
        bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::BlockKind;

    #[test]
    fn knows_its_keys_and_few_others() {
        for (size, rate_most) in [(FilterSize::LastLevel, 0.015), (FilterSize::Tier, 0.004)] {
            for keys in [1, 100, 50_000] {
                let hashes: Vec<u64> = (0..keys as u64)
                    .map(|key| key_hash(&key.to_be_bytes()))
                    .collect();
                let handle = BlockHandle {
                    page: 3,
                    pages: pages(keys, size) as u32,
                    kind: BlockKind::Filter,
                };
                let mut part = Buffer::zeroed(pages(keys, size) * PAGE);
                FilterBuilder::new(size).finish(&hashes, handle, TableId(9), &mut part);
                let filter = Filter::verify(part, handle, TableId(9)).unwrap();
                assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
                let others = 200_000;
                let absent = |key: &u64| filter.may_contain(key_hash(&key.to_le_bytes()));
                let wrong = (1 << 40..(1 << 40) + others).filter(absent).count();
                let rate = wrong as f64 / others as f64;
                println!("{size:?}, {keys} keys: {rate} false positives");
                assert!(rate <= rate_most, "{rate} false positives with {keys} keys");
            }
        }
    }
}

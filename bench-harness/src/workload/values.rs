//! Values that prove themselves.
//!
//! Every byte of a value follows from (seed, key number, version, length), so a reader can check what it got
//! without any table of what was written.
//!
//! ```text
//! 0        4        8                16                      length
//! | version | tag   | key number     | bytes of a random pool |     little-endian
//! ```
//!
//! The tag covers seed, key number, version and length. Values shorter than the header are its prefix; below
//! eight bytes nothing but the length can be checked.

use serde::{Deserialize, Serialize};

use super::length::LengthLaw;
use crate::random::{Stream, mix};

const HEADER: usize = 16;
const POOL: usize = 1 << 20;
/// Compressors see runs of random and constant bytes inside blocks of this size.
const BLOCK: usize = 128;

/// What a value looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueShape {
    /// How long.
    pub length: LengthLaw,
    /// Share of the bytes that a compressor can remove, 0 to 1.
    pub compress: f64,
}

/// Writes and checks the values of one dataset.
#[derive(Clone, Debug)]
pub struct Values {
    seed: u64,
    length_min: usize,
    pool: Vec<u8>,
}

impl Values {
    /// Values of this shape.
    pub fn new(shape: &ValueShape, seed: u64) -> Values {
        let stream = Stream::new(seed, "value pool", 0);
        let mut pool = Vec::with_capacity(POOL + shape.length.max() as usize + BLOCK);
        let random_bytes = ((1.0 - shape.compress.clamp(0.0, 1.0)) * BLOCK as f64) as usize;
        let mut block = 0;
        while pool.len() < POOL + shape.length.max() as usize {
            let mut draws = stream.at(block);
            let start = pool.len();
            while pool.len() < start + BLOCK {
                pool.extend_from_slice(&draws.bits().to_le_bytes());
            }
            pool[start + random_bytes..].fill(b' ');
            block += 1;
        }
        Values {
            seed,
            length_min: shape.length.min() as usize,
            pool,
        }
    }

    /// Appends version `version` of key `number`'s value.
    #[inline]
    pub fn write(&self, number: u64, version: u32, length: usize, out: &mut Vec<u8>) {
        let header = self.header(number, version, length);
        if length <= HEADER {
            out.extend_from_slice(&header[..length]);
            return;
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(self.body(number, version, length));
    }

    /// Is `value` something that was once written under key `number`?
    pub fn check(&self, number: u64, value: &[u8]) -> Result<(), String> {
        if value.len() < self.length_min {
            return Err(format!(
                "key {number}: {} bytes is shorter than any value written",
                value.len()
            ));
        }
        if value.len() < 8 {
            return Ok(());
        }
        let version = u32::from_le_bytes(value[..4].try_into().expect("four bytes"));
        let header = self.header(number, version, value.len());
        let head = value.len().min(HEADER);
        if value[..head] != header[..head] {
            return Err(self.describe_header(number, value));
        }
        if value.len() > self.pool.len() - POOL + BLOCK + HEADER {
            return Err(format!(
                "key {number}: {} bytes is longer than any value written",
                value.len()
            ));
        }
        if value.len() > HEADER {
            let body = self.body(number, version, value.len());
            if let Some(at) = (0..body.len()).find(|&i| value[HEADER + i] != body[i]) {
                return Err(format!(
                    "key {number} version {version}: byte {} of {} differs",
                    HEADER + at,
                    value.len()
                ));
            }
        }
        Ok(())
    }

    fn header(&self, number: u64, version: u32, length: usize) -> [u8; HEADER] {
        let tag = mix(mix(self.seed ^ number) ^ (u64::from(version) << 32 | length as u64)) as u32;
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..8].copy_from_slice(&tag.to_le_bytes());
        header[8..].copy_from_slice(&number.to_le_bytes());
        header
    }

    fn body(&self, number: u64, version: u32, length: usize) -> &[u8] {
        let start = mix(number.wrapping_mul(31).wrapping_add(u64::from(version))) as usize % POOL;
        &self.pool[start..start + length - HEADER]
    }

    fn describe_header(&self, number: u64, value: &[u8]) -> String {
        if value.len() >= HEADER {
            let found = u64::from_le_bytes(value[8..16].try_into().expect("eight bytes"));
            if found != number {
                return format!("asked for key {number}, got the value of key {found}");
            }
        }
        format!(
            "key {number}: the header of a {}-byte value does not match its contents",
            value.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(compress: f64) -> Values {
        let shape = ValueShape {
            length: LengthLaw::Uniform { min: 1, max: 4096 },
            compress,
        };
        Values::new(&shape, 7)
    }

    #[test]
    fn what_is_written_checks_out_and_nothing_else_does() {
        let values = values(0.5);
        for length in [1, 7, 8, 15, 16, 17, 100, 1024, 4096] {
            let mut value = Vec::new();
            values.write(3, 9, length, &mut value);
            assert_eq!(value.len(), length);
            values.check(3, &value).unwrap();
            if length >= 8 {
                assert!(
                    values.check(4, &value).is_err(),
                    "wrong key, {length} bytes"
                );
                for at in [0, length / 2, length - 1] {
                    let mut bad = value.clone();
                    bad[at] ^= 1;
                    assert!(values.check(3, &bad).is_err(), "byte {at} of {length}");
                }
                let shorter = &value[..length - 1];
                assert!(shorter.len() < 8 || values.check(3, shorter).is_err());
            }
        }
    }

    #[test]
    fn a_swapped_value_is_named() {
        let values = values(0.0);
        let mut value = Vec::new();
        values.write(1, 0, 64, &mut value);
        let message = values.check(2, &value).unwrap_err();
        assert_eq!(message, "asked for key 2, got the value of key 1");
    }

    #[test]
    fn compressible_values_have_their_share_of_filler() {
        let values = values(0.5);
        let mut value = Vec::new();
        values.write(1, 0, 4096, &mut value);
        let filler = value.iter().filter(|&&b| b == b' ').count();
        assert!((1900..2200).contains(&filler), "{filler} of 4096");
    }
}

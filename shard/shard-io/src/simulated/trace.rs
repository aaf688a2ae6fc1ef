//! One number over everything that a disk was asked and answered: equal numbers, equal runs.

use super::random::mix;

#[derive(Clone, Default)]
pub(super) struct Trace(u64);

impl Trace {
    pub fn note(&mut self, what: &str, values: &[u64]) {
        self.0 = mix(self.0 ^ fold(what.as_bytes()));
        for &value in values {
            self.0 = mix(self.0.rotate_left(5) ^ value);
        }
    }

    pub fn hash(&self) -> u64 {
        self.0
    }
}

/// A quick checksum of bytes; order matters.
pub(super) fn fold(bytes: &[u8]) -> u64 {
    let mut hash = 0x517c_c1b7_2722_0a95 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    for &byte in words.remainder() {
        hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    hash
}

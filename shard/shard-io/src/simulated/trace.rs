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

/// A quick checksum of bytes; order matters. Four lanes, because one would wait for its own multiplications.
pub(super) fn fold(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let mut lanes = [1u64, 2, 3, 4];
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            *lane = step(*lane, word);
        }
    }
    let hash = lanes.into_iter().fold(bytes.len() as u64, step);
    let rest = blocks.remainder().iter();
    rest.fold(hash, |hash, &byte| step(hash, u64::from(byte)))
}

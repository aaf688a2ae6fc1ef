//! SplitMix64: small, seeded, and good enough to choose faults with.

#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64, stream: u64) -> Random {
        Random(mix(seed ^ mix(stream)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Evenly from `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        // Zero draws nothing, so that switching one fault off does not move the others.
        probability > 0.0 && ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    pub fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }
}

pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

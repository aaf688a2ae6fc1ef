//! Choices from a seed.

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// `RINGKEEP_SEED`, or always the same.
    pub fn from_environment() -> Random {
        let seed = std::env::var("RINGKEEP_SEED");
        Random(seed.ok().and_then(|text| text.parse().ok()).unwrap_or(1))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

//! Random numbers for tests: splitmix64, so that a failure is its seed.

pub(crate) struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    /// Any bytes, from few enough first letters that prefixes are shared and lengths differ.
    pub fn key(&mut self, keys: usize) -> Vec<u8> {
        let id = self.below(keys);
        let mut key = format!("{:03}/{:04}", id % 7, id).into_bytes();
        if id.is_multiple_of(5) {
            key.truncate(4 + id % 4);
        }
        if id.is_multiple_of(3) {
            key.push(0);
        }
        if id.is_multiple_of(41) {
            key.resize(300 + id % 50, b'x');
        }
        key
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        bytes
    }
}

/// Runs `test` with a handful of seeds and says which one failed.
pub(crate) fn with_seeds(count: u64, test: impl Fn(&mut Seeded)) {
    struct OnPanic(u64);
    impl Drop for OnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with seed {}", self.0);
            }
        }
    }
    for seed in 0..count {
        let _failing = OnPanic(seed);
        test(&mut Seeded(seed));
    }
}

//! Deterministic randomness with random access.
//!
//! Operation `i` of stream `c` is a pure function of (seed, c, i): every operation gets its own draws,
//! whatever was rejected or drawn before it, so a run can be replayed from any point and two machines with
//! different thread counts see the same streams. The generator is SplitMix64, which is a mixed counter.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser: a bijection on 64 bits.
#[inline]
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The random numbers of one stream, addressable by position.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream `number` of a run with this seed; `purpose` keeps keys, arrivals and values apart.
    pub fn new(seed: u64, purpose: &str, number: u64) -> Stream {
        let mut key = mix(seed ^ GOLDEN);
        for byte in purpose.bytes() {
            key = mix(key ^ u64::from(byte)).wrapping_add(GOLDEN);
        }
        Stream {
            key: mix(key ^ number.wrapping_mul(GOLDEN)),
        }
    }

    /// The draws that belong to position `i`.
    #[inline]
    pub fn at(&self, i: u64) -> Draws {
        Draws {
            state: mix(self.key.wrapping_add(i.wrapping_mul(GOLDEN))),
        }
    }
}

/// A short run of random numbers.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in `0..n`; `n` must not be zero. The bias is below n / 2^64.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        debug_assert!(n > 0);
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Exponential with the given mean.
    #[inline]
    pub fn exponential(&mut self, mean: f64) -> f64 {
        // 1 - unit() lies in (0, 1], so the logarithm is finite.
        -mean * (1.0 - self.unit()).ln()
    }

    /// Normal with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_independent_of_what_was_drawn_before() {
        let stream = Stream::new(7, "ops", 3);
        let mut early = stream.at(5);
        let _ = stream.at(4).bits();
        assert_eq!(early.bits(), stream.at(5).bits());
        assert_ne!(stream.at(5).bits(), stream.at(6).bits());
        assert_ne!(
            stream.at(5).bits(),
            Stream::new(7, "arrivals", 3).at(5).bits()
        );
        assert_ne!(stream.at(5).bits(), Stream::new(8, "ops", 3).at(5).bits());
    }

    #[test]
    fn uniform_draws_fill_their_range_evenly() {
        let stream = Stream::new(1, "test", 0);
        let mut cells = [0u32; 16];
        for i in 0..160_000 {
            cells[stream.at(i).below(16) as usize] += 1;
        }
        let chi: f64 = cells
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        // 15 degrees of freedom: 37.7 is the 0.999 quantile.
        assert!(chi < 37.7, "chi-square {chi}");
    }

    #[test]
    fn exponential_draws_have_their_mean() {
        let stream = Stream::new(2, "test", 0);
        let n = 200_000;
        let mean = (0..n).map(|i| stream.at(i).exponential(20.0)).sum::<f64>() / n as f64;
        assert!((mean - 20.0).abs() < 0.2, "mean {mean}");
    }
}

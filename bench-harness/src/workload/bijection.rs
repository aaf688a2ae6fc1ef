//! A seeded shuffle of `0..n` that needs no table.
//!
//! Zipf ranks must be scattered over the key space, and every key must stay reachable: hashing modulo n loses
//! keys and flattens the skew. Here each round is invertible on the next power of two (add, odd multiply,
//! fold the high half down), and values that land outside `0..n` are walked through again until they fall in.

use crate::random::mix;

const ROUNDS: usize = 4;

/// A permutation of `0..n`.
#[derive(Clone, Debug)]
pub struct Bijection {
    n: u64,
    mask: u64,
    fold: u32,
    add: [u64; ROUNDS],
    multiply: [u64; ROUNDS],
}

impl Bijection {
    /// The permutation of `0..n` that belongs to `seed`.
    pub fn new(n: u64, seed: u64) -> Bijection {
        assert!((1..=1 << 62).contains(&n));
        let bits = 64 - (n - 1).leading_zeros().min(63);
        let draw = |i: usize| mix(seed.wrapping_add(mix(i as u64 + 1)));
        Bijection {
            n,
            mask: (1u64 << bits) - 1,
            fold: bits.div_ceil(2),
            add: std::array::from_fn(draw),
            multiply: std::array::from_fn(|i| draw(i + ROUNDS) | 1),
        }
    }

    /// Where `x` goes.
    #[inline]
    pub fn apply(&self, mut x: u64) -> u64 {
        debug_assert!(x < self.n);
        loop {
            for round in 0..ROUNDS {
                x = x
                    .wrapping_add(self.add[round])
                    .wrapping_mul(self.multiply[round])
                    & self.mask;
                x ^= x >> self.fold;
            }
            if x < self.n {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_permutation() {
        for n in [1, 2, 3, 7, 8, 9, 100, 1000, 65_536, 65_537, 100_003] {
            for seed in [0, 1, 0xdead_beef] {
                let bijection = Bijection::new(n, seed);
                let mut hit = vec![false; n as usize];
                for x in 0..n {
                    let y = bijection.apply(x) as usize;
                    assert!(!hit[y], "n {n} seed {seed}: {y} twice");
                    hit[y] = true;
                }
            }
        }
    }

    #[test]
    fn neighbours_are_scattered() {
        let n = 1_000_000;
        let bijection = Bijection::new(n, 42);
        let near = (0..10_000)
            .filter(|&x| bijection.apply(x).abs_diff(bijection.apply(x + 1)) < n / 100)
            .count();
        // Two independent uniform points are this close with probability 2 %.
        assert!(near < 300, "{near} of 10000 neighbours stayed close");
    }
}

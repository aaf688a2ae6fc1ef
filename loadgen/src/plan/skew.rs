//! What skew does: the hottest shard's share, and what a cache catches.

use ringkeep_bench::random::mix;

/// Ranks whose mass is placed one by one; the rest spreads evenly.
const HEAD: u64 = 20_000;
const PLACEMENTS: u64 = 8;

/// Sum of r^-theta for r in 1..=n: exact at first, then by the integral.
pub fn zeta(n: f64, theta: f64) -> f64 {
    let exact = (n as u64).min(HEAD);
    let mut sum: f64 = (1..=exact).map(|r| (r as f64).powf(-theta)).sum();
    let (from, to) = (exact as f64 + 0.5, n + 0.5);
    if n > exact as f64 {
        sum += match (theta - 1.0).abs() < 1e-9 {
            true => (to / from).ln(),
            false => (to.powf(1.0 - theta) - from.powf(1.0 - theta)) / (1.0 - theta),
        };
    }
    sum
}

/// Share of operations that the hottest of `shards` gets: the median over a few random placements.
pub fn hottest_shard(keys: u64, theta: f64, shards: usize) -> f64 {
    if shards <= 1 {
        return 1.0;
    }
    let whole = zeta(keys as f64, theta);
    let head = HEAD.min(keys);
    let rest = 1.0 - zeta(head as f64, theta) / whole;
    let mut found: Vec<f64> = (0..PLACEMENTS)
        .map(|placement| {
            let mut shares = vec![rest / shards as f64; shards];
            for rank in 1..=head {
                let shard = mix(rank ^ mix(placement + 1)) % shards as u64;
                shares[shard as usize] += (rank as f64).powf(-theta) / whole;
            }
            shares.into_iter().fold(0.0, f64::max)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

/// Share of reads that a cache of this share of the keys misses, if it holds the hottest: an upper bound on what
/// a cache can do.
pub fn miss_share(keys: u64, theta: f64, cached: f64) -> f64 {
    let cached = cached.clamp(0.0, 1.0);
    match theta {
        0.0 => 1.0 - cached,
        _ => 1.0 - zeta(keys as f64 * cached, theta) / zeta(keys as f64, theta),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_numbers_come_out() {
        // 1 % of a million keys at 0.99 catches two thirds of the reads; of a hundred million, three quarters.
        assert!((miss_share(1_000_000, 0.99, 0.01) - 0.34).abs() < 0.02);
        assert!((miss_share(100_000_000, 0.99, 0.01) - 0.26).abs() < 0.02);
        assert_eq!(miss_share(100, 0.0, 0.25), 0.75);
        // Capacity against a perfectly even split: 0.92, 0.71 and 0.35 of it at 2, 8 and 32 shards.
        for (shards, capacity) in [(2, 0.92), (8, 0.71), (32, 0.35)] {
            let found = 1.0 / shards as f64 / hottest_shard(1_000_000, 0.99, shards);
            assert!((found - capacity).abs() < 0.09, "{shards}: {found}");
        }
        assert!(hottest_shard(1_000_000, 0.0, 4) < 0.27);
    }
}

//! Zipf ranks by rejection, exact for any exponent, with no zeta sum.
//!
//! Ranks 1..=n are cut into segments that widen with the rank. A segment is chosen by its mass under a
//! staircase that lies on or above the law, a rank is drawn evenly inside it, and it is kept with probability
//! law / staircase. Most draws are kept by comparing with the lowest step of the segment, which needs no power.

use crate::random::Draws;

/// Segments widen by one part in this many, so the staircase wastes about theta / (2 x this) of the draws.
const SEGMENTS_PER_OCTAVE: u64 = 32;

/// A Zipf law over `0..n`: rank r has mass proportional to (r + 1)^-theta.
#[derive(Clone, Debug)]
pub struct Zipf {
    theta: f64,
    segments: Vec<Segment>,
    alias: Vec<Alias>,
}

#[derive(Clone, Debug)]
struct Segment {
    first: u64,
    ranks: u64,
    /// Law at the last rank over law at the first: below this every rank of the segment is kept.
    surely_kept: f64,
}

#[derive(Clone, Debug)]
struct Alias {
    keep_below: f64,
    other: u32,
}

impl Zipf {
    /// The law over `n` ranks with exponent `theta` (0 is uniform).
    pub fn new(n: u64, theta: f64) -> Zipf {
        assert!(n > 0, "a Zipf law needs at least one rank");
        assert!(theta >= 0.0 && theta.is_finite());
        let mut segments = Vec::new();
        let mut masses = Vec::new();
        let mut first = 1u64;
        while first <= n {
            let ranks = (first / SEGMENTS_PER_OCTAVE).max(1).min(n - first + 1);
            let last = first + ranks - 1;
            segments.push(Segment {
                first,
                ranks,
                surely_kept: (last as f64 / first as f64).powf(-theta),
            });
            masses.push((first as f64).powf(-theta) * ranks as f64);
            first += ranks;
        }
        let alias = alias_table(&masses);
        Zipf {
            theta,
            segments,
            alias,
        }
    }

    /// One rank, 0 the most likely.
    #[inline]
    pub fn rank(&self, draws: &mut Draws) -> u64 {
        loop {
            let column = draws.below(self.alias.len() as u64) as usize;
            let alias = &self.alias[column];
            let chosen = if draws.unit() < alias.keep_below {
                column
            } else {
                alias.other as usize
            };
            let segment = &self.segments[chosen];
            if segment.ranks == 1 {
                return segment.first - 1;
            }
            let rank = segment.first + draws.below(segment.ranks);
            let height = draws.unit();
            if height < segment.surely_kept
                || height < (rank as f64 / segment.first as f64).powf(-self.theta)
            {
                return rank - 1;
            }
        }
    }
}

/// Vose's alias table: one draw picks a column, a second decides between its two owners.
fn alias_table(masses: &[f64]) -> Vec<Alias> {
    let total: f64 = masses.iter().sum();
    let columns = masses.len();
    let mut scaled: Vec<f64> = masses.iter().map(|m| m * columns as f64 / total).collect();
    let mut table: Vec<Alias> = (0..columns)
        .map(|i| Alias {
            keep_below: 1.0,
            other: i as u32,
        })
        .collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..columns).partition(|&i| scaled[i] < 1.0);
    while let (Some(&s), Some(&l)) = (small.last(), large.last()) {
        small.pop();
        table[s] = Alias {
            keep_below: scaled[s],
            other: l as u32,
        };
        scaled[l] -= 1.0 - scaled[s];
        if scaled[l] < 1.0 {
            large.pop();
            small.push(l);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn chi_square(n: u64, theta: f64, draws: u64) -> (f64, usize) {
        let zipf = Zipf::new(n, theta);
        let stream = Stream::new(11, "zipf", 0);
        let mut seen = vec![0u64; n as usize];
        for i in 0..draws {
            seen[zipf.rank(&mut stream.at(i)) as usize] += 1;
        }
        let zeta: f64 = (1..=n).map(|r| (r as f64).powf(-theta)).sum();
        // Cells with few expected draws are pooled, as the test requires.
        let (mut chi, mut cells) = (0.0, 0);
        let (mut expected, mut observed) = (0.0, 0u64);
        for r in 1..=n {
            expected += draws as f64 * (r as f64).powf(-theta) / zeta;
            observed += seen[r as usize - 1];
            if expected >= 20.0 {
                chi += (observed as f64 - expected).powi(2) / expected;
                cells += 1;
                (expected, observed) = (0.0, 0);
            }
        }
        (chi, cells - 1)
    }

    #[test]
    fn draws_follow_the_law() {
        for (n, theta) in [
            (1, 0.99),
            (10, 0.5),
            (1000, 0.99),
            (5000, 1.2),
            (300, 0.0),
            (2000, 2.1),
        ] {
            let (chi, freedom) = chi_square(n, theta, 400_000);
            // Wilson-Hilferty bound for the 0.9999 quantile.
            let f = freedom.max(1) as f64;
            let bound = f * (1.0 - 2.0 / (9.0 * f) + 3.72 * (2.0 / (9.0 * f)).sqrt()).powi(3);
            assert!(
                chi <= bound,
                "n {n} theta {theta}: chi-square {chi} over {bound}"
            );
        }
    }

    #[test]
    fn the_hottest_key_of_a_million_takes_its_known_share() {
        let zipf = Zipf::new(1_000_000, 0.99);
        let stream = Stream::new(3, "zipf", 0);
        let n = 300_000;
        let hot = (0..n)
            .filter(|&i| zipf.rank(&mut stream.at(i)) == 0)
            .count();
        let share = hot as f64 / n as f64;
        assert!((share - 0.0651).abs() < 0.003, "share {share}");
    }

    #[test]
    fn every_rank_can_be_drawn() {
        let zipf = Zipf::new(200, 0.99);
        let stream = Stream::new(4, "zipf", 0);
        let mut seen = [false; 200];
        for i in 0..200_000 {
            seen[zipf.rank(&mut stream.at(i)) as usize] = true;
        }
        assert!(seen.iter().all(|&s| s));
    }
}

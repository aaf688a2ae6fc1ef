//! Could chance alone have done this? If the two sides were equal, every difference could as well have had the
//! other sign.

/// How often equals would differ by as much, in either direction: the share of all ways to give the differences
/// signs in which their signed ranks add up to as much. Ranks and not the differences, because one run that was
/// interrupted would outweigh all others. Exact.
pub fn sign_flip(differences: &[f64]) -> f64 {
    let ranks = doubled_ranks(differences);
    let signed = ranks.iter().zip(differences).map(|(&rank, &value)| {
        let rank = rank as i64;
        if value > 0.0 { rank } else { -rank }
    });
    let seen = signed.sum::<i64>().unsigned_abs() as usize;
    if seen == 0 {
        return 1.0;
    }
    // The chance of each sum of those that are positive, sign by sign.
    let total: usize = ranks.iter().sum();
    let mut chances = vec![0.0; total + 1];
    chances[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for sum in (0..=reached).rev() {
            let raised = if sum >= rank {
                chances[sum - rank]
            } else {
                0.0
            };
            chances[sum] = (chances[sum] + raised) / 2.0;
        }
    }
    // Positive ones less negative ones reach `seen`.
    let tail: f64 = chances[(total + seen) / 2..].iter().sum();
    (2.0 * tail).min(1.0)
}

/// Of the sizes, twice, so that those of ties are whole. What does not differ has none.
fn doubled_ranks(differences: &[f64]) -> Vec<usize> {
    let size = |value: &f64| value.abs();
    let rank = |value: &f64| {
        let smaller = |other: &&f64| **other != 0.0 && size(other) < size(value);
        let equal = |other: &&f64| size(other) == size(value);
        2 * differences.iter().filter(smaller).count()
            + differences.iter().filter(equal).count()
            + 1
    };
    let differs = |value: &f64| if *value == 0.0 { 0 } else { rank(value) };
    differences.iter().map(differs).collect()
}

#[cfg(test)]
mod tests {
    use ringkeep_bench::random::Stream;

    use super::*;

    #[test]
    fn small_cases_are_those_that_can_be_counted_by_hand() {
        assert_eq!(sign_flip(&[]), 1.0);
        assert_eq!(sign_flip(&[1.0]), 1.0);
        // Of eight patterns only all plus and all minus reach six.
        assert_eq!(sign_flip(&[1.0, 2.0, 3.0]), 0.25);
        // Ranks 1, 2 and 3 with one minus: 4; five more patterns reach 4 or -4.
        assert_eq!(sign_flip(&[-0.1, 2.0, 3.0]), 0.5);
        // Ranks 1 and 2 with a minus, in sum 3, as 3 alone; less have none, 1 alone and 2 alone. Both directions.
        let two_minus = [-1.0, -2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(sign_flip(&two_minus), 2.0 * 5.0 / 64.0);
        assert_eq!(sign_flip(&[1.0, -1.0]), 1.0);
        assert_eq!(sign_flip(&[0.0; 5]), 1.0);
        assert_eq!(sign_flip(&[0.5; 10]), 2.0 / 1024.0);
        assert_eq!(sign_flip(&[0.5, 0.5, 0.0, 0.5, 0.5]), 2.0 / 16.0);
    }

    /// Every pattern of signs, one after the other.
    fn by_trying_all(differences: &[f64]) -> f64 {
        let ranks = doubled_ranks(differences);
        let sum = |is_positive: &dyn Fn(usize) -> bool| -> i64 {
            let signed = ranks.iter().enumerate();
            signed
                .map(|(i, &rank)| {
                    if is_positive(i) {
                        rank as i64
                    } else {
                        -(rank as i64)
                    }
                })
                .sum()
        };
        let seen = sum(&|i| differences[i] > 0.0).abs();
        let patterns = 1u64 << differences.len();
        let reach = (0..patterns).filter(|pattern| sum(&|i| pattern >> i & 1 == 1).abs() >= seen);
        reach.count() as f64 / patterns as f64
    }

    #[test]
    fn it_is_the_share_of_all_patterns() {
        for number in 0..60 {
            let random = Stream::new(9, "test", number);
            // Rounded, so that some are equal and some are nothing.
            let values: Vec<f64> = (0..1 + number % 12)
                .map(|i| (3.0 * (0.4 + random.at(i).normal())).round())
                .collect();
            let (found, tried) = (sign_flip(&values), by_trying_all(&values));
            assert!(
                (found - tried).abs() < 1e-12,
                "{values:?}: {found}, {tried}"
            );
        }
    }

    /// Share of samples that look different at one in twenty.
    fn fooled(sample: impl Fn(&Stream) -> Vec<f64>) -> f64 {
        let rounds = 2000;
        let is_fooled = |number: &u64| sign_flip(&sample(&Stream::new(5, "test", *number))) <= 0.05;
        (0..rounds).filter(is_fooled).count() as f64 / rounds as f64
    }

    #[test]
    fn equals_look_different_as_rarely_as_it_says() {
        let normal = |random: &Stream, i: u64| random.at(i).normal();
        let wild = |random: &Stream, i: u64| normal(random, i) / random.at(i + 100).normal();
        for count in [6, 10, 20, 60] {
            // Only so many patterns exist, so with few it is rarer than 0.05; four deviations more are allowed.
            let found = fooled(|random| (0..count).map(|i| normal(random, i)).collect());
            assert!((0.01..0.0695).contains(&found), "{count} normals: {found}");
            let found = fooled(|random| (0..count).map(|i| wild(random, i)).collect());
            assert!(
                (0.01..0.0695).contains(&found),
                "{count} with far outliers: {found}"
            );
        }
    }

    #[test]
    fn what_differs_is_seen_in_spite_of_outliers() {
        let interrupted = |random: &Stream, i: u64| {
            let spike = if i.is_multiple_of(10) {
                30.0 * random.at(i + 100).normal()
            } else {
                0.0
            };
            1.0 + random.at(i).normal() + spike
        };
        let found = fooled(|random| (0..20).map(|i| interrupted(random, i)).collect());
        assert!(found > 0.85, "{found}");
    }
}

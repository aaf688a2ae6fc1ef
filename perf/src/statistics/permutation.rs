//! Could chance alone have done this? If the two sides were equal, every difference could as well have had the
//! other sign.

use ringkeep_bench::random::Stream;

/// All sign patterns are tried up to this many differences, random ones beyond.
const EXACT_MAX: usize = 18;
const ROUNDS: u64 = 20_000;

/// How often equals would differ by as much in sum, in either direction.
pub fn sign_flip(differences: &[f64]) -> f64 {
    let seen = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in their last bits.
    let reaches = |sum: f64| sum.abs() >= seen * (1.0 - 1e-9);
    if differences.len() <= EXACT_MAX {
        return exact(differences, reaches);
    }
    let random = Stream::new(3, "sign-flip", differences.len() as u64);
    let count = (0..ROUNDS)
        .filter(|round| {
            let mut draws = random.at(*round);
            let mut bits = 0;
            let signed = differences.iter().enumerate().map(|(i, value)| {
                if i % 64 == 0 {
                    bits = draws.bits();
                }
                if bits >> (i % 64) & 1 == 0 {
                    *value
                } else {
                    -value
                }
            });
            reaches(signed.sum())
        })
        .count();
    // The pattern that was seen is one of them.
    (count + 1) as f64 / (ROUNDS + 1) as f64
}

fn exact(differences: &[f64], reaches: impl Fn(f64) -> bool) -> f64 {
    let patterns = 1u64 << differences.len();
    let count = (0..patterns)
        .filter(|pattern| {
            let signed = differences.iter().enumerate();
            reaches(
                signed
                    .map(|(i, value)| {
                        if pattern >> i & 1 == 0 {
                            *value
                        } else {
                            -value
                        }
                    })
                    .sum(),
            )
        })
        .count();
    count as f64 / patterns as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_are_those_that_can_be_counted_by_hand() {
        assert_eq!(sign_flip(&[1.0]), 1.0);
        // Of eight patterns only all plus and all minus reach six.
        assert_eq!(sign_flip(&[1.0, 2.0, 3.0]), 0.25);
        assert_eq!(sign_flip(&[1.0, -1.0]), 1.0);
        assert_eq!(sign_flip(&[0.0; 5]), 1.0);
        assert_eq!(sign_flip(&[0.5; 10]), 2.0 / 1024.0);
    }

    #[test]
    fn drawing_patterns_agrees_with_trying_all() {
        let random = Stream::new(9, "test", 0);
        let mut values: Vec<f64> = (0..18).map(|i| 0.3 + random.at(i).normal()).collect();
        let all = sign_flip(&values);
        // Differences of nothing change no sum, and push the count past what is tried exactly.
        values.extend([0.0; 4]);
        let drawn = sign_flip(&values);
        assert!((all - drawn).abs() < 0.01, "{all} and {drawn}");
    }

    #[test]
    fn equals_look_different_as_rarely_as_it_says() {
        let rounds = 400;
        let is_fooled = |number: &u64| {
            let random = Stream::new(5, "test", *number);
            let values: Vec<f64> = (0..10).map(|i| random.at(i).normal()).collect();
            sign_flip(&values) <= 0.05
        };
        let fooled = (0..rounds).filter(is_fooled).count();
        assert!((6..=34).contains(&fooled), "{fooled} of {rounds}");
    }
}

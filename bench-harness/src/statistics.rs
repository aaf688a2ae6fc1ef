//! Intervals by drawing the sample again and again from itself. Everything is seeded: the same samples give the
//! same answer.

use crate::random::Stream;

const RESAMPLES: u64 = 2000;

/// The middle of the values; the mean of the two middle ones if there are two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (n, middle) if n % 2 == 1 => sorted[middle],
        (_, middle) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The value below which the share `q` of them lies.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let index = (q * (sorted.len() - 1) as f64).round() as usize;
    sorted[index]
}

/// Where the true median lies, with 95 % confidence: drawn, and never narrower than what is exact for any
/// distribution, because among a handful of values drawing alone holds the truth in nine cases of ten.
pub fn median_interval(values: &[f64]) -> (f64, f64) {
    let random = Stream::new(1, "bootstrap", values.len() as u64);
    let mut medians = resampled(values, values.len(), &random, |value, _| value);
    medians.sort_by(f64::total_cmp);
    let (low, high) = exact_interval(values);
    (
        quantile(&medians, 0.025).min(low),
        quantile(&medians, 0.975).max(high),
    )
}

/// Between the values that have so few beyond them that the true median is there in one case of twenty at most:
/// each value lies below it like a coin falls.
fn exact_interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    // The chance that exactly `beyond` coins of all fall heads.
    let mut chance = 0.5f64.powi(count as i32);
    let (mut tails, mut beyond) = (0.0, 0);
    while tails + 2.0 * chance <= 0.05 {
        tails += 2.0 * chance;
        chance *= (count - beyond) as f64 / (beyond + 1) as f64;
        beyond += 1;
    }
    let outermost = beyond.saturating_sub(1);
    (sorted[outermost], sorted[count - 1 - outermost])
}

/// How far from zero the median of `count` differences between equals would come, in 19 of 20 cases. Which of two
/// equals is the first is arbitrary, so every difference counts with either sign.
pub fn noise_floor(differences: &[f64], count: usize) -> f64 {
    let random = Stream::new(2, "bootstrap", differences.len() as u64);
    let signed = |value: f64, heads: bool| if heads { value } else { -value };
    let mut medians = resampled(differences, count, &random, signed);
    for median in &mut medians {
        *median = median.abs();
    }
    medians.sort_by(f64::total_cmp);
    quantile(&medians, 0.95)
}

fn resampled(
    values: &[f64],
    count: usize,
    random: &Stream,
    change: fn(f64, bool) -> f64,
) -> Vec<f64> {
    assert!(!values.is_empty(), "nothing can be drawn from nothing");
    let mut drawn = vec![0.0; count];
    (0..RESAMPLES)
        .map(|round| {
            let mut draws = random.at(round);
            for place in &mut drawn {
                let value = values[draws.below(values.len() as u64) as usize];
                *place = change(value, draws.below(2) == 0);
            }
            median(&drawn)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(count: u64, number: u64, one: impl Fn(&Stream, u64) -> f64) -> Vec<f64> {
        let random = Stream::new(7, "drawn", number);
        (0..count).map(|i| one(&random, i)).collect()
    }

    fn normals(count: u64, mean: f64, deviation: f64, number: u64) -> Vec<f64> {
        drawn(count, number, |random, i| {
            mean + deviation * random.at(i).normal()
        })
    }

    /// How often the interval holds a known median.
    fn coverage(truth: f64, sample: impl Fn(u64) -> Vec<f64>) -> f64 {
        let rounds = 500;
        let covers = |number: &u64| {
            let (low, high) = median_interval(&sample(*number));
            (low..=high).contains(&truth)
        };
        (0..rounds).filter(covers).count() as f64 / rounds as f64
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        for count in [7, 10, 20, 40] {
            // Four deviations of 500 rounds below 0.95; steps between few values make it wider than it says.
            let normal = coverage(0.03, |number| normals(count, 0.03, 0.05, number));
            assert!(
                (0.911..0.995).contains(&normal),
                "{count} normals: {normal}"
            );
            let skewed = |number| drawn(count, number, |random, i| random.at(i).exponential(1.0));
            let skewed = coverage(std::f64::consts::LN_2, skewed);
            assert!((0.911..0.995).contains(&skewed), "{count} skewed: {skewed}");
            let wild = |number| {
                drawn(count, number, |random, i| {
                    let mut draws = random.at(i);
                    draws.normal() / draws.normal()
                })
            };
            let wild = coverage(0.0, wild);
            assert!((0.911..0.995).contains(&wild), "{count} far out: {wild}");
        }
    }

    #[test]
    fn the_exact_interval_is_that_of_the_tables() {
        // Of 10 values the 2nd to the 9th, of 20 the 6th to the 15th; of 5 even all are too few.
        for (count, low, high) in [
            (5, 1.0, 5.0),
            (6, 1.0, 6.0),
            (10, 2.0, 9.0),
            (20, 6.0, 15.0),
        ] {
            let values: Vec<f64> = (1..=count).map(f64::from).collect();
            assert_eq!(exact_interval(&values), (low, high));
        }
    }

    #[test]
    fn more_samples_narrow_it() {
        let width = |count| {
            let (low, high) = median_interval(&normals(count, 0.0, 1.0, 3));
            high - low
        };
        assert!(width(400) < width(25) / 2.0);
        assert_eq!(median_interval(&[2.5; 9]), (2.5, 2.5));
    }

    #[test]
    fn medians_between_equals_stay_below_the_floor_in_19_of_20_cases() {
        let rounds = 1000;
        for count in [10, 40] {
            let sample = |number| normals(count, 0.0, 0.02, number);
            let stays = |number: &u64| {
                let floor = noise_floor(
                    &normals(2 * count, 0.0, 0.02, rounds + number),
                    count as usize,
                );
                median(&sample(*number)).abs() <= floor
            };
            let below = (0..rounds).filter(stays).count() as f64 / rounds as f64;
            assert!((0.92..0.99).contains(&below), "{count}: {below}");
        }
    }
}

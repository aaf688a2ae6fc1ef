//! Intervals by drawing the sample again and again from itself.

use ringkeep_bench::random::Stream;

use super::{median, quantile};

const RESAMPLES: u64 = 2000;

/// Where the true median lies, with 95 % confidence.
pub fn median_interval(values: &[f64]) -> (f64, f64) {
    let random = Stream::new(1, "bootstrap", values.len() as u64);
    let mut medians = resampled(values, &random, |value, _| value);
    medians.sort_by(f64::total_cmp);
    (quantile(&medians, 0.025), quantile(&medians, 0.975))
}

/// How far from zero the median of as many differences between equals would come, in 19 of 20 cases. Which of two
/// equals is the first is arbitrary, so every difference counts with either sign.
pub fn noise_floor(differences: &[f64]) -> f64 {
    let random = Stream::new(2, "bootstrap", differences.len() as u64);
    let signed = |value: f64, heads: bool| if heads { value } else { -value };
    let mut medians = resampled(differences, &random, signed);
    for median in &mut medians {
        *median = median.abs();
    }
    medians.sort_by(f64::total_cmp);
    quantile(&medians, 0.95)
}

fn resampled(values: &[f64], random: &Stream, change: fn(f64, bool) -> f64) -> Vec<f64> {
    assert!(!values.is_empty(), "nothing can be drawn from nothing");
    let mut drawn = vec![0.0; values.len()];
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

    fn normals(count: u64, mean: f64, deviation: f64, number: u64) -> Vec<f64> {
        let random = Stream::new(7, "normals", number);
        (0..count)
            .map(|i| mean + deviation * random.at(i).normal())
            .collect()
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let rounds = 200;
        let covers = |number: &u64| {
            let (low, high) = median_interval(&normals(20, 0.03, 0.05, *number));
            (low..=high).contains(&0.03)
        };
        let covered = (0..rounds).filter(covers).count();
        assert!((180..=198).contains(&covered), "{covered} of {rounds}");
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
    fn medians_between_equals_stay_below_the_floor() {
        let rounds = 200;
        let floor = noise_floor(&normals(40, 0.0, 0.02, 1_000_000));
        let stays = |number: &u64| median(&normals(40, 0.0, 0.02, *number)).abs() <= floor;
        let below = (0..rounds).filter(stays).count();
        assert!(below >= 170, "{below} of {rounds}");
        assert!(floor < 0.02, "{floor}");
    }
}

//! Where a series changed its level: E-divisive (Matteson and James), which cuts where the two sides are farthest
//! apart in energy distance, again and again, as long as shuffling the series seldom gives as good a cut.

use ringkeep_bench::random::Stream;
use serde::Serialize;

use super::median;

/// Cuts closer to an end or to each other than this are not looked for.
const SEGMENT_MIN: usize = 3;
const SHUFFLES: u64 = 499;

/// A cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChangePoint {
    /// The first value of the new level.
    pub index: usize,
    /// Median before and after, between the neighbouring cuts.
    pub before: f64,
    pub after: f64,
}

/// All cuts with p below `significance` and a change of at least the share `magnitude_min`, in order.
pub fn change_points(series: &[f64], significance: f64, magnitude_min: f64) -> Vec<ChangePoint> {
    let mut cuts = Vec::new();
    split(series, 0, significance, &mut cuts);
    cuts.sort_unstable();
    // Joining what differs too little changes its neighbours' levels, so one at a time.
    loop {
        let points = levels(series, &cuts);
        let change = |point: &ChangePoint| (point.after / point.before - 1.0).abs();
        match points
            .iter()
            .position(|point| change(point) < magnitude_min)
        {
            Some(weak) => cuts.remove(weak),
            None => return points,
        };
    }
}

fn levels(series: &[f64], cuts: &[usize]) -> Vec<ChangePoint> {
    let mut points = Vec::new();
    for (i, &index) in cuts.iter().enumerate() {
        let from = if i == 0 { 0 } else { cuts[i - 1] };
        let to = cuts.get(i + 1).copied().unwrap_or(series.len());
        points.push(ChangePoint {
            index,
            before: median(&series[from..index]),
            after: median(&series[index..to]),
        });
    }
    points
}

fn split(series: &[f64], offset: usize, significance: f64, cuts: &mut Vec<usize>) {
    let Some((cut, distance)) = best_cut(series) else {
        return;
    };
    let random = Stream::new(4, "change-points", series.len() as u64);
    let mut shuffled = series.to_vec();
    let mut as_good = 0;
    for round in 0..SHUFFLES {
        let mut draws = random.at(round);
        for i in (1..shuffled.len()).rev() {
            shuffled.swap(i, draws.below(i as u64 + 1) as usize);
        }
        let found = best_cut(&shuffled).map_or(0.0, |(_, distance)| distance);
        as_good += u64::from(found >= distance);
    }
    let p = (as_good + 1) as f64 / (SHUFFLES + 1) as f64;
    if p > significance {
        return;
    }
    cuts.push(offset + cut);
    split(&series[..cut], offset, significance, cuts);
    split(&series[cut..], offset + cut, significance, cuts);
}

/// The cut with the largest weighted energy distance between its sides:
/// `nm/(n+m) * (2 mean|x-y| - mean|x-x'| - mean|y-y'|)`.
fn best_cut(series: &[f64]) -> Option<(usize, f64)> {
    let length = series.len();
    if length < 2 * SEGMENT_MIN {
        return None;
    }
    let distance = |i: usize, j: usize| (series[i] - series[j]).abs();
    let to_all =
        |i: usize, range: std::ops::Range<usize>| -> f64 { range.map(|j| distance(i, j)).sum() };
    // Sums over unordered pairs within the left, within the right, and across; a value moves from right to left.
    let (mut left, mut across) = (0.0, 0.0);
    let mut right: f64 = (0..length).map(|i| to_all(i, i + 1..length)).sum();
    let mut best: Option<(usize, f64)> = None;
    for cut in 1..=length - SEGMENT_MIN {
        let moved = cut - 1;
        let (to_left, to_right) = (to_all(moved, 0..moved), to_all(moved, cut..length));
        left += to_left;
        right -= to_right;
        across += to_right - to_left;
        if cut < SEGMENT_MIN {
            continue;
        }
        let (n, m) = (cut as f64, (length - cut) as f64);
        let within = |sum: f64, n: f64| 2.0 * sum / (n * (n - 1.0));
        let energy = 2.0 * across / (n * m) - within(left, n) - within(right, m);
        let weighted = energy * n * m / (n + m);
        if best.is_none_or(|(_, most)| weighted > most) {
            best = Some((cut, weighted));
        }
    }
    best.filter(|(_, distance)| *distance > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(levels: &[(usize, f64)], noise: f64, number: u64) -> Vec<f64> {
        let random = Stream::new(11, "steps", number);
        let values = levels.iter().flat_map(|&(n, level)| vec![level; n]);
        values
            .enumerate()
            .map(|(i, level)| level * (1.0 + noise * random.at(i as u64).normal()))
            .collect()
    }

    #[test]
    fn steps_are_found_where_they_are() {
        for number in 0..20 {
            let series = steps(&[(20, 100.0), (15, 110.0), (25, 95.0)], 0.01, number);
            let found = change_points(&series, 0.01, 0.02);
            let places: Vec<usize> = found.iter().map(|point| point.index).collect();
            assert_eq!(places.len(), 2, "{places:?}");
            assert!(
                places[0].abs_diff(20) <= 1 && places[1].abs_diff(35) <= 1,
                "{places:?}"
            );
            assert!((found[0].after / found[0].before - 1.1).abs() < 0.02);
        }
    }

    #[test]
    fn a_step_near_an_end_is_found_there() {
        for number in 0..20 {
            let series = steps(&[(6, 100.0), (54, 104.0)], 0.01, 300 + number);
            let found = change_points(&series, 0.01, 0.02);
            let places: Vec<usize> = found.iter().map(|point| point.index).collect();
            assert!(
                places.len() == 1 && places[0].abs_diff(6) <= 3,
                "{places:?}"
            );
        }
    }

    #[test]
    fn noise_has_steps_as_rarely_as_it_says() {
        let wild = |number, i| {
            let mut draws = Stream::new(12, "wild", number).at(i);
            100.0 + draws.normal() / draws.normal()
        };
        for is_wild in [false, true] {
            let rounds = 200;
            let is_fooled = |number: &u64| {
                let series = match is_wild {
                    false => steps(&[(40, 100.0)], 0.05, 100 + number),
                    true => (0..40).map(|i| wild(*number, i)).collect(),
                };
                !change_points(&series, 0.05, 0.0).is_empty()
            };
            let found = (0..rounds).filter(is_fooled).count();
            // Ten are expected; three deviations more are allowed.
            assert!(found <= 19, "{found} of {rounds}, wild: {is_wild}");
        }
        assert_eq!(change_points(&[5.0; 30], 0.01, 0.0), []);
        assert_eq!(change_points(&[1.0, 9.0], 0.01, 0.0), []);
    }

    #[test]
    fn one_run_that_was_disturbed_is_no_step() {
        for number in 0..20 {
            let mut series = steps(&[(40, 100.0)], 0.01, 200 + number);
            series[20] *= 3.0;
            assert_eq!(change_points(&series, 0.01, 0.02), []);
        }
    }

    #[test]
    fn small_steps_are_left_out_on_request() {
        let series = steps(&[(20, 100.0), (20, 103.0)], 0.002, 1);
        assert_eq!(change_points(&series, 0.01, 0.01).len(), 1);
        assert_eq!(change_points(&series, 0.01, 0.05), []);
    }
}

//! Time against time: a verdict from differences of runs that were made side by side.

use super::verdict::{Judged, Verdict, Why};
use crate::metric::{Class, class, threshold};
use crate::statistics::{holm, median, median_interval, noise_floor, sign_flip};

/// Chance of a false alarm in the whole run, all metrics together.
const FALSE_ALARMS: f64 = 0.05;

/// One metric's runs.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `scenario/metric`.
    pub metric: String,
    /// Base and head of each pair.
    pub pairs: Vec<(f64, f64)>,
    /// Two runs of the same side around them.
    pub equals: Vec<(f64, f64)>,
    /// What calibration found to be this machine's noise.
    pub calibrated: Option<f64>,
}

/// Judges all metrics of a run together.
pub fn judge(samples: &[Samples]) -> Vec<Judged> {
    let p: Vec<f64> = samples
        .iter()
        .map(|sample| sign_flip(&growth(&sample.pairs)))
        .collect();
    let p = holm(&p);
    samples
        .iter()
        .zip(p)
        .map(|(sample, p)| one(sample, p))
        .collect()
}

/// Logarithms: halving and doubling are equally far.
pub fn growth(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs
        .iter()
        .map(|(base, head)| (head / base).ln())
        .collect()
}

fn one(sample: &Samples, p: f64) -> Judged {
    let name = sample.metric.split_once('/').map_or("", |(_, name)| name);
    let differences = growth(&sample.pairs);
    let floor = noise_floor(&growth(&sample.equals)).max(sample.calibrated.unwrap_or(0.0));
    let change = median(&differences);
    let (low, high) = median_interval(&differences);
    let class = class(name);
    let stated = threshold(name);
    // CPU time is judged more coarsely on a noisy machine, up to a point; real time is not judged there at all.
    let (allowed, is_unstable) = match class {
        Class::Cpu => (stated.max(2.0 * floor), floor > stated),
        Class::Work | Class::Wall => (stated, floor > stated / 2.0),
    };
    let verdict = match () {
        () if is_unstable => Verdict::Unstable,
        () if low > allowed.ln_1p() && low > floor && p <= FALSE_ALARMS => Verdict::Regression,
        () if high < -allowed.ln_1p() && high < -floor && p <= FALSE_ALARMS => Verdict::Improvement,
        () if high < allowed.ln_1p() => Verdict::Pass,
        () => Verdict::Inconclusive,
    };
    let side =
        |of: fn(&(f64, f64)) -> f64| median(&sample.pairs.iter().map(of).collect::<Vec<_>>());
    Judged {
        metric: sample.metric.clone(),
        class,
        base: Some(side(|pair| pair.0)),
        head: Some(side(|pair| pair.1)),
        change: Some(change.exp_m1()),
        threshold: allowed,
        interval: Some((low.exp_m1(), high.exp_m1())),
        floor: Some(floor),
        p: Some(p),
        verdict,
        why: (verdict == Verdict::Inconclusive).then_some(Why::TooClose),
        accepted: None,
    }
}

#[cfg(test)]
mod tests {
    use ringkeep_bench::random::Stream;

    use super::*;

    /// Ten metrics of which the first grew, with noise that both runs of a pair share and noise that they do not.
    fn run(grown: f64, noise: f64, number: u64) -> Vec<Judged> {
        let samples: Vec<Samples> = (0..10)
            .map(|metric| {
                let random = Stream::new(number, "pairs", metric);
                let grown = if metric == 0 { grown } else { 0.0 };
                let pair = |i: u64, grown: f64| {
                    let mut draws = random.at(i);
                    let shared = (0.2 * draws.normal()).exp();
                    let mut run = || 100.0 * shared * (noise * draws.normal()).exp();
                    (run(), run() * (1.0 + grown))
                };
                Samples {
                    metric: "put/cpu_ns".into(),
                    pairs: (0..20).map(|i| pair(i, grown)).collect(),
                    equals: (100..120).map(|i| pair(i, 0.0)).collect(),
                    calibrated: None,
                }
            })
            .collect();
        judge(&samples)
    }

    fn count(rows: &[Judged], verdict: Verdict) -> usize {
        rows.iter().filter(|row| row.verdict == verdict).count()
    }

    #[test]
    fn two_hundred_runs_of_equals_raise_hardly_an_alarm() {
        let alarms = (0..200)
            .filter(|number| {
                let noise = [0.01, 0.03, 0.1][*number as usize % 3];
                count(&run(0.0, noise, *number), Verdict::Regression) > 0
            })
            .count();
        assert!(alarms <= 10, "{alarms} of 200");
    }

    #[test]
    fn twice_what_is_allowed_is_seen() {
        let seen = (0..100)
            .filter(|number| run(0.10, 0.015, *number)[0].verdict == Verdict::Regression)
            .count();
        assert!(seen >= 90, "{seen} of 100");
        let seen = (0..100)
            .filter(|number| run(-0.12, 0.015, *number)[0].verdict == Verdict::Improvement)
            .count();
        assert!(seen >= 90, "{seen} of 100");
    }

    #[test]
    fn noise_beyond_what_is_to_be_seen_is_unstable_and_never_a_pass() {
        let rows = run(0.0, 0.5, 1);
        assert_eq!(count(&rows, Verdict::Pass), 0);
        assert!(count(&rows, Verdict::Unstable) >= 8);
    }
}

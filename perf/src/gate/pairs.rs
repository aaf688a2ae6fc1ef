//! Time against time: a verdict from blocks of four runs that were made side by side, two of each binary.
//!
//! A block gives one difference between the binaries, in which a machine that slows down or speeds up steadily
//! cancels. What else a place in a block does (the first run warms something, the outer ones are farther apart) has
//! the sign of the coin that decided who begins, and so is what the sign-flip test allows for. Pairs within a block
//! share that coin: taking them for two independent differences would raise false alarms.

use super::verdict::{Judged, Verdict, Why};
use crate::metric::{Class, class, threshold};
use crate::statistics::{holm, median, median_interval, noise_floor, sign_flip};

/// Chance of a false alarm in the whole run, all metrics together.
const FALSE_ALARMS: f64 = 0.05;

/// Two runs of each binary, made as A B B A or B A A B; each side's earlier run first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    pub base: (f64, f64),
    pub head: (f64, f64),
}

impl Block {
    /// How much more the head takes. Logarithms: halving and doubling are equally far.
    pub fn difference(&self) -> f64 {
        let mean = |(a, b): (f64, f64)| (a.ln() + b.ln()) / 2.0;
        mean(self.head) - mean(self.base)
    }

    /// What the difference might as well have been between equals: two that compare no run of one side with one
    /// of the other, and vary as much as it does, or more where the machine drifts.
    fn noise(&self) -> [f64; 2] {
        let half = |(a, b): (f64, f64)| (a.ln() - b.ln()) / 2.0;
        [
            half(self.base) + half(self.head),
            half(self.base) - half(self.head),
        ]
    }
}

/// One metric's runs.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `scenario/metric`.
    pub metric: String,
    pub blocks: Vec<Block>,
    /// What calibration found to be this machine's noise.
    pub calibrated: Option<f64>,
}

impl Samples {
    /// How much more the head takes, block by block.
    pub fn differences(&self) -> Vec<f64> {
        self.blocks.iter().map(Block::difference).collect()
    }
}

/// The fewest blocks from which a regression could be seen at all: with fewer, even differences that all point the
/// same way are too likely to be chance, once corrected for the number of metrics.
pub fn blocks_min(metrics: usize) -> usize {
    let least = |blocks: &usize| 2.0 / 2f64.powi(*blocks as i32) * metrics as f64 <= FALSE_ALARMS;
    (1..).find(least).unwrap_or(1)
}

/// What one metric's samples say by themselves.
struct Seen<'a> {
    sample: &'a Samples,
    change: f64,
    low: f64,
    high: f64,
    floor: f64,
    allowed: f64,
    is_unstable: bool,
    p: f64,
}

/// Judges all metrics of a run together. Those whose noise hides what is to be seen are out before anybody looks at
/// their difference, so they cost the others no sharpness.
pub fn judge(samples: &[Samples]) -> Vec<Judged> {
    let seen: Vec<Seen> = samples.iter().map(look).collect();
    let stable = seen.iter().filter(|one| !one.is_unstable);
    let mut corrected = holm(&stable.map(|one| one.p).collect::<Vec<_>>()).into_iter();
    seen.iter()
        .map(|one| {
            let p = (!one.is_unstable).then(|| corrected.next()).flatten();
            conclude(one, p)
        })
        .collect()
}

fn look(sample: &Samples) -> Seen<'_> {
    let name = sample.metric.split_once('/').map_or("", |(_, name)| name);
    let differences = sample.differences();
    let noise: Vec<f64> = sample.blocks.iter().flat_map(Block::noise).collect();
    let floor = noise_floor(&noise, differences.len()).max(sample.calibrated.unwrap_or(0.0));
    let (low, high) = median_interval(&differences);
    let stated = threshold(name);
    // CPU time is judged more coarsely on a noisy machine, up to a point; real time is not judged there at all.
    let (allowed, is_unstable) = match class(name) {
        Class::Cpu => (stated.max(2.0 * floor), floor > stated),
        Class::Work | Class::Wall => (stated, floor > stated / 2.0),
    };
    Seen {
        sample,
        change: median(&differences),
        low,
        high,
        floor,
        allowed,
        is_unstable,
        p: sign_flip(&differences),
    }
}

fn conclude(seen: &Seen, p: Option<f64>) -> Judged {
    let &Seen {
        low,
        high,
        floor,
        allowed,
        ..
    } = seen;
    let by_chance = p.is_none_or(|p| p > FALSE_ALARMS);
    let verdict = match () {
        () if seen.is_unstable => Verdict::Unstable,
        () if low > allowed.ln_1p() && low > floor && !by_chance => Verdict::Regression,
        () if high < -allowed.ln_1p() && high < -floor && !by_chance => Verdict::Improvement,
        () if high < allowed.ln_1p() => Verdict::Pass,
        () => Verdict::Inconclusive,
    };
    let side = |of: fn(&Block) -> (f64, f64)| {
        let runs = seen.sample.blocks.iter().map(of);
        median(&runs.flat_map(|(a, b)| [a, b]).collect::<Vec<_>>())
    };
    Judged {
        metric: seen.sample.metric.clone(),
        class: class(
            seen.sample
                .metric
                .split_once('/')
                .map_or("", |(_, name)| name),
        ),
        base: Some(side(|block| block.base)),
        head: Some(side(|block| block.head)),
        change: Some(seen.change.exp_m1()),
        threshold: allowed,
        interval: Some((low.exp_m1(), high.exp_m1())),
        floor: Some(floor),
        p,
        verdict,
        why: (verdict == Verdict::Inconclusive).then_some(Why::TooClose),
        accepted: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::machine::Machine;

    const METRICS: u64 = 12;

    /// All metrics of a run, of which the first grew.
    fn run(grown: f64, machine: Machine, number: u64) -> Vec<Judged> {
        let samples: Vec<Samples> = (0..METRICS)
            .map(|metric| {
                let grown = if metric == 0 { grown } else { 0.0 };
                let name = if metric % 2 == 0 {
                    "put/cpu_ns"
                } else {
                    "put/wall_ns"
                };
                machine.samples(name, grown, 10, number * METRICS + metric)
            })
            .collect();
        judge(&samples)
    }

    fn count(rows: &[Judged], verdict: Verdict) -> usize {
        rows.iter().filter(|row| row.verdict == verdict).count()
    }

    #[test]
    fn drift_and_the_order_within_a_block_are_no_difference() {
        // Every run takes 10 % more than the one before it.
        let run = |i: i32| 1.1f64.powi(i);
        let block = Block {
            base: (run(0), run(3)),
            head: (run(1), run(2)),
        };
        assert!(block.difference().abs() < 1e-12);
        let twice = Block {
            base: (1.0, 1.0),
            head: (2.0, 2.0),
        };
        assert!((twice.difference() - 2f64.ln()).abs() < 1e-12);
        assert_eq!(twice.noise(), [0.0, 0.0]);
    }

    #[test]
    fn equals_hardly_raise_an_alarm_on_any_machine() {
        for machine in Machine::ALL {
            let alarms = (0..200)
                .filter(|number| {
                    let rows = run(0.0, machine, *number);
                    count(&rows, Verdict::Regression) + count(&rows, Verdict::Improvement) > 0
                })
                .count();
            assert!(alarms <= 10, "{machine:?}: {alarms} of 200");
        }
    }

    #[test]
    fn p_alone_is_as_rare_as_it_says_on_any_machine() {
        // Without the thresholds, which hide most mistakes of the test for chance.
        for machine in Machine::ALL {
            let rounds = 500;
            let is_fooled = |number: &u64| {
                sign_flip(
                    &machine
                        .samples("put/cpu_ns", 0.0, 10, *number)
                        .differences(),
                ) <= 0.05
            };
            let fooled = (0..rounds).filter(is_fooled).count();
            assert!(fooled <= 44, "{machine:?}: {fooled} of {rounds}");
        }
    }

    #[test]
    fn twice_what_is_allowed_is_seen() {
        for machine in [Machine::Quiet, Machine::Drifting] {
            let seen = |grown: f64, verdict| {
                let rows = |number: &u64| run(grown, machine, *number)[0].verdict == verdict;
                (0..100).filter(rows).count()
            };
            let (more, less) = (
                seen(0.10, Verdict::Regression),
                seen(-0.12, Verdict::Improvement),
            );
            assert!(
                more >= 90 && less >= 90,
                "{machine:?}: {more} and {less} of 100"
            );
        }
    }

    #[test]
    fn noise_beyond_what_is_to_be_seen_is_unstable_and_never_a_pass() {
        let noisy = |number| {
            let sample = Machine::Hopeless.samples("put/cpu_ns", 0.0, 10, number);
            judge(&[sample]).remove(0).verdict
        };
        let verdicts: Vec<Verdict> = (0..100).map(noisy).collect();
        assert!(verdicts.iter().all(|verdict| *verdict != Verdict::Pass));
        let unstable = verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Unstable);
        assert!(unstable.count() >= 95);
    }

    #[test]
    fn too_few_blocks_are_known_beforehand() {
        for metrics in [1, 2, 24, 100] {
            let clear = |blocks| {
                let sample = Machine::Still.samples("put/cpu_ns", 0.5, blocks, 1);
                let rows = judge(&vec![sample; metrics]);
                count(&rows, Verdict::Regression)
            };
            assert_eq!(clear(blocks_min(metrics)), metrics);
            assert_eq!(clear(blocks_min(metrics) - 1), 0);
        }
    }
}

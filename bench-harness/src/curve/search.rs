//! The highest rate that passes.
//!
//! Doubling or halving brackets it, bisection on the logarithm narrows the bracket to 3 %. One probe on a noisy
//! machine proves little, so the rates around the bracket are probed again in shuffled order, and the answer is
//! the rate that misclassifies the fewest of all probes: passes above it, failures at it or below.

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::random::Stream;

/// The bracket is this narrow at the end.
const NARROW: f64 = 1.03;
/// Times that the rates around the bracket are probed again.
const CONFIRMATIONS: u64 = 2;
/// A rate below this is no rate.
const RATE_MIN: f64 = 1.0;
const RESAMPLES: u64 = 1000;

/// About how many probes a search takes.
pub const PROBES: u32 = 17;

/// What a search concluded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The highest rate that passes; none if even the lowest one failed.
    pub per_s: Option<f64>,
    /// Interval of it over resampled probes.
    pub lo_per_s: f64,
    /// Its upper end.
    pub hi_per_s: f64,
    /// Confidence of the interval.
    pub confidence: f64,
    /// Usable probes.
    pub probes: usize,
    /// Of these, on the wrong side of the answer.
    pub misclassified: usize,
    /// The generator gave out before the target: the target can do at least this.
    pub generator_limited: bool,
}

/// Searches from `start` on. `probe` says how a rate went, or nothing when time is up.
pub fn search(
    start: f64,
    confidence: f64,
    seed: u64,
    mut probe: impl FnMut(f64) -> Option<Outcome>,
) -> Answer {
    let mut probes: Vec<(f64, bool)> = Vec::new();
    let mut generator_limited = false;
    let (mut low, mut high) = (None::<f64>, None::<f64>);
    let mut rate = start.max(RATE_MIN);
    let mut out_of_time = false;
    let mut try_rate = |rate: f64, probes: &mut Vec<(f64, bool)>| -> Option<Outcome> {
        let outcome = probe(rate)?;
        if outcome != Outcome::Unusable {
            probes.push((rate, outcome == Outcome::Passed));
        }
        Some(outcome)
    };
    loop {
        rate = match (low, high) {
            (Some(low), Some(high)) if high / low <= NARROW => break,
            (Some(low), Some(high)) => f64::sqrt(low * high),
            (Some(low), None) => low * 2.0,
            (None, Some(high)) => high / 2.0,
            (None, None) => rate,
        };
        if rate < RATE_MIN {
            break;
        }
        match try_rate(rate, &mut probes) {
            None => {
                out_of_time = true;
                break;
            }
            Some(Outcome::Passed) => low = Some(rate),
            Some(Outcome::Failed) => high = Some(rate),
            // Above this the generator is what is measured; below it the target may still fail.
            Some(Outcome::Unusable) => {
                high = Some(rate);
                generator_limited = true;
            }
        }
    }
    if let (Some(low), Some(high), false) = (low, high, out_of_time) {
        let around = [low / NARROW, low, high, high * NARROW];
        let mut again: Vec<f64> = (0..CONFIRMATIONS).flat_map(|_| around).collect();
        shuffle(&mut again, seed);
        for rate in again {
            if try_rate(rate, &mut probes).is_none() {
                break;
            }
        }
    }
    let failed_at_all = probes.iter().any(|&(_, passed)| !passed);
    let (per_s, misclassified) = boundary(&probes);
    let stream = Stream::new(seed, "search bootstrap", 0);
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|i| {
            let mut draws = stream.at(i);
            let drawn: Vec<(f64, bool)> = probes
                .iter()
                .map(|_| probes[draws.below(probes.len() as u64) as usize])
                .collect();
            boundary(&drawn).0.unwrap_or(0.0)
        })
        .collect();
    resampled.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let at = |q: f64| resampled[((RESAMPLES - 1) as f64 * q).round() as usize];
    Answer {
        per_s,
        lo_per_s: at(tail).min(per_s.unwrap_or(0.0)),
        hi_per_s: at(1.0 - tail).max(per_s.unwrap_or(0.0)),
        confidence,
        probes: probes.len(),
        misclassified,
        generator_limited: generator_limited && !failed_at_all,
    }
}

/// The probed rate with the fewest failures at or below it and passes above it, and how many those are. Of
/// equals the lowest, because a planner loses more by promising too much.
fn boundary(probes: &[(f64, bool)]) -> (Option<f64>, usize) {
    let wrong = |at: f64| {
        probes
            .iter()
            .filter(|&&(rate, passed)| passed != (rate <= at))
            .count()
    };
    let mut best = (None, wrong(0.0));
    let mut rates: Vec<f64> = probes
        .iter()
        .filter(|(_, passed)| *passed)
        .map(|&(rate, _)| rate)
        .collect();
    rates.sort_by(f64::total_cmp);
    for rate in rates {
        let count = wrong(rate);
        if count < best.1 {
            best = (Some(rate), count);
        }
    }
    best
}

/// Fisher and Yates, by seed.
pub fn shuffle<T>(list: &mut [T], seed: u64) {
    let stream = Stream::new(seed, "shuffle", 0);
    for i in (1..list.len()).rev() {
        list.swap(i, stream.at(i as u64).below(i as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(yes: bool) -> Option<Outcome> {
        Some(if yes {
            Outcome::Passed
        } else {
            Outcome::Failed
        })
    }

    #[test]
    fn a_sharp_limit_is_found_from_either_side_and_never_exceeded() {
        for start in [100.0, 37_000.0, 9e6] {
            let answer = search(start, 0.95, 1, |rate| pass(rate < 37_000.0));
            let found = answer.per_s.unwrap();
            assert!((37_000.0 / 1.03..37_000.0).contains(&found), "{answer:?}");
            assert_eq!(answer.misclassified, 0);
            assert!(answer.lo_per_s <= found && found <= answer.hi_per_s);
        }
    }

    #[test]
    fn a_noisy_limit_is_within_its_interval() {
        let mut covered = 0;
        for seed in 0..40 {
            let noise = Stream::new(seed, "noise", 0);
            let mut n = 0;
            let answer = search(10_000.0, 0.95, seed, |rate| {
                n += 1;
                pass(rate * (1.0 + 0.03 * noise.at(n).normal()) < 50_000.0)
            });
            let found = answer.per_s.unwrap();
            assert!((found / 50_000.0 - 1.0).abs() < 0.15, "{answer:?}");
            covered += u32::from(answer.lo_per_s / 1.03 <= 50e3 && 50e3 <= answer.hi_per_s * 1.03);
        }
        assert!(covered >= 28, "{covered} of 40 intervals hold the limit");
    }

    #[test]
    fn nothing_passes_and_time_runs_out() {
        let answer = search(1_000.0, 0.95, 1, |_| pass(false));
        assert_eq!((answer.per_s, answer.generator_limited), (None, false));
        let mut left = 3;
        let answer = search(1_000.0, 0.95, 1, |_| {
            left -= 1;
            if left < 0 { None } else { pass(true) }
        });
        assert_eq!((answer.per_s, answer.probes), (Some(4_000.0), 3));
    }

    #[test]
    fn a_generator_that_gives_out_first_is_said() {
        let answer = search(1_000.0, 0.95, 1, |rate| {
            Some(if rate < 5_000.0 {
                Outcome::Passed
            } else {
                Outcome::Unusable
            })
        });
        assert!(answer.generator_limited && answer.per_s.unwrap() > 4_800.0);
    }
}

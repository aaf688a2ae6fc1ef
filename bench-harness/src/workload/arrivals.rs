//! When the operations of an open loop are due.
//!
//! The schedule is made without looking at the target or the clock. Several drivers share one load by running
//! one schedule each at their part of the rate: Poisson streams add up to a Poisson stream.

use serde::{Deserialize, Serialize};

use crate::quantity::Span;
use crate::random::Stream;
use crate::trace::ScriptUse;

/// The process that spaces operations; the mean rate comes from the load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "process")]
pub enum Arrival {
    /// Independent users.
    Poisson,
    /// Evenly spaced.
    Uniform,
    /// Poisson at `factor` times the mean rate for `on`, then at what keeps the mean for `off`.
    Bursty {
        /// Length of a burst.
        on: Span,
        /// Time between bursts.
        off: Span,
        /// Rate in a burst over the mean rate.
        factor: f64,
    },
    /// Poisson whose rate swings around the mean: a day in a few minutes.
    Sine {
        /// Time of one swing.
        period: Span,
        /// Swing as a share of the mean rate, below 1.
        depth: f64,
    },
    /// Gaps of a generalized Pareto law with the load's mean: many short ones and a few very long.
    Pareto {
        /// Shape, below 1; 0 is Poisson.
        k: f64,
    },
    /// As in the trace that the stream carries.
    Trace,
}

/// The intended times of one driver, in nanoseconds from the start of the phase.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrival: Arrival,
    stream: Stream,
    gap_ns: f64,
    part: u64,
    parts: u64,
    position: u64,
    at_ns: f64,
    script: Option<ScriptUse>,
}

impl Schedule {
    /// Part `part` of `parts` of a load of `rate_per_s`.
    pub fn new(arrival: Arrival, rate_per_s: f64, seed: u64, part: u64, parts: u64) -> Schedule {
        assert!(part < parts);
        Schedule {
            arrival,
            stream: Stream::new(seed, "arrivals", part),
            gap_ns: 1e9 * parts as f64 / rate_per_s,
            part,
            parts,
            position: 0,
            at_ns: 0.0,
            script: None,
        }
    }

    /// With the times of a trace, if that is how operations arrive.
    pub fn following(mut self, script: Option<&ScriptUse>) -> Schedule {
        if self.arrival == Arrival::Trace {
            self.script = script.cloned();
        }
        self
    }

    /// The next intended time; never earlier than the one before.
    #[inline]
    pub fn next_ns(&mut self) -> u64 {
        let mut draws = self.stream.at(self.position);
        match self.arrival {
            Arrival::Poisson => self.at_ns += draws.exponential(self.gap_ns),
            // Multiplied, not summed, so that no rounding builds up; the parts interleave.
            Arrival::Uniform => {
                let turn = self.position as f64 + (self.part + 1) as f64 / self.parts as f64;
                self.at_ns = turn * self.gap_ns;
            }
            Arrival::Bursty { on, off, factor } => {
                let mut work = draws.exponential(self.gap_ns);
                let cycle = (on.ns + off.ns) as f64;
                let on_ns = on.ns as f64;
                let quiet = ((cycle - factor * on_ns) / off.ns.max(1) as f64).max(0.0);
                loop {
                    let phase = self.at_ns % cycle;
                    let (rate, left) = if phase < on_ns {
                        (factor, on_ns - phase)
                    } else {
                        (quiet, cycle - phase)
                    };
                    if work <= rate * left {
                        self.at_ns += work / rate;
                        break;
                    }
                    work -= rate * left;
                    // At least a nanosecond, or rounding could hold the time at a boundary for ever.
                    self.at_ns += left.max(1.0);
                }
            }
            Arrival::Pareto { k } => {
                let sigma = self.gap_ns * (1.0 - k);
                let survival = 1.0 - draws.unit();
                self.at_ns += match k == 0.0 {
                    true => -sigma * survival.ln(),
                    false => sigma * (survival.powf(-k) - 1.0) / k,
                };
            }
            Arrival::Trace => {
                let turn = self.position * self.parts + self.part;
                self.at_ns = match &self.script {
                    Some(used) => used.script.at_ns(turn) as f64 / used.speed,
                    None => (turn + 1) as f64 * self.gap_ns / self.parts as f64,
                };
            }
            Arrival::Sine { period, depth } => loop {
                self.at_ns += draws.exponential(self.gap_ns / (1.0 + depth));
                let turn = std::f64::consts::TAU * self.at_ns / period.ns as f64;
                if draws.unit() * (1.0 + depth) < 1.0 + depth * turn.sin() {
                    break;
                }
            },
        }
        self.position += 1;
        self.at_ns as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrival: Arrival, parts: u64, n: usize) -> Vec<u64> {
        let mut all = Vec::new();
        for part in 0..parts {
            let mut schedule = Schedule::new(arrival, 50_000.0, 1, part, parts);
            all.extend((0..n / parts as usize).map(|_| schedule.next_ns()));
        }
        all
    }

    #[test]
    fn every_process_keeps_the_mean_rate_and_never_steps_back() {
        let bursty = Arrival::Bursty {
            on: Span::millis(5),
            off: Span::millis(15),
            factor: 3.0,
        };
        let sine = Arrival::Sine {
            period: Span::millis(100),
            depth: 0.8,
        };
        for (arrival, tolerance) in [
            (Arrival::Uniform, 1e-6),
            (Arrival::Poisson, 1e-3),
            (bursty, 2e-3),
            (sine, 2e-3),
            (Arrival::Pareto { k: 0.155 }, 2e-3),
        ] {
            let times = times(arrival, 1, 4_000_000);
            assert!(times.is_sorted());
            let rate = times.len() as f64 / (*times.last().unwrap() as f64 / 1e9);
            assert!(
                (rate / 50_000.0 - 1.0).abs() < tolerance,
                "{arrival:?}: {rate}"
            );
        }
    }

    #[test]
    fn parts_of_a_uniform_load_interleave() {
        let mut times = times(Arrival::Uniform, 4, 400);
        times.sort_unstable();
        let gaps: Vec<u64> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps.iter().all(|&g| g.abs_diff(20_000) <= 1), "{gaps:?}");
    }

    #[test]
    fn poisson_gaps_vary_as_they_should() {
        let times = times(Arrival::Poisson, 1, 200_000);
        let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let dispersion = variance.sqrt() / mean;
        assert!((dispersion - 1.0).abs() < 0.01, "{dispersion}");
    }

    #[test]
    fn bursts_hold_most_of_the_arrivals() {
        let arrival = Arrival::Bursty {
            on: Span::millis(5),
            off: Span::millis(15),
            factor: 3.0,
        };
        let times = times(arrival, 1, 100_000);
        let inside = times
            .iter()
            .filter(|&&t| t % 20_000_000 < 5_000_000)
            .count();
        let share = inside as f64 / times.len() as f64;
        assert!((share - 0.75).abs() < 0.01, "{share}");
    }
}

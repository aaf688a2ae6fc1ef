//! Lengths drawn from a law: value sizes in bytes, scan lengths in entries.

use serde::{Deserialize, Serialize};

use crate::random::Draws;

/// A law of lengths; every draw is at least 1 and at most its cap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "dist")]
pub enum LengthLaw {
    /// Always the same.
    Fixed {
        /// The length.
        size: u32,
    },
    /// Any of `min..=max`.
    Uniform {
        /// Shortest.
        min: u32,
        /// Longest.
        max: u32,
    },
    /// Normal around `mean`.
    Normal {
        /// Mean length before the caps.
        mean: f64,
        /// Deviation.
        sigma: f64,
        /// Cap.
        max: u32,
    },
    /// Log-normal around `mean`.
    LogNormal {
        /// Mean length before the cap.
        mean: f64,
        /// Deviation of the logarithm.
        sigma: f64,
        /// Cap.
        max: u32,
    },
    /// Generalized Pareto, as fitted to production key-value stores.
    Pareto {
        /// Location.
        theta: f64,
        /// Shape.
        k: f64,
        /// Scale.
        sigma: f64,
        /// Cap.
        max: u32,
    },
    /// As measured: ranges of lengths, each with its share of the draws.
    Histogram {
        /// Share, shortest and longest; evenly spread between. The shares add up to 1.
        steps: Vec<(f64, u32, u32)>,
    },
}

impl LengthLaw {
    /// One length.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        match *self {
            LengthLaw::Histogram { ref steps } => {
                let mut left = draws.unit();
                let chosen = steps.iter().find(|(share, ..)| {
                    left -= share;
                    left < 0.0
                });
                // Shares that add up to a hair less than 1 leave the rest to the last range.
                let &(_, min, max) = chosen.unwrap_or(&steps[steps.len() - 1]);
                between(min, max, draws)
            }
            LengthLaw::Fixed { size } => size,
            LengthLaw::Uniform { min, max } => between(min, max, draws),
            LengthLaw::Normal { mean, sigma, max } => capped(mean + sigma * draws.normal(), max),
            LengthLaw::LogNormal { mean, sigma, max } => {
                let location = mean.ln() - sigma * sigma / 2.0;
                capped((location + sigma * draws.normal()).exp(), max)
            }
            LengthLaw::Pareto {
                theta,
                k,
                sigma,
                max,
            } => {
                let survival = 1.0 - draws.unit();
                let length = if k == 0.0 {
                    theta - sigma * survival.ln()
                } else {
                    theta + sigma * (survival.powf(-k) - 1.0) / k
                };
                capped(length, max)
            }
        }
    }

    /// The shortest possible length.
    pub fn min(&self) -> u32 {
        match *self {
            LengthLaw::Fixed { size } => size,
            LengthLaw::Uniform { min, .. } => min,
            LengthLaw::Normal { .. } | LengthLaw::LogNormal { .. } | LengthLaw::Pareto { .. } => 1,
            LengthLaw::Histogram { ref steps } => {
                steps.iter().map(|step| step.1).min().unwrap_or(1)
            }
        }
    }

    /// The longest possible length.
    pub fn max(&self) -> u32 {
        match *self {
            LengthLaw::Fixed { size } => size,
            LengthLaw::Histogram { ref steps } => {
                steps.iter().map(|step| step.2).max().unwrap_or(1)
            }
            LengthLaw::Uniform { max, .. }
            | LengthLaw::Normal { max, .. }
            | LengthLaw::LogNormal { max, .. }
            | LengthLaw::Pareto { max, .. } => max,
        }
    }

    /// The mean, by formula where the cap does not bend it and by drawing where it does.
    pub fn mean(&self) -> f64 {
        match *self {
            LengthLaw::Fixed { size } => f64::from(size),
            LengthLaw::Uniform { min, max } => (f64::from(min) + f64::from(max)) / 2.0,
            LengthLaw::Histogram { ref steps } => steps
                .iter()
                .map(|&(share, min, max)| share * (f64::from(min) + f64::from(max)) / 2.0)
                .sum(),
            _ => {
                let stream = crate::random::Stream::new(1, "mean length", 0);
                let n = 20_000;
                (0..n)
                    .map(|i| f64::from(self.draw(&mut stream.at(i))))
                    .sum::<f64>()
                    / n as f64
            }
        }
    }
}

fn between(min: u32, max: u32, draws: &mut Draws) -> u32 {
    min + draws.below(u64::from(max - min) + 1) as u32
}

fn capped(length: f64, max: u32) -> u32 {
    (length.max(1.0) as u32).clamp(1, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_match_the_literature() {
        let zippydb = LengthLaw::Pareto {
            theta: 0.0,
            k: 0.2615,
            sigma: 25.45,
            max: 1 << 20,
        };
        // The continuous mean is sigma / (1 - k) = 34.5; whole bytes lose half a byte.
        assert!((zippydb.mean() - 34.0).abs() < 1.5, "{}", zippydb.mean());
        let session = LengthLaw::LogNormal {
            mean: 1500.0,
            sigma: 0.5,
            max: 1 << 20,
        };
        assert!((session.mean() / 1500.0 - 1.0).abs() < 0.03);
        assert_eq!(LengthLaw::Uniform { min: 1, max: 100 }.mean(), 50.5);
    }

    #[test]
    fn a_histogram_gives_each_range_its_share() {
        let law = LengthLaw::Histogram {
            steps: vec![(0.25, 100, 100), (0.75, 200, 300)],
        };
        assert_eq!((law.min(), law.max(), law.mean()), (100, 300, 212.5));
        let stream = crate::random::Stream::new(5, "length", 0);
        let drawn: Vec<u32> = (0..40_000).map(|i| law.draw(&mut stream.at(i))).collect();
        let share = |wanted: &dyn Fn(u32) -> bool| {
            drawn.iter().filter(|&&length| wanted(length)).count() as f64 / 40_000.0
        };
        assert!((share(&|length| length == 100) - 0.25).abs() < 0.01);
        assert!((share(&|length| (200..=300).contains(&length)) - 0.75).abs() < 0.01);
    }

    #[test]
    fn a_normal_law_has_its_mean_and_deviation() {
        let law = LengthLaw::Normal {
            mean: 1000.0,
            sigma: 100.0,
            max: 1 << 20,
        };
        let stream = crate::random::Stream::new(5, "length", 0);
        let drawn: Vec<f64> = (0..40_000)
            .map(|i| f64::from(law.draw(&mut stream.at(i))))
            .collect();
        let mean = drawn.iter().sum::<f64>() / 40_000.0;
        let square = drawn.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 40_000.0;
        assert!((mean - 1000.0).abs() < 3.0 && (square.sqrt() - 100.0).abs() < 3.0);
    }

    #[test]
    fn draws_stay_in_bounds() {
        let law = LengthLaw::Pareto {
            theta: 0.0,
            k: 2.517,
            sigma: 14.236,
            max: 10_000,
        };
        let stream = crate::random::Stream::new(3, "length", 0);
        for i in 0..10_000 {
            assert!((1..=10_000).contains(&law.draw(&mut stream.at(i))));
        }
    }
}

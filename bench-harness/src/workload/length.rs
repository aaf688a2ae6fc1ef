//! Lengths drawn from a law: value sizes in bytes, scan lengths in entries.

use serde::{Deserialize, Serialize};

use crate::random::Draws;

/// A law of lengths; every draw is at least 1 and at most its cap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
}

impl LengthLaw {
    /// One length.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        match *self {
            LengthLaw::Fixed { size } => size,
            LengthLaw::Uniform { min, max } => min + draws.below(u64::from(max - min) + 1) as u32,
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
            LengthLaw::LogNormal { .. } | LengthLaw::Pareto { .. } => 1,
        }
    }

    /// The longest possible length.
    pub fn max(&self) -> u32 {
        match *self {
            LengthLaw::Fixed { size } => size,
            LengthLaw::Uniform { max, .. }
            | LengthLaw::LogNormal { max, .. }
            | LengthLaw::Pareto { max, .. } => max,
        }
    }

    /// The mean, by formula where the cap does not bend it and by drawing where it does.
    pub fn mean(&self) -> f64 {
        match *self {
            LengthLaw::Fixed { size } => f64::from(size),
            LengthLaw::Uniform { min, max } => (f64::from(min) + f64::from(max)) / 2.0,
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

//! The Universal Scalability Law: X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1)).

use serde::{Deserialize, Serialize};

/// A fitted law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Throughput of one.
    pub lambda: f64,
    /// Share that is serial.
    pub sigma: f64,
    /// Cost of agreeing, per pair.
    pub kappa: f64,
}

/// Points without which three parameters mean nothing.
const POINTS_MIN: usize = 4;

impl Scaling {
    /// Least squares over n / X(n), which is linear in the parameters; each point weighs by its own size.
    /// Nothing with fewer than four points, or where a parameter comes out negative and cannot be zero.
    pub fn fit(points: &[(f64, f64)]) -> Option<Scaling> {
        let usable: Vec<(f64, f64)> = points
            .iter()
            .copied()
            .filter(|&(n, x)| n >= 1.0 && x > 0.0)
            .collect();
        if usable.len() < POINTS_MIN {
            return None;
        }
        // Coefficients that would be negative are left out, one after the other.
        for columns in [&[0, 1, 2][..], &[0, 1], &[0, 2], &[0]] {
            let found = least_squares(&usable, columns)?;
            if found[0] > 0.0 && found.iter().all(|&c| c >= 0.0) {
                return Some(Scaling {
                    lambda: 1.0 / found[0],
                    sigma: found[1] / found[0],
                    kappa: found[2] / found[0],
                });
            }
        }
        None
    }

    /// Throughput of `n`.
    pub fn at(&self, n: f64) -> f64 {
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// Where more stop helping; infinite if they never do.
    pub fn peak(&self) -> f64 {
        ((1.0 - self.sigma).max(0.0) / self.kappa).sqrt()
    }
}

/// Coefficients of n / X = a + b (n - 1) + c n (n - 1), only those in `columns`, the others zero.
fn least_squares(points: &[(f64, f64)], columns: &[usize]) -> Option<[f64; 3]> {
    let size = columns.len();
    let mut system = vec![vec![0.0; size + 1]; size];
    for &(n, x) in points {
        let y = n / x;
        let basis = [1.0, n - 1.0, n * (n - 1.0)];
        let weight = 1.0 / (y * y);
        for (i, &row) in columns.iter().enumerate() {
            for (j, &column) in columns.iter().enumerate() {
                system[i][j] += weight * basis[row] * basis[column];
            }
            system[i][size] += weight * basis[row] * y;
        }
    }
    for pivot in 0..size {
        let best = (pivot..size)
            .max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()))?;
        system.swap(pivot, best);
        if system[pivot][pivot].abs() < 1e-300 {
            return None;
        }
        let row = system[pivot].clone();
        for (other, line) in system.iter_mut().enumerate() {
            if other != pivot {
                let factor = line[pivot] / row[pivot];
                line.iter_mut()
                    .zip(&row)
                    .for_each(|(cell, value)| *cell -= factor * value);
            }
        }
    }
    let mut found = [0.0; 3];
    for (i, &column) in columns.iter().enumerate() {
        found[column] = system[i][size] / system[i][i];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_come_back() {
        let law = Scaling {
            lambda: 40_000.0,
            sigma: 0.03,
            kappa: 0.0002,
        };
        let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
            .map(|n| (n, law.at(n)))
            .to_vec();
        let found = Scaling::fit(&points).unwrap();
        assert!((found.lambda / law.lambda - 1.0).abs() < 1e-6, "{found:?}");
        assert!((found.sigma - law.sigma).abs() < 1e-6, "{found:?}");
        assert!((found.kappa - law.kappa).abs() < 1e-9, "{found:?}");
        assert!((found.peak() - 69.6).abs() < 0.1);
        assert_eq!(Scaling::fit(&points[..3]), None);
    }

    #[test]
    fn linear_growth_has_no_peak() {
        let points = [(1.0, 10.0), (2.0, 20.0), (4.0, 40.0), (8.0, 80.5)];
        let found = Scaling::fit(&points).unwrap();
        assert!(found.sigma < 1e-3 && found.at(16.0) > 150.0, "{found:?}");
    }
}

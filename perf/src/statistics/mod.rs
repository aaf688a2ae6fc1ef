//! What samples of noisy times allow to say. Everything is seeded: the same samples give the same answer.

mod bootstrap;
mod change_points;
mod holm;
mod permutation;

pub use bootstrap::{median_interval, noise_floor};
pub use change_points::{ChangePoint, change_points};
pub use holm::holm;
pub use permutation::sign_flip;

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

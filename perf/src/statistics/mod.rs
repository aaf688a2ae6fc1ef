//! What samples of noisy times allow to say. Everything is seeded: the same samples give the same answer.

mod change_points;
mod holm;
mod permutation;

pub use change_points::{ChangePoint, change_points};
pub use holm::holm;
pub use permutation::sign_flip;
pub use ringkeep_bench::statistics::{median, median_interval, noise_floor};

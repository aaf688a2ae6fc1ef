//! Compares two sides and decides.

mod compare;
mod verdict;

pub use compare::{Against, compare};
pub use verdict::{Comparison, Judged, Verdict};

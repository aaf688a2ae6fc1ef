//! Compares two sides and decides.

mod compare;
mod pairs;
mod verdict;

pub use compare::{Against, compare};
pub use pairs::{Samples, growth, judge};
pub use verdict::{Comparison, Judged, Verdict};

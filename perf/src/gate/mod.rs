//! Compares two sides and decides.

mod compare;
mod pairs;
mod verdict;

mod machine;

pub use compare::{Against, compare};
pub use machine::Machine;
pub use pairs::{Block, Samples, blocks_min, judge};
pub use verdict::{Comparison, Judged, Verdict, Why};

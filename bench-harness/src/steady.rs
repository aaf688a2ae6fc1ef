//! Has a warm-up done its work?

use serde::{Deserialize, Serialize};

use crate::recorder::Interval;

/// What is known about steadiness at the start of the measured window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steady {
    /// Nobody asked: the warm-up had a fixed length.
    Fixed,
    /// Rate and tail had settled.
    Yes,
    /// The longest allowed warm-up ended first.
    No,
}

/// Intervals that are compared.
const LOOKED_AT: usize = 8;
/// The rate may move this much between the two halves.
const RATE_TOLERANCE: f64 = 0.02;
/// The service P99 may move this much.
const TAIL_TOLERANCE: f64 = 0.25;

/// Compares the halves of the last intervals of a warm-up. Service time is looked at, because in an open loop
/// the response time of a target that cannot keep up never settles and should not be waited for.
pub fn judge(warm: &[Interval]) -> Steady {
    // The last interval is still being filled.
    let full = &warm[..warm.len().saturating_sub(1)];
    if full.len() < LOOKED_AT + 1 {
        return Steady::No;
    }
    let (early, late) = full[full.len() - LOOKED_AT..].split_at(LOOKED_AT / 2);
    let rate = |half: &[Interval]| half.iter().map(|i| i.count()).sum::<u64>() as f64;
    let tail = |half: &[Interval]| {
        let mut sum = Interval::empty(half[0].kinds.len());
        half.iter().for_each(|interval| sum.add(interval));
        sum.kinds
            .iter()
            .map(|kind| kind.clocks.service.value_at_quantile(0.99) as f64)
            .fold(0.0, f64::max)
    };
    let close = |a: f64, b: f64, tolerance: f64| a > 0.0 && (a - b).abs() <= tolerance * a.max(b);
    match close(rate(early), rate(late), RATE_TOLERANCE)
        && close(tail(early), tail(late), TAIL_TOLERANCE)
    {
        true => Steady::Yes,
        false => Steady::No,
    }
}

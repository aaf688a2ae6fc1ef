//! What the last looks at a database saw, and what comes if that goes on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ringkeep_shard::{ROOM_UNLIMITED, ShardId, ShardStats};

use super::{Forecast, free_bytes, on_disk};
use crate::Stats;

/// A forecast looks back over at most so many samples, each at least `SAMPLE_EVERY` after the one before.
const SAMPLES_MAX: usize = 64;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What the last calls saw.
#[derive(Default)]
pub(crate) struct Samples(Mutex<VecDeque<Sample>>);

struct Sample {
    at: Instant,
    on_disk: u64,
    /// Of each shard.
    brought: Vec<(ShardId, u64)>,
}

impl Samples {
    pub(super) fn look(&self, stats: &Stats, at: Instant) -> Forecast {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forecast = samples
            .front()
            .map_or_else(Forecast::default, |first| forecast(first, stats, at));
        let is_due = |last: &Sample| at.saturating_duration_since(last.at) >= SAMPLE_EVERY;
        if samples.back().is_none_or(is_due) {
            if samples.len() == SAMPLES_MAX {
                samples.pop_front();
            }
            let brought = |(shard, stats): &(ShardId, ShardStats)| (*shard, stats.user_bytes);
            samples.push_back(Sample {
                at,
                on_disk: on_disk(stats),
                brought: stats.shards.iter().map(brought).collect(),
            });
        }
        forecast
    }
}

fn forecast(first: &Sample, stats: &Stats, at: Instant) -> Forecast {
    let over = at.saturating_duration_since(first.at);
    let each_second = |bytes: u64| bytes as f64 / over.as_secs_f64();
    let until = |bytes: u64, rate: f64| {
        let seconds = (rate >= 1.0).then(|| bytes as f64 / rate)?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let growth = on_disk(stats).saturating_sub(first.on_disk);
    let slowed = stats.shards.iter().filter_map(|(shard, now)| {
        let (_, before) = first.brought.iter().find(|(known, _)| known == shard)?;
        let rate = each_second(now.user_bytes.saturating_sub(*before));
        (now.room_bytes < ROOM_UNLIMITED).then(|| until(now.room_bytes, rate))?
    });
    Forecast {
        over,
        until_slowed: slowed.min(),
        until_full: free_bytes(stats).and_then(|free| until(free, each_second(growth))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_few_and_apart() {
        let (samples, start) = (Samples::default(), Instant::now());
        for step in 0..1000u32 {
            samples.look(&Stats::default(), start + step * SAMPLE_EVERY / 4);
        }
        let kept = samples.0.lock().unwrap();
        assert_eq!(kept.len(), SAMPLES_MAX);
        let apart = kept.iter().zip(kept.iter().skip(1));
        assert!(apart.into_iter().all(|(a, b)| b.at - a.at == SAMPLE_EVERY));
    }
}

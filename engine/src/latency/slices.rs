//! What one shard's calls took, in slices of ten seconds that take turns.
//!
//! A shard has [`SLICES`] histograms of 12.5 KiB for each kind of call from the start, so that no call takes memory: 613 KiB, of
//! which those pages become resident that are written to. Nothing is done when time passes but calls do not come.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use ringkeep_io::Nanos;

use super::{Latency, Operation, Percentiles};
use ringkeep_shard::ShardId;

pub(crate) const SLICE: Nanos = 10_000_000_000;

/// The one that is being filled, and a minute before it.
const SLICES: usize = 7;

/// Slices of the two windows, each with the one that is being filled.
pub(crate) const LAST_10S: u64 = 2;
pub(crate) const LAST_60S: u64 = 7;

/// Times from here to here are told apart, to 1 %.
const LEAST: Nanos = 64;
const MOST: Nanos = 100_000_000_000;

/// Times of all calls of one kind within ten seconds of the clock.
#[derive(Clone)]
struct Slice {
    /// Which ten seconds.
    index: u64,
    times: Arc<Histogram<u32>>,
}

/// Of one shard, by kind of call.
pub(crate) struct Recorder(Box<[[Slice; SLICES]; Operation::ALL.len()]>);

/// What a recorder held at one moment.
pub(crate) struct Recording {
    now: u64,
    slices: Vec<(Operation, Vec<Slice>)>,
}

impl Slice {
    fn new() -> Slice {
        let times = Histogram::new_with_bounds(LEAST, MOST, 2);
        Slice {
            index: 0,
            times: Arc::new(times.expect("the bounds are in order")),
        }
    }
}

impl Recorder {
    pub(crate) fn new() -> Recorder {
        let slices = |_| std::array::from_fn(|_| Slice::new());
        Recorder(Box::new(std::array::from_fn(slices)))
    }

    /// True where it is the first of its kind within a slice.
    pub(crate) fn record(
        &mut self,
        now: Nanos,
        operation: Operation,
        took: Nanos,
        calls: u8,
    ) -> bool {
        let index = now / SLICE;
        let slice = &mut self.0[operation as usize][(index % SLICES as u64) as usize];
        let begins = slice.index != index || slice.times.is_empty();
        if slice.index != index {
            match Arc::get_mut(&mut slice.times) {
                Some(times) => times.reset(),
                // Somebody still reads what it was a minute ago.
                None => *slice = Slice::new(),
            }
            slice.index = index;
        }
        if let Some(times) = Arc::get_mut(&mut slice.times) {
            times.saturating_record_n(took.max(1), calls.into());
        }
        begins
    }

    /// To be summed up elsewhere: all that is copied here is what is still written to.
    pub(crate) fn recording(&self, now: Nanos) -> Recording {
        let now = now / SLICE;
        let kept = |slice: &&Slice| slice.index + LAST_60S > now && !slice.times.is_empty();
        let kinds = Operation::ALL.into_iter().map(|operation| {
            let slices = self.0[operation as usize].iter();
            let slices = slices.filter(kept).map(|slice| Slice {
                index: slice.index,
                times: match slice.index == now {
                    true => Arc::new(Histogram::clone(&slice.times)),
                    false => Arc::clone(&slice.times),
                },
            });
            (operation, slices.collect())
        });
        Recording {
            now,
            slices: kinds.collect(),
        }
    }
}

/// First what all shards took together, then each.
pub(crate) fn summed(recordings: &[(ShardId, Recording)]) -> Vec<Latency> {
    let one = |shard, recordings: &[&Recording]| {
        let kinds = Operation::ALL.into_iter();
        kinds
            .map(|operation| Latency {
                shard,
                operation,
                last_10s: within(LAST_10S, operation, recordings),
                last_60s: within(LAST_60S, operation, recordings),
            })
            .filter(|latency| latency.last_60s.calls > 0)
            .collect::<Vec<_>>()
    };
    let all: Vec<&Recording> = recordings.iter().map(|(_, recording)| recording).collect();
    let mut latencies = one(None, &all);
    for (shard, recording) in recordings {
        latencies.extend(one(Some(*shard), &[recording]));
    }
    latencies
}

fn within(slices: u64, operation: Operation, recordings: &[&Recording]) -> Percentiles {
    let mut sum = Histogram::<u64>::new_with_bounds(LEAST, MOST, 2).expect("as above");
    for recording in recordings {
        let all = recording.slices.iter();
        let kind = all.filter(|(kind, _)| *kind == operation);
        let recent = |slice: &&Slice| slice.index + slices > recording.now;
        for slice in kind.flat_map(|(_, all)| all).filter(recent) {
            for times in slice.times.iter_recorded() {
                sum.saturating_record_n(
                    times.value_iterated_to(),
                    times.count_since_last_iteration(),
                );
            }
        }
    }
    if sum.is_empty() {
        return Percentiles::default();
    }
    let at = |quantile| Duration::from_nanos(sum.value_at_quantile(quantile));
    Percentiles {
        calls: sum.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: Duration::from_nanos(sum.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(recorder: &Recorder, now: Nanos) -> Option<Latency> {
        summed(&[(ShardId(0), recorder.recording(now))]).pop()
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut recorder = Recorder::new();
        for micros in 1..=1000 {
            recorder.record(SLICE, Operation::Put, micros * 1000, 1);
        }
        let times = one(&recorder, SLICE).unwrap().last_10s;
        assert_eq!(times.calls, 1000);
        for (time, wanted) in [
            (times.p50, 500),
            (times.p90, 900),
            (times.p99, 990),
            (times.p999, 999),
            (times.max, 1000),
        ] {
            let wanted = wanted as f64 * 1e3;
            let off = (time.as_nanos() as f64 - wanted).abs() / wanted;
            assert!(off < 0.01, "{time:?} is not {wanted} ns");
        }
    }

    #[test]
    fn a_window_forgets_what_is_older() {
        let mut recorder = Recorder::new();
        assert!(recorder.record(3 * SLICE, Operation::Get, 5000, 10));
        assert!(!recorder.record(3 * SLICE, Operation::Get, 5000, 6));
        let calls = |recorder: &Recorder, slice: u64| {
            one(recorder, slice * SLICE).map(|one| (one.last_10s.calls, one.last_60s.calls))
        };
        assert_eq!(calls(&recorder, 3), Some((16, 16)));
        assert_eq!(calls(&recorder, 4), Some((16, 16)));
        assert_eq!(calls(&recorder, 5), Some((0, 16)));
        assert_eq!(calls(&recorder, 9), Some((0, 16)));
        assert_eq!(calls(&recorder, 10), None);
        recorder.record(10 * SLICE, Operation::Get, 5000, 1);
        assert_eq!(calls(&recorder, 10), Some((1, 1)), "in the same place");
    }

    #[test]
    fn a_reader_keeps_what_it_was_given() {
        let mut recorder = Recorder::new();
        recorder.record(0, Operation::Delete, 5000, 1);
        let kept = recorder.recording(SLICE);
        recorder.record(7 * SLICE, Operation::Delete, 9000, 1);
        let kept = summed(&[(ShardId(0), kept)]).pop().unwrap();
        assert_eq!(kept.last_60s.max, Duration::from_nanos(5055));
    }

    #[test]
    fn memory_is_what_is_said_above() {
        let slice = Slice::new();
        assert_eq!(slice.times.distinct_values() * size_of::<u32>(), 12_800);
    }
}

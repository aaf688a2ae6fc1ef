//! Quantiles with the evidence behind them.
//!
//! A quantile is given only with at least a hundred samples above it, and with an interval: blocks of
//! neighbouring intervals are drawn with replacement, which keeps the autocorrelation that makes a stall count
//! once and not ten thousand times.

use std::borrow::Borrow;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::{ClockRecord, QuantileRecord};
use crate::random::Stream;

/// Quantiles that reports know.
pub const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];
/// Samples that must lie above a quantile.
const TAIL: f64 = 100.0;
/// Neighbouring intervals drawn together.
const BLOCK: usize = 5;
const RESAMPLES: u64 = 200;

/// Samples needed before quantile `q` is given.
pub fn samples_needed(q: f64) -> u64 {
    (TAIL / (1.0 - q)).round() as u64
}

/// The record of one clock: `all` is the sum of `intervals`.
pub fn clock_record<H: Borrow<Histogram<u64>>>(
    all: &Histogram<u64>,
    intervals: impl IntoIterator<Item = H>,
) -> ClockRecord {
    let shown: Vec<f64> = QUANTILES
        .into_iter()
        .filter(|&q| all.len() >= samples_needed(q))
        .collect();
    let bounds = bootstrap(intervals, &shown);
    let quantiles = shown
        .iter()
        .zip(bounds)
        .map(|(&q, (lo_ns, hi_ns))| {
            let value_ns = all.value_at_quantile(q);
            QuantileRecord {
                q,
                value_ns,
                lo_ns: lo_ns.min(value_ns),
                hi_ns: hi_ns.max(value_ns),
            }
        })
        .collect();
    ClockRecord {
        count: all.len(),
        mean_ns: all.mean(),
        min_ns: if all.is_empty() { 0 } else { all.min() },
        max_ns: all.max(),
        quantiles,
        histogram: encode(all),
    }
}

/// 95 % intervals of the quantiles over resampled blocks of intervals.
fn bootstrap<H: Borrow<Histogram<u64>>>(
    intervals: impl IntoIterator<Item = H>,
    quantiles: &[f64],
) -> Vec<(u64, u64)> {
    let sparse: Vec<Vec<(u64, u64)>> = intervals
        .into_iter()
        .map(|interval| {
            interval
                .borrow()
                .iter_recorded()
                .map(|bucket| {
                    (
                        bucket.value_iterated_to(),
                        bucket.count_since_last_iteration(),
                    )
                })
                .collect()
        })
        .collect();
    if sparse.len() < 2 || quantiles.is_empty() {
        return quantiles
            .iter()
            .map(|_| (0, 0))
            .map(|_| (u64::MAX, 0))
            .collect();
    }
    // All values once, in order; a resample then only adds counts at known places.
    let mut values: Vec<u64> = sparse.iter().flatten().map(|&(value, _)| value).collect();
    values.sort_unstable();
    values.dedup();
    let placed: Vec<Vec<(usize, u64)>> = sparse
        .iter()
        .map(|interval| {
            interval
                .iter()
                .map(|&(value, count)| {
                    (
                        values.binary_search(&value).expect("it was collected"),
                        count,
                    )
                })
                .collect()
        })
        .collect();
    let stream = Stream::new(0, "bootstrap", 0);
    let block = BLOCK.min(placed.len().div_ceil(4));
    let mut found: Vec<Vec<u64>> = vec![Vec::new(); quantiles.len()];
    let mut counts = vec![0u64; values.len()];
    for resample in 0..RESAMPLES {
        let mut draws = stream.at(resample);
        counts.fill(0);
        let mut total = 0;
        let mut taken = 0;
        while taken < placed.len() {
            let first = draws.below(placed.len() as u64) as usize;
            for i in 0..block {
                for &(place, count) in &placed[(first + i) % placed.len()] {
                    counts[place] += count;
                    total += count;
                }
            }
            taken += block;
        }
        let (mut seen, mut next) = (0, 0);
        for (place, &count) in counts.iter().enumerate() {
            seen += count;
            while next < quantiles.len() && seen as f64 >= quantiles[next] * total as f64 {
                found[next].push(values[place]);
                next += 1;
            }
        }
    }
    found
        .into_iter()
        .map(|mut values| {
            values.sort_unstable();
            let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
            (at(0.025), at(0.975))
        })
        .collect()
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("memory takes any histogram");
    base64_encode(&bytes)
}

/// A histogram from a report.
pub fn decode_histogram(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = base64_decode(text).ok_or("a histogram in the report is not base64")?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| format!("a histogram in the report is damaged: {error}"))
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group
            .iter()
            .enumerate()
            .fold(0u32, |word, (i, &b)| word | u32::from(b) << (16 - 8 * i));
        for i in 0..4 {
            text.push(match i <= group.len() {
                true => ALPHABET[(word >> (18 - 6 * i)) as usize & 63] as char,
                false => '=',
            });
        }
    }
    text
}

fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.as_bytes().chunks(4) {
        let mut word = 0u32;
        for (i, &c) in group.iter().enumerate() {
            let digit = ALPHABET.iter().position(|&a| a == c)? as u32;
            word |= digit << (18 - 6 * i);
        }
        bytes.extend_from_slice(&word.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::histogram;

    #[test]
    fn histograms_survive_their_text() {
        let mut before = histogram();
        for i in 0..10_000u64 {
            before.record(i * i).unwrap();
        }
        assert_eq!(decode_histogram(&encode(&before)).unwrap(), before);
        for n in 0..10u8 {
            let bytes: Vec<u8> = (0..n).collect();
            assert_eq!(base64_decode(&base64_encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(base64_encode(b"load"), "bG9hZA==");
    }

    #[test]
    fn a_quantile_needs_a_hundred_samples_above_it() {
        assert_eq!(samples_needed(0.99), 10_000);
        assert_eq!(samples_needed(0.999), 100_000);
        let mut all = histogram();
        for i in 0..9_999 {
            all.record(i).unwrap();
        }
        let shown: Vec<f64> = clock_record(&all, [&all])
            .quantiles
            .iter()
            .map(|q| q.q)
            .collect();
        assert_eq!(shown, [0.5, 0.9]);
    }

    #[test]
    fn intervals_of_quantiles_cover_the_truth() {
        // Twenty-five intervals of exponential latencies; the truth should lie inside about 38 of 40 times.
        let mut covered = 0;
        for trial in 0..40 {
            let stream = Stream::new(trial, "coverage", 0);
            let parts: Vec<_> = (0..25)
                .map(|part| {
                    let mut histogram = histogram();
                    for i in 0..2_000 {
                        let latency = stream.at(part * 2_000 + i).exponential(1e6);
                        histogram.record(latency as u64).unwrap();
                    }
                    histogram
                })
                .collect();
            let mut all = histogram();
            parts.iter().for_each(|part| all.add(part).unwrap());
            let record = clock_record(&all, &parts);
            let p90 = record.quantiles[1];
            let truth = 1e6 * 10f64.ln();
            covered +=
                u32::from(p90.lo_ns as f64 <= truth * 1.001 && truth <= p90.hi_ns as f64 * 1.001);
        }
        assert!((34..=40).contains(&covered), "{covered} of 40");
    }
}

//! Response time by simulation: each shard a line of operations waiting for its core.
//!
//! Lindley's recursion: an operation waits for what was left of the wait before it, its CPU time added, the gap
//! until its own arrival taken away. What one operation took when nothing was in its way is drawn from the
//! measured service times and added.

use hdrhistogram::Histogram;
use ringkeep_bench::random::Stream;

const ARRIVALS: u64 = 300_000;

/// Quantile `q` of the response time of a shard that gets `rate_per_s` operations of mean CPU time `cpu_ns`, each
/// with a service time from `service`. Infinite when the core cannot keep up.
pub fn response_ns(rate_per_s: f64, cpu_ns: f64, service: Option<&Histogram<u64>>, q: f64) -> f64 {
    if rate_per_s * cpu_ns >= 0.999e9 {
        return f64::INFINITY;
    }
    let stream = Stream::new(1, "lindley", 0);
    let gap_ns = 1e9 / rate_per_s;
    let total = service.map_or(0, Histogram::len);
    // The quantile function once, so that a draw is a look-up.
    let table: Vec<f64> = match service {
        Some(service) if total > 0 => (0..4096)
            .map(|i| service.value_at_quantile((f64::from(i) + 0.5) / 4096.0) as f64)
            .collect(),
        _ => Vec::new(),
    };
    let mut wait = 0.0f64;
    let mut responses: Vec<f64> = (0..ARRIVALS)
        .map(|i| {
            let mut draws = stream.at(i);
            let own = match table.is_empty() {
                true => 0.0,
                false => table[draws.below(4096) as usize],
            };
            let cpu = draws.exponential(cpu_ns);
            let response = wait + own.max(cpu);
            wait = (wait + cpu - draws.exponential(gap_ns)).max(0.0);
            response
        })
        .collect();
    let at = ((ARRIVALS - 1) as f64 * q) as usize;
    *responses.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_formula_of_one_server() {
        // M/M/1: the response is exponential with mean 1 / (mu - lambda).
        for load in [0.3, 0.6, 0.8] {
            let mean = 1e4 / (1.0 - load);
            for q in [0.5, 0.99] {
                let expected = -mean * (1.0f64 - q).ln();
                let found = response_ns(load * 1e5, 1e4, None, q);
                assert!(
                    (found / expected - 1.0).abs() < 0.08,
                    "load {load} q {q}: {found} for {expected}"
                );
            }
        }
        assert_eq!(response_ns(2e5, 1e4, None, 0.99), f64::INFINITY);
    }
}

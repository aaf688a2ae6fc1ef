//! Two results side by side: ratios with intervals, and refusal where likes are not compared.
//!
//! With three repetitions or more on both sides the interval of a ratio is drawn from the paired repetitions,
//! which were interleaved, so what the machine did to both cancels. With fewer it comes from the intervals of
//! each quantile, which know nothing of drift between runs; the table says which.

use serde::Serialize;

use super::table::Table;
use super::{OpRecord, PhaseRecord, Report, StreamRecord, WorkloadRecord};
use crate::quantity::{Rate, Span};
use crate::random::Stream;
use crate::slo::ClockName;
use crate::statistics::{median, median_interval};

/// A ratio and its 95 % interval. Fewer than six pairs cannot give 95 %: the interval is then their whole range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Second over first.
    pub ratio: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// From paired repetitions?
    pub paired: bool,
}

/// One compared number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The two targets.
    pub targets: [String; 2],
    /// Workload, phase, stream and operation.
    pub what: String,
    /// `done/s`, `response p99`, ...
    pub metric: String,
    /// First and second value, for people.
    pub values: [String; 2],
    /// Second over first.
    pub ratio: Ratio,
    /// Is a larger ratio better?
    pub higher_is_better: bool,
}

/// What two sides have in common, and what they do not.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Compared numbers.
    pub rows: Vec<Compared>,
    /// Why something was left out.
    pub refused: Vec<String>,
}

/// The results of `first` against those of `second`, matched by workload.
pub fn compare(first: &[&WorkloadRecord], second: &[&WorkloadRecord]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut seen: Vec<&str> = Vec::new();
    for result in first {
        let name = result.workload.name.as_str();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let of = |side: &[&'_ WorkloadRecord]| -> Vec<WorkloadRecord> {
            side.iter()
                .filter(|r| r.workload.name == name)
                .map(|r| (*r).clone())
                .collect()
        };
        let (a, b) = (of(first), of(second));
        match b.first() {
            None => comparison.refused.push(format!("{name}: only on one side")),
            Some(other) if other.workload_hash != result.workload_hash => {
                comparison.refused.push(format!(
                    "{name}: not the same workload ({} and {}): different operations, data or settings",
                    result.workload_hash, other.workload_hash
                ));
            }
            Some(_) => compare_workload(name, &a, &b, &mut comparison),
        }
    }
    comparison
}

fn compare_workload(
    name: &str,
    a: &[WorkloadRecord],
    b: &[WorkloadRecord],
    comparison: &mut Comparison,
) {
    let targets = [a[0].target.name.clone(), b[0].target.name.clone()];
    for phase in &a[0].phases {
        let of = |side: &[WorkloadRecord]| -> Vec<PhaseRecord> {
            side.iter()
                .filter_map(|r| r.phases.iter().find(|p| p.name == phase.name).cloned())
                .collect()
        };
        let (phases_a, phases_b) = (of(a), of(b));
        if phases_b.is_empty() {
            comparison
                .refused
                .push(format!("{name} {}: only on one side", phase.name));
            continue;
        }
        for (s, stream) in phase.streams.iter().enumerate() {
            for op in stream.ops.iter().filter(|op| op.count > 0) {
                let what = match phase.streams.len() {
                    1 => format!("{name} {} {}", phase.name, op.op),
                    _ => format!("{name} {} {} {}", phase.name, stream.name, op.op),
                };
                let find = |side: &[PhaseRecord]| -> Vec<(StreamRecord, OpRecord)> {
                    side.iter()
                        .filter_map(|p| {
                            let stream = p.streams.get(s)?;
                            let found = stream.ops.iter().find(|o| o.op == op.op && o.count > 0)?;
                            Some((stream.clone(), found.clone()))
                        })
                        .collect()
                };
                compare_op(
                    &what,
                    &targets,
                    &find(&phases_a),
                    &find(&phases_b),
                    comparison,
                );
            }
        }
    }
}

fn compare_op(
    what: &str,
    targets: &[String; 2],
    a: &[(StreamRecord, OpRecord)],
    b: &[(StreamRecord, OpRecord)],
    comparison: &mut Comparison,
) {
    let (Some((stream, _)), false) = (a.first(), b.is_empty()) else {
        return;
    };
    let mut push = |metric: String,
                    a: Vec<Estimate>,
                    b: Vec<Estimate>,
                    higher: bool,
                    show: &dyn Fn(f64) -> String| {
        if let (Some(ratio), Some(x), Some(y)) = (ratio(&a, &b), middle(&a), middle(&b)) {
            comparison.rows.push(Compared {
                targets: targets.clone(),
                what: what.to_string(),
                metric,
                values: [show(x), show(y)],
                ratio,
                higher_is_better: higher,
            });
        }
    };
    // An open loop's throughput is what was asked for; comparing it says nothing.
    if stream.offered_per_s.is_none() {
        let rates = |side: &[(StreamRecord, OpRecord)]| {
            side.iter().map(|(s, op)| rate_estimate(s, op)).collect()
        };
        let show = |per_s: f64| Rate { per_s }.to_string();
        push("done/s".to_string(), rates(a), rates(b), true, &show);
    }
    let clock = match stream.shows_response {
        true => ClockName::Response,
        false => ClockName::Service,
    };
    for (q, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        let quantiles = |side: &[(StreamRecord, OpRecord)]| -> Vec<Estimate> {
            side.iter()
                .filter_map(|(_, op)| {
                    let known = op
                        .clock(clock)
                        .quantiles
                        .iter()
                        .find(|known| known.q == q)?;
                    Some(Estimate {
                        value: known.value_ns as f64,
                        lo: known.lo_ns as f64,
                        hi: known.hi_ns as f64,
                    })
                })
                .collect()
        };
        let show = |ns: f64| Span { ns: ns as u64 }.to_string();
        push(
            format!("{} {name}", clock.name()),
            quantiles(a),
            quantiles(b),
            false,
            &show,
        );
    }
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    value: f64,
    lo: f64,
    hi: f64,
}

/// The rate of an operation; its interval from blocks of the stream's intervals.
fn rate_estimate(stream: &StreamRecord, op: &OpRecord) -> Estimate {
    let counts: Vec<f64> = stream
        .intervals
        .iter()
        .map(|interval| interval.count as f64)
        .collect();
    let total: f64 = counts.iter().sum();
    if counts.len() < 4 || total == 0.0 {
        return Estimate {
            value: op.per_s,
            lo: op.per_s,
            hi: op.per_s,
        };
    }
    let draws = Stream::new(0, "rates", 0);
    let mut means: Vec<f64> = (0..200)
        .map(|resample| {
            let mut draws = draws.at(resample);
            let blocks = counts.len().div_ceil(2);
            let sum: f64 = (0..blocks)
                .map(|_| {
                    let at = draws.below(counts.len() as u64) as usize;
                    counts[at] + counts[(at + 1) % counts.len()]
                })
                .sum();
            sum / (2 * blocks) as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let mean = total / counts.len() as f64;
    Estimate {
        value: op.per_s,
        lo: op.per_s * means[5] / mean,
        hi: op.per_s * means[194] / mean,
    }
}

fn middle(values: &[Estimate]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|estimate| estimate.value).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn ratio(a: &[Estimate], b: &[Estimate]) -> Option<Ratio> {
    let pairs: Vec<f64> = a
        .iter()
        .zip(b)
        .filter(|(x, y)| x.value > 0.0 && y.value > 0.0)
        .map(|(x, y)| (y.value / x.value).ln())
        .collect();
    let n = pairs.len();
    if n == 0 {
        return None;
    }
    if n >= PAIRS_MIN {
        return Some(paired(&pairs));
    }
    let mean = pairs.iter().sum::<f64>() / n as f64;
    // The widest ratio that the intervals of the first pair allow, narrowed as independent errors combine.
    let (x, y) = (&a[0], &b[0]);
    let spread = |e: &Estimate| ((e.value / e.lo.max(1e-9)).ln(), (e.hi / e.value).ln());
    let ((x_down, x_up), (y_down, y_up)) = (spread(x), spread(y));
    Some(Ratio {
        ratio: mean.exp(),
        lo: (mean - x_up.hypot(y_down)).exp(),
        hi: (mean + x_down.hypot(y_up)).exp(),
        paired: false,
    })
}

/// Fewer pairs say nothing about how far repetitions lie apart.
const PAIRS_MIN: usize = 3;

fn paired(logarithms: &[f64]) -> Ratio {
    let (lo, hi) = median_interval(logarithms);
    Ratio {
        ratio: median(logarithms).exp(),
        lo: lo.exp(),
        hi: hi.exp(),
        paired: true,
    }
}

/// The ratio of second to first over rounds in which both were measured; none with fewer than three.
pub fn paired_ratio(rounds: &[(f64, f64)]) -> Option<Ratio> {
    let pairs: Vec<f64> = rounds
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (y / x).ln())
        .collect();
    (pairs.len() >= PAIRS_MIN).then(|| paired(&pairs))
}

impl Comparison {
    /// As a table; the titles name the two sides.
    pub fn table(&self, first: &str, second: &str) -> Table {
        let mut table = Table::new([
            "what",
            "metric",
            first,
            second,
            "ratio",
            "95 % interval",
            "",
        ]);
        for row in &self.rows {
            let ratio = row.ratio;
            let better = match row.higher_is_better {
                true => ratio.lo > 1.0,
                false => ratio.hi < 1.0,
            };
            let worse = match row.higher_is_better {
                true => ratio.hi < 1.0,
                false => ratio.lo > 1.0,
            };
            let [x, y] = row.values.clone();
            table.row(vec![
                row.what.clone(),
                row.metric.clone(),
                x,
                y,
                format!("{:.3}", ratio.ratio),
                format!(
                    "{:.3} to {:.3}{}",
                    ratio.lo,
                    ratio.hi,
                    if ratio.paired { "" } else { " (one run)" }
                ),
                match (better, worse) {
                    (true, _) => "better".to_string(),
                    (_, true) => "worse".to_string(),
                    _ => String::new(),
                },
            ]);
        }
        table
    }
}

/// Every number of every target of a run against the first target; empty if there is only one.
pub fn comparison_rows(report: &Report) -> Vec<Compared> {
    let targets = targets(report);
    let Some((first, others)) = targets.split_first() else {
        return Vec::new();
    };
    let of = |target: &str| -> Vec<&WorkloadRecord> {
        report
            .results
            .iter()
            .filter(|result| result.target.name == target)
            .collect()
    };
    others
        .iter()
        .flat_map(|other| compare(&of(first), &of(other)).rows)
        .collect()
}

/// The targets of a run: the one asked for first, then the others by name. Which one ran first is chance.
fn targets(report: &Report) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    for result in &report.results {
        if !targets.contains(&result.target.name) {
            targets.push(result.target.name.clone());
        }
    }
    targets.sort();
    let words = &report.run.command;
    let asked = words.iter().enumerate().find_map(|(at, word)| {
        let list = match word.strip_prefix("--target") {
            Some("") => words.get(at + 1)?,
            Some(rest) => rest.strip_prefix('=')?,
            None => return None,
        };
        list.split(',').next()
    });
    let first = asked.unwrap_or("ringkeep");
    if let Some(at) = targets.iter().position(|target| target == first) {
        targets[..=at].rotate_right(1);
    }
    targets
}

/// One table over all targets of a run, a column for each; none if there is only one target.
pub fn comparison(report: &Report) -> Option<Table> {
    let rows = comparison_rows(report);
    let targets = targets(report);
    if rows.is_empty() {
        return None;
    }
    let mut titles = vec!["what".to_string(), "metric".to_string()];
    titles.extend(targets.iter().enumerate().map(|(i, target)| match i {
        0 => target.clone(),
        _ => format!("{target} (times {}, interval)", targets[0]),
    }));
    let mut table = Table::titled(titles);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for row in &rows {
        if seen.contains(&(&row.what, &row.metric)) {
            continue;
        }
        seen.push((&row.what, &row.metric));
        let mut cells = vec![row.what.clone(), row.metric.clone(), row.values[0].clone()];
        for target in &targets[1..] {
            let found = rows.iter().find(|other| {
                other.what == row.what && other.metric == row.metric && other.targets[1] == *target
            });
            cells.push(found.map_or("not measured".to_string(), |found| {
                let ratio = found.ratio;
                format!(
                    "{} ({:.3}, {:.3} to {:.3})",
                    found.values[1], ratio.ratio, ratio.lo, ratio.hi
                )
            }));
        }
        table.row(cells);
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates(values: &[f64]) -> Vec<Estimate> {
        values
            .iter()
            .map(|&value| Estimate {
                value,
                lo: value * 0.9,
                hi: value * 1.1,
            })
            .collect()
    }

    #[test]
    fn paired_repetitions_cancel_what_hits_both() {
        let a = estimates(&[100.0, 300.0, 200.0, 150.0]);
        let b = estimates(&[110.0, 330.0, 221.0, 164.0]);
        let ratio = ratio(&a, &b).unwrap();
        assert!(ratio.paired && (ratio.ratio - 1.1).abs() < 0.01);
        assert!(ratio.lo > 1.08 && ratio.hi < 1.12, "{ratio:?}");
    }

    #[test]
    fn one_run_is_as_sure_as_its_intervals() {
        let ratio = ratio(&estimates(&[100.0]), &estimates(&[105.0])).unwrap();
        assert!(!ratio.paired && ratio.lo < 1.0 && ratio.hi > 1.1);
    }
}

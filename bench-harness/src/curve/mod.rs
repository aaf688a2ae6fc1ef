//! Capacity curves: the same operations at one load after another, and what the curve says.
//!
//! A point is one phase at one load, judged like a planner would judge it. [`search`] looks for the highest rate
//! that passes, [`scaling`] fits how throughput grows with clients.

pub mod scaling;
pub mod search;

use serde::{Deserialize, Serialize};

use crate::quantity::{Rate, Size, Span};
use crate::report::{PhaseRecord, StreamRecord, Verdict};
use crate::slo::{ClockName, Metric, Relation};
use crate::workload::Phase;
pub use scaling::Scaling;

/// What is turned from point to point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// Operations per second of an open loop.
    Rate,
    /// Clients of a closed loop.
    Clients,
}

/// How a point stands to its objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// The target did not keep up.
    Failed,
    /// The generator did not keep up, or too little was seen: no evidence either way.
    Unusable,
}

/// One load and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The load: a rate or a number of clients.
    pub load: f64,
    /// Answered operations per second.
    pub achieved_per_s: f64,
    /// Mean of the response clock (service where response says nothing).
    pub mean_ns: f64,
    /// P50, P99 and P99.9 of the same clock, where there were enough samples.
    pub quantiles_ns: [Option<u64>; 3],
    /// P99 of the service clock.
    pub service_p99_ns: Option<u64>,
    /// Passed or not.
    pub outcome: Outcome,
    /// Why not.
    pub reasons: Vec<String>,
}

/// All points of one sweep or search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The workload.
    pub workload: String,
    /// The target.
    pub target: String,
    /// What was turned.
    pub knob: Knob,
    /// In the order in which they were run.
    pub points: Vec<Point>,
    /// Load at which throughput for the latency paid is best.
    pub knee: Option<f64>,
    /// Most that was ever achieved.
    pub wall_per_s: f64,
    /// Highest load that passed, with nothing lower failing.
    pub passed: Option<f64>,
    /// How throughput grows with clients.
    pub scaling: Option<Scaling>,
    /// What a search concluded.
    pub answer: Option<search::Answer>,
}

impl Curve {
    /// What `points` say.
    pub fn new(workload: &str, target: &str, knob: Knob, points: Vec<Point>) -> Curve {
        let mut sorted: Vec<&Point> = points.iter().collect();
        sorted.sort_by(|a, b| a.load.total_cmp(&b.load));
        // Kleinrock's power: operations per second for each second that one of them takes.
        let power = |point: &Point| point.achieved_per_s / point.mean_ns.max(1.0);
        let knee = sorted
            .iter()
            .filter(|point| point.mean_ns > 0.0)
            .max_by(|a, b| power(a).total_cmp(&power(b)))
            .map(|point| point.load);
        let first_failure = sorted
            .iter()
            .find(|point| point.outcome == Outcome::Failed)
            .map_or(f64::INFINITY, |point| point.load);
        let passed = sorted
            .iter()
            .filter(|point| point.outcome == Outcome::Passed && point.load < first_failure)
            .map(|point| point.load)
            .fold(None, |_, load| Some(load));
        let wall_per_s = sorted
            .iter()
            .map(|point| point.achieved_per_s)
            .fold(0.0, f64::max);
        let scaling = match knob {
            Knob::Rate => None,
            Knob::Clients => {
                let ladder: Vec<(f64, f64)> = sorted
                    .iter()
                    .map(|point| (point.load, point.achieved_per_s))
                    .collect();
                Scaling::fit(&ladder)
            }
        };
        Curve {
            workload: workload.to_string(),
            target: target.to_string(),
            knob,
            knee,
            wall_per_s,
            passed,
            scaling,
            answer: None,
            points,
        }
    }

    /// The points by rising load.
    pub fn sorted(&self) -> Vec<&Point> {
        let mut sorted: Vec<&Point> = self.points.iter().collect();
        sorted.sort_by(|a, b| a.load.total_cmp(&b.load));
        sorted
    }
}

/// Offered and achieved may differ by this before the load counts as not achieved.
const ACHIEVED_MIN: f64 = 0.98;
/// The generator's own lateness may be this share of the tightest objective.
const OWN_SLIP_SHARE: f64 = 0.1;
/// Background debt that a phase may leave behind whatever there was before.
const DEBT_BYTES_MAX: u64 = 64 << 20;

/// Judges one phase at `load`. `debt` is what the background had to do before and after it.
pub fn judge(load: f64, phase: &Phase, found: &PhaseRecord, debt: (u64, u64)) -> Point {
    let stream = &found.streams[0];
    let mut reasons: Vec<String> = found
        .slo
        .iter()
        .filter(|slo| !slo.met)
        .map(|slo| format!("{}: {}", slo.slo, slo.found_text))
        .collect();
    let unknown = found.slo.iter().any(|slo| slo.found.is_none());
    if let Some(offered) = stream.offered_per_s
        && stream.achieved_per_s < ACHIEVED_MIN * offered
    {
        let per_s = stream.achieved_per_s;
        reasons.push(format!(
            "achieved {} of {}",
            Rate { per_s },
            Rate { per_s: offered }
        ));
    }
    let errors: u64 = stream.ops.iter().map(|op| op.errors).sum();
    if errors > 0 && !phase.slo.iter().any(|slo| slo.metric == Metric::Errors) {
        reasons.push(format!("{errors} errors"));
    }
    if let Some(reason) = backlog_grows(stream) {
        reasons.push(reason);
    }
    let (before, after) = debt;
    if after > before.saturating_mul(2) + DEBT_BYTES_MAX {
        let bytes = after - before;
        reasons.push(format!("background work grew by {}", Size { bytes }));
    }
    let failed = !reasons.is_empty();
    let mut unusable = unknown || found.verdict == Verdict::GeneratorLimited;
    if found.verdict != Verdict::Valid {
        reasons.push(format!("{:?}", found.verdict));
    }
    let late_ns = stream.own_slip_p99_ns;
    if late_ns as f64 > OWN_SLIP_SHARE * tightest_ns(phase) && failed {
        unusable = true;
        reasons.push(format!(
            "the generator's own slip P99 is {}",
            Span { ns: late_ns }
        ));
    }
    let head = stream.ops.iter().max_by_key(|op| op.count);
    let clock = head.map(|op| match stream.shows_response {
        true => &op.response,
        false => &op.service,
    });
    let quantile = |q: f64| {
        let known = clock?.quantiles.iter().find(|known| known.q == q)?;
        Some(known.value_ns)
    };
    let service = head.and_then(|op| op.service.quantiles.iter().find(|known| known.q == 0.99));
    Point {
        load,
        achieved_per_s: stream.achieved_per_s,
        mean_ns: clock.map_or(0.0, |clock| clock.mean_ns),
        quantiles_ns: [quantile(0.5), quantile(0.99), quantile(0.999)],
        service_p99_ns: service.map(|known| known.value_ns),
        outcome: match (unusable, failed) {
            (true, _) => Outcome::Unusable,
            (false, true) => Outcome::Failed,
            (false, false) => Outcome::Passed,
        },
        reasons,
    }
}

/// The tightest upper limit on a response time; without one nothing is too late.
fn tightest_ns(phase: &Phase) -> f64 {
    phase
        .slo
        .iter()
        .filter(|slo| {
            matches!(slo.metric, Metric::Latency(_, ClockName::Response, _))
                && matches!(slo.relation, Relation::Below | Relation::AtMost)
        })
        .map(|slo| slo.limit)
        .fold(f64::INFINITY, f64::min)
}

/// Does the wait before the issue grow from the first third of the window to the last?
fn backlog_grows(stream: &StreamRecord) -> Option<String> {
    if stream.never_issued > 0 {
        return Some(format!(
            "{} operations were never issued",
            stream.never_issued
        ));
    }
    stream.offered_per_s?;
    let slips: Vec<u64> = stream.intervals.iter().map(|i| i.slip_p99_ns).collect();
    let third = slips.len() / 3;
    if third < 2 {
        return None;
    }
    let first = *slips[..third].iter().max()?;
    let last = *slips[slips.len() - third..].iter().min()?;
    (last > first && last > 1_000_000).then(|| {
        format!(
            "the backlog grew: slip P99 from {} to {}",
            Span { ns: first },
            Span { ns: last }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(load: f64, achieved_per_s: f64, mean_ns: f64, outcome: Outcome) -> Point {
        Point {
            load,
            achieved_per_s,
            mean_ns,
            quantiles_ns: [None; 3],
            service_p99_ns: None,
            outcome,
            reasons: Vec::new(),
        }
    }

    #[test]
    fn the_knee_is_where_latency_starts_to_cost_more_than_throughput_gains() {
        // An M/M/1 queue of 10k/s: response 1 / (mu - lambda); power is best at half of its capacity.
        let points = (1..=9)
            .map(|i| {
                let load = f64::from(i) * 1e3;
                point(load, load, 1e9 / (10e3 - load), Outcome::Passed)
            })
            .collect();
        let curve = Curve::new("w", "t", Knob::Rate, points);
        assert_eq!(curve.knee, Some(5e3));
        assert_eq!((curve.wall_per_s, curve.passed), (9e3, Some(9e3)));
    }

    #[test]
    fn a_pass_above_a_failure_is_luck() {
        let points = vec![
            point(3.0, 3.0, 1.0, Outcome::Passed),
            point(1.0, 1.0, 1.0, Outcome::Passed),
            point(2.0, 2.0, 1.0, Outcome::Failed),
        ];
        assert_eq!(Curve::new("w", "t", Knob::Rate, points).passed, Some(1.0));
    }
}

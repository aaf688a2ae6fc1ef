//! `loadgen search`: the highest rate at which the objectives hold.

use std::time::{Duration, Instant};

use ringkeep_bench::curve::search::{self, PROBES};
use ringkeep_bench::curve::{Curve, Knob};
use ringkeep_bench::experiment::Bench;
use ringkeep_bench::quantity::Span;
use ringkeep_bench::slo::{Metric, Statistic};

use crate::cli::SearchArgs;
use crate::exit::{Code, Fault};
use crate::ladder::Ladder;
use crate::session::{STOP, Session};
use crate::sweep::{length, planned, subject, warmup};

/// A probe is at most this long, unless a rare quantile needs more samples.
const PROBE_MAX: Span = Span::secs(15);
const PROBE_MIN: Span = Span::secs(1);
/// Where the search begins, as a share of what a saturating closed loop achieves.
const START_SHARE: f64 = 0.5;
/// Samples above a quantile that make it worth anything.
const TAIL: f64 = 100.0;

/// Searches and says how sure the answer is.
pub fn search(arguments: &SearchArgs) -> Result<Code, Fault> {
    let (workload, kinds, scale) = subject(&arguments.run)?;
    if !(0.5..1.0).contains(&arguments.confidence) {
        return Err(Fault::usage(
            "--confidence is a share from 0.5 to below 1, such as 0.95",
        ));
    }
    let warmup = warmup(&arguments.run, scale)?;
    let budget = arguments.budget.ns / kinds.len() as u64;
    let share = (budget / u64::from(PROBES)).saturating_sub(warmup.ns);
    let usual = Span {
        ns: share.clamp(PROBE_MIN.ns, PROBE_MAX.ns),
    };
    let mut ladder = Ladder::new(
        workload.clone(),
        &arguments.run.slo,
        length(&arguments.run, scale, usual)?,
        warmup,
    );
    if let Some(clients) = arguments.run.clients {
        ladder.in_flight = clients.n.max(1) as usize;
    }
    if ladder.slo().is_empty() {
        return Err(Fault::usage(
            "there is no objective to search against: give one, such as --slo 'read.p99 < 5ms'",
        ));
    }
    let seconds = arguments.budget.as_secs();
    let (estimate, text) = planned(&workload, &kinds, scale, seconds);
    eprint!("{text}");
    if arguments.run.dry_run {
        return Ok(Code::Done);
    }
    let mut session = Session::open(&arguments.run, scale, &kinds, &estimate)?;
    let mut code = Code::Done;
    for kind in &kinds {
        let dir = session.dir.share();
        let mut bench = Bench::new(&dir, session.manner.clone(), &STOP);
        let most = ladder.look(&mut session, &mut bench, kind)?;
        let until = Instant::now() + Duration::from_nanos(budget);
        let mut points = Vec::new();
        let mut fault = None;
        let usual = ladder.length;
        let answer = search::search(
            most * START_SHARE,
            arguments.confidence,
            workload.seed,
            |rate| {
                if Instant::now() >= until {
                    return None;
                }
                if !arguments.run.quick {
                    let longest = Span { ns: budget / 4 };
                    ladder.length = usual.max(needed(ladder.slo(), rate).min(longest));
                }
                match ladder.point(&mut session, &mut bench, kind, ladder.open(rate)) {
                    Ok(Some(point)) => {
                        let outcome = point.outcome;
                        points.push(point);
                        Some(outcome)
                    }
                    Ok(None) => None,
                    Err(error) => {
                        fault = Some(error);
                        None
                    }
                }
            },
        );
        ladder.length = usual;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let found = match (answer.per_s, answer.generator_limited) {
            (_, true) => Code::Invalid,
            (None, _) => Code::SloMissed,
            (Some(_), _) => Code::Done,
        };
        code = code.max(found);
        let mut curve = Curve::new(&workload.name, kind.name, Knob::Rate, points);
        curve.answer = Some(answer);
        session.report.curves.push(curve);
        bench.close().map_err(|failure| Fault::target(failure.0))?;
    }
    let quick = arguments.run.quick;
    let (finished, _) = session.finish()?;
    Ok(match finished {
        // Points that the generator could not drive are part of a search, not its result.
        Code::Done | Code::Invalid if quick => Code::Done,
        Code::Done | Code::Invalid => code,
        other => other,
    })
}

/// How long a probe at `rate` must be to see its rarest quantile. An objective that cannot be seen within the budget
/// stays unknown and the point unusable.
fn needed(slo: &[ringkeep_bench::slo::Slo], rate: f64) -> Span {
    let rarest = slo
        .iter()
        .filter_map(|slo| match slo.metric {
            Metric::Latency(_, _, Statistic::Quantile(q)) => Some(q),
            _ => None,
        })
        .fold(0.0, f64::max);
    let seconds = (TAIL / (1.0 - rarest) / rate * 1.05).min(1e6);
    Span {
        ns: (seconds * 1e9) as u64,
    }
}

//! `loadgen sweep`: a ladder of loads, and where on it latency starts to cost more than throughput gains.

use ringkeep_bench::curve::search::shuffle;
use ringkeep_bench::curve::{Curve, Knob};
use ringkeep_bench::experiment::Bench;
use ringkeep_bench::quantity::Span;
use ringkeep_bench::suite::{Overrides, Scale};
use ringkeep_bench::target::TargetKind;
use ringkeep_bench::workload::{Load, Workload};

use crate::cli::{OrderArg, OverArg, RunArgs, SweepArgs};
use crate::exit::{Code, Fault};
use crate::ladder::{Ladder, closed};
use crate::session::{STOP, Session};
use crate::{estimate, select, targets};

/// Length of a point where nothing says otherwise.
const POINT: Span = Span::secs(8);
const WARMUP: Span = Span::secs(1);
/// Part of the most there is at which a ladder begins, and how far above it it ends.
const FROM_SHARE: f64 = 0.1;
const TO_SHARE: f64 = 1.1;

/// Runs the ladder.
pub fn sweep(arguments: &SweepArgs) -> Result<Code, Fault> {
    let (workload, kinds, scale) = subject(&arguments.run)?;
    let length = length(&arguments.run, scale, POINT)?;
    let warmup = warmup(&arguments.run, scale)?;
    let steps = arguments.steps.max(2) as usize;
    let seconds = (length.as_secs() + warmup.as_secs()) * steps as f64 * kinds.len() as f64;
    let (estimate, text) = planned(&workload, &kinds, scale, seconds);
    eprint!("{text}");
    if arguments.run.dry_run {
        return Ok(Code::Done);
    }
    let mut session = Session::open(&arguments.run, scale, &kinds, &estimate)?;
    let ladder = Ladder::new(workload.clone(), &arguments.run.slo, length, warmup);
    for kind in &kinds {
        let dir = session.dir.share();
        let mut bench = Bench::new(&dir, session.manner.clone(), &STOP);
        let mut loads = loads(arguments, steps, || {
            ladder.look(&mut session, &mut bench, kind)
        })?;
        match arguments.order {
            OrderArg::Up => {}
            OrderArg::Down => loads.reverse(),
            // A rising ladder hands the debt of each step to the next.
            OrderArg::Shuffled => shuffle(&mut loads, workload.seed),
        }
        let mut points = Vec::new();
        for load in loads {
            let load = match arguments.over {
                OverArg::Rate => ladder.open(load),
                OverArg::Clients => patient(&workload, load),
            };
            match ladder.point(&mut session, &mut bench, kind, load)? {
                Some(point) => points.push(point),
                None => break,
            }
        }
        let knob = match arguments.over {
            OverArg::Rate => Knob::Rate,
            OverArg::Clients => Knob::Clients,
        };
        let curve = Curve::new(&workload.name, kind.name, knob, points);
        session.report.curves.push(curve);
        bench.close().map_err(|failure| Fault::target(failure.0))?;
    }
    Ok(session.finish()?.0)
}

/// Clients that think as the workload's do, if its first phase is closed, and not at all otherwise.
fn patient(workload: &Workload, clients: f64) -> Load {
    let clients = clients.round().max(1.0) as usize;
    match workload.phases[0].traffic[0].load {
        Load::Closed { think, .. } => Load::Closed { clients, think },
        Load::Open { .. } => closed(clients),
    }
}

/// The steps: evenly spaced rates, or clients each a factor above the last.
fn loads(
    arguments: &SweepArgs,
    steps: usize,
    look: impl FnOnce() -> Result<f64, Fault>,
) -> Result<Vec<f64>, Fault> {
    let given = |text: &Option<String>| -> Result<Option<f64>, Fault> {
        let Some(text) = text else { return Ok(None) };
        match arguments.over {
            OverArg::Rate => text
                .parse::<ringkeep_bench::quantity::Rate>()
                .map(|rate| rate.per_s),
            OverArg::Clients => text
                .parse::<ringkeep_bench::quantity::Count>()
                .map(|count| count.n.max(1) as f64),
        }
        .map(Some)
        .map_err(Fault::usage)
    };
    let (from, to) = (given(&arguments.from)?, given(&arguments.to)?);
    let (from, to) = match (arguments.over, from, to) {
        (OverArg::Rate, Some(from), Some(to)) => (from, to),
        (OverArg::Rate, from, to) => {
            let most = look()?;
            (
                from.unwrap_or(most * FROM_SHARE),
                to.unwrap_or(most * TO_SHARE),
            )
        }
        (OverArg::Clients, from, to) => (from.unwrap_or(1.0), to.unwrap_or(10_000.0)),
    };
    if from > to {
        return Err(Fault::usage("--from is above --to: swap them"));
    }
    let share = |i: usize| i as f64 / (steps - 1) as f64;
    let mut all: Vec<f64> = (0..steps)
        .map(|i| match arguments.over {
            OverArg::Rate => from + (to - from) * share(i),
            OverArg::Clients => (from * (to / from).powf(share(i))).round(),
        })
        .collect();
    all.dedup();
    Ok(all)
}

/// The one workload that the arguments select, and the targets.
pub fn subject(arguments: &RunArgs) -> Result<(Workload, Vec<TargetKind>, Scale), Fault> {
    let scale = select::scale(arguments);
    let mut wanted = arguments.select.clone();
    if wanted.filter.is_empty() && wanted.suite.is_empty() {
        wanted.filter.push(select::HEADLINE.to_string());
    }
    let overrides = Overrides {
        load: None,
        ..select::overrides(arguments, scale)?
    };
    let mut workloads = select::workloads(&wanted, scale, &overrides)?;
    if workloads.len() != 1 {
        let names: Vec<&str> = workloads
            .iter()
            .take(5)
            .map(|(_, workload)| workload.name.as_str())
            .collect();
        return Err(Fault::usage(format!(
            "{} workloads are selected ({}, ...) and this works on one: name it with --filter",
            workloads.len(),
            names.join(", ")
        )));
    }
    let kinds = targets::choose(&arguments.target)?;
    let chosen = arguments.quick || arguments.size.is_some() || arguments.keys.is_some();
    if !chosen {
        estimate::fit(&mut workloads, &kinds, 1);
    }
    Ok((workloads.remove(0).1, kinds, scale))
}

/// Length of a point: as asked for, a blink for a smoke test, else `usual`.
pub fn length(arguments: &RunArgs, scale: Scale, usual: Span) -> Result<Span, Fault> {
    use ringkeep_bench::quantity::Length;
    match (arguments.duration, scale) {
        (Some(Length::Time(span)), _) => Ok(span),
        (Some(Length::Ops(_)), _) => Err(Fault::usage(
            "each point needs a time, not a number of operations: write --duration 10s",
        )),
        (None, Scale::Quick) => Ok(Span::millis(60)),
        (None, _) => Ok(usual),
    }
}

/// Warm-up of a point: fixed, because points are compared with each other.
pub fn warmup(arguments: &RunArgs, scale: Scale) -> Result<Span, Fault> {
    match (arguments.warmup.as_deref(), scale) {
        (Some("auto") | None, Scale::Quick) => Ok(Span::millis(5)),
        (Some("auto") | None, _) => Ok(WARMUP),
        (Some(text), _) => text.parse().map_err(Fault::usage),
    }
}

/// The plan in words, with what loading the data takes.
pub fn planned(
    workload: &Workload,
    kinds: &[TargetKind],
    scale: Scale,
    seconds: f64,
) -> (estimate::Estimate, String) {
    let mut loaded = workload.clone();
    loaded.phases.clear();
    let one = [(String::new(), loaded)];
    let mut estimate = estimate::estimate(&one, kinds, 1, scale);
    estimate.seconds += seconds;
    let text = estimate::describe(&one, kinds, 1, scale, false, &estimate);
    (estimate, text)
}

//! From arguments to the workloads that are run.

use std::sync::Arc;

use ringkeep_bench::quantity::Span;
use ringkeep_bench::suite::{Overrides, Scale};
use ringkeep_bench::trace::{Script, ScriptUse};
use ringkeep_bench::workload::{Arrival, Load, OnFull, Think, Warmup, Workload};

use crate::cli::{ArrivalArg, RunArgs, SelectArgs, SizeArg};
use crate::exit::Fault;
use crate::filter::Filter;
use crate::suites;

/// What is run if nothing says otherwise.
pub const HEADLINE: &str = "bench/load/concurrent_readers_1000";

/// The workloads that suites and filters select, with the name of their suite.
pub fn workloads(
    select: &SelectArgs,
    scale: Scale,
    overrides: &Overrides,
) -> Result<Vec<(String, Workload)>, Fault> {
    let filter = Filter::new(&select.filter)?;
    let mut all: Vec<(String, Workload)> = Vec::new();
    for suite in suites::read(&select.suite, &select.set)? {
        for workload in suite.workloads(scale, overrides).map_err(Fault::usage)? {
            all.push((suite.name().to_string(), workload));
        }
    }
    let names: Vec<String> = all
        .iter()
        .map(|(_, workload)| workload.name.clone())
        .collect();
    all.retain(|(_, workload)| filter.matches(&workload.name));
    match all.is_empty() {
        true => Err(filter.matched_nothing(&names)),
        false => Ok(all),
    }
}

/// The scale asked for.
pub fn scale(arguments: &RunArgs) -> Scale {
    match (arguments.quick, arguments.size) {
        (true, _) => Scale::Quick,
        (false, None | Some(SizeArg::S)) => Scale::S,
        (false, Some(SizeArg::M)) => Scale::M,
        (false, Some(SizeArg::L)) => Scale::L,
    }
}

/// What the arguments change in every workload.
pub fn overrides(arguments: &RunArgs, scale: Scale) -> Result<Overrides, Fault> {
    Ok(Overrides {
        seed: arguments.seed,
        duration: arguments.duration,
        warmup: warmup(arguments.warmup.as_deref(), scale)?,
        keys: arguments.keys.map(|count| count.n),
        load: load(arguments),
        arrival: overriding(arguments),
        slo: arguments.slo.clone(),
    })
}

fn overriding(arguments: &RunArgs) -> Option<Arrival> {
    arguments.arrival.map(|arrival| match arrival {
        ArrivalArg::Poisson => Arrival::Poisson,
        ArrivalArg::Uniform => Arrival::Uniform,
        ArrivalArg::Bursty => Arrival::Bursty {
            on: Span::secs(5),
            off: Span::secs(10),
            factor: 3.0,
        },
        ArrivalArg::Sine => Arrival::Sine {
            period: Span::secs(60),
            depth: 0.5,
        },
        ArrivalArg::Pareto => Arrival::Pareto { k: 0.15 },
        ArrivalArg::Trace => Arrival::Trace,
    })
}

/// Gives every open stream the times of `--trace`.
pub fn follow_trace(
    arguments: &RunArgs,
    workloads: &mut [(String, Workload)],
) -> Result<(), Fault> {
    let wanted = arguments.arrival == Some(ArrivalArg::Trace);
    let script = match (&arguments.trace, wanted) {
        (None, false) => return Ok(()),
        (Some(path), true) => {
            let trace = ringkeep_bench::trace::read(path).map_err(Fault::usage)?;
            Arc::new(Script::new(&trace).map_err(Fault::usage)?)
        }
        _ => {
            return Err(Fault::usage(
                "--arrival trace and --trace FILE belong together; `loadgen replay` asks what a trace asked",
            ));
        }
    };
    let speed = arguments.trace_speed;
    if !(speed > 0.0 && speed.is_finite()) {
        return Err(Fault::usage("--trace-speed is a factor above 0"));
    }
    let mut found = false;
    for (_, workload) in workloads {
        for traffic in workload
            .phases
            .iter_mut()
            .flat_map(|phase| &mut phase.traffic)
        {
            if let Load::Open { rate_per_s, .. } = &mut traffic.load {
                found = true;
                *rate_per_s = script.rate_per_s() * speed;
                traffic.script = Some(ScriptUse {
                    script: script.clone(),
                    speed,
                    ops: false,
                });
            }
        }
    }
    match found {
        true => Ok(()),
        false => Err(Fault::usage(
            "--arrival trace: no selected workload has an open loop; add --rate 1k/s",
        )),
    }
}

fn warmup(text: Option<&str>, scale: Scale) -> Result<Option<Warmup>, Fault> {
    match text {
        None => Ok(None),
        Some("auto") => Ok(Some(scale.warmup())),
        Some(text) => {
            let span: Span = text.parse().map_err(Fault::usage)?;
            Ok(Some(Warmup {
                min: span,
                max: span,
            }))
        }
    }
}

/// `--rate`, `--clients` with `--think`, or `--max`: one phase in place of the workload's own.
fn load(arguments: &RunArgs) -> Option<(String, Load)> {
    let clients = arguments
        .clients
        .map_or(1000, |count| count.n.max(1) as usize);
    if let Some(rate) = arguments.rate {
        let load = Load::Open {
            rate_per_s: rate.per_s,
            arrival: overriding(arguments).unwrap_or(Arrival::Poisson),
            in_flight_max: clients,
            on_full: OnFull::Queue,
        };
        return Some(("paced".to_string(), load));
    }
    let name = match (arguments.max, arguments.think) {
        (true, _) => "saturate",
        (false, Some(_)) => "think",
        (false, None) if arguments.clients.is_some() => "clients",
        (false, None) => return None,
    };
    let think = match arguments.think {
        Some(mean) => Think::Exp { mean },
        None => Think::Fixed {
            time: Span::default(),
        },
    };
    Some((name.to_string(), Load::Closed { clients, think }))
}

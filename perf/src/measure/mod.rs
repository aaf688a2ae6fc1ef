//! Runs scenarios in child processes of a binary, which may be this one or that of another commit.

mod callgrind;
mod pairs;
mod subject;

use crate::exit::Fault;
use crate::filter::Filter;
use crate::metric::{CPU, INSTRUCTIONS, SPACE_AMPLIFICATION, WALL, WRITE_AMPLIFICATION};
use crate::report::{Metric, Report, ScenarioReport};
use crate::statistics::median;
use ringkeep_scenarios::Outcome;

pub use callgrind::Callgrind;
pub use pairs::{Pairing, times};
pub use subject::Subject;

/// Counts the work of all selected scenarios.
pub fn work(subject: &Subject, filter: &Filter, with_instructions: bool) -> Result<Report, Fault> {
    let names = filter.select(subject.scenarios()?)?;
    let callgrind = match with_instructions {
        true => Callgrind::find(),
        false => Err("they were not asked for".to_owned()),
    };
    let mut report = Report::new(Err(String::new()));
    let mut toolchain = None;
    for name in names {
        let outcome = subject.outcome(&name)?;
        let mut scenario = costs(&outcome);
        if let Ok(callgrind) = &callgrind {
            let (instructions, outcome) = callgrind.instructions(subject, &name)?;
            let metric = Metric {
                total: instructions,
                per: outcome.ops,
            };
            scenario.metrics.insert(INSTRUCTIONS.to_owned(), metric);
            toolchain = Some(outcome.toolchain);
        }
        report.scenarios.insert(name, scenario);
    }
    report.instruments = match (callgrind, toolchain) {
        (Ok(callgrind), Some(toolchain)) => Ok(callgrind.instruments(toolchain)),
        (Ok(_), None) => Err("no scenario was run".to_owned()),
        (Err(why), _) => Err(why),
    };
    Ok(report)
}

/// Adds the medians of times to a report.
pub fn add_times(subject: &Subject, report: &mut Report, runs: u64) -> Result<(), Fault> {
    for (name, scenario) in &mut report.scenarios {
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let outcome = subject.outcome(name)?;
            cpu.push(outcome.cpu_ns as f64);
            wall.push(outcome.wall_ns as f64);
        }
        for (metric, times) in [(CPU, cpu), (WALL, wall)] {
            let metric_value = Metric {
                total: median(&times) as u64,
                per: scenario.ops,
            };
            scenario.metrics.insert(metric.to_owned(), metric_value);
        }
    }
    Ok(())
}

fn costs(outcome: &Outcome) -> ScenarioReport {
    let mut scenario = ScenarioReport {
        workload: outcome.workload.clone(),
        answers: outcome.answers.clone(),
        ops: outcome.ops,
        metrics: Default::default(),
    };
    let mut metric = |name: &str, total, per| {
        scenario
            .metrics
            .insert(name.to_owned(), Metric { total, per });
    };
    for (name, total) in &outcome.counts {
        metric(name, *total, outcome.ops);
    }
    let written = outcome.counts.get("device_write_bytes").copied();
    if let (Some(written), 1..) = (written, outcome.user_bytes) {
        metric(WRITE_AMPLIFICATION, written, outcome.user_bytes);
    }
    // What tables that were only read take up was measured where they were written.
    if written.is_some_and(|bytes| bytes > 0) && outcome.space_bytes > 0 && outcome.live_bytes > 0 {
        metric(SPACE_AMPLIFICATION, outcome.space_bytes, outcome.live_bytes);
    }
    scenario
}

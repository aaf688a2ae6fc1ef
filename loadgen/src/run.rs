//! `loadgen run`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringkeep_bench::experiment::{Bench, Event};
use ringkeep_bench::suite::Scale;
use ringkeep_bench::target::TargetKind;
use ringkeep_bench::trace::Recording;
use ringkeep_bench::workload::Workload;

use crate::cli::RunArgs;
use crate::estimate::Estimate;
use crate::exit::{Code, Fault};
use crate::session::{STOP, Session};
use crate::{estimate, rounds, saved, select, targets};

/// Runs what the arguments select and reports.
pub fn run(arguments: &RunArgs) -> Result<Code, Fault> {
    let scale = select::scale(arguments);
    carry_out(arguments, scale, Plan::of(arguments, scale)?, None)
}

/// Carries out a plan, recorded if someone wants to.
pub fn carry_out(
    arguments: &RunArgs,
    scale: Scale,
    plan: Plan,
    record: Option<&dyn Fn() -> Result<Arc<Recording>, Fault>>,
) -> Result<Code, Fault> {
    eprint!("{}", plan.text);
    if arguments.dry_run {
        return Ok(Code::Done);
    }
    let baseline = arguments.baseline.as_deref().map(saved::read).transpose()?;
    let mut session = Session::open(arguments, scale, &plan.kinds, &plan.estimate)?;
    session.manner.record = record.map(|record| record()).transpose()?;
    let recording = session.manner.record.clone();
    plan.carry_out(&mut session);
    if let Some(recording) = recording {
        match recording.failure() {
            Some(why) => session.report.warnings.push(why),
            None => eprintln!("recorded {} operations", recording.records()),
        }
    }
    let (code, report) = session.finish()?;
    if let Some(baseline) = baseline {
        saved::print_comparison(&baseline, &report)?;
    }
    Ok(code)
}

/// What will be run.
pub struct Plan {
    workloads: Vec<(String, Workload)>,
    kinds: Vec<TargetKind>,
    repeat: u32,
    pub estimate: Estimate,
    text: String,
}

impl Plan {
    pub fn of(arguments: &RunArgs, scale: Scale) -> Result<Plan, Fault> {
        let overrides = select::overrides(arguments, scale)?;
        let mut wanted = arguments.select.clone();
        if wanted.filter.is_empty() && wanted.suite.is_empty() {
            wanted.filter.push(select::HEADLINE.to_string());
        }
        let mut workloads = select::workloads(&wanted, scale, &overrides)?;
        select::follow_trace(arguments, &mut workloads)?;
        let kinds = targets::choose(&arguments.target)?;
        let repeat = arguments.repeat.max(1);
        let chosen = arguments.quick
            || arguments.size.is_some()
            || arguments.keys.is_some()
            || arguments.duration.is_some();
        if !chosen {
            estimate::fit(&mut workloads, &kinds, repeat);
        }
        Ok(Plan::new(workloads, kinds, repeat, scale, !chosen))
    }

    /// A plan of these workloads, with what it will take.
    pub fn new(
        workloads: Vec<(String, Workload)>,
        kinds: Vec<TargetKind>,
        repeat: u32,
        scale: Scale,
        fitted: bool,
    ) -> Plan {
        let estimate = estimate::estimate(&workloads, &kinds, repeat, scale);
        let text = estimate::describe(&workloads, &kinds, repeat, scale, fitted, &estimate);
        Plan {
            workloads,
            kinds,
            repeat,
            estimate,
            text,
        }
    }

    /// Each workload in rounds, every target once a round, so that drift of the machine hits all alike. A target
    /// that fails sits out the rest of that workload; the others and the later workloads go on.
    pub fn carry_out(&self, session: &mut Session) {
        let single = self.workloads.len() * self.kinds.len() == 1 && self.repeat == 1;
        let Session {
            dir,
            manner,
            report,
            log,
            line,
            ..
        } = session;
        let mut benches: Vec<Bench<'_>> = self
            .kinds
            .iter()
            .map(|_| Bench::new(dir, manner.clone(), &STOP))
            .collect();
        for (_, workload) in &self.workloads {
            let mut failed = vec![false; self.kinds.len()];
            for repetition in 0..self.repeat {
                for at in rounds::order(self.kinds.len(), &workload.name, repetition) {
                    if STOP.load(Ordering::Relaxed) || failed[at] {
                        continue;
                    }
                    let (kind, bench) = (&self.kinds[at], &mut benches[at]);
                    let prefix = match single {
                        true => String::new(),
                        false => format!("{}@{}#{repetition}/", workload.name, kind.name),
                    };
                    let record = bench.run(kind, workload, repetition, &mut |event| {
                        if let Event::Done(phase, outcome, _) = &event {
                            log.add(&prefix, phase, outcome);
                        }
                        line.event(&event);
                    });
                    line.clear();
                    if let Some(failure) = &record.failure {
                        eprintln!("{} on {}: {failure}", workload.name, kind.name);
                        failed[at] = true;
                    }
                    report.results.push(record);
                }
            }
        }
        for bench in &mut benches {
            if let Err(failure) = bench.close() {
                report
                    .warnings
                    .push(format!("a target did not close: {failure}"));
            }
        }
    }
}

//! `loadgen run`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::environment::Environment;
use ringkeep_bench::experiment::{Bench, Event, Manner};
use ringkeep_bench::phase::Setting;
use ringkeep_bench::placement::Placement;
use ringkeep_bench::probe::probe;
use ringkeep_bench::quantity::Size;
use ringkeep_bench::report::{
    IntervalLog, Report, RunRecord, SCHEMA_VERSION, Verdict, WorkloadRecord,
};
use ringkeep_bench::suite::Scale;
use ringkeep_bench::target::TargetKind;
use ringkeep_bench::workload::Workload;

use crate::cli::RunArgs;
use crate::estimate::Estimate;
use crate::exit::{Code, Fault};
use crate::outputs::Outputs;
use crate::progress::Line;
use crate::{estimate, rounds, select, targets};

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// How long each part of the device probe takes.
const PROBE_EACH: Duration = Duration::from_millis(150);

/// Runs what the arguments select and reports.
pub fn run(arguments: &RunArgs) -> Result<Code, Fault> {
    let scale = select::scale(arguments);
    let plan = Plan::of(arguments, scale)?;
    eprint!("{}", plan.text);
    if arguments.dry_run {
        return Ok(Code::Done);
    }
    let outputs = Outputs::new(&arguments.format, arguments.out.as_deref())?;
    let dir = data_dir(arguments)?;
    let mut environment = Environment::of(dir.path());
    plan.must_fit(&dir, &environment)?;
    if scale != Scale::Quick && plan.kinds.iter().any(|kind| kind.persists) {
        environment.probe = Some(probe(dir.path(), PROBE_EACH).map_err(Fault::usage)?);
    }
    listen_for_interrupt()?;

    let manner = manner(arguments, scale)?;
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        run: run_record(scale, &manner),
        environment,
        results: Vec::new(),
        warnings: Vec::new(),
        interrupted: false,
    };
    warn(&mut report, &manner);
    let mut log = IntervalLog::new();
    plan.carry_out(
        manner,
        &dir,
        &mut report,
        &mut log,
        Line::new(arguments.progress),
    );
    report.interrupted = STOP.load(Ordering::Relaxed);
    outputs.write(&report, Some(&log))?;
    Ok(verdict(&report))
}

/// What will be run.
struct Plan {
    workloads: Vec<(String, Workload)>,
    kinds: Vec<TargetKind>,
    repeat: u32,
    estimate: Estimate,
    text: String,
}

impl Plan {
    fn of(arguments: &RunArgs, scale: Scale) -> Result<Plan, Fault> {
        let overrides = select::overrides(arguments, scale)?;
        let mut wanted = arguments.select.clone();
        if wanted.filter.is_empty() && wanted.suite.is_empty() {
            wanted.filter.push(select::HEADLINE.to_string());
        }
        let mut workloads = select::workloads(&wanted, scale, &overrides)?;
        let kinds = targets::choose(&arguments.target)?;
        let repeat = arguments.repeat.max(1);
        let chosen = arguments.quick
            || arguments.size.is_some()
            || arguments.keys.is_some()
            || arguments.duration.is_some();
        if !chosen {
            estimate::fit(&mut workloads, &kinds, repeat);
        }
        let estimate = estimate::estimate(&workloads, &kinds, repeat, scale);
        let text = estimate::describe(&workloads, &kinds, repeat, scale, !chosen, &estimate);
        Ok(Plan {
            workloads,
            kinds,
            repeat,
            estimate,
            text,
        })
    }

    /// Refuses what the machine cannot hold, before anything is loaded.
    fn must_fit(&self, dir: &DataDir, environment: &Environment) -> Result<(), Fault> {
        dir.must_hold(self.estimate.disk_bytes, "the data")
            .map_err(Fault::usage)?;
        let limit = environment.cgroup_memory_bytes.unwrap_or(u64::MAX);
        let available = environment.available_bytes.min(limit);
        if self.estimate.memory_bytes > available {
            return Err(Fault::usage(format!(
                "this needs about {} of memory and {} can be had; choose a smaller --size or a smaller cache \
                 (--set workload.NAME.cache=10%)",
                Size {
                    bytes: self.estimate.memory_bytes
                },
                Size { bytes: available },
            )));
        }
        Ok(())
    }

    /// Each workload in rounds, every target once a round, so that drift of the machine hits all alike. A target
    /// that fails sits out the rest of that workload; the others and the later workloads go on.
    fn carry_out(
        &self,
        manner: Manner,
        dir: &DataDir,
        report: &mut Report,
        log: &mut IntervalLog,
        mut line: Line,
    ) {
        let single = self.workloads.len() * self.kinds.len() == 1 && self.repeat == 1;
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

fn data_dir(arguments: &RunArgs) -> Result<DataDir, Fault> {
    let mut dir = match &arguments.dir {
        Some(path) => DataDir::at(path),
        None => DataDir::temporary(),
    }
    .map_err(Fault::usage)?;
    if arguments.keep {
        dir.keep();
        eprintln!("data stays in {}", dir.path().display());
    }
    Ok(dir)
}

fn manner(arguments: &RunArgs, scale: Scale) -> Result<Manner, Fault> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let drivers = arguments.drivers.unwrap_or((cores / 2).clamp(1, 4)).max(1);
    let mut extra = std::collections::BTreeMap::new();
    for setting in &arguments.target_set {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            Fault::usage(format!(
                "`{setting}` sets nothing: write --target-set name=value"
            ))
        })?;
        extra.insert(name.to_string(), value.to_string());
    }
    let placement = Placement::of(drivers);
    Ok(Manner {
        setting: Setting {
            drivers,
            driver_cores: placement.drivers.clone(),
            validate: arguments.validate,
            drive: arguments.drive.into(),
        },
        scale,
        placement,
        loaders: cores.min(4),
        shards: arguments.shards,
        extra,
    })
}

fn run_record(scale: Scale, manner: &Manner) -> RunRecord {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    RunRecord {
        id: format!("{:x}-{:x}", now.as_secs(), std::process::id()),
        started: rfc3339(now.as_secs()),
        command: std::env::args().skip(1).collect(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        git_commit: env!("GIT_COMMIT").to_string(),
        build_profile: if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
        .to_string(),
        scale,
        validated: manner.setting.validate,
        drivers: manner.setting.drivers,
    }
}

/// Seconds since 1970 as a date; days to civil by Howard Hinnant's algorithm.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let z = days as i64 + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn warn(report: &mut Report, manner: &Manner) {
    let environment = &report.environment;
    let mut warnings = Vec::new();
    if report.run.build_profile != "release" {
        warnings.push(
            "this is a debug build: its numbers mean nothing; build with --release".to_string(),
        );
    }
    if report.run.scale == Scale::Quick {
        warnings.push("--quick proves that the suites run; its numbers mean nothing".to_string());
    }
    let placement = &manner.placement;
    if placement.drivers.is_empty() {
        warnings.push(format!(
            "{} cores for {} drivers: generator and target share them, and both are slower than they would be apart",
            environment.cores, manner.setting.drivers
        ));
    } else if environment.cores <= 4 {
        warnings.push(format!(
            "{} of {} cores serve the generator, {} the target",
            placement.drivers.len(),
            environment.cores,
            placement.target.len()
        ));
    }
    if environment.file_system == "tmpfs" {
        warnings.push(
            "the data lies in memory (tmpfs): name a directory on a real device with --dir"
                .to_string(),
        );
    }
    if environment.load_average_centi > environment.cores as u64 * 50 {
        warnings.push(format!(
            "load average {:.2} before the run: something else uses this machine",
            environment.load_average_centi as f64 / 100.0
        ));
    }
    report.warnings = warnings;
}

fn verdict(report: &Report) -> Code {
    let phases = || report.phases().map(|(_, phase)| phase);
    let failed = report.results.iter().any(|result| result.failure.is_some());
    let nothing = |result: &WorkloadRecord| {
        result.failure.is_some() && result.load.is_none() && result.phases.is_empty()
    };
    if failed && report.results.iter().all(nothing) {
        // No target could even be opened: a matter of settings, not of answers.
        return Code::Usage;
    }
    if phases().any(|phase| phase.verdict == Verdict::WrongAnswers) || failed {
        return Code::WrongAnswers;
    }
    if report.interrupted {
        return Code::Interrupted;
    }
    // Quick runs are too short for their rates and objectives to mean anything.
    if report.run.scale == Scale::Quick {
        return Code::Done;
    }
    if phases().any(|phase| phase.verdict == Verdict::GeneratorLimited) {
        return Code::Invalid;
    }
    match phases().flat_map(|phase| &phase.slo).all(|slo| slo.met) {
        true => Code::Done,
        false => Code::SloMissed,
    }
}

/// The first Ctrl-C ends the run with a report of what there is, the second ends the process.
fn listen_for_interrupt() -> Result<(), Fault> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(Code::Interrupted as u8));
        }
        eprintln!("\nending; Ctrl-C again to end at once");
    })
    .map_err(Fault::internal)
}

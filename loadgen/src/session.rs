//! What `run`, `sweep`, `search`, `plan --verify`, `record` and `replay` share: a place, a manner and a report.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::environment::Environment;
use ringkeep_bench::experiment::Manner;
use ringkeep_bench::phase::Setting;
use ringkeep_bench::placement::{Placement, hold_process_to};
use ringkeep_bench::probe::probe;
use ringkeep_bench::quantity::Size;
use ringkeep_bench::report::{
    IntervalLog, Report, RunRecord, SCHEMA_VERSION, Verdict, WorkloadRecord,
};
use ringkeep_bench::steady::Steady;
use ringkeep_bench::suite::Scale;
use ringkeep_bench::target::TargetKind;

use crate::cli::{PlacementArg, RunArgs};
use crate::closing;
use crate::estimate::Estimate;
use crate::exit::{Code, Fault};
use crate::outputs::Outputs;
use crate::progress::Line;

/// Set by Ctrl-C.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// How long each part of the device probe takes.
const PROBE_EACH: Duration = Duration::from_millis(150);

/// Everything that an experiment needs besides its workloads.
pub struct Session {
    pub dir: DataDir,
    pub manner: Manner,
    pub report: Report,
    pub log: IntervalLog,
    pub line: Line,
    outputs: Outputs,
    require_steady: bool,
}

impl Session {
    /// Checks what can be checked before any load: outputs, space, memory, cores.
    pub fn open(
        arguments: &RunArgs,
        scale: Scale,
        kinds: &[TargetKind],
        estimate: &Estimate,
    ) -> Result<Session, Fault> {
        let outputs = Outputs::new(&arguments.format, arguments.out.as_deref())?;
        if let Some(cpus) = &arguments.cpus {
            hold_process_to(&cpus.0).map_err(|error| Fault::usage(format!("--cpus: {error}")))?;
        }
        let dir = data_dir(arguments)?;
        let mut environment = Environment::of(dir.path());
        must_fit(estimate, &dir, &environment)?;
        if scale != Scale::Quick && kinds.iter().any(|kind| kind.persists) {
            environment.probe = Some(probe(dir.path(), PROBE_EACH).map_err(Fault::usage)?);
        }
        listen_for_interrupt()?;
        let manner = manner(arguments, scale)?;
        let mut report = Report {
            schema_version: SCHEMA_VERSION,
            run: run_record(scale, &manner),
            environment,
            results: Vec::new(),
            curves: Vec::new(),
            warnings: Vec::new(),
            interrupted: false,
        };
        warn(&mut report, &manner, arguments.placement);
        Ok(Session {
            dir,
            manner,
            report,
            log: IntervalLog::new(),
            line: Line::new(arguments.progress),
            outputs,
            require_steady: arguments.require_steady,
        })
    }

    /// Writes the report and says how it went.
    pub fn finish(mut self) -> Result<(Code, Report), Fault> {
        self.line.clear();
        self.report.interrupted = STOP.load(Ordering::Relaxed);
        self.outputs.write(&self.report, Some(&self.log))?;
        let code = verdict(&self.report, self.require_steady);
        if let Some(text) = closing::line(code, &self.report) {
            eprintln!("{text}");
        }
        Ok((code, self.report))
    }
}

/// Refuses what the machine cannot hold, before anything is loaded.
fn must_fit(estimate: &Estimate, dir: &DataDir, environment: &Environment) -> Result<(), Fault> {
    dir.must_hold(estimate.disk_bytes, "the data")
        .map_err(Fault::usage)?;
    let limit = environment.cgroup_memory_bytes.unwrap_or(u64::MAX);
    let available = environment.available_bytes.min(limit);
    if estimate.memory_bytes > available {
        return Err(Fault::usage(format!(
            "this needs about {} of memory and {} can be had; choose a smaller --size or a smaller cache \
             (--set workload.NAME.cache=10%)",
            Size {
                bytes: estimate.memory_bytes
            },
            Size { bytes: available },
        )));
    }
    Ok(())
}

fn data_dir(arguments: &RunArgs) -> Result<DataDir, Fault> {
    let mut dir = match &arguments.dir {
        Some(path) if arguments.reuse_dataset => DataDir::reused(path),
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
    let placement = match arguments.placement {
        PlacementArg::Dedicated => Placement::of(drivers),
        PlacementArg::Colocated => Placement::colocated(drivers),
    };
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
        reuse: arguments.reuse_dataset,
        record: None,
        program: std::env::current_exe().ok(),
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

fn warn(report: &mut Report, manner: &Manner, placed: PlacementArg) {
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
    if placed == PlacementArg::Colocated {
        warnings.push(
            "drivers and target share their cores (--placement colocated): the target pays for the generator's CPU"
                .to_string(),
        );
    } else if placement.drivers.is_empty() {
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
    report.warnings = warnings;
}

fn verdict(report: &Report, require_steady: bool) -> Code {
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
    if phases().any(closing::is_empty) {
        return Code::Invalid;
    }
    if require_steady && phases().any(|phase| phase.steady == Steady::No) {
        return Code::Invalid;
    }
    // The points of a curve are meant to go as far as failing.
    if !report.curves.is_empty() {
        return Code::Done;
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

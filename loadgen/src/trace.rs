//! `loadgen record`, `replay` and `trace`.

use std::fmt::Write;
use std::sync::Arc;

use ringkeep_bench::quantity::{Count, Length, Rate, Size, Span};
use ringkeep_bench::report::table::Table;
use ringkeep_bench::suite::Overrides;
use ringkeep_bench::trace::{
    self, Key, Keys, Recording, Script, ScriptUse, Trace, cachebench, fit, twitter, ycsb,
};
use ringkeep_bench::workload::{
    Arrival, Dataset, Drive, Durability, KeyForm, KeyLaw, KeyShape, LengthLaw, Load, OnFull,
    OpKind, OpShape, Phase, Think, Traffic, ValueShape, Warmup, Workload,
};

use crate::cli::{
    ConvertArgs, RecordArgs, ReplayArgs, SliceArgs, Speed, TraceCommand, TraceFile, TraceFormat,
    TwoTraces,
};
use crate::exit::{Code, Fault};
use crate::outputs::print;
use crate::run::{Plan, carry_out};
use crate::{select, targets};

/// Operations under way at once where nothing says otherwise.
const IN_FLIGHT: usize = 1000;

/// Runs workloads with a tap on the target.
pub fn record(arguments: &RecordArgs) -> Result<Code, Fault> {
    let scale = select::scale(&arguments.run);
    let plan = Plan::of(&arguments.run, scale)?;
    if arguments.file.exists() {
        return Err(Fault::usage(format!(
            "{} exists; a trace goes to a new file",
            arguments.file.display()
        )));
    }
    let keys = match arguments.raw_keys {
        true => Keys::Raw,
        false => Keys::Anonymous,
    };
    let create = || {
        Recording::create(
            &arguments.file,
            keys,
            arguments.one_in,
            arguments.trace_max.bytes,
        )
        .map_err(Fault::usage)
    };
    carry_out(&arguments.run, scale, plan, Some(&create))
}

/// Loads the keys that a trace finds, then asks what it asked.
pub fn replay(arguments: &ReplayArgs) -> Result<Code, Fault> {
    let run = &arguments.run;
    let refused = [
        ("--suite", !run.select.suite.is_empty()),
        ("--filter", !run.select.filter.is_empty()),
        ("--set", !run.select.set.is_empty()),
        ("--rate", run.rate.is_some()),
        ("--max", run.max),
        ("--think", run.think.is_some()),
        ("--arrival", run.arrival.is_some()),
        ("--trace", run.trace.is_some()),
        ("--keys", run.keys.is_some()),
    ];
    if let Some((flag, _)) = refused.iter().find(|(_, set)| *set) {
        return Err(Fault::usage(format!(
            "{flag} has no meaning here: the trace says what is asked and --speed when"
        )));
    }
    let mut trace = trace::read(&arguments.file).map_err(Fault::usage)?;
    for name in &arguments.skip {
        let kind = OpKind::from_name(name).ok_or_else(|| {
            Fault::usage(format!(
                "--skip {name}: there is no such operation; known are {}",
                OpKind::ALL.map(OpKind::name).join(", ")
            ))
        })?;
        trace.records.retain(|record| record.op != kind);
    }
    let script = Script::new(&trace)
        .and_then(|script| script.amplified(arguments.amp))
        .map_err(Fault::usage)?;
    let scale = select::scale(run);
    let overrides = select::overrides(run, scale)?;
    let workload = workload(arguments, &trace, script, &overrides);
    let kinds = targets::choose(&run.target)?;
    let workloads = vec![("replay".to_string(), workload)];
    let plan = Plan::new(workloads, kinds, run.repeat.max(1), scale, false);
    carry_out(run, scale, plan, None)
}

fn workload(
    arguments: &ReplayArgs,
    trace: &Trace,
    script: Script,
    overrides: &Overrides,
) -> Workload {
    let clients = arguments
        .run
        .clients
        .map_or(IN_FLIGHT, |count| count.n.max(1) as usize);
    let (load, speed) = match arguments.speed {
        Speed::Times(speed) => (
            Load::Open {
                rate_per_s: script.rate_per_s() * speed,
                arrival: Arrival::Trace,
                in_flight_max: clients,
                on_full: OnFull::Queue,
            },
            speed,
        ),
        Speed::Max => (
            Load::Closed {
                clients,
                think: Think::Fixed {
                    time: Span::default(),
                },
            },
            1.0,
        ),
    };
    let shape = |&op: &OpKind| OpShape {
        op,
        weight: 1.0,
        keys: KeyLaw::Uniform,
        miss: 0.0,
        n: 1,
        entries: LengthLaw::Fixed { size: 1 },
        reverse: false,
        durability: None,
    };
    let none = Warmup {
        min: Span::default(),
        max: Span::default(),
    };
    let name = arguments
        .file
        .file_stem()
        .map_or("trace".to_string(), |stem| {
            stem.to_string_lossy().to_string()
        });
    let steps = script.steps.len() as u64;
    Workload {
        name: format!("replay/{name}"),
        about: format!(
            "{} operations of {}, one key in {}",
            Count { n: steps },
            arguments.file.display(),
            trace.head.one_in
        ),
        tags: vec!["trace".to_string()],
        dataset: Dataset {
            id: name,
            keys: script.keys,
            key: KeyShape {
                form: KeyForm::Hashed,
                size: script.key_size.clamp(16, 4096),
            },
            value: ValueShape {
                length: LengthLaw::Fixed {
                    size: script.value_size,
                },
                compress: 0.5,
            },
            empty: arguments.empty,
            age_overwrite: 0.0,
            killed: false,
            reopened: false,
        },
        cache_share: 0.5,
        durability: Durability::Sync,
        seed: overrides.seed.unwrap_or(42),
        phases: vec![Phase {
            name: "replay".to_string(),
            warmup: none,
            length: overrides
                .duration
                .unwrap_or(Length::Ops(Count { n: steps })),
            shows_response: matches!(load, Load::Open { .. }) || clients == 1,
            settles: true,
            holds_snapshot: false,
            slo: overrides.slo.clone(),
            traffic: vec![Traffic {
                name: "replay".to_string(),
                load,
                drive: Drive::Auto,
                ops: script.kinds.iter().map(shape).collect(),
                script: Some(ScriptUse {
                    script: Arc::new(script),
                    speed,
                    ops: true,
                }),
            }],
        }],
    }
}

/// Looks at trace files and makes new ones.
pub fn files(command: &TraceCommand) -> Result<Code, Fault> {
    match command {
        TraceCommand::Info(TraceFile { file }) => info(&read(file)?),
        TraceCommand::Fit(TraceFile { file }) => {
            let trace = read(file)?;
            let summary = fit::summarize(&trace);
            print(&fit::suite("fitted/trace", &summary, trace.head.one_in))
        }
        TraceCommand::Convert(arguments) => convert(arguments),
        TraceCommand::Anonymize(files) => anonymize(files),
        TraceCommand::Slice(arguments) => slice(arguments),
    }?;
    Ok(Code::Done)
}

fn read(path: &std::path::Path) -> Result<Trace, Fault> {
    let trace = trace::read(path).map_err(Fault::usage)?;
    match trace.records.is_empty() {
        true => Err(Fault::usage(format!("{} is empty", path.display()))),
        false => Ok(trace),
    }
}

fn info(trace: &Trace) -> Result<(), Fault> {
    let summary = fit::summarize(trace);
    let mut table = Table::new(["", "found"]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_string(), value]);
    let n = summary.operations;
    row(
        "operations",
        format!(
            "{} in {}, {}",
            Count { n },
            Span {
                ns: summary.span_ns
            },
            Rate {
                per_s: n as f64 * 1e9 / summary.span_ns.max(1) as f64
            }
        ),
    );
    row(
        "sample",
        format!(
            "one key in {}, keys {}",
            trace.head.one_in,
            match trace.head.keys {
                Keys::Anonymous => "as hashes",
                Keys::Raw => "as they are",
            }
        ),
    );
    let mut mix = String::new();
    for (kind, count) in &summary.kinds {
        let percent = *count as f64 * 100.0 / n as f64;
        let _ = write!(mix, "{} {percent:.1} %  ", kind.name());
    }
    row("mix", mix.trim_end().to_string());
    row(
        "keys",
        format!(
            "{}, {:.0} % of them touched once, {:.0} bytes each",
            Count { n: summary.keys },
            summary.once as f64 * 100.0 / summary.keys as f64,
            summary.key_size
        ),
    );
    row(
        "popularity",
        format!(
            "like zipf {:.2}; the hottest key has {:.2} %",
            summary.theta,
            summary.hottest * 100.0
        ),
    );
    row(
        "values written",
        Size {
            bytes: summary.value_size as u64,
        }
        .to_string(),
    );
    row("reads in vain", format!("{:.1} %", summary.miss * 100.0));
    if trace.torn_bytes > 0 {
        row(
            "torn end",
            format!("{} bytes are no whole block and left out", trace.torn_bytes),
        );
    }
    print(&table.left().text(""))
}

fn convert(arguments: &ConvertArgs) -> Result<(), Fault> {
    let from = &arguments.files.from_file;
    let text = std::fs::read_to_string(from)
        .map_err(|error| Fault::usage(format!("cannot read {}: {error}", from.display())))?;
    let read = match arguments.from {
        TraceFormat::Twitter => twitter::read,
        TraceFormat::Cachebench => cachebench::read,
        TraceFormat::Ycsb => ycsb::read,
    };
    let trace = read(&text, arguments.one_in)
        .map_err(|error| Fault::usage(format!("{}: {error}", from.display())))?;
    write(&arguments.files, &trace)
}

fn anonymize(files: &TwoTraces) -> Result<(), Fault> {
    use std::hash::{BuildHasher, RandomState};
    let mut trace = read(&files.from_file)?;
    let secret = RandomState::new();
    for key in trace.records.iter_mut().flat_map(|record| &mut record.keys) {
        *key = Key::Hash(secret.hash_one(&*key));
    }
    trace.head.keys = Keys::Anonymous;
    write(files, &trace)
}

fn slice(arguments: &SliceArgs) -> Result<(), Fault> {
    let mut trace = read(&arguments.files.from_file)?;
    let to_ns = arguments.to.map_or(u64::MAX, |span| span.ns);
    trace
        .records
        .retain(|record| record.at_ns >= arguments.from.ns && record.at_ns < to_ns);
    if trace.records.is_empty() {
        return Err(Fault::usage(
            "nothing happened between --from and --to; `loadgen trace info` says how long it is",
        ));
    }
    write(&arguments.files, &trace)
}

fn write(files: &TwoTraces, trace: &Trace) -> Result<(), Fault> {
    trace::write(&files.to_file, &trace.head, &trace.records).map_err(Fault::usage)?;
    eprintln!(
        "wrote {}: {} operations",
        files.to_file.display(),
        trace.records.len()
    );
    Ok(())
}

//! `perf device`: what the device gives through the same ring that the engine uses, so that the engine's numbers
//! can be read as a share of it.
//!
//! One scratch file is written once, so that no later write allocates, and unlinked while it is open, so that even
//! a killed run leaves no data behind, unless fio has to find it: two files are two places on the device, and may be
//! of different speed.

mod engine;
mod fio;
mod job;
mod load;
mod table;

use std::path::Path;

use ringkeep_bench::environment::{Environment, free_bytes};
use ringkeep_bench::quantity::Size;
use ringkeep_io::{BackendKind, File, Io, IoOptions, OpenMode, PAGE, WriteDurability};
use serde::Serialize;

use crate::cli::DeviceArgs;
use crate::exit::{Code, Fault};
use crate::scratch::Scratch;
use crate::statistics::{median, median_interval};
pub use job::JobKind;
use job::{Job, Measured};

/// The whole answer.
#[derive(Debug, Serialize)]
struct DeviceReport {
    schema_version: u32,
    environment: Environment,
    backend: String,
    reason: String,
    file_bytes: u64,
    rows: Vec<Row>,
    engine: Vec<engine::Share>,
}

#[derive(Debug, Serialize)]
struct Row {
    job: Job,
    measured: Measured,
    /// The same job by fio.
    fio: Option<Measured>,
    /// Rate over fio's: the median of the rounds, and between what its 95 % interval lies.
    over_fio: Option<[f64; 3]>,
}

/// Of each side the round with the middle rate, and how the rounds compare.
fn against(job: &Job, rounds: Vec<(Measured, Measured)>) -> Row {
    let ratios: Vec<f64> = rounds
        .iter()
        .map(|(ours, fio)| ours.per_s / fio.per_s)
        .collect();
    let (low, high) = median_interval(&ratios);
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let middle = |side: &mut Vec<Measured>| {
        side.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
        side.swap_remove(side.len() / 2)
    };
    Row {
        job: *job,
        measured: middle(&mut ours),
        fio: Some(middle(&mut theirs)),
        over_fio: Some([median(&ratios), low, high]),
    }
}

const FILE: &str = "device-scratch";

/// Runs the command.
pub fn device(arguments: &DeviceArgs) -> Result<Code, Fault> {
    if arguments.against_fio {
        fio::must_be_installed()?;
    }
    let file_bytes = file_bytes(arguments.size.bytes)?;
    let scratch = Scratch::at(arguments.dir.as_deref())?;
    let environment = Environment::of(scratch.path());
    must_hold(scratch.path(), file_bytes)?;

    let io = Io::open(&IoOptions::default()).map_err(Fault::usage)?;
    let file = scratch_file(&io, scratch.path(), file_bytes, arguments.against_fio)?;
    let jobs = Job::of(&arguments.only);
    let seconds = arguments.seconds as f64;
    let mut rows = Vec::new();
    let opponent = arguments
        .against_fio
        .then(|| fio::Fio::on(&scratch.path().join(FILE), file_bytes));
    for job in &jobs {
        let seconds = job.share(&jobs) * seconds;
        let ours = |seconds| load::run(&io, &file, file_bytes, job, seconds);
        let row = match &opponent {
            None => ours(seconds)?.map(|measured| Row {
                job: *job,
                measured,
                fio: None,
                over_fio: None,
            }),
            Some(fio) => {
                let seconds = seconds / f64::from(arguments.rounds);
                let mut rounds = Vec::new();
                // By turns, because a device in a cloud is another one a minute later, and a busy one a second later.
                for round in 0..arguments.rounds {
                    let (ours, theirs) = match round % 2 {
                        0 => (ours(seconds)?, fio.run(job, seconds)?),
                        _ => {
                            let theirs = fio.run(job, seconds)?;
                            (ours(seconds)?, theirs)
                        }
                    };
                    // A device that stood still for one of them has nothing to compare.
                    rounds.extend(ours.zip(theirs));
                }
                (!rounds.is_empty()).then(|| against(job, rounds))
            }
        };
        rows.push(row.ok_or_else(|| {
            Fault::usage(format!(
                "{} at depth {} completed nothing in {seconds:.2} s; give it more --seconds",
                table::name(job),
                job.depth
            ))
        })?);
    }
    let engine = engine::shares(&io, scratch.path(), &rows, seconds / 10.0)?;
    let door = io.report();
    let report = DeviceReport {
        schema_version: 1,
        environment,
        backend: match door.backend {
            BackendKind::Ring => "io_uring",
            BackendKind::Portable => "portable",
            BackendKind::Simulated | BackendKind::Memory => {
                unreachable!("a real directory was opened")
            }
        }
        .to_owned(),
        reason: door.reason,
        file_bytes,
        rows,
        engine,
    };
    show(&report, arguments.json.as_deref())?;
    Ok(Code::Pass)
}

fn show(report: &DeviceReport, json: Option<&Path>) -> Result<(), Fault> {
    let text = || serde_json::to_string_pretty(report).map_err(Fault::internal);
    match json {
        Some(path) if path == Path::new("-") => println!("{}", text()?),
        Some(path) => {
            std::fs::write(path, text()?).map_err(|error| {
                Fault::usage(format!("cannot write {}: {error}", path.display()))
            })?;
            print!("{}", table::text(report));
        }
        None => print!("{}", table::text(report)),
    }
    Ok(())
}

fn file_bytes(asked: u64) -> Result<u64, Fault> {
    let least = 8 * load::WRITE_BYTES_MAX;
    match asked {
        asked if asked < least => Err(Fault::usage(format!(
            "--size {} is too small to tell random from sequential; use {} or more",
            Size { bytes: asked },
            Size { bytes: least }
        ))),
        asked => Ok(asked / load::WRITE_BYTES_MAX * load::WRITE_BYTES_MAX),
    }
}

fn must_hold(path: &Path, needed: u64) -> Result<(), Fault> {
    let free = free_bytes(path);
    match needed <= free / 2 {
        true => Ok(()),
        false => Err(Fault::usage(format!(
            "the scratch file of {} would take more than half of the {} free in {}; use a smaller --size or another --dir",
            Size { bytes: needed },
            Size { bytes: free },
            path.display()
        ))),
    }
}

/// Written in full, because reads of holes and first writes into merely allocated blocks are other operations.
fn scratch_file(io: &Io, path: &Path, bytes: u64, stays: bool) -> Result<File, Fault> {
    let cannot = |error| Fault::usage(format!("{}: {error}", path.display()));
    let directory = io.directory(path).map_err(cannot)?;
    let file = directory.open(FILE, OpenMode::CreateNew).map_err(cannot)?;
    if !stays {
        directory.remove(FILE).map_err(cannot)?;
    }
    let mut buffer = load::noise(load::WRITE_BYTES_MAX as usize);
    for offset in (0..bytes).step_by(buffer.len()) {
        let length = buffer.len();
        let ticket = io.write(&file, offset, buffer, length, WriteDurability::Cached);
        buffer = load::wait(io, ticket).map_err(cannot)?;
    }
    let synced = io.sync(&file);
    load::wait(io, synced).map_err(cannot)?;
    Ok(file)
}

const _: () = assert!(load::WRITE_BYTES_MAX.is_multiple_of(PAGE as u64));

//! perf: says whether a change made the engine slower, and how sure it is.
//!
//! Scenarios are run by children of a `perf` binary (`scenario`), counted (`measure`), kept (`report`), compared
//! with a baseline or with another commit's binary (`gate`), and told to people and programs (`output`).

mod cli;
mod command;
mod exit;

mod day;
mod filter;
mod metric;
mod scratch;

mod scenario;

mod measure;
mod report;
mod statistics;

mod accepted;
mod gate;
mod output;

mod bisect;
mod calibrate;
mod device;
mod history;

use clap::Parser;
use cli::Command;

/// Only `perf scenario` reads the counts.
#[global_allocator]
static ALLOCATOR: ringkeep_scenarios::CountingAllocator = ringkeep_scenarios::CountingAllocator;

fn main() -> std::process::ExitCode {
    let done = match cli::Cli::parse().command {
        Command::Run(arguments) => command::run(&arguments),
        Command::Gate(arguments) => command::gate(&arguments),
        Command::Compare(arguments) => command::compare_files(&arguments),
        Command::Baseline(arguments) => command::baseline(&arguments),
        Command::Accept(arguments) => accepted::accept(&arguments),
        Command::Calibrate(arguments) => calibrate::calibrate(&arguments),
        Command::History(arguments) => history::history(&arguments),
        Command::Bisect(arguments) => bisect::bisect(&arguments),
        Command::Device(arguments) => device::device(&arguments),
        Command::Scenario(arguments) => scenario::scenario(&arguments),
    };
    match done {
        Ok(code) => code.into(),
        Err(fault) => {
            eprintln!("perf: {fault}");
            fault.code.into()
        }
    }
}

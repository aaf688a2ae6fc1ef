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
mod baseline;
mod gate;
mod output;

mod bisect;
mod calibrate;
mod device;
mod history;
mod suite;

use clap::Parser;
use cli::Command;
use exit::{Code, Fault};

/// Only `perf scenario` reads the counts.
#[global_allocator]
static ALLOCATOR: ringkeep_scenarios::CountingAllocator = ringkeep_scenarios::CountingAllocator;

fn main() -> std::process::ExitCode {
    // Nobody reads on after `perf ... | head`: no news, and no reason for a backtrace.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if !message.contains("Broken pipe") {
            report(panic);
        }
    }));
    let command = cli::Cli::parse().command;
    match std::panic::catch_unwind(|| run(&command)) {
        Ok(Ok(code)) => code.into(),
        Ok(Err(fault)) => {
            eprintln!("perf: {fault}");
            fault.code.into()
        }
        Err(_) => Code::Internal.into(),
    }
}

fn run(command: &Command) -> Result<Code, Fault> {
    match command {
        Command::Run(arguments) => command::run(arguments),
        Command::Gate(arguments) => command::gate(arguments),
        Command::Compare(arguments) => command::compare_files(arguments),
        Command::Baseline(arguments) => baseline::baseline(arguments),
        Command::Accept(arguments) => accepted::accept(arguments),
        Command::Calibrate(arguments) => calibrate::calibrate(arguments),
        Command::History(arguments) => history::history(arguments),
        Command::Bisect(arguments) => bisect::bisect(arguments),
        Command::Device(arguments) => device::device(arguments),
        Command::Scenario(arguments) => scenario::scenario(arguments),
    }
}

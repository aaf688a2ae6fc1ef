//! perf: says whether a change made the engine slower, and how sure it is.

mod cli;
mod exit;

mod device;
mod scenario;
mod scratch;

use clap::Parser;

/// Only `perf scenario` reads the counts.
#[global_allocator]
static ALLOCATOR: ringkeep_scenarios::CountingAllocator = ringkeep_scenarios::CountingAllocator;

fn main() -> std::process::ExitCode {
    let done = match cli::Cli::parse().command {
        cli::Command::Device(arguments) => device::device(&arguments),
        cli::Command::Scenario(arguments) => scenario::scenario(&arguments),
    };
    match done {
        Ok(code) => code.into(),
        Err(fault) => {
            eprintln!("perf: {fault}");
            fault.code.into()
        }
    }
}

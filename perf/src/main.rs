//! perf: says whether a change made the engine slower, and how sure it is.

mod cli;
mod exit;

mod device;
mod scratch;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let done = match cli::Cli::parse().command {
        cli::Command::Device(arguments) => device::device(&arguments),
    };
    match done {
        Ok(code) => code.into(),
        Err(fault) => {
            eprintln!("perf: {fault}");
            fault.code.into()
        }
    }
}

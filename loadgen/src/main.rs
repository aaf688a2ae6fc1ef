//! loadgen: decides what to send and when, and prints what came of it.
//!
//! Arguments become a selection of workloads (`select`), a plan with its estimate (`estimate`), experiments
//! (`run`, carried out by ringkeep-bench) and files (`outputs`). Saved runs are looked at with `saved`.

mod benchmarks;
mod calibrate;
mod cli;
mod closing;
mod doctor;
mod estimate;
mod exit;
mod filter;
mod hdr;
mod ladder;
mod list;
mod outputs;
mod plan;
mod progress;
mod rounds;
mod run;
mod saved;
mod search;
mod select;
mod session;
mod suites;
mod sweep;
mod targets;
mod trace;

use clap::Parser;
use ringkeep_bench::killed::Errand;

fn main() -> std::process::ExitCode {
    let arguments = cli::Cli::parse();
    // A panic has printed its message by the time it gets here.
    let done = std::panic::catch_unwind(|| carry_out(arguments.command));
    match done {
        Ok(Ok(code)) => code.into(),
        Ok(Err(fault)) => {
            eprintln!("loadgen: {fault}");
            fault.code.into()
        }
        Err(_) => exit::Code::Internal.into(),
    }
}

fn carry_out(command: cli::Command) -> Result<exit::Code, exit::Fault> {
    match command {
        cli::Command::LoadAndWait => Errand::run(&targets::all())
            .map(|()| exit::Code::Done)
            .map_err(exit::Fault::target),
        cli::Command::List(arguments) => list::list(&arguments),
        cli::Command::Run(arguments) => run::run(&arguments),
        cli::Command::Sweep(arguments) => sweep::sweep(&arguments),
        cli::Command::Search(arguments) => search::search(&arguments),
        cli::Command::Plan(arguments) => plan::plan(&arguments),
        cli::Command::Record(arguments) => trace::record(&arguments),
        cli::Command::Replay(arguments) => trace::replay(&arguments),
        cli::Command::Trace(command) => trace::files(&command),
        cli::Command::Calibrate(arguments) => calibrate::calibrate(&arguments),
        cli::Command::Doctor(arguments) => doctor::doctor(&arguments),
        cli::Command::Show(arguments) => saved::show(&arguments),
        cli::Command::Compare(arguments) => saved::compare_runs(&arguments),
        cli::Command::Hdr(arguments) => hdr::hdr(&arguments),
        cli::Command::Report(arguments) => saved::report(&arguments),
    }
}

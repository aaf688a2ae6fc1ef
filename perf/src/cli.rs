//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ringkeep_bench::quantity::Size;

/// Regression gates: counts that must not grow, times that are judged only where they can be
#[derive(Debug, Parser)]
#[command(name = "perf", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure the device through the engine's own ring: reads by depth, durable writes, syncs
    Device(DeviceArgs),
    /// Do one scenario's work and print what it cost: what the other commands start
    Scenario(ScenarioArgs),
}

#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Its name; none for a list
    pub name: Option<String>,
    /// Operations [default: the scenario's own number]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub ops: Option<u64>,
    /// Read no clock: for runs under Valgrind
    #[arg(long)]
    pub no_clocks: bool,
}

#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Directory on the device: new or empty [default: a fresh one for temporary files]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// How long to measure, all parts together
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Size of the scratch file
    #[arg(long, default_value = "128MiB", value_name = "SIZE")]
    pub size: Size,
    /// Run fio with the same settings and print both
    #[arg(long)]
    pub against_fio: bool,
    /// Write the numbers here; `-` for standard output in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringkeep_bench::quantity::{Count, Length, Rate, Span};
use ringkeep_bench::slo::Slo;
use ringkeep_bench::workload::Drive;

/// Load generator for embedded key-value stores: latency from the intended start, or it is not latency.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the workloads that can be run
    List(ListArgs),
    /// Run workloads and report
    Run(Box<RunArgs>),
    /// Measure what this machine does to any measurement: clock, sleep, generator, noise, device
    Calibrate(DirArgs),
    /// Look for what would spoil a measurement here
    Doctor(DirArgs),
    /// Print a saved run
    Show(ShowArgs),
    /// Put two saved runs side by side
    Compare(CompareArgs),
    /// Render a saved run in other formats
    Report(ReportArgs),
}

#[derive(Debug, Args)]
pub struct DirArgs {
    /// Directory on the device that matters: new or empty [default: a fresh one for temporary files]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A report.json, or the directory that it is in
    pub run: PathBuf,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A report.json, or the directory that it is in
    pub first: PathBuf,
    /// Another one
    pub second: PathBuf,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report.json, or the directory that it is in
    pub run: PathBuf,
    /// What to write
    #[arg(long, value_delimiter = ',', value_name = "FORMAT,...")]
    pub format: Vec<Format>,
    /// Write into this directory: new or empty
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct SelectArgs {
    /// A built-in suite by name, or a suite file; repeatable [default: all built-in ones]
    #[arg(long, value_name = "NAME|FILE")]
    pub suite: Vec<String>,
    /// Workloads whose name matches this glob; `!glob` leaves out; repeatable
    #[arg(long, value_name = "GLOB")]
    pub filter: Vec<String>,
    /// Replace one entry of a suite: `dataset.kv.keys=1M`; repeatable
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Print the suite's file instead, to start your own from
    #[arg(long, conflicts_with = "json")]
    pub export: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SizeArg {
    S,
    M,
    L,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriveArg {
    Auto,
    Threads,
    Async,
}

impl From<DriveArg> for Drive {
    fn from(drive: DriveArg) -> Drive {
        match drive {
            DriveArg::Auto => Drive::Auto,
            DriveArg::Threads => Drive::Threads,
            DriveArg::Async => Drive::Pipelined,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    Poisson,
    Uniform,
    Bursty,
    Sine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Hlog,
    Csv,
    Md,
    Junit,
    Html,
    /// The page docs/benchmarks.md, from a run of the suite `peers`
    Benchmarks,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub select: SelectArgs,

    /// Targets to run against, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub target: Vec<String>,
    /// A setting of the target, as it names it; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub target_set: Vec<String>,
    /// Shards of the target [default: the cores that drivers leave]
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,

    /// Data and durations [default: what finishes in about two minutes]
    #[arg(long)]
    pub size: Option<SizeArg>,
    /// Smoke sizes: every suite in seconds; proves that it runs, measures nothing
    #[arg(long, conflicts_with = "size")]
    pub quick: bool,
    /// Keys of every dataset
    #[arg(long, value_name = "N")]
    pub keys: Option<Count>,
    /// Measured length of each phase: a time or a number of operations
    #[arg(long, value_name = "60s|1M")]
    pub duration: Option<Length>,
    /// Warm-up of each phase: `auto` (until steady) or a time
    #[arg(long, value_name = "auto|10s|0")]
    pub warmup: Option<String>,
    /// Run everything this many times, interleaved
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub repeat: u32,
    /// Seed of keys, values and arrivals
    #[arg(long)]
    pub seed: Option<u64>,

    /// One open-loop phase at this rate, in place of the workload's phases
    #[arg(long, value_name = "50k/s", conflicts_with_all = ["clients", "think", "max"])]
    pub rate: Option<Rate>,
    /// One closed-loop phase with this many clients, in place of the workload's phases
    #[arg(long, value_name = "N", conflicts_with = "max")]
    pub clients: Option<Count>,
    /// Mean think time of --clients, exponential
    #[arg(long, value_name = "20ms", requires = "clients")]
    pub think: Option<Span>,
    /// One closed-loop phase without think time: throughput at saturation
    #[arg(long)]
    pub max: bool,
    /// How open loops space their operations
    #[arg(long)]
    pub arrival: Option<ArrivalArg>,
    /// Who issues operations: few threads with many in flight, or a thread per client
    #[arg(long, default_value = "auto")]
    pub drive: DriveArg,
    /// Driver threads of pipelined streams [default: half the cores, at most 4]
    #[arg(long, value_name = "N")]
    pub drivers: Option<usize>,

    /// An objective such as 'read.p99 < 5ms'; repeatable; added to those of the suite
    #[arg(long, value_name = "OBJECTIVE")]
    pub slo: Vec<Slo>,
    /// Prove that every read returned the right bytes
    #[arg(long)]
    pub validate: bool,

    /// Directory for data: new or empty [default: a fresh one for temporary files]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Leave the data in place
    #[arg(long)]
    pub keep: bool,
    /// Write reports into this directory: new or empty
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to write [default: a table here, everything with --out]
    #[arg(long, value_delimiter = ',', value_name = "FORMAT,...")]
    pub format: Vec<Format>,
    /// A live line
    #[arg(long, default_value = "auto")]
    pub progress: When,
    /// Print the plan and the estimate, then stop
    #[arg(long)]
    pub dry_run: bool,
}

//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ringkeep_bench::quantity::{Count, Length, Rate, Size, Span};
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
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Run one workload at a ladder of loads: table, plot and knee
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(Box<SweepArgs>),
    /// Find the highest rate at which the objectives hold
    #[command(after_help = SEARCH_EXAMPLES)]
    Search(Box<SearchArgs>),
    /// Will a machine do what a service needs, and what limits it first?
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(Box<PlanArgs>),
    /// Run workloads and write down what they ask, as a trace
    #[command(after_help = RECORD_EXAMPLES)]
    Record(Box<RecordArgs>),
    /// Ask what a trace asked, at its times, faster, or as fast as possible
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayArgs>),
    /// Look into trace files and change them
    #[command(subcommand, after_help = TRACE_EXAMPLES)]
    Trace(TraceCommand),
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
    /// Read interval logs (.hlog): percentiles of each tag, merged over time and files
    #[command(after_help = HDR_EXAMPLES)]
    Hdr(HdrArgs),
    /// Loads for another process, which kills this one
    #[command(hide = true)]
    LoadAndWait,
}

const RUN_EXAMPLES: &str = "Examples:
  loadgen run                                          the headline: 1000 concurrent readers
  loadgen run --filter 'ycsb/*' --target ringkeep,memory --out results
  loadgen run --filter bench/op/get --size m --dir /mnt/nvme/bench --slo 'get.p99 < 100us'
  loadgen run --suite mine.toml --quick --validate";
const SWEEP_EXAMPLES: &str = "Examples:
  loadgen sweep                                        the headline from 10 to 110 % of what it can do
  loadgen sweep --from 10k --to 200k --steps 8 --slo 'read.p99 < 5ms' --out sweep
  loadgen sweep --over clients --from 1 --to 10000 --steps 5";
const SEARCH_EXAMPLES: &str = "Examples:
  loadgen search --slo 'read.p99 < 5ms'
  loadgen search --filter bench/load/mixed_rw_90_10 --slo 'put.p99 < 20ms' --budget 5m";
const PLAN_EXAMPLES: &str = "Examples:
  loadgen plan --need 'read=50k/s; read.p99<5ms; keys=200M; value=1KiB' --verify
  loadgen plan --need 'read=20k/s; write=2k/s; keys=10M; value=200; growth=30%/y' --from results
  loadgen plan --need 'read=50k/s; keys=200M; value=1KiB' --from results --box server.toml --extrapolate

The need: rates by operation (read, write, scan, rmw, ...), objectives, keys, value and key sizes, theta, growth.
Answers YES (exit 0), MARGINAL (0, less than 30 % to spare), NO (1) or UNKNOWN (3).
A box file: cores = 16, ram = \"64GiB\", disk = \"2TB\", reads_per_s = \"400k\", writes_per_s = \"1GB\".";
const RECORD_EXAMPLES: &str = "Examples:
  loadgen record headline.trace --one-in 10
  loadgen record raw.trace --raw-keys --filter apps/session_store --duration 30s

To record your own process, wrap its calls with ringkeep_bench::trace::Recording.";
const REPLAY_EXAMPLES: &str = "Examples:
  loadgen replay headline.trace
  loadgen replay headline.trace --speed 2 --slo 'get.p99 < 5ms' --target ringkeep,memory
  loadgen replay headline.trace --speed max --clients 64
  loadgen replay headline.trace --amp 10               a trace of one key in ten, at full size";
const TRACE_EXAMPLES: &str = "Examples:
  loadgen trace info headline.trace
  loadgen trace convert cluster52.csv cluster52.trace --from twitter --one-in 100
  loadgen trace slice headline.trace minute.trace --from 1m --to 2m
  loadgen trace fit headline.trace > fitted.toml && loadgen run --suite fitted.toml";
const HDR_EXAMPLES: &str = "Examples:
  loadgen hdr results/report.hlog
  loadgen hdr a/report.hlog b/report.hlog --tag '*response' --merge both.hlog";

#[derive(Debug, Args)]
pub struct SweepArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// What is turned
    #[arg(long, default_value = "rate")]
    pub over: OverArg,
    /// Lowest load [default: a tenth of the most there is, or 1 client]
    #[arg(long, value_name = "10k")]
    pub from: Option<String>,
    /// Highest load [default: 1.1 times the most there is, or 10000 clients]
    #[arg(long, value_name = "200k")]
    pub to: Option<String>,
    /// Number of points
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub steps: u32,
    /// Order of the points: a rising ladder hands the debt of each one to the next
    #[arg(long, default_value = "shuffled")]
    pub order: OrderArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OverArg {
    Rate,
    Clients,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderArg {
    Shuffled,
    Up,
    Down,
}

#[derive(Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Confidence of the interval around the answer
    #[arg(long, default_value_t = 0.95, value_name = "0.95")]
    pub confidence: f64,
    /// Time for all probes; shorter budgets make shorter probes
    #[arg(long, default_value = "5m", value_name = "15m")]
    pub budget: Span,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What the service needs: 'read=50k/s; read.p99<5ms; keys=200M; value=1KiB'
    #[arg(long, value_name = "NEED")]
    pub need: String,
    /// Saved runs as evidence: a report, or a folder of them; repeatable
    #[arg(long, value_name = "RUN|DIR")]
    pub from: Vec<PathBuf>,
    /// The machine: this one, or a file that describes another
    #[arg(long = "box", value_name = "auto|FILE")]
    pub place: Option<PathBuf>,
    /// Measure the need here first: the rate, a burst of 1.5 times it, saturation
    #[arg(long)]
    pub verify: bool,
    /// Answer even where the need lies more than twice beyond what was measured
    #[arg(long)]
    pub extrapolate: bool,
    /// Sizes over time, `2026-03-01T12:00:00Z,12.5GiB` a line, to say when the disk is full
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// Probe the device under this directory: new or empty [default: a fresh one for temporary files]
    #[arg(long, value_name = "PATH")]
    pub probe_dir: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The trace: a new file
    #[arg(value_name = "TRACE")]
    pub file: PathBuf,
    /// Keep one in this many keys, with everything that happens to them
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub one_in: u32,
    /// Keep keys as they are; without it only a hash under a secret that is not stored
    #[arg(long)]
    pub raw_keys: bool,
    /// Stop recording at this size
    #[arg(long, default_value = "1GiB", value_name = "SIZE")]
    pub trace_max: Size,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub file: PathBuf,
    /// Factor on its times, or `max` for as fast as --clients can
    #[arg(long, default_value = "1", value_name = "2.0|max")]
    pub speed: Speed,
    /// Start with nothing stored, instead of every key that the trace finds
    #[arg(long)]
    pub empty: bool,
    /// Ask everything this many times, each on keys of its own: undoes the sampling of `record --one-in`
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub amp: u32,
    /// Leave out operations of this kind; repeatable
    #[arg(long, value_name = "OP")]
    pub skip: Vec<String>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// How fast a trace is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    Times(f64),
    Max,
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        match (text, text.parse::<f64>()) {
            ("max", _) => Ok(Speed::Max),
            (_, Ok(factor)) if factor > 0.0 && factor.is_finite() => Ok(Speed::Times(factor)),
            _ => Err(format!("`{text}` is not a speed: write 0.5, 2 or max")),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// What is in a trace
    Info(TraceFile),
    /// Make a trace of another format
    Convert(ConvertArgs),
    /// Print a suite that asks much the same by laws
    Fit(TraceFile),
    /// Hash the keys of a trace under a new secret that is not kept
    Anonymize(TwoTraces),
    /// Keep a stretch of time
    Slice(SliceArgs),
}

#[derive(Debug, Args)]
pub struct TraceFile {
    /// The trace
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct TwoTraces {
    /// The trace
    pub from_file: PathBuf,
    /// A new file
    pub to_file: PathBuf,
}

#[derive(Debug, Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub files: TwoTraces,
    /// The format of the first file
    #[arg(long, default_value = "twitter")]
    pub from: TraceFormat,
    /// Keep one in this many keys
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub one_in: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// time,key,key size,value size,client,operation,TTL
    Twitter,
    /// Columns named in the first line, key and op among them
    Cachebench,
    /// What YCSB's `basic` binding prints
    Ycsb,
}

#[derive(Debug, Args)]
pub struct SliceArgs {
    #[command(flatten)]
    pub files: TwoTraces,
    /// Since the start of the trace
    #[arg(long, default_value = "0", value_name = "1m")]
    pub from: Span,
    /// Since the start of the trace [default: its end]
    #[arg(long, value_name = "2m")]
    pub to: Option<Span>,
}

#[derive(Debug, Args)]
pub struct HdrArgs {
    /// Interval logs, by loadgen or by any tool of HdrHistogram
    #[arg(required = true, value_name = "FILE")]
    pub logs: Vec<PathBuf>,
    /// Only tags that match this glob; repeatable
    #[arg(long, value_name = "GLOB")]
    pub tag: Vec<String>,
    /// Write all intervals of all files into one log: a new file
    #[arg(long, value_name = "FILE")]
    pub merge: Option<PathBuf>,
}

/// Cores, as `0-3,6`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus(pub Vec<usize>);

impl std::str::FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Cpus, String> {
        let wrong = || format!("`{text}` is not a list of cores: write it as 0-3,6");
        let mut all = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
            let (from, to) = (number(from)?, number(to)?);
            if from > to || to > 4096 {
                return Err(wrong());
            }
            all.extend(from..=to);
        }
        Ok(Cpus(all))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlacementArg {
    /// Drivers on cores of their own
    Dedicated,
    /// Drivers on the target's cores
    Colocated,
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
    /// Async where the target can, else threads
    Auto,
    /// A thread for each client, which blocks
    Threads,
    /// Many operations in flight on few threads
    Async,
    /// Clients live on the target's shards (--max, or --clients without --think)
    Resident,
}

impl From<DriveArg> for Drive {
    fn from(drive: DriveArg) -> Drive {
        match drive {
            DriveArg::Auto => Drive::Auto,
            DriveArg::Threads => Drive::Threads,
            DriveArg::Async => Drive::Pipelined,
            DriveArg::Resident => Drive::Resident,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalArg {
    Poisson,
    Uniform,
    Bursty,
    Sine,
    /// Gaps with a long tail
    Pareto,
    /// As in --trace
    Trace,
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
    /// Warm-up of each phase that lasts a time: `auto` (until steady) or a time
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
    /// The trace of --arrival trace: its times, the workload's operations
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Factor on the times of a trace
    #[arg(long, default_value_t = 1.0, value_name = "2.0", requires = "trace")]
    pub trace_speed: f64,
    /// Who issues operations: few threads with many in flight, or a thread per client
    #[arg(long, default_value = "auto")]
    pub drive: DriveArg,
    /// Driver threads of pipelined streams [default: half the cores, at most 4]
    #[arg(long, value_name = "N")]
    pub drivers: Option<usize>,

    /// Cores that drivers and target may use
    #[arg(long, value_name = "0-3,6")]
    pub cpus: Option<Cpus>,
    /// Where drivers sit
    #[arg(long, default_value = "dedicated")]
    pub placement: PlacementArg,

    /// An objective such as 'read.p99 < 5ms'; repeatable; added to those of the suite
    #[arg(long, value_name = "OBJECTIVE")]
    pub slo: Vec<Slo>,
    /// Prove that every read returned the right bytes
    #[arg(long)]
    pub validate: bool,

    /// Directory for data: new or empty [default: a fresh one for temporary files]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Take the dataset that an earlier run with this flag left in --dir, if it is the same, and leave it again
    #[arg(long, requires = "dir")]
    pub reuse_dataset: bool,
    /// Print this saved run and the new one side by side at the end
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<PathBuf>,
    /// Exit 3 if a phase was not steady when its measurement began
    #[arg(long)]
    pub require_steady: bool,
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

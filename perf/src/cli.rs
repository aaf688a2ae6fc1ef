//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use ringkeep_bench::quantity::Size;

use crate::day::Day;
use crate::device::JobKind;

const BASELINE: &str = "perf/baselines/work.json";
const ACCEPTED: &str = "perf/accepted.toml";

/// Regression gates: counts that must not grow, times that are judged only where they can be
///
/// Exit codes: 0 pass, 2 usage, 3 regression, 4 undecided, 5 no baseline, 70 fault of perf or of what it measures.
#[derive(Debug, Parser)]
#[command(name = "perf", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure what the scenarios' work costs
    Run(RunArgs),
    /// Measure and judge, against the committed baseline or another binary
    Gate(GateArgs),
    /// Judge two saved runs
    Compare(CompareArgs),
    /// Make or show the baseline
    Baseline(BaselineArgs),
    /// Agree to the growth of one metric, for a while
    Accept(AcceptArgs),
    /// Measure how different this binary looks from itself here, and how often the gate would have been wrong
    Calibrate(CalibrateArgs),
    /// Keep runs and show what changed for good
    History(HistoryArgs),
    /// Find the commit that changed a metric
    Bisect(BisectArgs),
    /// Measure the device through the engine's own ring: reads by depth, durable writes, syncs
    Device(DeviceArgs),
    /// Do one scenario's work and print what it cost: what the other commands start
    Scenario(ScenarioArgs),
}

/// What is measured.
#[derive(Debug, Args)]
pub struct ScenariosArgs {
    /// A suite of perf/suites by its name, or a file like those; everything when absent
    #[arg(long, value_name = "NAME", conflicts_with = "filter")]
    pub suite: Option<String>,
    /// Scenarios whose name matches this glob; repeatable
    #[arg(long, value_name = "GLOB")]
    pub filter: Vec<String>,
    /// Count no instructions, which takes most of the time
    #[arg(long)]
    pub no_instructions: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The perf binary to measure [default: this one]
    #[arg(long, value_name = "BIN")]
    pub bin: Option<PathBuf>,
    #[command(flatten)]
    pub scenarios: ScenariosArgs,
    /// Measure CPU and real time as well: the median of so many runs, for histories and not for gates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub times: Option<u64>,
    /// Save the run
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GateArgs {
    /// The saved run to compare with
    #[arg(long, value_name = "FILE", default_value = BASELINE, conflicts_with = "base")]
    pub baseline: PathBuf,
    /// Compare with this perf binary, built from another commit with the same settings
    #[arg(long, value_name = "BIN")]
    pub base: Option<PathBuf>,
    /// The perf binary to judge [default: this one]
    #[arg(long, value_name = "BIN")]
    pub head: Option<PathBuf>,
    #[command(flatten)]
    pub scenarios: ScenariosArgs,
    /// Judge CPU and real time too, from so many pairs of runs of the two binaries; fixed beforehand [default: the suite's]
    #[arg(long, value_name = "N", requires = "base", value_parser = clap::value_parser!(u64).range(6..=1000))]
    pub pairs: Option<u64>,
    /// What `perf calibrate --out` found here
    #[arg(long, value_name = "FILE", requires = "base")]
    pub floors: Option<PathBuf>,
    /// Pretend that everything grew by this much: a gate that works turns red
    #[arg(long, value_name = "10%")]
    pub inject: Option<Percent>,
    /// Agreed growth
    #[arg(long, value_name = "FILE", default_value = ACCEPTED)]
    pub accepted: PathBuf,
    #[command(flatten)]
    pub outputs: OutputArgs,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A saved run
    pub base: PathBuf,
    /// Another one
    pub head: PathBuf,
    #[command(flatten)]
    pub outputs: OutputArgs,
}

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Exit with 4 if anything could not be decided
    #[arg(long)]
    pub strict: bool,
    /// Show metrics that pass as well
    #[arg(long)]
    pub all: bool,
    /// Write Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    pub md: Option<PathBuf>,
    /// Write JUnit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BaselineArgs {
    #[command(subcommand)]
    pub command: BaselineCommand,
}

#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Make a saved run, or a new one, the baseline
    Export {
        /// A saved run [default: measure now]
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// The baseline
        #[arg(long, value_name = "FILE", default_value = BASELINE)]
        to: PathBuf,
        /// Agreed growth
        #[arg(long, value_name = "FILE", default_value = ACCEPTED)]
        accepted: PathBuf,
    },
    /// Take out what is measured no more, so that the gate no longer asks where it is
    Prune {
        /// The baseline
        #[arg(long, value_name = "FILE", default_value = BASELINE)]
        file: PathBuf,
        /// A saved run of everything that there is [default: measure now]
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Show the baseline
    List {
        /// The baseline
        #[arg(long, value_name = "FILE", default_value = BASELINE)]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// As reports name it: put/allocations
    pub metric: String,
    /// Why the growth is worth it
    #[arg(long)]
    pub reason: String,
    /// The last day on which it is accepted
    #[arg(long, value_name = "2027-01-31")]
    pub until: Day,
    /// The largest growth over the baseline that is accepted
    #[arg(long, value_name = "PERCENT", default_value = "10%")]
    pub up_to: Percent,
    /// Where agreements are kept
    #[arg(long, value_name = "FILE", default_value = ACCEPTED)]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// How often
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1000))]
    pub repeat: u64,
    /// Pairs of runs each time; as many as the gate will make
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u64).range(6..=1000))]
    pub pairs: u64,
    /// Judge so many runs more with times drawn for machines of several kinds
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub simulated: u64,
    #[command(flatten)]
    pub scenarios: ScenariosArgs,
    /// Save the noise that was found, for `perf gate --floors`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the table of false alarms as Markdown
    #[arg(long, value_name = "FILE")]
    pub md: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The history: one run a line
    pub file: PathBuf,
    /// Add this saved run first
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
    /// What to call it, usually a commit
    #[arg(long, requires = "append")]
    pub label: Option<String>,
    /// Write a page with a plot of each metric
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BisectArgs {
    /// As reports name it: put/allocations; counts are compared exactly, times in pairs
    pub metric: String,
    /// A commit before the change
    pub good: String,
    /// One after it
    #[arg(default_value = "HEAD")]
    pub bad: String,
    /// The repository
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub repository: PathBuf,
    /// What builds a commit, run by a shell in a work tree of its own; commits that it fails on are skipped
    #[arg(
        long,
        value_name = "COMMAND",
        default_value = "cargo build --release --locked --bin perf"
    )]
    pub build: String,
    /// What the build leaves, relative to the work tree
    #[arg(long, value_name = "PATH", default_value = "target/release/perf")]
    pub binary: PathBuf,
    /// Pairs of runs for each commit, for times
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(6..=1000))]
    pub pairs: u64,
    /// Where to build: new or empty [default: a fresh directory for temporary files]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
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
    /// Measure only this; repeatable
    #[arg(long, value_enum, value_name = "KIND")]
    pub only: Vec<JobKind>,
    /// Run fio with the same settings and print both
    #[arg(long)]
    pub against_fio: bool,
    /// So often both take turns at each load
    #[arg(long, default_value_t = 5, value_name = "N", requires = "against_fio", value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub rounds: u32,
    /// Write the numbers here; `-` for standard output in place of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A share, written `10%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Percent, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        match number.parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent.is_finite() => Ok(Percent(percent / 100.0)),
            _ => Err(format!(
                "`{text}` is not a percentage above zero; write 10%"
            )),
        }
    }
}

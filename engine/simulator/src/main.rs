//! The simulator's command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use ringkeep_simulator::plan::Plan;
use ringkeep_simulator::search::{Search, search};
use ringkeep_simulator::sweep::sweep;
use ringkeep_simulator::{Failure, Totals, corpus, draw, run, shrink, tails};

/// Runs the whole database from seeds on a simulated disk, and says where it breaks a promise.
#[derive(Parser)]
#[command(name = "ringkeep-simulator", version)]
struct Arguments {
    /// Replay one seed
    #[arg(long)]
    seed: Option<u64>,
    /// Plant a mistake of this name in a replay
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Replay a saved plan
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    plan: Option<PathBuf>,
    /// Tell everything that happens in a replay
    #[arg(long, short)]
    verbose: bool,
    /// Make a failing replay shorter
    #[arg(long)]
    shrink: bool,
    /// Keep the shortened plan in this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Draw plans of transactions over lists and little else
    #[arg(long)]
    histories: bool,
    /// Draw plans of processes that are killed behind answers that the log does not have yet
    #[arg(long, global = true, conflicts_with = "histories")]
    tails: bool,
    /// Run so many seeds
    #[arg(long, value_name = "COUNT")]
    seeds: Option<u64>,
    /// Run for so long: 90, 90s, 10m, 2h
    #[arg(long, value_parser = duration)]
    budget: Option<Duration>,
    /// Cut and fail every operation of the canonical traces
    #[arg(long)]
    every_operation: bool,
    /// Of these operations only every so many-th
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    stride: u64,
    /// And only where this is in the name of the trace or of what goes wrong
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The first of many seeds; by the time of day when absent
    #[arg(long)]
    from: Option<u64>,
    /// Threads; one for each core when absent
    #[arg(long, short, global = true)]
    jobs: Option<usize>,
    /// Run the corpus of past failures first
    #[arg(long)]
    corpus: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Plant every known mistake in turn and say which check finds it after how many seeds
    #[cfg(feature = "planted")]
    Alarms {
        /// Seeds for each
        #[arg(long, default_value_t = 20_000)]
        seeds: u64,
        /// Only mistakes whose name has this in it
        #[arg(long)]
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is a failure like others: told once, with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let jobs = arguments
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    match &arguments.command {
        None => {}
        #[cfg(feature = "planted")]
        Some(Command::Alarms { seeds, filter }) => {
            return code(ringkeep_simulator::alarms::run(
                arguments.draw(),
                *seeds,
                jobs,
                filter.as_deref(),
            ));
        }
        #[cfg(not(feature = "planted"))]
        Some(_) => {}
    }
    #[cfg(feature = "planted")]
    if let Some(name) = &arguments.plant
        && !ringkeep_simulator::alarms::plant_by_name(name)
    {
        eprintln!("no mistake is called {name}: `alarms` lists them");
        return ExitCode::from(2);
    }
    let replay = match (arguments.seed, &arguments.plan) {
        (Some(seed), _) => Some(arguments.draw()(seed)),
        (None, Some(path)) => match read_plan(path) {
            Ok(plan) => Some(plan),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::from(2);
            }
        },
        (None, None) => None,
    };
    if let Some(plan) = replay {
        return code(replay_plan(&plan, &arguments));
    }
    let mut good = true;
    if arguments.corpus {
        good &= run_corpus();
    }
    if arguments.every_operation {
        good &= run_every_operation(&arguments, jobs);
    }
    let more = !arguments.corpus && !arguments.every_operation;
    if arguments.seeds.is_some() || arguments.budget.is_some() || more {
        good &= run_many(&arguments, jobs);
    }
    code(good)
}

impl Arguments {
    /// What a seed stands for.
    fn draw(&self) -> fn(u64) -> Plan {
        match (self.histories, self.tails) {
            (true, _) => draw::histories,
            (_, true) => tails::plan,
            _ => draw::plan,
        }
    }

    /// How to ask for that.
    fn profile(&self) -> &'static str {
        match (self.histories, self.tails) {
            (true, _) => " --histories",
            (_, true) => " --tails",
            _ => "",
        }
    }
}

fn code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_many(arguments: &Arguments, jobs: usize) -> bool {
    let budget = match (arguments.budget, arguments.seeds) {
        (None, None) => Some(Duration::from_secs(10)),
        (budget, _) => budget,
    };
    let from = arguments.from.unwrap_or_else(new_seed);
    println!("seeds from {from} on {jobs} threads");
    let bounds = Search {
        draw: arguments.draw(),
        from,
        seeds: arguments.seeds.unwrap_or(u64::MAX),
        budget,
        jobs,
        failures_max: 5,
    };
    let found = search(&bounds, |totals, took| {
        println!(
            "{:>5} s: {} seeds, {} crash-recoveries, {:.0} a second",
            took.as_secs(),
            totals.runs,
            totals.recoveries,
            totals.rate(took)
        );
    });
    report(&found.totals, found.took, jobs);
    let profile = arguments.profile();
    for (seed, failure) in &found.failures {
        let again = format!("cargo run --release -p ringkeep-simulator --{profile} --seed {seed}");
        println!(
            "\nseed {seed} failed: {failure}\nreplay it: {again} --verbose\nshorten it: {again} --shrink"
        );
    }
    found.failures.is_empty()
}

fn report(totals: &Totals, took: Duration, jobs: usize) {
    println!("{totals}");
    let line = |what: &str, count: f64| println!("{what:<44}{count:>14.0}");
    line(
        &format!("crash-recoveries a second, {jobs} threads"),
        totals.rate(took),
    );
    // On a machine that others use as well these are the numbers to compare.
    if let Some(used) = processor_time() {
        line("and a second of processor time", totals.rate(used));
        line("seconds simulated in one of these", totals.speed(used));
        line("transactions judged in one", totals.judged_rate(used));
    }
}

fn run_corpus() -> bool {
    let plans = corpus::plans();
    println!("{} past failures", plans.len());
    let mut good = true;
    for (name, plan) in plans {
        if let Err(failure) = run(&plan, None).verdict {
            println!("{name} failed again: {failure}");
            good = false;
        }
    }
    good
}

fn run_every_operation(arguments: &Arguments, jobs: usize) -> bool {
    let began = Instant::now();
    let swept = sweep(
        arguments.stride,
        arguments.from.unwrap_or(0),
        &arguments.only,
        jobs,
    );
    println!(
        "{:<44}{:>10}{:>12}{:>10}",
        "", "places", "recoveries", "seconds"
    );
    let (mut points, mut recoveries) = (0, 0);
    for (name, swept) in &swept {
        let count = swept.totals.recoveries;
        let took = swept.took.as_secs_f64();
        println!("{name:<44}{:>10}{count:>12}{took:>10.1}", swept.points);
        points += swept.points;
        recoveries += count;
    }
    let took = began.elapsed().as_secs_f64();
    println!("{:<44}{points:>10}{recoveries:>12}{took:>10.1}", "in all");
    let failures: Vec<_> = swept.values().flat_map(|swept| &swept.failures).collect();
    for (name, _, failure) in failures.iter().take(5) {
        println!("\n{name} failed: {failure}");
    }
    let Some((name, plan, _)) = failures.first() else {
        return true;
    };
    match &arguments.save {
        Some(path) => keep(plan, path),
        None => println!("\n--save FILE keeps the plan of: {name}"),
    }
    false
}

fn replay_plan(plan: &Plan, arguments: &Arguments) -> bool {
    let tell: Option<fn(&str)> = match arguments.verbose && !arguments.shrink {
        true => Some(|line| println!("{line}")),
        false => None,
    };
    println!(
        "{:?}\n{} lives, {} steps",
        plan.setting,
        plan.lives.len(),
        plan.steps()
    );
    let done = run(plan, tell);
    let failure = match done.verdict {
        Ok(()) => {
            println!("{}\nnothing failed; hash {:016x}", done.totals, done.hash);
            return true;
        }
        Err(failure) => failure,
    };
    println!("failed: {failure}");
    if arguments.shrink {
        tell_shorter(plan, &failure, arguments);
    }
    false
}

fn tell_shorter(plan: &Plan, failure: &Failure, arguments: &Arguments) {
    let (shorter, failure) = shrink::shrink(plan, failure, 3000);
    println!(
        "\n{} lives and {} steps are enough:",
        shorter.lives.len(),
        shorter.steps()
    );
    let tell: Option<fn(&str)> = match arguments.verbose {
        true => Some(|line| println!("{line}")),
        false => None,
    };
    if tell.is_none() {
        for life in &shorter.lives {
            println!("life, opening cut at {:?}", life.cuts_while_opening);
            life.steps.iter().for_each(|step| println!("  {step}"));
            println!("  {:?}", life.end);
        }
    }
    drop(run(&shorter, tell));
    println!("failed: {failure}");
    if let Some(path) = &arguments.save {
        keep(&shorter, path);
    }
}

fn keep(plan: &Plan, path: &Path) {
    let text = serde_json::to_string(plan).expect("a plan is data");
    match std::fs::write(path, text + "\n") {
        Ok(()) => println!("kept in {0}; replay it with --plan {0}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
}

fn read_plan(path: &PathBuf) -> Result<Plan, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Time that all threads have worked so far.
fn processor_time() -> Option<Duration> {
    // User and system time are the 14th and 15th field, in hundredths; the second may hold blanks.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (next()? + next()?)))
}

/// A seed that nobody has run before.
fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_micros() as u64)
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        other => return Err(format!("{other} is no unit: use s, m or h")),
    };
    let count: u64 = digits
        .parse()
        .map_err(|_| format!("{digits} is no number"))?;
    Ok(Duration::from_secs(count * unit))
}

//! `docs/benchmarks.md`: a saved run of the suite `peers`, each row against the best peer.
//!
//! Nothing on the page is typed by hand: the rows and what they should reach are in `rows`, all numbers come
//! from the run. A row counts as won or lost only if the whole interval of its ratio lies on one side of 1.

mod rows;

use std::fmt::Write;

use ringkeep_bench::quantity::short;
use ringkeep_bench::report::table::{Table, environment_line};
use ringkeep_bench::report::{Metric, Ratio, Report, WorkloadRecord, paired_ratio};
use ringkeep_bench::statistics::median;

use crate::exit::Fault;
use crate::targets;
use rows::{ABSENT, Reach, Row, SECTIONS};

/// Fewer than three rounds had enough operations for this number.
const TOO_LITTLE: &str = "too few samples";

/// The target that the page is about.
const OURS: &str = "ringkeep";

/// The page; a fault if the run has nothing to put on it.
pub fn page(report: &Report) -> Result<String, Fault> {
    let peers = peers(report);
    let judged: Vec<(&str, Vec<Judged>)> = SECTIONS
        .iter()
        .map(|section| {
            let rows = section.rows.iter().map(|row| judge(row, report, &peers));
            (section.heading, rows.collect())
        })
        .collect();
    let measured = judged
        .iter()
        .flat_map(|(_, rows)| rows)
        .filter(|row| row.ours.is_some());
    if measured.count() == 0 || peers.is_empty() {
        return Err(Fault::usage(format!(
            "this run has no comparison of {OURS} with a peer; make one with\n  \
             loadgen run --suite peers --size s --repeat 3 --target {OURS},lmdb,fjall,redb --out DIR"
        )));
    }
    let mut text = head(report, &judged);
    for (heading, rows) in &judged {
        let _ = writeln!(text, "## {heading}\n\n{}", table(rows, &peers).markdown());
    }
    text.push_str(&not_reached(&judged, &peers));
    text.push_str(&options(report, &peers));
    Ok(text)
}

/// The peers of the run by name.
fn peers(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = report
        .results
        .iter()
        .map(|result| result.target.name.clone())
        .filter(|name| name != OURS)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// A row with what was found.
struct Judged {
    row: &'static Row,
    ours: Option<f64>,
    /// One for each peer.
    theirs: Vec<Option<f64>>,
    best: Option<usize>,
    ratio: Option<Ratio>,
}

fn judge(row: &'static Row, report: &Report, peers: &[String]) -> Judged {
    let ours = rounds(row, report, OURS);
    let all: Vec<Vec<(u32, f64)>> = peers.iter().map(|peer| rounds(row, report, peer)).collect();
    let middle = |rounds: &[(u32, f64)]| {
        let values: Vec<f64> = rounds.iter().map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| median(&values))
    };
    let theirs: Vec<Option<f64>> = all.iter().map(|rounds| middle(rounds)).collect();
    let better = |a: f64, b: f64| match row.metric.higher_is_better() {
        true => a > b,
        false => a < b,
    };
    let mut best: Option<usize> = None;
    for (i, value) in theirs.iter().enumerate() {
        let (Some(value), false) = (value, row.apart.contains(&peers[i].as_str())) else {
            continue;
        };
        if best.is_none_or(|b| better(*value, theirs[b].expect("only measured ones are best"))) {
            best = Some(i);
        }
    }
    let ratio = best.and_then(|best| {
        let pairs: Vec<(f64, f64)> = ours
            .iter()
            .filter_map(|(round, value)| {
                let other = all[best].iter().find(|(other, _)| other == round)?;
                Some((other.1, *value))
            })
            .collect();
        paired_ratio(&pairs)
    });
    Judged {
        row,
        ours: middle(&ours),
        theirs,
        best,
        ratio,
    }
}

fn rounds(row: &Row, report: &Report, target: &str) -> Vec<(u32, f64)> {
    let wanted = |result: &&WorkloadRecord| {
        result.target.name == target && result.workload.name == row.workload
    };
    report
        .results
        .iter()
        .filter(wanted)
        .filter_map(|result| Some((result.repetition, row.metric.of(result)?)))
        .collect()
}

impl Judged {
    fn verdict(&self) -> &'static str {
        let Some(ratio) = self.ratio else {
            return match (self.ours, self.best) {
                (Some(_), Some(_)) => TOO_LITTLE,
                _ => "not measured",
            };
        };
        let (above, below) = (ratio.lo > 1.0, ratio.hi < 1.0);
        match (self.row.metric.higher_is_better(), above, below) {
            (true, true, _) | (false, _, true) => "won",
            (true, _, true) | (false, true, _) => "**lost**",
            _ => "even",
        }
    }

    fn reached(&self) -> Option<bool> {
        let ratio = self.ratio.map(|ratio| ratio.ratio);
        match self.row.reach {
            Reach::Times(times) => ratio.map(|ratio| ratio >= times),
            Reach::Share(share) => ratio.map(|ratio| ratio <= share),
            Reach::AtLeast(value) => self.ours.map(|ours| ours >= value),
            Reach::AtMost(value) => self.ours.map(|ours| ours <= value),
            Reach::Nothing => None,
        }
    }

    fn reach_text(&self) -> String {
        let metric: Metric = self.row.metric;
        match self.row.reach {
            Reach::Times(times) => format!(">= {}x", short(times)),
            Reach::Share(share) => format!("<= {}x", short(share)),
            Reach::AtLeast(value) => format!(">= {}", metric.show(value)),
            Reach::AtMost(value) => format!("<= {}", metric.show(value)),
            Reach::Nothing => "-".to_string(),
        }
    }
}

fn table(rows: &[Judged], peers: &[String]) -> Table {
    let mut titles = vec!["row".to_string(), OURS.to_string()];
    titles.extend(peers.iter().cloned());
    titles.extend(["ratio", "interval", "verdict", "to reach", ""].map(str::to_string));
    let mut table = Table::titled(titles);
    for judged in rows {
        let show = |value: Option<f64>| {
            value.map_or("-".to_string(), |value| judged.row.metric.show(value))
        };
        let mut cells = vec![judged.row.title.to_string(), show(judged.ours)];
        for (i, peer) in peers.iter().enumerate() {
            let text = show(judged.theirs[i]);
            cells.push(
                match (
                    judged.row.apart.contains(&peer.as_str()),
                    judged.best == Some(i),
                ) {
                    (true, _) => format!("({text})"),
                    (_, true) => format!("**{text}**"),
                    _ => text,
                },
            );
        }
        match judged.ratio {
            Some(ratio) => {
                cells.push(format!("{}x", short(ratio.ratio)));
                cells.push(format!("{} to {}", short(ratio.lo), short(ratio.hi)));
            }
            None => cells.extend(["-".to_string(), "-".to_string()]),
        }
        cells.push(judged.verdict().to_string());
        cells.push(judged.reach_text());
        cells.push(match judged.reached() {
            Some(true) => "reached".to_string(),
            Some(false) => "not reached".to_string(),
            None => String::new(),
        });
        table.row(cells);
    }
    table
}

/// What neighbours do to a comparison.
const SHARED: &str = ": the machine was shared. Turns spread what others took over all targets, but its harm is uneven: an \
    engine with a thread of its own waits for the scheduler at each end of a call, one that works on its caller's \
    thread does not. Repeat the run on a quiet machine before you believe a row";

/// Over all phases together: one that a neighbour disturbed is not the run. Older reports do not know.
fn others_share(report: &Report) -> Option<f64> {
    let costs = || report.phases().map(|(_, phase)| &phase.cost);
    let cores_ns: u64 = costs().map(|cost| cost.cores_ns).sum();
    let others_ns: u64 = costs().map(|cost| cost.others_cpu_ns).sum();
    (cores_ns > 0).then(|| others_ns as f64 / cores_ns as f64)
}

fn head(report: &Report, judged: &[(&str, Vec<Judged>)]) -> String {
    let rows = || judged.iter().flat_map(|(_, rows)| rows);
    let count = |verdict: &str| rows().filter(|row| row.verdict() == verdict).count();
    let asked = rows().filter(|row| row.reached().is_some()).count();
    let reached = rows().filter(|row| row.reached() == Some(true)).count();
    let rounds = report
        .results
        .iter()
        .map(|result| result.repetition + 1)
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "# Benchmarks\n\n\
         Of {} rows against the best peer of each: {} won, {} even, {} lost, {} undecided. Of {asked} rows with a \
         goal, {reached} reach it.\n\n\
         - Run: `loadgen {}`, {}, {rounds} rounds\n\
         - Page: `loadgen report --format benchmarks DIR`",
        rows().count(),
        count("won"),
        count("even"),
        count("**lost**"),
        count("not measured") + count(TOO_LITTLE),
        command(report),
        report.run.started,
    );
    for line in environment_line(report).lines() {
        let _ = writeln!(text, "- {line}");
    }
    let _ = match others_share(report) {
        None => {
            let load = report.environment.load_average_centi as f64 / 100.0;
            let busy = load > 0.5 * report.environment.cores as f64;
            let shared = if busy { SHARED } else { "" };
            writeln!(text, "- Load average before the run {load:.2}{shared}")
        }
        Some(share) => writeln!(
            text,
            "- Other processes took {:.0} % of the cores while it ran{}",
            share * 100.0,
            if share < 0.1 { "" } else { SHARED }
        ),
    };
    text.push_str(
        "\nEvery number is the median over the rounds; callers, engine and generator share the cores. In each round every \
         target has one turn, in an order drawn anew. The ratio is ours over the best peer's (bold) in the same \
         round, its interval is drawn over the rounds; with fewer than six rounds that is their whole range. A row \
         is won or lost if the whole interval says so, for times and bytes a smaller ratio is better. Durable means \
         on the device before the answer, for all. A number in brackets is shown and not compared: LMDB's cache is \
         the kernel's, which cannot be held to a budget.\n\n",
    );
    text
}

/// The arguments of the run, without where its files went on that machine.
fn command(report: &Report) -> String {
    let mut words = Vec::new();
    let mut rest = report.run.command.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--out" | "--dir" | "--format" => {
                rest.next();
            }
            _ => words.push(word.as_str()),
        }
    }
    words.push("--out DIR");
    words.join(" ")
}

fn not_reached(judged: &[(&str, Vec<Judged>)], peers: &[String]) -> String {
    let mut text = "## Not reached\n\n".to_string();
    for (heading, rows) in judged {
        for row in rows.iter().filter(|row| row.reached() == Some(false)) {
            let ratio = row.ratio.map_or("no ratio".to_string(), |ratio| {
                format!("{}x the best peer", short(ratio.ratio))
            });
            let _ = writeln!(
                text,
                "- {heading}, {}: {ratio}, {} ({})",
                row.row.title,
                row.ours
                    .map_or("-".to_string(), |ours| row.row.metric.show(ours)),
                row.reach_text(),
            );
        }
    }
    text.push_str("\nNot on this page:\n\n");
    for absent in ABSENT {
        let _ = writeln!(text, "- {absent}");
    }
    for (peer, _) in targets::PEERS {
        if !peers.iter().any(|name| name == peer) {
            let _ = writeln!(
                text,
                "- {peer}, which has a target here and was not in this run"
            );
        }
    }
    text.push('\n');
    text
}

/// What each target was opened with; where data exceeds memory, only what differs.
fn options(report: &Report, peers: &[String]) -> String {
    let mut text = "## Options\n\n".to_string();
    for name in std::iter::once(OURS).chain(peers.iter().map(String::as_str)) {
        let of = |large: bool| {
            report.results.iter().find(|result| {
                result.target.name == name
                    && (result.workload.cache_share < 1.0) == large
                    && !result.target.options.is_empty()
            })
        };
        let list = |options: &[(String, String)]| -> String {
            let words: Vec<String> = options.iter().map(|(k, v)| format!("{k} {v}")).collect();
            words.join("; ")
        };
        let Some(cached) = of(false) else { continue };
        let _ = writeln!(text, "- **{name}**: {}", list(&cached.target.options));
        if let Some(large) = of(true) {
            let differs: Vec<(String, String)> = large
                .target
                .options
                .iter()
                .filter(|option| !cached.target.options.contains(option))
                .cloned()
                .collect();
            let _ = writeln!(text, "  - data ten times the memory: {}", list(&differs));
        }
    }
    text
}

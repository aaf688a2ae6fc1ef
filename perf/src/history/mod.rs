//! `perf history`: one run a line, oldest first, and where something changed for good.

mod page;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use ringkeep_bench::report::table::Table;
use serde::{Deserialize, Serialize};

use crate::cli::HistoryArgs;
use crate::exit::{Code, Fault};
use crate::metric::{Class, class, threshold};
use crate::report::{Report, load, write};
use crate::statistics::{ChangePoint, change_points};

/// Times change for good where shuffling the series gives as good a cut this rarely.
const SIGNIFICANCE: f64 = 0.01;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Usually the commit.
    label: String,
    report: Report,
}

/// One metric over all runs that have it.
struct Series {
    metric: String,
    labels: Vec<String>,
    values: Vec<f64>,
    changes: Vec<ChangePoint>,
}

/// Runs the command.
pub fn history(arguments: &HistoryArgs) -> Result<Code, Fault> {
    if let Some(run) = &arguments.append {
        let label = arguments.label.clone().unwrap_or_else(|| "?".to_owned());
        append(&arguments.file, label, load(run)?)?;
    }
    let series = series(&read(&arguments.file)?);
    let mut table = Table::new(["metric", "at", "before", "after", "change"]);
    for one in &series {
        for point in &one.changes {
            table.row(vec![
                one.metric.clone(),
                one.labels[point.index].clone(),
                page::amount(&one.metric, point.before),
                page::amount(&one.metric, point.after),
                match point.before {
                    0.0 => "from nothing".to_owned(),
                    before => format!("{:+.1} %", (point.after / before - 1.0) * 100.0),
                },
            ]);
        }
    }
    match table.cells().len() {
        1 => println!("{} metrics, no change", series.len()),
        _ => print!("{}", table.text("")),
    }
    if series
        .iter()
        .any(|one| !one.changes.is_empty() && !is_counted(&one.metric))
    {
        println!(
            "note: times may have changed with the machine; `perf bisect METRIC GOOD BAD` asks again, side by side"
        );
    }
    if let Some(path) = &arguments.html {
        write(path, &page::page(&series))?;
    }
    Ok(Code::Pass)
}

/// Not a time.
fn is_counted(metric: &str) -> bool {
    let name = metric.split_once('/').map_or(metric, |(_, name)| name);
    class(name) == Class::Work
}

/// One line at the end, so that files of two branches merge.
fn append(path: &Path, label: String, report: Report) -> Result<(), Fault> {
    let cannot = |error: std::io::Error| {
        Fault::usage(format!("cannot append to {}: {error}", path.display()))
    };
    let line = serde_json::to_string(&Entry { label, report }).map_err(Fault::internal)? + "\n";
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(cannot)?;
    file.write_all(line.as_bytes()).map_err(cannot)
}

fn read(path: &Path) -> Result<Vec<Entry>, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::usage(format!("cannot read {}: {error}", path.display())))?;
    text.lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| {
                Fault::usage(format!("{} line {}: {error}", path.display(), i + 1))
            })
        })
        .collect()
}

/// A scenario whose work changed starts anew: its numbers before are those of something else.
fn series(entries: &[Entry]) -> Vec<Series> {
    let mut found: Vec<Series> = Vec::new();
    let Some(newest) = entries.last() else {
        return found;
    };
    for (scenario, now) in &newest.report.scenarios {
        let same_work = entries.iter().filter_map(|entry| {
            let then = entry.report.scenarios.get(scenario)?;
            (then.workload == now.workload).then_some((&entry.label, then))
        });
        let same_work: Vec<_> = same_work.collect();
        for metric in now.metrics.keys() {
            let points = same_work.iter().filter_map(|(label, then)| {
                Some(((*label).clone(), then.metrics.get(metric)?.value()))
            });
            let (labels, values): (Vec<String>, Vec<f64>) = points.unzip();
            found.push(Series {
                changes: changes(metric, &values),
                metric: format!("{scenario}/{metric}"),
                labels,
                values,
            });
        }
    }
    found
}

/// Counts change where they change; times where statistics say so.
fn changes(metric: &str, values: &[f64]) -> Vec<ChangePoint> {
    let least = threshold(metric);
    if class(metric) != Class::Work {
        return change_points(values, SIGNIFICANCE, least);
    }
    let pairs = values.windows(2).enumerate();
    pairs
        .filter(|(_, pair)| (pair[1] - pair[0]).abs() > least * pair[0])
        .map(|(i, pair)| ChangePoint {
            index: i + 1,
            before: pair[0],
            after: pair[1],
        })
        .collect()
}

//! `perf baseline`: what the gate compares with, made, shown and rid of what is gone.

use std::path::Path;

use crate::accepted::AcceptedFile;
use crate::cli::{BaselineArgs, BaselineCommand};
use crate::command::{Sides, comparison};
use crate::exit::{Code, Fault};
use crate::filter::Filter;
use crate::gate::{Against, Why, compare};
use crate::measure::{self, Subject};
use crate::metric::INSTRUCTIONS;
use crate::report::{Report, load, matrix, save};

/// Runs the command.
pub fn baseline(arguments: &BaselineArgs) -> Result<Code, Fault> {
    match &arguments.command {
        BaselineCommand::List { file } => {
            let report = load(file)?;
            print!("{}", matrix(&report).text(""));
            match &report.instruments {
                Ok(with) => println!(
                    "instructions: {}, {}, {}, {}",
                    with.toolchain.rustc, with.toolchain.target, with.libc, with.valgrind
                ),
                Err(why) => println!("note: {why}"),
            }
            Ok(Code::Pass)
        }
        BaselineCommand::Export { from, to, accepted } => {
            let report = match from {
                Some(path) => load(path)?,
                None => measure::work(&Subject::at(None)?, &Filter::new(&[])?, true)?,
            };
            refuse_to_bless(&report, to, accepted)?;
            save(&report, to)?;
            println!("{} scenarios in {}", report.scenarios.len(), to.display());
            Ok(Code::Pass)
        }
        BaselineCommand::Prune { file, from } => {
            let mut baseline = load(file)?;
            let run = match from {
                Some(path) => load(path)?,
                None => measure::work(&Subject::at(None)?, &Filter::new(&[])?, false)?,
            };
            let gone = prune(&mut baseline, &run);
            if baseline.scenarios.is_empty() {
                return Err(Fault::usage(
                    "nothing in the baseline was measured in this run; is it a baseline of something else?",
                ));
            }
            for name in &gone {
                println!("removed {name}");
            }
            if !gone.is_empty() {
                save(&baseline, file)?;
            }
            println!("{} removed from {}", gone.len(), file.display());
            Ok(Code::Pass)
        }
    }
}

/// A run that the gate would stop does not become what the next one is measured by.
fn refuse_to_bless(report: &Report, to: &Path, accepted: &Path) -> Result<(), Fault> {
    if !to.exists() {
        return Ok(());
    }
    let rows = compare(&load(to)?, report, &Filter::new(&[])?, Against::Binary);
    let sides = Sides {
        base: String::new(),
        head: String::new(),
        rows,
    };
    let comparison = comparison(sides, &AcceptedFile::load(accepted)?, false);
    // Or the baseline would be of a part, and the rest without one.
    let lost = comparison.rows.iter().find(|row| {
        let lost = |why: &Why| matches!(why, Why::Vanished | Why::NotMeasured(_));
        row.head.is_none() && row.why.as_ref().is_some_and(lost)
    });
    if let Some(row) = lost {
        return Err(Fault::usage(format!(
            "this run has no {}, and {} does; measure everything, instructions as well, or `perf baseline prune` what is gone",
            row.metric,
            to.display()
        )));
    }
    let worse: Vec<String> = comparison
        .regressions()
        .map(|row| row.metric.clone())
        .collect();
    match worse.is_empty() {
        true => Ok(()),
        false => Err(Fault::new(
            Code::Regression,
            format!(
                "worse than the baseline and so not a baseline: {}; `perf accept` what is worth it first",
                worse.join(", ")
            ),
        )),
    }
}

/// Takes out what a run no longer measures, and names it. No number changes.
fn prune(baseline: &mut Report, run: &Report) -> Vec<String> {
    let mut gone = Vec::new();
    baseline.scenarios.retain(|name, was| {
        let Some(is) = run.scenarios.get(name) else {
            gone.push(name.clone());
            return false;
        };
        was.metrics.retain(|metric, _| {
            // A run without Valgrind says nothing about instructions.
            let uncounted = metric == INSTRUCTIONS && run.instruments.is_err();
            let stays = uncounted || is.metrics.contains_key(metric);
            if !stays {
                gone.push(format!("{name}/{metric}"));
            }
            stays
        });
        true
    });
    gone
}

//! The alarm test: every mistake of [`Defect`] is planted in turn, and seeds run until a check fails. A
//! mistake that no check finds is a hole in the checks.

use std::time::Duration;

use ringkeep_io::planted::{Defect, plant};

use crate::plan::Plan;
use crate::search::{Search, search};

/// Seeds begin here, so that the table can be made again.
const FROM: u64 = 1_000_000;

/// Plants every mistake whose name has `filter` in it, and prints a table in Markdown. True when all were
/// found.
pub fn run(draw: fn(u64) -> Plan, seeds: u64, jobs: usize, filter: Option<&str>) -> bool {
    let chosen = |defect: &&Defect| filter.is_none_or(|part| name(**defect).contains(part));
    let mut missed = 0;
    println!("| planted | what it does | found by | after seeds | crash-recoveries | time |");
    println!("|---|---|---|---:|---:|---:|");
    for &defect in Defect::ALL.iter().filter(chosen) {
        plant(Some(defect));
        let bounds = Search {
            draw,
            from: FROM,
            seeds,
            budget: Some(Duration::from_secs(600)),
            jobs,
            failures_max: 1,
        };
        let found = search(&bounds, |_, _| {});
        plant(None);
        let (check, after) = match found.failures.first() {
            Some((seed, failure)) => (failure.check.name(), (seed - FROM + 1).to_string()),
            None => {
                missed += 1;
                ("**nothing**".into(), format!("{}+", found.totals.runs))
            }
        };
        println!(
            "| {} | {} | {check} | {after} | {} | {:.1} s |",
            name(defect),
            defect.story(),
            found.totals.recoveries,
            found.took.as_secs_f64()
        );
    }
    match missed {
        0 => println!("\nall were found"),
        count => println!("\n{count} were not found"),
    }
    missed == 0
}

/// Plants one mistake for the rest of the program; false when there is none of this name.
pub fn plant_by_name(wanted: &str) -> bool {
    let defect = Defect::ALL.iter().find(|defect| name(**defect) == wanted);
    plant(defect.copied());
    defect.is_some()
}

/// As words: `LogFreedEarly` is `log freed early`.
fn name(defect: Defect) -> String {
    let mut name = String::new();
    for letter in format!("{defect:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push(' ');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

//! `loadgen show`, `report` and `compare`: work on saved runs only.

use std::path::Path;

use ringkeep_bench::report::{Report, WorkloadRecord, compare, table};

use crate::cli::{CompareArgs, Format, ReportArgs, ShowArgs};
use crate::exit::{Code, Fault};
use crate::outputs::{Outputs, print};

/// Prints a saved report.
pub fn show(arguments: &ShowArgs) -> Result<Code, Fault> {
    print(&table::report_text(&read(&arguments.run)?))?;
    Ok(Code::Done)
}

/// Renders a saved report again.
pub fn report(arguments: &ReportArgs) -> Result<Code, Fault> {
    let report = read(&arguments.run)?;
    let formats = match arguments.format.as_slice() {
        // The interval log needs what only the run itself had.
        [] if arguments.out.is_some() => vec![Format::Html, Format::Csv, Format::Md, Format::Junit],
        formats => formats.to_vec(),
    };
    Outputs::new(&formats, arguments.out.as_deref())?.write(&report, None)?;
    Ok(Code::Done)
}

/// Puts two saved reports side by side.
pub fn compare_runs(arguments: &CompareArgs) -> Result<Code, Fault> {
    let (first, second) = (read(&arguments.first)?, read(&arguments.second)?);
    print_comparison(&first, &second)?;
    Ok(Code::Done)
}

/// Prints what two reports have in common side by side, what they do not, and what else differs.
pub fn print_comparison(first: &Report, second: &Report) -> Result<(), Fault> {
    let all = |report: &'_ Report| -> Vec<WorkloadRecord> { report.results.clone() };
    let (a, b) = (all(first), all(second));
    let comparison = compare(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>());
    let mut text = String::new();
    for (name, x, y) in differences(first, second) {
        text.push_str(&format!("warning: {name} differs: {x} and {y}\n"));
    }
    for refused in &comparison.refused {
        text.push_str(&format!("not compared: {refused}\n"));
    }
    if comparison.rows.is_empty() {
        return Err(Fault::usage(format!(
            "{text}the two runs have nothing to compare"
        )));
    }
    let titles = [side(first, "first"), side(second, "second")];
    text.push_str(&comparison.table(&titles[0], &titles[1]).text(""));
    print(&text)
}

fn side(report: &Report, word: &str) -> String {
    match report.results.first() {
        Some(result) => format!("{word} ({})", result.target.name),
        None => word.to_string(),
    }
}

/// What should be equal before two runs are compared, and is not.
fn differences(first: &Report, second: &Report) -> Vec<(&'static str, String, String)> {
    let (a, b) = (&first.environment, &second.environment);
    let rows = [
        ("cpu", a.cpu.clone(), b.cpu.clone()),
        ("cores", a.cores.to_string(), b.cores.to_string()),
        ("kernel", a.kernel.clone(), b.kernel.clone()),
        ("file system", a.file_system.clone(), b.file_system.clone()),
        ("device", a.device.clone(), b.device.clone()),
        (
            "build profile",
            first.run.build_profile.clone(),
            second.run.build_profile.clone(),
        ),
    ];
    rows.into_iter().filter(|(_, x, y)| x != y).collect()
}

/// A report from its file or from the directory that `--out` named.
pub fn read(path: &Path) -> Result<Report, Fault> {
    let file = match path.is_dir() {
        true => path.join("report.json"),
        false => path.to_path_buf(),
    };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Fault::usage(format!("cannot read {}: {error}", file.display())))?;
    Report::from_json(&text).map_err(|error| Fault::usage(format!("{}: {error}", file.display())))
}

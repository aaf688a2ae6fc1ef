//! `loadgen list`.

use ringkeep_bench::report::table::Table;
use ringkeep_bench::suite::{Overrides, Scale};

use crate::cli::ListArgs;
use crate::exit::{Code, Fault};
use crate::{select, suites};

/// Prints the selected workloads, as a table, as JSON or as the suite file that they come from.
pub fn list(arguments: &ListArgs) -> Result<Code, Fault> {
    if arguments.export {
        for (_, text) in suites::texts(&arguments.select.suite)? {
            print!("{text}");
        }
        return Ok(Code::Done);
    }
    let selected = select::workloads(&arguments.select, Scale::S, &Overrides::default())?;
    if arguments.json {
        let workloads: Vec<_> = selected.iter().map(|(_, workload)| workload).collect();
        let text = serde_json::to_string_pretty(&workloads).map_err(Fault::internal)?;
        println!("{text}");
        return Ok(Code::Done);
    }
    let mut table = Table::new(["workload"]);
    for (suite, workload) in &selected {
        table.row(vec![workload.name.clone(), format!("[{suite}]")]);
    }
    let names = table.text("");
    for (line, (_, workload)) in names.lines().skip(1).zip(&selected) {
        println!("{line}  {}", workload.about);
    }
    Ok(Code::Done)
}

//! A comparison for people, for pull requests and for programs.

mod junit;
mod markdown;
mod text;

use crate::cli::OutputArgs;
use crate::exit::Fault;
use crate::gate::{Comparison, Judged, Verdict};
use crate::report::write;
use ringkeep_bench::quantity::short;
use ringkeep_bench::report::table::Table;

/// Prints the text and writes the files that were asked for.
pub fn show(comparison: &Comparison, outputs: &OutputArgs) -> Result<(), Fault> {
    print!("{}", text::text(comparison, outputs.all));
    if let Some(path) = &outputs.md {
        write(path, &markdown::markdown(comparison))?;
    }
    if let Some(path) = &outputs.junit {
        write(path, &junit::junit(comparison))?;
    }
    if let Some(path) = &outputs.json {
        let json = serde_json::to_string_pretty(comparison).map_err(Fault::internal)?;
        write(path, &(json + "\n"))?;
    }
    Ok(())
}

/// Rows that a reader has to look at, worst first; all of them on request.
fn table(comparison: &Comparison, all: bool) -> Option<Table> {
    let mut rows: Vec<&Judged> = comparison
        .rows
        .iter()
        .filter(|row| all || row.verdict != Verdict::Pass)
        .collect();
    rows.sort_by_key(|row| row.verdict);
    let mut table =
        Table::new(["metric", "base", "head", "change", "allowed", "verdict", ""]).left();
    for row in &rows {
        table.row(cells(row));
    }
    (!rows.is_empty()).then_some(table)
}

fn cells(row: &Judged) -> Vec<String> {
    let value = |value: Option<f64>| value.map_or(String::new(), exact);
    let percent = |share: f64| format!("{:+.2} %", share * 100.0);
    let mut change = match (row.change, row.head) {
        (Some(change), _) => percent(change),
        (None, Some(_)) if row.why.is_none() => "from nothing".to_owned(),
        (None, _) => String::new(),
    };
    if let Some((low, high)) = row.interval {
        change += &format!(" ({}..{})", percent(low), percent(high));
    }
    let allowed = match row.base {
        Some(_) => format!("{:.0} %", row.threshold * 100.0),
        None => String::new(),
    };
    vec![
        row.metric.clone(),
        value(row.base),
        value(row.head),
        change,
        allowed,
        row.verdict.to_string(),
        remark(row),
    ]
}

/// What stands beside a verdict.
fn remark(row: &Judged) -> String {
    let mut words = Vec::new();
    if let Some(why) = &row.why {
        words.push(why.to_string());
    }
    if let Some(accepted) = &row.accepted {
        words.push(format!(
            "accepted until {}: {}",
            accepted.until, accepted.reason
        ));
    }
    if let Some(floor) = row.floor {
        words.push(format!("noise {:.1} %", floor * 100.0));
    }
    if let Some(p) = row.p {
        words.push(format!("p {p:.3}"));
    }
    words.join("; ")
}

/// Small counts keep their digits: 1.001 syncs are not one.
fn exact(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 && value < 1e6 => format!("{value:.0}"),
        value if value < 1000.0 => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        value if value < 1e6 => format!("{value:.1}"),
        value => short(value),
    }
}

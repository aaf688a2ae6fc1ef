//! All scenarios at a glance: per operation, zeros left blank.

use ringkeep_bench::quantity::short;
use ringkeep_bench::report::table::Table;

use super::Report;
use crate::metric::{INSTRUCTIONS, SPACE_AMPLIFICATION, WRITE_AMPLIFICATION};

/// The table of a run.
pub fn matrix(report: &Report) -> Table {
    let columns = [
        (INSTRUCTIONS, "instr"),
        ("allocations", "allocs"),
        ("allocated_bytes", "alloc B"),
        ("device_reads", "reads"),
        ("device_read_bytes", "read B"),
        ("device_writes", "writes"),
        ("durable_writes", "durable"),
        ("syncs", "syncs"),
        ("device_write_bytes", "write B"),
        (WRITE_AMPLIFICATION, "write amp"),
        (SPACE_AMPLIFICATION, "space amp"),
        ("messages", "messages"),
    ];
    let titles = ["per op"]
        .into_iter()
        .chain(columns.map(|(_, title)| title));
    let mut table = Table::titled(titles.map(str::to_owned).collect());
    for (name, scenario) in &report.scenarios {
        let mut row = vec![name.clone()];
        row.extend(
            columns
                .iter()
                .map(|(metric, _)| match scenario.metrics.get(*metric) {
                    None => "-".to_owned(),
                    Some(metric) if metric.total == 0 => String::new(),
                    Some(metric) => short(metric.value()),
                }),
        );
        table.row(row);
    }
    table
}

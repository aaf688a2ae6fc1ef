//! For whoever shows JUnit files: a suite for each scenario, a case for each metric.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{cells, remark};
use crate::gate::{Comparison, Judged, Verdict};

/// The file.
pub fn junit(comparison: &Comparison) -> String {
    let mut suites: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for row in &comparison.rows {
        let (scenario, _) = row.metric.split_once('/').unwrap_or((&row.metric, ""));
        suites.entry(scenario).or_default().push(row);
    }
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"perf\">\n");
    for (scenario, rows) in suites {
        let failures = rows.iter().filter(|row| fails(row)).count();
        let skipped = rows.iter().filter(|row| is_skipped(row)).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
            escape(scenario),
            rows.len()
        );
        for row in rows {
            let name = row
                .metric
                .split_once('/')
                .map_or("measured", |(_, name)| name);
            let _ = writeln!(
                text,
                "    <testcase classname=\"{}\" name=\"{}\">{}</testcase>",
                escape(scenario),
                escape(name),
                outcome(row)
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn fails(row: &Judged) -> bool {
    row.verdict == Verdict::Regression && row.accepted.is_none()
}

fn is_skipped(row: &Judged) -> bool {
    matches!(row.verdict, Verdict::Unstable | Verdict::Inconclusive)
}

fn outcome(row: &Judged) -> String {
    let message = escape(&remark(row));
    if fails(row) {
        let [_, base, head, change, allowed, ..] = &cells(row)[..] else {
            unreachable!("a row has all its cells");
        };
        let numbers = escape(&format!("{base} -> {head}, {change}, allowed {allowed}"));
        return format!("<failure message=\"{numbers}\">{message}</failure>");
    }
    if is_skipped(row) {
        return format!("<skipped message=\"{message}\"/>");
    }
    String::new()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

//! The report for an issue or a pull request.

use std::fmt::Write;

use super::compare::comparison;
use super::table::{
    cost_line, environment_line, evenness_line, phase_headline, phase_table, verdict_word,
};
use super::{Report, Verdict};

/// Headings, tables and the command that reproduces them.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", environment_line(report).trim_end());
    for warning in &report.warnings {
        let _ = writeln!(text, "> {warning}\n");
    }
    for result in &report.results {
        let _ = writeln!(
            text,
            "## {} on {}\n",
            result.workload.name, result.target.name
        );
        for phase in &result.phases {
            let _ = writeln!(text, "**{}**: {}\n", phase.name, phase_headline(phase));
            let _ = writeln!(text, "{}", phase_table(phase).markdown());
            let _ = writeln!(text, "{}\n", cost_line(phase));
            if let Some(line) = evenness_line(phase) {
                let _ = writeln!(text, "{line}\n");
            }
            for slo in &phase.slo {
                let word = if slo.met { "met" } else { "**missed**" };
                let _ = writeln!(text, "- `{}`: {word}, {}", slo.slo, slo.found_text);
            }
            for note in &phase.notes {
                let _ = writeln!(text, "- {note}");
            }
            if phase.verdict != Verdict::Valid {
                let _ = writeln!(text, "- **{}**", verdict_word(phase.verdict));
            }
            text.push('\n');
        }
        if let Some(failure) = &result.failure {
            let _ = writeln!(text, "**Failed:** {failure}\n");
        }
    }
    if let Some(table) = comparison(report) {
        let _ = writeln!(text, "## Comparison\n\n{}", table.markdown());
    }
    let _ = writeln!(
        text,
        "Reproduce: `loadgen {}`",
        report.run.command.join(" ")
    );
    text
}

//! Objectives as test cases, for whoever shows JUnit files.

use std::fmt::Write;

use super::table::verdict_word;
use super::{Report, Verdict};

/// One suite per workload and target; one case per objective, and one for whether the numbers may be used.
pub fn junit(report: &Report) -> String {
    let mut text =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"loadgen\">\n");
    for result in &report.results {
        let name = escape(&format!(
            "{} on {}",
            result.workload.name, result.target.name
        ));
        let mut cases = String::new();
        let (mut tests, mut failures, mut skipped) = (0, 0, 0);
        for phase in &result.phases {
            let mut case = |what: &str, outcome: &str| {
                tests += 1;
                failures += u32::from(outcome.contains("<failure"));
                skipped += u32::from(outcome.contains("<skipped"));
                let title = escape(&format!("{}: {what}", phase.name));
                let seconds = phase.measured_ns as f64 / 1e9;
                let _ = writeln!(
                    cases,
                    "    <testcase classname=\"{name}\" name=\"{title}\" time=\"{seconds:.3}\">{outcome}</testcase>"
                );
            };
            let why = escape(&phase.notes.join("; "));
            let word = verdict_word(phase.verdict);
            case(
                "valid",
                &match phase.verdict {
                    Verdict::Valid => String::new(),
                    Verdict::WrongAnswers => format!("<failure message=\"{word}\">{why}</failure>"),
                    _ => format!("<skipped message=\"{word}: {why}\"/>"),
                },
            );
            for slo in &phase.slo {
                let found = escape(&slo.found_text);
                case(
                    &slo.slo,
                    &match (slo.met, slo.found) {
                        (true, _) => String::new(),
                        (false, Some(_)) => format!("<failure message=\"found {found}\"/>"),
                        (false, None) => format!("<skipped message=\"{found}\"/>"),
                    },
                );
            }
        }
        if let Some(failure) = &result.failure {
            tests += 1;
            failures += 1;
            let failure = escape(failure);
            let _ = writeln!(
                cases,
                "    <testcase classname=\"{name}\" name=\"ran to its end\"><failure message=\"{failure}\"/></testcase>"
            );
        }
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">\n{cases}  \
             </testsuite>"
        );
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text inside XML or HTML, attributes included.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

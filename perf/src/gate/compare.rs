//! Work against work: exact, so one run of each side is enough.

use std::collections::BTreeSet;

use super::verdict::{Judged, Verdict, Why};
use crate::filter::Filter;
use crate::metric::{Class, INSTRUCTIONS, class, threshold};
use crate::report::{Instruments, Metric, Report, ScenarioReport};

/// What the base is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A file that must know everything that is measured.
    Baseline,
    /// Another commit, which cannot know what is new.
    Binary,
}

/// Judges every metric of the selected scenarios.
pub fn compare(base: &Report, head: &Report, filter: &Filter, against: Against) -> Vec<Judged> {
    let names: BTreeSet<&String> = base.scenarios.keys().chain(head.scenarios.keys()).collect();
    let mut rows = Vec::new();
    for name in names.into_iter().filter(|name| filter.matches(name)) {
        match (base.scenarios.get(name), head.scenarios.get(name)) {
            (Some(was), Some(is)) => scenario(name, was, is, base, head, against, &mut rows),
            (Some(_), None) => rows.push(undecided(name, Why::Vanished)),
            (None, Some(_)) if against == Against::Baseline => {
                rows.push(undecided(name, Why::NoBaseline));
            }
            (None, _) => {}
        }
    }
    rows
}

fn scenario(
    name: &str,
    was: &ScenarioReport,
    is: &ScenarioReport,
    base: &Report,
    head: &Report,
    against: Against,
    rows: &mut Vec<Judged>,
) {
    if was.workload != is.workload {
        rows.push(undecided(name, Why::OtherWorkload));
        return;
    }
    if was.answers != is.answers {
        rows.push(undecided(name, Why::OtherAnswers));
        return;
    }
    let metrics: BTreeSet<&String> = was.metrics.keys().chain(is.metrics.keys()).collect();
    // A stored time is another machine's, or another hour's: only pairs of runs compare them.
    for metric in metrics
        .into_iter()
        .filter(|metric| class(metric) == Class::Work)
    {
        let full = format!("{name}/{metric}");
        let (before, now) = (was.metrics.get(metric), is.metrics.get(metric));
        let unlike = match metric.as_str() {
            INSTRUCTIONS => unlike_instruments(&base.instruments, &head.instruments),
            _ => None,
        };
        rows.push(match (before, now, unlike) {
            (before, now, Some(why)) => Judged {
                base: before.map(Metric::value),
                head: now.map(Metric::value),
                ..undecided(&full, why)
            },
            (Some(before), Some(now), None) => judged(&full, metric, before, now),
            (Some(before), None, None) => Judged {
                base: Some(before.value()),
                ..undecided(&full, Why::Vanished)
            },
            (None, Some(now), None) if against == Against::Baseline => Judged {
                head: Some(now.value()),
                ..undecided(&full, Why::NoBaseline)
            },
            (None, ..) => continue,
        });
    }
}

/// Why instructions of these two cannot be compared, if so.
fn unlike_instruments(
    base: &Result<Instruments, String>,
    head: &Result<Instruments, String>,
) -> Option<Why> {
    let (base, head) = match (base, head) {
        (Ok(base), Ok(head)) => (base, head),
        (_, Err(why)) => return Some(Why::NotMeasured(why.clone())),
        (Err(_), Ok(_)) => return Some(Why::NotMeasured("the base has no instructions".into())),
    };
    let parts = [
        (&base.toolchain.rustc, &head.toolchain.rustc),
        (&base.toolchain.target, &head.toolchain.target),
        (&base.toolchain.processor, &head.toolchain.processor),
        (&base.libc, &head.libc),
        (&base.valgrind, &head.valgrind),
    ];
    let (was, is) = parts.into_iter().find(|(was, is)| was != is)?;
    Some(Why::OtherToolchain(format!("{was}, here {is}")))
}

fn judged(full: &str, metric: &str, base: &Metric, head: &Metric) -> Judged {
    // Exact where the threshold is zero: fractions are compared crosswise, not as floats.
    let (was, is) = (
        u128::from(base.total) * u128::from(head.per),
        u128::from(head.total) * u128::from(base.per),
    );
    let threshold = threshold(metric);
    let allowed = was as f64 * threshold;
    let verdict = match is.cmp(&was) {
        std::cmp::Ordering::Greater if (is - was) as f64 > allowed => Verdict::Regression,
        std::cmp::Ordering::Less if (was - is) as f64 > allowed => Verdict::Improvement,
        _ => Verdict::Pass,
    };
    Judged {
        metric: full.to_owned(),
        class: class(metric),
        base: Some(base.value()),
        head: Some(head.value()),
        change: match (was, is) {
            (0, 0) => Some(0.0),
            (0, _) => None,
            (was, is) => Some(is as f64 / was as f64 - 1.0),
        },
        threshold,
        interval: None,
        floor: None,
        p: None,
        verdict,
        why: None,
        accepted: None,
    }
}

fn undecided(metric: &str, why: Why) -> Judged {
    Judged {
        metric: metric.to_owned(),
        class: class(metric),
        base: None,
        head: None,
        change: None,
        threshold: 0.0,
        interval: None,
        floor: None,
        p: None,
        verdict: Verdict::Inconclusive,
        why: Some(why),
        accepted: None,
    }
}

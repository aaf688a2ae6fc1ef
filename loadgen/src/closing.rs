//! The last line of a run that did not end well: what the exit code means this time, and what to do.

use ringkeep_bench::report::{PhaseRecord, Report, StreamRecord, Verdict};
use ringkeep_bench::steady::Steady;

use crate::exit::Code;

/// A line for every code that a script or a person might stop at.
pub fn line(code: Code, report: &Report) -> Option<String> {
    let (why, advice) = match code {
        Code::Done | Code::Usage | Code::Internal => return None,
        Code::Interrupted => {
            return Some("exit 130: ended by Ctrl-C; the report holds what was measured".into());
        }
        Code::SloMissed => (
            format!("missed: {}", named(report, missed)),
            "the numbers stand; lower the load (--rate 20k/s) or find the limit (loadgen search)",
        ),
        Code::WrongAnswers => (
            "a target failed or answered wrongly".to_string(),
            "its messages are above; --validate proves every read",
        ),
        Code::Invalid => invalid(report),
    };
    let others = report
        .phases()
        .filter_map(|(_, phase)| phase.cost.shared_with_others())
        .fold(0.0, f64::max);
    let advice = match others > 0.0 && code != Code::WrongAnswers {
        true => format!(
            "other processes took up to {:.0} % of the {} cores meanwhile, so run it again when they have ended",
            others * 100.0,
            report.environment.cores
        ),
        false => advice.to_string(),
    };
    Some(format!("exit {}: {why}; {advice}", code as u8))
}

/// Nothing was answered in the window: its percentiles are of nothing.
pub fn is_empty(phase: &PhaseRecord) -> bool {
    let main = phase.streams.first();
    main.is_some_and(|stream| stream.achieved_per_s == 0.0)
}

fn invalid(report: &Report) -> (String, &'static str) {
    let empty = named(report, |phase| is_empty(phase).then(String::new));
    if !empty.is_empty() {
        return (
            format!("nothing was answered while it was measured: {empty}"),
            "measure for longer (--duration 10s)",
        );
    }
    let limited = named(report, |phase| {
        (phase.verdict == Verdict::GeneratorLimited).then(String::new)
    });
    if limited.is_empty() {
        let unsteady = named(report, |phase| {
            (phase.steady == Steady::No).then(String::new)
        });
        return (
            format!("not steady when measured: {unsteady}"),
            "give them a longer --warmup",
        );
    }
    let paced = report
        .phases()
        .filter(|(_, phase)| phase.verdict == Verdict::GeneratorLimited)
        .any(|(_, phase)| phase.streams.iter().any(is_paced));
    (
        format!("no verdict on the target, the generator itself was late or the limit: {limited}"),
        match paced {
            true => "ask for less (--rate 20k/s), or give the generator more (--drivers)",
            false => "the target answers faster than one driver asks: give it more (--drivers)",
        },
    )
}

fn is_paced(stream: &StreamRecord) -> bool {
    stream.offered_per_s.is_some()
}

fn missed(phase: &PhaseRecord) -> Option<String> {
    let missed: Vec<String> = phase
        .slo
        .iter()
        .filter(|slo| !slo.met)
        .map(|slo| format!("{} ({})", slo.slo, slo.found_text))
        .collect();
    (!missed.is_empty()).then(|| format!(" {}", missed.join(", ")))
}

/// How many phases are named; the report has all of them.
const NAMED_MAX: usize = 3;

/// The phases for which `what` says something, each with what it says.
fn named(report: &Report, what: impl Fn(&PhaseRecord) -> Option<String>) -> String {
    let all: Vec<String> = report
        .phases()
        .filter_map(|(_, phase)| Some(format!("{}{}", phase.name, what(phase)?)))
        .collect();
    let more = match all.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let few = &all[..all.len().min(NAMED_MAX)];
    format!("{}{more}", few.join("; "))
}

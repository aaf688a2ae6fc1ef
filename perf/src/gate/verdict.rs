//! Verdicts, and what they add up to.

use std::fmt;

use serde::Serialize;

use crate::accepted::Accepted;
use crate::exit::Code;
use crate::metric::Class;

/// Of one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Grown by more than allowed.
    Regression,
    /// Not decided, for a reason that is given.
    Inconclusive,
    /// Not decided: the machine's own noise is larger than what is to be seen.
    Unstable,
    /// Shrunk by more than would have been allowed to grow.
    Improvement,
    /// Neither.
    Pass,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Regression => "REGRESSION",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Unstable => "unstable",
            Verdict::Improvement => "improvement",
            Verdict::Pass => "pass",
        })
    }
}

/// Why a metric could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The baseline does not have it.
    NoBaseline,
    /// The baseline was measured on other work.
    OtherWorkload,
    /// The same questions got other answers.
    OtherAnswers,
    /// The baseline has it and this run does not.
    Vanished,
    /// Instructions of another compiler, C library, Valgrind or processor.
    OtherToolchain(String),
    /// There was no instrument.
    NotMeasured(String),
    /// The samples do not settle it.
    TooClose,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoBaseline => f.write_str("no baseline: run `perf baseline export` and commit"),
            Why::OtherWorkload => f.write_str(
                "the baseline did other work: run `perf baseline export` on the base and here",
            ),
            Why::OtherAnswers => f.write_str("the same calls got other answers"),
            Why::Vanished => f.write_str("in the baseline and not in this run"),
            Why::OtherToolchain(what) => write!(f, "baseline of another toolchain: {what}"),
            Why::NotMeasured(why) => f.write_str(why),
            Why::TooClose => f.write_str("the interval holds both less and more than is allowed"),
        }
    }
}

/// One metric, compared.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// `scenario/metric`, or a scenario alone.
    pub metric: String,
    pub class: Class,
    pub base: Option<f64>,
    pub head: Option<f64>,
    /// Share by which it grew; absent where it has grown from nothing, or one side is missing.
    pub change: Option<f64>,
    pub threshold: f64,
    /// Where the change lies, with 95 % confidence; only for times.
    pub interval: Option<(f64, f64)>,
    /// What the machine's own noise amounts to; only for times.
    pub floor: Option<f64>,
    /// How often chance alone would look so, after correction for the number of metrics; only for times.
    pub p: Option<f64>,
    pub verdict: Verdict,
    pub why: Option<Why>,
    /// The agreement that lets a regression pass.
    pub accepted: Option<Accepted>,
}

/// All metrics, compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What the two sides are, in words.
    pub base: String,
    pub head: String,
    /// What a reader must know besides.
    pub notes: Vec<String>,
    pub rows: Vec<Judged>,
    pub strict: bool,
}

impl Comparison {
    /// Regressions that nobody agreed to.
    pub fn regressions(&self) -> impl Iterator<Item = &Judged> {
        let is_regression = |row: &&Judged| row.verdict == Verdict::Regression;
        self.rows
            .iter()
            .filter(is_regression)
            .filter(|row| row.accepted.is_none())
    }

    /// Rows of this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }

    /// What they add up to. Nothing compared is nothing passed.
    pub fn code(&self) -> Code {
        let any = |wanted: fn(&Why) -> bool| {
            self.rows
                .iter()
                .any(|row| row.why.as_ref().is_some_and(wanted))
        };
        if self.regressions().next().is_some() {
            return Code::Regression;
        }
        let no_baseline = |why: &Why| {
            matches!(
                why,
                Why::NoBaseline | Why::OtherWorkload | Why::OtherAnswers
            )
        };
        if self.rows.is_empty() || any(no_baseline) {
            return Code::NoBaseline;
        }
        let undecided = self.count(Verdict::Inconclusive) + self.count(Verdict::Unstable);
        if any(|why| *why == Why::Vanished) || self.strict && undecided > 0 {
            return Code::Undecided;
        }
        Code::Pass
    }

    /// One sentence.
    pub fn headline(&self) -> String {
        let word = match self.code() {
            Code::Pass => "PASS",
            Code::Regression => "REGRESSION",
            Code::NoBaseline => "NO BASELINE",
            _ => "UNDECIDED",
        };
        let mut text = format!("{word}: {} metrics compared", self.rows.len());
        for verdict in [
            Verdict::Regression,
            Verdict::Improvement,
            Verdict::Unstable,
            Verdict::Inconclusive,
        ] {
            let count = self.count(verdict);
            if count > 0 {
                text += &format!(", {count} {}", verdict.to_string().to_lowercase());
            }
        }
        let accepted = self
            .rows
            .iter()
            .filter(|row| row.accepted.is_some())
            .count();
        if accepted > 0 {
            text += &format!(" ({accepted} accepted)");
        }
        text
    }
}

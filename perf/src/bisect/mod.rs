//! `perf bisect`: which commit changed a metric.

mod search;
mod source;

use crate::cli::BisectArgs;
use crate::exit::{Code, Fault};
use crate::filter::Filter;
use crate::gate::{Against, Judged, Verdict, compare, judge};
use crate::measure::{self, Pairing, Subject};
use crate::metric::{Class, INSTRUCTIONS, class};
use crate::report::Report;
use crate::scratch::Scratch;
use search::{Step, first_bad};
use source::{Commit, Source};

/// Runs the command.
pub fn bisect(arguments: &BisectArgs) -> Result<Code, Fault> {
    let question = Question::new(&arguments.metric, arguments.pairs)?;
    let scratch = Scratch::at(arguments.dir.as_deref())?;
    let (build, binary) = (&arguments.build, &arguments.binary);
    let source = Source::new(&arguments.repository, scratch, build, binary)?;
    let (good, bad) = (
        source.commit(&arguments.good)?,
        source.commit(&arguments.bad)?,
    );
    let commits = source.between(&good, &bad)?;
    let built = |commit: &Commit| -> Result<Subject, Fault> {
        match source.binary(commit)? {
            Ok(path) => Subject::at(Some(&path)),
            Err(why) => Err(Fault::usage(format!(
                "{} cannot be built: {why}",
                commit.short()
            ))),
        }
    };
    // Without two ends that differ there is nothing between them.
    let base = question.measure(built(&good)?)?;
    say(&good, "good", question.value(&base));
    let ends = question.judge(&base, &question.measure(built(&bad)?)?)?;
    say(&bad, "bad", ends.head);
    if !matches!(ends.verdict, Verdict::Regression | Verdict::Improvement) {
        let why = ends.why.map_or(String::new(), |why| format!(": {why}"));
        return Err(Fault::new(
            Code::Undecided,
            format!("{} is no change of {}{why}", ends.verdict, arguments.metric),
        ));
    }
    let found = first_bad(commits.len(), |number| {
        let commit = &commits[number];
        let skip = |why: &str| {
            println!("{}  skipped       {why}", commit.short());
            Ok(Step::Skipped)
        };
        let path = match source.binary(commit)? {
            Ok(path) => path,
            Err(why) => return skip(&why),
        };
        let judged = Subject::at(Some(&path))
            .and_then(|subject| question.measure(subject))
            .and_then(|side| question.judge(&base, &side));
        let judged = match judged {
            Ok(judged) => judged,
            Err(fault) => return skip(&fault.to_string()),
        };
        match judged.verdict {
            verdict if verdict == ends.verdict => {
                say(commit, "bad", judged.head);
                Ok(Step::Bad)
            }
            Verdict::Pass | Verdict::Regression | Verdict::Improvement => {
                say(commit, "good", judged.head);
                Ok(Step::Good)
            }
            undecided => skip(&undecided.to_string()),
        }
    })?;
    let change = ends.change.map_or("from nothing".to_owned(), |change| {
        format!("{:+.2} %", change * 100.0)
    });
    println!("\n{} ({change}) changed in", arguments.metric);
    for commit in &commits[found.clone()] {
        println!("{}  {}", commit.short(), commit.subject);
    }
    match found.start() == found.end() {
        true => Ok(Code::Pass),
        false => Err(Fault::new(
            Code::Undecided,
            "one of these: all but the last could not be judged",
        )),
    }
}

fn say(commit: &Commit, word: &str, value: Option<f64>) {
    let value = value.map_or(String::new(), |value| format!("{value:.4}"));
    println!(
        "{}  {word:4}  {value:>12}  {}",
        commit.short(),
        commit.subject
    );
}

/// What is asked about every commit.
struct Question {
    metric: String,
    class: Class,
    filter: Filter,
    pairs: u64,
}

/// A binary, and its counts.
struct Side {
    subject: Subject,
    report: Report,
}

impl Question {
    fn new(metric: &str, pairs: u64) -> Result<Question, Fault> {
        let Some((scenario, name)) = metric.split_once('/') else {
            return Err(Fault::usage(format!(
                "`{metric}` is no metric; they look like put/allocations"
            )));
        };
        Ok(Question {
            class: class(name),
            filter: Filter::new(&[scenario.to_owned()])?,
            metric: metric.to_owned(),
            pairs,
        })
    }

    fn measure(&self, subject: Subject) -> Result<Side, Fault> {
        let with_instructions = self.metric.ends_with(&format!("/{INSTRUCTIONS}"));
        let report = measure::work(&subject, &self.filter, with_instructions)?;
        Ok(Side { subject, report })
    }

    fn value(&self, side: &Side) -> Option<f64> {
        let (scenario, name) = self.metric.split_once('/')?;
        let metric = side.report.scenarios.get(scenario)?.metrics.get(name)?;
        Some(metric.value())
    }

    /// Counts exactly, times in pairs.
    fn judge(&self, base: &Side, head: &Side) -> Result<Judged, Fault> {
        let rows = match self.class {
            Class::Work => compare(&base.report, &head.report, &self.filter, Against::Binary),
            Class::Cpu | Class::Wall => {
                let pairing = Pairing {
                    pairs: self.pairs,
                    seed: 1,
                };
                judge(&measure::times(
                    &base.subject,
                    &head.subject,
                    &self.filter,
                    &pairing,
                )?)
            }
        };
        let row = rows.into_iter().find(|row| row.metric == self.metric);
        row.ok_or_else(|| Fault::usage(format!("no {} to compare", self.metric)))
    }
}

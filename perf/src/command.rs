//! `perf run`, `gate` and `compare`.

use crate::accepted::AcceptedFile;
use crate::calibrate;
use crate::cli::{CompareArgs, GateArgs, OutputArgs, RunArgs};
use crate::day::Day;
use crate::exit::{Code, Fault};
use crate::filter::Filter;
use crate::gate::{Against, Comparison, Judged, Verdict, compare, judge};
use crate::measure::{self, Pairing, Subject};
use crate::metric::INSTRUCTIONS;
use crate::output;
use crate::report::{load, matrix, save};
use crate::suite::Plan;

/// `perf run`: what the work costs here and now.
pub fn run(arguments: &RunArgs) -> Result<Code, Fault> {
    let plan = Plan::of(&arguments.scenarios)?;
    let subject = Subject::at(arguments.bin.as_deref())?;
    let mut report = measure::work(&subject, &plan.filter, plan.instructions)?;
    if let Some(runs) = arguments.times {
        measure::add_times(&subject, &mut report, runs)?;
    }
    print!("{}", matrix(&report).text(""));
    if let Err(why) = &report.instruments {
        println!("no instructions: {why}");
    }
    if let Some(path) = &arguments.out {
        save(&report, path)?;
    }
    Ok(Code::Pass)
}

/// `perf compare`: two saved runs.
pub fn compare_files(arguments: &CompareArgs) -> Result<Code, Fault> {
    let (base, head) = (load(&arguments.base)?, load(&arguments.head)?);
    let rows = compare(&base, &head, &Filter::new(&[])?, Against::Baseline);
    conclude(
        Sides {
            base: arguments.base.display().to_string(),
            head: arguments.head.display().to_string(),
            rows,
        },
        &AcceptedFile::default(),
        &arguments.outputs,
    )
}

/// `perf gate`: this work against the baseline, or against another binary's.
pub fn gate(arguments: &GateArgs) -> Result<Code, Fault> {
    let plan = Plan::of(&arguments.scenarios)?;
    let (filter, with_instructions) = (&plan.filter, plan.instructions);
    let accepted = AcceptedFile::load(&arguments.accepted)?;
    let head_subject = Subject::at(arguments.head.as_deref())?;
    // A baseline that cannot be read is said before minutes are spent on the head.
    let (base, base_name, against) = match &arguments.base {
        Some(path) => {
            let subject = Subject::at(Some(path))?;
            let report = measure::work(&subject, filter, with_instructions)?;
            (report, path.display().to_string(), Against::Binary)
        }
        None => (
            load(&arguments.baseline)?,
            arguments.baseline.display().to_string(),
            Against::Baseline,
        ),
    };
    let mut head = measure::work(&head_subject, filter, with_instructions)?;
    let mut head_name = head_subject.path().display().to_string();
    println!("{}", matrix(&head).text(""));
    if let Some(share) = arguments.inject {
        head = head.inflated(share.0);
        head_name += &format!(
            ", every number raised by {:.1} % (--inject)",
            share.0 * 100.0
        );
    }
    let mut rows = compare(&base, &head, filter, against);
    if !with_instructions {
        let suffix = format!("/{INSTRUCTIONS}");
        rows.retain(|row| !row.metric.ends_with(&suffix));
    }
    if let (Some(pairs), Some(base)) = (arguments.pairs.or(plan.pairs), &arguments.base) {
        let pairing = Pairing { pairs, seed: 1 };
        let base = Subject::at(Some(base))?;
        let mut samples = measure::times(&base, &head_subject, filter, &pairing)?;
        if let Some(floors) = &arguments.floors {
            calibrate::apply(floors, &mut samples)?;
        }
        if let Some(share) = arguments.inject {
            for block in samples.iter_mut().flat_map(|sample| &mut sample.blocks) {
                block.head.0 *= 1.0 + share.0;
                block.head.1 *= 1.0 + share.0;
            }
        }
        rows.extend(judge(&samples));
    }
    let sides = Sides {
        base: base_name,
        head: head_name,
        rows,
    };
    conclude(sides, &accepted, &arguments.outputs)
}

/// Two sides and what was found between them.
pub struct Sides {
    pub base: String,
    pub head: String,
    pub rows: Vec<Judged>,
}

fn conclude(sides: Sides, accepted: &AcceptedFile, outputs: &OutputArgs) -> Result<Code, Fault> {
    let comparison = comparison(sides, accepted, outputs.strict);
    output::show(&comparison, outputs)?;
    Ok(comparison.code())
}

/// Applies what was agreed to.
pub fn comparison(sides: Sides, accepted: &AcceptedFile, strict: bool) -> Comparison {
    let today = Day::today();
    let mut rows = sides.rows;
    for row in &mut rows {
        if row.verdict == Verdict::Regression {
            let growth = row.change.unwrap_or(f64::INFINITY);
            row.accepted = accepted.covering(&row.metric, growth, today).cloned();
        }
    }
    let mut notes = Vec::new();
    for entry in accepted.expired(today) {
        notes.push(format!(
            "the acceptance of {} ended on {}: remove it",
            entry.metric, entry.until
        ));
    }
    if rows.iter().any(|row| row.verdict == Verdict::Improvement) {
        notes.push(
            "improvements are kept only once `perf baseline export` has been committed".into(),
        );
    }
    Comparison {
        base: sides.base,
        head: sides.head,
        notes,
        rows,
        strict,
    }
}

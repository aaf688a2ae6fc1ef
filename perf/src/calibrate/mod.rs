//! `perf calibrate`: how different the same binary looks from itself here, and how often the gate would have been
//! wrong about it.

mod alarms;

use std::collections::BTreeMap;
use std::path::Path;

use ringkeep_bench::report::table::Table;

use crate::cli::CalibrateArgs;
use crate::exit::{Code, Fault};
use crate::filter::Filter;
use crate::gate::{Against, Machine, Samples, Verdict, compare, judge};
use crate::measure::{self, Pairing, Subject, times};
use crate::metric::{CPU, WALL, threshold};
use crate::report::{Report, write};
use crate::statistics::median;
use crate::suite::Plan;
use alarms::{Alarms, Where};

/// Noise of each metric, as a share.
pub type Floors = BTreeMap<String, f64>;

/// Runs the command.
pub fn calibrate(arguments: &CalibrateArgs) -> Result<Code, Fault> {
    let plan = Plan::of(&arguments.scenarios)?;
    let subject = Subject::at(None)?;
    let counter = Counter {
        subject: &subject,
        filter: &plan.filter,
        with_instructions: plan.instructions,
    };
    let first = counter.count()?;
    let mut alarms = Alarms::default();
    for number in 0..arguments.simulated {
        let machine = Machine::ALL[number as usize % Machine::ALL.len()];
        let blocks = arguments.pairs.div_ceil(2) as usize;
        let metrics = first
            .scenarios
            .keys()
            .flat_map(|name| [CPU, WALL].map(|time| (name, time)));
        let drawn = metrics.zip(number * 1000..).map(|((name, time), draw)| {
            machine.samples(&format!("{name}/{time}"), 0.0, blocks, draw)
        });
        let mut rows = judge(&drawn.collect::<Vec<_>>());
        rows.extend(counter.quickly().against(&first)?);
        alarms.add(Where::Simulated, &rows);
    }
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for repeat in 0..arguments.repeat {
        let pairing = Pairing {
            pairs: arguments.pairs,
            seed: repeat,
        };
        let samples = times(&subject, &subject, &plan.filter, &pairing)?;
        let mut rows = judge(&samples);
        rows.extend(counter.against(&first)?);
        for row in rows.iter().filter(|row| row.verdict == Verdict::Regression) {
            eprintln!("false alarm in run {}: {}", repeat + 1, row.metric);
        }
        alarms.add(Where::Here, &rows);
        for sample in samples {
            let change = median(&sample.differences()).abs();
            found.entry(sample.metric).or_default().push(change);
        }
        // After each run, because there may be hours between the first and the last.
        save(arguments, &found, &alarms)?;
        eprintln!("run {} of {}", repeat + 1, arguments.repeat);
    }
    print!(
        "{}\n{}",
        floors_table(&found).text(""),
        alarms.table().text("")
    );
    match alarms.uncertain_work() {
        0 => Ok(Code::Pass),
        rows => Err(Fault::internal(format!(
            "{rows} counts of this binary differed from its own: they cannot gate here"
        ))),
    }
}

fn save(
    arguments: &CalibrateArgs,
    found: &BTreeMap<String, Vec<f64>>,
    alarms: &Alarms,
) -> Result<(), Fault> {
    if let Some(path) = &arguments.out {
        let floors = found
            .iter()
            .map(|(metric, changes)| (metric.clone(), floor(changes)));
        let text = serde_json::to_string_pretty(&floors.collect::<Floors>());
        write(path, &(text.map_err(Fault::internal)? + "\n"))?;
    }
    if let Some(path) = &arguments.md {
        write(path, &alarms.table().markdown())?;
    }
    Ok(())
}

fn floors_table(found: &BTreeMap<String, Vec<f64>>) -> Table {
    let mut table = Table::new([
        "metric",
        "typical",
        "worst",
        "noise",
        "allowed",
        "judged here",
    ]);
    for (metric, changes) in found {
        let allowed = threshold(metric.split_once('/').map_or("", |(_, name)| name));
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let floor = floor(changes);
        table.row(vec![
            metric.clone(),
            percent(median(changes)),
            percent(worst(changes)),
            percent(floor),
            percent(allowed),
            if floor <= allowed / 2.0 { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// What 19 of 20 medians between equals stay below. The worst of a handful is not that: of five it is exceeded by
/// one in six, and more often the fewer there were.
fn floor(changes: &[f64]) -> f64 {
    let squares: f64 = changes.iter().map(|change| change * change).sum();
    let spread = (squares / changes.len() as f64).sqrt();
    worst(changes).max(2.0 * spread)
}

fn worst(changes: &[f64]) -> f64 {
    changes.iter().copied().fold(0.0, f64::max)
}

/// Counts work again and again.
#[derive(Clone, Copy)]
struct Counter<'a> {
    subject: &'a Subject,
    filter: &'a Filter,
    with_instructions: bool,
}

impl Counter<'_> {
    /// Without instructions, which take most of the time.
    fn quickly(self) -> Self {
        Counter {
            with_instructions: false,
            ..self
        }
    }

    fn count(self) -> Result<Report, Fault> {
        measure::work(self.subject, self.filter, self.with_instructions)
    }

    fn against(self, first: &Report) -> Result<Vec<crate::gate::Judged>, Fault> {
        let mut rows = compare(first, &self.count()?, self.filter, Against::Binary);
        // Instructions that were not counted again are no verdict about them.
        rows.retain(|row| self.with_instructions || !row.metric.ends_with("/instructions"));
        Ok(rows)
    }
}

/// Adds what calibration found to samples.
pub fn apply(path: &Path, samples: &mut [Samples]) -> Result<(), Fault> {
    let cannot = |why: String| Fault::usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    let floors: Floors = serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
    for sample in samples {
        sample.calibrated = floors.get(&sample.metric).copied();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringkeep_bench::random::Stream;

    use super::*;

    #[test]
    fn later_medians_stay_below_the_floor_in_about_19_of_20_cases() {
        for (repeats, least) in [(5, 0.88), (10, 0.91), (20, 0.93)] {
            let rounds = 2000;
            let stays = |number: &u64| {
                let random = Stream::new(*number, "floor", 0);
                let change = |i| random.at(i).normal().abs();
                let changes: Vec<f64> = (0..repeats).map(change).collect();
                change(repeats) <= floor(&changes)
            };
            let below = (0..rounds).filter(stays).count() as f64 / rounds as f64;
            assert!((least..0.99).contains(&below), "{repeats}: {below}");
        }
    }
}

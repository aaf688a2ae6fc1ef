//! What the gate said about equals, where every alarm is a false one.

use std::collections::BTreeMap;

use ringkeep_bench::report::table::Table;

use crate::gate::{Judged, Verdict};
use crate::metric::Class;

/// Which machine was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// This one.
    Here,
    /// One that does not exist: its counts are this one's, its times are drawn.
    Simulated,
}

/// Verdicts, counted.
#[derive(Debug, Default)]
pub struct Alarms {
    counts: BTreeMap<(Where, Class), Count>,
}

#[derive(Debug, Default)]
struct Count {
    runs: usize,
    /// Runs with at least one regression.
    alarmed: usize,
    verdicts: BTreeMap<Verdict, usize>,
}

impl Alarms {
    /// One run.
    pub fn add(&mut self, place: Where, rows: &[Judged]) {
        for class in [Class::Work, Class::Cpu, Class::Wall] {
            let rows: Vec<_> = rows.iter().filter(|row| row.class == class).collect();
            if rows.is_empty() {
                continue;
            }
            let count = self.counts.entry((place, class)).or_default();
            count.runs += 1;
            for row in &rows {
                *count.verdicts.entry(row.verdict).or_default() += 1;
            }
            let is_alarm = |row: &&&Judged| row.verdict == Verdict::Regression;
            count.alarmed += usize::from(rows.iter().any(|row| is_alarm(&row)));
        }
    }

    /// Verdicts about counted work that are not passes.
    pub fn uncertain_work(&self) -> usize {
        let work = self
            .counts
            .iter()
            .filter(|((_, class), _)| *class == Class::Work);
        let other = work.flat_map(|(_, count)| &count.verdicts);
        other
            .filter(|(verdict, _)| **verdict != Verdict::Pass)
            .map(|(_, count)| count)
            .sum()
    }

    /// For people.
    pub fn table(&self) -> Table {
        let verdicts = [
            Verdict::Pass,
            Verdict::Regression,
            Verdict::Improvement,
            Verdict::Unstable,
            Verdict::Inconclusive,
        ];
        let mut table = Table::new([
            "A/A",
            "runs",
            "with a false alarm",
            "pass",
            "regression",
            "improvement",
            "unstable",
            "inconclusive",
        ]);
        for ((place, class), count) in &self.counts {
            let place = match place {
                Where::Here => "here",
                Where::Simulated => "simulated",
            };
            let class = match class {
                Class::Work => "work",
                Class::Cpu => "CPU time",
                Class::Wall => "real time",
            };
            let mut cells = vec![
                format!("{class}, {place}"),
                count.runs.to_string(),
                count.alarmed.to_string(),
            ];
            let of = |verdict| count.verdicts.get(verdict).copied().unwrap_or(0);
            cells.extend(verdicts.iter().map(|verdict| of(verdict).to_string()));
            table.row(cells);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Machine, judge};

    #[test]
    fn runs_and_verdicts_are_counted_apart() {
        let samples = |grown| Machine::Still.samples("put/cpu_ns", grown, 10, 1);
        let mut alarms = Alarms::default();
        alarms.add(Where::Here, &judge(&[samples(0.0), samples(0.0)]));
        alarms.add(
            Where::Here,
            &judge(&[samples(0.5), samples(0.5), samples(0.0)]),
        );
        let table = alarms.table();
        let row: Vec<&str> = table.cells()[1].iter().map(String::as_str).collect();
        assert_eq!(row, ["CPU time, here", "2", "1", "3", "2", "0", "0", "0"]);
        assert_eq!(alarms.uncertain_work(), 0);
    }
}

//! Growth that was agreed to: for one metric, up to a share, until a day, with the reason beside it.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::AcceptArgs;
use crate::day::Day;
use crate::exit::{Code, Fault};
use crate::report::write;

/// The file of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedFile {
    #[serde(default)]
    pub accepted: Vec<Accepted>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// As in reports: `put/allocations`.
    pub metric: String,
    pub reason: String,
    /// The last day on which it holds.
    pub until: Day,
    /// Growth over the baseline that it covers.
    pub up_to_percent: f64,
}

impl AcceptedFile {
    /// Reads the file. One that does not exist accepts nothing.
    pub fn load(path: &Path) -> Result<AcceptedFile, Fault> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(AcceptedFile::default()),
            Err(error) => {
                return Err(Fault::usage(format!(
                    "cannot read {}: {error}",
                    path.display()
                )));
            }
        };
        toml::from_str(&text).map_err(|error| Fault::usage(format!("{}: {error}", path.display())))
    }

    /// The entry that covers this growth today.
    pub fn covering(&self, metric: &str, change: f64, today: Day) -> Option<&Accepted> {
        self.accepted.iter().find(|entry| {
            entry.metric == metric && today <= entry.until && change * 100.0 <= entry.up_to_percent
        })
    }

    /// Entries whose time is over.
    pub fn expired(&self, today: Day) -> impl Iterator<Item = &Accepted> {
        self.accepted
            .iter()
            .filter(move |entry| entry.until < today)
    }
}

/// `perf accept`: adds an entry, in place of an older one for the same metric.
pub fn accept(arguments: &AcceptArgs) -> Result<Code, Fault> {
    if arguments.reason.trim().is_empty() {
        return Err(Fault::usage(
            "--reason is empty; say why the growth is worth it",
        ));
    }
    if !arguments.metric.contains('/') {
        return Err(Fault::usage(format!(
            "`{}` is no metric; they look like put/allocations",
            arguments.metric
        )));
    }
    if arguments.until < Day::today() {
        return Err(Fault::usage(format!("--until {} is over", arguments.until)));
    }
    let mut file = AcceptedFile::load(&arguments.file)?;
    file.accepted
        .retain(|entry| entry.metric != arguments.metric);
    file.accepted.push(Accepted {
        metric: arguments.metric.clone(),
        reason: arguments.reason.clone(),
        until: arguments.until,
        up_to_percent: arguments.up_to.0 * 100.0,
    });
    let text = toml::to_string(&file).map_err(Fault::internal)?;
    write(&arguments.file, &text)?;
    println!(
        "{}: growth up to {:.1} % is accepted until {}; commit {}",
        arguments.metric,
        arguments.up_to.0 * 100.0,
        arguments.until,
        arguments.file.display()
    );
    Ok(Code::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_covers_one_metric_up_to_a_share_until_a_day() {
        let file: AcceptedFile = toml::from_str(
            "[[accepted]]\nmetric = 'put/syncs'\nreason = 'safer'\nuntil = '2027-01-31'\nup_to_percent = 10.0\n",
        )
        .unwrap();
        let day = |text: &str| text.parse::<Day>().unwrap();
        let covers =
            |metric: &str, change, on: &str| file.covering(metric, change, day(on)).is_some();
        assert!(covers("put/syncs", 0.1, "2027-01-31"));
        assert!(!covers("put/syncs", 0.11, "2027-01-31"));
        assert!(!covers("put/syncs", f64::INFINITY, "2027-01-31"));
        assert!(!covers("put/syncs", 0.1, "2027-02-01"));
        assert!(!covers("get_hit/syncs", 0.1, "2027-01-31"));
        assert_eq!(file.expired(day("2027-02-01")).count(), 1);
    }
}

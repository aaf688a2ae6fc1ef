//! Suites: which scenarios are measured together, and how, as data in `perf/suites`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::ScenariosArgs;
use crate::exit::Fault;
use crate::filter::Filter;

/// From where the gate is run, as the baseline is.
const FOLDER: &str = "perf/suites";

/// The file of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteFile {
    /// Whom it is for; for readers of the file.
    #[serde(rename = "about")]
    _about: String,
    /// Globs over the scenarios' names.
    scenarios: Vec<String>,
    /// By Callgrind.
    instructions: bool,
    /// Of timed runs, where there are two binaries to compare.
    pairs: Option<u64>,
}

/// What the command line, and the suite that it may name, want measured.
#[derive(Debug)]
pub struct Plan {
    pub filter: Filter,
    pub instructions: bool,
    pub pairs: Option<u64>,
}

impl Plan {
    /// Reads it.
    pub fn of(arguments: &ScenariosArgs) -> Result<Plan, Fault> {
        let Some(name) = &arguments.suite else {
            return Ok(Plan {
                filter: Filter::new(&arguments.filter)?,
                instructions: !arguments.no_instructions,
                pairs: None,
            });
        };
        let path = path(name);
        let suite = load(&path)?;
        if suite.scenarios.is_empty() {
            let shown = path.display();
            return Err(Fault::usage(format!("{shown} names no scenarios")));
        }
        Ok(Plan {
            filter: Filter::new(&suite.scenarios)?,
            instructions: suite.instructions && !arguments.no_instructions,
            pairs: suite.pairs,
        })
    }
}

fn path(name: &str) -> PathBuf {
    if name.contains('/') || name.ends_with(".toml") {
        return PathBuf::from(name);
    }
    Path::new(FOLDER).join(format!("{name}.toml"))
}

fn load(path: &Path) -> Result<SuiteFile, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::usage(format!("no suite is at {shown}; {}", there_are())),
        _ => Fault::usage(format!("cannot read {shown}: {error}")),
    })?;
    toml::from_str(&text).map_err(|error| Fault::usage(format!("{shown}: {error}")))
}

fn there_are() -> String {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries.filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    match names.is_empty() {
        true => format!("there is no {FOLDER} here: run this where the repository begins"),
        false => format!("there are: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use ringkeep_scenarios::SCENARIOS;

    use super::*;
    use crate::gate::blocks_min;

    /// Those of the repository.
    fn suites() -> Vec<(PathBuf, SuiteFile)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
        let files = std::fs::read_dir(folder).expect("the folder");
        let paths = files.map(|file| file.expect("a file").path());
        paths
            .map(|path| (path.clone(), load(&path).expect("a suite")))
            .collect()
    }

    #[test]
    fn every_glob_selects_something_and_every_pair_count_can_find_something() {
        for (path, suite) in suites() {
            let selects = |glob: &String| {
                let filter = Filter::new(std::slice::from_ref(glob)).expect("a glob");
                SCENARIOS.iter().any(|one| filter.matches(one.name))
            };
            assert!(suite.scenarios.iter().all(selects), "{}", path.display());
            let filter = Filter::new(&suite.scenarios).expect("globs");
            let chosen = SCENARIOS.iter().filter(|one| filter.matches(one.name));
            let least = 2 * blocks_min(2 * chosen.count()) as u64;
            let pairs = suite.pairs.unwrap_or(least);
            assert!(pairs >= least, "{}: {pairs} < {least}", path.display());
        }
    }

    #[test]
    fn every_scenario_is_in_the_suite_of_every_commit() {
        let all = suites();
        let commit = all.iter().find(|(path, _)| path.ends_with("commit.toml"));
        let (_, suite) = commit.expect("the suite that CI runs");
        let filter = Filter::new(&suite.scenarios).expect("globs");
        assert!(SCENARIOS.iter().all(|one| filter.matches(one.name)));
    }
}

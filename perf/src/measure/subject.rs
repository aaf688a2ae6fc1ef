//! A binary that can be asked to run scenarios.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ringkeep_scenarios::Outcome;
use serde::Deserialize;

use crate::exit::Fault;

/// A `perf` binary.
#[derive(Debug)]
pub struct Subject {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
}

impl Subject {
    /// The one at `path`; without it this very binary.
    pub fn at(path: Option<&Path>) -> Result<Subject, Fault> {
        let path = match path {
            Some(path) => path
                .canonicalize()
                .map_err(|error| Fault::usage(format!("{}: {error}", path.display())))?,
            None => std::env::current_exe().map_err(Fault::internal)?,
        };
        Ok(Subject { path })
    }

    /// A copy of it.
    pub fn copied_to(&self, path: &Path) -> Result<Subject, Fault> {
        std::fs::copy(&self.path, path).map_err(|error| {
            Fault::usage(format!("cannot copy {}: {error}", self.path.display()))
        })?;
        Ok(Subject {
            path: path.to_path_buf(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of its scenarios.
    pub fn scenarios(&self) -> Result<Vec<String>, Fault> {
        let listed: Vec<Listed> = self.ask(&["scenario"])?;
        Ok(listed.into_iter().map(|listed| listed.name).collect())
    }

    /// One run.
    pub fn outcome(&self, scenario: &str) -> Result<Outcome, Fault> {
        self.ask(&["scenario", scenario])
    }

    /// One run of so many operations.
    pub fn outcome_of(&self, scenario: &str, ops: u64) -> Result<Outcome, Fault> {
        self.ask(&["scenario", scenario, "--ops", &ops.to_string()])
    }

    fn ask<T: for<'a> Deserialize<'a>>(&self, arguments: &[&str]) -> Result<T, Fault> {
        let output = clean(&self.path)
            .args(arguments)
            .output()
            .map_err(|error| {
                Fault::usage(format!("cannot run {}: {error}", self.path.display()))
            })?;
        let what = format!("{} {}", self.path.display(), arguments.join(" "));
        parse(&what, &output)
    }
}

/// A command without environment: its size moves the stack, and with it what aligned copies cost.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// The JSON that a child printed, if it came to its end.
pub fn parse<T: for<'a> Deserialize<'a>>(what: &str, output: &Output) -> Result<T, Fault> {
    if !output.status.success() {
        let how = match (output.status.code(), output.status.signal()) {
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "did not exit".to_owned(),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let said = match last.is_empty() {
            true => "nothing".to_owned(),
            false => last.join(" / "),
        };
        return Err(Fault::internal(format!(
            "{what} {how}; nothing is concluded. It said: {said}"
        )));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Fault::internal(format!("{what} printed no outcome: {error}")))
}

//! Instruction counts by Callgrind.

use std::path::Path;
use std::process::Command;

use ringkeep_scenarios::{Outcome, Toolchain};

use super::subject::{Subject, clean, parse};
use crate::exit::Fault;
use crate::report::Instruments;
use crate::scratch::Scratch;

/// The function whose instructions count, as Callgrind knows it.
const TOGGLE: &str = "--toggle-collect=*measured_part*";

/// Valgrind, installed and of a known version.
#[derive(Debug)]
pub struct Callgrind {
    valgrind: String,
    libc: String,
}

impl Callgrind {
    /// The installed one, or why there is none.
    pub fn find() -> Result<Callgrind, String> {
        let valgrind = first_line("valgrind", &["--version"])
            .ok_or("valgrind is not installed, so instructions are not counted")?;
        let libc = first_line("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_default();
        Ok(Callgrind { valgrind, libc })
    }

    /// What counts made here depend on.
    pub fn instruments(self, toolchain: Toolchain) -> Instruments {
        Instruments {
            valgrind: self.valgrind,
            libc: self.libc,
            toolchain,
        }
    }

    /// Instructions of one run, and what the run itself found.
    pub fn instructions(&self, subject: &Subject, scenario: &str) -> Result<(u64, Outcome), Fault> {
        let scratch = Scratch::temporary()?;
        let file = scratch.path().join("callgrind.out");
        let valgrind = find_program("valgrind")?;
        let output = clean(Path::new(&valgrind))
            .args(["--tool=callgrind", TOGGLE])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(subject.path())
            .args(["scenario", scenario, "--no-clocks"])
            .output()
            .map_err(|error| Fault::internal(format!("cannot run {valgrind}: {error}")))?;
        let what = format!("callgrind on scenario {scenario}");
        let outcome: Outcome = parse(&what, &output)?;
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Fault::internal(format!("{what} left no counts: {error}")))?;
        match total(&text) {
            // A renamed function would otherwise read as the best improvement ever.
            None | Some(0) => Err(Fault::internal(format!(
                "{what} never entered the measured part; was the binary stripped?"
            ))),
            Some(total) => Ok((total, outcome)),
        }
    }
}

fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// Its full path: children have no search path.
fn find_program(name: &str) -> Result<String, Fault> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .map(|file| file.display().to_string())
        .ok_or_else(|| Fault::internal(format!("{name} is gone")))
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn totals_are_found_or_missing() {
        assert_eq!(
            total("events: Ir\nfn=(1)\n12 3\n\ntotals: 345\n"),
            Some(345)
        );
        assert_eq!(total("events: Ir\n12 3\n"), None);
        assert_eq!(total("totals: many\n"), None);
    }
}

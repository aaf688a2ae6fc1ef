//! Suites: files that describe workloads, and what they mean at a given scale.
//!
//! `file` is what people write, `resolve` and `laws` turn it into `Workload`s, `scale` holds every size and duration that
//! a file leaves out. A fault in a file is reported with its place and, for a misspelt word, the likely one.

mod file;
mod laws;
mod near;
mod resolve;
mod scale;

pub use file::SuiteFile;
pub use near::nearest;
pub use resolve::Overrides;
pub use scale::Scale;

use crate::workload::{SpecError, Workload};

/// A suite that has been read and checked.
#[derive(Clone, Debug)]
pub struct Suite {
    file: SuiteFile,
}

impl Suite {
    /// Reads the text of a suite file; `place` names it in messages. Each `set` is a `path=value` that replaces
    /// one entry, with tables of a list addressed by their id or name: `dataset.kv.keys=1M`.
    pub fn parse(place: &str, text: &str, set: &[String]) -> Result<Suite, SpecError> {
        let fault = |error: toml::de::Error| {
            SpecError(format!("{place}: {}", near::explain(&error.to_string())))
        };
        let file: SuiteFile = if set.is_empty() {
            toml::from_str(text).map_err(fault)?
        } else {
            let mut table: toml::Table = toml::from_str(text).map_err(fault)?;
            for assignment in set {
                file::assign(&mut table, assignment)
                    .map_err(|message| SpecError(format!("{place}: {message}")))?;
            }
            table.try_into().map_err(fault)?
        };
        let suite = Suite { file };
        // Every fault in a file is found before any of it runs, whatever the filter selects.
        suite
            .workloads(Scale::Quick, &Overrides::default())
            .map_err(|error| SpecError(format!("{place}: {error}")))?;
        Ok(suite)
    }

    /// The suite's name.
    pub fn name(&self) -> &str {
        &self.file.suite.name
    }

    /// What it is for.
    pub fn about(&self) -> &str {
        &self.file.suite.about
    }

    /// All its workloads, in the order of the file, at this scale.
    pub fn workloads(
        &self,
        scale: Scale,
        overrides: &Overrides,
    ) -> Result<Vec<Workload>, SpecError> {
        resolve::workloads(&self.file, scale, overrides)
    }
}

//! Which scenarios are meant: globs over their names.

use globset::{Glob, GlobMatcher};

use crate::exit::Fault;

/// Globs, of which any may select; none selects all.
#[derive(Debug)]
pub struct Filter {
    globs: Vec<GlobMatcher>,
    patterns: Vec<String>,
}

impl Filter {
    /// Reads the patterns.
    pub fn new(patterns: &[String]) -> Result<Filter, Fault> {
        let compile = |pattern: &String| {
            Glob::new(pattern)
                .map(|glob| glob.compile_matcher())
                .map_err(|error| Fault::usage(format!("--filter `{pattern}`: {error}")))
        };
        Ok(Filter {
            globs: patterns.iter().map(compile).collect::<Result<_, _>>()?,
            patterns: patterns.to_vec(),
        })
    }

    /// Is `name` meant?
    pub fn matches(&self, name: &str) -> bool {
        self.globs.is_empty() || self.globs.iter().any(|glob| glob.is_match(name))
    }

    /// Those that are meant. A filter that selects nothing is a mistake and never a pass.
    pub fn select(&self, names: Vec<String>) -> Result<Vec<String>, Fault> {
        let all = names.join(", ");
        let selected: Vec<String> = names
            .into_iter()
            .filter(|name| self.matches(name))
            .collect();
        match selected.is_empty() {
            true => Err(Fault::usage(format!(
                "--filter {} matches no scenario; there are: {all}",
                self.patterns.join(", ")
            ))),
            false => Ok(selected),
        }
    }
}

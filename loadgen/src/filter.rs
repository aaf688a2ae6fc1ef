//! Which workloads are meant: globs over slash-separated names.

use globset::{GlobBuilder, GlobMatcher};
use ringkeep_bench::suite::nearest;

use crate::exit::Fault;

/// Patterns, of which any may select and none may exclude.
#[derive(Debug)]
pub struct Filter {
    selecting: Vec<GlobMatcher>,
    excluding: Vec<GlobMatcher>,
    patterns: Vec<String>,
}

impl Filter {
    /// Reads the patterns; `!` in front excludes. Without a selecting one everything is selected. `*` stays
    /// within a word between slashes, `**` does not.
    pub fn new(patterns: &[String]) -> Result<Filter, Fault> {
        let mut filter = Filter {
            selecting: Vec::new(),
            excluding: Vec::new(),
            patterns: patterns.to_vec(),
        };
        for pattern in patterns {
            let (list, glob) = match pattern.strip_prefix('!') {
                Some(rest) => (&mut filter.excluding, rest),
                None => (&mut filter.selecting, pattern.as_str()),
            };
            let glob = GlobBuilder::new(glob)
                .literal_separator(true)
                .build()
                .map_err(|error| Fault::usage(format!("--filter `{pattern}`: {error}")))?;
            list.push(glob.compile_matcher());
        }
        Ok(filter)
    }

    /// Is `name` meant?
    pub fn matches(&self, name: &str) -> bool {
        let selected =
            self.selecting.is_empty() || self.selecting.iter().any(|glob| glob.is_match(name));
        selected && !self.excluding.iter().any(|glob| glob.is_match(name))
    }

    /// The fault of matching nothing: a filter that silently matches nothing is a green light for no work.
    pub fn matched_nothing(&self, names: &[String]) -> Fault {
        let mut message = format!("no workload matches {}", self.patterns.join(" "));
        let near: Vec<&str> = self
            .patterns
            .iter()
            .filter(|pattern| !pattern.starts_with('!'))
            .flat_map(|pattern| {
                nearest(
                    pattern.trim_matches(['*', '/']),
                    names.iter().map(String::as_str),
                    3,
                )
            })
            .collect();
        if near.is_empty() {
            message.push_str("; `loadgen list` shows them all");
        } else {
            message.push_str("; near it:");
            for name in near {
                message.push_str("\n  ");
                message.push_str(name);
            }
        }
        Fault::usage(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected<'n>(patterns: &[&str], names: &[&'n str]) -> Vec<&'n str> {
        let patterns: Vec<String> = patterns.iter().map(|p| p.to_string()).collect();
        let filter = Filter::new(&patterns).unwrap();
        names
            .iter()
            .copied()
            .filter(|name| filter.matches(name))
            .collect()
    }

    #[test]
    fn globs_select_and_exclude() {
        let names = ["ycsb/a", "ycsb/b", "bench/load/x", "bench/load/x/theta=0"];
        assert_eq!(selected(&[], &names), names);
        assert_eq!(selected(&["ycsb/*"], &names), ["ycsb/a", "ycsb/b"]);
        assert_eq!(selected(&["ycsb/*", "!*/b"], &names), ["ycsb/a"]);
        assert_eq!(selected(&["!ycsb/*"], &names), names[2..]);
        assert_eq!(selected(&["bench/load/x"], &names), ["bench/load/x"]);
        assert_eq!(selected(&["bench/**"], &names), names[2..]);
        assert_eq!(
            selected(&["ycsb/a", "bench/*/x"], &names),
            ["ycsb/a", "bench/load/x"]
        );
    }

    #[test]
    fn a_near_miss_is_named() {
        let filter = Filter::new(&["ycbs/a".to_string()]).unwrap();
        let fault = filter.matched_nothing(&["ycsb/a".to_string(), "dbbench/fillseq".to_string()]);
        assert!(fault.to_string().ends_with("near it:\n  ycsb/a"), "{fault}");
        assert_eq!(fault.code, crate::exit::Code::Usage);
    }
}

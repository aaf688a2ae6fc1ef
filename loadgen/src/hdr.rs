//! `loadgen hdr`: interval logs of this and other tools.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use ringkeep_bench::quantity::Span;
use ringkeep_bench::report::hlog::{LogEntry, read_log};
use ringkeep_bench::report::samples_needed;
use ringkeep_bench::report::table::Table;

use crate::cli::HdrArgs;
use crate::exit::{Code, Fault};
use crate::outputs::print;

const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 0.9999];

/// Prints the percentiles of each tag, and merges files if asked to.
pub fn hdr(arguments: &HdrArgs) -> Result<Code, Fault> {
    let wanted = globs(&arguments.tag)?;
    let mut all: Vec<LogEntry> = Vec::new();
    for path in &arguments.logs {
        let fault = |error: String| Fault::usage(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        all.extend(read_log(&text).map_err(fault)?);
    }
    all.retain(|entry| {
        wanted
            .as_ref()
            .is_none_or(|globs| globs.is_match(&entry.tag))
    });
    if all.is_empty() {
        return Err(Fault::usage(
            "nothing matches: no interval, or no tag like --tag; without it all tags are shown",
        ));
    }
    if let Some(path) = &arguments.merge {
        merge(path, &mut all)?;
    }
    let mut tags: BTreeMap<&str, (usize, _)> = BTreeMap::new();
    for entry in &all {
        let (intervals, sum) = tags
            .entry(&entry.tag)
            .or_insert_with(|| (0, ringkeep_bench::recorder::histogram()));
        *intervals += 1;
        ringkeep_bench::recorder::add(sum, &entry.histogram);
    }
    let mut table = Table::new([
        "tag",
        "intervals",
        "count",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "max",
    ]);
    for (tag, (intervals, sum)) in &tags {
        let ns = |ns: u64| Span { ns }.to_string();
        let mut row = vec![
            if tag.is_empty() { "(no tag)" } else { tag }.to_string(),
            intervals.to_string(),
            sum.len().to_string(),
            ns(sum.mean() as u64),
        ];
        row.extend(QUANTILES.map(|q| match sum.len() >= samples_needed(q) {
            true => ns(sum.value_at_quantile(q)),
            false => format!("+{}", samples_needed(q) - sum.len()),
        }));
        row.push(ns(sum.max()));
        table.row(row);
    }
    print(&table.text(""))?;
    Ok(Code::Done)
}

fn globs(patterns: &[String]) -> Result<Option<GlobSet>, Fault> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern)
            .map_err(|error| Fault::usage(format!("--tag `{pattern}`: {error}")))?;
        set.add(glob);
    }
    set.build().map(Some).map_err(Fault::usage)
}

/// All intervals in one file, in the order of time.
fn merge(path: &Path, all: &mut [LogEntry]) -> Result<(), Fault> {
    if path.exists() {
        return Err(Fault::usage(format!(
            "{} exists; name a new file",
            path.display()
        )));
    }
    all.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let mut text = String::from("#[Merged by loadgen]\n#[Histogram log format version 1.3]\n");
    text.push_str(
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
    );
    for entry in all.iter() {
        let tag = match entry.tag.as_str() {
            "" => String::new(),
            tag => format!("Tag={tag},"),
        };
        let _ = writeln!(
            text,
            "{tag}{:.3},{:.3},{:.3},{}",
            entry.start_s, entry.length_s, entry.max, entry.encoded
        );
    }
    std::fs::write(path, text)
        .map_err(|error| Fault::usage(format!("cannot write {}: {error}", path.display())))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

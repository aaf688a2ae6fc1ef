//! Reports on disk. Whatever is wrong with a file is said, and none of it reads as an empty report.

use std::io::ErrorKind;
use std::path::Path;

use super::Report;
use crate::exit::{Code, Fault};

/// Reads a report.
pub fn load(path: &Path) -> Result<Report, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::new(
            Code::NoBaseline,
            format!(
                "{shown} does not exist; `perf baseline export` makes a baseline, `perf run --out` saves a run"
            ),
        ),
        _ => Fault::usage(format!("cannot read {shown}: {error}")),
    })?;
    let broken = |why: String| {
        Fault::usage(format!(
            "{shown} is not a whole report ({why}); restore it from version control or make it anew"
        ))
    };
    let report: Report = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    if report.kind != Report::KIND {
        return Err(broken(format!("it is a `{}`", report.kind)));
    }
    if report.schema_version != Report::SCHEMA_VERSION {
        return Err(broken(format!(
            "schema version {}, and this perf reads {}",
            report.schema_version,
            Report::SCHEMA_VERSION
        )));
    }
    if report.scenarios.is_empty() {
        return Err(broken("it holds no scenarios".to_owned()));
    }
    for (name, scenario) in &report.scenarios {
        if scenario.metrics.is_empty() || scenario.metrics.values().any(|metric| metric.per == 0) {
            return Err(broken(format!("{name} has no usable metrics")));
        }
    }
    Ok(report)
}

/// Writes one, whole or not at all.
pub fn save(report: &Report, path: &Path) -> Result<(), Fault> {
    let text = serde_json::to_string_pretty(report).map_err(Fault::internal)? + "\n";
    write(path, &text)
}

/// Writes a text file, whole or not at all.
pub fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let cannot =
        |error: std::io::Error| Fault::usage(format!("cannot write {}: {error}", path.display()));
    let Some(name) = path.file_name() else {
        return Err(Fault::usage(format!("{} names no file", path.display())));
    };
    let mut draft_name = name.to_os_string();
    draft_name.push(".new");
    let draft = path.with_file_name(draft_name);
    std::fs::write(&draft, text).map_err(cannot)?;
    std::fs::rename(&draft, path).map_err(cannot)
}

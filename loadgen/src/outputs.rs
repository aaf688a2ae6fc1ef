//! Where reports go: the terminal, and a directory that holds nothing else.

use std::path::{Path, PathBuf};

use ringkeep_bench::report::{IntervalLog, Report, html, intervals_csv, junit, markdown, table};

use crate::benchmarks;
use crate::cli::Format;
use crate::exit::Fault;

/// Every format that makes a file.
const FILES: [Format; 6] = [
    Format::Json,
    Format::Html,
    Format::Hlog,
    Format::Csv,
    Format::Md,
    Format::Junit,
];

/// What to write and where.
#[derive(Debug)]
pub struct Outputs {
    formats: Vec<Format>,
    dir: Option<PathBuf>,
}

impl Outputs {
    /// Checks that nothing would be overwritten, before any load.
    pub fn new(formats: &[Format], dir: Option<&Path>) -> Result<Outputs, Fault> {
        if let Some(dir) = dir {
            let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
            if occupied {
                return Err(Fault::usage(format!(
                    "{} is not empty; reports go to a directory of their own: name a new one",
                    dir.display()
                )));
            }
            std::fs::create_dir_all(dir).map_err(|error| {
                Fault::usage(format!("cannot write to {}: {error}", dir.display()))
            })?;
        }
        let formats = match (formats, dir) {
            ([], None) => vec![Format::Table],
            ([], Some(_)) => std::iter::once(Format::Table).chain(FILES).collect(),
            (formats, _) => formats.to_vec(),
        };
        Ok(Outputs {
            formats,
            dir: dir.map(Path::to_path_buf),
        })
    }

    /// Writes the report in every format asked for: to its file, or to the terminal without a directory.
    pub fn write(&self, report: &Report, log: Option<&IntervalLog>) -> Result<(), Fault> {
        // All of them first: a format that cannot be had leaves no folder with half of the rest.
        let texts: Vec<(&str, String)> = self
            .formats
            .iter()
            .map(|&format| render(format, report, log))
            .collect::<Result<_, Fault>>()?;
        for (&format, (name, text)) in self.formats.iter().zip(texts) {
            match (&self.dir, format) {
                (_, Format::Table) | (None, _) => print(&text)?,
                (Some(dir), _) => {
                    let path = dir.join(name);
                    std::fs::write(&path, text).map_err(|error| {
                        Fault::internal(format!("cannot write {}: {error}", path.display()))
                    })?;
                    eprintln!("wrote {}", path.display());
                }
            }
        }
        Ok(())
    }
}

fn render(
    format: Format,
    report: &Report,
    log: Option<&IntervalLog>,
) -> Result<(&'static str, String), Fault> {
    Ok(match (format, log) {
        (Format::Table, _) => ("report.txt", table::report_text(report)),
        (Format::Json, _) => ("report.json", report.to_json()),
        (Format::Html, _) => ("report.html", html(report)),
        (Format::Csv, _) => ("intervals.csv", intervals_csv(report)),
        (Format::Md, _) => ("report.md", markdown(report)),
        (Format::Junit, _) => ("junit.xml", junit(report)),
        (Format::Benchmarks, _) => ("benchmarks.md", benchmarks::page(report)?),
        (Format::Hlog, Some(log)) => ("report.hlog", log.text()),
        (Format::Hlog, None) => {
            return Err(Fault::usage(
                "an interval log can only be written by the run itself: use --out with `run`",
            ));
        }
    })
}

/// To standard output; a reader that has gone away (`| head`) is no fault.
pub fn print(text: &str) -> Result<(), Fault> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Fault::internal(error)),
        _ => Ok(()),
    }
}

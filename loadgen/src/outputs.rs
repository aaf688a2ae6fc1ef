//! Where reports go: the terminal, and a directory that holds nothing else.

use std::path::{Path, PathBuf};

use ringkeep_bench::report::Report;
use ringkeep_bench::report::table;

use crate::cli::Format;
use crate::exit::Fault;

const FILES: [Format; 1] = [Format::Json];

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
    pub fn write(&self, report: &Report) -> Result<(), Fault> {
        for &format in &self.formats {
            let (name, text) = rendered(format, report);
            match (&self.dir, format) {
                (_, Format::Table) | (None, _) => print!("{text}"),
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

fn rendered(format: Format, report: &Report) -> (&'static str, String) {
    match format {
        Format::Table => ("report.txt", table::report_text(report)),
        Format::Json => ("report.json", report.to_json()),
        _ => ("report.txt", table::report_text(report)),
    }
}

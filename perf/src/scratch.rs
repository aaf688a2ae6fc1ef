//! A directory for scratch files: never one with somebody else's files in it, and gone afterwards.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::exit::Fault;

/// A directory that is emptied, and removed if it was made here, when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    made: bool,
}

impl Scratch {
    /// At `path`, which must be new or empty; without one a fresh directory for temporary files.
    pub fn at(path: Option<&Path>) -> Result<Scratch, Fault> {
        match path {
            Some(path) => Scratch::named(path),
            None => Scratch::temporary(),
        }
    }

    /// A fresh directory under the system's one for temporary files.
    pub fn temporary() -> Result<Scratch, Fault> {
        let base = std::env::temp_dir();
        for attempt in 0..100 {
            let path = base.join(format!("ringkeep-perf-{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Scratch { path, made: true }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Fault::usage(format!(
                        "cannot make a directory in {}: {error}; set TMPDIR to one that can be written",
                        base.display()
                    )));
                }
            }
        }
        Err(Fault::usage(format!(
            "{} is full of old ringkeep-perf directories; remove them",
            base.display()
        )))
    }

    fn named(path: &Path) -> Result<Scratch, Fault> {
        let cannot =
            |error: std::io::Error| Fault::usage(format!("cannot use {}: {error}", path.display()));
        let path = path.to_path_buf();
        match fs::read_dir(&path) {
            Ok(mut entries) => match entries.next() {
                Some(_) => Err(Fault::usage(format!(
                    "{} is not empty; name a new or an empty directory with --dir",
                    path.display()
                ))),
                None => Ok(Scratch { path, made: false }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir(&path).map_err(cannot)?;
                Ok(Scratch { path, made: true })
            }
            Err(error) => Err(cannot(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_dir_all(&self.path);
            return;
        }
        // It was empty when we came, and only files are made in it.
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_anybody_elses_is_touched() {
        let outer = Scratch::temporary().unwrap();
        let full = outer.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("precious"), "x").unwrap();
        let fault = Scratch::at(Some(&full)).unwrap_err();
        assert!(fault.to_string().contains("is not empty"), "{fault}");
        assert_eq!(fs::read_to_string(full.join("precious")).unwrap(), "x");
        assert!(Scratch::at(Some(&full.join("precious"))).is_err());
        assert!(Scratch::at(Some(Path::new("/no/such/parent"))).is_err());
    }

    #[test]
    fn nothing_is_left() {
        let outer = Scratch::temporary().unwrap();
        let new = outer.path().join("new");
        drop(Scratch::at(Some(&new)).unwrap());
        assert!(!new.exists());
        let empty = outer.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let scratch = Scratch::at(Some(&empty)).unwrap();
        fs::write(scratch.path().join("file"), "x").unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
        let path = outer.path().to_path_buf();
        drop(outer);
        assert!(!path.exists());
    }
}

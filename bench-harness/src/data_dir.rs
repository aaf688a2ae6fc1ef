//! The directory of a run: made by the run, removed by the run, and nothing else ever touched.

use std::path::{Path, PathBuf};

use crate::environment::{disk_bytes, free_bytes};
use crate::quantity::Size;

/// A directory that this process created. Removed with its contents when dropped, unless kept.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The topmost directory that had to be made; what `drop` removes.
    made: Option<PathBuf>,
    keep: bool,
}

/// Tells a later look that the contents are a benchmark's.
const MARKER: &str = "loadgen-data";

impl DataDir {
    /// A fresh directory under the system's directory for temporary files.
    pub fn temporary() -> Result<DataDir, String> {
        let base = std::env::temp_dir();
        for attempt in 0..100 {
            let path = base.join(format!("ringkeep-loadgen-{}-{attempt}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return DataDir::marked(path.clone(), Some(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(format!(
                        "cannot make a directory in {}: {error}; name another one with --dir",
                        base.display()
                    ));
                }
            }
        }
        Err(format!(
            "{} is full of old loadgen directories; remove them",
            base.display()
        ))
    }

    /// The directory at `path`, which must not exist or be empty.
    pub fn at(path: &Path) -> Result<DataDir, String> {
        let cannot = |error: std::io::Error| format!("cannot use {}: {error}", path.display());
        match std::fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                Some(_) => Err(format!(
                    "{} is not empty; loadgen only writes to directories of its own: name a new or an empty one",
                    path.display()
                )),
                // Someone else's directory is left where it was; only what is put in it goes.
                None => DataDir::marked(path.to_path_buf(), None),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir(path).map_err(cannot)?;
                DataDir::marked(path.to_path_buf(), Some(path.to_path_buf()))
            }
            Err(error) => Err(cannot(error)),
        }
    }

    /// The directory at `path`, new, empty, or left by an earlier run of this program. It stays.
    pub fn reused(path: &Path) -> Result<DataDir, String> {
        let mut dir = match path.join(MARKER).exists() {
            true => DataDir::marked(path.to_path_buf(), None),
            false => DataDir::at(path),
        }?;
        dir.keep();
        Ok(dir)
    }

    fn marked(path: PathBuf, made: Option<PathBuf>) -> Result<DataDir, String> {
        let dir = DataDir {
            path,
            made,
            keep: false,
        };
        let text = "Written by loadgen, which removes it after the run unless told to keep it.\n";
        std::fs::write(dir.path.join(MARKER), text)
            .map_err(|error| format!("cannot write to {}: {error}", dir.path.display()))?;
        Ok(dir)
    }

    /// Another hold on the same directory, which removes nothing.
    pub fn share(&self) -> DataDir {
        DataDir {
            path: self.path.clone(),
            made: None,
            keep: true,
        }
    }

    /// Leaves everything in place at the end.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new, empty directory inside.
    pub fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        std::fs::create_dir(&path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(path)
    }

    /// Removes a directory made by `fresh`.
    pub fn clear(&self, path: &Path) {
        assert!(path.starts_with(&self.path) && path != self.path);
        if !self.keep {
            let _ = std::fs::remove_dir_all(path);
        }
    }

    /// Bytes in use by what is inside.
    pub fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.path)
    }

    /// An error unless `needed` bytes are free here.
    pub fn must_hold(&self, needed: u64, what: &str) -> Result<(), String> {
        let free = free_bytes(&self.path);
        match needed <= free {
            true => Ok(()),
            false => Err(format!(
                "{what} needs about {} and {} has {} free; choose a smaller --size or another --dir",
                Size { bytes: needed },
                self.path.display(),
                Size { bytes: free },
            )),
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        match &self.made {
            Some(made) => {
                let _ = std::fs::remove_dir_all(made);
            }
            None => {
                // It was empty when we came, so everything in it is ours.
                for entry in std::fs::read_dir(&self.path)
                    .into_iter()
                    .flatten()
                    .flatten()
                {
                    let path = entry.path();
                    let _ = match entry.file_type() {
                        Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(path),
                        _ => std::fs::remove_file(path),
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_leaves_nothing_behind() {
        let path = {
            let dir = DataDir::temporary().unwrap();
            std::fs::write(dir.fresh("target").unwrap().join("file"), "data").unwrap();
            dir.path().to_path_buf()
        };
        assert!(!path.exists());
    }

    #[test]
    fn what_was_there_is_never_touched() {
        let outer = DataDir::temporary().unwrap();
        let full = outer.fresh("full").unwrap();
        std::fs::write(full.join("precious"), "x").unwrap();
        let message = DataDir::at(&full).unwrap_err();
        assert!(message.contains("is not empty"), "{message}");
        assert_eq!(std::fs::read_to_string(full.join("precious")).unwrap(), "x");

        let empty = outer.fresh("empty").unwrap();
        drop(DataDir::at(&empty).unwrap());
        assert!(empty.exists() && std::fs::read_dir(&empty).unwrap().next().is_none());

        let new = outer.path().join("new");
        drop(DataDir::at(&new).unwrap());
        assert!(!new.exists());
        assert!(DataDir::at(&outer.path().join("no/such/parent")).is_err());
    }

    #[test]
    fn only_a_directory_of_loadgens_is_reused() {
        let outer = DataDir::temporary().unwrap();
        let path = outer.path().join("kept");
        drop(DataDir::reused(&path).unwrap());
        std::fs::create_dir(path.join("ringkeep-1")).unwrap();
        drop(DataDir::reused(&path).unwrap());
        assert!(path.join("ringkeep-1").exists());
        let other = outer.fresh("other").unwrap();
        std::fs::write(other.join("precious"), "x").unwrap();
        assert!(
            DataDir::reused(&other)
                .unwrap_err()
                .contains("is not empty")
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let dir = DataDir::temporary().unwrap();
        assert!(dir.must_hold(1, "a byte").is_ok());
        assert!(
            dir.must_hold(u64::MAX, "everything")
                .unwrap_err()
                .contains("--size")
        );
    }
}

//! Which blob files have a descriptor. There may be many more of them than a process may have open: one for each flush, until they
//! are collected. So few are kept open, the ones that were read last, and another one is opened for its read.

use std::cell::RefCell;
use std::collections::VecDeque;

use ringkeep_io::{Directory, File, OpenMode};

use super::{BlobId, blob_name};
use crate::error::Result;
use crate::superblock::missing_or;

/// Of one shard. To open a file takes a small part of the time of a read that the device serves.
const OPEN_MAX: usize = 32;

/// The open ones of a shard, those that were read last at the end.
pub(super) struct OpenFiles {
    directory: Directory,
    open: RefCell<VecDeque<(BlobId, File)>>,
}

impl OpenFiles {
    pub fn of(directory: &Directory) -> OpenFiles {
        OpenFiles {
            directory: directory.clone(),
            open: RefCell::default(),
        }
    }

    pub fn file(&self, id: BlobId) -> Result<File> {
        if let Some(file) = self.take(id) {
            self.keep(id, file.clone());
            return Ok(file);
        }
        let name = blob_name(id);
        let open = || self.directory.open(&name, OpenMode::Read);
        // Once more, as a read that failed.
        let file = open().or_else(|_| open());
        let file = file.map_err(|e| missing_or(e, &name))?;
        self.keep(id, file.clone());
        Ok(file)
    }

    /// As the one that was read last.
    pub fn keep(&self, id: BlobId, file: File) {
        let mut open = self.open.borrow_mut();
        open.push_back((id, file));
        if open.len() > OPEN_MAX {
            open.pop_front();
        }
    }

    pub fn forget(&self, id: BlobId) {
        self.take(id);
    }

    fn take(&self, id: BlobId) -> Option<File> {
        let mut open = self.open.borrow_mut();
        let at = open.iter().rposition(|(other, _)| *other == id)?;
        open.remove(at).map(|(_, file)| file)
    }
}

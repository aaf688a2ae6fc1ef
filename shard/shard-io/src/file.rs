//! An open file. Closes with its last clone, and never while an operation is in flight on it.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use crate::io::Inner;
use crate::memory::MemoryFile;
use crate::simulated::SimulatedFile;
use crate::system;
use crate::{Doing, IoError, Result};

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// Existing, for reading.
    Read,
    /// Existing, for reading and writing.
    ReadWrite,
    /// New: an existing name is an error. Mode 0600, for reading and writing.
    CreateNew,
}

/// An open file; clones share it.
#[derive(Clone)]
pub struct File(Rc<Place>);

enum Place {
    Kernel(KernelFile),
    Simulated(SimulatedFile),
    Memory(Arc<MemoryFile>),
}

pub(crate) struct KernelFile {
    /// There until the file is dropped.
    pub fd: Option<OwnedFd>,
    /// Its place in the fixed-file table of `owner`'s ring.
    pub slot: Option<u32>,
    pub owner: Weak<Inner>,
    pub owner_id: u64,
    /// Direct transfers start at multiples of this; 1 when buffered.
    pub alignment: usize,
    pub explicit_sync: bool,
}

impl Drop for KernelFile {
    fn drop(&mut self) {
        // An owner that is gone has emptied its whole table.
        let Some(owner) = self.owner.upgrade() else {
            return;
        };
        if let Some(slot) = self.slot {
            owner.release_slot(slot);
        }
        if let Some(fd) = self.fd.take() {
            owner.close(fd);
        }
    }
}

impl KernelFile {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_ref().expect("taken in drop only").as_fd()
    }
}

impl File {
    pub(crate) fn kernel(file: KernelFile) -> File {
        File(Rc::new(Place::Kernel(file)))
    }

    pub(crate) fn simulated(file: SimulatedFile) -> File {
        File(Rc::new(Place::Simulated(file)))
    }

    pub(crate) fn memory(file: Arc<MemoryFile>) -> File {
        File(Rc::new(Place::Memory(file)))
    }

    /// Size in bytes. Blocks: for opening and recovery only.
    pub fn size(&self) -> Result<u64> {
        match &*self.0 {
            Place::Kernel(file) => system::size(file.fd()).map_err(failed(Doing::Stat)),
            Place::Simulated(file) => file.size(),
            Place::Memory(file) => Ok(file.size()),
        }
    }

    /// Reserves space for the first `bytes` bytes and extends the file to them, where the file system can. Blocks.
    pub fn allocate(&self, bytes: u64) -> Result<()> {
        match &*self.0 {
            Place::Kernel(file) => match system::allocate(file.fd(), bytes) {
                Err(libc::EOPNOTSUPP | libc::ENOSYS) => Ok(()),
                answer => answer.map_err(failed(Doing::Allocate)),
            },
            Place::Simulated(file) => file.allocate(bytes),
            Place::Memory(file) => {
                let full = failed(Doing::Allocate)(libc::ENOSPC);
                file.allocate(bytes).map_err(|_| full)
            }
        }
    }

    /// Cuts or extends the file. Durable after the next sync. Blocks.
    pub fn truncate(&self, bytes: u64) -> Result<()> {
        match &*self.0 {
            Place::Kernel(file) => {
                system::truncate(file.fd(), bytes).map_err(failed(Doing::Allocate))
            }
            Place::Simulated(file) => file.truncate(bytes),
            Place::Memory(file) => {
                file.truncate(bytes);
                Ok(())
            }
        }
    }

    pub(crate) fn alignment(&self) -> usize {
        match &*self.0 {
            Place::Kernel(file) => file.alignment,
            Place::Simulated(_) => crate::simulated::SECTOR,
            Place::Memory(_) => 1,
        }
    }

    pub(crate) fn explicit_sync(&self) -> bool {
        match &*self.0 {
            Place::Kernel(file) => file.explicit_sync,
            Place::Simulated(_) | Place::Memory(_) => false,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &*self.0 {
            Place::Kernel(file) => file.fd(),
            Place::Simulated(_) => panic!("a file of the simulated disk is used with a real Io"),
            Place::Memory(_) => panic!("a file in memory is used with a real Io"),
        }
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.fd().as_raw_fd()
    }

    pub(crate) fn slot(&self, io: u64) -> Option<u32> {
        match &*self.0 {
            Place::Kernel(file) if file.owner_id == io => file.slot,
            _ => None,
        }
    }

    pub(crate) fn in_simulation(&self) -> &SimulatedFile {
        match &*self.0 {
            Place::Simulated(file) => file,
            _ => panic!("another file is used with the simulated disk"),
        }
    }

    pub(crate) fn in_memory(&self) -> &Arc<MemoryFile> {
        match &*self.0 {
            Place::Memory(file) => file,
            _ => panic!("another file is used with files in memory"),
        }
    }
}

pub(crate) fn failed(doing: Doing) -> impl Fn(i32) -> IoError {
    move |errno| IoError::new(errno, doing)
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Place::Kernel(file) => f.debug_tuple("File").field(&file.fd()).finish(),
            Place::Simulated(_) => f.write_str("File(simulated)"),
            Place::Memory(_) => f.write_str("File(memory)"),
        }
    }
}

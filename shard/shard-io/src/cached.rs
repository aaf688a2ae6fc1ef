//! A small file in the kernel's page cache. What a write has put there when it returns outlives the process, and may be
//! lost with the power, in any sectors and any order.
//!
//! Unlike all else behind the door it is written by the call itself, which copies memory and waits for no device.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;

use crate::simulated::SimulatedFile;
use crate::{Doing, IoError, Result};

/// A file that is read and written through the page cache, at any byte.
pub struct CachedFile(Place);

enum Place {
    Kernel(fs::File),
    Simulated(SimulatedFile),
}

impl CachedFile {
    pub(crate) fn kernel(file: fs::File) -> CachedFile {
        CachedFile(Place::Kernel(file))
    }

    pub(crate) fn simulated(file: SimulatedFile) -> CachedFile {
        CachedFile(Place::Simulated(file))
    }

    /// Puts all of `bytes` at `offset`. When it fails, any part of them may be there.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        match &self.0 {
            Place::Kernel(file) => file
                .write_all_at(bytes, offset)
                .map_err(failed(Doing::Store)),
            Place::Simulated(file) => file.store(offset, bytes),
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> Result<u64> {
        match &self.0 {
            Place::Kernel(file) => match file.metadata() {
                Ok(facts) => Ok(facts.len()),
                Err(error) => Err(failed(Doing::Stat)(error)),
            },
            Place::Simulated(file) => file.size(),
        }
    }

    /// What is in its first `most` bytes, as far as it goes. Blocks: for opening only.
    pub fn read(&self, most: usize) -> Result<Vec<u8>> {
        let bytes = self.size()?.min(most as u64) as usize;
        match &self.0 {
            Place::Kernel(file) => {
                let mut content = vec![0; bytes];
                let read = file.read_exact_at(&mut content, 0);
                read.map_err(failed(Doing::Read)).map(|()| content)
            }
            Place::Simulated(file) => file.load(bytes),
        }
    }
}

/// A write of nothing where something was asked for has no number of its own.
fn failed(doing: Doing) -> impl Fn(io::Error) -> IoError {
    move |error| IoError::new(error.raw_os_error().unwrap_or(libc::EIO), doing)
}

impl fmt::Debug for CachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedFile").finish()
    }
}

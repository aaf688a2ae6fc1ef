//! Files in memory, and the door to them: the same engine without a device. Nothing here outlives the last
//! handle to the disk.

mod door;
mod inode;
mod namespace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use door::MemoryDoor;
pub(crate) use inode::Inode as MemoryFile;
pub(crate) use namespace::MemoryDirectory;

/// A disk that is memory of this process; clones share it. Full at a limit, as any disk.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    root: MemoryDirectory,
}

impl MemoryDisk {
    /// An empty one. Its files may take so many bytes.
    pub fn new(bytes_max: u64) -> MemoryDisk {
        let space = Arc::new(Space {
            used: AtomicU64::new(0),
            bytes_max,
        });
        MemoryDisk {
            root: MemoryDirectory::new(space),
        }
    }

    /// Bytes that its files take.
    pub fn used_bytes(&self) -> u64 {
        self.root.space().used.load(Ordering::Relaxed)
    }
}

/// What all files share.
#[derive(Debug)]
pub(crate) struct Space {
    used: AtomicU64,
    bytes_max: u64,
}

impl Space {
    /// Takes room for so many bytes; false when there is not as much.
    fn take(&self, bytes: u64) -> bool {
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.used.fetch_update(set, fetch, more).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn free_bytes(&self) -> u64 {
        self.bytes_max - self.used.load(Ordering::Relaxed)
    }
}

//! What went wrong, while doing what, and what the operator can do about it.

use std::fmt;

use crate::FileSystem;

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, IoError>;

/// An errno together with what was being done. `Display` says both in words, with advice where there is some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IoError {
    /// The kernel's error number, positive.
    pub errno: i32,
    /// What was being done.
    pub doing: Doing,
}

/// What was being done when an error came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Doing {
    /// Opening an existing file or directory.
    Open,
    /// Opening for direct I/O on a file system where that is refused or not known to be safe.
    OpenDirect(FileSystem),
    /// Creating a file or directory.
    Create,
    /// Removing a file.
    Remove,
    /// Renaming a file.
    Rename,
    /// Listing a directory.
    List,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Writing to a file in the page cache.
    Store,
    /// Making a file's data durable.
    Sync,
    /// Making a directory's entries durable.
    SyncDirectory,
    /// Reserving or releasing space of a file.
    Allocate,
    /// Asking for a size or for free space.
    Stat,
    /// Setting up the door to the kernel itself.
    Setup,
}

impl IoError {
    /// An error with what was being done.
    pub const fn new(errno: i32, doing: Doing) -> IoError {
        IoError { errno, doing }
    }

    /// No room: the disk, the quota or the file size limit is exhausted. Nothing is broken; try again when there is space.
    pub fn is_full(&self) -> bool {
        matches!(self.errno, libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
    }

    /// The name does not exist.
    pub fn is_missing(&self) -> bool {
        self.errno == libc::ENOENT
    }

    /// The name exists already.
    pub fn is_present(&self) -> bool {
        self.errno == libc::EEXIST
    }

    /// The file system or the permissions forbid writing.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.errno, libc::EACCES | libc::EPERM | libc::EROFS)
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match (self.doing, self.errno) {
            (Doing::OpenDirect(_), _) => {
                "use ext4, xfs, btrfs or f2fs, or opt in to slower I/O with Direct::Optional \
                 (buffered where direct I/O is missing, every durable write followed by fdatasync)"
            }
            (Doing::Setup, libc::EPERM | libc::EACCES) => {
                "io_uring is denied here: allow io_uring_setup, io_uring_enter and io_uring_register in the \
                 seccomp profile, set sysctl kernel.io_uring_disabled=0, or choose Backend::Auto or Backend::Portable"
            }
            (Doing::Setup, libc::ENOSYS) => {
                "this kernel or sandbox has no io_uring: use Linux 5.11 or newer, or choose Backend::Auto or Backend::Portable"
            }
            (Doing::Setup, libc::ENOMEM) => {
                "locked memory is exhausted: raise the memlock limit (ulimit -l), or choose Backend::Auto or Backend::Portable"
            }
            (Doing::Setup, libc::EINVAL | libc::EOPNOTSUPP) => {
                "this kernel's io_uring is too old: use Linux 5.11 or newer, or choose Backend::Auto or Backend::Portable"
            }
            (_, libc::EMFILE) => "raise the open files limit (ulimit -n)",
            (_, libc::ENFILE) => "raise the system's open files limit (sysctl fs.file-max)",
            (_, libc::EFBIG) => "raise the file size limit (ulimit -f)",
            (_, libc::ENOSPC) => "free some space",
            (_, libc::EDQUOT) => "raise the quota or free some space",
            (_, libc::EROFS) => {
                "the file system is read-only; if it became so by itself, look for disk errors in the kernel log"
            }
            (_, libc::ELOOP) => "symbolic links are not followed inside a data directory",
            (Doing::Read | Doing::Write | Doing::Sync | Doing::SyncDirectory, libc::EIO) => {
                "look for disk errors in the kernel log"
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doing::Open => "opening",
            Doing::OpenDirect(system) => return write!(f, "opening for direct I/O on {system}"),
            Doing::Create => "creating",
            Doing::Remove => "removing",
            Doing::Rename => "renaming",
            Doing::List => "listing a directory",
            Doing::Read => "reading",
            Doing::Write => "writing",
            Doing::Store => "writing into the page cache",
            Doing::Sync => "syncing a file",
            Doing::SyncDirectory => "syncing a directory",
            Doing::Allocate => "allocating space",
            Doing::Stat => "asking for size or free space",
            Doing::Setup => "setting up I/O",
        })
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: {text}", self.doing)?;
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for IoError {}

//! Which door to the kernel is in use, and why: for logs, `stats` and bug reports.

use std::fmt;

use crate::FileSystem;
use crate::file_system::{Access, DirectOpen};

/// Which backend is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendKind {
    /// io_uring.
    Ring,
    /// Blocking calls on a few threads.
    Portable,
    /// The simulated disk.
    Simulated,
    /// Files in memory.
    Memory,
}

/// A snapshot of how an `Io` talks to the kernel. `Display` is for people, the fields are for programs.
#[derive(Clone, Debug)]
pub struct Report {
    /// Kernel release, as uname has it.
    pub kernel: String,
    /// Which door.
    pub backend: BackendKind,
    /// Why this one.
    pub reason: String,
    /// Ring features in use.
    pub granted: Vec<&'static str>,
    /// Ring features that the kernel refused, each with the reason.
    pub refused: Vec<(&'static str, String)>,
    /// Places in the fixed-file table; 0 when there is none.
    pub fixed_files: u32,
    /// Ceiling of registered frame memory, bytes; 0 when there is none.
    pub registered_max_bytes: u64,
    /// Frame memory registered so far, bytes.
    pub registered_bytes: u64,
    /// The soft limit of locked memory, bytes; `None` when unlimited.
    pub memlock_bytes: Option<u64>,
    /// Directories opened so far.
    pub directories: Vec<DirectoryFacts>,
}

/// How files of one directory are accessed.
#[derive(Clone, Debug)]
pub struct DirectoryFacts {
    /// As it was named.
    pub path: String,
    /// Where it lies.
    pub file_system: FileSystem,
    /// Whether files were opened for direct I/O; `None` before the first file.
    pub direct: Option<bool>,
    /// Memory and offset alignment that statx reports for direct I/O.
    pub alignment: Option<(u32, u32)>,
    /// Durable writes are followed by fdatasync.
    pub explicit_sync: bool,
    /// Files are refused here.
    pub refused: bool,
}

impl DirectoryFacts {
    pub(crate) fn new(path: String, file_system: FileSystem, access: Access) -> DirectoryFacts {
        DirectoryFacts {
            path,
            file_system,
            direct: None,
            alignment: None,
            explicit_sync: access.explicit_sync,
            refused: access.direct == DirectOpen::Refuse,
        }
    }
}

/// What an `Io` has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Reads asked for.
    pub reads: u64,
    /// Bytes that completed reads brought.
    pub read_bytes: u64,
    /// Writes asked for, durable ones included.
    pub writes: u64,
    /// Bytes of completed writes.
    pub write_bytes: u64,
    /// Durable writes and sync calls.
    pub syncs: u64,
    /// System calls to submit or to wait.
    pub enters: u64,
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackendKind::Ring => "ring (io_uring)",
            BackendKind::Portable => "portable (blocking calls on a few threads)",
            BackendKind::Simulated => "simulated disk",
            BackendKind::Memory => "files in memory",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel          {}", self.kernel)?;
        writeln!(f, "backend         {}: {}", self.backend, self.reason)?;
        if self.backend == BackendKind::Ring {
            writeln!(f, "ring features   {}", self.granted.join(", "))?;
            for (feature, why) in &self.refused {
                writeln!(f, "not granted     {feature}: {why}")?;
            }
            match self.fixed_files {
                0 => writeln!(f, "fixed files     none")?,
                places => writeln!(f, "fixed files     {places} places")?,
            }
            writeln!(
                f,
                "frames          {} of at most {} registered",
                Bytes(self.registered_bytes),
                Bytes(self.registered_max_bytes)
            )?;
            match self.memlock_bytes {
                Some(limit) => writeln!(
                    f,
                    "memlock limit   {} (binds processes without CAP_IPC_LOCK; ulimit -l)",
                    Bytes(limit)
                )?,
                None => writeln!(f, "memlock limit   none")?,
            }
        }
        for directory in &self.directories {
            writeln!(f, "directory       {directory}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DirectoryFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}: ", self.path, self.file_system)?;
        match (self.direct, self.alignment) {
            _ if self.refused => {
                f.write_str("refused, because direct I/O is not known to be safe there")?
            }
            (None, _) => f.write_str("no file opened yet")?,
            (Some(true), Some((memory, offset))) => {
                write!(
                    f,
                    "direct I/O, alignment {memory} (memory) and {offset} (offset)"
                )?;
            }
            (Some(true), None) => f.write_str("direct I/O, alignment not reported")?,
            (Some(false), _) => f.write_str("buffered I/O")?,
        }
        if self.file_system.is_stacked() && self.direct == Some(true) {
            f.write_str(", as good as what lies beneath")?;
        }
        match self.explicit_sync {
            _ if self.refused => Ok(()),
            true => f.write_str(", durable write = write + fdatasync"),
            false if self.file_system.is_memory() => f.write_str(", nothing survives a power loss"),
            false => f.write_str(", durable write = one write with RWF_DSYNC"),
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => {
                write!(f, "{} MiB", bytes >> 20)
            }
            bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => {
                write!(f, "{} KiB", bytes >> 10)
            }
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

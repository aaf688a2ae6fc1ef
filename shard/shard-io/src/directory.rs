//! A held directory: every name is relative to its descriptor, and no symbolic link inside is followed.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use crate::file::{KernelFile, failed};
use crate::file_system::{Access, DirectOpen};
use crate::io::Inner;
use crate::memory::MemoryDirectory;
use crate::report::DirectoryFacts;
use crate::simulated::SimulatedDirectory;
use crate::system;
use crate::{CachedFile, Doing, File, FileSystem, Io, IoError, OpenMode, Result};

/// A held directory; clones share it. All its calls but [`synced`](Directory::synced) block: they are for opening, recovery
/// and file creation.
#[derive(Clone)]
pub struct Directory {
    place: Rc<Place>,
}

enum Place {
    Kernel(KernelDirectory),
    Simulated(SimulatedDirectory),
    Memory(MemoryDirectory),
}

struct KernelDirectory {
    io: Rc<Inner>,
    /// The directory itself, for its descriptor and for the sync of its names.
    names: File,
    system: FileSystem,
    access: Access,
    /// Where the report keeps what was learnt about this directory's file system.
    facts: usize,
}

impl Directory {
    /// Opens what the operator named; a symbolic link to a data directory is the operator's choice.
    pub(crate) fn kernel(io: &Rc<Inner>, path: &Path) -> Result<Directory> {
        let name = system::c_string(path.as_os_str().as_bytes()).map_err(failed(Doing::Open))?;
        let fd = system::open_at(None, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0)
            .map_err(failed(Doing::Open))?;
        Directory::hold(io, fd, path.to_string_lossy().into_owned())
    }

    pub(crate) fn simulated(directory: SimulatedDirectory) -> Directory {
        Directory {
            place: Rc::new(Place::Simulated(directory)),
        }
    }

    pub(crate) fn memory(directory: MemoryDirectory) -> Directory {
        Directory {
            place: Rc::new(Place::Memory(directory)),
        }
    }

    fn hold(io: &Rc<Inner>, fd: OwnedFd, path: String) -> Result<Directory> {
        let state = system::file_system(fd.as_fd()).map_err(failed(Doing::Stat))?;
        let system = FileSystem { magic: state.magic };
        let access = system.access(io.direct());
        let facts = io.note_directory(DirectoryFacts::new(path, system, access));
        Ok(Directory {
            place: Rc::new(Place::Kernel(KernelDirectory {
                io: Rc::clone(io),
                names: File::kernel(KernelFile {
                    fd: Some(fd),
                    slot: None,
                    owner: Rc::downgrade(io),
                    owner_id: io.id(),
                    explicit_sync: false,
                    alignment: 1,
                }),
                system,
                access,
                facts,
            })),
        })
    }

    /// Opens or creates a file for I/O past the page cache.
    pub fn open(&self, name: &str, mode: OpenMode) -> Result<File> {
        match &*self.place {
            Place::Kernel(directory) => directory.open(name, mode),
            Place::Simulated(directory) => directory.open(name, mode).map(File::simulated),
            Place::Memory(directory) => directory.open(name, mode).map(File::memory),
        }
    }

    /// Opens or creates a file in the page cache; none where nothing outlives the process.
    pub fn open_cached(&self, name: &str, mode: OpenMode) -> Result<Option<CachedFile>> {
        match &*self.place {
            Place::Kernel(directory) => directory.open_cached(name, mode).map(Some),
            Place::Simulated(directory) => {
                let file = directory.open(name, mode)?;
                Ok(Some(CachedFile::simulated(file)))
            }
            Place::Memory(_) => Ok(None),
        }
    }

    /// Removes a file. Durable after [`sync`](Self::sync).
    pub fn remove(&self, name: &str) -> Result<()> {
        match &*self.place {
            Place::Kernel(directory) => {
                let name = inside(name, Doing::Remove)?;
                system::remove_at(directory.names.fd(), &name).map_err(failed(Doing::Remove))
            }
            Place::Simulated(directory) => directory.remove(name),
            Place::Memory(directory) => directory.remove(name),
        }
    }

    /// Renames a file, replacing what has the new name. Durable after [`sync`](Self::sync).
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        match &*self.place {
            Place::Kernel(directory) => {
                let (from, to) = (inside(from, Doing::Rename)?, inside(to, Doing::Rename)?);
                system::rename_at(directory.names.fd(), &from, &to).map_err(failed(Doing::Rename))
            }
            Place::Simulated(directory) => directory.rename(from, to),
            Place::Memory(directory) => directory.rename(from, to),
        }
    }

    /// The names in it, sorted.
    pub fn list(&self) -> Result<Vec<String>> {
        match &*self.place {
            Place::Kernel(directory) => {
                let mut names = system::names(directory.names.fd()).map_err(failed(Doing::List))?;
                names.sort();
                Ok(names)
            }
            Place::Simulated(directory) => directory.list(),
            Place::Memory(directory) => Ok(directory.list()),
        }
    }

    /// Creates a directory, mode 0700. Durable after [`sync`](Self::sync).
    pub fn create_directory(&self, name: &str) -> Result<()> {
        match &*self.place {
            Place::Kernel(directory) => {
                let name = inside(name, Doing::Create)?;
                system::make_directory_at(directory.names.fd(), &name, 0o700)
                    .map_err(failed(Doing::Create))
            }
            Place::Simulated(directory) => directory.create_directory(name),
            Place::Memory(directory) => directory.create_directory(name),
        }
    }

    /// Holds a directory inside this one.
    pub fn directory(&self, name: &str) -> Result<Directory> {
        match &*self.place {
            Place::Kernel(directory) => directory.directory(name),
            Place::Simulated(directory) => directory.directory(name).map(Directory::simulated),
            Place::Memory(directory) => directory.directory(name).map(Directory::memory),
        }
    }

    /// Makes creations, removals and renames in it durable.
    pub fn sync(&self) -> Result<()> {
        match &*self.place {
            Place::Kernel(directory) => {
                system::fsync(directory.names.fd()).map_err(failed(Doing::SyncDirectory))
            }
            Place::Simulated(directory) => directory.sync(),
            Place::Memory(_) => Ok(()),
        }
    }

    /// As [`sync`](Self::sync), for whoever must not block.
    pub async fn synced(&self) -> Result<()> {
        match &*self.place {
            Place::Kernel(directory) => {
                let synced = Io::sync_names(&directory.io, &directory.names).await;
                synced.result.map(drop)
            }
            Place::Simulated(_) | Place::Memory(_) => self.sync(),
        }
    }

    /// Room left for an unprivileged writer.
    pub fn free_bytes(&self) -> Result<u64> {
        match &*self.place {
            Place::Kernel(directory) => system::file_system(directory.names.fd())
                .map(|state| state.free_bytes)
                .map_err(failed(Doing::Stat)),
            Place::Simulated(directory) => directory.free_bytes(),
            Place::Memory(directory) => Ok(directory.free_bytes()),
        }
    }

    /// The descriptor, for locks and permissions that the owner of the database keeps; none on the simulated disk.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &*self.place {
            Place::Kernel(directory) => Some(directory.names.fd()),
            Place::Simulated(_) | Place::Memory(_) => None,
        }
    }
}

impl KernelDirectory {
    fn directory(&self, name: &str) -> Result<Directory> {
        let path = self.io.directory_path(self.facts) + "/" + name;
        let name = inside(name, Doing::Open)?;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let fd =
            system::open_at(Some(self.names.fd()), &name, flags, 0).map_err(failed(Doing::Open))?;
        Directory::hold(&self.io, fd, path)
    }

    fn open_cached(&self, name: &str, mode: OpenMode) -> Result<CachedFile> {
        let (doing, flags) = flags(mode);
        let name = inside(name, doing)?;
        let names = Some(self.names.fd());
        let fd = system::open_at(names, &name, flags | libc::O_NOFOLLOW, 0o600);
        fd.map_err(failed(doing))
            .map(|fd| CachedFile::kernel(fd.into()))
    }

    fn open(&self, name: &str, mode: OpenMode) -> Result<File> {
        let (doing, flags) = flags(mode);
        let name = inside(name, doing)?;
        let refused = |errno| IoError::new(errno, Doing::OpenDirect(self.system));
        let open = |extra| {
            let flags = flags | libc::O_NOFOLLOW | extra;
            let open = || system::open_at(Some(self.names.fd()), &name, flags, 0o600);
            match open() {
                // Files that nobody uses any more may still wait to be closed.
                Err(libc::EMFILE | libc::ENFILE) if self.io.close_waiting() => open(),
                answer => answer,
            }
        };
        let unsupported = |errno| matches!(errno, libc::EINVAL | libc::EOPNOTSUPP);
        // A creation that failed after the name was made must not leave the name behind.
        let undo = || {
            if mode == OpenMode::CreateNew {
                let _ = system::remove_at(self.names.fd(), &name);
            }
        };
        let (fd, direct) = match self.access.direct {
            DirectOpen::Refuse => return Err(refused(libc::EOPNOTSUPP)),
            DirectOpen::Never => (open(0).map_err(failed(doing))?, false),
            DirectOpen::Must | DirectOpen::MustReportAlignment => match open(libc::O_DIRECT) {
                Ok(fd) => (fd, true),
                Err(errno) if unsupported(errno) => {
                    undo();
                    return Err(refused(errno));
                }
                Err(errno) => return Err(IoError::new(errno, doing)),
            },
            DirectOpen::Try => match open(libc::O_DIRECT) {
                Ok(fd) => (fd, true),
                Err(errno) if unsupported(errno) => {
                    undo();
                    (open(0).map_err(failed(doing))?, false)
                }
                Err(errno) => return Err(IoError::new(errno, doing)),
            },
        };
        let reported = if direct {
            system::direct_alignment(fd.as_fd())
        } else {
            None
        };
        if self.access.direct == DirectOpen::MustReportAlignment && reported.is_none() {
            undo();
            return Err(refused(libc::EOPNOTSUPP));
        }
        // Old kernels report nothing; the strictest common sector is then assumed for where a transfer may resume.
        let alignment = match (direct, reported) {
            (false, _) => 1,
            (true, Some((_, offset))) => offset as usize,
            (true, None) => 512,
        };
        self.io.note_opened(self.facts, direct, reported);
        Ok(File::kernel(KernelFile {
            slot: self.io.fix(fd.as_fd()),
            owner: Rc::downgrade(&self.io),
            owner_id: self.io.id(),
            explicit_sync: self.access.explicit_sync,
            alignment,
            fd: Some(fd),
        }))
    }
}

/// What that is, and how the kernel is asked for it.
fn flags(mode: OpenMode) -> (Doing, i32) {
    match mode {
        OpenMode::Read => (Doing::Open, libc::O_RDONLY),
        OpenMode::ReadWrite => (Doing::Open, libc::O_RDWR),
        OpenMode::CreateNew => (Doing::Create, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL),
    }
}

/// One plain name: what could leave the directory is refused.
fn inside(name: &str, doing: Doing) -> Result<CString> {
    if !is_plain(name) {
        return Err(IoError::new(libc::EINVAL, doing));
    }
    system::c_string(name).map_err(failed(doing))
}

pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/')
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.place {
            Place::Kernel(directory) => f
                .debug_tuple("Directory")
                .field(&directory.names.fd())
                .finish(),
            Place::Simulated(_) => f.write_str("Directory(simulated)"),
            Place::Memory(_) => f.write_str("Directory(memory)"),
        }
    }
}

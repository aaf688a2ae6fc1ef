//! The folder of a database on a real file system: checks before anything in it is touched.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ringkeep_io::{Doing, IoError};
use ringkeep_shard::ShardOptions;
use rustix::fs::{Access, AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::limits::{HOST_DESCRIPTORS, SHARD_DESCRIPTORS};
use crate::{Error, Result, database_file, lock, options};

/// A folder that may hold a database, or an empty one.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
}

impl Place {
    /// Checks the path and opens it; makes its last part when asked to.
    pub(crate) fn find(path: &Path, create: bool) -> Result<Place> {
        let path = std::path::absolute(path).map_err(|error| Error::Option {
            name: "path",
            detail: format!("{error}; name a directory"),
        })?;
        let directory = match open(&path) {
            Err(Error::NotFound { .. }) if create => {
                make(&path)?;
                open(&path)?
            }
            other => other?,
        };
        let place = Place { path, directory };
        place.may_be_written()?;
        place.holds_nothing_foreign(create)?;
        Ok(place)
    }

    fn may_be_written(&self) -> Result<()> {
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.directory, ".", all, AtFlags::EACCESS)
            .map_err(|errno| refused(&self.path, Doing::Open, errno))
    }

    /// A folder without a database file has to be empty but for what a creation that was cut short
    /// leaves behind.
    fn holds_nothing_foreign(&self, create: bool) -> Result<()> {
        let listing = |errno| refused(&self.path, Doing::List, errno);
        let mut foreign = None;
        for entry in Dir::read_from(&self.directory).map_err(listing)? {
            let entry = entry.map_err(listing)?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name if name == database_file::NAME.as_bytes() => return Ok(()),
                name if name == database_file::NAME_UNFINISHED.as_bytes() => {}
                name if name == lock::NAME.as_bytes() => {}
                name => foreign = Some(String::from_utf8_lossy(name).into_owned()),
            }
        }
        match foreign {
            Some(found) => Err(Error::ForeignDirectory {
                path: self.path.clone(),
                found,
            }),
            None if create => Ok(()),
            None => Err(Error::NotFound {
                path: self.path.join(database_file::NAME),
                advice: "there is no database in this directory: name another, or set create_if_missing",
            }),
        }
    }
}

/// Checks that this process may open and write the files of so many shards.
pub(crate) fn check_limits(hosts: usize, shards: u16, each: &ShardOptions) -> Result<()> {
    let refuse = |limit, now, needed| Err(Error::Limit { limit, now, needed });
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // Counting may itself fail for want of a descriptor, which says enough.
    let used = std::fs::read_dir("/proc/self/fd").map_or(open_files, |all| all.count() as u64);
    let needed = used + hosts as u64 * HOST_DESCRIPTORS + u64::from(shards) * SHARD_DESCRIPTORS;
    if open_files < needed {
        return refuse("open files (ulimit -n)", open_files, needed);
    }
    // Past this limit the kernel does not only refuse a write, it sends a signal that ends the process.
    let file_bytes = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    let needed = options::largest_file(each);
    if file_bytes < needed {
        return refuse("file size in bytes (ulimit -f)", file_bytes, needed);
    }
    Ok(())
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        // A link with these flags is "not a directory" on some kernels and "a loop" on others.
        Errno::NOTDIR | Errno::LOOP if path.is_symlink() => Error::Symlink { path: path.into() },
        errno => refused(path, Doing::Open, errno),
    })
}

fn make(path: &Path) -> Result<()> {
    let made = rustix::fs::mkdir(path, Mode::RWXU);
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => {
            return Err(Error::NotFound {
                path: path.parent().unwrap_or(path).into(),
                advice: "only the last part of the path is made: make its parent directory first",
            });
        }
        Err(errno) => return Err(refused(path, Doing::Create, errno)),
    }
    // The new name has to survive power loss before anything in it is acknowledged.
    let parent = path.parent().unwrap_or(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent_fd = rustix::fs::open(parent, flags, Mode::empty());
    parent_fd
        .and_then(rustix::fs::fsync)
        .map_err(|errno| refused(parent, Doing::SyncDirectory, errno))
}

/// The error for what the operating system said about a path.
pub(crate) fn refused(path: &Path, doing: Doing, errno: Errno) -> Error {
    let path = path.to_path_buf();
    match errno {
        Errno::NOENT => Error::NotFound {
            path,
            advice: "make the directory, or set create_if_missing",
        },
        Errno::NOTDIR => Error::NotADirectory { path },
        Errno::LOOP => Error::Symlink { path },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Error::Forbidden {
            path,
            reason: std::io::Error::from(errno).to_string(),
        },
        errno => Error::Io {
            path,
            error: IoError {
                errno: errno.raw_os_error(),
                doing,
            },
        },
    }
}

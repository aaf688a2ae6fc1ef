//! One opener at a time: an exclusive `flock` on the file `LOCK`, which names its holder.
//!
//! The lock belongs to the open file description, and every host's ring holds a copy of it. So it
//! outlives a killed process until the last write that the process had in flight has landed, and
//! whoever holds it may trust the files to stay as they are.

use std::collections::HashSet;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ringkeep_io::Doing;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat};
use rustix::io::Errno;

use crate::limits::{DYING_GRACE, STILL_WRITING_POLL, STILL_WRITING_WAIT};
use crate::place::{Place, refused};
use crate::{Error, Result};

/// The name of the file.
pub(crate) const NAME: &str = "LOCK";

/// Lock files held by this process. A file that is locked and not in here belongs to another process or
/// to the ring of a database that this process has closed a moment ago.
static HELD_HERE: Mutex<Option<HashSet<FileId>>> = Mutex::new(None);

/// Device and inode.
type FileId = (u64, u64);

/// The lock, held. Dropping it leaves the release to the kernel, which waits for writes in flight.
pub(crate) struct Lock {
    file: std::fs::File,
    id: FileId,
}

impl Lock {
    /// Takes the lock or says who has it. Waits a bounded time when the holder is gone.
    pub(crate) fn take(place: &Place) -> Result<Lock> {
        let path = place.path.join(NAME);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&place.directory, NAME, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| refused(&path, Doing::Open, errno))?;
        let stat = fstat(&file).map_err(|errno| refused(&path, Doing::Stat, errno))?;
        let id = (stat.st_dev, stat.st_ino);
        let in_use = |pid| Error::InUse {
            path: place.path.clone(),
            pid,
        };
        if !enter(id) {
            return Err(in_use(Some(std::process::id())));
        }
        // From here on dropping the lock takes the entry back.
        let mut lock = Lock {
            file: file.into(),
            id,
        };
        lock.wait(&place.path, &path, in_use)?;
        lock.sign().map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            refused(&path, Doing::Write, errno)
        })?;
        Ok(lock)
    }

    /// A copy for a host's ring.
    pub(crate) fn copy(&self, place: &Path) -> Result<OwnedFd> {
        let copy = rustix::io::fcntl_dupfd_cloexec(&self.file, 0);
        copy.map_err(|errno| refused(&place.join(NAME), Doing::Open, errno))
    }

    /// Gives the lock up at once, whatever copies there are. Only when nothing is in flight.
    pub(crate) fn release(self) {
        // Closing the last copy releases it as well.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }

    fn wait(
        &mut self,
        place: &Path,
        path: &Path,
        in_use: impl Fn(Option<u32>) -> Error,
    ) -> Result<()> {
        let since = Instant::now();
        loop {
            match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(refused(path, Doing::Open, errno)),
            }
            let holder = Holder::read(&mut self.file);
            if let Some(holder) = &holder
                && holder.is_another()
                && holder.is_alive()
                // A process that was killed this moment still looks alive.
                && since.elapsed() >= DYING_GRACE
            {
                return Err(in_use(Some(holder.pid)));
            }
            if since.elapsed() >= STILL_WRITING_WAIT {
                return Err(match holder {
                    Some(_) => Error::StillWriting {
                        path: place.into(),
                        waited: STILL_WRITING_WAIT,
                    },
                    None => in_use(None),
                });
            }
            std::thread::sleep(STILL_WRITING_POLL);
        }
    }

    fn sign(&mut self) -> std::io::Result<()> {
        let me = Holder::me();
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{} {}", me.pid, me.started)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut held = HELD_HERE.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_default().remove(&self.id);
    }
}

fn enter(id: FileId) -> bool {
    let mut held = HELD_HERE.lock().unwrap_or_else(PoisonError::into_inner);
    held.get_or_insert_default().insert(id)
}

/// Who wrote the lock file: a process number and, because numbers are used again, when that process began.
struct Holder {
    pid: u32,
    started: u64,
}

impl Holder {
    fn me() -> Holder {
        let pid = std::process::id();
        let started = Process::look(pid).map_or(0, |process| process.started);
        Holder { pid, started }
    }

    fn read(file: &mut std::fs::File) -> Option<Holder> {
        let mut text = String::new();
        file.rewind().ok()?;
        file.take(64).read_to_string(&mut text).ok()?;
        let (pid, started) = text.trim_end().split_once(' ')?;
        Some(Holder {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    fn is_another(&self) -> bool {
        self.pid != std::process::id()
    }

    /// A zombie, or what is about to be one, has ended: what it still holds, its writes in flight hold.
    fn is_alive(&self) -> bool {
        Process::look(self.pid)
            .is_some_and(|process| process.started == self.started && !process.ended)
    }
}

/// The kernel's flag for a process on its way out (`PF_EXITING`).
const EXITING: u64 = 0x4;

/// A process as `/proc` shows it.
struct Process {
    started: u64,
    ended: bool,
}

impl Process {
    fn look(pid: u32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, a name in brackets, may hold anything; the rest is numbers and one letter.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let flags: u64 = fields.get(6)?.parse().ok()?;
        Some(Process {
            started: fields.get(19)?.parse().ok()?,
            ended: flags & EXITING != 0 || matches!(*fields.first()?, "Z" | "X"),
        })
    }
}

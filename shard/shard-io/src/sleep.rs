//! A sleep that was prepared, and holds nothing of the `Io` whose thread sleeps: others may visit meanwhile.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, RawFd};
use std::sync::Arc;

use crate::Nanos;
use crate::system::{self, Answer};

/// Ends by a completion, by the doorbell, or in time. Made by [`Io::lie_down`](crate::Io::lie_down).
pub struct Sleep(Bed);

enum Bed {
    Ring(Enter),
    Bell {
        bell: Arc<File>,
        timeout: Option<Nanos>,
    },
}

/// One call of io_uring_enter.
pub(crate) struct Enter {
    pub ring: RawFd,
    pub submit: u32,
    pub wait: u32,
    pub flags: u32,
    pub timeout: Option<Nanos>,
}

impl Sleep {
    pub(crate) fn in_ring(enter: Enter) -> Sleep {
        Sleep(Bed::Ring(enter))
    }

    pub(crate) fn by_bell(bell: Arc<File>, timeout: Option<Nanos>) -> Sleep {
        Sleep(Bed::Bell { bell, timeout })
    }

    /// On the `Io`'s own thread. One system call, or two.
    pub fn sleep(self) {
        match self.0 {
            Bed::Ring(enter) => enter.make(),
            Bed::Bell { bell, timeout } => {
                if system::wait_readable(bell.as_fd(), timeout) {
                    drop((&*bell).read(&mut [0; 8]));
                }
            }
        }
    }
}

impl Enter {
    pub fn make(&self) {
        match self.make_once() {
            // Interrupted, timed out, or short of memory for now: the next turn goes on.
            Ok(()) | Err(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY) => {}
            Err(errno) => panic!(
                "io_uring_enter failed: {}",
                std::io::Error::from_raw_os_error(errno)
            ),
        }
    }

    pub fn make_once(&self) -> Answer<()> {
        system::enter_ring(self.ring, self.submit, self.wait, self.flags, self.timeout)
    }
}

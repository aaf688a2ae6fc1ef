//! One read, write or sync: its steps, and how the kernel's answers move it on.
//!
//! ```text
//!   Transfer --all bytes--------------------------> finished
//!   Transfer --short----> Transfer (the rest)
//!   Transfer --all bytes, explicit sync wanted----> Flush --> finished
//! ```

use crate::file::File;
use crate::{Buffer, Doing, IoError, Result};

/// How far a write must have come when it completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteDurability {
    /// Taken over by the kernel; lost with the power unless a later sync succeeds.
    Cached,
    /// On stable storage, this write alone.
    Durable,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Read,
    Write(WriteDurability),
    Sync,
}

/// What to ask of the kernel next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Read,
    Write { dsync: bool },
    Sync,
}

pub(crate) struct Operation {
    pub kind: Kind,
    pub file: File,
    pub offset: u64,
    pub buffer: Buffer,
    pub length: usize,
    /// Bytes transferred so far; the next step starts there.
    pub done: usize,
    flushing: bool,
    retries: u32,
}

/// EINTR and EAGAIN are repeated at most this often, so that a broken driver is an error and not a hang.
const RETRIES_MAX: u32 = 1000;

impl Operation {
    pub fn new(kind: Kind, file: File, offset: u64, buffer: Buffer, length: usize) -> Operation {
        Operation {
            flushing: kind == Kind::Sync,
            kind,
            file,
            offset,
            buffer,
            length,
            done: 0,
            retries: 0,
        }
    }

    pub fn step(&self) -> Step {
        match self.kind {
            _ if self.flushing => Step::Sync,
            Kind::Read => Step::Read,
            Kind::Write(durability) => Step::Write {
                dsync: durability == WriteDurability::Durable && !self.file.explicit_sync(),
            },
            Kind::Sync => Step::Sync,
        }
    }

    /// Offset in the file and remaining length of the next transfer.
    pub fn remaining(&self) -> (u64, usize) {
        (self.offset + self.done as u64, self.length - self.done)
    }

    pub fn doing(&self) -> Doing {
        match self.kind {
            _ if self.flushing => Doing::Sync,
            Kind::Read => Doing::Read,
            Kind::Write(_) => Doing::Write,
            Kind::Sync => Doing::Sync,
        }
    }

    /// Takes the kernel's answer to the current step. `None`: ask for [`step`](Self::step) again.
    pub fn advance(&mut self, answer: i32) -> Option<Result<usize>> {
        let doing = self.doing();
        let failed = |errno| Some(Err(IoError::new(errno, doing)));
        if answer < 0 {
            let errno = -answer;
            if matches!(errno, libc::EINTR | libc::EAGAIN) && self.retries < RETRIES_MAX {
                self.retries += 1;
                return None;
            }
            return failed(errno);
        }
        if self.flushing {
            return Some(Ok(self.done));
        }
        let bytes = answer as usize;
        assert!(
            bytes <= self.length - self.done,
            "the kernel reports {bytes} bytes done of {} asked",
            self.length - self.done
        );
        let before = self.done;
        self.done += bytes;
        let alignment = self.file.alignment();
        match self.kind {
            Kind::Read => {
                // Direct reads stop off the alignment only at the end of the file.
                let ended = bytes == 0 || !self.done.is_multiple_of(alignment);
                (ended || self.done == self.length).then_some(Ok(self.done))
            }
            Kind::Write(durability) if self.done == self.length => {
                if durability == WriteDurability::Durable && self.file.explicit_sync() {
                    self.flushing = true;
                    return None;
                }
                Some(Ok(self.done))
            }
            Kind::Write(_) => {
                // A direct write can only go on from an aligned place: what lies past it is written again.
                self.done -= self.done % alignment;
                if self.done == before {
                    return failed(libc::EIO);
                }
                None
            }
            Kind::Sync => unreachable!("a sync is flushing from its first step"),
        }
    }
}

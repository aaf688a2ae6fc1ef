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
    /// Of a directory, whose names are its metadata.
    SyncNames,
}

/// What to ask of the kernel next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Read,
    Write { dsync: bool },
    Sync,
    SyncNames,
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
            flushing: matches!(kind, Kind::Sync | Kind::SyncNames),
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
            Kind::SyncNames => Step::SyncNames,
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
            Kind::SyncNames => Doing::SyncDirectory,
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
            Kind::Sync | Kind::SyncNames => unreachable!("a sync is flushing from its first step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Weak;

    use super::*;
    use crate::PAGE;
    use crate::file::KernelFile;

    const DURABLE: Kind = Kind::Write(WriteDurability::Durable);
    const CACHED: Kind = Kind::Write(WriteDurability::Cached);

    fn operation(kind: Kind, alignment: usize, explicit_sync: bool) -> Operation {
        let file = File::kernel(KernelFile {
            fd: Some(std::fs::File::open("/dev/null").unwrap().into()),
            slot: None,
            owner: Weak::new(),
            owner_id: 0,
            alignment,
            explicit_sync,
        });
        let pages = if kind == Kind::Sync { 0 } else { 2 };
        Operation::new(kind, file, 0, Buffer::zeroed(pages * PAGE), pages * PAGE)
    }

    /// Plays answers one by one. After each but the last the operation goes on, at the byte and with the step that stand beside it.
    fn check(
        mut operation: Operation,
        answers: &[(i32, usize, Step)],
        last: i32,
        result: std::result::Result<usize, (i32, Doing)>,
    ) {
        for &(answer, done, step) in answers {
            assert_eq!(operation.advance(answer), None);
            assert_eq!((operation.done, operation.step()), (done, step));
        }
        let result = result.map_err(|(errno, doing)| IoError::new(errno, doing));
        assert_eq!(operation.advance(last), Some(result));
    }

    #[test]
    fn reads_go_on_to_the_end_of_the_file() {
        let read = |alignment| operation(Kind::Read, alignment, false);
        check(read(512), &[], 8192, Ok(8192));
        check(read(512), &[], 0, Ok(0));
        check(read(512), &[(4096, 4096, Step::Read)], 4096, Ok(8192));
        check(read(512), &[(512, 512, Step::Read)], 0, Ok(512));
        // Off the alignment only the end of the file stops a direct read, and going on from there would be refused.
        check(read(512), &[], 100, Ok(100));
        check(read(4096), &[], 512, Ok(512));
        check(read(1), &[(100, 100, Step::Read)], 0, Ok(100));
        check(
            read(512),
            &[(512, 512, Step::Read)],
            -libc::EIO,
            Err((libc::EIO, Doing::Read)),
        );
    }

    #[test]
    fn writes_go_on_until_everything_is_written() {
        let (plain, dsync) = (Step::Write { dsync: false }, Step::Write { dsync: true });
        check(
            operation(CACHED, 512, false),
            &[(1024, 1024, plain)],
            7168,
            Ok(8192),
        );
        check(
            operation(DURABLE, 512, false),
            &[(1024, 1024, dsync)],
            7168,
            Ok(8192),
        );
        // The unaligned rest of a short write is written again.
        check(
            operation(CACHED, 512, false),
            &[(700, 512, plain)],
            7680,
            Ok(8192),
        );
        check(
            operation(CACHED, 512, false),
            &[],
            0,
            Err((libc::EIO, Doing::Write)),
        );
        check(
            operation(CACHED, 512, false),
            &[],
            100,
            Err((libc::EIO, Doing::Write)),
        );
        let full = Err((libc::ENOSPC, Doing::Write));
        check(
            operation(DURABLE, 1, false),
            &[(100, 100, dsync)],
            -libc::ENOSPC,
            full,
        );
    }

    #[test]
    fn an_explicit_sync_follows_a_durable_write_only() {
        let plain = Step::Write { dsync: false };
        check(
            operation(DURABLE, 1, true),
            &[(100, 100, plain), (8092, 8192, Step::Sync)],
            0,
            Ok(8192),
        );
        check(operation(CACHED, 1, true), &[], 8192, Ok(8192));
        let failed = Err((libc::EIO, Doing::Sync));
        check(
            operation(DURABLE, 1, true),
            &[(8192, 8192, Step::Sync)],
            -libc::EIO,
            failed,
        );
        check(operation(Kind::Sync, 1, true), &[], 0, Ok(0));
        check(operation(Kind::Sync, 1, false), &[], -libc::EIO, failed);
    }

    #[test]
    fn interruptions_are_repeated_and_not_for_ever() {
        let mut read = operation(Kind::Read, 512, false);
        for errno in [libc::EINTR, libc::EAGAIN].repeat(RETRIES_MAX as usize / 2) {
            assert_eq!(read.advance(-errno), None);
        }
        let failed = IoError::new(libc::EAGAIN, Doing::Read);
        assert_eq!(read.advance(-libc::EAGAIN), Some(Err(failed)));
    }
}

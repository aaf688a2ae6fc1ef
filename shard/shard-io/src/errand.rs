//! One step of an operation that another thread carries out by a blocking call: a worker of the portable backend, or a
//! caller who visits.

#![allow(
    unsafe_code,
    reason = "whoever carries it out reads and writes a buffer through a pointer, because the flight keeps owning it"
)]

use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::flight::Token;
use crate::operation::{Operation, Step};
use crate::system::errno;

/// What to ask of the kernel.
pub(crate) struct Job {
    pub token: Token,
    fd: RawFd,
    step: Step,
    start: *mut u8,
    length: usize,
    offset: u64,
}

// SAFETY: the pointer is into a buffer that the flight owns until this job's completion is settled, and nobody else
// touches the buffer meanwhile; likewise the descriptor is held open by the operation.
unsafe impl Send for Job {}

/// A job for the thread that has this. Dropped undone, the operation is asked for again.
pub struct Errand {
    job: Job,
    answer: i32,
    returned: Arc<Returned>,
}

/// Where the answers of errands come in.
#[derive(Default)]
pub(crate) struct Returned {
    answers: Mutex<Answers>,
    more: Condvar,
}

#[derive(Default)]
struct Answers {
    list: Vec<(Token, i32)>,
    /// Somebody sleeps until there are more: to say so to nobody is a system call for each read.
    awaited: bool,
}

impl Job {
    pub fn of(token: Token, operation: &Operation) -> Job {
        let (offset, length) = operation.remaining();
        Job {
            token,
            fd: operation.file.descriptor(),
            step: operation.step(),
            start: operation.buffer.start().wrapping_add(operation.done),
            length,
            offset,
        }
    }

    /// The kernel's answer: how many bytes, or which error, below zero.
    pub fn run(&self) -> i32 {
        let (fd, length, offset) = (self.fd, self.length, self.offset as libc::off_t);
        // SAFETY: `start` is valid for `length` bytes and nobody else uses them until this job's completion is settled.
        let result = unsafe {
            match self.step {
                Step::Read => libc::pread(fd, self.start.cast(), length, offset),
                Step::Write { dsync: false } => libc::pwrite(fd, self.start.cast(), length, offset),
                Step::Write { dsync: true } => {
                    let memory = libc::iovec {
                        iov_base: self.start.cast(),
                        iov_len: length,
                    };
                    libc::pwritev2(fd, &memory, 1, offset, libc::RWF_DSYNC)
                }
                Step::Sync => libc::fdatasync(fd) as isize,
                Step::SyncNames => libc::fsync(fd) as isize,
            }
        };
        // One call moves less than 2 GiB by the kernel's own limit.
        if result < 0 { -errno() } else { result as i32 }
    }
}

impl Errand {
    pub(crate) fn new(job: Job, returned: Arc<Returned>) -> Errand {
        Errand {
            job,
            // As of a call that was interrupted before it did anything.
            answer: -libc::EINTR,
            returned,
        }
    }

    /// Does it, which blocks.
    pub fn run(mut self) {
        self.answer = self.job.run();
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        let mut answers = self.returned.lock();
        answers.list.push((self.job.token, self.answer));
        if answers.awaited {
            self.returned.more.notify_all();
        }
    }
}

impl Returned {
    /// Moves the answers that came to `ready`; how many.
    pub fn take(&self, ready: &mut Vec<(Token, i32)>) -> usize {
        let mut answers = self.lock();
        let count = answers.list.len();
        ready.append(&mut answers.list);
        count
    }

    /// Sleeps until `count` answers wait to be taken.
    pub fn wait_for(&self, count: usize) {
        let mut answers = self.lock();
        while answers.list.len() < count {
            answers.awaited = true;
            let woken = self.more.wait(answers);
            answers = woken.unwrap_or_else(PoisonError::into_inner);
        }
        answers.awaited = false;
    }

    /// What it guards is whole after every statement.
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_until_an_answer_comes_is_woken_by_it() {
        let returned = Arc::new(Returned::default());
        let errand = Errand {
            job: Job {
                token: Token::from_u64(7),
                fd: -1,
                step: Step::Sync,
                start: std::ptr::null_mut(),
                length: 0,
                offset: 0,
            },
            answer: 0,
            returned: Arc::clone(&returned),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| returned.wait_for(1));
            // Whoever sets it has the lock until it sleeps.
            while !returned.lock().awaited {
                std::thread::yield_now();
            }
            drop(errand);
        });
        let mut ready = Vec::new();
        assert_eq!(returned.take(&mut ready), 1);
        assert_eq!(ready, [(Token::from_u64(7), 0)]);
        assert!(!returned.lock().awaited);
    }
}

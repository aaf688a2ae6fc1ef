//! The ring backend: one io_uring, issued and reaped by one thread.
//!
//! Invariants:
//! 1. The kernel is given pointers only into buffers that the flight owns until their completion was reaped.
//! 2. `outstanding` counts the entries that were queued and not yet reaped, the doorbell's included, and never
//!    exceeds the completion queue: it cannot overflow, and if it does the process stops.
//! 3. With deferred task work the kernel posts completions only inside our own calls, and it raises a flag when
//!    there are some: a turn that sees no flag and has nothing to submit makes no system call.

#![allow(
    unsafe_code,
    reason = "io_uring takes raw pointers and its shared queues are memory that the kernel writes"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use io_uring::{IoUring, opcode, squeue, types};

use crate::buffer::{FramePool, NewChunk};
use crate::entry::entry;
use crate::flight::Token;
use crate::operation::Operation;
use crate::sleep::{Enter, Sleep};
use crate::system::{self, Answer, ENTER_GETEVENTS, ENTER_NO_IOWAIT, ENTER_REGISTERED_RING};
use crate::{Doorbell, Nanos};

/// What marks the doorbell's completion; no token looks like it, because no slot has this index.
const BELL: u64 = u64::MAX;

/// What marks the completion of a close, beside the descriptor; no slot has such an index either.
const CLOSE: u64 = 1 << 31;

pub(crate) struct Ring {
    io: u64,
    queues: RefCell<IoUring>,
    /// What io_uring_enter is called with: the ring's registered index, or its descriptor.
    enter_fd: RawFd,
    enter_flags: u32,
    no_iowait: bool,
    /// Operations that found the ring full.
    line: RefCell<VecDeque<squeue::Entry>>,
    outstanding: Cell<u32>,
    outstanding_max: u32,
    bell: Arc<File>,
    /// Where the kernel puts the doorbell's count. Boxed: its address must not change.
    bell_word: Box<Cell<u64>>,
    bell_armed: Cell<bool>,
    /// The doorbell's completion was reaped outside a park, so the next park must not sleep.
    rung: Cell<bool>,
    fixed_files: RefCell<FixedFiles>,
    chunks_max: u32,
    registered_chunks: Cell<u32>,
    registration_refused: Cell<Option<i32>>,
    held: RefCell<Vec<OwnedFd>>,
    leaving: RefCell<Leaving>,
    enters: Cell<u64>,
}

/// Descriptors that are to be closed. They are ours until the kernel says that it has closed them, so that none is lost
/// with an entry that is never submitted.
#[derive(Default)]
struct Leaving {
    waiting: Vec<OwnedFd>,
    closing: Vec<OwnedFd>,
}

/// What the probe found and set up before the ring was enabled.
pub(crate) struct Setup {
    pub queues: IoUring,
    pub fixed_files: u32,
    pub chunks_max: u32,
    /// The ring's index among this thread's registered rings.
    pub registered_index: Option<u32>,
}

#[derive(Default)]
struct FixedFiles {
    free: Vec<u32>,
}

impl Ring {
    pub fn new(io: u64, setup: Setup, bell: Arc<File>) -> Ring {
        let fd = setup.queues.as_raw_fd();
        let (enter_fd, enter_flags) = match setup.registered_index {
            Some(index) => (index as RawFd, ENTER_REGISTERED_RING),
            None => (fd, 0),
        };
        Ring {
            io,
            enter_fd,
            enter_flags,
            no_iowait: setup.queues.params().is_feature_no_iowait(),
            line: RefCell::default(),
            outstanding: Cell::new(0),
            // One place of the completion queue is the doorbell's.
            outstanding_max: setup.queues.params().sq_entries(),
            bell,
            bell_word: Box::default(),
            bell_armed: Cell::new(false),
            rung: Cell::new(false),
            fixed_files: RefCell::new(FixedFiles {
                free: (0..setup.fixed_files).rev().collect(),
            }),
            chunks_max: setup.chunks_max,
            registered_chunks: Cell::new(0),
            registration_refused: Cell::new(None),
            held: RefCell::default(),
            leaving: RefCell::default(),
            enters: Cell::new(0),
            queues: RefCell::new(setup.queues),
        }
    }

    pub fn bell(&self) -> &File {
        &self.bell
    }

    pub fn doorbell(&self) -> Doorbell {
        Doorbell::kernel(Arc::clone(&self.bell))
    }

    /// Every completion rings the bell, too.
    pub fn announce(&self) -> std::io::Result<()> {
        let queues = self.queues.borrow();
        queues.submitter().register_eventfd(self.bell.as_raw_fd())
    }

    pub fn enters(&self) -> u64 {
        self.enters.get()
    }

    pub fn registered_bytes(&self) -> u64 {
        u64::from(self.registered_chunks.get()) * FramePool::CHUNK_BYTES as u64
    }

    /// Why the kernel stopped taking frames, if it did.
    pub fn registration_refused(&self) -> Option<i32> {
        self.registration_refused.get()
    }

    /// Queues the next step of an operation; the kernel hears of it with the next turn or park.
    pub fn enqueue(&self, token: Token, operation: &Operation) {
        let entry = entry(operation, self.io).user_data(token.to_u64());
        if !self.line.borrow().is_empty() || !self.queue(&entry) {
            self.line.borrow_mut().push_back(entry);
        }
    }

    /// Puts an entry into the submission queue; false when the ring is full.
    fn queue(&self, entry: &squeue::Entry) -> bool {
        if self.outstanding.get() >= self.outstanding_max {
            return false;
        }
        self.push(entry)
    }

    fn push(&self, entry: &squeue::Entry) -> bool {
        let mut queues = self.queues.borrow_mut();
        // SAFETY: the entry points into a buffer that the flight owns until its completion is reaped, or at
        // `bell_word`, which outlives the ring (invariant 1); the descriptor is held open by the operation's file.
        let pushed = unsafe { queues.submission().push(entry).is_ok() };
        if pushed {
            self.outstanding.set(self.outstanding.get() + 1);
        }
        pushed
    }

    /// Closes a file from one of the kernel's workers.
    pub fn leave(&self, fd: OwnedFd) {
        self.leaving.borrow_mut().waiting.push(fd);
    }

    /// Closes at once what no worker has been told of; false when there is nothing.
    pub fn close_waiting(&self) -> bool {
        !std::mem::take(&mut self.leaving.borrow_mut().waiting).is_empty()
    }

    fn let_leave(&self) {
        let mut leaving = self.leaving.borrow_mut();
        while let Some(fd) = leaving.waiting.pop() {
            let number = fd.as_raw_fd();
            let entry = opcode::Close::new(types::Fd(number))
                .build()
                .flags(squeue::Flags::ASYNC)
                .user_data(CLOSE | number as u64);
            if !self.queue(&entry) {
                return leaving.waiting.push(fd);
            }
            leaving.closing.push(fd);
        }
    }

    fn has_left(&self, number: RawFd, result: i32) {
        let mut leaving = self.leaving.borrow_mut();
        let place = leaving
            .closing
            .iter()
            .position(|fd| fd.as_raw_fd() == number);
        let fd = place.map(|place| leaving.closing.swap_remove(place));
        // A kernel that cannot do it leaves it to us.
        if let (Some(fd), 0..) = (fd, result) {
            let _closed = fd.into_raw_fd();
        }
    }

    /// Moves waiting operations into the ring as far as there is room.
    fn admit(&self) {
        let mut line = self.line.borrow_mut();
        while let Some(entry) = line.front() {
            if !self.queue(entry) {
                break;
            }
            line.pop_front();
        }
        drop(line);
        if !self.leaving.borrow().waiting.is_empty() {
            self.let_leave();
        }
    }

    /// Submits what is queued and reaps what is ready.
    pub fn turn(&self, ready: &mut Vec<(Token, i32)>) {
        loop {
            self.admit();
            let (queued, work) = self.state();
            if queued > 0 || work {
                self.enter(queued, 0, ENTER_GETEVENTS, None);
            }
            if self.reap(ready) {
                self.rung.set(true);
            }
            // Room that was just made is used at once, so that the device does not wait for the next turn.
            let room = self.outstanding.get() < self.outstanding_max;
            if self.line.borrow().is_empty() || !room {
                return;
            }
        }
    }

    /// A sleep until a completion, the doorbell or the deadline, which submits as well; unless there is something to do
    /// first.
    pub fn lie_down(
        &self,
        deadline: Option<Nanos>,
        ready: &mut Vec<(Token, i32)>,
    ) -> Option<Sleep> {
        self.admit();
        let mut wait = !self.reap(ready) && !self.rung.take() && ready.is_empty();
        let timeout = deadline.map(|deadline| deadline.saturating_sub(system::monotonic()));
        wait &= timeout != Some(0);
        if wait && !self.bell_armed.get() {
            self.arm_bell();
        }
        let (queued, work) = self.state();
        if !wait {
            if queued > 0 || work {
                self.enter(queued, 0, ENTER_GETEVENTS, None);
            }
            return None;
        }
        let mut flags = ENTER_GETEVENTS;
        // Sleeping without disk work outstanding is idleness and must not count as waiting for I/O.
        if self.no_iowait && self.outstanding.get() == 1 {
            flags |= ENTER_NO_IOWAIT;
        }
        Some(Sleep::in_ring(self.call(queued, 1, flags, timeout)))
    }

    pub fn get_up(&self, ready: &mut Vec<(Token, i32)>) {
        self.reap(ready);
    }

    /// A no-op and a read of the doorbell, through every call that a turn and a park make.
    pub fn rehearse(&self) -> Answer<()> {
        let nop = opcode::Nop::new().build().user_data(0);
        drop((&*self.bell).write(&1u64.to_ne_bytes()));
        if !self.push(&nop) {
            return Err(libc::EINVAL);
        }
        self.arm_bell();
        let mut ready = Vec::new();
        let mut rung = false;
        while ready.is_empty() || !rung {
            let (queued, _) = self.state();
            match self.enter_raw(queued, 1, ENTER_GETEVENTS, None) {
                Ok(()) | Err(libc::EINTR) => rung |= self.reap(&mut ready),
                Err(errno) => return Err(errno),
            }
        }
        match ready[0].1 {
            0 if self.bell_word.get() == 1 => Ok(()),
            0 => Err(libc::EINVAL),
            failure => Err(-failure),
        }
    }

    fn arm_bell(&self) {
        let word = self.bell_word.as_ptr().cast::<u8>();
        let entry = opcode::Read::new(types::Fd(self.bell.as_raw_fd()), word, 8)
            .build()
            .user_data(BELL);
        // A full submission queue is emptied by submitting it; the bell has its own place in the completion queue.
        while !self.push(&entry) {
            let (queued, _) = self.state();
            self.enter(queued, 0, ENTER_GETEVENTS, None);
        }
        self.bell_armed.set(true);
    }

    /// Entries to submit, and whether the kernel has work that only a call of ours can finish.
    fn state(&self) -> (u32, bool) {
        let mut queues = self.queues.borrow_mut();
        let queue = queues.submission();
        assert!(
            !queue.cq_overflow(),
            "the completion queue has overflown although operations are counted"
        );
        (queue.len() as u32, queue.taskrun())
    }

    fn enter(&self, submit: u32, wait: u32, flags: u32, timeout: Option<Nanos>) {
        self.call(submit, wait, flags, timeout).make();
    }

    fn enter_raw(&self, submit: u32, wait: u32, flags: u32, timeout: Option<Nanos>) -> Answer<()> {
        self.call(submit, wait, flags, timeout).make_once()
    }

    fn call(&self, submit: u32, wait: u32, flags: u32, timeout: Option<Nanos>) -> Enter {
        self.enters.set(self.enters.get() + 1);
        Enter {
            ring: self.enter_fd,
            submit,
            wait,
            flags: flags | self.enter_flags,
            timeout,
        }
    }

    /// Collects completions without acting on them; true when the doorbell was among them.
    fn reap(&self, ready: &mut Vec<(Token, i32)>) -> bool {
        let mut queues = self.queues.borrow_mut();
        let completions = queues.completion();
        assert_eq!(completions.overflow(), 0, "the kernel dropped completions");
        let mut rung = false;
        for completion in completions {
            let outstanding = self.outstanding.get();
            assert!(outstanding > 0, "a completion came for nothing in flight");
            self.outstanding.set(outstanding - 1);
            if completion.user_data() == BELL {
                assert!(
                    self.bell_armed.replace(false),
                    "the doorbell completed twice"
                );
                rung = true;
            } else if completion.user_data() & CLOSE != 0 {
                let number = (completion.user_data() & !CLOSE) as RawFd;
                self.has_left(number, completion.result());
            } else {
                ready.push((Token::from_u64(completion.user_data()), completion.result()));
            }
        }
        rung
    }

    /// Registers a chunk of frames; false when the kernel will not have it.
    pub fn register_chunk(&self, chunk: &NewChunk) -> bool {
        if cfg!(feature = "quarantine")
            || chunk.index >= self.chunks_max
            || self.registration_refused.get().is_some()
        {
            return false;
        }
        let memory = libc::iovec {
            iov_base: chunk.start.cast(),
            iov_len: FramePool::CHUNK_BYTES,
        };
        let queues = self.queues.borrow();
        // SAFETY: the chunk stays mapped until the last frame and the pool are gone, and the pool outlives the
        // registration, which `close` ends.
        let answer = unsafe {
            queues
                .submitter()
                .register_buffers_update(chunk.index, &[memory], None)
        };
        match answer {
            Ok(()) => {
                self.registered_chunks.set(self.registered_chunks.get() + 1);
                true
            }
            Err(error) => {
                self.registration_refused.set(error.raw_os_error());
                false
            }
        }
    }

    /// Lets go of a chunk none of whose frames is in use.
    pub fn forget_chunk(&self, index: u32) {
        if index >= self.chunks_max {
            return;
        }
        let nothing = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let queues = self.queues.borrow();
        // SAFETY: empties a place of the table; no operation under way uses it, as none has a frame of the chunk.
        let answer = unsafe {
            queues
                .submitter()
                .register_buffers_update(index, &[nothing], None)
        };
        if answer.is_ok() {
            self.registered_chunks
                .set(self.registered_chunks.get().saturating_sub(1));
        }
    }

    /// Gives a file a place in the fixed table, if there is one.
    pub fn fix(&self, fd: BorrowedFd<'_>) -> Option<u32> {
        let slot = self.fixed_files.borrow_mut().free.pop()?;
        match self.update_file(slot, fd.as_raw_fd()) {
            Ok(()) => Some(slot),
            Err(_) => {
                self.fixed_files.borrow_mut().free.push(slot);
                None
            }
        }
    }

    pub fn release_slot(&self, slot: u32) {
        // A place that cannot be emptied is lost, not reused: the next file must not find this one in it.
        if self.update_file(slot, -1).is_ok() {
            self.fixed_files.borrow_mut().free.push(slot);
        }
    }

    fn update_file(&self, slot: u32, fd: RawFd) -> std::io::Result<()> {
        let queues = self.queues.borrow();
        queues
            .submitter()
            .register_files_update(slot, &[fd])
            .map(drop)
    }

    /// Ties a lock to the ring: after a kill the kernel drops it only when the ring's last write has landed.
    pub fn hold(&self, lock: OwnedFd) {
        use std::os::fd::AsFd;
        self.fix(lock.as_fd());
        self.held.borrow_mut().push(lock);
    }

    /// Waits for everything that the kernel has, submitting nothing. False when waiting failed: then buffers
    /// may still be written to and must never be freed. Does not panic, because it runs while panics unwind.
    pub fn close(&self) -> bool {
        self.line.borrow_mut().clear();
        if self.bell_armed.get() {
            drop((&*self.bell).write(&1u64.to_ne_bytes()));
        }
        let drained = self.drain();
        let queues = self.queues.borrow();
        if drained {
            // Explicit, because closing the ring does these later, from a worker: locked memory, locks and
            // descriptors must be back when this returns.
            let submitter = queues.submitter();
            drop(submitter.unregister_buffers());
            drop(submitter.unregister_files());
        }
        if self.enter_flags & ENTER_REGISTERED_RING != 0 {
            system::unregister_ring(queues.as_raw_fd(), self.enter_fd as u32);
        }
        drained
    }

    fn drain(&self) -> bool {
        loop {
            let unsubmitted = {
                let mut queues = self.queues.borrow_mut();
                let mut reaped = 0;
                for completion in queues.completion() {
                    reaped += 1;
                    if completion.user_data() != BELL && completion.user_data() & CLOSE != 0 {
                        let number = (completion.user_data() & !CLOSE) as RawFd;
                        self.has_left(number, completion.result());
                    }
                }
                self.outstanding
                    .set(self.outstanding.get().saturating_sub(reaped));
                queues.submission().len() as u32
            };
            if self.outstanding.get() <= unsubmitted {
                return true;
            }
            match self.enter_raw(0, 1, ENTER_GETEVENTS, None) {
                Ok(()) | Err(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                Err(_) => return false,
            }
        }
    }

    /// Keeps the doorbell's word alive for ever, for when the kernel may still write to it.
    pub fn leak(self) {
        Box::leak(self.bell_word);
        // Whether the kernel closes these is not known, and closing one twice could hit a stranger.
        std::mem::forget(self.leaving.take().closing);
    }
}

//! The portable backend: blocking calls on a few threads, for places that deny io_uring.
//!
//! Threads start when there is more work than idle ones, and all end with the `Io`. A worker rings the doorbell only
//! when the owner says that it is parked: the owner sets `parked`, then looks for completions; a worker adds its completion,
//! then looks at `parked`. One of the two sees the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::errand::Job;
use crate::flight::Token;
use crate::operation::Operation;
use crate::sleep::Sleep;
use crate::{Doorbell, Nanos, system};

/// Enough to keep flash busy, few enough not to drown small machines in context switches.
const WORKERS_MAX: usize = 8;

pub(crate) struct Portable {
    shared: Arc<Shared>,
    workers: RefCell<Vec<JoinHandle<()>>>,
    /// Jobs enqueued since the last turn.
    fresh: RefCell<VecDeque<Job>>,
    in_flight: Cell<usize>,
    held: RefCell<Vec<OwnedFd>>,
    waits: Cell<u64>,
}

struct Shared {
    line: Mutex<Line>,
    work: Condvar,
    /// Written by workers, emptied by the owner.
    finished: Mutex<Vec<(Token, i32)>>,
    /// Length of `finished`, so that a turn without news takes no lock.
    finished_count: AtomicUsize,
    /// Written by the owner, cleared by whoever wakes it.
    parked: AtomicBool,
    /// Whoever waits does so elsewhere: each completion rings.
    announces: AtomicBool,
    bell: Arc<File>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// To be closed when there is nothing else to do.
    leaving: Vec<OwnedFd>,
    idle: usize,
    closed: bool,
}

impl Portable {
    /// Starts the first worker at once, so that a place without threads is found out when opening.
    pub fn new(bell: Arc<File>) -> std::io::Result<Portable> {
        let portable = Portable {
            shared: Arc::new(Shared {
                line: Mutex::default(),
                work: Condvar::new(),
                finished: Mutex::default(),
                finished_count: AtomicUsize::new(0),
                parked: AtomicBool::new(false),
                announces: AtomicBool::new(false),
                bell,
            }),
            workers: RefCell::default(),
            fresh: RefCell::default(),
            in_flight: Cell::new(0),
            held: RefCell::default(),
            waits: Cell::new(0),
        };
        portable.start_worker()?;
        Ok(portable)
    }

    fn start_worker(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let worker = std::thread::Builder::new()
            .name("ringkeep-io".to_owned())
            .stack_size(64 << 10)
            .spawn(move || shared.work())?;
        self.workers.borrow_mut().push(worker);
        Ok(())
    }

    pub fn bell(&self) -> &File {
        &self.shared.bell
    }

    pub fn doorbell(&self) -> Doorbell {
        Doorbell::kernel(Arc::clone(&self.shared.bell))
    }

    /// Every completion rings the bell, too.
    pub fn announce(&self) {
        self.shared.announces.store(true, Ordering::SeqCst);
    }

    pub fn enters(&self) -> u64 {
        self.waits.get()
    }

    pub fn hold(&self, lock: OwnedFd) {
        self.held.borrow_mut().push(lock);
    }

    pub fn enqueue(&self, token: Token, operation: &Operation) {
        self.fresh.borrow_mut().push_back(Job::of(token, operation));
    }

    /// Closes a file on a worker: freeing the space of one whose name is gone takes time.
    pub fn leave(&self, fd: OwnedFd) {
        self.shared.line().leaving.push(fd);
        self.shared.work.notify_one();
    }

    /// Closes at once what no worker has come to; false when there is nothing.
    pub fn close_waiting(&self) -> bool {
        let leaving = std::mem::take(&mut self.shared.line().leaving);
        !leaving.is_empty()
    }

    pub fn turn(&self, ready: &mut Vec<(Token, i32)>) {
        self.submit();
        self.reap(ready);
    }

    /// A sleep until the deadline or news, unless there are some already.
    pub fn lie_down(&self, deadline: Option<Nanos>) -> Option<Sleep> {
        self.submit();
        self.shared.parked.store(true, Ordering::SeqCst);
        if self.shared.finished_count.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let timeout = deadline.map(|deadline| deadline.saturating_sub(system::monotonic()));
        self.waits.set(self.waits.get() + 1);
        Some(Sleep::by_bell(Arc::clone(&self.shared.bell), timeout))
    }

    pub fn get_up(&self, ready: &mut Vec<(Token, i32)>) {
        self.shared.parked.store(false, Ordering::SeqCst);
        self.reap(ready);
    }

    fn submit(&self) {
        let mut fresh = self.fresh.borrow_mut();
        if fresh.is_empty() {
            return;
        }
        let count = fresh.len();
        self.in_flight.set(self.in_flight.get() + count);
        let missing = {
            let mut line = self.shared.line();
            line.jobs.extend(fresh.drain(..));
            line.jobs.len().saturating_sub(line.idle)
        };
        let room = WORKERS_MAX - self.workers.borrow().len();
        for _ in 0..missing.min(room) {
            // Those that run already do the work, only later.
            if self.start_worker().is_err() {
                break;
            }
        }
        match count {
            1 => self.shared.work.notify_one(),
            _ => self.shared.work.notify_all(),
        }
    }

    fn reap(&self, ready: &mut Vec<(Token, i32)>) {
        if self.shared.finished_count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut finished = lock(&self.shared.finished);
        self.shared.finished_count.store(0, Ordering::SeqCst);
        self.in_flight.set(self.in_flight.get() - finished.len());
        ready.append(&mut finished);
    }

    /// Waits for everything that a turn has submitted, submits nothing more, and ends the threads.
    pub fn close(&self) {
        self.shared.line().closed = true;
        self.shared.work.notify_all();
        for worker in self.workers.borrow_mut().drain(..) {
            // A worker that panicked has no buffer in use any more.
            drop(worker.join());
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            let answer = job.run();
            let mut finished = lock(&self.finished);
            finished.push((job.token, answer));
            self.finished_count.fetch_add(1, Ordering::SeqCst);
            drop(finished);
            if self.parked.swap(false, Ordering::SeqCst) || self.announces.load(Ordering::SeqCst) {
                drop((&*self.bell).write(&1u64.to_ne_bytes()));
            }
        }
    }

    /// The next job; `None` when the `Io` is closing and everything is done.
    fn next(&self) -> Option<Job> {
        let mut line = self.line();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            if let Some(fd) = line.leaving.pop() {
                drop(line);
                drop(fd);
                line = self.line();
                continue;
            }
            if line.closed {
                return None;
            }
            line.idle += 1;
            line = self.work.wait(line).unwrap_or_else(PoisonError::into_inner);
            line.idle -= 1;
        }
    }
}

/// The data behind these locks is consistent after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

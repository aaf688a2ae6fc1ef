//! Closures that callers sent to a host, as futures of its thread. They take turns with its shards: each that was
//! woken runs once in a turn, until it waits for something.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use ringkeep_io::Nanos;

use super::post::{Answer, Outcome, Post};
use super::threads::reason;
use crate::mailbox::Inbox;

/// A closure's result on its way to whoever waits for it.
pub(crate) type Ran = Box<dyn Any + Send>;

/// A closure's future; stays on the thread that made it.
pub(crate) type Running = Pin<Box<dyn Future<Output = Ran>>>;

/// Makes the future, on the host's thread.
pub(crate) type Start = Box<dyn FnOnce() -> Running + Send>;

/// Code that runs longer than this without waiting holds up every caller of the host's shards.
const SLICE: Nanos = 100_000;

/// Jobs polled in one turn.
const JOBS_PER_TURN: usize = 64;

/// Those of one host.
pub(super) struct Jobs {
    slots: Vec<Option<Job>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    /// Polls that kept the host longer than `SLICE`.
    overran: u64,
}

struct Job {
    running: Running,
    answer: Answer,
    waker: Arc<JobWaker>,
}

/// What wakers of all threads write to.
struct Ready {
    list: Mutex<VecDeque<usize>>,
    home: ThreadId,
    inbox: Arc<Inbox<Post>>,
}

struct JobWaker {
    index: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn list(&self) -> MutexGuard<'_, VecDeque<usize>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        self.ready.list().push_back(self.index);
        // On the host's own thread it may sleep, too, if that is an executor's.
        if thread::current().id() != self.ready.home || self.ready.inbox.is_parked() {
            // Refused only by a host that is awake anyway, or gone.
            drop(self.ready.inbox.send_urgent(Post::Wake));
        }
    }
}

impl Jobs {
    /// None yet; the host of this thread and inbox will run them.
    pub fn new(inbox: Arc<Inbox<Post>>) -> Jobs {
        Jobs {
            slots: Vec::new(),
            free: Vec::new(),
            ready: Arc::new(Ready {
                list: Mutex::default(),
                home: thread::current().id(),
                inbox,
            }),
            overran: 0,
        }
    }

    pub fn overran(&self) -> u64 {
        self.overran
    }

    pub fn add(&mut self, start: Start, answer: Answer) {
        let running = match catch_unwind(AssertUnwindSafe(start)) {
            Ok(running) => running,
            Err(panic) => return answer.send(Outcome::Panicked(reason(&*panic))),
        };
        let index = self.free.pop().unwrap_or(self.slots.len());
        let waker = Arc::new(JobWaker {
            index,
            queued: AtomicBool::new(false),
            ready: Arc::clone(&self.ready),
        });
        waker.wake_by_ref();
        let job = Some(Job {
            running,
            answer,
            waker,
        });
        match self.slots.get_mut(index) {
            Some(slot) => *slot = job,
            None => self.slots.push(job),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Runs those that were woken before this turn; true when there may be more to do.
    pub fn run(&mut self, now: impl Fn() -> Nanos) -> bool {
        if self.is_empty() {
            return false;
        }
        let woken = self.ready.list().len().min(JOBS_PER_TURN);
        for _ in 0..woken {
            let index = self.ready.list().pop_front();
            if let Some(index) = index {
                let since = now();
                self.poll(index);
                self.overran += u64::from(now() > since + SLICE);
            }
        }
        woken > 0
    }

    fn poll(&mut self, index: usize) {
        // A waker that outlived its job wakes nobody, or the next one in its place once too often.
        let Some(mut job) = self.slots[index].take() else {
            return;
        };
        job.waker.queued.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&job.waker));
        let mut context = Context::from_waker(&waker);
        // A panic of a caller's code ends that code, and nothing of the shards.
        let polled = catch_unwind(AssertUnwindSafe(|| job.running.as_mut().poll(&mut context)));
        let outcome = match polled {
            Ok(Poll::Pending) => {
                self.slots[index] = Some(job);
                return;
            }
            Ok(Poll::Ready(ran)) => Outcome::Ran(ran),
            Err(panic) => Outcome::Panicked(reason(&*panic)),
        };
        self.free.push(index);
        // What the code held goes before its caller goes on.
        let Job {
            running, answer, ..
        } = job;
        drop(catch_unwind(AssertUnwindSafe(|| drop(running))));
        answer.send(outcome);
    }
}

//! The shard's own executor: straight-line `async` code for work that takes several steps.
//!
//! Single-threaded and deterministic: tasks run in the order in which they were woken. A waker only
//! puts its task on the ready list; nothing runs from inside a completion.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use ringkeep_io::Nanos;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks of one shard, and their timers.
#[derive(Default)]
pub(crate) struct Tasks {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    live: Cell<usize>,
    ready: Arc<ReadyList>,
    timers: RefCell<Vec<(Nanos, Waker)>>,
}

struct Slot {
    /// Absent while the task runs, and after it ended.
    task: Option<Task>,
    waker: Arc<TaskWaker>,
}

/// `std::task::Waker` must be `Send`, so the list is behind a lock, for which nobody ever waits: one thread at a time drives a shard.
#[derive(Default)]
struct ReadyList(Mutex<VecDeque<usize>>);

impl ReadyList {
    fn push(&self, index: usize) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.push_back(index);
    }

    fn pop(&self) -> Option<usize> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.pop_front()
    }

    fn len(&self) -> usize {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.len()
    }

    fn is_empty(&self) -> bool {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.is_empty()
    }
}

struct TaskWaker {
    index: usize,
    queued: AtomicBool,
    ready: Arc<ReadyList>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.index);
        }
    }
}

impl Tasks {
    /// Puts a task on the ready list.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let index = self.place(task);
        self.slots.borrow()[index].waker.wake_by_ref();
    }

    /// Runs a task at once, as far as it gets without waiting.
    pub fn start(&self, task: impl Future<Output = ()> + 'static) {
        let index = self.place(task);
        self.poll(index);
    }

    fn place(&self, task: impl Future<Output = ()> + 'static) -> usize {
        let mut slots = self.slots.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let index = slots.len();
            slots.push(Slot {
                task: None,
                waker: Arc::new(TaskWaker {
                    index,
                    queued: AtomicBool::new(false),
                    ready: Arc::clone(&self.ready),
                }),
            });
            index
        });
        slots[index].task = Some(Box::pin(task));
        self.live.set(self.live.get() + 1);
        index
    }

    /// Runs at most `limit` of the tasks that are ready now, each once: one that only lets others run
    /// does not get the rest of the turn. True when more are ready.
    pub fn run(&self, limit: usize) -> bool {
        for _ in 0..limit.min(self.ready.len()) {
            let Some(index) = self.ready.pop() else {
                return false;
            };
            self.poll(index);
        }
        !self.ready.is_empty()
    }

    fn poll(&self, index: usize) {
        let (task, waker) = {
            let mut slots = self.slots.borrow_mut();
            let slot = &mut slots[index];
            slot.waker.queued.store(false, Ordering::Release);
            (slot.task.take(), Arc::clone(&slot.waker))
        };
        // A waker that outlived its task wakes nobody, or its slot's next task once too often.
        let Some(mut task) = task else { return };
        let waker = Waker::from(waker);
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => self.slots.borrow_mut()[index].task = Some(task),
            Poll::Ready(()) => {
                self.live.set(self.live.get() - 1);
                self.free.borrow_mut().push(index);
            }
        }
    }

    /// Tasks that wait to be run.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Tasks that have not ended.
    #[cfg(test)]
    pub fn live(&self) -> usize {
        self.live.get()
    }

    /// Drops every task. For the end of a shard: tasks hold it alive.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        self.free.borrow_mut().clear();
        self.timers.borrow_mut().clear();
        while self.ready.pop().is_some() {}
        self.live.set(0);
        drop(slots);
    }

    /// Wakes the sleepers whose time has come.
    pub fn expire(&self, now: Nanos) {
        self.timers.borrow_mut().retain(|(deadline, waker)| {
            let due = *deadline <= now;
            if due {
                waker.wake_by_ref();
            }
            !due
        });
    }

    /// When the next sleeper is due.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers.borrow().iter().map(|(at, _)| *at).min()
    }

    /// Waits until `expire` is called with a time of `deadline` or later.
    pub async fn sleep_until(&self, deadline: Nanos) {
        let mut armed = false;
        poll_fn(|cx| {
            if armed {
                return Poll::Ready(());
            }
            armed = true;
            self.timers
                .borrow_mut()
                .push((deadline, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Lets everybody else run first.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Something that tasks wait for: a count that only grows. Waiting is always a loop over a
/// condition, so a signal too many does no harm.
#[derive(Default)]
pub(crate) struct Signal {
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes everybody who waits.
    pub fn raise(&self) {
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Waits until `condition` holds; it is looked at again at each `raise`.
    pub async fn wait_until(&self, mut condition: impl FnMut() -> bool) {
        poll_fn(|cx| {
            if condition() {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn tasks_run_in_the_order_of_their_wakes() {
        let tasks = Rc::new(Tasks::default());
        let signal = Rc::new(Signal::default());
        let seen = Rc::new(RefCell::new(Vec::new()));
        let open = Rc::new(Cell::new(false));
        for name in ["first", "second"] {
            let (signal, seen, open) = (Rc::clone(&signal), Rc::clone(&seen), Rc::clone(&open));
            tasks.spawn(async move {
                signal.wait_until(|| open.get()).await;
                yield_now().await;
                seen.borrow_mut().push(name);
            });
        }
        assert!(!tasks.run(10));
        signal.raise();
        assert!(!tasks.run(10), "raised too early: both wait again");
        open.set(true);
        signal.raise();
        assert!(tasks.run(10), "both have only let others run");
        assert!(tasks.run(1));
        assert_eq!(*seen.borrow(), ["first"]);
        assert!(!tasks.run(10));
        assert_eq!((*seen.borrow()).as_slice(), ["first", "second"]);
        assert_eq!(tasks.live(), 0);
    }

    #[test]
    fn a_sleeper_wakes_at_its_deadline_and_not_before() {
        let tasks = Rc::new(Tasks::default());
        let woken = Rc::new(Cell::new(false));
        let (inner, flag) = (Rc::clone(&tasks), Rc::clone(&woken));
        tasks.spawn(async move {
            inner.sleep_until(100).await;
            flag.set(true);
        });
        tasks.run(10);
        assert_eq!(tasks.next_deadline(), Some(100));
        tasks.expire(99);
        tasks.run(10);
        assert!(!woken.get());
        tasks.expire(100);
        tasks.run(10);
        assert!(woken.get());
        assert_eq!(tasks.next_deadline(), None);
    }
}

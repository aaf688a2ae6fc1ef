//! The thread of a host: opened step by step from outside, then left to its loop; when it panics, it
//! goes down alone.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use core_affinity::CoreId;
use ringkeep_io::{Io, IoOptions, MemoryDisk, Sleep};
use ringkeep_shard::ShardId;

use super::{Helm, Host, Post};
use crate::mailbox::{Inbox, Refused};
use crate::options::Executor;
use crate::patience::Patience;
use crate::{Error, Result, desk};

/// A host that can be told to take a step: by an order to its thread, or here and now when it is driven
/// by hand.
pub(crate) enum Driver {
    Thread(HostThread),
    Hand(Box<Host>),
}

/// A host thread while the database is opened. Dropped without `go`, it ends.
pub(crate) struct HostThread {
    index: usize,
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
    helm: Arc<Helm>,
    obituaries: Obituaries,
}

/// What a thread needs to begin.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) door: Door,
    pub(crate) core: Option<CoreId>,
    /// How long to look for mail before sleeping.
    pub(crate) spin: Duration,
    pub(crate) executor: Executor,
    /// For callers, while the thread sleeps.
    pub(crate) helm: Arc<Helm>,
    pub(crate) obituaries: Obituaries,
}

/// Where a host's files are.
pub(crate) enum Door {
    /// Behind the kernel, with a copy of the lock for the ring to hold.
    Kernel(IoOptions, OwnedFd),
    Memory(MemoryDisk),
}

impl Door {
    fn open(self) -> ringkeep_io::Result<Io> {
        match self {
            Door::Kernel(options, lock) => {
                let io = Io::open(&options)?;
                io.hold(lock);
                Ok(io)
            }
            Door::Memory(disk) => Io::memory(&disk),
        }
    }
}

/// A step under way.
pub(crate) struct Step<R> {
    index: usize,
    result: mpsc::Receiver<R>,
    obituaries: Obituaries,
}

enum Order {
    Run(Box<dyn FnOnce(&mut Host) + Send>),
    Go(Arc<[Arc<Inbox<Post>>]>),
}

impl Driver {
    /// Begins a step. Steps of several hosts run side by side until they are waited for.
    pub(crate) fn run<R: Send + 'static>(
        &mut self,
        step: impl FnOnce(&mut Host) -> R + Send + 'static,
    ) -> Step<R> {
        let (sender, result) = mpsc::channel();
        let (index, obituaries) = match self {
            Driver::Thread(thread) => {
                let order = Box::new(move |host: &mut Host| drop(sender.send(step(host))));
                // A thread that is gone drops the order, and with it the result's sender.
                drop(thread.orders.send(Order::Run(order)));
                (thread.index, thread.obituaries.clone())
            }
            Driver::Hand(host) => {
                drop(sender.send(step(host)));
                (host.index, Obituaries::default())
            }
        };
        Step {
            index,
            result,
            obituaries,
        }
    }
}

impl Driver {
    /// Leaves the host to its loop; nothing to wait for when it has no thread.
    pub(crate) fn go(self, peers: &Arc<[Arc<Inbox<Post>>]>) -> Option<JoinHandle<()>> {
        match self {
            Driver::Thread(thread) => Some(thread.go(peers)),
            Driver::Hand(_) => None,
        }
    }

    /// Where callers may drive it.
    pub(crate) fn helm(&self) -> Option<Arc<Helm>> {
        match self {
            Driver::Thread(thread) => Some(Arc::clone(&thread.helm)),
            Driver::Hand(_) => None,
        }
    }

    /// Ends a host that was not left to its loop, and waits until its descriptors are closed.
    pub(crate) fn end(self) {
        if let Driver::Thread(thread) = self {
            thread.end();
        }
    }
}

impl<R> Step<R> {
    /// The step's result.
    pub(crate) fn wait(self) -> Result<R> {
        self.result.recv().map_err(|_| Error::HostStopped {
            shard: ShardId(self.index as u16),
            reason: self.obituaries.of(self.index).unwrap_or_default(),
        })
    }
}

impl HostThread {
    /// Starts a thread and opens its door to the kernel.
    pub(crate) fn start(setup: Setup) -> Result<HostThread> {
        let (index, obituaries) = (setup.index, setup.obituaries.clone());
        let helm = Arc::clone(&setup.helm);
        let (orders, received) = mpsc::channel();
        let (sender, opened) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("ringkeep-{index}"))
            .spawn(move || live(setup, &sender, &received))
            .map_err(|error| Error::Limit {
                limit: "threads (ulimit -u)",
                now: index as u64,
                needed: error.raw_os_error().map_or(1, |_| index as u64 + 1),
            })?;
        let thread = HostThread {
            index,
            orders,
            thread,
            helm,
            obituaries,
        };
        let step = Step {
            index,
            result: opened,
            obituaries: thread.obituaries.clone(),
        };
        match step.wait().flatten() {
            Ok(()) => Ok(thread),
            Err(error) => {
                thread.end();
                Err(error)
            }
        }
    }

    fn go(self, peers: &Arc<[Arc<Inbox<Post>>]>) -> JoinHandle<()> {
        drop(self.orders.send(Order::Go(Arc::clone(peers))));
        self.thread
    }

    fn end(self) {
        drop(self.orders);
        drop(self.thread.join());
    }
}

fn live(setup: Setup, opened: &mpsc::Sender<Result<()>>, orders: &mpsc::Receiver<Order>) {
    if let Some(core) = setup.core {
        // Refused only where the core was taken from this process since it was listed.
        core_affinity::set_for_current(core);
    }
    let io = match setup.door.open() {
        Ok(io) => io,
        Err(error) => {
            let path = "io_uring".into();
            drop(opened.send(Err(Error::Io { path, error })));
            return;
        }
    };
    let host_loop = match Loop::of(setup.executor, setup.spin, setup.index) {
        Ok(host_loop) => host_loop,
        Err(error) => return drop(opened.send(Err(error))),
    };
    desk::never_blocks();
    let mut own = Some(Box::new(Host::new(io, setup.index)));
    drop(opened.send(Ok(())));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        for order in orders {
            match order {
                Order::Run(step) => step(owned(&mut own)),
                Order::Go(peers) => {
                    owned(&mut own).meet(peers);
                    host_loop.serve(&mut own, &setup.helm);
                }
            }
        }
        owned(&mut own).finish_writes();
    }));
    if let (Err(panic), Some(host)) = (ended, own.or_else(|| setup.helm.take_back())) {
        bury(host, &reason(&*panic), &setup.obituaries);
    }
}

/// A host that is not at a helm.
fn owned(own: &mut Option<Box<Host>>) -> &mut Host {
    own.as_mut().expect("a host that was lent is taken back")
}

/// What runs a host.
enum Loop {
    /// With how long to look for mail before sleeping.
    Own(Duration),
    #[cfg(feature = "glommio")]
    Glommio(Box<super::glommio::Executor>),
}

impl Loop {
    #[cfg_attr(
        not(feature = "glommio"),
        expect(unused_variables, reason = "an executor's name")
    )]
    fn of(executor: Executor, spin: Duration, index: usize) -> Result<Loop> {
        Ok(match executor {
            Executor::Own => Loop::Own(spin),
            #[cfg(feature = "glommio")]
            Executor::Glommio => Loop::Glommio(Box::new(super::glommio::Executor::make(index)?)),
        })
    }

    /// Until the host is finished. In an executor, which sleeps in its own way, nobody else drives it.
    fn serve(&self, own: &mut Option<Box<Host>>, helm: &Helm) {
        match self {
            Loop::Own(spin) => {
                own.take().into_iter().for_each(|host| helm.lend(host));
                serve(helm, *spin);
                *own = helm.take_back();
            }
            #[cfg(feature = "glommio")]
            Loop::Glommio(executor) => executor.serve(owned(own)),
        }
    }
}

/// The loop of a host thread: at the helm until there is nothing to do.
fn serve(helm: &Helm, spin: Duration) {
    let mut patience = Patience::default();
    loop {
        let mut host = helm.take();
        host.get_up();
        let sleep = work(&mut host, spin, &mut patience);
        drop(host);
        match sleep {
            Some(sleep) => sleep.sleep(),
            None => return,
        }
    }
}

/// Until it may sleep, or is finished.
fn work(host: &mut Host, spin: Duration, patience: &mut Patience) -> Option<Sleep> {
    loop {
        let more = host.turn();
        if host.is_finished() {
            return None;
        }
        // After work more of it is likely; an idle host sleeps at once.
        let spin = if host.was_busy() {
            spin
        } else {
            Duration::ZERO
        };
        if !more && !patience.wait(spin, || host.has_mail()) {
            match host.lie_down() {
                Some(sleep) => return Some(sleep),
                None => host.get_up(),
            }
        }
    }
}

/// Takes a host down after a panic: first the reason, for whoever finds its call unanswered; then the host,
/// which leaves all its calls unanswered; then the others learn of it.
fn bury(host: Box<Host>, reason: &str, obituaries: &Obituaries) {
    let (index, peers) = (host.index, Arc::clone(&host.peers));
    obituaries.write(index, reason.to_owned());
    // A shard that was left half way through something may panic again; the first reason is the one to tell.
    drop(catch_unwind(AssertUnwindSafe(|| drop(host))));
    // Its own inbox is closed, which `send` says at once.
    for inbox in peers.iter() {
        let mut post = Post::HostGone {
            host: index,
            reason: reason.to_owned(),
        };
        while let Err(Refused::Full(refused)) = inbox.send_urgent(post) {
            post = refused;
            std::thread::yield_now();
        }
    }
}

/// What a panic said.
pub(super) fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

/// Why hosts ended that should not have.
#[derive(Clone, Default)]
pub(crate) struct Obituaries(Arc<Mutex<Vec<(usize, String)>>>);

impl Obituaries {
    pub(crate) fn of(&self, host: usize) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .find(|(dead, _)| *dead == host)
            .map(|(_, reason)| reason.clone())
    }

    pub(crate) fn first(&self) -> Option<(usize, String)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.first().cloned()
    }

    fn write(&self, host: usize, reason: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((host, reason));
    }
}

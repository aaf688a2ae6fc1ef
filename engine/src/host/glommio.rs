//! The loop of a host as a task on a glommio executor, so that the futures, sockets and timers of an application run on
//! the thread of the shards that they ask.
//!
//! The host keeps its own door to the kernel. Its doorbell is an eventfd, and completions ring it as well; a second task
//! reads it through glommio's ring, for as long as the host lives: a read that was given up could still swallow a ring.
//! Mail that is sent on the host's own thread wakes the host without the eventfd.

#![allow(
    unsafe_code,
    reason = "glommio takes a descriptor to read from by its number only"
)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::glommio::io::BufferedFile;
use ::glommio::timer::Timer;
use ::glommio::{LocalExecutor, LocalExecutorBuilder, Placement, spawn_local};
use ringkeep_io::{Backend, Doorbell, Io, IoOptions};

use super::Host;
use crate::{Error, Result};

/// Never, that is. When glommio's timer fires just before it looks for tasks that are ready, it does not see them, and
/// sleeps: on a busy machine every few thousand turns, and nobody may be left to wake it.
const PREEMPT_AFTER: Duration = Duration::from_secs(3600);

/// So often a host that has more to do lets glommio look for other I/O, which it would do itself when that timer fires.
const TURNS_PER_LOOK: u32 = 32;

/// Registered with each of the executor's three rings, out of the limit on locked memory.
const IO_MEMORY: usize = 256 << 10;

thread_local! {
    /// The host that sleeps in this thread's executor.
    static SLEEPER: RefCell<Option<(Here, Rc<Sleeper>)>> = const { RefCell::new(None) };
}

/// Tells the hosts of this process apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Here(u64);

/// A doorbell for everybody but the host's own thread, which needs none.
pub(super) struct BellBeside {
    here: Here,
    doorbell: Doorbell,
}

/// A host that waits.
#[derive(Default)]
struct Sleeper {
    rung: Cell<bool>,
    ended: Cell<bool>,
    /// Nothing will ring any more.
    deaf: RefCell<Option<String>>,
    waker: Cell<Option<Waker>>,
}

/// Runs a host, and what its callers spawn beside it.
pub(super) struct Executor(LocalExecutor);

pub(super) fn beside(doorbell: Doorbell) -> (Here, BellBeside) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let here = Here(NEXT.fetch_add(1, Ordering::Relaxed));
    (here, BellBeside { here, doorbell })
}

impl BellBeside {
    pub(super) fn ring(&self) {
        let is_here = SLEEPER.try_with(|sleeper| match &*sleeper.borrow() {
            Some((here, sleeper)) if *here == self.here => {
                sleeper.ring();
                true
            }
            _ => false,
        });
        if !is_here.unwrap_or(false) {
            self.doorbell.ring();
        }
    }
}

impl Sleeper {
    fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(reason) = &*self.deaf.borrow() {
            panic!("the doorbell cannot be read through glommio: {reason}");
        }
        if self.rung.take() {
            return Poll::Ready(());
        }
        self.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Executor {
    /// On the thread that will run it. Says why when glommio cannot run here.
    pub(super) fn make(index: usize) -> Result<Executor> {
        let refuse = |reason: String| Error::Option {
            name: "executor",
            detail: format!(
                "glommio cannot run here: {reason}; it needs io_uring and 512 KiB of locked memory (ulimit -l) for \
                 each thread, or use Executor::Own"
            ),
        };
        // Glommio panics in some places where there is no io_uring.
        let probe = IoOptions {
            backend: Backend::Ring,
            frames_bytes: 0,
            ..IoOptions::default()
        };
        drop(Io::open(&probe).map_err(|error| refuse(error.to_string()))?);
        let builder = LocalExecutorBuilder::new(Placement::Unbound)
            .name(&format!("ringkeep-{index}"))
            .io_memory(IO_MEMORY)
            .preempt_timer(PREEMPT_AFTER);
        match catch_unwind(AssertUnwindSafe(|| builder.make())) {
            Ok(Ok(executor)) => Ok(Executor(executor)),
            Ok(Err(error)) => Err(refuse(error.to_string())),
            Err(panic) => Err(refuse(super::threads::reason(&*panic))),
        }
    }

    /// Until the host is finished; a panic of it comes out here.
    pub(super) fn serve(&self, host: &mut Host) {
        let (bell, doorbell) = (host.io().bell(), host.io().doorbell());
        let bell = bell.unwrap_or_else(|error| panic!("completions cannot ring: {error}"));
        let sleeper = Rc::new(Sleeper::default());
        SLEEPER.set(Some((host.here, Rc::clone(&sleeper))));
        let ended = self.0.run(async {
            let listener = spawn_local(listen(bell, Rc::clone(&sleeper)));
            let mut serving = pin!(serve(host, &sleeper));
            // Caught here, because what comes out of `run` has lost its reason.
            let ended = poll_fn(|context| {
                let poll = AssertUnwindSafe(|| serving.as_mut().poll(context));
                match catch_unwind(poll) {
                    Ok(polled) => polled.map(Ok),
                    Err(panic) => Poll::Ready(Err::<(), Box<dyn Any + Send>>(panic)),
                }
            })
            .await;
            // Its read ends by a last ring: what is cancelled leaves its descriptor open.
            sleeper.ended.set(true);
            doorbell.ring();
            listener.await;
            ended
        });
        SLEEPER.set(None);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    }
}

async fn serve(host: &mut Host, sleeper: &Sleeper) {
    let mut turns = 0;
    loop {
        // What rings from here on may be about what the turn does not see.
        sleeper.rung.set(false);
        let more = host.turn();
        if host.is_finished() {
            return;
        }
        if more || !host.lie_down_elsewhere() {
            turns += 1;
            match turns % TURNS_PER_LOOK {
                0 => drop(Timer::new(Duration::ZERO).await),
                _ => yield_now().await,
            }
            continue;
        }
        sleep(host, sleeper).await;
        host.get_up_elsewhere();
    }
}

/// Until somebody rings, or a shard wants to be called.
async fn sleep(host: &Host, sleeper: &Sleeper) {
    let Some(deadline) = host.next_deadline() else {
        return poll_fn(|context| sleeper.poll(context)).await;
    };
    let left = deadline.saturating_sub(host.io().now());
    let mut timer = pin!(Timer::new(Duration::from_nanos(left)));
    poll_fn(|context| match sleeper.poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.as_mut().poll(context).map(drop),
    })
    .await;
}

/// Everybody else's turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Hears the doorbell.
async fn listen(bell: OwnedFd, sleeper: Rc<Sleeper>) {
    // SAFETY: the number is that of an open eventfd that nobody else owns from here on.
    let bell = unsafe { BufferedFile::from_raw_fd(bell.into_raw_fd()) };
    while !sleeper.ended.get() {
        let heard = bell.read_at(0, size_of::<u64>()).await;
        if let Err(error) = &heard {
            *sleeper.deaf.borrow_mut() = Some(error.to_string());
        }
        sleeper.ring();
        if heard.is_err() {
            break;
        }
    }
    // Nothing was written to it that a close could lose.
    drop(bell.close().await);
}

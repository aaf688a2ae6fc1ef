//! Who drives a host: its own thread, or, while that sleeps, a caller with a call that would wake it. Such a caller
//! does what the thread would do and goes, so that nobody has to wake anybody.
//!
//! The thread lets the helm go only to sleep, and takes it again before it looks at anything. Callers only try, for as long as
//! a few short calls take, and then send mail. So nobody but the thread ever sleeps here, and it only as long as a visit takes.
#![allow(
    unsafe_code,
    reason = "a host, which is made of parts for one thread, is used by several, one at a time"
)]

use std::cell::Cell;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;
use ringkeep_shard::ShardId;

use super::{Host, Post};
use crate::mailbox::Inbox;

/// Looks for the helm: some 50 microseconds, three times what a page of a scan takes. It is free again in a moment if another
/// caller has it, or the thread with little to do. Mail instead would keep the thread awake, and while it is, everybody sends mail.
const LOOKS: usize = 2048;

/// See the module.
pub(crate) struct Helm {
    host: Mutex<Option<Lent>>,
    /// Callers that wait for this host now.
    callers: CachePadded<AtomicUsize>,
    /// With more of them it is better to let the host take their calls at once.
    callers_max: usize,
    /// Callers wait for the thread to lie down: there is a core that it does not need for that.
    waits: bool,
}

struct Lent(Box<Host>);

// SAFETY: what makes a host `!Send` is `Rc`, `RefCell` and `Cell` between its own parts, and callers' closures. Of the
// former nothing is ever outside of the host: answers, pages, rows and logs that leave it are `Send` themselves, which the
// types of `Post`, `Outcome` and `Order` ask for. So whoever has the host has all clones, and the mutex of `Helm`, the only
// place where this type is used, orders one holder's accesses before the next one's. Closures may hold anything of the
// thread that made them; a visit neither polls nor drops one (`visit.rs`), and the thread itself takes the host out of the
// helm before it drops it.
unsafe impl Send for Lent {}

/// The right to drive, of the host's own thread.
pub(super) struct AtHelm<'a>(MutexGuard<'a, Option<Lent>>);

/// A thread that waits for these hosts, and for how many it did before.
pub(crate) struct Caller<'a>(&'a [Arc<Helm>], usize);

thread_local! {
    /// Hosts that count this thread. A question does not know whether a thread waits for it or a future, which must not keep its
    /// thread.
    static COUNTED_BY: Cell<usize> = const { Cell::new(0) };
}

/// What a visitor would do otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Sleep: it may as well look for the helm, and read or write for itself.
    Sleeps,
    /// Ask other shards of this host, and then sleep.
    Asks,
    /// Poll other futures, or ask other hosts.
    Polls,
}

impl Helm {
    /// Nobody's host yet.
    pub(crate) fn new(callers_max: usize, waits: bool) -> Helm {
        Helm {
            host: Mutex::new(None),
            callers: CachePadded::new(AtomicUsize::new(0)),
            callers_max,
            waits,
        }
    }

    /// Lets callers have a host when its thread sleeps.
    pub(super) fn lend(&self, host: Box<Host>) {
        *self.lock() = Some(Lent(host));
    }

    /// Takes it back for good.
    pub(super) fn take_back(&self) -> Option<Box<Host>> {
        self.lock().take().map(|lent| lent.0)
    }

    /// For the host's own thread, between `lend` and `take_back`.
    pub(super) fn take(&self) -> AtHelm<'_> {
        AtHelm(self.lock())
    }

    // A panic of the thread itself leaves it poisoned, and the thread buries the host then.
    fn lock(&self) -> MutexGuard<'_, Option<Lent>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a call at once, as far as that goes, if the host sleeps or is about to; otherwise it comes back. The answer is
    /// where answers come.
    pub(crate) fn visit(
        &self,
        inbox: &Inbox<Post>,
        shard: ShardId,
        post: Post,
        visitor: Visitor,
    ) -> Result<(), Post> {
        if self.callers.load(Ordering::Relaxed) > self.callers_max {
            return Err(post);
        }
        let may_block = visitor == Visitor::Sleeps;
        let waits = self.waits && visitor != Visitor::Polls;
        // The helm is let go with the end of the statement: an errand takes as long as the device does.
        let mut after = match self.look(|| inbox.is_parked(), waits).as_deref_mut() {
            Some(Some(lent)) if inbox.is_parked() && lent.0.is_at_leisure() => {
                lent.0.visit(shard, Some(post), may_block)
            }
            _ => return Err(post),
        };
        loop {
            if after.wake {
                inbox.wake_up();
            }
            let Some(errand) = after.errand else {
                return Ok(());
            };
            errand.run();
            after = match self.look(|| true, true).as_deref_mut() {
                Some(Some(lent)) => lent.0.visit(shard, None, may_block),
                // Whoever has the helm finds what the errand brought: the thread before it sleeps, and after another caller it is
                // woken.
                _ => {
                    inbox.wake_up();
                    return Ok(());
                }
            };
        }
    }

    /// A helm that is poisoned is as good as taken.
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Lent>>> {
        self.host.try_lock().ok()
    }

    /// `waits`: also for the thread to let it go.
    fn look(
        &self,
        may_be_free: impl Fn() -> bool,
        waits: bool,
    ) -> Option<MutexGuard<'_, Option<Lent>>> {
        for _ in 0..LOOKS {
            match may_be_free() {
                true => {
                    let helm = self.try_lock();
                    if helm.is_some() {
                        return helm;
                    }
                }
                false if !waits => return None,
                false => {}
            }
            spin_loop();
        }
        None
    }
}

impl Deref for AtHelm<'_> {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0.as_ref().expect("lent to it").0
    }
}

impl DerefMut for AtHelm<'_> {
    fn deref_mut(&mut self) -> &mut Host {
        &mut self.0.as_mut().expect("lent to it").0
    }
}

impl Caller<'_> {
    /// Counts this thread for as long as it waits.
    pub(crate) fn of(helms: &[Arc<Helm>]) -> Caller<'_> {
        for helm in helms {
            helm.callers.fetch_add(1, Ordering::Relaxed);
        }
        Caller(helms, COUNTED_BY.replace(helms.len()))
    }

    /// What this thread would do if it did not visit, and has others to ask first.
    pub(crate) fn visitor() -> Visitor {
        match COUNTED_BY.get() {
            1 => Visitor::Asks,
            _ => Visitor::Polls,
        }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        COUNTED_BY.set(self.1);
        for helm in self.0 {
            helm.callers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

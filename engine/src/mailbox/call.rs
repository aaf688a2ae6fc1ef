//! One answer from a shard's thread to one waiting caller, in place.
//!
//! ```text
//!              ask                  poll                 registered
//!     Idle ────────────► WAITING ─────────► REGISTERING ───────────► ASLEEP
//!      ▲                    │ ▲ poll again      │                      │ answer
//!      │                    │ └─────────────────┼──────────────────────┤
//!      │                    │ answer            │ answer               ▼
//!      │ answer taken       ▼                   ▼      waker taken   WAKING
//!      └──────────────── ANSWERED ◄───────────────────────────────────┘
//! ```
//!
//! The caller makes the edges to REGISTERING, ASLEEP and back to Idle, the answerer those to WAKING
//! and ANSWERED. The `reply` cell is the answerer's until ANSWERED and the caller's after it. The
//! `waker` cell is the caller's in REGISTERING, the answerer's in WAKING, and otherwise nobody's. After
//! ANSWERED the answerer touches nothing but its reference count, so the caller may use the slot
//! again at once. Either side may vanish: a caller by dropping its end, an answerer by dropping its
//! own, which counts as an answer that nothing is coming.
#![allow(
    unsafe_code,
    reason = "the reply is written in place and handed over by the state"
)]

use std::task::{Context, Poll, Waker};

use super::atomics::{Arc, AtomicU32, Ordering, UnsafeCell, spin_loop};

const WAITING: u32 = 0;
const REGISTERING: u32 = 1;
const ASLEEP: u32 = 2;
const WAKING: u32 = 3;
const ANSWERED: u32 = 4;

struct Slot<R> {
    state: AtomicU32,
    reply: UnsafeCell<Option<R>>,
    waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: the cells are reached only by the side that the state names (see the module text), so the
// slot moves replies between threads and shares none; wakers are Send and Sync.
unsafe impl<R: Send> Sync for Slot<R> {}
// SAFETY: the same.
unsafe impl<R: Send> Send for Slot<R> {}

/// A slot that nobody will answer, ready to be asked with.
pub(crate) struct Idle<R>(Arc<Slot<R>>);

/// The caller's end.
pub(crate) struct Waiting<R>(Arc<Slot<R>>);

/// The right to answer once. Dropped unused, it tells the caller that no answer is coming.
pub(crate) struct Answer<R: Send> {
    slot: Arc<Slot<R>>,
    sent: bool,
}

/// The answerer went away without answering.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

impl<R: Send> Idle<R> {
    pub(crate) fn new() -> Idle<R> {
        Idle(Arc::new(Slot {
            state: AtomicU32::new(WAITING),
            reply: UnsafeCell::new(None),
            waker: UnsafeCell::new(None),
        }))
    }

    /// Splits the slot into its two ends.
    pub(crate) fn ask(self) -> (Waiting<R>, Answer<R>) {
        // Relaxed: whatever carries the answer's end to its thread orders this before its use.
        self.0.state.store(WAITING, Ordering::Relaxed);
        let answer = Answer {
            slot: Arc::clone(&self.0),
            sent: false,
        };
        (Waiting(self.0), answer)
    }
}

impl<R: Send> Waiting<R> {
    /// The answer is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == ANSWERED
    }

    /// Takes the answer, or leaves the waker. Not to be polled again once it was ready.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<R, Lost>> {
        let slot = &*self.0;
        let state = slot.state.load(Ordering::Acquire);
        if state == ANSWERED {
            return Poll::Ready(self.take());
        }
        if state == WAKING {
            // The answerer is between two stores and has our previous waker, not this one.
            spin_loop();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut waker = Some(context.waker().clone());
        if !slot.change(state, REGISTERING) {
            return self.poll(context);
        }
        // SAFETY: REGISTERING gives the waker cell to the caller, of which there is one (`&mut self`);
        // the answerer takes it only in WAKING, which it enters only from ASLEEP. Swapped, so that
        // the old waker's drop, which is foreign code, runs outside.
        slot.waker
            .with_mut(|place| unsafe { std::ptr::swap(place, &mut waker) });
        if slot.change(REGISTERING, ASLEEP) {
            Poll::Pending
        } else {
            Poll::Ready(self.take())
        }
    }

    /// The slot for the next question, once the answer was taken.
    pub(crate) fn into_idle(self) -> Option<Idle<R>> {
        self.is_ready().then_some(Idle(self.0))
    }

    fn take(&mut self) -> Result<R, Lost> {
        debug_assert!(self.is_ready());
        // SAFETY: both callers saw ANSWERED with Acquire, which orders this after the answerer's last
        // access to the cell; from then on it is the caller's, of which there is one (`&mut self`).
        let reply = self.0.reply.with_mut(|place| unsafe { (*place).take() });
        reply.ok_or(Lost)
    }
}

impl<R: Send> Answer<R> {
    /// Answers, and wakes the caller if it sleeps. Nobody may be listening any more; that is fine.
    pub(crate) fn send(mut self, reply: R) {
        self.finish(Some(reply));
    }

    fn finish(&mut self, reply: Option<R>) {
        self.sent = true;
        let slot = &*self.slot;
        // SAFETY: before ANSWERED the reply cell is the answerer's, of which there is one (not Clone), and
        // `sent` lets it through here once. What the cell held is nothing: the caller's `take` or
        // `Idle::new` left it empty, and the question's way here ordered that before us.
        slot.reply.with_mut(|place| unsafe { *place = reply });
        loop {
            match slot.state.load(Ordering::Acquire) {
                ASLEEP => {
                    // Only the caller could leave ASLEEP meanwhile, to register anew.
                    if !slot.change(ASLEEP, WAKING) {
                        continue;
                    }
                    // SAFETY: WAKING gives the waker cell to the answerer; the caller enters REGISTERING
                    // only from WAITING and ASLEEP.
                    let waker = slot.waker.with_mut(|place| unsafe { (*place).take() });
                    slot.state.store(ANSWERED, Ordering::Release);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    return;
                }
                // In REGISTERING the caller finds the answer itself before it sleeps.
                state => {
                    if slot.change(state, ANSWERED) {
                        return;
                    }
                }
            }
        }
    }
}

impl<R: Send> Drop for Answer<R> {
    fn drop(&mut self) {
        if !self.sent {
            self.finish(None);
        }
    }
}

impl<R> Slot<R> {
    fn change(&self, from: u32, to: u32) -> bool {
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }
}

//! A host thread's inbox: several lanes, a bitmap of those with mail, and a doorbell that is rung
//! only for a sleeper.
//!
//! Two handshakes, both "store mine, fence, load yours" (Dekker), keep mail from being overlooked:
//!
//! ```text
//! sender: item → fence → dirty bit (set if clear) → fence → state: PARKED? ring
//! host:   dirty bits cleared → fence → items          state = PARKED → fence → dirty bits: any? stay up
//! ```
//!
//! So either the host sees the bit or the sender sees the bit cleared (and sets it again), and either
//! the host sees the bit before it sleeps or the sender sees the sleeper.
//!
//! Lane 0 is for urgent mail, which is taken last and so covers everything that any other mail in the
//! same `take` was sent after.

use std::sync::PoisonError;

use crossbeam_utils::CachePadded;

use super::atomics::{Arc, AtomicU32, AtomicU64, Mutex, Ordering, fence};
use super::lane;

const AWAKE: u32 = 0;
const PARKED: u32 = 1;
const CLOSED: u32 = 2;

/// More lanes than bits in the map there cannot be, and one is for urgent mail.
pub(crate) const LANES_MAX: usize = 63;

const URGENT: usize = 0;

/// The senders' side, shared.
pub(crate) struct Inbox<T> {
    lanes: Box<[lane::Sender<T>]>,
    /// Bits set by senders, cleared by the host.
    dirty: CachePadded<AtomicU64>,
    /// Written by the host; senders only wake it (PARKED to AWAKE).
    state: CachePadded<AtomicU32>,
    /// Set once by the database, read by the host.
    stop: AtomicU32,
    bell: Box<dyn Fn() + Send + Sync>,
    /// The receivers after the host is gone, for whoever still sends.
    orphans: Mutex<Option<Vec<lane::Receiver<T>>>>,
}

/// The host's side, one.
pub(crate) struct Mail<T: Send> {
    inbox: Arc<Inbox<T>>,
    receivers: Vec<lane::Receiver<T>>,
    /// Lanes that were not emptied by the last `take`.
    left: u64,
}

/// Why an item came back.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    /// The lane is full: back off and try again.
    Full(T),
    /// The host is gone.
    Closed(T),
}

/// An inbox of `lanes` lanes of `capacity` items, beside the urgent one; `bell` ends the host's sleep.
pub(crate) fn inbox<T: Send>(
    lanes: usize,
    capacity: usize,
    bell: Box<dyn Fn() + Send + Sync>,
) -> Mail<T> {
    assert!((1..=LANES_MAX).contains(&lanes));
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..=lanes).map(|_| lane::ring(capacity)).unzip();
    let inbox = Inbox {
        lanes: senders.into(),
        dirty: CachePadded::new(AtomicU64::new(0)),
        state: CachePadded::new(AtomicU32::new(AWAKE)),
        stop: AtomicU32::new(0),
        bell,
        orphans: Mutex::new(None),
    };
    Mail {
        inbox: Arc::new(inbox),
        receivers,
        left: 0,
    }
}

impl<T: Send> Inbox<T> {
    /// Sends on lane `lane` (modulo the number of lanes), or another if it is full, and wakes the host if
    /// it sleeps. An item that
    /// was taken in and that no host will ever see is dropped.
    pub(crate) fn send(&self, lane: usize, mut item: T) -> Result<(), Refused<T>> {
        let lanes = self.lanes.len() - 1;
        // A thread with many calls at once fills its own lane and goes on with the others'.
        for next in 0..lanes {
            match self.send_on(1 + (lane + next) % lanes, item) {
                Err(Refused::Full(refused)) => item = refused,
                sent_or_closed => return sent_or_closed,
            }
        }
        Err(Refused::Full(item))
    }

    /// Sends ahead of everything that is sent to this host after it, by whomever.
    pub(crate) fn send_urgent(&self, item: T) -> Result<(), Refused<T>> {
        self.send_on(URGENT, item)
    }

    fn send_on(&self, lane: usize, item: T) -> Result<(), Refused<T>> {
        if self.is_closed() {
            return Err(Refused::Closed(item));
        }
        self.lanes[lane].send(item).map_err(Refused::Full)?;
        let bit = 1 << lane;
        fence(Ordering::SeqCst);
        // Read first: while the host is behind, the bit stays set and the line stays shared.
        if self.dirty.load(Ordering::Relaxed) & bit == 0 {
            self.dirty.fetch_or(bit, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
        match self.state.load(Ordering::Relaxed) {
            PARKED => self.wake(),
            CLOSED => self.bury(),
            _ => {}
        }
        Ok(())
    }

    /// The host is gone; nothing sent will be answered.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    /// The host sleeps.
    pub(crate) fn is_parked(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PARKED
    }

    /// Asks the host to stop.
    pub(crate) fn stop(&self) {
        self.stop.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) == PARKED {
            self.wake();
        }
    }

    /// Ends the host's sleep, if it sleeps.
    pub(crate) fn wake_up(&self) {
        fence(Ordering::SeqCst);
        if self.is_parked() {
            self.wake();
        }
    }

    fn wake(&self) {
        let woken =
            self.state
                .compare_exchange(PARKED, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
        // Of several senders one rings.
        if woken.is_ok() {
            (self.bell)();
        }
    }

    /// Drops what was sent to a host that is gone.
    fn bury(&self) {
        let mut orphans = self.orphans.lock().unwrap_or_else(PoisonError::into_inner);
        let dead: Vec<T> = orphans
            .iter_mut()
            .flatten()
            .flat_map(|lane| std::iter::from_fn(|| lane.take()))
            .collect();
        // Dropping an item may wake its sender, which is foreign code: not under the lock.
        drop(orphans);
        drop(dead);
    }
}

impl<T: Send> Mail<T> {
    /// The other side.
    pub(crate) fn inbox(&self) -> &Arc<Inbox<T>> {
        &self.inbox
    }

    /// Takes up to `each` items of every lane with mail, and then all urgent ones; true when some of
    /// the others may be left. An urgent item that was sent before one of the others is there too: it
    /// is looked for last.
    pub(crate) fn take(
        &mut self,
        each: usize,
        mut into: impl FnMut(T),
        urgent: impl FnMut(T),
    ) -> bool {
        self.collect_dirty();
        let mut lanes = std::mem::take(&mut self.left) & !(1 << URGENT);
        while lanes != 0 {
            let lane = lanes.trailing_zeros() as usize;
            lanes &= lanes - 1;
            for taken in 0.. {
                if taken == each {
                    self.left |= 1 << lane;
                    break;
                }
                match self.receivers[lane].take() {
                    Some(item) => into(item),
                    None => break,
                }
            }
        }
        self.take_urgent(urgent);
        self.left != 0
    }

    /// Takes the urgent items alone.
    pub(crate) fn take_urgent(&mut self, mut into: impl FnMut(T)) {
        self.collect_dirty();
        self.left &= !(1 << URGENT);
        while let Some(item) = self.receivers[URGENT].take() {
            into(item);
        }
    }

    fn collect_dirty(&mut self) {
        if self.inbox.dirty.load(Ordering::Relaxed) != 0 {
            self.left |= self.inbox.dirty.swap(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// Mail is waiting.
    pub(crate) fn is_waiting(&self) -> bool {
        self.left != 0 || self.inbox.dirty.load(Ordering::Relaxed) != 0
    }

    /// Urgent mail is waiting.
    fn is_urgent(&self) -> bool {
        (self.left | self.inbox.dirty.load(Ordering::Relaxed)) & (1 << URGENT) != 0
    }

    /// Somebody asked the host to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.inbox.stop.load(Ordering::Acquire) != 0
    }

    /// The host is about to sleep until the bell rings: false, and awake, if there is mail. `urgent_only`: it takes no other
    /// now; `stopping`: it knows already that it was asked to stop.
    pub(crate) fn lie_down(&mut self, urgent_only: bool, stopping: bool) -> bool {
        self.inbox.state.store(PARKED, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let awake = match urgent_only {
            true => self.is_urgent(),
            false => self.is_waiting() || (!stopping && self.is_stopped()),
        };
        if awake {
            self.get_up();
        }
        !awake
    }

    /// It has slept.
    pub(crate) fn get_up(&mut self) {
        self.inbox.state.store(AWAKE, Ordering::Relaxed);
    }
}

impl<T: Send> Drop for Mail<T> {
    fn drop(&mut self) {
        self.inbox.state.store(CLOSED, Ordering::Release);
        fence(Ordering::SeqCst);
        let receivers = std::mem::take(&mut self.receivers);
        let orphans = self.inbox.orphans.lock();
        *orphans.unwrap_or_else(PoisonError::into_inner) = Some(receivers);
        // A sender that saw CLOSED buries its own; whatever came before is buried here.
        self.inbox.bury();
    }
}

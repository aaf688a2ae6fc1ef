//! Slots for futures, polled by the thread that owns them.
//!
//! The pipeline of any target with an asynchronous interface. Storage for each slot's future is allocated
//! once and reused. A wake-up sets the slot's bit in a shared bitmap and unparks the owner if it sleeps: no
//! queue, no allocation, and many wake-ups of a busy owner cost one bit each.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// Answers collected in one go, so that the time read after them is close to all of them.
const REAP_MAX: usize = 32;

/// A fixed number of futures of one type.
pub struct FutureSlots<F> {
    futures: Vec<Pin<Box<Option<F>>>>,
    wakers: Vec<Waker>,
    ready: Arc<Ready>,
    /// Where the next reap starts looking, so that no slot is favoured.
    word: usize,
}

struct Ready {
    /// Written by wakers on any thread, cleared by the owner.
    bits: Vec<AtomicU64>,
    /// Set by the owner before it sleeps; whoever clears it unparks.
    asleep: AtomicBool,
    owner: Thread,
}

struct SlotWaker {
    slot: usize,
    ready: Arc<Ready>,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let bit = 1 << (self.slot % 64);
        // SeqCst pairs with `wait`: either the owner sees the bit or this thread sees it asleep.
        self.ready.bits[self.slot / 64].fetch_or(bit, Ordering::SeqCst);
        if self.ready.asleep.load(Ordering::SeqCst)
            && self.ready.asleep.swap(false, Ordering::SeqCst)
        {
            self.ready.owner.unpark();
        }
    }
}

impl<F: Future> FutureSlots<F> {
    /// Room for `slots` futures; must be used on the thread that makes it.
    pub fn new(slots: usize) -> FutureSlots<F> {
        let ready = Arc::new(Ready {
            bits: (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            asleep: AtomicBool::new(false),
            owner: std::thread::current(),
        });
        let waker = |slot| {
            Waker::from(Arc::new(SlotWaker {
                slot,
                ready: ready.clone(),
            }))
        };
        FutureSlots {
            futures: (0..slots).map(|_| Box::pin(None)).collect(),
            wakers: (0..slots).map(waker).collect(),
            ready,
            word: 0,
        }
    }

    /// Puts `future` into the empty slot `slot` and polls it once.
    pub fn start(&mut self, slot: usize, future: F) -> Option<F::Output> {
        debug_assert!(self.futures[slot].is_none());
        self.futures[slot].set(Some(future));
        self.poll(slot)
    }

    /// Polls what was woken and collects what is done.
    pub fn reap(&mut self, mut done: impl FnMut(usize, F::Output)) {
        let words = self.ready.bits.len();
        let mut collected = 0;
        for _ in 0..words {
            let word = self.word;
            let mut bits = match self.ready.bits[word].load(Ordering::Relaxed) {
                0 => 0,
                _ => self.ready.bits[word].swap(0, Ordering::SeqCst),
            };
            while bits != 0 {
                if collected == REAP_MAX {
                    self.ready.bits[word].fetch_or(bits, Ordering::SeqCst);
                    return;
                }
                let slot = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if let Some(output) = self.poll(slot) {
                    collected += 1;
                    done(slot, output);
                }
            }
            self.word = (word + 1) % words;
        }
    }

    /// Sleeps until a wake-up, at most `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        self.ready.asleep.store(true, Ordering::SeqCst);
        let woken = self
            .ready
            .bits
            .iter()
            .any(|word| word.load(Ordering::SeqCst) != 0);
        if !woken {
            std::thread::park_timeout(timeout);
        }
        self.ready.asleep.store(false, Ordering::SeqCst);
    }

    /// Drops what is under way.
    pub fn clear(&mut self) {
        for future in &mut self.futures {
            future.set(None);
        }
    }

    fn poll(&mut self, slot: usize) -> Option<F::Output> {
        // A wake-up that arrives after completion finds an empty slot.
        let future = self.futures[slot].as_mut().as_pin_mut()?;
        match future.poll(&mut Context::from_waker(&self.wakers[slot])) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                self.futures[slot].set(None);
                Some(output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A future that another thread completes.
    struct Remote(Arc<Mutex<(Option<u32>, Option<Waker>)>>);

    impl Future for Remote {
        type Output = u32;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
            let mut state = self.0.lock().unwrap();
            match state.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    state.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }
    }

    #[test]
    fn answers_from_another_thread_arrive_in_their_slots() {
        let states: Vec<_> = (0..100)
            .map(|_| Arc::new(Mutex::new((None, None::<Waker>))))
            .collect();
        let mut slots = FutureSlots::new(100);
        for (i, state) in states.iter().enumerate() {
            assert!(slots.start(i, Remote(state.clone())).is_none());
        }
        let other = std::thread::spawn(move || {
            for (i, state) in states.iter().enumerate().rev() {
                let mut state = state.lock().unwrap();
                state.0 = Some(i as u32 * 2);
                state.1.take().unwrap().wake();
            }
        });
        let mut seen = vec![None; 100];
        while seen.iter().any(Option::is_none) {
            slots.wait(Duration::from_secs(10));
            slots.reap(|slot, value| seen[slot] = Some(value));
        }
        other.join().unwrap();
        assert!((0..100).all(|i| seen[i] == Some(i as u32 * 2)));
    }

    #[test]
    fn a_ready_future_answers_at_once_and_frees_its_slot() {
        let mut slots = FutureSlots::new(1);
        for i in 0..3 {
            assert_eq!(slots.start(0, std::future::ready(i)), Some(i));
        }
    }
}

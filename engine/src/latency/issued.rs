//! When a call was issued, if that is worth knowing.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringkeep_io::Nanos;
use ringkeep_shard::{Call, Watch};

use super::receipt::asked_for;
use super::{GETS_PER_SAMPLE, Operation, Slip};

thread_local! {
    static GETS: Cell<u8> = const { Cell::new(0) };
}

/// What callers measure by: the clock of their hosts.
#[derive(Clone)]
pub(crate) enum Clock {
    Machine,
    /// Of a simulated disk, as it was told last.
    Told(Arc<AtomicU64>),
}

impl Clock {
    pub(crate) fn now(&self) -> Nanos {
        match self {
            Clock::Machine => ringkeep_io::now(),
            // Relaxed: by hand, callers and hosts are on one thread.
            Clock::Told(now) => now.load(Ordering::Relaxed),
        }
    }
}

/// Travels with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issued {
    at: Nanos,
    operation: Option<Operation>,
    /// Calls for which this one stands: 0 if it is not timed.
    calls: u8,
    /// Its caller wants a receipt.
    receipt: bool,
}

impl Issued {
    /// A call that is being issued now.
    pub(crate) fn now(call: &Call, clock: &Clock) -> Issued {
        let operation = Operation::of(call);
        let calls = match operation {
            None => 0,
            Some(Operation::Get) => sampled(),
            Some(_) => 1,
        };
        let receipt = operation.is_some() && asked_for();
        let at = if calls > 0 || receipt { clock.now() } else { 0 };
        Issued {
            at,
            operation,
            calls,
            receipt,
        }
    }

    /// It will not be answered at once: from here on it stands for itself.
    pub(crate) fn waits(&mut self, now: impl FnOnce() -> Nanos) {
        if self.calls == 0 && self.operation.is_some() {
            self.at = now();
        }
        self.calls = self.operation.is_some().into();
    }

    /// What follows the call, if its caller asked for that.
    pub(crate) fn watch(&self) -> Option<Rc<Watch>> {
        self.receipt.then(|| Watch::new(self.at))
    }

    /// What its caller gets, beside the answer.
    pub(crate) fn slip(&self, watch: &Watch) -> Option<Slip> {
        Some(Slip {
            operation: self.operation?,
            watched: watch.watched(),
        })
    }

    /// What to write down when it is answered: of which kind it is, how long it took and how many calls that stands for.
    pub(crate) fn took(&self, now: impl FnOnce() -> Nanos) -> Option<(Operation, Nanos, u8)> {
        let operation = self.operation.filter(|_| self.calls > 0)?;
        Some((operation, now().saturating_sub(self.at), self.calls))
    }
}

/// For how many gets of this thread this one stands.
fn sampled() -> u8 {
    let count = GETS.get();
    GETS.set((count + 1) % GETS_PER_SAMPLE);
    if count == 0 { GETS_PER_SAMPLE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Call {
        Call::Get {
            key: Vec::new(),
            at: None,
            room: Vec::new(),
        }
    }

    fn at(time: &Arc<AtomicU64>, call: &Call) -> Issued {
        Issued::now(call, &Clock::Told(Arc::clone(time)))
    }

    #[test]
    fn one_in_so_many_gets_stands_for_all_of_them() {
        let time = Arc::new(AtomicU64::new(100));
        let took: Vec<_> = (0..GETS_PER_SAMPLE)
            .filter_map(|_| at(&time, &get()).took(|| 107))
            .collect();
        assert_eq!(took, [(Operation::Get, 7, GETS_PER_SAMPLE)]);
    }

    #[test]
    fn every_get_that_waits_stands_for_itself() {
        let time = Arc::new(AtomicU64::new(100));
        let took = |mut issued: Issued| {
            issued.waits(|| 105);
            issued.took(|| 207)
        };
        let mut all: Vec<_> = (0..GETS_PER_SAMPLE)
            .map(|_| took(at(&time, &get())))
            .collect();
        all.sort();
        // The one that was timed from the start, and the others from where they wait.
        assert_eq!(all.pop(), Some(Some((Operation::Get, 107, 1))));
        assert!(all.iter().all(|one| *one == Some((Operation::Get, 102, 1))));
    }

    #[test]
    fn what_serves_the_database_itself_is_not_timed() {
        let mut issued = at(&Arc::default(), &Call::Flush);
        issued.waits(|| 5);
        assert_eq!(issued.took(|| 9), None);
    }
}

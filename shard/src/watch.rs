//! Where the time of one call goes, for a caller that has asked to be told.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use std::future::{Future, poll_fn};

use ringkeep_io::{Io, Nanos};

/// What a call is doing. At each moment it is doing one thing, so that all of them add up to the whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Waiting for its turn: in the mail, in line, for a lock, for a batch whose end is not known.
    Queue,
    /// Being worked on.
    Cpu,
    /// Waiting for the device to read.
    Io,
    /// Waiting for the log to hold it as durably as was asked.
    Flush,
    /// Answered; the answer is on its way.
    Reply,
}

/// Follows one call from the moment at which it was issued.
#[derive(Debug)]
pub struct Watch {
    phase: Cell<Phase>,
    since: Cell<Nanos>,
    spent: Cell<[Nanos; 4]>,
    /// What it does whenever it is not worked on.
    rests: Cell<Phase>,
}

/// What a watch saw until the call was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watched {
    /// In each phase before the reply, in their order.
    pub spent: [Nanos; 4],
    /// When it was answered.
    pub answered: Nanos,
}

impl Watch {
    /// Of a call that has waited since then.
    pub fn new(issued: Nanos) -> Rc<Watch> {
        Rc::new(Watch {
            phase: Cell::new(Phase::Queue),
            since: Cell::new(issued),
            spent: Cell::default(),
            rests: Cell::new(Phase::Queue),
        })
    }

    /// What it does from now on.
    pub fn enter(&self, phase: Phase, now: Nanos) {
        let mut spent = self.spent.get();
        if let Some(before) = spent.get_mut(self.phase.get() as usize) {
            *before += now.saturating_sub(self.since.get());
        }
        self.spent.set(spent);
        self.phase.set(phase);
        self.since.set(now);
    }

    /// Nobody works on it any more, unless it was answered.
    pub fn rest(&self, now: Nanos) {
        if self.phase.get() == Phase::Cpu {
            self.enter(self.rests.get(), now);
        }
    }

    /// What it waits for when it is not worked on.
    pub(crate) fn rests_in(&self, phase: Phase) {
        self.rests.set(phase);
    }

    /// For who hands over the answer.
    pub fn watched(&self) -> Watched {
        Watched {
            spent: self.spent.get(),
            answered: self.since.get(),
        }
    }
}

/// A task whose work is that of a watched call.
pub(crate) async fn watched(watch: Rc<Watch>, io: Io, task: impl Future<Output = ()>) {
    let mut task = pin!(task);
    poll_fn(|context| {
        watch.enter(Phase::Cpu, io.now());
        let polled = task.as_mut().poll(context);
        watch.rest(io.now());
        polled
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_in_one_phase() {
        let watch = Watch::new(100);
        watch.enter(Phase::Cpu, 103);
        watch.rest(108);
        watch.rests_in(Phase::Io);
        watch.enter(Phase::Cpu, 110);
        watch.rest(111);
        watch.enter(Phase::Cpu, 161);
        watch.enter(Phase::Reply, 163);
        watch.rest(170);
        let watched = watch.watched();
        assert_eq!((watched.spent, watched.answered), ([5, 8, 50, 0], 163));
        assert_eq!(watched.spent.iter().sum::<Nanos>(), 163 - 100);
    }
}

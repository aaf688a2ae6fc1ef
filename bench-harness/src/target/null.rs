//! The target that does nothing: what remains is the generator's own cost.

use std::time::{Duration, Instant};

use super::{Answer, Caller, Counters, Failure, Pipeline, Reply, Resident, Target, Visited};
use crate::clock::Clock;
use crate::workload::{Op, OpKind};

/// Answers at once and stores nothing.
#[derive(Debug, Default)]
pub struct NullTarget {}

impl NullTarget {
    /// There is nothing to open.
    pub fn new() -> NullTarget {
        NullTarget {}
    }
}

impl Target for NullTarget {
    fn options(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(NullCaller))
    }

    fn pipeline<'a>(&'a self, _slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        Some(Box::new(NullPipeline))
    }

    fn resident<'a>(&'a self) -> Option<Box<dyn Resident + 'a>> {
        Some(Box::new(NullResident::default()))
    }

    fn settle(&self) -> Result<Instant, Failure> {
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

struct NullCaller;

impl Caller for NullCaller {
    fn call(&mut self, op: &Op<'_>, _answer: &mut Answer<'_>) -> Result<(), Failure> {
        std::hint::black_box(op.keys);
        Ok(())
    }
}

/// Counts what it was brought.
#[derive(Default)]
struct NullResident {
    ops: usize,
}

impl Resident for NullResident {
    fn bring(&mut self, op: &Op<'_>) {
        std::hint::black_box(op.keys);
        self.ops += 1;
    }

    fn visit(&mut self, clock: &Clock, done: &mut Vec<Visited>) -> Result<(), Failure> {
        done.extend((0..std::mem::take(&mut self.ops)).map(|index| Visited {
            index,
            issued_ns: clock.now_ns(),
            done_ns: clock.now_ns(),
            reply: Ok(Reply::Done),
        }));
        Ok(())
    }
}

struct NullPipeline;

impl Pipeline for NullPipeline {
    fn start(&mut self, _slot: usize, op: &Op<'_>) -> Option<Result<Reply, Failure>> {
        std::hint::black_box(op.keys);
        Some(Ok(Reply::Done))
    }

    fn reap(&mut self, _done: &mut Vec<(usize, Result<Reply, Failure>)>) {}

    fn wait(&mut self, timeout: Duration) {
        std::thread::sleep(timeout);
    }
}

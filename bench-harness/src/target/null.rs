//! The target that does nothing: what remains is the generator's own cost.

use std::time::Duration;

use super::{Answer, Caller, Counters, Failure, Pipeline, Reply, Target};
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

    fn settle(&self) -> Result<(), Failure> {
        Ok(())
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

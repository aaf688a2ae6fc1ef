//! A target that notes what it is asked before it asks another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Recording, Tap};
use crate::target::{Answer, Caller, Counters, Failure, Held, Pipeline, Reply, Target};
use crate::workload::{Op, OpKind};

/// The target that is recorded.
pub struct TappedTarget {
    inner: Box<dyn Target>,
    recording: Arc<Recording>,
}

impl TappedTarget {
    /// Records what `inner` is asked, while the recording is on.
    pub fn new(inner: Box<dyn Target>, recording: Arc<Recording>) -> TappedTarget {
        TappedTarget { inner, recording }
    }
}

impl Target for TappedTarget {
    fn options(&self) -> Vec<(String, String)> {
        let mut options = self.inner.options();
        options.push(("recorded".to_string(), "yes".to_string()));
        options
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(TappedCaller {
            inner: self.inner.caller()?,
            tap: self.recording.tap(),
        }))
    }

    fn pipeline<'a>(&'a self, slots: usize, kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        Some(Box::new(TappedPipeline {
            inner: self.inner.pipeline(slots, kinds)?,
            tap: self.recording.tap(),
        }))
    }

    fn snapshot<'a>(&'a self) -> Result<Option<Box<dyn Held + 'a>>, Failure> {
        self.inner.snapshot()
    }

    fn settle(&self) -> Result<Instant, Failure> {
        self.inner.settle()
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.inner.close()
    }
}

fn note(tap: &mut Tap, op: &Op<'_>, absent: bool) {
    if tap.is_on() {
        tap.note(
            op.kind,
            op.each_key(),
            op.value_size as u32,
            op.entries,
            absent,
        );
    }
}

struct TappedCaller<'a> {
    inner: Box<dyn Caller + 'a>,
    tap: Tap,
}

impl Caller for TappedCaller<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let absent = answer.absent;
        let done = self.inner.call(op, answer);
        note(&mut self.tap, op, answer.absent > absent);
        done
    }
}

/// Notes at the start, so absence is known only of what is answered at once.
struct TappedPipeline<'a> {
    inner: Box<dyn Pipeline + 'a>,
    tap: Tap,
}

impl Pipeline for TappedPipeline<'_> {
    fn start(&mut self, slot: usize, op: &Op<'_>) -> Option<Result<Reply, Failure>> {
        let done = self.inner.start(slot, op);
        let absent = matches!(done, Some(Ok(Reply::Value(None))));
        note(&mut self.tap, op, absent);
        done
    }

    fn reap(&mut self, done: &mut Vec<(usize, Result<Reply, Failure>)>) {
        self.inner.reap(done);
    }

    fn wait(&mut self, timeout: Duration) {
        self.inner.wait(timeout);
    }

    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

//! Many operations under way on one thread.

use std::time::Duration;

use ringkeep::Database;
use ringkeep_bench::target::{Failure, FutureSlots, Pipeline, Reply};
use ringkeep_bench::workload::Op;

use crate::asked::{Asked, carry_out};

/// A pipeline with room for `slots` operations.
pub(crate) fn pipeline<'a>(database: &'a Database, slots: usize) -> Box<dyn Pipeline + 'a> {
    Box::new(Futures {
        slots: FutureSlots::new(slots),
        start: move |asked| carry_out(database, asked),
    })
}

struct Futures<F, S> {
    slots: FutureSlots<F>,
    start: S,
}

impl<F, S> Pipeline for Futures<F, S>
where
    F: Future<Output = Result<Reply, Failure>>,
    S: Fn(Asked) -> F,
{
    fn start(&mut self, slot: usize, op: &Op<'_>) -> Option<Result<Reply, Failure>> {
        let future = (self.start)(Asked::new(op));
        self.slots.start(slot, future)
    }

    fn reap(&mut self, done: &mut Vec<(usize, Result<Reply, Failure>)>) {
        self.slots.reap(|slot, reply| done.push((slot, reply)));
    }

    fn wait(&mut self, timeout: Duration) {
        self.slots.wait(timeout);
    }

    fn abandon(&mut self) {
        self.slots.clear();
    }
}

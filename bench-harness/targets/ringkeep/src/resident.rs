//! Operations on the thread of their shard.
//!
//! A visit carries out, in their order, those of the row that live where its first one does, and brings the others back for the
//! next visit. An operation on several keys lives with its first one.

use std::time::Duration;

use ringkeep::{Database, OnShard};
use ringkeep_bench::clock::Clock;
use ringkeep_bench::target::{Failure, Resident, Visited};
use ringkeep_bench::workload::Op;

use crate::asked::{Asked, carry_out};

/// How long a visit goes on before everybody else has a turn.
const SLICE: Duration = Duration::from_micros(50);

pub(crate) struct Visits<'a> {
    database: &'a Database,
    row: Vec<Step>,
}

struct Step {
    index: usize,
    key: Vec<u8>,
    asked: Asked,
}

/// What comes back from a shard.
struct Visit {
    done: Vec<Visited>,
    elsewhere: Vec<Step>,
}

impl<'a> Visits<'a> {
    pub(crate) fn new(database: &'a Database) -> Visits<'a> {
        Visits {
            database,
            row: Vec::new(),
        }
    }
}

impl Resident for Visits<'_> {
    fn bring(&mut self, op: &Op<'_>) {
        self.row.push(Step {
            index: self.row.len(),
            key: op.key().to_vec(),
            asked: Asked::new(op),
        });
    }

    fn visit(&mut self, clock: &Clock, done: &mut Vec<Visited>) -> Result<(), Failure> {
        let mut row = std::mem::take(&mut self.row);
        while let Some(first) = row.first() {
            let (key, clock) = (first.key.clone(), clock.clone());
            let visit = self.database.on_shard(key, async move |shard| {
                Ok(at_home(&shard, row, &clock).await)
            });
            let mut visit = visit.map_err(Failure::new)?;
            done.append(&mut visit.done);
            row = visit.elsewhere;
        }
        Ok(())
    }
}

async fn at_home(shard: &OnShard, row: Vec<Step>, clock: &Clock) -> Visit {
    let mut visit = Visit {
        done: Vec::with_capacity(row.len()),
        elsewhere: Vec::new(),
    };
    let mut slice_ns = clock.now_ns();
    for step in row {
        if !shard.has(&step.key) {
            visit.elsewhere.push(step);
            continue;
        }
        let issued_ns = clock.now_ns();
        let reply = carry_out(shard, step.asked).await;
        let done_ns = clock.now_ns();
        visit.done.push(Visited {
            index: step.index,
            issued_ns,
            done_ns,
            reply,
        });
        if done_ns - slice_ns > SLICE.as_nanos() as u64 {
            shard.pause().await;
            slice_ns = clock.now_ns();
        }
    }
    visit
}

//! One shard on a simulated disk, driven by hand.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use ringkeep_io::{Io, SimulatedDisk, SimulatedOptions};
use ringkeep_shard::{
    Call, CommitClock, Durability, Got, Identity, Op, Pins, Reply, Shard, ShardId, ShardOptions,
    ShardStats, Version,
};

use crate::allocation::allocated;
use crate::clocks::{Clocks, Times};
use crate::counts::{Measured, Moment};
use crate::ledger::Ledger;
use crate::measured_part;
use crate::outcome::Outcome;

const SEED: u64 = 1;
const FOLDER: &str = "/shard";

/// A shard, its disk, and what is known about the work so far.
pub struct World {
    clocks: Clocks,
    disk: SimulatedDisk,
    io: Io,
    options: ShardOptions,
    shard: Option<Shard<u64>>,
    clock: Arc<CommitClock>,
    ledger: Ledger,
    measured: Option<Measured>,
}

impl World {
    /// An empty shard. Large values keep maintenance out of the way of what is measured.
    pub fn new(options: ShardOptions, clocks: Clocks) -> World {
        let disk = SimulatedDisk::new(SEED, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let mut world = World {
            clocks,
            ledger: Ledger::default(),
            measured: None,
            shard: None,
            clock: Arc::default(),
            disk,
            io,
            options,
        };
        let options = format!("{:?}", world.options);
        world.ledger.asks(options.as_bytes());
        let directory = world.io.directory(Path::new(FOLDER)).expect("a folder");
        Shard::<u64>::create(&world.io, &directory, &identity(), &world.options)
            .expect("a new shard");
        world.open();
        world
    }

    fn open(&mut self) {
        self.clock = Arc::default();
        let pins = Pins::new(Arc::clone(&self.clock));
        let directory = self.io.directory(Path::new(FOLDER)).expect("the folder");
        let shard = Shard::open(
            &self.io,
            &directory,
            &identity(),
            &self.options,
            Arc::clone(&self.clock),
            pins,
        );
        self.shard = Some(shard.expect("the shard opens"));
    }

    /// A call that writes one record.
    pub fn put(key: Vec<u8>, value: Vec<u8>, durability: Durability) -> Call {
        World::batch([(key, value)], durability)
    }

    /// A call that writes several.
    pub fn batch(
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
        durability: Durability,
    ) -> Call {
        let ops = records
            .into_iter()
            .map(|(key, value)| Op::Put { key, value });
        Call::Write {
            ops: ops.collect(),
            durability,
        }
    }

    /// Does calls that do not count, `together` at once.
    pub fn prepare(&mut self, calls: impl IntoIterator<Item = Call>, together: usize) {
        let calls: Vec<Call> = calls.into_iter().collect();
        self.note_all(&calls);
        for group in groups(calls, together) {
            let mut replies = Vec::with_capacity(group.len());
            drive(&self.io, self.shard.as_mut(), group, &mut replies);
            self.answer_all(replies);
        }
    }

    /// Does calls that count, `together` at once.
    pub fn measure(&mut self, calls: Vec<Call>, together: usize) {
        self.note_all(&calls);
        let user_bytes = user_bytes(&calls);
        let mut replies = Vec::with_capacity(calls.len());
        let mut groups = groups(calls, together);
        let before = self.moment();
        let (io, mut shard) = (self.io.clone(), self.shard.take());
        let began = self.clocks.read();
        measured_part(&mut || {
            for group in groups.drain(..) {
                drive(&io, shard.as_mut(), group, &mut replies);
            }
        });
        let ended = self.clocks.read();
        self.shard = shard;
        self.close_measurement(&before, user_bytes, began, ended);
        self.answer_all(replies);
    }

    /// Ends the process that hosts the shard and measures how another one opens it.
    pub fn measure_recovery(&mut self) {
        self.shard = None;
        self.disk.kill();
        while let Some(landing) = self.disk.next_event() {
            self.disk.advance_to(landing);
        }
        self.io = Io::simulated(&self.disk);
        let before = Moment {
            disk: self.disk.counters(),
            allocated: allocated(),
            stats: ShardStats::default(),
            messages: None,
        };
        let began = self.clocks.read();
        measured_part(&mut || self.open());
        let ended = self.clocks.read();
        self.close_measurement(&before, 0, began, ended);
    }

    fn close_measurement(&mut self, before: &Moment, user_bytes: u64, began: Times, ended: Times) {
        // Not `moment`: the question for the shard's counters allocates, and must not count itself.
        let (disk, allocated) = (self.disk.counters(), allocated());
        let after = Moment {
            disk,
            allocated,
            stats: self.stats(),
            messages: None,
        };
        let measured = Measured::between(before, &after, began, ended);
        self.measured = Some(measured.writing(user_bytes));
    }

    fn moment(&mut self) -> Moment {
        let stats = self.stats();
        Moment {
            disk: self.disk.counters(),
            allocated: allocated(),
            stats,
            messages: None,
        }
    }

    /// The present, which stays readable for as long as nothing is written.
    pub fn version(&self) -> Version {
        self.clock.now()
    }

    fn stats(&mut self) -> ShardStats {
        let mut replies = Vec::new();
        drive(
            &self.io,
            self.shard.as_mut(),
            vec![Call::Stats],
            &mut replies,
        );
        match replies.pop() {
            Some((_, Reply::Stats(stats))) => *stats,
            other => panic!("{other:?} is no answer to a question for counters"),
        }
    }

    // Bytes and not `Debug` texts: those would be most of the time under Callgrind.
    fn note_all(&mut self, calls: &[Call]) {
        for call in calls {
            match call {
                Call::Write { ops, durability } => {
                    self.ledger.asks(format!("write {durability:?}").as_bytes());
                    for op in ops {
                        self.ledger.writes(op.key(), op.value().unwrap_or_default());
                    }
                }
                Call::Get { key, at: None, .. } => self.ledger.asks(key),
                other => self.ledger.asks(format!("{other:?}").as_bytes()),
            }
        }
    }

    fn answer_all(&mut self, mut replies: Vec<(u64, Reply)>) {
        replies.sort_by_key(|(token, _)| *token);
        for (token, reply) in replies {
            match reply {
                Reply::Failed(error) => panic!("call {token} failed: {error}"),
                // Commit versions are the engine's own affair.
                Reply::Written(_) => self.ledger.answers(b"written"),
                Reply::Value(Got { found: false, .. }) => self.ledger.answers(b"nothing"),
                Reply::Value(got) => self.ledger.answers(&got.value),
                Reply::Page(page) => {
                    for (key, value) in page.iter() {
                        self.ledger.answers(key);
                        self.ledger.answers(value);
                    }
                }
                other => self.ledger.answers(format!("{other:?}").as_bytes()),
            }
        }
    }

    /// The end of a scenario.
    pub fn outcome(mut self, scenario: &str, ops: u64) -> Outcome {
        let space_bytes = self.stats().table_bytes;
        let measured = self.measured.take();
        let measured = measured.expect("a scenario measures something");
        self.ledger.outcome(scenario, ops, measured, space_bytes)
    }
}

/// The low end of a scan.
pub fn from(key: &[u8]) -> Bound<Box<[u8]>> {
    Bound::Included(key.into())
}

fn identity() -> Identity {
    Identity {
        store: *b"perf's scenarios",
        shard: ShardId(0),
        shards: 1,
    }
}

fn user_bytes(calls: &[Call]) -> u64 {
    let ops = calls.iter().flat_map(|call| match call {
        Call::Write { ops, .. } => ops.as_slice(),
        _ => &[],
    });
    ops.map(|op| op.bytes() as u64).sum()
}

fn groups(calls: Vec<Call>, together: usize) -> Vec<Vec<Call>> {
    let rounds = calls.len().div_ceil(together);
    let mut calls = calls.into_iter();
    (0..rounds)
        .map(|_| calls.by_ref().take(together).collect())
        .collect()
}

/// Hands in all calls, then turns until all are answered.
fn drive(
    io: &Io,
    shard: Option<&mut Shard<u64>>,
    calls: Vec<Call>,
    replies: &mut Vec<(u64, Reply)>,
) {
    let shard = shard.expect("the shard is open");
    let mut open = calls.len();
    for (call, token) in calls.into_iter().zip(replies.len() as u64..) {
        shard.accept(token, call);
    }
    loop {
        io.turn();
        let more = shard.turn();
        for reply in shard.replies() {
            replies.push(reply);
            open -= 1;
        }
        if open == 0 {
            return;
        }
        if !more {
            io.park(shard.next_deadline());
        }
    }
}

//! One shard on a simulated disk, driven by hand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use ringkeep_io::{DiskCounters, Io, SimulatedDisk, SimulatedOptions};
use ringkeep_shard::{
    Call, CommitClock, Durability, Got, Identity, Op, Pins, Reply, Shard, ShardId, ShardOptions,
    ShardStats, Version,
};
use xxhash_rust::xxh3::Xxh3;

use crate::allocation::{self, allocated};
use crate::clocks::{Clocks, Times};
use crate::measured_part;
use crate::outcome::{Outcome, Toolchain};

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
    /// Hash of everything asked.
    asked: Xxh3,
    /// Hash of everything answered.
    answered: Xxh3,
    /// Bytes of key and value of what exists.
    live: BTreeMap<Vec<u8>, u64>,
    measured: Option<Measured>,
}

struct Measured {
    counts: BTreeMap<String, u64>,
    user_bytes: u64,
    cpu_ns: u64,
    wall_ns: u64,
}

/// All counters at one moment.
struct Moment {
    disk: DiskCounters,
    allocated: allocation::Allocated,
    stats: ShardStats,
}

impl World {
    /// An empty shard. Large values keep maintenance out of the way of what is measured.
    pub fn new(options: ShardOptions, clocks: Clocks) -> World {
        let disk = SimulatedDisk::new(SEED, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let mut world = World {
            clocks,
            asked: Xxh3::new(),
            answered: Xxh3::new(),
            live: BTreeMap::new(),
            measured: None,
            shard: None,
            clock: Arc::default(),
            disk,
            io,
            options,
        };
        world
            .asked
            .update(format!("{:?}", world.options).as_bytes());
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
        };
        self.measured = Some(Measured {
            counts: difference(before, &after),
            user_bytes,
            cpu_ns: ended.cpu_ns - began.cpu_ns,
            wall_ns: ended.wall_ns - began.wall_ns,
        });
    }

    fn moment(&mut self) -> Moment {
        let stats = self.stats();
        Moment {
            disk: self.disk.counters(),
            allocated: allocated(),
            stats,
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
                    self.asked
                        .update(format!("write {durability:?}").as_bytes());
                    for op in ops {
                        self.asked.update(op.key());
                        self.asked.update(op.value().unwrap_or_default());
                        self.live.insert(op.key().to_vec(), op.bytes() as u64);
                    }
                }
                Call::Get { key, at: None, .. } => self.asked.update(key),
                other => self.asked.update(format!("{other:?}").as_bytes()),
            }
        }
    }

    fn answer_all(&mut self, mut replies: Vec<(u64, Reply)>) {
        replies.sort_by_key(|(token, _)| *token);
        for (token, reply) in replies {
            match reply {
                Reply::Failed(error) => panic!("call {token} failed: {error}"),
                // Commit versions are the engine's own affair.
                Reply::Written(_) => self.answered.update(b"written"),
                Reply::Value(Got { found: false, .. }) => self.answered.update(b"nothing"),
                Reply::Value(got) => self.answered.update(&got.value),
                Reply::Page(page) => {
                    for (key, value) in &page.entries {
                        self.answered.update(key);
                        self.answered.update(value);
                    }
                }
                other => self.answered.update(format!("{other:?}").as_bytes()),
            }
        }
    }

    /// The end of a scenario.
    pub fn outcome(mut self, scenario: &str, ops: u64) -> Outcome {
        let stats = self.stats();

        let measured = self.measured.expect("a scenario measures something");
        Outcome {
            scenario: scenario.to_owned(),
            workload: format!("{scenario}-{ops}-{:016x}", self.asked.digest()),
            answers: format!("{:016x}", self.answered.digest()),
            ops,
            user_bytes: measured.user_bytes,
            counts: measured.counts,
            space_bytes: stats.table_bytes,
            live_bytes: self.live.values().sum(),
            cpu_ns: measured.cpu_ns,
            wall_ns: measured.wall_ns,
            toolchain: Toolchain::current(),
        }
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

fn difference(before: &Moment, after: &Moment) -> BTreeMap<String, u64> {
    let (disk, was) = (&after.disk, &before.disk);
    let (stats, stats_were) = (&after.stats, &before.stats);
    let mut counts = BTreeMap::new();
    let mut count = |name: &str, after: u64, before: u64| {
        counts.insert(name.to_owned(), after - before);
    };
    count("device_reads", disk.reads, was.reads);
    count("device_read_bytes", disk.read_bytes, was.read_bytes);
    count("device_writes", disk.writes, was.writes);
    count("device_write_bytes", disk.write_bytes, was.write_bytes);
    count("durable_writes", disk.durable_writes, was.durable_writes);
    count("syncs", disk.syncs, was.syncs);
    count("directory_syncs", disk.directory_syncs, was.directory_syncs);
    count("log_frames", stats.log_frames, stats_were.log_frames);
    count("commit_groups", stats.groups, stats_were.groups);
    if allocation::is_counting() {
        let (now, then) = (after.allocated, before.allocated);
        count("allocations", now.calls, then.calls);
        count("allocated_bytes", now.bytes, then.bytes);
    }
    counts
}

//! Targets: the stores that are measured.
//!
//! A target is opened once per experiment and lends callers. A `Caller` waits for each answer; a `Pipeline`
//! keeps many operations under way on one thread; a `Resident` carries out a row of them where their data is. A target
//! that has only blocking calls offers the first and is driven by threads. Clocks belong to the drivers, but for the
//! one that a resident takes along.

mod answer;
mod commit_group;
mod futures;
mod idle;
mod memory;
mod null;
mod page_cache;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use answer::{Answer, Failure, Reply};
pub use commit_group::{Change, CommitGroup, changes};
pub use futures::FutureSlots;
pub use idle::wait_until_idle;
pub use memory::MemoryTarget;
pub use null::NullTarget;
pub use page_cache::PageCacheOff;
pub use settings::Settings;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::workload::{Durability, Op, OpKind};

/// One open store.
pub trait Target: Send + Sync {
    /// Every setting that shapes the result, as it took effect.
    fn options(&self) -> Vec<(String, String)>;

    /// A caller for one thread.
    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure>;

    /// A pipeline for one thread with room for `slots` operations, if the target can keep `kinds` in flight
    /// without blocking the thread. A store with blocking calls alone has none.
    fn pipeline<'a>(&'a self, _slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        None
    }

    /// A client whose operations run where their data is, if the target can host one.
    fn resident<'a>(&'a self) -> Option<Box<dyn Resident + 'a>> {
        None
    }

    /// A snapshot of what is stored now, if the target has such a thing.
    fn snapshot<'a>(&'a self) -> Result<Option<Box<dyn Held + 'a>>, Failure> {
        Ok(None)
    }

    /// Waits until what was written is stored and no background work is due. When that had come about: where a store can only be
    /// watched, it takes longer to be sure of it.
    fn settle(&self) -> Result<Instant, Failure>;

    /// What it says about itself now.
    fn counters(&self) -> Counters;

    /// Closes the store; nothing acknowledged may be lost.
    fn close(self: Box<Self>) -> Result<(), Failure>;
}

/// What keeps a snapshot open while it lives.
pub trait Held {}

/// A thread's way to a target: one operation at a time.
pub trait Caller {
    /// Carries out `op` and reports what was read to `answer`.
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure>;
}

/// A thread's way to a target: many operations at a time, each in a slot.
pub trait Pipeline {
    /// Starts `op` in the free slot `slot`. `Some` when the answer is there at once; the slot is free again.
    fn start(&mut self, slot: usize, op: &Op<'_>) -> Option<Result<Reply, Failure>>;

    /// Collects some of the answers that have arrived; their slots are free again.
    fn reap(&mut self, done: &mut Vec<(usize, Result<Reply, Failure>)>);

    /// Sleeps until an answer may have arrived, at most `timeout`.
    fn wait(&mut self, timeout: Duration);

    /// Gives up on what is under way; called when a phase ends with unanswered operations.
    fn abandon(&mut self) {}
}

/// A client whose operations run where their data is, one after the other.
pub trait Resident {
    /// Keeps a copy of `op` for the next visit.
    fn bring(&mut self, op: &Op<'_>);

    /// Carries out what was brought and says how each went. Operations on one place keep their order.
    fn visit(&mut self, clock: &Clock, done: &mut Vec<Visited>) -> Result<(), Failure>;
}

/// How an operation of a resident client went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visited {
    /// Its place among those brought.
    pub index: usize,
    /// When it was issued, on the spot.
    pub issued_ns: u64,
    /// When its answer was there.
    pub done_ns: u64,
    /// The answer.
    pub reply: Result<Reply, Failure>,
}

/// What a target is opened with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenOptions {
    /// A directory of its own, existing and empty at first.
    pub dir: PathBuf,
    /// Memory for caches; `None` leaves it to the target.
    pub memory_bytes: Option<u64>,
    /// The data is meant not to fit: memory beyond the budget, the kernel's page cache included, must not serve
    /// reads.
    pub data_exceeds_memory: bool,
    /// Shards; `None` leaves it to the target.
    pub shards: Option<usize>,
    /// What acknowledged writes promise by default.
    pub durability: Durability,
    /// Further settings by name, as typed.
    pub extra: BTreeMap<String, String>,
}

/// A kind of target that can be opened by name.
#[derive(Clone, Copy)]
pub struct TargetKind {
    /// The name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Does the load survive `close` and a second `open`?
    pub persists: bool,
    /// Does it answer at all? If not, it measures the generator.
    pub answers: bool,
    /// Opens it.
    pub open: fn(&OpenOptions) -> Result<Box<dyn Target>, Failure>,
}

/// The targets that come with the harness.
pub const BUILT_IN: &[TargetKind] = &[
    TargetKind {
        name: "null",
        about: "answers at once and stores nothing: the generator's own cost",
        persists: false,
        answers: false,
        open: |_| Ok(Box::new(NullTarget::new())),
    },
    TargetKind {
        name: "memory",
        about: "locked ordered maps in memory: the simplest store that answers correctly",
        persists: false,
        answers: true,
        open: |options| Ok(Box::new(MemoryTarget::new(options))),
    },
];

/// What a target says about itself, by name. The names below mean the same for every target; others are its
/// own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Only ever grow; the report shows how far each one moved.
    pub totals: BTreeMap<String, u64>,
    /// As they are now.
    pub levels: BTreeMap<String, u64>,
}

/// Names of counters that the report knows how to relate to operations.
pub mod counter {
    /// Reads sent to the device.
    pub const DEVICE_READS: &str = "device_reads";
    /// Bytes read from the device.
    pub const DEVICE_READ_BYTES: &str = "device_read_bytes";
    /// Writes sent to the device.
    pub const DEVICE_WRITES: &str = "device_writes";
    /// Bytes written to the device.
    pub const DEVICE_WRITE_BYTES: &str = "device_write_bytes";
    /// Times stable storage was waited for.
    pub const SYNCS: &str = "syncs";
    /// Reads served from memory.
    pub const CACHE_HITS: &str = "cache_hits";
    /// Reads that were not.
    pub const CACHE_MISSES: &str = "cache_misses";
    /// Key and value bytes that callers wrote.
    pub const USER_WRITE_BYTES: &str = "user_write_bytes";
    /// A level: bytes that background work has still to go through.
    pub const DEBT_BYTES: &str = "background_debt_bytes";
}

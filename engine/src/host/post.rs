//! What travels to a host thread, and what comes back.

use ringkeep_io::Counters;
use ringkeep_shard::{Call, Letter, Reply, ShardId};

use super::jobs::{Ran, Start};
use crate::hits::HitRates;
use crate::latency::{Issued, Recording, Slip};
use crate::mailbox;

/// The right to answer one caller.
pub(crate) type Answer = mailbox::Answer<Outcome>;

/// One piece of mail.
pub(crate) enum Post {
    /// A call for a shard.
    Ask {
        shard: ShardId,
        call: Call,
        issued: Issued,
        answer: Answer,
    },
    /// A caller's closure, to be run beside the shards.
    Run { start: Start, answer: Answer },
    /// A closure may go on: only ends a sleep.
    Wake,
    /// A message from another shard.
    Letter { to: ShardId, letter: Letter },
    /// Take no more calls, and say when all those taken are answered.
    Drain(Answer),
    /// Say how the host is doing.
    Report(Answer),
    /// Panic: the drill for a fault of this program.
    Panic,
    /// Another host has ended by a fault.
    HostGone { host: usize, reason: String },
}

/// What a caller gets.
pub(crate) enum Outcome {
    /// The shard's answer.
    Reply(Reply),
    /// The same to a caller who asked where the time goes.
    ReplyAndSlip(Box<(Reply, Slip)>),
    /// To `Run`.
    Ran(Ran),
    /// To `Run`: it panicked.
    Panicked(String),
    /// To `Drain`.
    Drained,
    /// To `Report`.
    Report(Box<Reported>),
    /// Another host that this call needed has ended.
    HostGone { shard: ShardId, reason: String },
}

/// To be made part of `Stats`.
pub(crate) struct Reported {
    pub host: HostReport,
    pub latencies: Vec<(ShardId, Recording)>,
    pub hit_rates: Vec<HitRates>,
}

/// One host thread and its door to the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostReport {
    /// Its shards.
    pub shards: Vec<ShardId>,
    /// Which door to the kernel, and why that one.
    pub door: String,
    /// What went through it.
    pub io: Counters,
    /// The least that is left on a file system of its shards.
    pub free_bytes: Option<u64>,
    /// Shards whose writes are stopped for good, and why.
    pub failures: Vec<(ShardId, String)>,
    /// Turns of its loop.
    pub turns: u64,
    /// Calls taken.
    pub calls: u64,
    /// Of these, calls that callers served themselves, because the host slept.
    pub visits: u64,
    /// Letters to shards on other hosts.
    pub letters: u64,
    /// Times that it slept.
    pub parks: u64,
    /// Times that a caller's closure held it up for longer than its slice of 100 us.
    pub closures_overran: u64,
}

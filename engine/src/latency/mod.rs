//! How long calls take, as their callers see it: from the moment at which a shard is asked to the one at which its
//! answer lies ready. The caller reads the clock, the host does the sum.
//!
//! Reading a clock costs as much as a fiftieth of a get that a shard answers from memory. So of these each thread times
//! one in [`GETS_PER_SAMPLE`], which stands for all; a get that turns out to have to wait is timed from there on, so
//! that none of the slow ones is missed. Whatever else is asked of a shard is timed each time. Rows that callers read
//! by themselves are not timed: nobody is asked, and they take what their caller's core takes.

mod issued;
mod receipt;
mod slices;

use std::fmt;
use std::time::Duration;

use ringkeep_shard::{Call, ShardId};

pub(crate) use issued::{Clock, Issued};
pub(crate) use receipt::Slip;
pub use receipt::{CallReceipt, Receipt};
pub(crate) use slices::{LAST_10S, LAST_60S, Recorder, Recording, SLICE, summed};

/// Gets of a thread of which one is timed.
pub(crate) const GETS_PER_SAMPLE: u8 = 16;

/// What is asked of a shard, and timed: from the moment at which its caller asks to the one at which the answer lies
/// ready, waiting in line included.
///
/// Of gets that a shard answers from memory each thread times one in 16, which stands for all of them; a get that has to
/// wait for the device or for another call is timed always, from there on. Everything else is timed each time. Gets and
/// multi-gets that their callers answer from rows themselves, most of a database that fits into memory, are
/// counted ([`ShardStats::row_hits`](crate::ShardStats::row_hits)) and not timed: they take the caller's core less
/// time than reading a clock twice would.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// One key, where no row of it was to be read without asking.
    Get,
    /// One shard's keys of a multi-get.
    MultiGet,
    /// A page of a scan.
    ScanPage,
    /// One key's new value.
    Put,
    /// One key's removal.
    Delete,
    /// Several changes, in one shard or in several.
    Batch,
    /// A transaction's commit.
    Transaction,
}

impl Operation {
    pub(crate) const ALL: [Operation; 7] = [
        Operation::Get,
        Operation::MultiGet,
        Operation::ScanPage,
        Operation::Put,
        Operation::Delete,
        Operation::Batch,
        Operation::Transaction,
    ];

    /// It is about one key, and nothing that its caller asked for makes it long.
    pub(crate) fn is_quick(self) -> bool {
        matches!(self, Operation::Get | Operation::Put | Operation::Delete)
    }

    /// Nothing for what serves the database itself.
    pub(crate) fn of(call: &Call) -> Option<Operation> {
        Some(match call {
            Call::Get { .. } => Operation::Get,
            Call::MultiGet { .. } => Operation::MultiGet,
            Call::Scan(_) => Operation::ScanPage,
            Call::Write { ops, .. } => match &ops[..] {
                [op] if op.value().is_some() => Operation::Put,
                [_] => Operation::Delete,
                _ => Operation::Batch,
            },
            Call::Commit { .. } => Operation::Batch,
            Call::Transact(_) => Operation::Transaction,
            _ => return None,
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Operation::Get => "get",
            Operation::MultiGet => "multi-get",
            Operation::ScanPage => "scan page",
            Operation::Put => "put",
            Operation::Delete => "delete",
            Operation::Batch => "batch",
            Operation::Transaction => "transaction",
        })
    }
}

/// How long one kind of call took lately.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Latency {
    /// Of one shard, or of all together.
    pub shard: Option<ShardId>,
    /// Which kind.
    pub operation: Operation,
    /// Over the last 10 to 20 seconds.
    pub last_10s: Percentiles,
    /// Over the last 60 to 70 seconds.
    pub last_60s: Percentiles,
}

/// Times that so many of a hundred calls did not exceed, to about 1 %, and 64 ns at least.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Percentiles {
    /// Calls answered.
    pub calls: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine of ten.
    pub p90: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// 999 of 1000.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
}

/// A time in the unit that suits it.
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        f.pad(&match nanos {
            0..=999 => format!("{nanos} ns"),
            1000..=999_999 => format!("{:.1} us", nanos as f64 / 1e3),
            1_000_000..=999_999_999 => format!("{:.1} ms", nanos as f64 / 1e6),
            _ => format!("{:.1} s", nanos as f64 / 1e9),
        })
    }
}

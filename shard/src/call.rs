//! What travels to a shard and back. The engine routes these; the shard never knows who waits.

use std::ops::Bound;

use ringkeep_io::Nanos;

use crate::content::Content;
use crate::scan_page::ScanPage;
use crate::size::Estimate;
use crate::stats::ShardStats;
use crate::timeline::Moment;
use crate::transaction::{Span, Transact};
use crate::verify::Verified;
use crate::{Error, ShardId, Version};

/// When a write may be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// After the device holds it: survives power loss.
    Sync,
    /// When it is in the page cache, which outlives the process; made durable at most this long afterwards.
    Periodic(Nanos),
    /// When it is in the page cache, which outlives the process; made durable whenever the log is next synced.
    Buffered,
}

/// One change to one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Store a value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Store a value that ends.
    PutUntil {
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
        /// From then on the key is absent: milliseconds since 1970, below [`UNTIL_MAX`](crate::limits::UNTIL_MAX).
        until: u64,
    },
    /// Remove the key.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Remove every key of a range.
    DeleteRange {
        /// The first key.
        from: Vec<u8>,
        /// The first key behind it.
        to: Vec<u8>,
    },
}

impl Op {
    /// The key that this operation changes; of a range of them the low end.
    pub fn key(&self) -> &[u8] {
        match self {
            Op::Put { key, .. } | Op::PutUntil { key, .. } | Op::Delete { key } => key,
            Op::DeleteRange { from, .. } => from,
        }
    }

    /// The range of keys that it removes, if it does not change one key alone.
    pub fn range(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Op::DeleteRange { from, to } => Some((from, to)),
            _ => None,
        }
    }

    /// The new value, or nothing for a removal.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Op::Put { value, .. } | Op::PutUntil { value, .. } => Some(value),
            Op::Delete { .. } | Op::DeleteRange { .. } => None,
        }
    }

    /// When the value ends, if it does.
    pub fn until(&self) -> Option<u64> {
        match self {
            Op::PutUntil { until, .. } => Some(*until),
            Op::Put { .. } | Op::Delete { .. } | Op::DeleteRange { .. } => None,
        }
    }

    /// Bytes of key and value, or of the two ends.
    pub fn bytes(&self) -> usize {
        let behind = match self {
            Op::DeleteRange { to, .. } => to.len(),
            _ => self.value().map_or(0, <[u8]>::len),
        };
        self.key().len() + behind
    }

    /// What it says of one key, if it does.
    #[inline]
    pub(crate) fn change(&self) -> Option<Change<'_>> {
        let (key, content) = match self {
            Op::Put { key, value } => (key, Content::Value(value)),
            Op::PutUntil { key, value, until } => (key, Content::Until(*until, value)),
            Op::Delete { key } => (key, Content::Removed),
            Op::DeleteRange { .. } => return None,
        };
        Some(Change { key, content })
    }
}

/// A change that is somebody else's memory.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Change<'a> {
    pub key: &'a [u8],
    pub content: Content<'a>,
}

impl From<Change<'_>> for Op {
    fn from(change: Change<'_>) -> Op {
        let key = change.key.into();
        match change.content {
            Content::Value(value) => Op::Put {
                key,
                value: value.into(),
            },
            Content::Until(until, value) => Op::PutUntil {
                key,
                value: value.into(),
                until,
            },
            Content::Removed => Op::Delete { key },
            Content::Elsewhere(..) => unreachable!("only tables refer to blob files"),
        }
    }
}

/// What can be asked of a shard.
#[derive(Debug)]
pub enum Call {
    /// One key, at a pinned version or now.
    Get {
        /// The key.
        key: Vec<u8>,
        /// A pinned moment; the present when absent.
        at: Option<Moment>,
        /// Empty, and where the value goes: no memory is taken if it has room.
        room: Vec<u8>,
    },
    /// Several keys, answered in order.
    MultiGet {
        /// The keys.
        keys: Vec<Box<[u8]>>,
        /// A pinned moment; the present when absent.
        at: Option<Moment>,
    },
    /// A change to this shard alone, all or nothing.
    Write {
        /// The changes, in order.
        ops: Vec<Op>,
        /// When to acknowledge.
        durability: Durability,
    },
    /// A change to several shards, all or nothing; this shard owns one part and coordinates.
    Commit {
        /// The changes of each shard.
        parts: Vec<(ShardId, Vec<Op>)>,
    },
    /// A change to one shard or several, all or nothing, unless what it depends on has changed; this shard owns
    /// one part and coordinates.
    Transact(Transact),
    /// Nothing, after so long.
    Pause(Nanos),
    /// What keeping the past costs: for each range of keys, or all, and version, about how many bytes merges could drop there
    /// if nobody read below it. The time of the newest commit is on the timeline then.
    History(Vec<(Option<Span>, Version)>),
    /// One page of a scan.
    Scan(Box<ScanCall>),
    /// About how much there is in a range of keys.
    Estimate(Span),
    /// Write the memtable out to tables.
    Flush,
    /// Merge everything into one run.
    Compact,
    /// Read everything and compare it with its checksums.
    Verify {
        /// No faster than this; 0 for as fast as it goes.
        bytes_per_second: u64,
    },
    /// Counters.
    Stats,
    /// Finish everything, flush, and stop.
    Close,
    /// Make what was answered durable, without finishing or writing anything else. Nothing is to be asked after it.
    Stop,
}

/// One page of a scan. The caller keeps the version pinned and asks again from the last key.
#[derive(Clone, Debug)]
pub struct ScanCall {
    /// The low end of the range.
    pub from: Bound<Box<[u8]>>,
    /// The high end of the range.
    pub to: Bound<Box<[u8]>>,
    /// From the high end downwards.
    pub reverse: bool,
    /// The pinned moment to read at.
    pub at: Moment,
    /// Stop after about this many bytes.
    pub page_bytes: usize,
    /// And after this many entries.
    pub entries_max: usize,
    /// Leave values empty.
    pub keys_only: bool,
    /// Memory for the answer, without entries.
    pub room: ScanPage,
}

/// The answer to a `Get`, with the memory that the call brought: who keeps it asks the next time without taking any.
#[derive(Debug)]
pub struct Got {
    /// The key is there.
    pub found: bool,
    /// Its value; empty when it is not.
    pub value: Vec<u8>,
    /// The call's own.
    pub key: Vec<u8>,
}

/// The answer to a write, with the memory that the call brought.
#[derive(Debug)]
pub struct Written {
    /// What the write is visible from.
    pub version: Version,
    /// The call's own; nothing after a batch over several shards.
    pub ops: Vec<Op>,
}

/// A shard's answer.
#[derive(Debug)]
pub enum Reply {
    /// To `Get`.
    Value(Got),
    /// To `MultiGet`.
    Values(Vec<Option<Box<[u8]>>>),
    /// To `Write`, `Commit` and `Transact`.
    Written(Written),
    /// To `Scan`.
    Page(ScanPage),
    /// To `Pause`, `Flush`, `Compact`, `Close` and `Stop`.
    Done,
    /// To `Estimate`.
    Estimated(Estimate),
    /// To `Verify`.
    Verified(Box<Verified>),
    /// To `History`.
    History(Vec<u64>),
    /// To `Stats`.
    Stats(Box<ShardStats>),
    /// To anything.
    Failed(Error),
}

//! The shard: takes calls, answers them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::Drain;

use ringkeep_io::{Directory, Io, Nanos};

use crate::{
    Call, CommitClock, Error, Op, Pins, Reply, Result, ScanPage, ShardId, ShardStats, Version,
};

/// Who a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The database.
    pub store: [u8; 16],
    /// This shard.
    pub shard: ShardId,
    /// Of so many.
    pub shards: u16,
}

/// Sizes of one shard.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// A memtable is written out when it holds this much.
    pub memtable_bytes: usize,
    /// Cached blocks.
    pub cache_bytes: usize,
    /// One log segment.
    pub segment_bytes: u64,
    /// The largest log frame.
    pub group_bytes: usize,
    /// A table file is ended at about this size.
    pub table_bytes: u64,
    /// More sorted runs than this are merged.
    pub runs_max: usize,
    /// An idle log writes its closing frame after this long.
    pub idle_close_after: Nanos,
}

impl ShardOptions {
    /// Sizes that stay within `memory_bytes` for this shard.
    pub fn for_budget(memory_bytes: usize) -> ShardOptions {
        let memtable_bytes = (memory_bytes / 8).clamp(64 << 10, 64 << 20);
        ShardOptions {
            memtable_bytes,
            cache_bytes: memory_bytes / 2,
            segment_bytes: 16 << 20,
            group_bytes: 1 << 20,
            table_bytes: 64 << 20,
            runs_max: 8,
            idle_close_after: 50_000_000,
        }
    }
}

/// A cross-shard commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TransactionId(pub u64);

/// A prepared part whose outcome this shard's log does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InDoubt {
    /// Which commit.
    pub transaction: TransactionId,
    /// Who knows.
    pub coordinator: ShardId,
}

/// A message from shard to shard.
#[derive(Debug)]
pub struct Letter {}

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Log frames replayed.
    pub frames: u64,
}

/// One core's storage.
pub struct Shard<T> {
    clock: Arc<CommitClock>,
    map: BTreeMap<Box<[u8]>, Box<[u8]>>,
    replies: Vec<(T, Reply)>,
    letters: Vec<(ShardId, Letter)>,
    recovered: Recovered,
    closed: bool,
}

impl<T> Shard<T> {
    /// Makes an empty shard in an empty directory.
    pub fn create(
        _io: &Io,
        _directory: &Directory,
        _identity: &Identity,
        _options: &ShardOptions,
    ) -> Result<()> {
        Ok(())
    }

    /// Recovers a shard.
    pub fn open(
        _io: &Io,
        _directory: &Directory,
        _identity: &Identity,
        _options: &ShardOptions,
        clock: Arc<CommitClock>,
        _pins: Arc<Pins>,
    ) -> Result<Shard<T>> {
        Ok(Shard {
            clock,
            map: BTreeMap::new(),
            replies: Vec::new(),
            letters: Vec::new(),
            recovered: Recovered::default(),
            closed: false,
        })
    }

    /// Prepared parts without an outcome.
    pub fn in_doubt(&self) -> Vec<InDoubt> {
        Vec::new()
    }

    /// What this coordinator decided.
    pub fn decision(&self, _transaction: TransactionId) -> Option<Version> {
        None
    }

    /// Ends a doubt.
    pub fn resolve(&mut self, _transaction: TransactionId, _decision: Option<Version>) {}

    /// What recovery found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Takes a call; the answer comes out of `replies`.
    pub fn accept(&mut self, token: T, call: Call) {
        let reply = match call {
            Call::Get { key, .. } => Reply::Value(self.map.get(&key).cloned()),
            Call::MultiGet { keys, .. } => {
                Reply::Values(keys.iter().map(|k| self.map.get(k).cloned()).collect())
            }
            Call::Write { ops, .. } => {
                self.apply(ops);
                Reply::Written(self.clock.next())
            }
            Call::Commit { parts } => {
                for (_, ops) in parts {
                    self.apply(ops);
                }
                Reply::Written(self.clock.next())
            }
            Call::Scan(scan) => {
                let range = self
                    .map
                    .range((scan.from, scan.to))
                    .map(|(k, v)| (k.clone(), v.clone()));
                let entries = if scan.reverse {
                    range.rev().collect()
                } else {
                    range.collect()
                };
                Reply::Page(ScanPage {
                    entries,
                    done: true,
                })
            }
            Call::Stats => Reply::Stats(Box::default()),
            Call::Flush | Call::Compact => Reply::Done,
            Call::Close => {
                self.closed = true;
                Reply::Done
            }
        };
        let _: Option<(Error, ShardStats)> = None;
        self.replies.push((token, reply));
    }

    fn apply(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Put { key, value } => self.map.insert(key, value),
                Op::Delete { key } => self.map.remove(&key),
            };
        }
    }

    /// A message from another shard.
    pub fn deliver(&mut self, _letter: Letter) {}

    /// One turn of work; true when there is more to do at once.
    pub fn turn(&mut self) -> bool {
        false
    }

    /// Park no longer than this.
    pub fn next_deadline(&self) -> Option<Nanos> {
        None
    }

    /// Answers ready to go.
    pub fn replies(&mut self) -> Drain<'_, (T, Reply)> {
        self.replies.drain(..)
    }

    /// Messages to other shards ready to go.
    pub fn letters(&mut self) -> Drain<'_, (ShardId, Letter)> {
        self.letters.drain(..)
    }

    /// `Close` was answered.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

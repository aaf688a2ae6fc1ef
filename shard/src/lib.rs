//! One core's storage: a deterministic state machine over a log, a memtable, sorted tables and a
//! page cache. It has no threads, no clock and no randomness of its own: given the same calls and
//! the same answers of its disk, it does the same thing every time.

pub mod call;
pub mod error;
pub mod limits;
mod shard;
pub mod stats;
pub mod version;

pub use call::{Call, Durability, Entry, Op, Reply, ScanCall, ScanPage};
pub use error::{Error, Result};
pub use shard::{Identity, InDoubt, Letter, Recovered, Shard, ShardOptions, TransactionId};
pub use stats::ShardStats;
pub use version::{CommitClock, Pin, Pins, ShardId, Version};

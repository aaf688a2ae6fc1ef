//! One core's storage: a deterministic state machine over a log, a memtable, sorted tables and a
//! page cache. It has no threads, no clock and no randomness of its own: given the same calls and
//! the same answers of its disk, it does the same thing every time.

// The loom target checks the files of `rows` by themselves; the rest knows std's types only.
#![cfg(not(loom))]

pub mod call;
pub mod error;
mod join;
pub mod keyspace;
pub mod limits;
mod shard;
mod size;
pub mod stats;
pub mod version;

mod content;
mod core;
mod letter;
mod open;
mod replay;
mod tasks;
mod timeline;
mod token;
mod watch;

mod commit;
mod cross_shard;
mod locks;
mod log;
mod log_room;
mod memtable;
mod memtables;
mod needs;
mod transaction;
mod validation;

mod blob;
mod history;
mod hot_rows;
mod page_cache;
mod range_deletes;
mod ranges;
mod read_path;
mod rows;
mod scan;
mod scan_page;
mod split;
mod table;
mod table_set;
mod warm;

mod closing;
mod compaction;
mod full_disk;
mod maintenance;
mod manifest;
mod merge;
mod run_writer;
pub mod salvage;
mod superblock;
mod verify;

mod checksum;
mod varint;

#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod fuzz;

pub use call::{Call, Durability, Got, Op, Reply, ScanCall, Written};
pub use error::{Error, Result};
pub use letter::Letter;
pub use replay::ReplayedLog;
pub use rows::{RowReads, Rows};
pub use scan_page::ScanPage;
pub use shard::{BLOB_BYTES, Identity, InDoubt, Recovered, Shard, ShardOptions, TransactionId};
pub use size::Estimate;
pub use stats::{Lookups, ROOM_UNLIMITED, ShardStats};
pub use table::Codec;
pub use timeline::{Moment, Timeline};
pub use token::Token;
pub use transaction::{Part, Reads, Span, Transact};
pub use verify::{Damage, KeysAtRisk, Verified};
pub use version::{CommitClock, Past, Pin, Pins, Retention, ShardId, Version};
pub use watch::{Phase, Watch, Watched};

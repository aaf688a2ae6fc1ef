//! Ringkeep: an embedded key-value database. One shard for each core but one, which is left to callers, each with its own
//! files, log, caches and io_uring; any number of callers, blocking or async.
//!
//! ```
//! # fn main() -> ringkeep::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("ringkeep-lib-{}", std::process::id()));
//! # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
//! use ringkeep::{Batch, Database};
//!
//! let db = Database::open(&folder, options)?;
//! db.put("fruit:apple", "red")?;
//! let mut batch = Batch::new();
//! batch.put("fruit:plum", "blue").delete("fruit:apple");
//! db.write(batch)?;
//! for entry in db.scan_prefix("fruit:") {
//!     let (key, value) = entry?;
//!     assert_eq!((&key[..], &value[..]), (&b"fruit:plum"[..], &b"blue"[..]));
//! }
//! db.close()?;
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! A call is checked and routed on its caller's thread (`database`, `batch`, `routing`), which finds hot rows itself. It travels
//! through a lane of the owner's inbox (`shards`, `mailbox`), is served by a host's thread, or while that sleeps by the
//! caller (`host`), and is answered in place. This crate never touches a record's bytes on disk; that is `ringkeep-shard`.

// The loom target checks the mailbox's files by themselves; the rest knows std's types only.
#![cfg(not(loom))]

mod database;

mod batch;
mod expiry;
mod keyspace;
mod on_shard;
mod past;
mod scan;
mod size;
mod snapshot;
mod transaction;

mod range_delete;
mod routing;
mod shards;

mod desk;
mod mailbox;
mod patience;

mod host;

mod database_file;
mod lock;
mod open;
mod place;
mod salvage;
mod threads;

mod error;
mod health;
mod hits;
mod latency;
pub mod limits;
mod options;
mod stats;
mod verify;

#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod simulation;

pub use batch::Batch;
pub use database::Database;
pub use error::{Error, Result};
pub use health::{Condition, Finding, Forecast, Health};
pub use hits::{HitRates, Hits};
pub use keyspace::{Keyspace, KeyspaceOptions};
pub use latency::{CallReceipt, Latency, Operation, Percentiles, Receipt};
pub use on_shard::OnShard;
pub use options::{Executor, Options};
pub use past::{Changed, Diff, Holder, Kept, Reason};
pub use ringkeep_io::{Backend, Direct, IoError};
pub use ringkeep_shard::{
    Codec, Damage, Durability, Error as ShardError, Estimate, KeysAtRisk, Retention, ShardId,
    ShardOptions, ShardStats, Version,
};
pub use salvage::{Salvage, SalvageProgress, salvage};
pub use scan::{KeyRange, KeyValue, Keys, Scan};
pub use snapshot::Snapshot;
pub use stats::{HostReport, Stats};
pub use transaction::{Isolation, Transaction, TransactionOptions, TransactionScan};
pub use verify::Verification;

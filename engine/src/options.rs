//! What a user can choose: one plain struct, its defaults beside the fields, checked once at open.

use std::sync::OnceLock;

use ringkeep_io::{Backend, Direct, IoOptions};
use ringkeep_shard::{BLOB_BYTES, Codec, Durability, Retention, ShardOptions};

use crate::limits::{
    BLOB_BYTES_MIN, SEGMENT_BYTES_MIN, SHARD_MEMORY_BYTES_MIN, SHARDS_MAX, VALUE_BYTES_MAX,
};
use crate::{Error, Result};

/// Overrides [`Options::backend`]: `ring` or `portable`.
const BACKEND_VARIABLE: &str = "RINGKEEP_BACKEND";

/// Overrides [`Options::executor`]: `own` or `glommio`.
const EXECUTOR_VARIABLE: &str = "RINGKEEP_EXECUTOR";

/// What runs a thread that serves shards.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Executor {
    /// A loop of its own: the fastest.
    #[default]
    Own,
    /// A glommio executor, with the shards as a task on it: closures of [`Database::on_shard`](crate::Database::on_shard) run
    /// on it as well, may use glommio's sockets, timers and files, spawn tasks with `glommio::spawn_local`, and ask the
    /// shards of their thread without crossing one. Needs io_uring and 512 KiB of locked memory for each thread; where there
    /// is none of that, opening says so. What was spawned and is not finished is dropped when the database is
    /// closed.
    #[cfg(feature = "glommio")]
    Glommio,
}

/// How to open a database. Start from a preset and change what matters:
///
/// ```
/// # use ringkeep::Options;
/// let options = Options { memory_bytes: 1 << 30, ..Options::default() };
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Make the database, and the last part of its path, when it is not there.
    pub create_if_missing: bool,
    /// Shards of a new database; as many as threads that serve them when absent. An existing database keeps what it has, so
    /// one that is to move to a machine with more cores should have as many as that would give it threads.
    pub shards: Option<u16>,
    /// Threads that serve the shards; one for each core but one, which is left to the callers, when absent.
    /// Never more than shards.
    pub threads: Option<usize>,
    /// Keep each of these threads on one core.
    pub pin_threads: bool,
    /// Memtables and caches of all shards together. What a process needs is this, at most 15 % more, and about 16 MiB
    /// for itself and for buffers; filters and top indexes of data that is more than a hundred times as large come on top.
    pub memory_bytes: usize,
    /// What the files of a database in memory may take, beside `memory_bytes`:
    /// [`Database::in_memory`](crate::Database::in_memory).
    pub in_memory_bytes: u64,
    /// When a write that does not say otherwise may be acknowledged.
    pub durability: Durability,
    /// How the tables of each shard are compressed, but for the last level, where most of the data is. Not at
    /// all by default: it costs time at each read that finds its block on the device. A keyspace may have a codec of its own:
    /// [`KeyspaceOptions::codec`](crate::KeyspaceOptions::codec).
    pub codec: Codec,
    /// How the last level is compressed.
    pub last_level_codec: Codec,
    /// Values of so many bytes or more go to blob files of their own when they leave the memory, and are not written again with
    /// every merge of their keys: 16 KiB by default, and no fewer than 1 KiB. None do when absent. What is in blob files
    /// already stays there, whatever is said later.
    pub blob_bytes: Option<usize>,
    /// How much of the past can be read with [`Database::as_of`](crate::Database::as_of), beside what snapshots
    /// hold. Merges keep what was overwritten and removed within it, and times of commits are kept with any but
    /// [`Retention::None`].
    pub retention: Retention,
    /// What runs the threads that serve the shards. The environment variable `RINGKEEP_EXECUTOR` (`own` or `glommio`) has
    /// the last word.
    pub executor: Executor,
    /// Which door to the kernel. The environment variable `RINGKEEP_BACKEND` (`ring` or `portable`) has the
    /// last word.
    pub backend: Backend,
    /// What to do on file systems where direct I/O is missing or not known to be safe.
    pub direct: Direct,
    /// Sizes inside each shard, instead of those derived from `memory_bytes`.
    pub shard: Option<ShardOptions>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            create_if_missing: true,
            shards: None,
            threads: None,
            pin_threads: true,
            memory_bytes: 256 << 20,
            in_memory_bytes: 1 << 30,
            durability: Durability::Sync,
            codec: Codec::Raw,
            last_level_codec: Codec::Raw,
            blob_bytes: Some(BLOB_BYTES),
            retention: Retention::None,
            executor: Executor::Own,
            backend: Backend::Auto,
            direct: Direct::Required,
            shard: None,
        }
    }
}

impl Options {
    /// For tests and small devices: one shard on one thread that goes where the scheduler likes.
    pub fn small() -> Options {
        Options {
            shards: Some(1),
            pin_threads: false,
            memory_bytes: 8 << 20,
            ..Options::default()
        }
    }

    /// Of this much memory, which may be most of a machine that does little else; the rest as by default.
    pub fn for_memory(memory_bytes: usize) -> Options {
        Options {
            memory_bytes,
            ..Options::default()
        }
    }

    /// Checks what can be checked before anything is opened, and applies the environment.
    pub(crate) fn validated(mut self) -> Result<Options> {
        let refuse = |name, detail| Err(Error::Option { name, detail });
        match std::env::var(BACKEND_VARIABLE).as_deref() {
            Err(std::env::VarError::NotPresent) => {}
            Ok("ring") => self.backend = Backend::Ring,
            Ok("portable") => self.backend = Backend::Portable,
            other => {
                return refuse(
                    BACKEND_VARIABLE,
                    format!("it says {other:?}; use \"ring\" or \"portable\", or unset it"),
                );
            }
        }
        match std::env::var(EXECUTOR_VARIABLE).as_deref() {
            Err(std::env::VarError::NotPresent) => {}
            Ok("own") => self.executor = Executor::Own,
            #[cfg(feature = "glommio")]
            Ok("glommio") => self.executor = Executor::Glommio,
            #[cfg(not(feature = "glommio"))]
            Ok("glommio") => {
                return refuse(
                    EXECUTOR_VARIABLE,
                    "this build has no glommio: turn on the feature `glommio`".into(),
                );
            }
            other => {
                return refuse(
                    EXECUTOR_VARIABLE,
                    format!("it says {other:?}; use \"own\" or \"glommio\", or unset it"),
                );
            }
        }
        if let Some(shards) = self.shards
            && !(1..=SHARDS_MAX).contains(&shards)
        {
            return refuse(
                "shards",
                format!("{shards} is outside of 1 to {SHARDS_MAX}"),
            );
        }
        if let Some(bytes) = self.blob_bytes
            && bytes < BLOB_BYTES_MIN
        {
            return refuse(
                "blob_bytes",
                format!(
                    "{bytes} is less than {BLOB_BYTES_MIN}: a value takes whole pages of a blob file"
                ),
            );
        }
        if self.threads == Some(0) {
            return refuse(
                "threads",
                "at least one thread has to serve the shards".into(),
            );
        }
        Ok(self)
    }

    /// Shards of a new database.
    pub(crate) fn shards_of_new(&self) -> u16 {
        // Two shards on a thread commit a batch over both by two durable writes, one after the other, where one shard
        // needs one write, and look twice for the start of a scan.
        let one_for_each_thread = || self.threads_for(SHARDS_MAX) as u16;
        self.shards.unwrap_or_else(one_for_each_thread)
    }

    /// Threads for so many shards.
    pub(crate) fn threads_for(&self, shards: u16) -> usize {
        // Where callers find no core free of hosts, each call costs two context switches.
        let all_but_one = cores().saturating_sub(1).max(1);
        self.threads.unwrap_or(all_but_one).min(usize::from(shards))
    }

    /// The sizes of each of so many shards.
    pub(crate) fn of_each(&self, shards: u16) -> Result<ShardOptions> {
        if let Some(shard) = &self.shard {
            return Ok(shard.clone());
        }
        let share = self.memory_bytes / usize::from(shards);
        if share < SHARD_MEMORY_BYTES_MIN {
            let needed = SHARD_MEMORY_BYTES_MIN * usize::from(shards);
            let detail = format!(
                "{} is too little for {shards} shards, which need {needed}",
                self.memory_bytes
            );
            return Err(Error::Option {
                name: "memory_bytes",
                detail,
            });
        }
        let budgeted = ShardOptions::for_budget(share);
        // Segments are written full of zeros before use; a small database need not fill a disk with them.
        let enough = (4 * budgeted.memtable_bytes as u64).next_power_of_two();
        Ok(ShardOptions {
            segment_bytes: budgeted.segment_bytes.min(enough.max(SEGMENT_BYTES_MIN)),
            codec: self.codec,
            last_level_codec: self.last_level_codec,
            blob_bytes: self.blob_bytes,
            ..budgeted
        })
    }

    /// Sizes for files in memory: a merge takes room for the tables that it makes before it gives back those that
    /// they replace, so tables and log segments are small shares of what there is.
    pub(crate) fn in_memory(mut self) -> Result<Options> {
        let shards = self.shards_of_new();
        let share = (self.in_memory_bytes / u64::from(shards) / 32).max(SEGMENT_BYTES_MIN);
        if self.shard.is_none() {
            let each = self.of_each(shards)?;
            self.shard = Some(ShardOptions {
                table_bytes: each.table_bytes.min(share),
                segment_bytes: each.segment_bytes.min(share.next_power_of_two()),
                ..each
            });
        }
        Ok(self)
    }

    /// The door of one of so many hosts.
    pub(crate) fn io(&self, hosts: usize) -> IoOptions {
        IoOptions {
            backend: self.backend,
            direct: self.direct,
            // What the blocks of a host's shards may take at most.
            frames_bytes: ShardOptions::for_budget(self.memory_bytes / hosts).cache_bytes,
            ..IoOptions::default()
        }
    }
}

/// The largest file that a shard of these sizes writes: a table may overshoot by one entry.
pub(crate) fn largest_file(each: &ShardOptions) -> u64 {
    each.segment_bytes
        .max(each.table_bytes + 2 * VALUE_BYTES_MAX as u64)
}

/// Cores that this process may use. Asked once: the answer takes reading several files.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

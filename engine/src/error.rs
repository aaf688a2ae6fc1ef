//! What can go wrong, each with what the caller can do about it.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ringkeep_io::IoError;
use ringkeep_shard::keyspace::user_key;
use ringkeep_shard::{ShardId, Version};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A database's typed errors. Each message says what happened, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Keys have at least one byte.
    EmptyKey,
    /// A key is over the limit.
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A value is over the limit.
    ValueTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The keys and values of one batch together are over the limit.
    BatchTooLarge {
        /// Their length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// One batch has too many changes.
    BatchTooLong {
        /// How many.
        changes: usize,
        /// The limit.
        max: usize,
    },
    /// So many range deletes of a shard still hide something that no more are taken. Nothing was changed.
    TooManyRangeDeletes {
        /// Which shard.
        shard: ShardId,
        /// How many.
        kept: usize,
        /// The limit.
        max: usize,
    },
    /// A transaction has read and changed too much.
    TransactionTooLarge {
        /// Keys that it changes; and keys and ranges that it depends on, if it is serializable.
        keys: usize,
        /// The limit.
        keys_max: usize,
        /// Their bytes, with the new values.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A transaction has lived too long.
    TransactionTooOld {
        /// How long.
        age: Duration,
        /// The limit.
        max: Duration,
    },
    /// A version of the past was asked for that is no longer kept.
    HistoryGone {
        /// Which.
        asked: Version,
        /// The oldest that can be read.
        oldest: Version,
    },
    /// A version was asked for that was not handed out yet.
    NotYet {
        /// Which.
        asked: Version,
        /// The present.
        newest: Version,
    },
    /// No commit up to this time has a time that is known.
    TimeNotKept {
        /// The time asked for.
        time: SystemTime,
    },
    /// What a transaction depends on has changed since it began. Nothing was changed by it, and it can be run again:
    /// [`Database::transact`](crate::Database::transact) does.
    Conflict {
        /// What has changed.
        key: Vec<u8>,
    },
    /// A counter could not be incremented. It is as it was.
    Counter {
        /// Its key.
        key: Vec<u8>,
        /// Why not.
        detail: String,
    },
    /// There is no keyspace of this name.
    NoKeyspace {
        /// Which was asked for.
        name: String,
    },
    /// There is a keyspace of this name already.
    KeyspaceExists {
        /// Which.
        name: String,
    },
    /// The keyspace of this handle was dropped, or may have been.
    KeyspaceDropped {
        /// Its name.
        name: String,
    },
    /// The keyspace of this handle is another database's.
    ForeignKeyspace {
        /// Its name.
        name: String,
    },
    /// The list of keyspaces cannot be read.
    Catalog {
        /// Why not.
        detail: String,
    },
    /// An option, or the environment variable that overrides it, cannot be used.
    Option {
        /// Which.
        name: &'static str,
        /// What is wrong with it, and what would be right.
        detail: String,
    },
    /// There is no database here, and none was to be created; or its parent folder is missing.
    NotFound {
        /// The missing folder or file.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The path leads to something that is not a folder.
    NotADirectory {
        /// What is there.
        path: PathBuf,
    },
    /// The last part of the path is a symbolic link.
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The folder, or a file in it, may not be read and written.
    Forbidden {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The folder is not empty and holds no database.
    ForeignDirectory {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// Another opener holds the database.
    InUse {
        /// The folder.
        path: PathBuf,
        /// Its process; nothing when it could not be read.
        pid: Option<u32>,
    },
    /// The last opener is gone, but writes of it are still on their way to the device.
    StillWriting {
        /// The folder.
        path: PathBuf,
        /// How long this opener waited.
        waited: Duration,
    },
    /// The database file is damaged.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The database file was written by another format version.
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The version that this build reads and writes.
        supported: u32,
    },
    /// The folder of a shard is gone.
    MissingShard {
        /// Which.
        shard: ShardId,
        /// Where it should be.
        path: PathBuf,
    },
    /// A limit of this process is too low.
    Limit {
        /// The limit, as the shell names it.
        limit: &'static str,
        /// What it is.
        now: u64,
        /// What is needed.
        needed: u64,
    },
    /// The operating system refused an operation outside of a shard.
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What it said.
        error: IoError,
    },
    /// A shard refused or failed.
    Shard {
        /// Which.
        shard: ShardId,
        /// Why.
        error: ringkeep_shard::Error,
    },
    /// The thread that serves a shard has ended by a fault of this program. For a write, its outcome is
    /// unknown.
    HostStopped {
        /// The shard that was asked.
        shard: ShardId,
        /// What ended its thread.
        reason: String,
    },
    /// A closure on a shard's thread panicked. The shard goes on; what the closure had done stays done.
    Panicked {
        /// What it said.
        reason: String,
    },
    /// The database was closed.
    Closed,
}

impl Error {
    /// The disk was full: nothing was changed, and the same call can be made again.
    pub fn is_full(&self) -> bool {
        use ringkeep_shard::Error as Shard;
        matches!(
            self,
            Error::Shard {
                error: Shard::Full { .. },
                ..
            }
        )
    }

    /// A transaction lost against another commit: run it again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::Conflict { .. })
    }

    /// Something on disk is damaged, missing or from elsewhere.
    pub fn is_corruption(&self) -> bool {
        use ringkeep_shard::Error as Shard;
        match self {
            Error::Corrupt { .. } | Error::MissingShard { .. } => true,
            Error::Shard { error, .. } => matches!(
                error,
                Shard::Corrupt { .. }
                    | Shard::CorruptAcked { .. }
                    | Shard::Missing { .. }
                    | Shard::Foreign { .. }
            ),
            _ => false,
        }
    }

    /// Whether this write was kept shows only after the database is opened again.
    pub fn is_unknown(&self) -> bool {
        use ringkeep_shard::Error as Shard;
        matches!(
            self,
            Error::Shard {
                error: Shard::Unknown { .. },
                ..
            } | Error::HostStopped { .. }
        )
    }
}

/// Ties a shard's error to the shard.
pub(crate) fn of_shard(shard: ShardId, error: ringkeep_shard::Error) -> Error {
    match error {
        ringkeep_shard::Error::Closed => Error::Closed,
        ringkeep_shard::Error::Conflict { key } => Error::Conflict {
            key: user_key(&key).into(),
        },
        ringkeep_shard::Error::TooManyRanges { kept, max } => {
            Error::TooManyRangeDeletes { shard, kept, max }
        }
        error => Error::Shard { shard, error },
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::EmptyKey => f.write_str("the key is empty: keys have at least one byte"),
            Error::KeyTooLong { bytes, max } => write!(
                f,
                "the key has {bytes} bytes, the limit is {max}: shorten it, or store a hash of it and the rest in the value"
            ),
            Error::ValueTooLarge { bytes, max } => write!(
                f,
                "the value has {bytes} bytes, the limit is {max}: store it in several parts"
            ),
            Error::BatchTooLarge { bytes, max } => write!(
                f,
                "the batch has {bytes} bytes of keys and values, the limit is {max}: write it as several batches"
            ),
            Error::BatchTooLong { changes, max } => write!(
                f,
                "the batch has {changes} changes, the limit is {max}: write it as several batches"
            ),
            Error::TooManyRangeDeletes { shard, kept, max } => write!(
                f,
                "{kept} range deletes of shard {shard} still hide something, the limit is {max}: let old snapshots go and compact the database, or use wider ranges"
            ),
            Error::TransactionTooLarge {
                keys,
                keys_max,
                bytes,
                bytes_max,
            } => write!(
                f,
                "the transaction takes {keys} keys and {bytes} bytes, the limits are {keys_max} and {bytes_max}: do it in several transactions"
            ),
            Error::TransactionTooOld { age, max } => write!(
                f,
                "the transaction is {:.1} s old, the limit is {:.1} s: begin it later, or raise TransactionOptions::age_max",
                age.as_secs_f64(),
                max.as_secs_f64()
            ),
            Error::HistoryGone { asked, oldest } => write!(
                f,
                "version {asked} can no longer be read, the oldest that can is {oldest}: keep a snapshot, or raise the retention of the database or of the keyspace"
            ),
            Error::NotYet { asked, newest } => write!(
                f,
                "version {asked} lies in the future, the newest is {newest}: ask for that, or later"
            ),
            Error::TimeNotKept { time } => write!(
                f,
                "no commit is known up to {} s after 1970: ask for a later time; times are kept while the database or a keyspace has a retention",
                time.duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default()
                    .as_secs()
            ),
            Error::NoKeyspace { name } => write!(
                f,
                "there is no keyspace {name:?}: make it with `create_keyspace`, or look at `keyspaces`"
            ),
            Error::KeyspaceExists { name } => write!(
                f,
                "there is a keyspace {name:?} already: open it with `keyspace`, or drop it first"
            ),
            Error::KeyspaceDropped { name } => write!(
                f,
                "the keyspace {name:?} was dropped: one of the same name that was made since needs a handle of its own"
            ),
            Error::ForeignKeyspace { name } => write!(
                f,
                "the keyspace {name:?} belongs to another database, or to an earlier opening of this one: ask this one for it"
            ),
            Error::Catalog { detail } => write!(
                f,
                "the list of keyspaces cannot be read ({detail}): open the database with the matching release"
            ),
            Error::Conflict { key } => write!(
                f,
                "key \"{}\" has changed since the transaction began, which has changed nothing: run it again, or use transact",
                key.escape_ascii()
            ),
            Error::Counter { key, detail } => write!(
                f,
                "the counter \"{}\" cannot be incremented: {detail}; store an i64 of 8 bytes under it, little-endian",
                key.escape_ascii()
            ),
            Error::Option { name, detail } => write!(f, "option {name}: {detail}"),
            Error::NotFound { path, advice } => {
                write!(f, "{}: not found; {advice}", path.display())
            }
            Error::NotADirectory { path } => write!(
                f,
                "{} is not a directory: a database is a directory of its own, name another path",
                path.display()
            ),
            Error::Symlink { path } => write!(
                f,
                "{} is a symbolic link, which could be turned elsewhere while the database is open: open the directory that it leads to",
                path.display()
            ),
            Error::Forbidden { path, reason } => write!(
                f,
                "{} cannot be read and written ({reason}): give this process read and write permission, on a file system that is not mounted read-only",
                path.display()
            ),
            Error::ForeignDirectory { path, found } => write!(
                f,
                "{} holds no database but other things ({found}): name an empty or a new directory",
                path.display()
            ),
            Error::InUse {
                path,
                pid: Some(pid),
            } => write!(
                f,
                "{} is in use by process {pid}: a database has one opener at a time; close it there, or share the handle",
                path.display()
            ),
            Error::InUse { path, pid: None } => write!(
                f,
                "{} is in use by another process: a database has one opener at a time; close it there, or share the handle",
                path.display()
            ),
            Error::StillWriting { path, waited } => write!(
                f,
                "{} is still being written to by the last writes of an opener that is gone (waited {} s): look for a stuck device in the kernel log, or try again later",
                path.display(),
                waited.as_secs()
            ),
            Error::Corrupt { path, detail } => write!(
                f,
                "{} is damaged ({detail}): restore it from a backup; it never changes after the database was made, so any older copy of this very database will do",
                path.display()
            ),
            Error::Version {
                path,
                found,
                supported,
            } => write!(
                f,
                "{} has format version {found}, this build reads version {supported}: open it with the matching release",
                path.display()
            ),
            Error::MissingShard { shard, path } => write!(
                f,
                "{} of shard {shard} is missing: opening without it would lose its records; restore it from a backup",
                path.display()
            ),
            Error::Limit { limit, now, needed } => write!(
                f,
                "the limit \"{limit}\" of this process is {now}, this database needs {needed}: raise it, or open with smaller options"
            ),
            Error::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Error::Shard { shard, error } => write!(f, "shard {shard}: {error}"),
            Error::HostStopped { shard, reason } => write!(
                f,
                "the thread that serves shard {shard} has ended ({reason}): a write under way there may or may not be kept; \
                 close the database, open it again, and report this as a bug"
            ),
            Error::Panicked { reason } => write!(
                f,
                "a closure on a shard's thread ended early ({reason}): what it had done until then stays done"
            ),
            Error::Closed => f.write_str("the database is closed: open it again"),
        }
    }
}

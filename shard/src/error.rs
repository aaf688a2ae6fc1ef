//! What can go wrong in a shard, each with what the caller can do about it.

use std::fmt;

use ringkeep_io::IoError;

use crate::limits::RANGE_BYTES_MAX;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A shard's typed errors. Each message says what happened, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The disk is full. This write was refused before the log was touched.
    Full {
        /// What the file system says is free.
        free_bytes: u64,
    },
    /// An earlier log write, sync, flush or merge failed: the shard takes no writes until it is opened again.
    Failed {
        /// The failure that stopped the writes.
        reason: String,
    },
    /// As `Failed`; and a batch over several shards may be committed of which this shard cannot show its part
    /// without showing writes that failed, so that no read could be right.
    Unreadable {
        /// The failure that stopped the writes.
        reason: String,
    },
    /// Writes stopped while this very write was under way: it may or may not be there after reopening.
    Unknown {
        /// The failure.
        reason: String,
    },
    /// So many range deletes still hide something that no more are taken.
    TooManyRanges {
        /// How many.
        kept: usize,
        /// The limit.
        max: usize,
    },
    /// Log records that had been acknowledged are damaged.
    CorruptAcked {
        /// The damaged file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What was found.
        detail: String,
    },
    /// A structure on disk failed its checks.
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What was found.
        detail: String,
    },
    /// Written by another format version.
    Version {
        /// The file that says so.
        file: String,
        /// The version found.
        found: u32,
        /// The version this build reads and writes.
        supported: u32,
    },
    /// A file that the manifest names is missing or too short.
    Missing {
        /// The file.
        file: String,
    },
    /// A file belongs to another database or shard.
    Foreign {
        /// The file.
        file: String,
        /// How we know.
        detail: String,
    },
    /// The operating system refused an operation.
    Io {
        /// What it said.
        error: IoError,
        /// The file concerned.
        file: String,
    },
    /// A transaction depends on a key that has changed since it began. Nothing was changed.
    Conflict {
        /// The key.
        key: Box<[u8]>,
    },
    /// The shard is closed.
    Closed,
}

impl Error {
    /// Ties an I/O error to the file that it concerns.
    pub fn io(error: IoError, file: impl Into<String>) -> Error {
        Error::Io {
            error,
            file: file.into(),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Full { free_bytes } => write!(
                f,
                "the disk is full ({free_bytes} bytes free): this write was refused and nothing was changed; \
                 free some space and try again (reads and deletes go on)"
            ),
            Error::Unreadable { reason } => write!(
                f,
                "reads and writes are stopped: {reason}; and a batch over several shards may be committed of which \
                 this shard cannot show its part; close the database, check the device, and open it again"
            ),
            Error::Failed { reason } => write!(
                f,
                "writes are stopped: {reason}; reads go on; close the database, check the device, and open it again"
            ),
            Error::Unknown { reason } => write!(
                f,
                "it is not known whether this write is kept: {reason}; close the database, check the device, and \
                 open it again: then it shows"
            ),
            Error::TooManyRanges { kept, max } => write!(
                f,
                "{kept} range deletes still hide something, and no shard keeps more than {max} of them, nor more than \
                 {RANGE_BYTES_MAX} bytes of their ends: nothing was changed; let snapshots and transactions go, and \
                 `compact` the database"
            ),
            Error::CorruptAcked {
                file,
                offset,
                detail,
            } => write!(
                f,
                "{file} is damaged at byte {offset} ({detail}) before the end of what was acknowledged; \
                 opening would lose acknowledged writes, so it is refused: restore from a backup or replica"
            ),
            Error::Corrupt {
                file,
                offset,
                detail,
            } => write!(
                f,
                "{file} is damaged at byte {offset} ({detail}); other data stays readable: restore this file \
                 from a backup"
            ),
            Error::Version {
                file,
                found,
                supported,
            } => write!(
                f,
                "{file} has format version {found}, this build reads version {supported}: open it with the \
                 matching release"
            ),
            Error::Missing { file } => write!(
                f,
                "{file} is missing or shorter than the manifest says: restore it from a backup"
            ),
            Error::Foreign { file, detail } => write!(
                f,
                "{file} does not belong to this database ({detail}): put the right file back"
            ),
            Error::Io { error, file } => write!(f, "{file}: {error}"),
            Error::Conflict { key } => write!(
                f,
                "key \"{}\" has changed since the transaction began, which has changed nothing: run it again",
                key.escape_ascii()
            ),
            Error::Closed => f.write_str("the database is closed"),
        }
    }
}

//! Every maximum of the storage format, with its reason. The engine checks the first three before a
//! call leaves the caller's thread; decoders check all of them before they allocate.

use crate::keyspace::PREFIX_BYTES_MAX;
use crate::log::format::{OP_OVERHEAD, RECORD_OVERHEAD};

/// A key takes part in every block, index and comparison: it has to stay small beside a block. What stands in front of
/// it for its keyspace is counted.
pub const KEY_BYTES_MAX: usize = 4096 + PREFIX_BYTES_MAX;

/// The end of a range may be a key with one byte more, the first one behind it.
pub const RANGE_END_BYTES_MAX: usize = KEY_BYTES_MAX + 1;

/// Range deletes that one shard keeps: reads search them, and each manifest names them all.
pub const RANGE_DELETES_MAX: usize = 4096;

/// Bytes of their ends.
pub const RANGE_BYTES_MAX: usize = 1 << 20;

/// A value is copied whole into a commit group and into a reply.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// Keys and values of one batch together: the log holds a batch whole, in memory and on disk.
pub const BATCH_BYTES_MAX: usize = 128 << 20;

/// Shards of one database. The slot table has 16,384 entries; more shards than this would leave
/// too few slots for each to spread evenly.
pub const SHARDS_MAX: u16 = 1024;

/// Participants, operations and the like in one log record: a count above it is damage.
pub const BATCH_OPS_MAX: usize = 16 << 20;

/// A group of the log beyond this is damage: a batch is never divided, and each of its operations has a few bytes beside
/// key and value. Tests have less, so that they can go up to it.
pub(crate) const GROUP_BYTES_MAX: usize = match cfg!(test) {
    false => BATCH_BYTES_MAX + BATCH_OPS_MAX * OP_OVERHEAD + RECORD_OVERHEAD,
    true => 1 << 20,
};

/// Times of ends have six bytes, which last until the year 10889. What ends from then on never does.
pub const UNTIL_MAX: u64 = (1 << 48) - 1;

/// Sequences, versions and the like: nobody counts so far, so a number from there on is damage. Below it a sum of
/// three does not overflow.
pub const COUNTER_MAX: u64 = 1 << 62;

const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX < BATCH_BYTES_MAX);

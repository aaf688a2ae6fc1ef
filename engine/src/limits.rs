//! Every maximum and every interval of the engine, with its reason.

use std::time::Duration;

pub use ringkeep_shard::limits::{BATCH_BYTES_MAX, SHARDS_MAX, VALUE_BYTES_MAX};

/// A key's, in every keyspace: what stands in front of it where it is stored is not counted.
pub const KEY_BYTES_MAX: usize =
    ringkeep_shard::limits::KEY_BYTES_MAX - ringkeep_shard::keyspace::PREFIX_BYTES_MAX;

/// Changes in one batch: what a shard's log accepts as one record.
pub(crate) const BATCH_OPS_MAX: usize = ringkeep_shard::limits::BATCH_OPS_MAX;

/// A thread keeps the memory of its last put for the next one if the value took no more than this.
pub(crate) const DESK_VALUE_BYTES_MAX: usize = 64 << 10;

/// Items in one lane of an inbox. A sender finds it full only while the host is behind by as much.
pub(crate) const LANE_ITEMS: usize = 256;

/// Lanes of an inbox for each core: enough that threads that run at the same time seldom share one.
pub(crate) const LANES_PER_CORE: usize = 4;

/// Items taken from one lane in one turn, so that no lane holds up the others.
pub(crate) const MAIL_PER_LANE: usize = 32;

/// Calls that one host works on at a time. More wait in their lanes, and their callers with them.
pub(crate) const CALLS_MAX: usize = 64 << 10;

/// A caller whose call was dropped waits this long for the reason, which follows at once.
pub(crate) const OBITUARY_WAIT: Duration = Duration::from_secs(1);

/// An opener waits this long for the last writes of a process that was killed.
pub(crate) const STILL_WRITING_WAIT: Duration = Duration::from_secs(10);

/// It believes this long that a holder which looks alive may be about to end.
pub(crate) const DYING_GRACE: Duration = Duration::from_millis(50);

/// It looks again this often.
pub(crate) const STILL_WRITING_POLL: Duration = Duration::from_millis(2);

/// How long a caller polls for its answer, and a host for more mail, before sleeping, where they may:
/// about twice what waking a sleeping thread costs.
pub(crate) const SPIN: Duration = Duration::from_micros(20);

/// The first page of a scan of one shard: a hundred entries of a hundred bytes and their keys. Most scans are short, and what
/// they do not take was read for nothing.
pub(crate) const SCAN_FIRST_BYTES: usize = 12 << 10;

/// The first pages over several shards together, of which none has just its share of the first hundred entries.
pub(crate) const SCAN_FIRST_BYTES_ACROSS: usize = 16 << 10;

/// The first page from one shard, however many there are: no cheaper than the message for it.
pub(crate) const SCAN_FIRST_PAGE_BYTES_MIN: usize = 1 << 10;

/// A page of a long scan from one shard: large enough to make the round trip cheap.
pub(crate) const SCAN_PAGE_BYTES: usize = 256 << 10;

/// Pages that a caller fills itself where the host sleeps or is about to: first ones. Larger ones are read ahead by the host,
/// beside the caller.
pub(crate) const VISIT_PAGE_BYTES_MAX: usize = SCAN_FIRST_BYTES;

/// A page whose memory a thread keeps for its next scan: the first of one shard, with room for a large entry at its end.
pub(crate) const DESK_PAGE_BYTES_MAX: usize = 2 * SCAN_FIRST_BYTES;

/// Keys that a caller looks up itself then.
pub(crate) const VISIT_KEYS_MAX: usize = 64;

/// Pages of one scan over all shards together, each with one more on its way.
pub(crate) const SCAN_BYTES: usize = 8 << 20;

/// The smallest page that still makes progress.
pub(crate) const SCAN_PAGE_BYTES_MIN: usize = 4 << 10;

/// The least memory that one shard can work with: a memtable, a group and a few blocks.
pub(crate) const SHARD_MEMORY_BYTES_MIN: usize = 1 << 20;

/// Log segments of a small shard: small enough to make in a moment, large enough to hold many groups.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// Values that go to blob files have at least this: each takes whole pages there, and its reference a place in its table.
pub(crate) const BLOB_BYTES_MIN: usize = 1 << 10;

/// Descriptors of a shard at least: its folder, log segments, superblock, manifest, and a few dozen tables.
pub(crate) const SHARD_DESCRIPTORS: u64 = 32;

/// Descriptors of a host: ring, doorbell, lock, folder, and what is opened for a moment.
pub(crate) const HOST_DESCRIPTORS: u64 = 8;

/// A transaction lives no longer by default. What it can see is kept on disk meanwhile, and the longer it takes, the
/// more likely is a conflict.
pub(crate) const TRANSACTION_AGE_MAX: Duration = Duration::from_secs(30);

/// Runs of a transaction before it is given up by default. Each conflict means that another one has been committed.
pub(crate) const TRANSACTION_ATTEMPTS: u32 = 64;

/// Before a transaction that lost twice runs again, in nanoseconds, at most: about what a commit takes. Twice as
/// long after each further conflict.
pub(crate) const RETRY_PAUSE: u64 = 50_000;

/// And no longer than this.
pub(crate) const RETRY_PAUSE_MAX: u64 = 5_000_000;

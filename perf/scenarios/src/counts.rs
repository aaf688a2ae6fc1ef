//! Counters before and after a measured part, and what lies between.

use std::collections::BTreeMap;

use ringkeep_io::DiskCounters;
use ringkeep_shard::ShardStats;

use crate::allocation::{self, Allocated};
use crate::clocks::Times;

/// All counters at one moment.
pub(crate) struct Moment {
    pub disk: DiskCounters,
    pub allocated: Allocated,
    pub stats: ShardStats,
    /// From core to core, where there is more than one.
    pub messages: Option<u64>,
}

/// What the measured part came to.
pub(crate) struct Measured {
    pub counts: BTreeMap<String, u64>,
    pub user_bytes: u64,
    pub cpu_ns: u64,
    pub wall_ns: u64,
}

impl Measured {
    pub fn between(before: &Moment, after: &Moment, began: Times, ended: Times) -> Measured {
        Measured {
            counts: difference(before, after),
            user_bytes: 0,
            cpu_ns: ended.cpu_ns - began.cpu_ns,
            wall_ns: ended.wall_ns - began.wall_ns,
        }
    }

    /// Of keys and values that it wrote.
    pub fn writing(self, user_bytes: u64) -> Measured {
        Measured { user_bytes, ..self }
    }
}

fn difference(before: &Moment, after: &Moment) -> BTreeMap<String, u64> {
    let (disk, was) = (&after.disk, &before.disk);
    let (stats, stats_were) = (&after.stats, &before.stats);
    let mut counts = BTreeMap::new();
    let mut count = |name: &str, after: u64, before: u64| {
        counts.insert(name.to_owned(), after - before);
    };
    count("device_reads", disk.reads, was.reads);
    count("device_read_bytes", disk.read_bytes, was.read_bytes);
    count("device_writes", disk.writes, was.writes);
    count("device_write_bytes", disk.write_bytes, was.write_bytes);
    count("durable_writes", disk.durable_writes, was.durable_writes);
    count("syncs", disk.syncs, was.syncs);
    count("directory_syncs", disk.directory_syncs, was.directory_syncs);
    count("log_frames", stats.log_frames, stats_were.log_frames);
    count("commit_groups", stats.groups, stats_were.groups);
    if let (Some(now), Some(then)) = (after.messages, before.messages) {
        count("messages", now, then);
    }
    if allocation::is_counting() {
        let (now, then) = (after.allocated, before.allocated);
        count("allocations", now.calls, then.calls);
        count("allocated_bytes", now.bytes, then.bytes);
    }
    counts
}

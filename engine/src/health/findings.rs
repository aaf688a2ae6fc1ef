//! What is wrong with a database, and what to do about it.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Condition, Finding, Forecast, People, free_bytes, on_disk};
use crate::Stats;
use crate::latency::Short;

/// Whoever has less time than this has a finding.
const FULL_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// A call for one key takes this long only where something is wrong with the machine, or it is asked for more than it can.
const SLOW: Duration = Duration::from_millis(100);

/// Fewer calls say nothing about one in a hundred.
const SLOW_CALLS: u64 = 100;

/// A merge may need as much room as this part of the data before it gives room back.
const ROOM_TO_MERGE: u64 = 10;

/// The worst first.
pub(super) fn of(stats: &Stats, forecast: &Forecast) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut find = |condition, shard, what, advice| {
        all.push(Finding {
            condition,
            shard,
            what,
            advice,
        });
    };
    if let Some(error) = &stats.stopped {
        find(
            Condition::Unhealthy,
            None,
            error.to_string(),
            "close the database and open it again; the reason above is a fault to report",
        );
    }
    for (shard, reason) in stats.hosts.iter().flat_map(|host| &host.failures) {
        find(
            Condition::Unhealthy,
            Some(*shard),
            format!("writes are stopped: {reason}"),
            "look at the device and the kernel's log, then close the database and open it again",
        );
    }
    let free = free_bytes(stats);
    for (shard, now) in &stats.shards {
        if now.shards_full > 0 {
            find(
                Condition::Unhealthy,
                Some(*shard),
                format!(
                    "the disk is full ({} bytes free): writes are refused",
                    free.unwrap_or(0)
                ),
                "free some space; writes go on by themselves",
            );
        }
        if now.shards_slowed > 0 {
            find(
                Condition::Degraded,
                Some(*shard),
                format!(
                    "writers are slowed: merges are {} bytes behind",
                    now.compaction_debt_bytes
                ),
                "write less, or give the database more cores or a faster device",
            );
        }
    }
    for latency in &stats.latencies {
        let times = &latency.last_10s;
        if latency.shard.is_some()
            && latency.operation.is_quick()
            && times.calls >= SLOW_CALLS
            && times.p99 >= SLOW
        {
            find(
                Condition::Degraded,
                latency.shard,
                format!(
                    "one {} in a hundred takes {} or longer",
                    latency.operation,
                    Short(times.p99)
                ),
                "look at the device, and at what else runs on the shard's core",
            );
        }
    }
    if let Some(free) = free
        && free < on_disk(stats) / ROOM_TO_MERGE
        && stats.total.shards_full == 0
    {
        find(
            Condition::Degraded,
            None,
            format!("{free} bytes are free, beside {} in tables", on_disk(stats)),
            "free some space: a merge needs room before it gives room back",
        );
    }
    if let Some(time) = forecast.until_full.filter(|time| *time < FULL_SOON) {
        find(
            Condition::Degraded,
            None,
            format!("the disk will be full in {}", People(time)),
            "free some space, or move the database to a larger disk",
        );
    }
    all.sort_by_key(|finding| Reverse(finding.condition));
    all
}

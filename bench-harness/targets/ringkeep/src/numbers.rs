//! The engine's counters under the harness's names.

use ringkeep::{Database, HostReport, Stats};
use ringkeep_bench::target::{Counters, Failure, counter};

/// What the database does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Background {
    /// Bytes that have come from the device.
    pub read_bytes: u64,
    /// Bytes that have gone to it.
    pub written_bytes: u64,
    /// Bytes that merges have still to read.
    pub debt_bytes: u64,
}

/// As of now.
pub(crate) fn background(database: &Database) -> Result<Background, Failure> {
    let stats = database.stats().map_err(Failure::new)?;
    Ok(Background {
        read_bytes: device(&stats, |host| host.io.read_bytes),
        written_bytes: device(&stats, |host| host.io.write_bytes),
        debt_bytes: stats.total.compaction_debt_bytes,
    })
}

/// Everything the engine counts; nothing if it cannot say, which shows as missing rows.
pub(crate) fn counters(database: &Database) -> Counters {
    let Ok(stats) = database.stats() else {
        return Counters::default();
    };
    let total = &stats.total;
    let totals = [
        (counter::DEVICE_READS, device(&stats, |host| host.io.reads)),
        (
            counter::DEVICE_READ_BYTES,
            device(&stats, |host| host.io.read_bytes),
        ),
        (
            counter::DEVICE_WRITES,
            device(&stats, |host| host.io.writes),
        ),
        (
            counter::DEVICE_WRITE_BYTES,
            device(&stats, |host| host.io.write_bytes),
        ),
        (counter::SYNCS, device(&stats, |host| host.io.syncs)),
        // A get whose row is in memory needs no block.
        (counter::CACHE_HITS, total.row_hits + total.cache_hits),
        (counter::CACHE_MISSES, total.cache_misses),
        (counter::USER_WRITE_BYTES, total.user_bytes),
        ("system_calls", device(&stats, |host| host.io.enters)),
        ("row_hits", total.row_hits),
        ("gets", total.gets),
        ("gets_waited", total.gets_waited),
        ("scan_pages", total.scan_pages),
        ("commit_groups", total.groups),
        ("log_bytes", total.log_bytes),
        ("flushes", total.flushes),
        ("flush_bytes", total.flush_bytes),
        ("compactions", total.compactions),
        ("compaction_bytes", total.compaction_bytes),
        ("compaction_read_bytes", total.compaction_read_bytes),
        ("blob_written_bytes", total.blob_written_bytes),
        ("filter_negatives", total.filter_negatives),
        ("host_turns", device(&stats, |host| host.turns)),
        ("host_parks", device(&stats, |host| host.parks)),
    ];
    let levels = [
        (counter::DEBT_BYTES, total.compaction_debt_bytes),
        ("runs", total.runs),
        ("tables", total.tables),
        ("table_bytes", total.table_bytes),
        ("blob_bytes", total.blob_bytes),
        ("log_segments", total.log_segments),
        ("memtable_bytes", total.memtable_bytes),
        ("cache_bytes", total.cache_bytes),
        ("resident_bytes", total.resident_bytes),
    ];
    let named = |list: &[(&str, u64)]| {
        list.iter()
            .map(|&(name, n)| (name.to_string(), n))
            .collect()
    };
    Counters {
        totals: named(&totals),
        levels: named(&levels),
    }
}

fn device(stats: &Stats, of: impl Fn(&HostReport) -> u64) -> u64 {
    stats.hosts.iter().map(of).sum()
}

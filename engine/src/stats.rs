//! What a database has done since it was opened, gathered from its shards and hosts.

use std::fmt;

use ringkeep_shard::{ShardId, ShardStats, Version};

use crate::Error;
use crate::hits::{HitRates, Percent};
pub use crate::host::HostReport;
use crate::latency::{Latency, Operation, Percentiles, Short};

/// Counters of a whole database. `Display` shows them as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All shards together.
    pub total: ShardStats,
    /// Each shard.
    pub shards: Vec<(ShardId, ShardStats)>,
    /// Each host thread and its door to the kernel.
    pub hosts: Vec<HostReport>,
    /// How long calls took lately, by shard and kind of call: first all shards together. Only what was asked for lately
    /// is here. What is timed, and from when to when, is said at [`Operation`].
    pub latencies: Vec<Latency>,
    /// How much of what was read lately was found in memory: first of all shards together, then of each.
    pub hit_rates: Vec<HitRates>,
    /// The newest version handed out.
    pub version: Version,
    /// Versions that scans and the like hold readable.
    pub pins: usize,
    /// A host that has ended by a fault, whose shards are missing above.
    pub stopped: Option<Error>,
}

impl Stats {
    pub(crate) fn add(&mut self, shard: ShardId, counters: ShardStats) {
        for row in ROWS {
            *(row.cell)(&mut self.total) += *(row.cell)(&mut counters.clone());
        }
        self.shards.push((shard, counters));
    }

    /// How long calls of one kind took lately: of one shard, or of all together. Nothing if there were none.
    pub fn latency(&self, shard: Option<ShardId>, operation: Operation) -> Option<&Latency> {
        let mut all = self.latencies.iter();
        all.find(|latency| latency.shard == shard && latency.operation == operation)
    }
}

/// One counter: its name and where it is.
struct Row {
    name: &'static str,
    cell: fn(&mut ShardStats) -> &mut u64,
}

macro_rules! rows {
    ($($name:ident)*) => {
        const ROWS: &[Row] = &[$(Row { name: stringify!($name), cell: |stats| &mut stats.$name }),*];
    };
}

rows! {
    gets gets_found gets_waited scan_pages expired_read expired_dropped
    writes ops range_deletes range_deletes_kept user_bytes commits_coordinated conflicts
    groups early_groups tails_lost log_frames log_bytes log_durable_writes log_syncs log_closing_frames log_segments log_emptied
    memtable_bytes flushes flush_bytes
    compactions compactions_for_scans compaction_pieces compaction_bytes compaction_last_level_bytes compaction_read_bytes
    tables_moved compaction_debt_bytes shards_slowed room_bytes
    runs tables table_bytes last_level_bytes table_entries tombstones
    blob_files blob_bytes blob_dead_bytes blob_written_bytes
    row_hits rows_lost rows_shown
    cache_bytes rows_bytes cache_hits cache_misses filter_negatives resident_bytes
    shards_full shards_failed verified_bytes recovered_frames
}

// A counter that is added to a shard is added above.
const _: () = assert!(size_of::<ShardStats>() == ROWS.len() * size_of::<u64>());

/// One part of a whole: its name and how to work it out.
struct Rate {
    name: &'static str,
    of: fn(&ShardStats) -> f64,
}

const RATES: &[Rate] = &[
    Rate {
        name: "row_hit_rate",
        of: ShardStats::row_hit_rate,
    },
    Rate {
        name: "cache_hit_rate",
        of: ShardStats::cache_hit_rate,
    },
];

/// More shards than this would make the table wider than a screen; their sums are shown alone.
const COLUMNS_MAX: usize = 8;

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = match self.shards.len() {
            1 => 0,
            shards if shards > COLUMNS_MAX => 0,
            shards => shards,
        };
        write!(f, "{:<22}{:>16}", "", "total")?;
        for (shard, _) in &self.shards[..columns] {
            write!(f, "{:>16}", format!("shard {shard}"))?;
        }
        for row in ROWS {
            let value = |stats: &ShardStats| *(row.cell)(&mut stats.clone());
            write!(f, "\n{:<22}{:>16}", row.name, value(&self.total))?;
            for (_, stats) in &self.shards[..columns] {
                write!(f, "{:>16}", value(stats))?;
            }
        }
        for rate in RATES {
            let value = |stats: &ShardStats| Percent((rate.of)(stats));
            write!(f, "\n{:<22}{:>16}", rate.name, value(&self.total))?;
            for (_, stats) in &self.shards[..columns] {
                write!(f, "{:>16}", value(stats))?;
            }
        }
        write!(
            f,
            "\n{:<22}{:>16}\n{:<22}{:>16}",
            "version", self.version.0, "pins", self.pins
        )?;
        for (index, host) in self.hosts.iter().enumerate() {
            let io = &host.io;
            write!(
                f,
                "\n\nhost {index}: {} shards, {} calls ({} served by their callers), {} letters, {} turns, {} sleeps\n\
                 reads {} ({} bytes), writes {} ({} bytes), syncs {}, system calls {}\n{}",
                host.shards.len(),
                host.calls,
                host.visits,
                host.letters,
                host.turns,
                host.parks,
                io.reads,
                io.read_bytes,
                io.writes,
                io.write_bytes,
                io.syncs,
                io.enters,
                host.door.trim_end(),
            )?;
        }
        self.show_hit_rates(f, columns)?;
        self.show_latencies(f, columns)?;
        match &self.stopped {
            Some(error) => write!(f, "\n\n{error}"),
            None => Ok(()),
        }
    }
}

impl Stats {
    fn show_hit_rates(&self, f: &mut fmt::Formatter<'_>, shards: usize) -> fmt::Result {
        let read = |rates: &&HitRates| rates.last_60s.gets + rates.last_60s.blocks > 0;
        let mut shown = self.hit_rates.iter().filter(read).peekable();
        if shown.peek().is_none() {
            return Ok(());
        }
        write!(f, "\n\n{:<24}", "found in memory")?;
        for name in ["gets, 10 s", "by rows", "blocks", "by cache"] {
            write!(f, "{name:>12}")?;
        }
        for name in ["gets, 60 s", "by rows", "blocks", "by cache"] {
            write!(f, "{name:>12}")?;
        }
        for rates in shown {
            let name = match rates.shard {
                None => "all shards".to_owned(),
                Some(_) if shards == 0 => continue,
                Some(shard) => format!("shard {shard}"),
            };
            write!(f, "\n{name:<24}")?;
            for hits in [rates.last_10s, rates.last_60s] {
                let (rows, cache) = (hits.row_hit_rate(), hits.cache_hit_rate());
                write!(f, "{:>12}{:>12}", hits.gets, Percent(rows))?;
                write!(f, "{:>12}{:>12}", hits.blocks, Percent(cache))?;
            }
        }
        Ok(())
    }

    fn show_latencies(&self, f: &mut fmt::Formatter<'_>, shards: usize) -> fmt::Result {
        if self.latencies.is_empty() {
            return Ok(());
        }
        write!(f, "\n\n{:<24}{:>10}", "the last 10 s", "calls")?;
        for name in ["p50", "p90", "p99", "p99.9", "max"] {
            write!(f, "{name:>10}")?;
        }
        for latency in &self.latencies {
            let Percentiles {
                calls,
                p50,
                p90,
                p99,
                p999,
                max,
            } = latency.last_10s;
            let whose = match latency.shard {
                None => String::new(),
                Some(_) if shards == 0 => continue,
                Some(shard) => format!(", shard {shard}"),
            };
            if calls == 0 {
                continue;
            }
            let name = format!("{}{whose}", latency.operation);
            write!(f, "\n{name:<24}{calls:>10}")?;
            for time in [p50, p90, p99, p999, max] {
                write!(f, "{:>10}", Short(time))?;
            }
        }
        Ok(())
    }
}

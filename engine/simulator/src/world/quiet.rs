//! A database with nothing to do: it is still, and holds no more than it needs.

use ringkeep::Database;
use ringkeep::simulation::ByHand;

use super::{Open, World};
use crate::failure::{Check, Failure, Verdict, failed};

impl World<'_> {
    /// Waits until nothing is under way; false when the power went, or the disk is full or faulty.
    pub(super) fn idle(&mut self, open: &Open) -> Verdict<bool> {
        if !self.wait(open)? {
            return Ok(false);
        }
        // Another try on a full disk, and the shards that failed, are never still.
        if self.causes.full || self.causes.writes || self.causes.reads {
            return Ok(false);
        }
        let since = self.disk.now();
        // A merge may be under way that has to go over every table, at some ten operations each, one after the other.
        let files = self.disk.files();
        let tables = files.iter().filter(|(path, _)| path.contains("/table-"));
        let operations = 1000 + 16 * tables.count() as u64;
        let limit =
            since + operations * (self.plan.setting.idle_close_after + self.plan.setting.slowest());
        loop {
            if open.is_cut(&self.disk) {
                return Ok(false);
            }
            let more = open.hosts.turn();
            if !more && open.hosts.is_idle() {
                break;
            }
            if !more {
                open.hosts.park();
            }
            if self.disk.now() > limit {
                return failed(Check::Progress, "a database without calls is never still");
            }
        }
        if open.is_cut(&self.disk) {
            return Ok(false);
        }
        self.check_memory(open)?;
        Ok(!open.is_cut(&self.disk))
    }

    fn check_memory(&mut self, open: &Open) -> Verdict {
        let stats = self.drive(&open.hosts, open.db.stats_async())?;
        if open.is_cut(&self.disk) {
            return Ok(());
        }
        let stats = stats.map_err(|error| Failure {
            check: Check::Errors,
            story: format!("stats of a quiet database: {error}"),
        })?;
        let scans = self.clients.scans();
        if stats.pins != scans {
            return failed(
                Check::Leaks,
                format!("{} pins are held for {scans} scans", stats.pins),
            );
        }
        let setting = &self.plan.setting;
        // A group may overshoot either generation, and a small arena takes a block at a time.
        let memtables = 2 * (setting.memtable_bytes + setting.group_bytes) + (512 << 10);
        for (shard, stats) in &stats.shards {
            // What is less than half alive is collected where that gives back more than it takes of tables.
            let dead = stats.blob_bytes / 2 + stats.table_bytes;
            if stats.blob_dead_bytes > dead && stats.shards_failed == 0 {
                return failed(
                    Check::Leaks,
                    format!(
                        "shard {shard}: of {} bytes in blob files {} are dead, and {dead} may be",
                        stats.blob_bytes, stats.blob_dead_bytes
                    ),
                );
            }
            // Blocks may have what a second memtable does not take.
            let one = setting.memtable_bytes as u64;
            let lent = (2 * one).saturating_sub(stats.memtable_bytes).min(one);
            let lent = if setting.cache_bytes > 0 { lent } else { 0 };
            let cache = setting.cache_bytes as u64 + lent + (64 << 10);
            if stats.memtable_bytes > memtables as u64 || stats.cache_bytes > cache {
                return failed(
                    Check::Memory,
                    format!(
                        "shard {shard}: memtables take {} bytes of {memtables}, the cache {} of {cache}",
                        stats.memtable_bytes, stats.cache_bytes
                    ),
                );
            }
        }
        Ok(())
    }

    /// After opening, the files are those that the database knows.
    pub(super) fn check_files(
        &mut self,
        db: &Database,
        hosts: &ByHand,
        files: &[(String, u64)],
    ) -> Verdict {
        let stats = self
            .drive(hosts, db.stats_async())?
            .map_err(|error| Failure {
                check: Check::Errors,
                story: format!("stats after opening: {error}"),
            })?;
        let count = |start: &str| {
            let name = |path: &str| {
                path.rsplit('/')
                    .next()
                    .is_some_and(|name| name.starts_with(start))
            };
            files.iter().filter(|(path, _)| name(path)).count() as u64
        };
        let (tables, logs, blobs) = (count("table-"), count("log-"), count("blob-"));
        // What is known was counted a little later.
        let known = &stats.total;
        let changed = known.flushes + known.compaction_pieces + known.log_emptied > 0;
        let same = tables == known.tables && blobs == known.blob_files;
        if !changed && (!same || logs > known.log_segments) {
            return failed(
                Check::Leaks,
                format!(
                    "there are {tables} table files, {blobs} blob files and {logs} log files, known are {}, {} and {}",
                    known.tables, known.blob_files, known.log_segments
                ),
            );
        }
        Ok(())
    }
}

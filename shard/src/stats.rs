//! Counters of one shard.

/// More than any shard is ever written to before it merges.
pub const ROOM_UNLIMITED: u64 = 1 << 40;

/// What a shard has done since it was opened. Plain sums: add shards together for the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Point reads answered.
    pub gets: u64,
    /// Of these, found.
    pub gets_found: u64,
    /// Values that reads met which had ended.
    pub expired_read: u64,
    /// Values that flushes and merges dropped because they had ended.
    pub expired_dropped: u64,
    /// Point reads that had to wait for the device.
    pub gets_waited: u64,
    /// Scan pages answered.
    pub scan_pages: u64,
    /// Write calls acknowledged.
    pub writes: u64,
    /// Single changes in them.
    pub ops: u64,
    /// Bytes of keys and values in them.
    pub user_bytes: u64,
    /// Range deletes in them.
    pub range_deletes: u64,
    /// Range deletes that still hide something.
    pub range_deletes_kept: u64,
    /// Commit groups written.
    pub groups: u64,
    /// Of these, answered before the log had them.
    pub early_groups: u64,
    /// Shards whose log's tail could not be made, opened or written: all writes wait for the log.
    pub tails_lost: u64,
    /// Log frames written (a large group takes several).
    pub log_frames: u64,
    /// Bytes of log frames.
    pub log_bytes: u64,
    /// Log writes that carried their own durability.
    pub log_durable_writes: u64,
    /// Separate log syncs.
    pub log_syncs: u64,
    /// Closing frames written when idle.
    pub log_closing_frames: u64,
    /// Log segments on disk.
    pub log_segments: u64,
    /// Times that a log with nothing in it gave its segments back, but for one.
    pub log_emptied: u64,
    /// Memtables written out.
    pub flushes: u64,
    /// Bytes of tables written by flushes.
    pub flush_bytes: u64,
    /// Merges finished.
    pub compactions: u64,
    /// Merges begun because scans have paid for it.
    pub compactions_for_scans: u64,
    /// Pieces of merges, each of about one table.
    pub compaction_pieces: u64,
    /// Bytes of tables written by merges.
    pub compaction_bytes: u64,
    /// Of these, written into the last level.
    pub compaction_last_level_bytes: u64,
    /// Bytes of tables read by merges.
    pub compaction_read_bytes: u64,
    /// Tables that merges moved down without writing them again.
    pub tables_moved: u64,
    /// Bytes that merges which are due or have begun still have to read.
    pub compaction_debt_bytes: u64,
    /// Shards that slow their writers down, because merges are behind.
    pub shards_slowed: u64,
    /// Bytes that callers may write before that, if merges do nothing; [`ROOM_UNLIMITED`] for each shard where none is due.
    pub room_bytes: u64,
    /// Sorted runs.
    pub runs: u64,
    /// Table files.
    pub tables: u64,
    /// Their bytes.
    pub table_bytes: u64,
    /// Of these, in the oldest run, which holds most of the data.
    pub last_level_bytes: u64,
    /// Deletions in tables, until the last level is merged with them.
    pub tombstones: u64,
    /// Versions of records in tables.
    pub table_entries: u64,
    /// Blob files, which have large values.
    pub blob_files: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Of these, what nobody needs any more.
    pub blob_dead_bytes: u64,
    /// Bytes of blob files written, by flushes and by merges that collect.
    pub blob_written_bytes: u64,
    /// Memory of memtables.
    pub memtable_bytes: u64,
    /// Memory of cached blocks.
    pub cache_bytes: u64,
    /// Memory of hot rows, and of what leads to them.
    pub rows_bytes: u64,
    /// Point reads answered on the caller's thread; counted among the reads and those found, too.
    pub row_hits: u64,
    /// Rows that were overwritten while a reader copied them: the shard was asked instead.
    pub rows_lost: u64,
    /// Rows shown to readers.
    pub rows_shown: u64,
    /// Blocks found in the cache.
    pub cache_hits: u64,
    /// Blocks read from the device.
    pub cache_misses: u64,
    /// Probes of filters that said no.
    pub filter_negatives: u64,
    /// Memory of filters and top indexes, always resident.
    pub resident_bytes: u64,
    /// Cross-shard commits coordinated here.
    pub commits_coordinated: u64,
    /// Transactions coordinated here that another commit got ahead of.
    pub conflicts: u64,
    /// Shards whose disk is full at the moment.
    pub shards_full: u64,
    /// Shards whose writes are stopped after a failure.
    pub shards_failed: u64,
    /// Bytes that verifications have compared with their checksums.
    pub verified_bytes: u64,
    /// Frames replayed when the shard was opened.
    pub recovered_frames: u64,
}

/// What reads have looked for so far, and what they found in memory.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Lookups {
    /// Point reads, those that rows answered among them.
    pub gets: u64,
    /// Those that their callers answered themselves from rows.
    pub row_hits: u64,
    /// Blocks of tables.
    pub blocks: u64,
    /// Those that were in the page cache.
    pub cache_hits: u64,
}

impl ShardStats {
    /// Bytes written to the device, log included, for each byte that callers wrote; not a number before
    /// the first write.
    pub fn write_amplification(&self) -> f64 {
        let tables = self.flush_bytes + self.compaction_bytes;
        let written = self.log_bytes + tables + self.blob_written_bytes;
        written as f64 / self.user_bytes as f64
    }

    /// Bytes of tables for each byte in the last level; not a number before the first flush.
    pub fn space_amplification(&self) -> f64 {
        self.table_bytes as f64 / self.last_level_bytes as f64
    }

    /// The part of point reads that their callers answered themselves from rows; not a number before the first.
    pub fn row_hit_rate(&self) -> f64 {
        self.row_hits as f64 / self.gets as f64
    }

    /// The part of blocks that were found in the cache; not a number before the first was looked for.
    pub fn cache_hit_rate(&self) -> f64 {
        self.cache_hits as f64 / (self.cache_hits + self.cache_misses) as f64
    }
}

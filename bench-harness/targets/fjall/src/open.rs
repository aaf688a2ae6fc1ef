//! From a run's settings to fjall's.

use fjall::config::{
    BlockSizePolicy, CompressionPolicy, HashRatioPolicy, PartitioningPolicy, PinningPolicy,
};
use fjall::{CompressionType, Database, KeyspaceCreateOptions};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, Settings};

use crate::FjallTarget;

const BLOCK: u32 = 4 * 1024;
/// Read-mostly data gains from a hash index inside blocks; 0.75 is what RocksDB recommends for its like.
const HASH_RATIO: f32 = 0.75;

pub(crate) fn open(wanted: &OpenOptions) -> Result<FjallTarget, Failure> {
    let (memtable, cache) = wanted.buffer_and_cache_bytes();
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let database = Database::builder(&wanted.dir)
        .cache_size(cache)
        .worker_threads(workers)
        .open()
        .map_err(Failure::new)?;
    let keyspace_options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(memtable)
            .data_block_size_policy(BlockSizePolicy::all(BLOCK))
            .data_block_hash_ratio_policy(HashRatioPolicy::all(HASH_RATIO))
            .index_block_partitioning_policy(PartitioningPolicy::all(false))
            .filter_block_partitioning_policy(PartitioningPolicy::all(false))
            .index_block_pinning_policy(PinningPolicy::all(true))
            .filter_block_pinning_policy(PinningPolicy::all(true))
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            .index_block_compression_policy(CompressionPolicy::all(CompressionType::None))
    };
    let keyspace = database
        .keyspace("kv", keyspace_options)
        .map_err(Failure::new)?;
    let settings = Settings::of("fjall", wanted)?
        .show("version", "3.1")
        .show_mib("cache", cache)
        .show_mib("memtable", memtable)
        .show("workers", workers)
        .show("blocks", "4 KiB, hash ratio 0.75")
        .show("index and filters", "pinned")
        .show("compression", "none")
        .show(
            "durable write",
            "commit group, batch persisted with SyncData",
        )
        .keep_page_cache_out(wanted);
    Ok(FjallTarget {
        database,
        keyspace,
        group: CommitGroup::new(),
        settings,
    })
}

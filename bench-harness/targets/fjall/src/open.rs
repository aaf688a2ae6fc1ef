//! From a run's settings to fjall's.

use fjall::config::{
    BlockSizePolicy, CompressionPolicy, HashRatioPolicy, PartitioningPolicy, PinningPolicy,
};
use fjall::{CompressionType, Database, KeyspaceCreateOptions};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, PageCacheOff};

use crate::FjallTarget;

const MEMTABLE_MAX: u64 = 64 << 20;
const MEMTABLE_MIN: u64 = 4 << 20;
const CACHE_MIN: u64 = 4 << 20;
const BLOCK: u32 = 4 * 1024;
/// Read-mostly data gains from a hash index inside blocks; 0.75 is what RocksDB recommends for its like.
const HASH_RATIO: f32 = 0.75;

pub(crate) fn open(wanted: &OpenOptions) -> Result<FjallTarget, Failure> {
    if let Some(name) = wanted.extra.keys().next() {
        return Err(Failure(format!(
            "fjall has no target setting `{name}`; leave --target-set out"
        )));
    }
    // The budget is for cache and memtables together; two of those may be alive, one filling and one in flush.
    let budget = wanted.memory_bytes.unwrap_or(1 << 30);
    let memtable = (budget / 8).clamp(MEMTABLE_MIN, MEMTABLE_MAX);
    let cache = budget.saturating_sub(2 * memtable).max(CACHE_MIN);
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let database = Database::builder(&wanted.dir)
        .cache_size(cache)
        .worker_threads(workers)
        .open()
        .map_err(Failure::new)?;
    let settings = || {
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
    let keyspace = database.keyspace("kv", settings).map_err(Failure::new)?;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let options = [
        ("version", "3.1".to_string()),
        ("cache", mib(cache)),
        ("memtable", mib(memtable)),
        ("workers", workers.to_string()),
        ("blocks", "4 KiB, hash ratio 0.75".to_string()),
        ("index and filters", "pinned".to_string()),
        ("compression", "none".to_string()),
        ("durability", wanted.durability.to_string()),
        (
            "durable write",
            "commit group, batch persisted with SyncData".to_string(),
        ),
        (
            "page cache",
            match wanted.data_exceeds_memory {
                true => "dropped every 20 ms".to_string(),
                false => "in use".to_string(),
            },
        ),
    ];
    Ok(FjallTarget {
        database,
        keyspace,
        group: CommitGroup::new(),
        options: options
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
        _page_cache: wanted
            .data_exceeds_memory
            .then(|| PageCacheOff::below(&wanted.dir)),
    })
}

//! From a run's settings to RocksDB's.

use ringkeep_bench::target::{Failure, OpenOptions};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, Options};

use crate::RocksTarget;

const WRITE_BUFFER_MAX: u64 = 64 << 20;
const WRITE_BUFFER_MIN: u64 = 4 << 20;
const WRITE_BUFFERS: i32 = 4;
const CACHE_MIN: u64 = 8 << 20;
const BLOCK: usize = 4 * 1024;

pub(crate) fn open(wanted: &OpenOptions) -> Result<RocksTarget, Failure> {
    if let Some(name) = wanted.extra.keys().next() {
        return Err(Failure(format!(
            "rocksdb has no target setting `{name}`; leave --target-set out"
        )));
    }
    // The budget is for block cache and write buffers together; as a rule two buffers are alive.
    let budget = wanted.memory_bytes.unwrap_or(1 << 30);
    let buffer = (budget / 8).clamp(WRITE_BUFFER_MIN, WRITE_BUFFER_MAX);
    let cache = budget.saturating_sub(2 * buffer).max(CACHE_MIN);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = cores.clamp(2, 8) as i32;

    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK);
    table.set_format_version(6);
    table.set_bloom_filter(10.0, false);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_data_block_hash_ratio(0.75);
    // The charge of an entry is found out by the cache itself.
    table.set_block_cache(&Cache::new_hyper_clock_cache(cache as usize, 0));
    if wanted.data_exceeds_memory {
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    }

    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(buffer as usize);
    options.set_max_write_buffer_number(WRITE_BUFFERS);
    options.set_max_bytes_for_level_base(4 * buffer);
    options.set_target_file_size_base(buffer);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_background_jobs(jobs);
    options.set_max_subcompactions(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_recycle_log_file_num(4);
    options.set_max_open_files(-1);
    options.set_use_fsync(false);
    options.set_use_direct_reads(wanted.data_exceeds_memory);
    options.set_use_direct_io_for_flush_and_compaction(wanted.data_exceeds_memory);
    let database = DB::open(&options, &wanted.dir).map_err(Failure::new)?;

    let shown = [
        ("version", "11.8".to_string()),
        ("cache", format!("{} MiB, HyperClockCache", cache >> 20)),
        (
            "write buffers",
            format!("{} MiB x {WRITE_BUFFERS}", buffer >> 20),
        ),
        ("blocks", "4 KiB, hash ratio 0.75".to_string()),
        ("filter", "bloom, 10 bits".to_string()),
        (
            "index and filters",
            match wanted.data_exceeds_memory {
                true => "in the cache, level 0 pinned".to_string(),
                false => "beside the cache".to_string(),
            },
        ),
        ("compression", "none".to_string()),
        ("background jobs", jobs.to_string()),
        ("durability", wanted.durability.to_string()),
        ("durable write", "WriteOptions.sync, fdatasync".to_string()),
        (
            "page cache",
            match wanted.data_exceeds_memory {
                true => "off: direct reads, flushes and compactions".to_string(),
                false => "in use".to_string(),
            },
        ),
    ];
    Ok(RocksTarget {
        database,
        options: shown
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
    })
}

//! From a run's settings to RocksDB's.

use ringkeep_bench::target::{Failure, OpenOptions, Settings};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, Options};

use crate::RocksTarget;

const WRITE_BUFFERS: i32 = 4;
const BLOCK: usize = 4 * 1024;

pub(crate) fn open(wanted: &OpenOptions) -> Result<RocksTarget, Failure> {
    let (buffer, cache) = wanted.buffer_and_cache_bytes();
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

    let settings = Settings::of("rocksdb", wanted)?
        .show("version", "11.8")
        .show("cache", format!("{} MiB, HyperClockCache", cache >> 20))
        .show(
            "write buffers",
            format!("{} MiB x {WRITE_BUFFERS}", buffer >> 20),
        )
        .show("blocks", "4 KiB, hash ratio 0.75")
        .show("filter", "bloom, 10 bits")
        .show("compression", "none")
        .show("background jobs", jobs)
        .show("durable write", "WriteOptions.sync, fdatasync");
    let settings = match wanted.data_exceeds_memory {
        true => settings
            .show("index and filters", "in the cache, level 0 pinned")
            .show("page cache", "off: direct reads, flushes and compactions"),
        false => settings
            .show("index and filters", "beside the cache")
            .show("page cache", "in use"),
    };
    Ok(RocksTarget { database, settings })
}

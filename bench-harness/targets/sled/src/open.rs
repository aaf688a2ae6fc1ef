//! From a run's settings to sled's.

use std::fs::OpenOptions as FileOptions;

use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, PageCacheOff};
use sled::Mode;

use crate::SledTarget;

const CACHE_MIN: u64 = 4 << 20;
/// The log's name inside sled's folder.
const LOG: &str = "db";

pub(crate) fn open(wanted: &OpenOptions) -> Result<SledTarget, Failure> {
    if let Some(name) = wanted.extra.keys().next() {
        return Err(Failure(format!(
            "sled has no target setting `{name}`; leave --target-set out"
        )));
    }
    let cache = wanted.memory_bytes.unwrap_or(1 << 30).max(CACHE_MIN);
    let database = sled::Config::new()
        .path(&wanted.dir)
        .cache_capacity(cache)
        .mode(Mode::HighThroughput)
        .open()
        .map_err(Failure::new)?;
    let log = FileOptions::new()
        .write(true)
        .open(wanted.dir.join(LOG))
        .map_err(Failure::new)?;
    let options = [
        ("version", "0.34".to_string()),
        ("cache", format!("{} MiB", cache >> 20)),
        ("mode", "high throughput".to_string()),
        ("compression", "none".to_string()),
        ("flush", "every 500 ms besides".to_string()),
        ("durability", wanted.durability.to_string()),
        (
            "durable write",
            "commit group, flush and fdatasync".to_string(),
        ),
        (
            "page cache",
            match wanted.data_exceeds_memory {
                true => "dropped every 20 ms".to_string(),
                false => "in use".to_string(),
            },
        ),
    ];
    Ok(SledTarget {
        database,
        log,
        group: CommitGroup::new(),
        options: options
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
        _page_cache: wanted
            .data_exceeds_memory
            .then(|| PageCacheOff::below(&wanted.dir)),
    })
}

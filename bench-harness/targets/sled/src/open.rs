//! From a run's settings to sled's.

use std::fs::OpenOptions as FileOptions;

use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, Settings};
use sled::Mode;

use crate::SledTarget;

/// The log's name inside sled's folder.
const LOG: &str = "db";

pub(crate) fn open(wanted: &OpenOptions) -> Result<SledTarget, Failure> {
    let cache = wanted.cache_bytes();
    let settings = Settings::of("sled", wanted)?
        .show("version", "0.34")
        .show_mib("cache", cache)
        .show("mode", "high throughput")
        .show("compression", "none")
        .show("flush", "every 500 ms besides")
        .show("durable write", "commit group, flush and fdatasync")
        .keep_page_cache_out(wanted);
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
    Ok(SledTarget {
        database,
        log,
        group: CommitGroup::new(),
        settings,
    })
}

//! From a run's settings to redb's.

use std::sync::atomic::AtomicU64;

use redb::{Database, Durability};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, PageCacheOff};

use crate::{RedbTarget, TABLE};

const CACHE_MIN: u64 = 4 << 20;

pub(crate) fn open(wanted: &OpenOptions) -> Result<RedbTarget, Failure> {
    if let Some(name) = wanted.extra.keys().next() {
        return Err(Failure(format!(
            "redb has no target setting `{name}`; leave --target-set out"
        )));
    }
    let cache = wanted.memory_bytes.unwrap_or(1 << 30).max(CACHE_MIN);
    let database = Database::builder()
        .set_cache_size(cache as usize)
        .create(wanted.dir.join("data.redb"))
        .map_err(Failure::new)?;
    let mut txn = database.begin_write().map_err(Failure::new)?;
    txn.set_durability(Durability::Immediate)
        .map_err(Failure::new)?;
    txn.open_table(TABLE).map_err(Failure::new)?;
    txn.commit().map_err(Failure::new)?;
    let options = [
        ("version", "4.4".to_string()),
        ("cache", format!("{} MiB", cache >> 20)),
        ("durability", wanted.durability.to_string()),
        (
            "durable write",
            "commit group, 1-phase commit, Immediate".to_string(),
        ),
        (
            "page cache",
            match wanted.data_exceeds_memory {
                true => "dropped every 20 ms".to_string(),
                false => "in use".to_string(),
            },
        ),
    ];
    Ok(RedbTarget {
        database,
        group: CommitGroup::new(),
        commits: AtomicU64::new(0),
        options: options
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
        _page_cache: wanted
            .data_exceeds_memory
            .then(|| PageCacheOff::below(&wanted.dir)),
    })
}

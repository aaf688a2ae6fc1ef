//! From a run's settings to redb's.

use std::sync::atomic::AtomicU64;

use redb::{Database, Durability};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, Settings};

use crate::{RedbTarget, TABLE};

pub(crate) fn open(wanted: &OpenOptions) -> Result<RedbTarget, Failure> {
    let cache = wanted.cache_bytes();
    let settings = Settings::of("redb", wanted)?
        .show("version", "4.4")
        .show_mib("cache", cache)
        .show("durable write", "commit group, 1-phase commit, Immediate")
        .keep_page_cache_out(wanted);
    let database = Database::builder()
        .set_cache_size(cache as usize)
        .create(wanted.dir.join("data.redb"))
        .map_err(Failure::new)?;
    let mut txn = database.begin_write().map_err(Failure::new)?;
    txn.set_durability(Durability::Immediate)
        .map_err(Failure::new)?;
    txn.open_table(TABLE).map_err(Failure::new)?;
    txn.commit().map_err(Failure::new)?;
    Ok(RedbTarget {
        database,
        group: CommitGroup::new(),
        commits: AtomicU64::new(0),
        settings,
    })
}

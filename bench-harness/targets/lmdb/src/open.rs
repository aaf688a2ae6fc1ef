//! From a run's settings to LMDB's; the two calls of heed that are `unsafe`.

#![allow(
    unsafe_code,
    reason = "heed leaves it to its caller that nobody else changes the mapped file"
)]

use heed::{Env, EnvFlags, EnvOpenOptions, FlagSetMode};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions, Settings};

use crate::LmdbTarget;

/// Address space only: the file grows as it is written.
const MAP_BYTES: usize = 64 << 30;
/// A slot per thread that reads; more than any workload has threads.
const READERS_MAX: u32 = 16_384;

pub(crate) fn open(wanted: &OpenOptions) -> Result<LmdbTarget, Failure> {
    let version = heed::lmdb_version();
    let mut settings = Settings::of("lmdb", wanted)?
        .show(
            "version",
            format!("{}.{}.{}", version.major, version.minor, version.patch),
        )
        .show("map", format!("{} GiB", MAP_BYTES >> 30))
        .show("reader slots", READERS_MAX)
        .show("memory", "the kernel's page cache: cannot be limited")
        .show(
            "durable write",
            "commit group, default commit (never NOSYNC)",
        );
    // Pages that are written whole need not be cleared first. Read-ahead wastes the device on random reads of
    // data that does not fit.
    let mut flags = EnvFlags::NO_MEM_INIT;
    if wanted.data_exceeds_memory {
        flags |= EnvFlags::NO_READ_AHEAD;
        settings = settings.show("flags", "NOMEMINIT, NORDAHEAD");
    } else {
        settings = settings.show("flags", "NOMEMINIT");
    }
    let mut opening = EnvOpenOptions::new();
    opening.map_size(MAP_BYTES).max_readers(READERS_MAX);
    // SAFETY: NO_MEM_INIT and NO_READ_AHEAD change no promise of LMDB. The directory belongs to this run alone
    // (`OpenOptions::dir`), so no other process changes or truncates the mapped file.
    let env = unsafe { opening.flags(flags).open(&wanted.dir) }.map_err(Failure::new)?;
    let mut txn = env.write_txn().map_err(Failure::new)?;
    let database = env
        .database_options()
        .types()
        .create(&mut txn)
        .map_err(Failure::new)?;
    txn.commit().map_err(Failure::new)?;
    Ok(LmdbTarget {
        env,
        database,
        group: CommitGroup::new(),
        settings,
    })
}

/// Turns MDB_NOSYNC on or off for the commit that follows. Only the leader of the commit group calls this,
/// while it holds LMDB's one write transaction.
pub(crate) fn set_sync(env: &Env, sync: bool) -> Result<(), Failure> {
    let mode = match sync {
        true => FlagSetMode::Disable,
        false => FlagSetMode::Enable,
    };
    // SAFETY: MDB_NOSYNC is read by commits alone, and the caller holds the only write transaction, so no commit
    // looks at the flags while they change. The flag is off again for every commit that was promised durable.
    unsafe { env.set_flags(EnvFlags::NO_SYNC, mode) }.map_err(Failure::new)
}

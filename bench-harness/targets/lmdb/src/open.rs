//! From a run's settings to LMDB's; the two calls of heed that are `unsafe`.

#![allow(
    unsafe_code,
    reason = "heed leaves it to its caller that nobody else changes the mapped file"
)]

use heed::{Env, EnvFlags, EnvOpenOptions, FlagSetMode};
use ringkeep_bench::target::{CommitGroup, Failure, OpenOptions};

use crate::LmdbTarget;

/// Address space only: the file grows as it is written.
const MAP_BYTES: usize = 64 << 30;
/// A slot per thread that reads; more than any workload has threads.
const READERS_MAX: u32 = 16_384;

pub(crate) fn open(wanted: &OpenOptions) -> Result<LmdbTarget, Failure> {
    if let Some(name) = wanted.extra.keys().next() {
        return Err(Failure(format!(
            "lmdb has no target setting `{name}`; leave --target-set out"
        )));
    }
    // Pages that are written whole need not be cleared first. Read-ahead wastes the device on random reads of
    // data that does not fit.
    let mut flags = EnvFlags::NO_MEM_INIT;
    if wanted.data_exceeds_memory {
        flags |= EnvFlags::NO_READ_AHEAD;
    }
    let mut settings = EnvOpenOptions::new();
    settings.map_size(MAP_BYTES).max_readers(READERS_MAX);
    // SAFETY: NO_MEM_INIT and NO_READ_AHEAD change no promise of LMDB. The directory belongs to this run alone
    // (`OpenOptions::dir`), so no other process changes or truncates the mapped file.
    let env = unsafe { settings.flags(flags).open(&wanted.dir) }.map_err(Failure::new)?;
    let mut txn = env.write_txn().map_err(Failure::new)?;
    let database = env
        .database_options()
        .types()
        .create(&mut txn)
        .map_err(Failure::new)?;
    txn.commit().map_err(Failure::new)?;
    let version = heed::lmdb_version();
    let options = [
        (
            "version",
            format!("{}.{}.{}", version.major, version.minor, version.patch),
        ),
        ("map", format!("{} GiB", MAP_BYTES >> 30)),
        ("reader slots", READERS_MAX.to_string()),
        (
            "flags",
            match wanted.data_exceeds_memory {
                true => "NOMEMINIT, NORDAHEAD".to_string(),
                false => "NOMEMINIT".to_string(),
            },
        ),
        (
            "memory",
            "the kernel's page cache: cannot be limited".to_string(),
        ),
        ("durability", wanted.durability.to_string()),
        (
            "durable write",
            "commit group, default commit (never NOSYNC)".to_string(),
        ),
    ];
    Ok(LmdbTarget {
        env,
        database,
        group: CommitGroup::new(),
        options: options
            .map(|(name, value)| (name.to_string(), value))
            .to_vec(),
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

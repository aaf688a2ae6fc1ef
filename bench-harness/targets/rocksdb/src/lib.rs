//! RocksDB as a target: an LSM tree with its own group commit.
//!
//! The only peer that needs no commit group in front: concurrent durable writes share a sync by themselves.

mod calls;
mod open;

use std::time::Instant;

use ringkeep_bench::target::{Caller, Counters, Failure, Settings, Target, TargetKind};
use rocksdb::{DB, WaitForCompactOptions, properties};

/// The target, to be listed beside others.
pub const ROCKSDB: TargetKind = TargetKind {
    name: "rocksdb",
    about: "RocksDB, an LSM tree in C++, with its own group commit",
    persists: true,
    answers: true,
    open: |options| Ok(Box::new(open::open(options)?)),
};

struct RocksTarget {
    database: DB,
    settings: Settings,
}

impl Target for RocksTarget {
    fn options(&self) -> Vec<(String, String)> {
        self.settings.shown()
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(calls::Calls::new(&self.database)))
    }

    fn settle(&self) -> Result<Instant, Failure> {
        self.database.flush().map_err(Failure::new)?;
        self.database
            .wait_for_compact(&WaitForCompactOptions::default())
            .map_err(Failure::new)?;
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        let level = |name: &str, property: &properties::PropName| {
            let value = self.database.property_int_value(property).ok()??;
            Some((name.to_string(), value))
        };
        let levels = [
            level("table_bytes", properties::TOTAL_SST_FILES_SIZE),
            level("memtable_bytes", properties::CUR_SIZE_ALL_MEM_TABLES),
            level("cache_bytes", properties::BLOCK_CACHE_USAGE),
        ];
        Counters {
            levels: levels.into_iter().flatten().collect(),
            ..Counters::default()
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.database.flush_wal(true).map_err(Failure::new)?;
        self.database.cancel_all_background_work(true);
        Ok(())
    }
}

//! What scans read and ask for, counted on a simulated disk: little for few entries, everything once for all of them.

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Database, Options, Scan, ShardOptions};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::tiny;

const SHARDS: u16 = 2;
const RECORDS: u32 = 20_000;
const PAGE: u64 = 4096;

struct World {
    disk: SimulatedDisk,
    db: Database,
    hosts: ByHand,
}

/// What one piece of work took.
#[derive(Clone, Copy, Debug)]
struct Work {
    read_bytes: u64,
    scan_pages: u64,
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number:012}").into_bytes()
}

impl World {
    /// Records of 116 bytes in one table a shard, and nothing in the cache.
    fn new(cache_bytes: usize) -> World {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let options = Options {
            threads: Some(usize::from(SHARDS)),
            shard: Some(ShardOptions {
                cache_bytes,
                caches_bytes: cache_bytes + (256 << 10),
                rows_bytes: 0,
                ..ShardOptions::for_budget(16 << 20)
            }),
            ..tiny(SHARDS)
        };
        let (db, hosts) = simulation::open(&disk, "/db", &options, [7; 16]).expect("opens");
        for first in (0..RECORDS).step_by(100) {
            let mut batch = Batch::new();
            for number in first..first + 100 {
                batch.put(key(number), number.to_le_bytes().repeat(25));
            }
            hosts.run(db.write_async(batch)).expect("a write");
        }
        hosts.run(db.compact_async()).expect("merged");
        World { disk, db, hosts }
    }

    fn counted(&self, work: impl FnOnce()) -> Work {
        let count = || {
            let stats = self.hosts.run(self.db.stats_async()).expect("stats");
            (self.disk.counters().read_bytes, stats.total.scan_pages)
        };
        let before = count();
        work();
        let after = count();
        Work {
            read_bytes: after.0 - before.0,
            scan_pages: after.1 - before.1,
        }
    }

    fn seek(&self, from: u32, entries: u32) -> Work {
        self.counted(|| {
            self.take(self.db.scan(key(from)..), from, entries);
        })
    }

    fn seek_of(&self, from: u32, limit: u32) -> Work {
        self.counted(|| {
            let scan = self.db.scan(key(from)..).limit(limit as usize);
            let mut scan = self.take(scan, from, limit);
            assert!(self.hosts.run(scan.next_async()).is_none());
        })
    }

    fn take(&self, mut scan: Scan, from: u32, entries: u32) -> Scan {
        for number in from..from + entries {
            let entry = self.hosts.run(scan.next_async()).expect("an entry");
            assert_eq!(entry.expect("a read").0, key(number));
        }
        scan
    }

    fn scan_everything(&self) -> Work {
        self.counted(|| {
            let mut scan = self.db.scan(..);
            let mut entries = 0;
            while let Some(entry) = self.hosts.run(scan.next_async()) {
                entry.expect("a read");
                entries += 1;
            }
            assert_eq!(entries, RECORDS);
        })
    }

    fn table_bytes(&self) -> u64 {
        let stats = self.hosts.run(self.db.stats_async()).expect("stats");
        stats.total.table_bytes
    }
}

#[test]
fn a_hundred_entries_take_one_page_from_each_shard_and_few_blocks() {
    // Fifty entries are a block and a half; a page has up to seventy, and begins in the middle of a block. While the cache
    // has room, neighbours come along.
    for (cache_bytes, blocks) in [(128 << 10, 4), (16 << 20, 16)] {
        let world = World::new(cache_bytes);
        // The blocks that lead there.
        world.seek(RECORDS / 2, 1);
        let cold = world.seek(1000, 100);
        assert_eq!(cold.scan_pages, u64::from(SHARDS), "{cold:?}");
        assert!(
            cold.read_bytes <= u64::from(SHARDS) * blocks * PAGE,
            "{cold:?}"
        );
        let again = world.seek(1000, 100);
        assert_eq!((again.read_bytes, again.scan_pages), (0, u64::from(SHARDS)));
    }
    let world = World::new(16 << 20);
    // Pages grow: for ten times as many entries they do not take ten times as many messages.
    let more = world.seek(5000, 1000);
    assert!(more.scan_pages <= 5 * u64::from(SHARDS), "{more:?}");
}

#[test]
fn a_limited_scan_reads_and_asks_for_little_that_it_does_not_give() {
    // No room for neighbours.
    let world = World::new(128 << 10);
    world.seek_of(RECORDS / 2, 1);
    let one = world.seek_of(1000, 1);
    assert_eq!(one.scan_pages, u64::from(SHARDS), "{one:?}");
    assert!(one.read_bytes <= u64::from(SHARDS) * PAGE, "{one:?}");
    // So many that without a limit the next, larger pages would be read ahead.
    let world = World::new(16 << 20);
    let entries = RECORDS / 10;
    let (limited, open) = (world.seek_of(2000, entries), world.seek(12_000, entries));
    assert!(
        limited.read_bytes < open.read_bytes,
        "{limited:?}, {open:?} without a limit"
    );
}

#[test]
fn a_scan_of_everything_reads_everything_about_once_and_then_never_while_there_is_room() {
    let world = World::new(16 << 20);
    let cold = world.scan_everything();
    let tables = world.table_bytes();
    assert!(
        cold.read_bytes <= tables + tables / 8,
        "{cold:?} of {tables}"
    );
    let again = world.scan_everything();
    assert_eq!(again.read_bytes, 0, "{again:?}");
}

#[test]
fn a_scan_of_everything_drives_out_nothing_that_is_read_again_and_again() {
    let world = World::new(512 << 10);
    let hot = || -> u64 {
        let places = (0..RECORDS).step_by(1000);
        places.map(|from| world.seek(from, 20).read_bytes).sum()
    };
    for _ in 0..4 {
        hot();
    }
    for _ in 0..3 {
        world.scan_everything();
        assert_eq!(hot(), 0);
    }
}

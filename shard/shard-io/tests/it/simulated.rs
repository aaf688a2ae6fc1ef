//! What a simulated disk keeps, loses and damages; exact, because every choice comes from a seed.

use std::path::Path;

use ringkeep_io::{
    Buffer, Crash, Directory, Doing, File, Io, IoError, Latency, OpenMode, PAGE, Probabilities,
    SimulatedDisk, SimulatedOptions, Times, WriteDurability,
};

use crate::rig::{filled, finish};

use WriteDurability::{Cached, Durable};

const EVERY_CRASH: [Crash; 5] = [
    Crash::Random,
    Crash::LoseAll,
    Crash::KeepAll,
    Crash::Writes,
    Crash::Sectors,
];

/// A host on a disk, with one directory.
struct Machine {
    disk: SimulatedDisk,
    io: Io,
    directory: Directory,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        Machine::on(SimulatedDisk::new(seed, SimulatedOptions::default()))
    }

    fn on(disk: SimulatedDisk) -> Machine {
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/db")).unwrap();
        Machine {
            disk,
            io,
            directory,
        }
    }

    fn crash(self, crash: Crash) -> Machine {
        self.disk.crash_with(crash);
        Machine::on(self.disk)
    }

    /// A file whose name is durable.
    fn create(&self, name: &str) -> File {
        let file = self.directory.open(name, OpenMode::CreateNew).unwrap();
        self.directory.sync().unwrap();
        file
    }

    fn open(&self, name: &str) -> File {
        self.directory.open(name, OpenMode::ReadWrite).unwrap()
    }

    fn write(&self, file: &File, page: u64, pages: usize, byte: u8, durability: WriteDurability) {
        let length = pages * PAGE;
        let write = self.io.write(
            file,
            page * PAGE as u64,
            filled(length, byte),
            length,
            durability,
        );
        assert_eq!(finish(&self.io, write).result, Ok(length));
    }

    fn sync(&self, file: &File) -> Result<usize, IoError> {
        finish(&self.io, self.io.sync(file)).result
    }

    /// The one byte that fills a page; `None` when the page is mixed.
    fn page(&self, file: &File, page: u64) -> Option<u8> {
        let read = finish(
            &self.io,
            self.io.read(file, page * PAGE as u64, Buffer::zeroed(PAGE)),
        );
        assert_eq!(read.result, Ok(PAGE));
        let first = read.buffer[0];
        read.buffer
            .iter()
            .all(|&byte| byte == first)
            .then_some(first)
    }
}

#[test]
fn what_is_synced_survives_every_crash() {
    for (seed, crash) in (0..50).flat_map(|seed| EVERY_CRASH.map(|crash| (seed, crash))) {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, 4, 1, Cached);
        machine.sync(&file).unwrap();
        machine.write(&file, 8, 1, 2, Durable);
        let machine = machine.crash(crash);
        let file = machine.open("file");
        assert_eq!(file.size(), Ok(9 * PAGE as u64), "seed {seed}, {crash:?}");
        for (page, byte) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 0), (7, 0), (8, 2)] {
            assert_eq!(
                machine.page(&file, page),
                Some(byte),
                "seed {seed}, {crash:?}, page {page}"
            );
        }
    }
}

#[test]
fn what_is_only_written_may_be_lost() {
    let machine = Machine::new(1);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    machine.write(&file, 0, 1, 2, Cached);
    machine.write(&file, 1, 1, 3, Cached);
    assert_eq!(
        (machine.page(&file, 0), machine.page(&file, 1)),
        (Some(2), Some(3))
    );
    let machine = machine.crash(Crash::LoseAll);
    let file = machine.open("file");
    assert_eq!(file.size(), Ok(PAGE as u64), "the extension is lost too");
    assert_eq!(machine.page(&file, 0), Some(1));
}

#[test]
fn what_is_only_written_may_also_survive() {
    let machine = Machine::new(1);
    let file = machine.directory.open("file", OpenMode::CreateNew).unwrap();
    machine.write(&file, 0, 1, 2, Cached);
    machine.write(&file, 1, 1, 3, Cached);
    let machine = machine.crash(Crash::KeepAll);
    let file = machine.open("file");
    assert_eq!(
        (machine.page(&file, 0), machine.page(&file, 1)),
        (Some(2), Some(3))
    );
}

#[test]
fn a_durable_write_flushes_nothing_but_itself() {
    let machine = Machine::new(2);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Cached);
    machine.write(&file, 1, 1, 2, Durable);
    let machine = machine.crash(Crash::LoseAll);
    let file = machine.open("file");
    assert_eq!(file.size(), Ok(2 * PAGE as u64));
    assert_eq!(
        (machine.page(&file, 0), machine.page(&file, 1)),
        (Some(0), Some(2))
    );
}

#[test]
fn a_durable_write_is_not_undone_by_an_older_cached_one() {
    for (seed, crash) in (0..50).flat_map(|seed| EVERY_CRASH.map(|crash| (seed, crash))) {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, 1, 1, Cached);
        machine.write(&file, 0, 1, 2, Durable);
        let machine = machine.crash(crash);
        assert_eq!(
            machine.page(&machine.open("file"), 0),
            Some(2),
            "seed {seed}, {crash:?}"
        );
    }
}

#[test]
fn a_sync_covers_its_own_file_only() {
    let machine = Machine::new(3);
    let (one, other) = (machine.create("one"), machine.create("other"));
    machine.write(&one, 0, 1, 1, Cached);
    machine.write(&other, 0, 1, 1, Cached);
    machine.sync(&one).unwrap();
    let machine = machine.crash(Crash::LoseAll);
    assert_eq!(machine.open("one").size(), Ok(PAGE as u64));
    assert_eq!(machine.open("other").size(), Ok(0));
}

#[test]
fn a_sync_covers_only_writes_that_had_completed() {
    // Among many seeds the write completes before the sync that was asked for at the same time, and is lost all the same.
    for seed in 0..50 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        let write = machine.io.write(&file, 0, filled(PAGE, 1), PAGE, Cached);
        let sync = machine.io.sync(&file);
        finish(&machine.io, write).result.unwrap();
        finish(&machine.io, sync).result.unwrap();
        let machine = machine.crash(Crash::LoseAll);
        assert_eq!(machine.open("file").size(), Ok(0), "seed {seed}");
    }
}

#[test]
fn names_are_durable_after_a_sync_of_their_directory() {
    let machine = Machine::new(4);
    machine.create("kept");
    machine.create("removed");
    machine.create("renamed");
    let file = machine.directory.open("lost", OpenMode::CreateNew).unwrap();
    machine.write(&file, 0, 1, 1, Durable);
    machine.sync(&file).unwrap();
    machine.directory.remove("removed").unwrap();
    machine.directory.rename("renamed", "new").unwrap();
    machine.directory.create_directory("sub").unwrap();
    let machine = machine.crash(Crash::LoseAll);
    assert_eq!(
        machine.directory.list(),
        Ok(["kept", "removed", "renamed"].map(String::from).to_vec())
    );
}

#[test]
fn a_rename_survives_whole_or_not_at_all() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..100 {
        let machine = Machine::new(seed);
        let old = machine.create("current");
        machine.write(&old, 0, 1, 1, Durable);
        let new = machine.create("next");
        machine.write(&new, 0, 1, 2, Durable);
        machine.directory.rename("next", "current").unwrap();
        let machine = machine.crash(Crash::Sectors);
        let names = machine.directory.list().unwrap();
        match machine.page(&machine.open("current"), 0) {
            Some(1) => {
                before += 1;
                assert_eq!(names, ["current", "next"]);
            }
            Some(2) => {
                after += 1;
                assert_eq!(names, ["current"]);
            }
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(before > 20 && after > 20, "{before} before, {after} after");
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_and_saves_nothing() {
    let machine = Machine::new(5);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    machine.write(&file, 0, 1, 2, Cached);
    machine.disk.fail_next(Doing::Sync, libc::EIO, Times::Once);
    assert_eq!(
        machine.sync(&file),
        Err(IoError::new(libc::EIO, Doing::Sync))
    );
    assert_eq!(machine.sync(&file), Ok(0));
    assert_eq!(machine.page(&file, 0), Some(2), "still in the cache");
    let machine = machine.crash(Crash::LoseAll);
    assert_eq!(machine.page(&machine.open("file"), 0), Some(1));
}

#[test]
fn a_write_tears_between_sectors_and_nowhere_else() {
    let mut torn = 0;
    for seed in 0..50 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, 2, 1, Durable);
        drop(
            machine
                .io
                .write(&file, 0, filled(2 * PAGE, 2), 2 * PAGE, Durable),
        );
        machine.io.turn();
        let machine = machine.crash(Crash::Sectors);
        let bytes = machine.disk.read_raw("/db/file").unwrap();
        for sector in bytes.chunks(512) {
            assert!(
                sector.iter().all(|&byte| byte == sector[0]),
                "a sector is whole"
            );
            assert!([1, 2].contains(&sector[0]));
        }
        torn += u32::from(bytes.iter().any(|&byte| byte != bytes[0]));
    }
    assert!(torn > 45, "{torn} of 50 are torn");
}

#[test]
fn overlapping_writes_may_land_in_either_order() {
    let mut seen = [false; 4];
    for seed in 0..100 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        for byte in 1..=3 {
            machine.write(&file, 0, 1, byte, Cached);
        }
        let machine = machine.crash(Crash::Sectors);
        let bytes = machine.disk.read_raw("/db/file").unwrap();
        bytes.iter().for_each(|&byte| seen[byte as usize] = true);
    }
    assert_eq!(seen, [true; 4]);
}

#[test]
fn after_a_crash_the_old_host_is_dead() {
    let machine = Machine::new(6);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    let mut pending = machine.io.read(&file, 0, Buffer::zeroed(PAGE));
    machine.disk.crash();
    for _ in 0..100 {
        machine.io.park(None);
        machine.io.turn();
    }
    assert!(
        pending.try_take().is_none(),
        "what was in flight never completes"
    );
    let dead = |doing| IoError::new(libc::EIO, doing);
    let late = machine.io.read(&file, 0, Buffer::zeroed(PAGE));
    assert_eq!(finish(&machine.io, late).result, Err(dead(Doing::Read)));
    assert_eq!(file.size(), Err(dead(Doing::Stat)));
    assert_eq!(machine.directory.list(), Err(dead(Doing::List)));
    let again = Machine::on(machine.disk.clone());
    assert_eq!(again.page(&again.open("file"), 0), Some(1));
    let foreign = again.io.read(&file, 0, Buffer::zeroed(PAGE));
    assert_eq!(
        finish(&again.io, foreign).result,
        Err(dead(Doing::Read)),
        "a handle from before"
    );
}

#[test]
fn writes_of_a_killed_process_land_afterwards() {
    let machine = Machine::new(7);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    drop(machine.io.write(&file, 0, filled(PAGE, 2), PAGE, Durable));
    machine.io.turn();
    machine.disk.kill();
    let again = Machine::on(machine.disk.clone());
    assert_eq!(again.disk.read_raw("/db/file").unwrap()[0], 1);
    again.disk.advance_to(again.disk.next_event().unwrap());
    assert_eq!(again.disk.read_raw("/db/file").unwrap()[0], 2);
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    let run = |seed| {
        let options = SimulatedOptions {
            probabilities: Probabilities {
                read_error: 0.01,
                write_error: 0.01,
                sync_error: 0.05,
                short: 0.2,
            },
            ..SimulatedOptions::default()
        };
        let mut machine = Machine::on(SimulatedDisk::new(seed, options));
        for round in 0..5u64 {
            let name = format!("file-{round}");
            let file = machine.create(&name);
            let tickets = (0..50u64).map(|number| match number % 5 {
                0 => machine.io.sync(&file),
                1 => machine
                    .io
                    .read(&file, number % 7 * PAGE as u64, Buffer::zeroed(3 * PAGE)),
                _ => machine.io.write(
                    &file,
                    number * PAGE as u64,
                    filled(4 * PAGE, number as u8),
                    4 * PAGE,
                    Cached,
                ),
            });
            for ticket in tickets.collect::<Vec<_>>() {
                drop(finish(&machine.io, ticket));
            }
            machine = machine.crash(Crash::Random);
        }
        (
            machine.disk.trace_hash(),
            machine.disk.files(),
            machine.disk.counters(),
        )
    };
    let first = run(11);
    assert_eq!(first, run(11));
    assert_ne!(first.0, run(12).0);
}

#[test]
fn completions_come_in_any_order() {
    let machine = Machine::new(8);
    let file = machine.create("file");
    let mut tickets = (0..20u64)
        .map(|page| {
            (
                page,
                machine
                    .io
                    .write(&file, page * PAGE as u64, filled(PAGE, 1), PAGE, Cached),
            )
        })
        .collect::<Vec<_>>();
    let mut order = vec![];
    while !tickets.is_empty() {
        machine.io.park(None);
        machine.io.turn();
        tickets.retain_mut(|(page, ticket)| {
            let done = ticket.try_take().is_some();
            order.extend(done.then_some(*page));
            !done
        });
    }
    assert!(!order.is_sorted());
    order.sort_unstable();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
}

#[test]
fn injected_errors_strike_when_and_as_often_as_asked() {
    let machine = Machine::new(9);
    let file = machine.create("file");
    let other = machine.create("other");
    let attempt = |file: &File| {
        let write = machine.io.write(file, 0, filled(PAGE, 1), PAGE, Cached);
        finish(&machine.io, write)
            .result
            .map_err(|error| error.errno)
    };
    machine
        .disk
        .fail_at(Doing::Write, 2, libc::EIO, Times::Count(2));
    let outcomes = [(); 6].map(|()| attempt(&file).is_ok());
    assert_eq!(outcomes, [true, true, false, false, true, true]);
    machine
        .disk
        .fail_file_at("/db/other", Doing::Write, 1, libc::EROFS, Times::Always);
    let outcomes = [&other, &file, &other, &file, &other].map(attempt);
    let (fine, failed) = (Ok(PAGE), Err(libc::EROFS));
    assert_eq!(outcomes, [fine, fine, failed, fine, failed]);
    machine.disk.heal();
    assert_eq!(attempt(&other), fine);
    machine
        .disk
        .fail_next(Doing::Create, libc::ENOSPC, Times::Once);
    assert!(
        machine
            .directory
            .open("new", OpenMode::CreateNew)
            .unwrap_err()
            .is_full()
    );
    machine
        .disk
        .fail_next(Doing::SyncDirectory, libc::EIO, Times::Once);
    assert!(machine.directory.sync().is_err());
    assert!(machine.directory.sync().is_ok());
}

#[test]
fn a_failed_write_may_have_done_any_part_of_itself() {
    let mut parts = 0;
    for seed in 0..20 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, 2, 1, Durable);
        machine.disk.fail_next(Doing::Write, libc::EIO, Times::Once);
        let write = machine
            .io
            .write(&file, 0, filled(4 * PAGE, 2), 4 * PAGE, Durable);
        assert!(finish(&machine.io, write).result.is_err());
        assert_eq!(file.size(), Ok(2 * PAGE as u64));
        let bytes = machine.disk.read_raw("/db/file").unwrap();
        parts += u32::from(bytes.contains(&1) && bytes.contains(&2));
        let machine = machine.crash(Crash::LoseAll);
        assert_eq!(machine.page(&machine.open("file"), 0), Some(1));
    }
    assert!(parts > 15, "{parts} of 20 are mixed");
}

#[test]
fn a_lost_write_is_acknowledged_and_not_done() {
    let machine = Machine::new(10);
    let file = machine.create("file");
    machine.write(&file, 0, 2, 1, Durable);
    machine.disk.lose_next_write();
    machine.write(&file, 1, 2, 2, Durable);
    assert_eq!(file.size(), Ok(3 * PAGE as u64));
    assert_eq!(
        [0, 1, 2].map(|page| machine.page(&file, page)),
        [Some(1), Some(1), Some(0)]
    );
}

#[test]
fn a_misdirected_write_lands_elsewhere_in_its_file() {
    for seed in 0..20 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, 8, 1, Durable);
        machine.disk.misdirect_next_write();
        machine.write(&file, 3, 1, 2, Durable);
        assert_eq!(machine.page(&file, 3), Some(1), "seed {seed}");
        let moved = (0..8).filter(|&page| machine.page(&file, page) == Some(2));
        assert_eq!(moved.count(), 1, "seed {seed}");
        machine.write(&file, 3, 1, 4, Durable);
        assert_eq!(machine.page(&file, 3), Some(4));
    }
}

#[test]
fn damage_is_in_every_copy() {
    let machine = Machine::new(11);
    let file = machine.create("file");
    machine.write(&file, 0, 2, 0xff, Durable);
    machine.write(&file, 1, 1, 0xf0, Cached);
    machine.disk.flip_bit("/db/file", PAGE as u64 + 5, 0);
    machine.disk.overwrite("/db/file", 10, b"rot");
    let visible = machine.disk.read_raw("/db/file").unwrap();
    assert_eq!((visible[PAGE + 5], visible[PAGE + 6]), (0xf1, 0xf0));
    assert_eq!(&visible[9..14], b"\xffrot\xff");
    let machine = machine.crash(Crash::LoseAll);
    let durable = machine.disk.read_raw("/db/file").unwrap();
    assert_eq!((durable[PAGE + 5], durable[PAGE + 6]), (0xfe, 0xff));
    machine.disk.truncate("/db/file", 100);
    let machine = machine.crash(Crash::KeepAll);
    assert_eq!(machine.disk.files(), [("/db/file".to_owned(), 100)]);
    machine.disk.remove("/db/file");
    let machine = machine.crash(Crash::Random);
    assert_eq!(machine.disk.files(), []);
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let machine = Machine::new(12);
    machine.disk.set_capacity_bytes(10 * PAGE as u64);
    let file = machine.create("file");
    machine.write(&file, 0, 8, 1, Cached);
    assert_eq!(machine.directory.free_bytes(), Ok(2 * PAGE as u64));
    let write = machine.io.write(
        &file,
        8 * PAGE as u64,
        filled(4 * PAGE, 2),
        4 * PAGE,
        Durable,
    );
    let error = finish(&machine.io, write).result.unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(
        file.size(),
        Ok(10 * PAGE as u64),
        "what fitted is there, as with the kernel"
    );
    machine.write(&file, 0, 10, 3, Durable);
    let second = machine.create("second");
    assert!(second.allocate(PAGE as u64).unwrap_err().is_full());
    file.truncate(PAGE as u64).unwrap();
    assert_eq!(second.allocate(9 * PAGE as u64), Ok(()));
    drop((file, second));
    machine.directory.remove("second").unwrap();
    machine.directory.sync().unwrap();
    assert_eq!(machine.directory.free_bytes(), Ok(9 * PAGE as u64));
}

#[test]
fn a_truncation_is_durable_after_a_sync() {
    for (synced, expected) in [(false, 4 * PAGE as u64), (true, 1000)] {
        let machine = Machine::new(13);
        let file = machine.create("file");
        machine.write(&file, 0, 4, 1, Durable);
        file.truncate(1000).unwrap();
        if synced {
            machine.sync(&file).unwrap();
        }
        let machine = machine.crash(Crash::LoseAll);
        let file = machine.open("file");
        assert_eq!(file.size(), Ok(expected));
        file.truncate(2 * PAGE as u64).unwrap();
        let bytes = machine.disk.read_raw("/db/file").unwrap();
        let old = bytes.iter().filter(|&&byte| byte == 1).count();
        assert_eq!(
            old,
            (expected as usize).min(2 * PAGE),
            "what was cut off does not come back"
        );
    }
}

#[test]
fn a_stuck_operation_waits_to_be_released() {
    let machine = Machine::new(14);
    let file = machine.create("file");
    machine.disk.stick_next(Doing::Write);
    let mut stuck = machine.io.write(&file, 0, filled(PAGE, 1), PAGE, Durable);
    machine.write(&file, 1, 1, 2, Durable);
    let deadline = machine.io.now() + 60_000_000_000;
    machine.io.park(Some(deadline));
    assert_eq!((machine.io.now(), machine.io.in_flight()), (deadline, 1));
    assert!(stuck.try_take().is_none());
    machine.disk.unstick();
    assert_eq!(finish(&machine.io, stuck).result, Ok(PAGE));
}

#[test]
fn bad_sectors_fail_reads_until_written_again() {
    let machine = Machine::new(15);
    let file = machine.create("file");
    machine.write(&file, 0, 4, 1, Durable);
    machine.disk.fail_region("/db/file", 5000..5001);
    let read = |page: u64, pages| {
        finish(
            &machine.io,
            machine
                .io
                .read(&file, page * PAGE as u64, Buffer::zeroed(pages * PAGE)),
        )
        .result
    };
    let bad = Err(IoError::new(libc::EIO, Doing::Read));
    assert_eq!(
        [read(0, 4), read(0, 1), read(1, 1), read(2, 2)],
        [bad, Ok(PAGE), bad, Ok(2 * PAGE)]
    );
    machine.write(&file, 1, 1, 1, Durable);
    assert_eq!(read(0, 4), Ok(4 * PAGE));
}

#[test]
fn short_completions_are_continued() {
    let mut options = SimulatedOptions::default();
    options.probabilities.short = 1.0;
    let machine = Machine::on(SimulatedDisk::new(16, options));
    let file = machine.create("file");
    machine.write(&file, 0, 64, 1, Durable);
    let read = finish(
        &machine.io,
        machine.io.read(&file, 0, Buffer::zeroed(64 * PAGE)),
    );
    assert_eq!(read.result, Ok(64 * PAGE));
    assert!(read.buffer.iter().all(|&byte| byte == 1));
    let counters = machine.disk.counters();
    assert!(counters.writes > 1 && counters.reads > 1, "{counters:?}");
    assert_eq!(
        (machine.io.counters().writes, machine.io.counters().reads),
        (1, 1)
    );
}

#[test]
fn latency_is_virtual_and_has_a_tail() {
    let options = SimulatedOptions {
        latency: Latency {
            least: 1000,
            most: 1000,
            tail_probability: 0.5,
            tail_factor: 1_000_000,
        },
        turn_nanos: 0,
        ..SimulatedOptions::default()
    };
    let machine = Machine::on(SimulatedDisk::new(17, options));
    let file = machine.create("file");
    let times = (0..50).map(|_| {
        let before = machine.io.now();
        machine.write(&file, 0, 1, 1, Cached);
        machine.io.now() - before
    });
    let times = times.collect::<Vec<_>>();
    assert!(
        times
            .iter()
            .all(|time| [1000, 1_000_000_000].contains(time))
    );
    assert!(times.contains(&1000) && times.contains(&1_000_000_000));
}

#[test]
fn several_hosts_share_one_disk_and_clock() {
    let machine = Machine::new(18);
    let file = machine.create("file");
    let other = Io::simulated(&machine.disk);
    let directory = other.directory(Path::new("/db")).unwrap();
    let same = directory.open("file", OpenMode::ReadWrite).unwrap();
    let write = other.write(&same, 0, filled(PAGE, 1), PAGE, Cached);
    other.turn();
    // One host's park moves the clock for both, and leaves the other's completion to the other.
    let before = other.now();
    machine.io.park(None);
    assert!(other.now() > before);
    assert_eq!(machine.io.turn(), 0);
    assert_eq!((other.turn(), write.is_done()), (1, true));
    assert_eq!(machine.page(&file, 0), Some(1));
}

#[test]
fn the_disk_counts_what_the_engine_promised() {
    let machine = Machine::new(19);
    let file = machine.create("file");
    let before = machine.disk.counters();
    machine.write(&file, 0, 2, 1, Durable);
    machine.write(&file, 2, 1, 1, Cached);
    machine.sync(&file).unwrap();
    machine.directory.sync().unwrap();
    let after = machine.disk.counters();
    assert_eq!(after.durable_writes - before.durable_writes, 1);
    assert_eq!(after.writes - before.writes, 2);
    assert_eq!(after.write_bytes - before.write_bytes, 3 * PAGE as u64);
    assert_eq!(after.syncs - before.syncs, 1);
    assert_eq!(after.directory_syncs - before.directory_syncs, 1);
}

/// Random histories: whatever a crash leaves of a sector was written there and not superseded by something durable.
#[test]
fn a_crash_leaves_only_what_the_model_allows() {
    const PAGES: usize = 8;
    for seed in 0..200u64 {
        let machine = Machine::new(seed);
        let file = machine.create("file");
        machine.write(&file, 0, PAGES, 0, Durable);
        // Per page: the durable byte and every byte that may be there instead.
        let mut allowed = vec![vec![0u8]; PAGES];
        let mut choice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |bound: u64| {
            choice = choice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (choice >> 33) % bound
        };
        for byte in 1..=30u8 {
            let page = next(PAGES as u64 - 1);
            match next(4) {
                0 => {
                    machine.write(&file, page, 1, byte, Durable);
                    allowed[page as usize] = vec![byte];
                }
                1 => {
                    machine.sync(&file).unwrap();
                    allowed
                        .iter_mut()
                        .for_each(|bytes| *bytes = vec![bytes[bytes.len() - 1]]);
                }
                _ => {
                    machine.write(&file, page, 2, byte, Cached);
                    allowed[page as usize].push(byte);
                    allowed[page as usize + 1].push(byte);
                }
            }
        }
        drop(
            machine
                .io
                .write(&file, 0, filled(2 * PAGE, 99), 2 * PAGE, Durable),
        );
        machine.io.turn();
        allowed[0].push(99);
        allowed[1].push(99);
        let machine = machine.crash(Crash::Random);
        let bytes = machine.disk.read_raw("/db/file").unwrap();
        for (sector, bytes) in bytes.chunks(512).enumerate() {
            let allowed = &allowed[sector / (PAGE / 512)];
            assert!(bytes.iter().all(|&byte| byte == bytes[0]));
            assert!(
                allowed.contains(&bytes[0]),
                "seed {seed}, sector {sector}: {} of {allowed:?}",
                bytes[0]
            );
        }
    }
}

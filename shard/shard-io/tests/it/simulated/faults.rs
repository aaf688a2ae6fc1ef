//! What goes wrong while the power is on.

use ringkeep_io::WriteDurability::{Cached, Durable};
use ringkeep_io::{
    Buffer, Crash, Doing, File, IoError, OpenMode, PAGE, SimulatedDisk, SimulatedOptions, Times,
};

use super::Machine;
use crate::rig::{filled, finish};

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

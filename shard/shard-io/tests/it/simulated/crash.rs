//! What survives a power cut.

use ringkeep_io::WriteDurability::{Cached, Durable};
use ringkeep_io::{Buffer, Crash, Doing, IoError, OpenMode, PAGE, SimulatedDisk};

use super::Machine;
use crate::rig::{filled, finish};

const EVERY_CRASH: [Crash; 5] = [
    Crash::Random,
    Crash::LoseAll,
    Crash::KeepAll,
    Crash::Writes,
    Crash::Sectors,
];

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
        machine.io.turn();
    }
    assert!(pending.try_take().is_none(), "no answer");
    let dead = |doing| IoError::new(libc::EIO, doing);
    machine.io.park(None);
    let left = pending
        .try_take()
        .expect("a park lets code that blocks get out");
    assert_eq!(left.result, Err(dead(Doing::Read)));
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

#[test]
fn a_read_or_a_sync_in_flight_leaves_nothing_at_a_crash() {
    for crash in EVERY_CRASH {
        let machine = Machine::new(23);
        let file = machine.create("file");
        machine.write(&file, 0, 1, 1, Durable);
        drop(machine.io.read(&file, 9 * PAGE as u64, filled(PAGE, 0)));
        drop(machine.io.sync(&file));
        let machine = machine.crash(crash);
        assert_eq!(machine.disk.files(), [("/db/file".to_owned(), PAGE as u64)]);
    }
}

/// A log of five durable pages in a new file, as much as the power lasts; how many were acknowledged.
fn append_five(machine: &Machine) -> usize {
    let Ok(file) = machine.directory.open("log", OpenMode::CreateNew) else {
        return 0;
    };
    if machine.directory.sync().is_err() {
        return 0;
    }
    let append = |page: &u64| {
        let write = machine
            .io
            .write(&file, page * PAGE as u64, filled(PAGE, 1), PAGE, Durable);
        finish(&machine.io, write).result.is_ok()
    };
    (0..5).take_while(append).count()
}

#[test]
fn the_power_can_be_cut_at_every_operation() {
    let whole = Machine::new(20);
    let before = whole.disk.operations();
    assert_eq!(append_five(&whole), 5);
    let operations = whole.disk.operations() - before;
    assert_eq!(operations, 7);
    let mut acknowledged = vec![];
    for (spared, crash) in
        (0..operations).flat_map(|spared| EVERY_CRASH.map(|crash| (spared, crash)))
    {
        let machine = Machine::new(20);
        machine.disk.crash_at(spared, crash);
        let count = append_five(&machine);
        assert_eq!(machine.disk.crashes(), 1);
        acknowledged.push(count);
        let machine = Machine::on(machine.disk);
        let pages = machine
            .disk
            .read_raw("/db/log")
            .map_or(0, |bytes| bytes.len() / PAGE);
        assert!(
            pages >= count && pages <= count + 1,
            "cut at {spared}, {crash:?}: {pages} of {count}"
        );
    }
    acknowledged.dedup();
    assert_eq!(acknowledged, [0, 1, 2, 3, 4]);
}

#[test]
fn one_run_can_be_cut_in_many_ways() {
    let machine = Machine::new(21);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    machine.write(&file, 0, 1, 2, Cached);
    drop(machine.io.write(&file, 0, filled(PAGE, 3), PAGE, Cached));
    let trace = machine.disk.trace_hash();
    let mut seen = [false; 4];
    for seed in 0..100 {
        let copy = machine.disk.crashed_copy(seed, Crash::Random);
        let again = machine.disk.crashed_copy(seed, Crash::Random);
        let bytes = copy.read_raw("/db/file").unwrap();
        assert_eq!(Some(&bytes), again.read_raw("/db/file").as_ref());
        bytes.iter().for_each(|&byte| seen[byte as usize] = true);
        let copy = Machine::on(copy);
        copy.write(&copy.open("file"), 0, 1, 9, Durable);
    }
    assert_eq!(seen, [false, true, true, true]);
    assert_eq!(machine.disk.trace_hash(), trace);
    assert_eq!(machine.page(&file, 0).map(|byte| byte < 9), Some(true));
}

#[test]
fn a_planned_cut_has_other_outcomes_on_copies() {
    let machine = Machine::new(22);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    machine.write(&file, 0, 1, 2, Cached);
    machine
        .disk
        .crash_also(vec![Crash::LoseAll, Crash::KeepAll]);
    machine.disk.crash_at(0, Crash::LoseAll);
    drop(machine.io.write(&file, 0, filled(PAGE, 3), PAGE, Cached));
    let outcomes = machine.disk.take_outcomes();
    let first = |disk: &SimulatedDisk| disk.read_raw("/db/file").unwrap()[0];
    assert_eq!(outcomes.iter().map(first).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((machine.disk.crashes(), first(&machine.disk)), (1, 1));
    assert!(machine.disk.take_outcomes().is_empty());
}

#[test]
fn what_a_killed_process_had_in_flight_lands_and_is_not_durable() {
    let machine = Machine::new(23);
    let file = machine.create("file");
    machine.write(&file, 0, 1, 1, Durable);
    drop(machine.io.write(&file, 0, filled(PAGE, 3), PAGE, Cached));
    let first = |disk: &SimulatedDisk| disk.read_raw("/db/file").unwrap()[0];
    let copy = machine.disk.killed_copy(1);
    assert_eq!((first(&machine.disk), first(&copy)), (1, 3));
    copy.crash_with(Crash::LoseAll);
    assert_eq!(first(&copy), 1);
}

#[test]
fn the_process_can_be_killed_at_every_operation() {
    for spared in 0..7 {
        let machine = Machine::new(20);
        machine.disk.kill_at(spared);
        let count = append_five(&machine);
        assert!(count < 5, "killed at {spared}");
        assert_eq!(machine.disk.crashes(), 1);
        while let Some(landing) = machine.disk.next_event() {
            machine.disk.advance_to(landing);
        }
        let machine = Machine::on(machine.disk);
        let pages = machine.disk.read_raw("/db/log");
        let pages = pages.map_or(0, |bytes| bytes.len() / PAGE);
        assert!(
            pages >= count && pages <= count + 1,
            "killed at {spared}: {pages} of {count}"
        );
    }
}

//! Time, order and counting.

use std::path::Path;

use ringkeep_io::WriteDurability::{Cached, Durable};
use ringkeep_io::{
    Buffer, Crash, Io, Latency, OpenMode, PAGE, Probabilities, SimulatedDisk, SimulatedOptions,
};

use super::Machine;
use crate::rig::{filled, finish};

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

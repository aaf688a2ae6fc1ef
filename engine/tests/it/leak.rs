//! A thousand databases opened and closed one after another leave the process as it was.

use std::time::{Duration, Instant};

use ringkeep::Database;

use crate::folder::{Folder, child, on_glommio, parents_db, tiny};

#[test]
fn a_thousand_openings_leave_nothing_behind() {
    let folder = Folder::new();
    let output = child("leak::child_that_opens_and_closes", &folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the kernel counts for this process.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Held {
    descriptors: usize,
    locked_kib: u64,
}

fn held() -> (Held, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .unwrap();
    let held = Held {
        descriptors: count("/proc/self/fd"),
        locked_kib: locked
            .trim()
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .unwrap(),
    };
    let maps = std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count();
    (held, maps)
}

/// Waits until the process has no more threads than those: one that was joined is listed for a moment longer.
fn wait_for_threads_to_end(alone: usize) {
    let begun = Instant::now();
    while threads() > alone {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} threads, {alone} before the first opening",
            threads()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Without the kernel's workers, which end a moment after the thread whose ring they work for, and are no leak without
/// the ring's descriptor.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| !name.starts_with("iou-wrk")).count()
}

#[test]
#[ignore = "a child of the test above"]
fn child_that_opens_and_closes() {
    let round = |round: u32| {
        let db = Database::open(parents_db(), tiny(2)).unwrap();
        db.put("round", round.to_le_bytes()).unwrap();
        assert_eq!(db.get("round").unwrap(), Some(round.to_le_bytes().to_vec()));
        if round.is_multiple_of(2) {
            db.close().unwrap()
        } else {
            drop(db)
        }
    };
    let alone = threads();
    // The first rounds fill caches of threads' stacks and of the allocator.
    (0..50).for_each(round);
    wait_for_threads_to_end(alone);
    let (before, maps_before) = held();
    (50..1050).for_each(round);
    wait_for_threads_to_end(alone);
    let (after, maps_after) = held();
    // Glommio 0.9.0 loses an eventfd for each executor that ends; the database has one host here.
    let lost = if on_glommio() { 1000 } else { 0 };
    let expected = Held {
        descriptors: before.descriptors + lost,
        ..before
    };
    assert_eq!(after, expected);
    // The allocator may split or keep a few arenas; a leak would be a thousand.
    assert!(
        maps_after < maps_before + 50,
        "{maps_before} maps, then {maps_after}"
    );
}

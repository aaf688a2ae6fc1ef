//! Limits of the process. Each case runs in a process of its own, under limits that a shell has set.

use std::path::Path;
use std::process::Command;

use ringkeep_io::{Backend, Io, OpenMode, PAGE, WriteDurability};

use crate::rig::{Folder, filled, finish, options, real};

const MARK: &str = "RINGKEEP_IO_LIMITED";

/// Runs the test `name` again as a child after `limits`; true in the child itself.
fn in_child(name: &str, limits: &str) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let script =
        format!("{limits}; exec \"$0\" --exact limits::{name} --nocapture --test-threads=1");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(MARK, "1")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    assert!(
        out.contains("1 passed"),
        "the child ran no test:\n{out}\n{err}"
    );
    false
}

#[test]
fn a_file_size_limit_is_a_full_disk() {
    // Without the trap the kernel's signal would end the process.
    if !in_child(
        "a_file_size_limit_is_a_full_disk",
        "trap '' XFSZ; ulimit -f 64",
    ) {
        return;
    }
    for rig in real() {
        let io = &rig.io;
        let file = rig.directory.open("big", OpenMode::CreateNew).unwrap();
        let first = io.write(&file, 0, filled(PAGE, 1), PAGE, WriteDurability::Durable);
        assert_eq!(finish(io, first).result, Ok(PAGE));
        for durability in [WriteDurability::Cached, WriteDurability::Durable] {
            // Begins below the limit and ends above it: the short write is continued, and then there is the error.
            let write = io.write(&file, 0, filled(40 * PAGE, 2), 40 * PAGE, durability);
            let error = finish(io, write).result.unwrap_err();
            assert_eq!(error.errno, libc::EFBIG, "{}", rig.name);
            assert!(error.is_full());
        }
        let read = finish(io, io.read(&file, 0, filled(PAGE, 0)));
        assert_eq!(read.result, Ok(PAGE));
        assert!(read.buffer.iter().all(|&byte| byte == 2));
    }
}

#[test]
fn running_out_of_descriptors_is_an_error_that_says_so() {
    if !in_child(
        "running_out_of_descriptors_is_an_error_that_says_so",
        "ulimit -n 64",
    ) {
        return;
    }
    for rig in real() {
        let first = rig.directory.open("file", OpenMode::CreateNew).unwrap();
        let mut files = vec![];
        let error = loop {
            match rig.directory.open("file", OpenMode::Read) {
                Ok(file) => files.push(file),
                Err(error) => break error,
            }
        };
        assert_eq!(error.errno, libc::EMFILE);
        assert!(error.to_string().contains("ulimit -n"), "{error}");
        // The kernel closes it with the next turn, which has not come. A thread of the portable door may be at it.
        if rig.name == "ring" {
            drop(files.pop());
            let room = rig.directory.open("file", OpenMode::Read);
            files.push(room.expect("the place of the one that was dropped"));
        }
        let error = Io::open(&options(Backend::Auto)).unwrap_err();
        assert_eq!(error.errno, libc::EMFILE);
        let write = rig
            .io
            .write(&first, 0, filled(PAGE, 1), PAGE, WriteDurability::Durable);
        assert_eq!(finish(&rig.io, write).result, Ok(PAGE));
    }
}

#[test]
fn files_beyond_the_fixed_table_use_their_descriptors() {
    if !in_child(
        "files_beyond_the_fixed_table_use_their_descriptors",
        "ulimit -n 5000 2>/dev/null || true",
    ) {
        return;
    }
    for rig in real() {
        let file = rig.directory.open("file", OpenMode::CreateNew).unwrap();
        finish(
            &rig.io,
            rig.io
                .write(&file, 0, filled(PAGE, 6), PAGE, WriteDurability::Cached),
        );
        let open = |_| rig.directory.open("file", OpenMode::Read).ok();
        let files = (0..4200).map_while(open).collect::<Vec<_>>();
        for file in files.iter().rev().take(200) {
            let read = finish(&rig.io, rig.io.read(file, 0, rig.io.frame()));
            assert_eq!(read.result, Ok(PAGE));
            assert!(read.buffer.iter().all(|&byte| byte == 6));
        }
    }
}

/// Descriptors, threads, and locked plus pinned memory of this process.
fn resources() -> (usize, usize, u64) {
    let count = |folder| std::fs::read_dir(folder).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    (
        count("/proc/self/fd"),
        threads(),
        kilobytes("VmLck") + kilobytes("VmPin"),
    )
}

/// Without the kernel's workers, which it keeps for a few seconds and are no leak without a ring's descriptor.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| !name.starts_with("iou-wrk")).count()
}

#[test]
fn a_thousand_openings_leave_nothing_behind() {
    if !in_child("a_thousand_openings_leave_nothing_behind", "true") {
        return;
    }
    let folder = Folder::new();
    let backends = [Backend::Auto, Backend::Portable];
    let round = |backend| use_once(backend, &folder.0);
    backends.into_iter().for_each(round);
    let baseline = resources();
    for _ in 0..500 {
        backends.into_iter().for_each(round);
    }
    // A joined thread leaves the kernel's list a moment after its join.
    let settled = (0..100_000).any(|_| {
        std::thread::yield_now();
        resources() == baseline
    });
    assert!(settled, "{:?} instead of {baseline:?}", resources());
}

fn use_once(backend: Backend, folder: &Path) {
    let io = Io::open(&options(backend)).unwrap();
    let directory = io.directory(folder).unwrap();
    let file = directory.open("file", OpenMode::CreateNew).unwrap();
    let write = io.write(&file, 0, io.frame(), PAGE, WriteDurability::Cached);
    assert_eq!(finish(&io, write).result, Ok(PAGE));
    // Left in flight, and the doorbell armed by the park above.
    drop(io.write(&file, 0, io.frame(), PAGE, WriteDurability::Cached));
    io.turn();
    directory.remove("file").unwrap();
}

#[test]
fn a_held_lock_is_free_when_the_io_is_closed() {
    for rig in real() {
        let path = rig.folder().0.join("lock");
        let lock = std::fs::File::create(&path).unwrap();
        lock.try_lock().unwrap();
        rig.io.hold(lock.into());
        let other = std::fs::File::open(&path).unwrap();
        assert!(other.try_lock().is_err(), "{}", rig.name);
        drop(rig);
        // The name is gone with its folder; the lock was on the open file.
        other.try_lock().unwrap();
    }
}

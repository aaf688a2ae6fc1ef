//! SIGKILL at any moment, on real files: a child writes and reports every acknowledgement through a
//! pipe, the parent kills it, opens the database, and compares with what came out of the pipe.
//!
//! A few rounds by default, for every way to the kernel; hundreds with
//! `RINGKEEP_CRASH_ROUNDS=500 cargo test --release -p ringkeep --test crash`.
//!
//! As root, with `-- --ignored`, the same child also writes to real file systems on a disk that records what
//! reaches it (`images`), to a file system that loses, tears and fails (`faulty`), and to a full one (`full`).
#![cfg(not(loom))]

mod child;
mod faulty;
mod full;
mod fuse;
mod images;
mod random;
mod record;
mod rig;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use record::Record;
use ringkeep::{Backend, Database, Options};

const ROUNDS: u64 = 6;

fn rounds() -> u64 {
    let rounds = std::env::var("RINGKEEP_CRASH_ROUNDS");
    rounds
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROUNDS)
}

fn options(backend: Backend) -> Options {
    Options {
        backend,
        shards: Some(2),
        pin_threads: false,
        // Small, so that rotation, flushes, merges and evictions happen in every round.
        memory_bytes: 4 << 20,
        // Tests may run where direct I/O is missing.
        direct: ringkeep::Direct::Optional,
        ..Options::default()
    }
}

/// The child, which writes from now on.
fn start(path: &Path, backend: &str, round: u64, promise: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "child::writes_until_killed", "--nocapture"])
        .env(child::FOLDER, path)
        .env(child::BACKEND, backend)
        .env(child::ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(promise) = promise {
        command.env(child::PROMISE, promise);
    }
    command.spawn().expect("a child")
}

/// The folder is made beside the build's other files: on a disk, not in memory.
fn folder(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn survive(backend: Backend, name: &str) {
    let path = folder(name);
    let mut record = Record::default();
    let mut acknowledged = 0;
    for round in 0..rounds() {
        let mut child = start(&path, name, round, None);
        let pipe = child.stdout.take().expect("its output");
        let reader = std::thread::spawn(move || record::read(pipe));
        // Any moment will do: also while it opens, and while it is not writing at all.
        let moment = 5 + (round * 7919 + 13) % 150;
        std::thread::sleep(std::time::Duration::from_millis(moment));
        child.kill().expect("to kill it");
        child.wait().expect("its end");
        for acknowledgement in reader.join().expect("the reader") {
            record.acknowledge(acknowledgement);
            acknowledged += 1;
        }
        let database = Database::open(&path, options(backend))
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        record.compare(&database, round);
        if round % 3 == 0 {
            database.close().expect("closes");
        }
    }
    println!(
        "{name}: {} rounds, {acknowledged} acknowledgements, none lost",
        rounds()
    );
    std::fs::remove_dir_all(&path).expect("to clean up");
}

#[test]
fn nothing_acknowledged_is_lost_on_the_ring() {
    // Where the ring is denied, the automatic choice is the portable door, tested below.
    survive(Backend::Auto, "auto");
}

#[test]
fn nothing_acknowledged_is_lost_on_the_portable_door() {
    survive(Backend::Portable, "portable");
}

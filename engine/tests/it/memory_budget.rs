//! What a process takes beside the budget that its database was given: little, and always the same.

use ringkeep::{Batch, Database, Direct, Durability, Options};

use crate::folder::{Folder, child, parents_db};

const BUDGET: usize = 64 << 20;

/// The process itself, stacks, buffers of the log and of tables being written and merged, and what the allocator holds
/// back. `Options::memory_bytes` states it.
const CONSTANT: usize = 16 << 20;

const KEYS: u64 = 120_000;

fn key(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn value(number: u64) -> Vec<u8> {
    let word = number.wrapping_mul(0xd6e8_feb8_6659_fd93).to_le_bytes();
    word.iter().copied().cycle().take(900).collect()
}

/// The most memory that this process had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a line").parse::<usize>().expect("a number") << 10
}

/// In a process of its own: the peak is the process's.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn load_read_and_compact() {
    let options = Options {
        memory_bytes: BUDGET,
        shards: Some(2),
        pin_threads: false,
        direct: Direct::Optional,
        ..Options::default()
    };
    let db = Database::open(parents_db(), options).expect("opens");
    for first in (0..KEYS).step_by(100) {
        let mut batch = Batch::new();
        for number in first..first + 100 {
            batch.put(key(number), value(number));
        }
        db.write_with(batch, Durability::Buffered).expect("written");
    }
    let read = |db: &Database, from: u64| {
        for number in (0..15_000).map(|at| (from + at * 7919) % KEYS) {
            assert_eq!(db.get(key(number)).expect("read"), Some(value(number)));
        }
    };
    read(&db, 0);
    db.compact().expect("compacts");
    read(&db, 1);
    // The same few keys: what rows want, blocks give.
    for _ in 0..3 {
        read(&db, 1);
    }
    println!("\npeak {}", peak());
    println!("{}", db.stats().expect("stats"));
    db.close().expect("closes");
}

#[test]
fn the_budget_is_kept_while_loading_reading_and_compacting() {
    let folder = Folder::new();
    let test = "memory_budget::load_read_and_compact";
    let child = child(test, &folder).output().expect("runs");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    let peak = said.lines().find_map(|line| line.strip_prefix("peak "));
    let peak: usize = peak.expect("a line").parse().expect("a number");
    let most = BUDGET / 100 * 115 + CONSTANT;
    assert!(
        peak <= most,
        "{peak} bytes, where {most} are promised\n{said}"
    );
}

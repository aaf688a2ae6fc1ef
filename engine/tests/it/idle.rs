//! An idle database makes no system call: its threads sleep in one, without a time to wake up at.

use std::path::Path;

use ringkeep::{Batch, Database, Durability};

use crate::folder::{Folder, child, parents_db, tiny};

/// Looks at sleeping threads. Each look lasts as long as a database takes to be opened and closed, which is many
/// times the periods at which an engine would tick.
const LOOKS_MAX: usize = 200;
const OPENINGS_PER_LOOK: usize = 10;

#[test]
fn an_idle_database_sleeps_until_it_is_asked() {
    let folder = Folder::new();
    let output = child("idle::child_that_falls_idle", &folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How often each host of this process went to sleep so far.
fn sleeps() -> Vec<(String, u64)> {
    let mut hosts = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        if field("Name:").starts_with("ringkeep-") {
            let slept = field("voluntary_ctxt_switches:").parse().unwrap();
            hosts.push((field("Pid:"), slept));
        }
    }
    hosts.sort();
    hosts
}

fn pass_time(beside: &Path) {
    for _ in 0..OPENINGS_PER_LOOK {
        let other = Database::open(beside, tiny(1)).unwrap();
        other.put("time", "passes").unwrap();
        other.close().unwrap();
    }
}

#[test]
#[ignore = "a child of the test above"]
fn child_that_falls_idle() {
    let path = parents_db();
    let beside = path.with_extension("beside");
    let db = Database::open(&path, tiny(3)).unwrap();
    for round in 0..300_u32 {
        let durability = match round % 3 {
            0 => Durability::Sync,
            1 => Durability::Buffered,
            _ => Durability::Periodic(1_000_000),
        };
        let mut batch = Batch::new();
        for key in 0..3 {
            batch.put(format!("{key}"), vec![0; 3000]);
        }
        db.write_with(batch, durability).unwrap();
    }
    // Merges, the closing frame and the last sync may take their time; after them nothing is left.
    let mut before = sleeps();
    assert!(!before.is_empty(), "the hosts have names");
    for _ in 0..LOOKS_MAX {
        pass_time(&beside);
        let after = sleeps();
        if after == before {
            assert!(db.get("0").unwrap().is_some());
            return;
        }
        before = after;
    }
    panic!("the hosts go on waking up: {before:?}");
}

//! A writing process is killed at a random moment; what it had acknowledged, by an independent record, is there
//! when the database is opened again, and no batch is half there.
//!
//! Short here. For hundreds of rounds: `RINGKEEP_KILLS=500 cargo test -p ringkeep --release --test it kill`.

use std::io::Read;
use std::process::Stdio;
use std::time::{Instant, SystemTime};

use ringkeep::{Batch, Database, Durability};

use crate::folder::{Folder, child, parents_db, tiny};

const WRITERS: u32 = 4;
const KEYS: u32 = 4;

/// Every acknowledgement goes down a pipe as (writer, round) the moment it is there. The pipe outlives the
/// child, and a record is smaller than what a pipe writes at once.
const RECORD_BYTES: usize = 8;

#[test]
fn a_killed_process_has_lost_nothing_that_it_acknowledged() {
    let folder = Folder::new();
    let rounds = std::env::var("RINGKEEP_KILLS").map_or(15, |text| text.parse().unwrap());
    let mut acknowledged = [0; WRITERS as usize];
    for round in 0..rounds {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let count = 1 + now.subsec_nanos() as usize % 300;
        let records = run_and_kill(&folder, count);
        for (writer, last) in records {
            let slot: &mut u32 = &mut acknowledged[writer as usize];
            *slot = last.max(*slot);
        }
        let since = Instant::now();
        let db = folder.open(tiny(3));
        let took = since.elapsed();
        eprintln!(
            "round {round}: killed after {count} writes, {acknowledged:?} acknowledged, open again in {took:?}"
        );
        for writer in 0..WRITERS {
            check(&db, writer, &mut acknowledged[writer as usize]);
        }
    }
}

/// Starts a writer, kills it after `count` acknowledgements, and returns its record.
fn run_and_kill(folder: &Folder, count: usize) -> Vec<(u32, u32)> {
    let mut child = child("kill::child_that_writes_until_it_is_killed", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stderr.take().unwrap();
    let mut bytes = vec![0; count * RECORD_BYTES];
    pipe.read_exact(&mut bytes)
        .expect("the child writes until it is killed");
    child.kill().unwrap();
    // What was acknowledged between the count and the end.
    pipe.read_to_end(&mut bytes).unwrap();
    child.wait().unwrap();
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let records = bytes.chunks_exact(RECORD_BYTES);
    records
        .map(|record| (number(&record[..4]), number(&record[4..])))
        .collect()
}

fn keys(writer: u32) -> impl Iterator<Item = String> {
    (0..KEYS).map(move |key| format!("writer {writer} key {key}"))
}

fn content(key: &str, round: u32) -> String {
    format!("{round:010} {key} ").repeat(1 + round as usize % 50)
}

/// All keys of a writer hold the same round, at least the last acknowledged one.
fn check(db: &Database, writer: u32, acknowledged: &mut u32) {
    let keys: Vec<String> = keys(writer).collect();
    let values = db.multi_get(&keys).unwrap();
    let rounds: Vec<u32> = keys
        .iter()
        .zip(values)
        .map(|(key, value)| {
            let text = String::from_utf8(value.unwrap_or_default()).unwrap();
            let round = text.get(..10).map_or(0, |digits| digits.parse().unwrap());
            assert!(
                round == 0 || text == content(key, round),
                "{key} holds {text:.100}"
            );
            round
        })
        .collect();
    assert!(
        rounds.iter().all(|round| *round == rounds[0]),
        "half a batch: {rounds:?}"
    );
    assert!(
        rounds[0] >= *acknowledged,
        "{} was acknowledged, {} is there",
        acknowledged,
        rounds[0]
    );
    *acknowledged = rounds[0];
}

#[test]
#[ignore = "a child of the test above"]
fn child_that_writes_until_it_is_killed() {
    let db = Database::open(parents_db(), tiny(3)).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let db = &db;
            scope.spawn(move || write(db, writer));
        }
    });
}

fn write(db: &Database, writer: u32) {
    let first = keys(writer).next().unwrap();
    let held = db
        .get(&first)
        .unwrap()
        .unwrap_or_else(|| b"0000000000".to_vec());
    let from: u32 = std::str::from_utf8(&held[..10]).unwrap().parse().unwrap();
    for round in from + 1.. {
        let mut batch = Batch::new();
        for key in keys(writer) {
            batch.put(&key, content(&key, round));
        }
        // Any durability survives the end of the process.
        let durability = [
            Durability::Sync,
            Durability::Buffered,
            Durability::Periodic(1_000_000),
        ];
        db.write_with(batch, durability[round as usize % 3])
            .unwrap();
        let mut record = [0; RECORD_BYTES];
        record[..4].copy_from_slice(&writer.to_le_bytes());
        record[4..].copy_from_slice(&round.to_le_bytes());
        // One system call, unbuffered, straight into the pipe.
        rustix::io::write(rustix::stdio::stderr(), &record).unwrap();
    }
}

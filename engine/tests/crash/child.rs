//! The process that is killed.

use std::io::Write;
use std::sync::Mutex;

use ringkeep::{Backend, Batch, Database, Durability};

use crate::record::{Acknowledgement, PAIR_WRITERS, WRITERS, key, pair, value};

pub const FOLDER: &str = "RINGKEEP_CRASH_FOLDER";
pub const BACKEND: &str = "RINGKEEP_CRASH_BACKEND";
pub const ROUND: &str = "RINGKEEP_CRASH_ROUND";
/// What every writer asks for, `durable` or `buffered`. Without it there is some of everything: nothing that the
/// kernel was given is lost with the process.
pub const PROMISE: &str = "RINGKEEP_CRASH_PROMISE";

/// Does nothing unless it was started as the child of a crash test.
#[test]
fn writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let backend = match std::env::var(BACKEND).as_deref() {
        Ok("portable") => Backend::Portable,
        _ => Backend::Auto,
    };
    let round: u64 = std::env::var(ROUND).map_or(0, |text| text.parse().expect("a number"));
    let database = Database::open(folder, crate::options(backend)).expect("opens");
    let output = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        // In every other round one writer is alone: it drives the host and writes its frames itself.
        let all = WRITERS + PAIR_WRITERS;
        let alone = (round / 2 % u64::from(WRITERS)) as u8;
        let writers = match round % 2 {
            0 => 0..all,
            _ => alone..alone + 1,
        };
        for writer in writers {
            let (database, output) = (&database, &output);
            scope.spawn(move || write(writer, round, database, output));
        }
    });
}

/// Goes on from the newest count that is there.
fn write(writer: u8, round: u64, database: &Database, output: &Mutex<std::io::Stdout>) -> ! {
    let mut count = newest(writer, database);
    let durability = match std::env::var(PROMISE).as_deref() {
        Ok("buffered") => Durability::Buffered,
        Ok(_) => Durability::Sync,
        // After SIGKILL what the device was given stays: weaker promises must hold here as well.
        Err(_) => match (u64::from(writer) + round) % 3 {
            0 => Durability::Buffered,
            1 => Durability::Periodic(2_000_000),
            _ => Durability::Sync,
        },
    };
    loop {
        count += 1;
        let bytes = value(writer, count);
        if writer < WRITERS {
            let key = key(writer, count);
            database.put_with(&key, &bytes, durability).expect("a put");
        } else {
            let mut batch = Batch::new();
            for key in pair(writer, count) {
                batch.put(&key, &bytes);
            }
            database.write_with(batch, durability).expect("a batch");
        }
        let line = Acknowledgement { writer, count }.line();
        let mut output = output.lock().expect("the pipe");
        output.write_all(line.as_bytes()).expect("the parent reads");
        output.flush().expect("the parent reads");
    }
}

fn newest(writer: u8, database: &Database) -> u64 {
    let slots = 0..crate::record::KEYS;
    let found = slots.filter_map(|slot| {
        let key = match writer < WRITERS {
            true => key(writer, slot),
            false => pair(writer, slot)[0].clone(),
        };
        let value = database.get(&key).expect("a get")?;
        Some(u64::from_be_bytes(value[..8].try_into().expect("a count")))
    });
    found.max().unwrap_or(0)
}

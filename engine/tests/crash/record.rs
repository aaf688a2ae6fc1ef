//! What the child said, and what the database must therefore hold.
//!
//! Each writer counts up and writes its count under keys of its own. A batch writes one count under two
//! keys, on whatever shards they fall.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use ringkeep::Database;

/// Writers of single keys, then writers of pairs.
pub const WRITERS: u8 = 6;
pub const PAIR_WRITERS: u8 = 2;
/// Keys of each writer.
pub const KEYS: u64 = 64;

#[derive(Clone, Copy)]
pub struct Acknowledgement {
    pub writer: u8,
    pub count: u64,
}

impl Acknowledgement {
    /// A mark, the writer, the count: told apart from what a test runner prints.
    pub fn line(self) -> String {
        format!("@{} {}\n", self.writer, self.count)
    }

    fn parse(line: &str) -> Option<Acknowledgement> {
        let (writer, count) = line.strip_prefix('@')?.split_once(' ')?;
        Some(Acknowledgement {
            writer: writer.parse().ok()?,
            count: count.parse().ok()?,
        })
    }
}

/// Reads until the other end dies, and notes with each line what `stamp` says when it has come. A line cut
/// short by that death does not count.
pub fn read_stamped<T>(pipe: impl Read, stamp: impl Fn() -> T) -> Vec<(T, Acknowledgement)> {
    let mut pipe = BufReader::new(pipe);
    let (mut found, mut line) = (Vec::new(), String::new());
    while pipe.read_line(&mut line).expect("lines of text") > 0 {
        if let Some(acknowledgement) = line.strip_suffix('\n').and_then(Acknowledgement::parse) {
            found.push((stamp(), acknowledgement));
        }
        line.clear();
    }
    found
}

/// The same without stamps.
pub fn read(pipe: impl Read) -> Vec<Acknowledgement> {
    let found = read_stamped(pipe, || ());
    found.into_iter().map(|(_, found)| found).collect()
}

pub fn key(writer: u8, count: u64) -> Vec<u8> {
    format!("writer-{writer}-key-{:04}", count % KEYS).into_bytes()
}

/// Both keys of a pair carry the same count.
pub fn pair(writer: u8, count: u64) -> [Vec<u8>; 2] {
    ["left", "right"].map(|side| format!("{side}-{writer}-{:04}", count % KEYS).into_bytes())
}

/// Tells writer and count in every byte, and has a length of its own.
pub fn value(writer: u8, count: u64) -> Vec<u8> {
    let length = 16 + (count * 37 % 300) as usize;
    let mut bytes = count.to_be_bytes().to_vec();
    bytes.extend((8..length).map(|index| (index as u64 ^ count ^ u64::from(writer)) as u8));
    bytes
}

fn count_in(writer: u8, bytes: &[u8]) -> u64 {
    let count = u64::from_be_bytes(bytes[..8].try_into().expect("a count"));
    assert!(bytes == value(writer, count), "a value that nobody wrote");
    count
}

/// The highest count acknowledged to each writer so far, over all rounds.
#[derive(Default)]
pub struct Record {
    highest: BTreeMap<u8, u64>,
}

impl Record {
    pub fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        let highest = self.highest.entry(acknowledgement.writer).or_default();
        assert!(*highest < acknowledgement.count, "counts go up");
        *highest = acknowledgement.count;
    }

    /// Each writer's last acknowledged count of each key is there, or the one count after it that may
    /// have been under way; pairs are equal.
    pub fn compare(&mut self, database: &Database, round: u64) {
        for writer in 0..WRITERS + PAIR_WRITERS {
            let acknowledged = self.highest.get(&writer).copied().unwrap_or(0);
            let counts = counts(database, writer);
            let newest = counts.iter().flatten().copied().max().unwrap_or(0);
            assert!(
                (acknowledged..=acknowledged + 1).contains(&newest),
                "round {round}: writer {writer}: the newest is {newest}, acknowledged {acknowledged}"
            );
            assert_whole(writer, newest, &counts);
            // What was under way and is there is there for good.
            self.highest.insert(writer, newest);
        }
    }
}

/// The count under each slot of a writer; both keys of a pair have the same.
pub fn counts(database: &Database, writer: u8) -> Vec<Option<u64>> {
    let count = |key: &[u8]| {
        let value = database.get(key).expect("a get");
        value.map(|value| count_in(writer, &value))
    };
    let slot = |slot| match writer < WRITERS {
        true => count(&key(writer, slot)),
        false => {
            let [left, right] = pair(writer, slot).map(|key| count(&key));
            assert!(
                left == right,
                "half a batch of {writer}: {left:?}, {right:?}"
            );
            left
        }
    };
    (0..KEYS).map(slot).collect()
}

/// A writer waits for each answer before it goes on: whoever has its count `newest` has all before it.
pub fn assert_whole(writer: u8, newest: u64, counts: &[Option<u64>]) {
    for (slot, found) in (0..).zip(counts) {
        let due = newest.checked_sub((newest + KEYS - slot) % KEYS);
        let due = due.filter(|due| *due > 0);
        assert!(
            *found == due,
            "writer {writer} slot {slot}: {found:?} where {due:?} is due, as {newest} is there"
        );
    }
}

//! What the child said, and what the database must therefore hold.
//!
//! Each writer counts up and writes its count under keys of its own. A batch writes one count under two
//! keys, on whatever shards they fall.

use std::collections::BTreeMap;
use std::io::Read;

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

/// Reads until the other end dies. A line cut short by its death does not count.
pub fn read(mut pipe: impl Read) -> Vec<Acknowledgement> {
    let mut text = String::new();
    pipe.read_to_string(&mut text).expect("lines of text");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(Acknowledgement::parse).collect()
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
            let mut newest = acknowledged;
            for slot in 0..KEYS {
                let keys = match writer < WRITERS {
                    true => vec![key(writer, slot)],
                    false => pair(writer, slot).to_vec(),
                };
                let counts: Vec<Option<u64>> = keys
                    .iter()
                    .map(|key| {
                        database
                            .get(key)
                            .expect("a get")
                            .map(|v| count_in(writer, &v))
                    })
                    .collect();
                assert!(
                    counts.iter().all(|count| *count == counts[0]),
                    "round {round}: half a batch of writer {writer}: {counts:?}"
                );
                // The last count up to `acknowledged` that fell on this slot.
                let due = acknowledged.checked_sub((acknowledged + KEYS - slot) % KEYS);
                let due = due.filter(|due| *due > 0);
                let found = counts[0];
                assert!(
                    found == due || found == Some(acknowledged + 1),
                    "round {round}: writer {writer} slot {slot}: {found:?}, but {due:?} of \
                     {acknowledged} was acknowledged"
                );
                newest = newest.max(found.unwrap_or(0));
            }
            // What was under way and is there is there for good.
            self.highest.insert(writer, newest);
        }
    }
}

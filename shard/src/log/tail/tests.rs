//! Tails entry by entry, as a process would have left them.

use super::*;
use crate::version::ShardId;

const HALF: usize = 1024;
const EPOCH: u64 = 7;

fn identity() -> Identity {
    Identity {
        store: *b"a tail on paper.",
        shard: ShardId(1),
        shards: 2,
    }
}

/// Writes one entry behind the other.
struct Paper {
    bytes: Vec<u8>,
    at: usize,
}

impl Paper {
    fn new() -> Paper {
        Paper {
            bytes: vec![0; 2 * HALF],
            at: 0,
        }
    }

    /// Frame, place and number; its payload is its number.
    fn entry(&mut self, sequence: u64, place: u32, number: u64) -> &mut Paper {
        self.of(EPOCH, sequence, place, number)
    }

    fn of(&mut self, epoch: u64, sequence: u64, place: u32, number: u64) -> &mut Paper {
        let (mut entry, payload) = (Vec::new(), number.to_le_bytes());
        let head = Head {
            epoch,
            sequence,
            number,
            place,
        };
        head.seal(&identity(), &payload, &mut entry);
        self.bytes[self.at..][..entry.len()].copy_from_slice(&entry);
        self.at += entry_bytes(payload.len());
        self
    }

    fn turn_over(&mut self) -> &mut Paper {
        self.at = if self.at < HALF { HALF } else { 0 };
        self
    }

    /// The numbers of the groups that lead on from a log that ends before frame `next`, frame by frame.
    fn owed(&self, next: u64) -> Vec<(u64, Vec<u64>)> {
        let owed = owed(&self.bytes, &identity(), EPOCH, next);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight"));
        let frames = owed.into_iter();
        frames
            .map(|owed| {
                assert_eq!(owed.payload.len() as u64, 8 * owed.groups);
                (owed.sequence, owed.payload.chunks(8).map(number).collect())
            })
            .collect()
    }
}

#[test]
fn what_the_log_lacks_leads_on_from_its_end() {
    let mut paper = Paper::new();
    paper.entry(4, 0, 1).entry(4, 1, 2).turn_over();
    paper.entry(5, 0, 3).entry(6, 0, 4).entry(6, 1, 5);
    let all = [(4, vec![1, 2]), (5, vec![3]), (6, vec![4, 5])];
    assert_eq!(paper.owed(4), all);
    assert_eq!(paper.owed(5), all[1..]);
    assert_eq!(paper.owed(6), all[2..]);
    assert_eq!(paper.owed(7), []);
    assert_eq!(paper.owed(3), [], "frame 3 is in neither");
}

#[test]
fn a_gap_ends_it() {
    let mut number = Paper::new();
    number.entry(4, 0, 1).entry(4, 1, 3);
    assert_eq!(
        number.owed(4),
        [(4, vec![1])],
        "a group between was in the log alone"
    );
    let mut frame = Paper::new();
    frame.entry(4, 0, 1).entry(6, 0, 2);
    assert_eq!(frame.owed(4), [(4, vec![1])], "so was a frame");
    let mut place = Paper::new();
    place.entry(4, 1, 2).entry(5, 0, 3);
    assert_eq!(place.owed(4), [], "the first of its frame is missing");
    assert_eq!(place.owed(5), [(5, vec![3])]);
}

#[test]
fn what_a_half_held_before_does_not_count() {
    let mut paper = Paper::new();
    paper
        .entry(4, 0, 1)
        .entry(4, 1, 2)
        .entry(4, 2, 3)
        .turn_over();
    paper.entry(5, 0, 4).turn_over();
    paper.entry(6, 0, 5);
    assert_eq!(paper.owed(5), [(5, vec![4]), (6, vec![5])]);
    assert_eq!(paper.owed(4), [], "its beginning is gone");
}

/// Epochs came again after a close, and with them their numbers: what stood in the other half came between these, as a gap.
#[test]
fn what_the_log_has_is_no_gap() {
    let mut paper = Paper::new();
    paper.entry(9, 0, 3).entry(9, 1, 4).turn_over();
    paper.entry(4, 0, 3).entry(4, 1, 4).entry(5, 0, 5);
    assert_eq!(paper.owed(9), [(9, vec![3, 4])]);
}

#[test]
fn entries_of_other_epochs_and_torn_ones_do_not_count() {
    let mut older = Paper::new();
    older.of(EPOCH - 1, 4, 0, 1).entry(4, 1, 2);
    assert_eq!(older.owed(4), []);
    let mut torn = Paper::new();
    torn.entry(4, 0, 1).entry(4, 1, 2).entry(4, 2, 3);
    torn.bytes[entry_bytes(8) + 70] ^= 1;
    assert_eq!(torn.owed(4), [(4, vec![1])]);
    assert_eq!(owed(&[], &identity(), EPOCH, 1), []);
    assert_eq!(owed(&[1; 77], &identity(), EPOCH, 1), []);
}

mod written {
    use std::path::Path;

    use ringkeep_io::{Io, PAGE, SimulatedDisk, SimulatedOptions};

    use super::*;

    /// The simulated disk has whole pages.
    const HALF: usize = PAGE;

    fn open(directory: &Directory) -> Tail {
        let tail = Tail::open(directory, &identity(), EPOCH, 2 * HALF);
        tail.expect("no fault").expect("a tail")
    }

    #[test]
    fn a_half_is_used_again_when_the_log_has_what_is_in_it() {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        let mut tail = open(&directory);
        let payload = vec![1; HALF - 3 * format::HEADER_BYTES];
        for (sequence, completed) in [(4, 0), (5, 0), (6, 4), (7, 5)] {
            assert!(tail.has_room(payload.len(), completed));
            let number = sequence - 3;
            tail.write(sequence, number, 0, &payload).expect("no fault");
            let used = sequence > 4;
            assert_eq!(tail.has_room(payload.len(), sequence - 2), !used);
            assert!(tail.has_room(8, 0), "what is small fits beside it");
        }
        assert!(!tail.has_room(2 * HALF, 100));
        let found = read(&directory, &identity(), EPOCH, 6).expect("it can be read");
        assert_eq!(found.len(), 2);
        assert_eq!(read(&directory, &identity(), EPOCH, 4).expect("too"), []);
        assert_eq!(
            read(&directory, &identity(), EPOCH + 1, 6).expect("too"),
            []
        );
    }

    #[test]
    fn where_there_is_no_room_for_a_tail_there_is_none() {
        let full = SimulatedOptions {
            capacity_bytes: 0,
            ..SimulatedOptions::default()
        };
        let disk = SimulatedDisk::new(1, full);
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        assert!(Tail::open(&directory, &identity(), EPOCH, 2 * HALF).is_err());
        assert_eq!(directory.list().expect("a list"), Vec::<String>::new());
        assert_eq!(read(&directory, &identity(), EPOCH, 1).expect("none"), []);
    }
}

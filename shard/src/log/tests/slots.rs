//! The files of the log: whole before their first use, and gone when they cannot be.

use ringkeep_io::{Buffer, Doing, Times};

use super::*;
use crate::log::segments::{open_slot, remove_slots, slot_index};

/// Not a whole number of the pieces in which zeroes are written.
const UNEVEN: u64 = 7 * (1 << 20) + (300 << 10);

fn names(paper: &Paper) -> Vec<String> {
    paper.directory.list().expect("a listing")
}

#[test]
fn every_byte_of_a_new_slot_is_written_before_it_is_used() {
    let paper = Paper::new(0, UNEVEN);
    let before = paper.disk.counters();
    let made = paper.make_slots(3..5, UNEVEN);
    let slots = block_on(&paper.io, made).expect("room");
    let after = paper.disk.counters();
    assert_eq!(slots.len(), 2);
    assert_eq!(after.writes - before.writes, 2 * 8);
    assert_eq!(after.write_bytes - before.write_bytes, 2 * UNEVEN);
    assert_eq!(after.syncs - before.syncs, 2);
    assert_eq!(after.directory_syncs - before.directory_syncs, 1);
    assert_eq!(names(&paper), ["log-0003", "log-0004"]);
    for slot in &slots {
        assert_eq!(slot.file.size(), Ok(UNEVEN));
        let bytes = Buffer::zeroed(UNEVEN as usize);
        let read = block_on(&paper.io, paper.io.read(&slot.file, 0, bytes));
        assert_eq!(read.result, Ok(UNEVEN as usize));
        let (first, rest) = read.buffer.split_at(HEADER_BYTES);
        let head = FrameHeader::read(&identity(), first);
        assert!(head.is_some_and(|head| head.is_unused()));
        assert!(rest.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn four_writes_of_zeroes_are_in_flight_and_no_more() {
    let paper = Paper::new(0, UNEVEN);
    let made = paper.make_slots(0..1, UNEVEN);
    assert_eq!(paper.most_in_flight(made), 4);
}

#[test]
fn where_there_is_no_room_for_all_those_that_fit_are_made() {
    for (fitting, named) in [(0, 0), (2, 2)] {
        let paper = Paper::new(0, SEGMENT);
        paper
            .disk
            .set_capacity_bytes(fitting * SEGMENT + SEGMENT / 2);
        let made = paper.make_slots(0..4, SEGMENT);
        match block_on(&paper.io, made) {
            Ok(slots) => assert_eq!(slots.len(), named),
            Err(error) => {
                assert_eq!(named, 0);
                assert!(matches!(error, Error::Io { error, .. } if error.is_full()));
            }
        }
        assert_eq!(names(&paper).len(), named, "half a slot is worth nothing");
    }
}

#[test]
fn any_other_failure_makes_no_slots() {
    for (doing, spared) in [
        (Doing::Write, 1),
        (Doing::Sync, 1),
        (Doing::SyncDirectory, 0),
    ] {
        let paper = Paper::new(0, SEGMENT);
        paper.disk.fail_at(doing, spared, 5, Times::Once);
        let made = paper.make_slots(0..3, SEGMENT);
        let failed = block_on(&paper.io, made).err();
        assert!(
            matches!(&failed, Some(Error::Io { error, .. }) if !error.is_full()),
            "{doing:?}: {failed:?}"
        );
    }
}

#[test]
fn a_file_of_that_name_is_replaced_only_if_it_is_one() {
    let paper = Paper::new(1, SEGMENT);
    paper.pen(1, 1, 0, 1).groups(1);
    let made = paper.make_slots(0..1, SEGMENT);
    block_on(&paper.io, made).expect("a new slot");
    assert_eq!(paper.read().expect("an empty log").groups.len(), 0);
    paper.disk.fail_next(Doing::Create, 5, Times::Once);
    let made = paper.make_slots(1..2, SEGMENT);
    let failed = block_on(&paper.io, made).err();
    assert!(
        matches!(&failed, Some(Error::Io { error, file }) if !error.is_missing() && file == "log-0001"),
        "{failed:?}"
    );
}

#[test]
fn slots_given_away_are_removed_by_their_numbers() {
    let paper = Paper::new(0, SEGMENT);
    let made = paper.make_slots(0..3, SEGMENT);
    let mut slots = block_on(&paper.io, made).expect("room");
    remove_slots(&paper.directory, 1, slots.split_off(1));
    assert_eq!(names(&paper), ["log-0000"]);
}

#[test]
fn a_slot_that_is_missing_or_short_is_named() {
    let paper = Paper::new(1, SEGMENT);
    assert!(open_slot(&paper.directory, 0, SEGMENT).is_ok());
    for (slot, bytes) in [(1, SEGMENT), (0, SEGMENT + 1)] {
        let missing = open_slot(&paper.directory, slot, bytes).err();
        let file = slot_name(slot);
        assert_eq!(missing, Some(Error::Missing { file }));
    }
    assert_eq!(slot_index("log-0012"), Some(12));
    assert_eq!(slot_index("table-0012"), None);
    assert_eq!(slot_index("log-x"), None);
}

//! Segments of several windows: every byte comes once, and nothing that is not wanted.

use ringkeep_io::MemoryDisk;

use super::*;
use crate::log::segments::open_slot;
use crate::log::windows::Windows;

/// Two windows and a half.
const LARGE: u64 = 1280 << 10;

/// One for each window, and one more where the last one ends short of what was asked for.
const READS: u64 = 4;

/// Reads of a recovery beside one for the head of each slot.
fn reads(paper: &Paper, groups: usize) -> u64 {
    let before = paper.disk.counters().reads;
    let found = paper.read().expect("whole");
    assert_eq!(found.groups.len(), groups);
    for (number, (_, _, payload)) in found.groups.iter().enumerate() {
        assert!(payload.iter().all(|byte| *byte == number as u8));
    }
    paper.disk.counters().reads - before - u64::from(paper.manifest.log_slots)
}

/// Frames of 128 KiB less `less` bytes, ten of which fill a segment.
fn fill(paper: &Paper, slots: &[usize], less: usize) -> usize {
    let mut pen = paper.pen(1, 1, slots[0], 1);
    let mut groups = 0;
    for (turn, slot) in slots.iter().enumerate() {
        if turn > 0 {
            pen.turn_to(*slot);
        }
        for _ in 0..10 {
            pen.group(&vec![groups as u8; (128 << 10) - HEADER_BYTES - less]);
            groups += 1;
        }
    }
    groups
}

#[test]
fn full_segments_are_read_once_window_by_window() {
    let paper = Paper::new(4, LARGE);
    let groups = fill(&paper, &[2, 0, 3, 1], 0);
    assert_eq!(reads(&paper, groups), 4 * READS);
}

#[test]
fn frames_that_cross_from_one_window_into_the_next_are_whole() {
    let paper = Paper::new(3, LARGE);
    let groups = fill(&paper, &[1, 2, 0], PAGE);
    assert_eq!(reads(&paper, groups), 3 * READS);
}

#[test]
fn three_windows_are_on_their_way_over_the_end_of_a_segment() {
    let paper = Paper::new(2, LARGE);
    fill(&paper, &[1, 0], 0);
    assert_eq!(paper.most_in_flight(paper.reading()), 3);
}

#[test]
fn windows_ahead_are_with_the_device_while_one_is_looked_at() {
    let io = Io::memory(&MemoryDisk::new(64 << 20)).expect("memory");
    let directory = io.directory(Path::new("/shard")).expect("a folder");
    let bytes = 4 * (512 << 10);
    let identity = identity();
    let made = create_slots(&io, &directory, &identity, 0..1, bytes);
    block_on(&io, made).expect("room for a slot");
    let slots = [(open_slot(&directory, 0, bytes).expect("a slot"), None)];
    let mut windows = Windows::new(&io, bytes);
    for offset in [0, 512 << 10] {
        block_on(&io, windows.cover(&slots, 0, offset)).expect("whole");
    }
    // Memory answers when it is asked, which is in a turn.
    assert_eq!(io.in_flight(), 0);
}

#[test]
fn windows_that_were_read_ahead_and_hold_nothing_are_passed_over() {
    let paper = Paper::new(3, LARGE);
    let mut pen = paper.pen(1, 1, 2, 1);
    let frame = |number: usize| vec![number as u8; (128 << 10) - HEADER_BYTES];
    // The first segment ends in its second window.
    for number in 0..5 {
        pen.group(&frame(number));
    }
    for (turn, slot) in [0, 1].into_iter().enumerate() {
        pen.turn_to(slot);
        for number in 0..10 {
            pen.group(&frame(5 + 10 * turn + number));
        }
    }
    assert_eq!(reads(&paper, 25), 3 * READS);
}

#[test]
fn what_is_not_in_a_row_is_not_read_ahead() {
    let paper = Paper::new(3, LARGE);
    let mut pen = paper.pen(1, 1, 1, 1);
    pen.group(&[0; 10]);
    pen.turn_to(0);
    pen.group(&[1; 10]);
    // One window of the first segment, and for witnesses all of the last one.
    assert_eq!(reads(&paper, 2), 1 + READS);
    // A slot that does not say that it was never used may hold some too.
    paper.damage(2, 20);
    assert_eq!(reads(&paper, 2), 1 + 2 * READS);
}

#[test]
fn segments_of_others_and_those_before_are_not_looked_through() {
    let paper = Paper::new(5, SEGMENT);
    paper.pen(9, 9, 3, 90).groups(1);
    let mut pen = paper.pen(1, 1, 2, 1);
    pen.group(&[0; 10]);
    pen.turn_to(0);
    pen.group(&[1; 10]);
    pen.turn_to(1);
    pen.group(&[2; 10]);
    assert_eq!(reads(&paper, 3), 3);
}

#[test]
fn a_device_that_fails_is_told_from_damage() {
    let paper = Paper::new(2, LARGE);
    fill(&paper, &[0, 1], 0);
    for bytes in [0..4096, 600 << 10..700 << 10] {
        paper.disk.fail_region("/shard/log-0001", bytes);
        let failed = paper.read().err();
        assert!(
            matches!(&failed, Some(Error::Io { file, .. }) if file.contains("log-0001")),
            "{failed:?}"
        );
        fill(&paper, &[0, 1], 0);
    }
}

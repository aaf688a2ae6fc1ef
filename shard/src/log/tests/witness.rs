//! The first frame that is not whole: torn, or damaged after it was durable?

use super::*;

const ONE: u64 = PAGE as u64;

/// Frames 1 and 2, then one that is lost, then one that says what was durable.
fn log(durable: u64) -> Paper {
    let paper = Paper::new(3, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(2);
    pen.lost();
    pen.next.durable = durable;
    pen.groups(1);
    paper
}

#[test]
fn a_lost_frame_was_durable_if_a_later_one_says_so_and_torn_if_none_does() {
    for durable in [0, 2] {
        let found = log(durable).read().expect("they were in flight together");
        assert_eq!(
            (found.sequences(), found.torn),
            (vec![(1, 1), (2, 2)], true)
        );
    }
    for durable in [3, 4] {
        let (file, offset, detail) = log(durable).refused();
        assert_eq!((file.as_str(), offset), ("log-0000", 2 * ONE));
        assert!(detail.contains("frame 3 is not whole"), "{detail}");
        assert!(detail.contains("frame 4 in log-0000"), "{detail}");
    }
}

#[test]
fn a_witness_may_be_anywhere_behind() {
    // In the next segment, in the one after that, and behind the damaged first frame of a segment.
    for (turns, damaged) in [(1, false), (2, false), (1, true), (2, true)] {
        let paper = Paper::new(3, SEGMENT);
        let mut pen = paper.pen(1, 1, 1, 1);
        pen.groups(2);
        pen.lost();
        for slot in 0..turns {
            pen.turn_to([2, 0][slot]);
            pen.groups(1);
        }
        if damaged {
            paper.damage(pen.slot, 20);
        }
        pen.next.durable = 3;
        pen.groups(1);
        let (file, offset, detail) = paper.refused();
        assert_eq!((file.as_str(), offset), ("log-0001", 2 * ONE));
        let witness = format!("in {} says", slot_name(pen.slot));
        assert!(detail.contains(&witness), "{detail}");
    }
}

#[test]
fn the_witness_may_be_the_last_page_of_a_segment() {
    let paper = Paper::new(1, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(2);
    for _ in 0..13 {
        pen.lost();
    }
    pen.next.durable = 3;
    pen.groups(1);
    assert_eq!(pen.offset, SEGMENT);
    paper.refused();
}

#[test]
fn frames_of_others_are_no_witnesses() {
    // In the same slot, from an earlier use of it; and in a slot of its own.
    for slot in [0, 1, 2] {
        let paper = Paper::new(3, SEGMENT);
        let mut old = paper.pen(9, 5, slot, 3);
        old.next.durable = 100;
        old.groups(6);
        let mut pen = paper.pen(1, 1, 0, 1);
        pen.groups(2);
        let found = paper.read().expect("a log that just ends");
        assert_eq!(found.sequences(), [(1, 1), (2, 2)]);
        assert!(!found.torn);
    }
}

#[test]
fn frames_before_the_lost_one_are_no_witnesses() {
    // The slot's older half is of this very epoch, as after a part of the log that was cut off.
    let paper = Paper::new(2, SEGMENT);
    let mut old = paper.pen(1, 1, 0, 1);
    old.next.durable = 100;
    old.offset = 6 * ONE;
    old.groups(2);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(2);
    let found = paper.read().expect("a log that just ends");
    assert_eq!((found.sequences().len(), found.torn), (2, false));
}

/// No segment of the piece is to be seen, and somebody says that frames of it were durable.
#[test]
fn a_first_segment_that_is_not_there_at_all_is_missed_too() {
    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 2, 1, 5);
    pen.next.durable = 4;
    pen.groups(1);
    let (file, offset, detail) = paper.refused();
    assert_eq!((file.as_str(), offset), ("log-0000", 0));
    assert!(detail.contains("frame 1 is not whole"), "{detail}");
}

/// The first frame of the next segment has its head and not its payload: that is where to look.
#[test]
fn damage_at_the_beginning_of_the_next_segment_is_named_there() {
    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(2);
    pen.turn_to(1);
    pen.next.durable = 2;
    pen.groups(1);
    pen.next.durable = 3;
    pen.groups(1);
    paper.damage(1, 90);
    let (file, offset, detail) = paper.refused();
    assert_eq!((file.as_str(), offset), ("log-0001", 0));
    assert!(detail.contains("frame 3 is not whole"), "{detail}");
}

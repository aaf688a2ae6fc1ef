//! Frames that are in tables already: nobody needs them, and what became of them must not matter.

use super::*;

const ONE: u64 = PAGE as u64;

/// Frames 1 to 3 are dead, as `damaged` says of each what became of it; 4 and 5 are needed.
fn read(damaged: &[u64]) -> Vec<(u64, u64)> {
    let mut paper = Paper::new(2, SEGMENT);
    paper.manifest.replay_after = 3;
    paper.pen(1, 1, 0, 1).groups(5);
    for sequence in damaged {
        paper.damage(0, (sequence - 1) * ONE + 90);
    }
    paper.read().expect("dead frames do not matter").sequences()
}

#[test]
fn damage_among_dead_frames_is_passed_over() {
    for damaged in [&[][..], &[2], &[3], &[2, 3]] {
        assert_eq!(read(damaged), [(4, 4), (5, 5)], "{damaged:?}");
    }
}

#[test]
fn nothing_is_passed_over_to_a_frame_behind_the_first_one_needed() {
    // Of 3, 4 and 5 only the last reached the disk, and says that nothing before it was durable.
    let mut paper = Paper::new(1, SEGMENT);
    paper.manifest.replay_after = 3;
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(1);
    let last = pen.group(b"dead");
    pen.lost();
    pen.lost();
    pen.next.durable = 3;
    pen.groups(1);
    let found = paper.read().expect("they were in flight together");
    assert_eq!(found.sequences(), []);
    assert!(found.torn);
    assert_eq!(found.end.last.sequence, 3);
    assert_eq!(last.sequence, 2);
}

#[test]
fn a_needed_frame_behind_lost_dead_ones_was_durable_if_a_later_one_says_so() {
    let mut paper = Paper::new(1, SEGMENT);
    paper.manifest.replay_after = 3;
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(1);
    for _ in 2..=4 {
        pen.lost();
    }
    pen.next.durable = 4;
    pen.groups(1);
    let (file, offset, detail) = paper.refused();
    assert_eq!((file.as_str(), offset), ("log-0000", ONE));
    assert!(detail.contains("frame 4 is not whole"), "{detail}");
}

#[test]
fn frames_of_others_are_not_gone_on_with_behind_damage_in_dead_ones() {
    let differences: [fn(&mut FrameHeader); 2] = [|next| next.epoch += 1, |next| next.segment += 1];
    for differ in differences {
        let mut paper = Paper::new(1, SEGMENT);
        paper.manifest.replay_after = 3;
        let mut pen = paper.pen(1, 1, 0, 1);
        pen.groups(1);
        pen.lost();
        differ(&mut pen.next);
        pen.groups(2);
        assert_eq!(paper.read().expect("no damage").sequences(), []);
    }
}

/// A frame of an earlier use of the slot lies where the row was left, and is older than what was read.
#[test]
fn nothing_is_passed_over_backwards() {
    let mut paper = Paper::new(1, SEGMENT);
    paper.manifest.replay_after = 3;
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(1);
    pen.lost();
    pen.next.sequence = 2;
    pen.groups(1);
    pen.next.sequence = 4;
    pen.groups(1);
    assert_eq!(paper.read().expect("no damage").sequences(), [(4, 4)]);
}

/// A group of three frames is dead but for what recovery cannot know; the second one is gone.
#[test]
fn the_rest_of_a_group_whose_middle_is_gone_is_no_part_of_the_next() {
    let mut paper = Paper::new(1, SEGMENT);
    paper.manifest.replay_after = 4;
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(1);
    pen.part(&[1; 10]);
    let gone = pen.offset;
    pen.part(&[2; 5000]);
    pen.group(&[3; 20]);
    pen.part(&[4; 30]);
    pen.group(&[5; 40]);
    paper.damage(0, gone);
    let found = paper.read().expect("dead frames do not matter");
    let group = [&[4; 30][..], &[5; 40]].concat();
    assert_eq!(found.groups, [(5, 6, group)]);
}

/// The first frames of a group are dead and one of them is gone; the group itself is needed only from `replay_after` on.
#[test]
fn a_part_in_front_of_lost_frames_is_dropped_with_its_bytes() {
    let mut paper = Paper::new(1, SEGMENT);
    paper.manifest.replay_after = 2;
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.part(&[1; 10]);
    pen.lost();
    pen.part(&[3; 30]);
    pen.group(&[4; 40]);
    let found = paper.read().expect("dead frames do not matter");
    let group = [&[3; 30][..], &[4; 40]].concat();
    assert_eq!(found.groups, [(3, 4, group)]);
}

#[test]
fn reading_begins_with_the_last_segment_that_begins_at_or_before_the_first_frame_needed() {
    for (replay_after, frames) in [(1, 6), (2, 4), (3, 4), (4, 2), (5, 2)] {
        let mut paper = Paper::new(4, SEGMENT);
        paper.manifest.replay_after = replay_after;
        let mut pen = paper.pen(1, 1, 2, 1);
        pen.groups(2);
        pen.turn_to(0);
        pen.groups(2);
        pen.turn_to(3);
        pen.groups(2);
        let found = paper.read().expect("a whole log");
        let expected: Vec<_> = (replay_after + 1..=6).map(|n| (n, n)).collect();
        assert_eq!(found.sequences(), expected);
        assert_eq!(found.frames, frames, "behind {replay_after}");
    }
}

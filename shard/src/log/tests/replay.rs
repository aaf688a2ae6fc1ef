//! Frames, groups and segments of one piece.

use super::*;

const ONE: u64 = PAGE as u64;

#[test]
fn groups_come_back_in_order_with_all_their_bytes_over_frames_and_segments() {
    let paper = Paper::new(3, SEGMENT);
    let mut pen = paper.pen(1, 1, 2, 1);
    pen.group(b"alone");
    pen.part(&[7; 5000]);
    pen.part(&[8; 10]);
    pen.group(&[9; 100]);
    pen.turn_to(0);
    pen.part(&[1; 20]);
    pen.turn_to(1);
    let last = pen.group(b"over two segments");
    let found = paper.read().expect("a whole log");
    let joined = [&[7; 5000][..], &[8; 10], &[9; 100]].concat();
    let split = [&[1; 20][..], b"over two segments"].concat();
    assert_eq!(
        found.groups,
        [(1, 1, b"alone".to_vec()), (2, 4, joined), (5, 6, split)]
    );
    assert_eq!((found.frames, found.bytes), (6, 7 * ONE));
    assert!(!found.torn);
    assert_eq!(found.end.last, last);
}

#[test]
fn a_group_without_its_last_frame_is_torn() {
    let paper = Paper::new(1, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    let last = pen.group(b"whole");
    pen.part(b"never acknowledged");
    let found = paper.read().expect("a torn tail is no damage");
    assert_eq!(found.sequences(), [(1, 1)]);
    assert_eq!((found.end.last, found.torn), (last, true));
}

#[test]
fn a_log_that_just_ends_is_not_torn() {
    let paper = Paper::new(2, SEGMENT);
    let found = paper.read().expect("an empty log");
    assert_eq!((found.sequences(), found.torn), (vec![], false));
    paper.pen(1, 1, 0, 1).groups(3);
    let found = paper.read().expect("a short log");
    assert_eq!((found.sequences().len(), found.torn), (3, false));
}

/// What stood there from an earlier use of the slot, or was cut off before, agrees with the row in all but one thing.
#[test]
fn a_frame_that_differs_in_one_thing_from_the_one_that_must_follow_does_not() {
    let differences: [fn(&mut FrameHeader); 4] = [
        |next| next.epoch += 1,
        |next| next.segment += 1,
        |next| next.sequence += 1,
        |next| next.previous_crc ^= 1,
    ];
    for (number, differ) in differences.iter().enumerate() {
        let paper = Paper::new(2, SEGMENT);
        let mut pen = paper.pen(1, 1, 0, 1);
        pen.groups(2);
        differ(&mut pen.next);
        pen.groups(1);
        let found = paper.read().expect("no damage");
        assert_eq!(found.sequences(), [(1, 1), (2, 2)], "difference {number}");
        assert_eq!(found.torn, number > 0, "difference {number}");
    }
}

#[test]
fn the_next_segment_is_the_one_with_the_next_number_of_the_same_epoch() {
    let paper = Paper::new(4, SEGMENT);
    // Left over from others: the next number in another epoch, and another number in this one.
    paper.pen(9, 2, 0, 3).groups(2);
    paper.pen(1, 4, 1, 3).groups(1);
    let mut pen = paper.pen(1, 1, 3, 1);
    pen.groups(2);
    pen.turn_to(2);
    pen.groups(2);
    let found = paper.read().expect("a whole log");
    assert_eq!(found.sequences(), [(1, 1), (2, 2), (3, 3), (4, 4)]);
}

#[test]
fn a_segment_of_another_epoch_is_not_begun_with() {
    let mut paper = Paper::new(2, SEGMENT);
    paper.manifest.replay_after = 3;
    paper.pen(9, 7, 1, 3).groups(2);
    paper.pen(1, 1, 0, 1).groups(5);
    let found = paper.read().expect("a whole log");
    assert_eq!(found.sequences(), [(4, 4), (5, 5)]);
}

#[test]
fn a_frame_may_end_where_its_segment_ends_and_not_behind() {
    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(14);
    pen.group(&[1; 2 * PAGE - HEADER_BYTES]);
    pen.turn_to(1);
    pen.groups(1);
    assert_eq!(paper.read().expect("a full segment").groups.len(), 16);

    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(15);
    // Its head is whole, and what it says cannot be.
    let header = FrameHeader {
        payload_bytes: 2 * PAGE as u32,
        ..pen.next
    };
    let mut frame = vec![0; 3 * PAGE];
    header.seal(&identity(), &mut frame);
    paper
        .disk
        .overwrite("/shard/log-0000", 15 * ONE, &frame[..PAGE]);
    let found = paper.read().expect("no frame of ours");
    assert_eq!((found.groups.len(), found.torn), (15, false));
}

#[test]
fn a_payload_that_is_not_what_was_written_ends_the_log() {
    for (payload, rot) in [(100, 90), (10_000, 9_000)] {
        let paper = Paper::new(1, SEGMENT);
        let mut pen = paper.pen(1, 1, 0, 1);
        pen.groups(1);
        pen.part(&[5; 50]);
        let damaged = pen.offset;
        pen.group(&vec![6; payload]);
        assert_eq!(paper.read().expect("whole").sequences(), [(1, 1), (2, 3)]);
        paper.damage(0, damaged + rot);
        let found = paper.read().expect("a torn tail");
        assert_eq!(found.sequences(), [(1, 1)]);
        assert!(found.torn);
    }
}

/// The rest of a group is in the next segment; what follows its beginning here says the same of itself and is not whole.
#[test]
fn nothing_of_a_frame_that_is_not_whole_is_left_in_its_group() {
    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.part(&[1; 50]);
    let (damaged, next) = (pen.offset, pen.next);
    pen.group(&[2; 5000]);
    paper.damage(0, damaged + 4500);
    pen.next = next;
    pen.turn_to(1);
    pen.group(&[3; 60]);
    let found = paper.read().expect("the group goes on");
    assert_eq!(found.groups, [(1, 2, [&[1; 50][..], &[3; 60]].concat())]);
}

/// Whoever forged a frame that says that it goes on must not make an opening fill the memory.
#[test]
fn a_group_beyond_any_batch_is_refused() {
    for beyond in [0, 1] {
        let paper = Paper::new(1, 4 << 20);
        let mut pen = paper.pen(1, 1, 0, 1);
        for _ in 0..3 {
            pen.part(&vec![1; crate::limits::GROUP_BYTES_MAX / 4]);
        }
        pen.group(&vec![1; crate::limits::GROUP_BYTES_MAX / 4 + beyond]);
        assert_eq!(paper.read().is_ok(), beyond == 0);
    }
}

#[test]
fn frames_of_two_groups_in_one_are_refused() {
    let paper = Paper::new(1, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.part(b"of one");
    pen.next.version = Version(7);
    pen.group(b"of another");
    let (_, _, detail) = paper.refused();
    assert!(detail.contains("frame 2: frames of two groups"), "{detail}");
}

#[test]
fn a_log_of_another_release_is_refused_as_such() {
    let paper = Paper::new(2, SEGMENT);
    paper.pen(1, 1, 0, 1).groups(2);
    let head = paper.disk.read_raw("/shard/log-0000").expect("a slot");
    let mut head = head[..HEADER_BYTES].to_vec();
    head[4] = 77;
    let crc = crate::checksum::crc32c(&head[..HEADER_BYTES - 4]);
    head[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    paper.disk.overwrite("/shard/log-0000", 0, &head);
    let refused = paper.read().err();
    assert!(
        matches!(&refused, Some(Error::Version { file, found: 77, .. }) if file == "log-0000"),
        "{refused:?}"
    );
    // Half of such a head is nothing.
    paper.damage(0, 20);
    assert_eq!(paper.read().expect("an empty log").groups.len(), 0);
}

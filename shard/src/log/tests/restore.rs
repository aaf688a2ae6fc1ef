//! What the tail gives back to the log, and where it is found again.

use super::*;
use crate::log::tail::{Owed, Tail};

/// Frames 1 and 2 in a piece that ended, all in tables. Of the open one the first frame, 3, is torn, and 4 is whole in the segment behind
/// it.
fn torn([ended, first, second]: [usize; 3]) -> Paper {
    let slots = [ended, first, second]
        .into_iter()
        .max()
        .map_or(0, |last| last + 1);
    let mut paper = Paper::new(slots, SEGMENT);
    let mut pen = paper.pen(1, 1, ended, 1);
    pen.groups(1);
    let end = pen.group(b"the last");
    let mut pen = paper.pen(2, 2, first, 3);
    pen.groups(1);
    pen.turn_to(second);
    pen.groups(1);
    paper.damage(first, HEADER_BYTES as u64);
    paper.manifest.pieces = vec![
        LogPiece {
            end: Some(end),
            ..open_piece(1, 1, 1)
        },
        open_piece(2, 2, 3),
    ];
    paper.manifest.replay_after = 2;
    paper
}

/// Puts frames back that the tail has, as an opening does; where the log ends with them.
fn restore(paper: &Paper, mut end: LogEnd, owed: &[Owed]) -> PieceEnd {
    let files = end.open_slots(&paper.directory).expect("slots");
    let identity = identity();
    let restored = end.restore(&paper.io, &files, &identity, owed);
    block_on(&paper.io, restored).expect("room");
    end.last
}

/// A group for each of these frames.
fn owed<const N: usize>(sequences: [u64; N]) -> [Owed; N] {
    sequences.map(|sequence| Owed {
        sequence,
        payload: vec![sequence as u8; 10],
        groups: 1,
    })
}

/// Puts frames 3 to 6 back behind a log of which nothing is left.
fn restore_four(paper: &Paper) -> PieceEnd {
    let found = paper.read().expect("a torn tail");
    assert_eq!(found.sequences(), []);
    restore(paper, found.end, &owed([3, 4, 5, 6]))
}

/// A power cut left the header of a segment's first frame and not the rest, and some of the segment behind it. What the tail had of
/// that frame went into another slot, and the next opening looked for it where it was torn: it took that for damage, and the
/// database did not open. Found by the simulator, seed 1905400384.
#[test]
fn what_was_restored_counts_and_not_the_torn_frame_of_the_same_number() {
    for slots in [[0, 1, 0], [1, 0, 1]] {
        let mut paper = torn(slots);
        let end = restore_four(&paper);
        for end in [None, Some(end)] {
            paper.manifest.pieces[1].end = end;
            let found = paper.read().expect("what was restored");
            let expected = [3, 4, 5, 6].map(|number| (number, number));
            assert_eq!(found.sequences(), expected, "{slots:?}, {end:?}");
        }
    }
}

/// The same, but what the cut had left of the later segment was not written over: an opening behind a flush of some of what was
/// restored would have begun there, where nothing follows.
#[test]
fn what_was_restored_counts_and_not_what_was_cut_behind_it() {
    let mut paper = torn([0, 1, 2]);
    let end = restore_four(&paper);
    paper.manifest.pieces[1].end = Some(end);
    for replay_after in 2..6 {
        paper.manifest.replay_after = replay_after;
        let found = paper.read().expect("what was restored");
        let expected: Vec<_> = (replay_after + 1..=6).map(|n| (n, n)).collect();
        assert_eq!(found.sequences(), expected);
    }
}

/// Tables have all of the log, so the process had begun its one segment anew, and answered as long as there was room in that. Put back behind what
/// tables have, it did not fit. Found by the simulator (`tail-that-counted-on-a-whole-segment`).
#[test]
fn what_is_put_back_behind_a_log_that_tables_have_gets_the_room_of_a_whole_segment() {
    let mut paper = Paper::new(1, SEGMENT);
    let pages = SEGMENT as usize / PAGE;
    paper.pen(1, 1, 0, 1).groups(pages as u64 - 6);
    paper.manifest.pieces = vec![open_piece(1, 1, 1)];
    let last = pages as u64 - 6;
    paper.manifest.replay_after = last;
    let found = paper.read().expect("a log that tables have");
    let mut owed = owed([last + 1, last + 2]);
    for owed in &mut owed {
        owed.payload = vec![7; 4 * PAGE];
    }
    restore(&paper, found.end, &owed);
    let found = paper.read().expect("what was restored");
    let expected = [last + 1, last + 2].map(|number| (number, number));
    assert_eq!(found.sequences(), expected);
}

/// Frame 4 was to carry two groups, of which one was too large for the tail. The power went, and an opening put back what the tail had of
/// it and was killed. The next one took what the tail had of frame 5 for what comes behind it: the large group was missing, and
/// what came after it was there. Found by the simulator, seed 79003843 (--tails).
#[test]
fn what_was_behind_a_gap_stays_there_once_the_log_has_what_was_before_it() {
    let mut paper = Paper::new(2, SEGMENT);
    paper.pen(1, 1, 0, 1).groups(3);
    paper.manifest.pieces = vec![open_piece(1, 1, 1)];
    let tail = Tail::open(&paper.directory, &identity(), 1, 1000);
    let mut tail = tail.expect("it is made").expect("there is one");
    tail.write(4, 4, 0, b"the first group").expect("room");
    tail.write(5, 6, 0, b"behind the gap").expect("room");
    for (openings, restored) in [(0, vec![4]), (1, vec![]), (2, vec![])] {
        let found = paper.read().expect("a log");
        assert_eq!(found.sequences().len(), 3 + openings.min(1));
        let owed = found.end.read_tail(&paper.directory, &identity());
        let owed = owed.expect("a tail");
        let sequences: Vec<u64> = owed.iter().map(|owed| owed.sequence).collect();
        assert_eq!(sequences, restored, "behind {openings} openings");
        restore(&paper, found.end, &owed);
    }
    // What an epoch put back says nothing of the tail of the next one.
    let found = paper.read().expect("a log");
    paper.manifest.pieces = vec![
        LogPiece {
            end: Some(found.end.last),
            ..open_piece(1, 1, 1)
        },
        open_piece(2, 2, 5),
    ];
    let tail = Tail::open(&paper.directory, &identity(), 2, 1000);
    let mut tail = tail.expect("it is there").expect("there is one");
    tail.write(5, 1, 0, b"of the next").expect("room");
    let found = paper.read().expect("a log");
    let owed = found.end.read_tail(&paper.directory, &identity());
    assert_eq!(owed.expect("a tail").len(), 1);
}

/// A write failed, the one behind it had begun a segment and landed. What the tail had of both went behind the end of the log, in the segment
/// before that one; behind a flush of all but the last of it, an opening looked for that where the landed one was. Found by the simulator,
/// seed 50961191900002.
#[test]
fn what_was_restored_counts_and_not_what_had_landed_in_a_later_segment() {
    let mut paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 0, 1);
    pen.groups(3);
    pen.turn_to(1);
    pen.groups(2);
    paper.damage(0, 2 * PAGE as u64 + HEADER_BYTES as u64);
    paper.manifest.pieces = vec![open_piece(1, 1, 1)];
    let found = paper.read().expect("a torn frame");
    assert_eq!(found.sequences(), [(1, 1), (2, 2)]);
    restore(&paper, found.end, &owed([3, 4]));
    // As if that opening had been killed before it forgot what had landed.
    let mut pen = paper.pen(1, 2, 1, 4);
    pen.groups(2);
    let found = paper.read().expect("what was restored");
    let end = restore(&paper, found.end, &[]);
    paper.manifest.pieces[0].end = Some(end);
    for replay_after in 0..4 {
        paper.manifest.replay_after = replay_after;
        let found = paper.read().expect("what was restored");
        let expected: Vec<_> = (replay_after + 1..=4).map(|n| (n, n)).collect();
        assert_eq!(found.sequences(), expected);
    }
}

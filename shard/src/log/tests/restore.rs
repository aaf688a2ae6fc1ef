//! What the tail gives back to the log, and where it is found again.

use super::*;
use crate::log::tail::Owed;

/// A power cut left the header of a segment's first frame and not the rest, and some of the segment behind it. What the tail had of
/// that frame went into another slot, and the next opening looked for it where it was torn: it took that for damage, and the
/// database did not open. Found by the simulator, seed 1905400384.
#[test]
fn what_was_restored_counts_and_not_the_torn_frame_of_the_same_number() {
    for (before, torn) in [(0, 1), (1, 0)] {
        let mut paper = Paper::new(2, SEGMENT);
        let mut pen = paper.pen(1, 1, before, 1);
        pen.groups(1);
        let end = pen.group(b"the last");
        let mut pen = paper.pen(2, 2, torn, 3);
        pen.groups(1);
        pen.turn_to(before);
        pen.groups(1);
        paper.damage(torn, HEADER_BYTES as u64);
        paper.manifest.pieces = vec![
            LogPiece {
                end: Some(end),
                ..open_piece(1, 1, 1)
            },
            open_piece(2, 2, 3),
        ];
        paper.manifest.replay_after = 2;
        let mut found = paper.read().expect("a torn tail");
        assert_eq!(found.sequences(), []);
        let files = found.end.open_slots(&paper.directory).expect("slots");
        let owed = [3, 4].map(|sequence| Owed {
            sequence,
            payload: vec![sequence as u8; 10],
            groups: 1,
        });
        let identity = identity();
        let restored = found.end.restore(&paper.io, &files, &identity, &owed);
        block_on(&paper.io, restored).expect("room");
        for end in [None, Some(found.end.last)] {
            paper.manifest.pieces[1].end = end;
            let found = paper.read().expect("what was restored");
            assert_eq!(found.sequences(), [(3, 3), (4, 4)], "slot {torn}, {end:?}");
        }
    }
}

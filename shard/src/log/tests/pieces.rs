//! What several incarnations left, one piece each, and how the next one goes on.

use ringkeep_io::File;

use super::*;
use crate::log::Log;
use crate::log::segments::Content;

const ONE: u64 = PAGE as u64;

/// Frames 1 to 3 in a piece that ended, with two behind them that were cut off; then 4 to 6 in the open one.
fn two_pieces() -> (Paper, PieceEnd) {
    let mut paper = Paper::new(3, SEGMENT);
    let mut pen = paper.pen(1, 1, 2, 1);
    pen.groups(2);
    let end = pen.group(b"the last");
    pen.group(b"cut");
    pen.group(b"cut");
    let mut pen = paper.pen(2, 2, 0, 4);
    pen.groups(3);
    paper.manifest.pieces = vec![
        LogPiece {
            end: Some(end),
            ..open_piece(1, 1, 1)
        },
        open_piece(2, 2, 4),
    ];
    (paper, end)
}

#[test]
fn a_piece_ends_where_the_manifest_says_and_the_next_one_follows() {
    let (mut paper, _) = two_pieces();
    for replay_after in 0..6 {
        paper.manifest.replay_after = replay_after;
        let found = paper.read().expect("two whole pieces");
        let expected: Vec<_> = (replay_after + 1..=6).map(|n| (n, n)).collect();
        assert_eq!(found.sequences(), expected);
        let fourth = found.groups.iter().find(|group| group.0 == 4);
        assert!(fourth.is_none_or(|group| group.2 == 4u64.to_le_bytes()));
    }
}

#[test]
fn a_piece_whose_slots_are_gone_is_not_missed_once_it_is_in_tables() {
    let (mut paper, _) = two_pieces();
    paper.damage(2, 10);
    paper.manifest.replay_after = 3;
    let found = paper.read().expect("what is left is whole");
    assert_eq!(found.sequences(), [(4, 4), (5, 5), (6, 6)]);
    paper.manifest.replay_after = 2;
    let (_, _, detail) = paper.refused();
    assert!(detail.contains("frame 3: a frame before"), "{detail}");
}

#[test]
fn a_frame_missing_in_a_piece_that_ended_is_refused_by_name_without_a_witness() {
    let (paper, _) = two_pieces();
    paper.damage(2, 2 * ONE + 90);
    let (file, offset, detail) = paper.refused();
    assert_eq!((file.as_str(), offset), ("log-0002", 2 * ONE));
    assert!(detail.contains("frame 3: a frame before"), "{detail}");
}

#[test]
fn another_last_frame_than_the_recorded_one_is_refused() {
    let (mut paper, end) = two_pieces();
    paper.manifest.pieces[0].end = Some(PieceEnd {
        crc: end.crc ^ 1,
        ..end
    });
    let (_, _, detail) = paper.refused();
    assert!(detail.contains("not the recorded one"), "{detail}");
}

#[test]
fn the_next_piece_is_above_all_that_was_there() {
    let (mut paper, _) = two_pieces();
    let next = |paper: &Paper| paper.read().expect("whole").end.next_piece();
    assert_eq!(next(&paper), open_piece(3, 3, 7));
    // Of a tail that a power cut took from the log, the sequences are spent.
    paper.manifest.flushed = 9;
    assert_eq!(next(&paper), open_piece(3, 3, 10));
    // A slot holds a newer segment than any piece began with.
    paper.pen(1, 8, 1, 50).groups(1);
    assert_eq!(next(&paper), open_piece(3, 9, 10));
    let empty = Paper::new(1, SEGMENT);
    assert_eq!(next(&empty), open_piece(2, 2, 1));
    let mut fresh = Paper::new(1, SEGMENT);
    fresh.manifest.pieces.clear();
    assert_eq!(next(&fresh), open_piece(1, 1, 1));
}

fn going_on(paper: &Paper) -> (Log, LogPiece) {
    let end = paper.read().expect("whole").end;
    let files = end.open_slots(&paper.directory).expect("all slots");
    let piece = end.next_piece();
    (end.into_log(&identity(), files, piece, 4 * PAGE), piece)
}

fn contents(log: &Log) -> Vec<Content> {
    log.slots.iter().map(|slot| slot.content).collect()
}

fn live(segment: u64, last_sequence: u64) -> Content {
    Content::Live {
        segment,
        last_sequence,
    }
}

#[test]
fn slots_are_kept_as_long_as_they_have_frames_that_recovery_needs() {
    let (mut paper, _) = two_pieces();
    let mut pen = paper.pen(2, 3, 1, 7);
    pen.groups(1);
    // Frame 7 names none before it, so the log ends with frame 6; its slot holds frames of an open piece.
    let (log, piece) = going_on(&paper);
    assert_eq!(contents(&log), [live(2, 6), live(3, 6), live(1, 6)]);
    assert_eq!((log.epoch, log.segment, log.next_sequence), (3, 3, 7));
    assert_eq!((log.completed, log.durable), (6, 6));
    assert_eq!(piece, open_piece(3, 4, 7));
    for (replay_after, kept) in [(2, true), (3, false), (5, false)] {
        paper.manifest.replay_after = replay_after;
        let (log, _) = going_on(&paper);
        assert_eq!(contents(&log)[2] != Content::Free, kept);
        assert_eq!(contents(&log)[..2], [live(2, 6), live(3, 6)]);
    }
}

#[test]
fn a_segment_ends_before_the_next_one_of_its_epoch_begins() {
    let paper = Paper::new(4, SEGMENT);
    let mut pen = paper.pen(1, 1, 3, 1);
    pen.groups(2);
    pen.turn_to(0);
    pen.groups(3);
    pen.turn_to(2);
    let last = pen.group(b"x");
    // Of another epoch, and numbered as if it followed.
    paper.pen(7, 2, 1, 90).groups(1);
    let (log, _) = going_on(&paper);
    assert_eq!(
        contents(&log),
        [live(2, 5), Content::Free, live(3, 6), live(1, 2)]
    );
    assert_eq!(log.last_crc(), last.crc);
    assert_eq!(log.payload_max(), 4 * PAGE - HEADER_BYTES);
}

/// How many writes, of how many bytes, and how many syncs make durable what was replayed.
fn cost(paper: &Paper) -> (u64, u64, u64) {
    let end = paper.read().expect("whole").end;
    let files: Vec<File> = end.open_slots(&paper.directory).expect("all slots");
    let before = paper.disk.counters();
    let bytes = |slot| paper.disk.read_raw(&format!("/shard/{}", slot_name(slot)));
    let contents: Vec<_> = (0..files.len()).map(bytes).collect();
    block_on(&paper.io, end.make_durable(&paper.io, &files)).expect("no fault");
    let after = paper.disk.counters();
    let again: Vec<_> = (0..files.len()).map(bytes).collect();
    assert!(contents == again, "what is written is what was there");
    (
        after.writes - before.writes,
        after.write_bytes - before.write_bytes,
        after.syncs - before.syncs,
    )
}

#[test]
fn frames_that_no_later_one_calls_durable_are_written_once_more() {
    for (durable, expected) in [(0, (1, 4 * ONE, 1)), (2, (1, 4 * ONE, 1)), (3, (1, ONE, 1))] {
        let paper = Paper::new(3, SEGMENT);
        let mut pen = paper.pen(1, 1, 1, 1);
        pen.groups(3);
        pen.next.durable = durable;
        pen.groups(1);
        assert_eq!(cost(&paper), expected, "{durable} are durable");
    }
}

#[test]
fn what_a_piece_that_ended_holds_was_made_durable_by_the_next_one() {
    let (paper, _) = two_pieces();
    assert_eq!(cost(&paper), (1, 3 * ONE, 2));
}

#[test]
fn frames_in_two_segments_are_written_in_two_stretches() {
    let paper = Paper::new(2, SEGMENT);
    let mut pen = paper.pen(1, 1, 1, 1);
    pen.groups(2);
    pen.turn_to(0);
    pen.groups(3);
    assert_eq!(cost(&paper), (2, 5 * ONE, 2));
    // The second says that the first is durable.
    pen.next.durable = 2;
    pen.groups(1);
    assert_eq!(cost(&paper), (1, 4 * ONE, 2));
}

#[test]
fn a_stretch_has_a_mebibyte_at_most() {
    const HALF: usize = 512 << 10;
    for (bytes, writes) in [(HALF, 2), (HALF + PAGE, 4)] {
        let paper = Paper::new(1, 4 << 20);
        let mut pen = paper.pen(1, 1, 0, 1);
        for _ in 0..4 {
            pen.group(&vec![1; bytes - HEADER_BYTES]);
        }
        assert_eq!(cost(&paper), (writes, 4 * bytes as u64, 1));
    }
}

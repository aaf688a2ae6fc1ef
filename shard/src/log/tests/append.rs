//! Writing: what a frame may rely on, what counts as durable, and which slots are in use.

use super::*;
use crate::log::segments::Content;
use crate::log::{FrameIntent, Log, UNSYNCED_MAX};

const ONE: u64 = PAGE as u64;
/// The largest payload of a frame of so many pages.
const fn pages(count: usize) -> usize {
    count * PAGE - HEADER_BYTES
}

struct Desk {
    paper: Paper,
    log: Log,
}

impl Desk {
    fn new(slots: usize) -> Desk {
        let mut paper = Paper::new(slots, SEGMENT);
        paper.manifest.pieces.clear();
        let end = paper.read().expect("an empty log").end;
        let files = end.open_slots(&paper.directory).expect("all slots");
        let piece = end.next_piece();
        paper.manifest.pieces.push(piece);
        let log = end.into_log(&identity(), files, piece, 4 * PAGE);
        Desk { paper, log }
    }

    fn append(&mut self, payload_bytes: usize, durable: bool) -> u64 {
        self.append_frame(
            payload_bytes,
            FrameIntent {
                version: Version(7),
                millis: 0,
                continues: false,
                closing: false,
                durable,
            },
        )
    }

    fn append_frame(&mut self, payload_bytes: usize, intent: FrameIntent) -> u64 {
        let mut buffer = self.log.take_buffer();
        buffer[HEADER_BYTES..][..payload_bytes].fill(7);
        self.log
            .append(&self.paper.io, buffer, payload_bytes, intent)
    }

    /// Until nothing is in flight; the log has not heard of it.
    fn land(&self) {
        while self.paper.io.in_flight() > 0 {
            if self.paper.io.turn() == 0 {
                self.paper.io.park(None);
            }
        }
    }

    fn settle(&mut self) {
        self.land();
        self.log.reap().expect("no fault");
    }

    fn write(&mut self, payload_bytes: usize, durable: bool) {
        self.append(payload_bytes, durable);
        self.settle();
    }

    fn sync(&mut self) {
        self.log.start_sync(&self.paper.io);
        self.settle();
    }

    fn state(&self) -> (u64, u64) {
        (self.log.completed(), self.log.durable())
    }

    fn free(&self) -> Vec<bool> {
        let slots = self.log.slots.iter();
        slots.map(|slot| slot.content == Content::Free).collect()
    }

    fn headers(&self, slot: usize) -> Vec<FrameHeader> {
        let path = format!("/shard/{}", slot_name(slot));
        let bytes = self.paper.disk.read_raw(&path).expect("a slot");
        let pages = bytes.chunks(PAGE);
        pages
            .filter_map(|page| FrameHeader::read(&identity(), page))
            .collect()
    }
}

#[test]
fn what_is_written_comes_back() {
    let mut desk = Desk::new(2);
    for payload_bytes in [0, 1, pages(1), pages(1) + 1, pages(4)] {
        desk.write(payload_bytes, true);
    }
    let found = desk.paper.read().expect("whole");
    let bytes: Vec<_> = found.groups.iter().map(|group| group.2.len()).collect();
    assert_eq!(bytes, [0, 1, pages(1), pages(1) + 1, pages(4)]);
    let counters = desk.log.counters;
    assert_eq!((counters.frames, counters.bytes), (5, 9 * ONE));
    assert_eq!((counters.durable_writes, counters.syncs), (5, 0));
}

#[test]
fn a_frame_says_what_its_group_is_and_what_was_durable_before_it() {
    let mut desk = Desk::new(1);
    let intent = FrameIntent {
        version: Version(9),
        millis: 1234,
        continues: true,
        closing: false,
        durable: true,
    };
    desk.append_frame(10, intent);
    desk.settle();
    let intent = FrameIntent {
        continues: false,
        closing: true,
        ..intent
    };
    desk.append_frame(0, intent);
    desk.settle();
    let [first, second] = desk.headers(0)[..] else {
        panic!("two frames");
    };
    assert_eq!((first.version, first.millis), (Version(9), 1234));
    assert_eq!((first.continues, first.closing), (true, false));
    assert_eq!((second.continues, second.closing), (false, true));
    assert_eq!((first.durable, second.durable), (0, 1));
    assert_eq!((first.segment, first.epoch), (1, 1));
    assert_eq!(second.previous_crc, first.crc);
}

#[test]
fn a_frame_goes_where_it_fits_to_the_last_byte() {
    let mut desk = Desk::new(2);
    for _ in 0..14 {
        desk.write(10, true);
    }
    desk.write(pages(2), true);
    assert_eq!(desk.free(), [false, true]);
    assert!(desk.log.has_room(10), "the other slot");
    desk.write(10, true);
    assert_eq!(desk.free(), [false, false]);
    for _ in 0..14 {
        desk.write(10, true);
    }
    assert!(desk.log.has_room(pages(1)), "the last page");
    assert!(!desk.log.has_room(pages(1) + 1), "and no more");
    desk.write(pages(1), true);
    assert!(!desk.log.has_room(0));
    assert_eq!((desk.headers(0).len(), desk.headers(1).len()), (15, 16));
    assert_eq!(desk.paper.read().expect("whole").groups.len(), 31);
}

#[test]
fn two_frames_are_in_flight_and_count_in_their_order() {
    let mut desk = Desk::new(1);
    assert!(desk.log.has_flight_free() && desk.log.is_quiet());
    assert_eq!(desk.append(10, true), 1);
    assert!(desk.log.has_flight_free() && !desk.log.is_quiet());
    assert_eq!(desk.append(10, true), 2);
    assert!(!desk.log.has_flight_free());
    assert_eq!((desk.log.last_sequence(), desk.state()), (2, (0, 0)));
    assert_eq!(desk.log.reap().ok(), Some(false), "nothing has come back");
    desk.land();
    assert_eq!(desk.log.reap().ok(), Some(true));
    assert_eq!(desk.log.reap().ok(), Some(false));
    assert_eq!(desk.state(), (2, 2));
    assert!(desk.log.has_flight_free() && desk.log.is_quiet());
}

#[test]
fn a_durable_frame_behind_a_plain_one_waits_for_a_sync() {
    let mut desk = Desk::new(1);
    desk.write(10, false);
    assert!(desk.log.needs_sync());
    desk.write(10, true);
    assert_eq!(
        (desk.state(), desk.log.counters.durable_writes),
        ((2, 0), 0)
    );
    desk.log.start_sync(&desk.paper.io);
    assert!(desk.log.is_syncing() && !desk.log.is_quiet() && !desk.log.needs_sync());
    // Until it is done nothing may rely on it.
    desk.append(10, true);
    assert_eq!(desk.log.counters.durable_writes, 0);
    desk.settle();
    assert!(!desk.log.is_syncing() && desk.log.is_quiet());
    assert_eq!(desk.state(), (3, 2));
    desk.sync();
    assert_eq!((desk.state(), desk.log.counters.syncs), ((3, 3), 2));
    desk.write(10, true);
    assert_eq!(
        (desk.state(), desk.log.counters.durable_writes),
        ((4, 4), 1)
    );
}

#[test]
fn a_sync_covers_what_had_completed_when_it_began() {
    let mut desk = Desk::new(1);
    desk.write(10, false);
    desk.append(10, false);
    desk.sync();
    assert_eq!(desk.state(), (2, 1));
    assert!(desk.log.needs_sync(), "for the one that was in flight");
    desk.sync();
    assert_eq!(desk.state(), (2, 2));
    assert!(!desk.log.needs_sync());
    desk.sync();
    assert_eq!(desk.log.counters.syncs, 2, "there is nothing left to sync");
}

#[test]
fn one_sync_at_a_time_and_one_for_each_slot() {
    let mut desk = Desk::new(3);
    for _ in 0..17 {
        desk.write(10, false);
    }
    desk.log.start_sync(&desk.paper.io);
    assert_eq!(desk.log.counters.syncs, 2);
    desk.append(10, false);
    desk.log.start_sync(&desk.paper.io);
    assert_eq!(desk.log.counters.syncs, 2);
    desk.settle();
    assert_eq!(desk.state(), (18, 17));
}

#[test]
fn many_segments_that_were_left_are_made_durable_in_company() {
    let all = UNSYNCED_MAX + 1;
    let mut desk = Desk::new(all + 2);
    let start = |desk: &mut Desk| desk.log.start_syncing_what_was_left(&desk.paper.io);
    for _ in 0..16 * UNSYNCED_MAX - 1 {
        desk.write(10, false);
        start(&mut desk);
    }
    assert_eq!(desk.log.counters.syncs, 0);
    // The last frame of these segments is in flight with the first of the next one.
    desk.append(10, false);
    desk.append(10, false);
    start(&mut desk);
    let covered = 16 * (UNSYNCED_MAX as u64 - 1);
    assert_eq!(desk.log.counters.syncs, UNSYNCED_MAX as u64 - 1);
    // What is written meanwhile relies on nothing.
    desk.settle();
    desk.append(10, true);
    start(&mut desk);
    desk.settle();
    start(&mut desk);
    let written = 16 * UNSYNCED_MAX as u64 + 2;
    assert_eq!(desk.state(), (written, covered));
    assert_eq!(desk.log.counters.durable_writes, 0);
    assert!(desk.log.needs_sync(), "of the last two");
    desk.sync();
    assert_eq!(desk.state(), (written, written));
    assert_eq!(desk.log.counters.syncs, UNSYNCED_MAX as u64 + 1);
}

#[test]
fn a_failed_sync_of_what_was_left_ends_the_log_like_any_other() {
    let mut desk = Desk::new(UNSYNCED_MAX + 2);
    for _ in 0..=16 * UNSYNCED_MAX {
        desk.write(10, false);
    }
    let sync = ringkeep_io::Doing::Sync;
    let once = ringkeep_io::Times::Once;
    desk.paper.disk.fail_next(sync, 5, once);
    desk.log.start_syncing_what_was_left(&desk.paper.io);
    let syncs = desk.log.counters.syncs;
    assert_eq!(syncs, UNSYNCED_MAX as u64);
    desk.land();
    desk.log.reap().expect_err("one of them failed");
    assert_eq!((desk.log.durable(), desk.log.has_failed()), (0, true));
    desk.log.start_syncing_what_was_left(&desk.paper.io);
    desk.log.start_sync(&desk.paper.io);
    assert_eq!(desk.log.counters.syncs, syncs, "never again");
}

#[test]
fn a_failure_names_the_slot_that_is_written() {
    for (doing, plain) in [
        (ringkeep_io::Doing::Write, false),
        (ringkeep_io::Doing::Sync, true),
    ] {
        let mut desk = Desk::new(2);
        for _ in 0..16 {
            desk.write(10, true);
        }
        desk.paper
            .disk
            .fail_next(doing, 5, ringkeep_io::Times::Once);
        desk.append(10, !plain);
        desk.land();
        if plain {
            desk.log.reap().expect("written");
            desk.log.start_sync(&desk.paper.io);
            desk.land();
        }
        let failure = desk.log.reap().expect_err("it failed");
        assert_eq!(failure.file, "log-0001");
        assert_eq!(desk.log.durable(), 16);
    }
}

#[test]
fn a_closing_frame_is_wanted_behind_every_other() {
    let mut desk = Desk::new(1);
    assert!(!desk.log.wants_closing(), "there is nothing to witness");
    desk.write(10, true);
    assert!(desk.log.wants_closing());
    let intent = FrameIntent {
        version: Version(7),
        millis: 0,
        continues: false,
        closing: true,
        durable: true,
    };
    desk.append_frame(0, intent);
    desk.settle();
    assert!(!desk.log.wants_closing());
}

#[test]
fn slots_whose_frames_are_in_tables_are_free_but_for_the_one_that_is_written() {
    let mut desk = Desk::new(3);
    for _ in 0..40 {
        desk.write(10, false);
    }
    for (replay_after, free) in [
        (15, [false, false, false]),
        (16, [true, false, false]),
        (31, [true, false, false]),
        (32, [true, true, false]),
        (39, [true, true, false]),
    ] {
        desk.log.release(replay_after);
        assert_eq!(desk.free(), free, "up to frame {replay_after}");
    }
    // The freed ones need no sync any more.
    let before = desk.log.counters.syncs;
    desk.sync();
    assert_eq!(desk.log.counters.syncs - before, 1);
    assert_eq!(desk.state(), (40, 40));
    assert_eq!(desk.log.slot_counts(), (3, 2));
}

#[test]
fn a_log_that_is_all_in_tables_begins_a_segment_in_its_first_slot() {
    let mut desk = Desk::new(2);
    for _ in 0..18 {
        desk.write(10, false);
    }
    assert!(!desk.log.has_spare_slots());
    desk.append(10, false);
    desk.log.release(19);
    assert_eq!(desk.free(), [true, false], "one is still in flight");
    desk.settle();
    assert_eq!(desk.state(), (19, 0));
    desk.log.release(19);
    assert_eq!(desk.free(), [true, true]);
    assert_eq!(desk.state(), (19, 19), "in tables is durable");
    assert!(!desk.log.wants_closing() && !desk.log.needs_sync());
    assert!(desk.log.has_spare_slots());
    let spare = desk.log.take_spare_slots();
    assert_eq!((spare.len(), desk.log.slot_counts()), (1, (1, 1)));
    assert!(!desk.log.has_spare_slots(), "the last one stays");
    desk.log.add_slots(spare);
    assert_eq!(desk.log.slot_counts(), (2, 2));
    desk.write(10, true);
    assert_eq!(desk.free(), [false, true]);
    assert!(!desk.log.has_spare_slots(), "there is something in the log");
    assert_eq!(desk.headers(0)[0].segment, 3);
}

#[test]
fn another_slot_is_wanted_before_the_last_one_is_half_full() {
    let mut desk = Desk::new(1);
    let mut wanted = Vec::new();
    for _ in 0..16 {
        wanted.push(desk.log.wants_slot());
        desk.write(10, true);
    }
    // Nothing is active at first; then half a segment, or four pages of a frame, is what must be left.
    let first = wanted.iter().rposition(|wanted| !wanted);
    assert_eq!(first, Some(8), "{wanted:?}");
    assert!(desk.log.wants_slot());
}

#[test]
fn a_log_that_has_grown_wants_a_quarter_of_its_slots_free() {
    let mut desk = Desk::new(8);
    for frames in 0..7 * 16 {
        let used = usize::div_ceil(frames, 16);
        let free = 8 - used;
        assert_eq!(desk.log.wants_slot(), free < 2, "{free} of 8 are free");
        desk.write(10, true);
    }
}

#[test]
fn a_frame_larger_than_half_a_segment_has_its_room_made_in_time() {
    let mut desk = Desk::new(1);
    desk.log.frame_bytes_max = 12 * PAGE;
    for page in 0..16 {
        if page > 0 {
            assert_eq!(
                desk.log.wants_slot(),
                16 - page < 12,
                "{page} pages are used"
            );
        }
        desk.write(10, true);
    }
}

#[test]
fn golden_flags() {
    for flag in [1, 2, 4] {
        let header = FrameHeader {
            continues: flag == 1,
            closing: flag == 2,
            ends_tail: flag == 4,
            ..FrameHeader::default()
        };
        let mut frame = vec![0; PAGE];
        let sealed = header.seal(&identity(), &mut frame);
        assert_eq!(frame[6..8], [flag, 0]);
        assert_eq!(FrameHeader::read(&identity(), &frame), Some(sealed));
    }
}

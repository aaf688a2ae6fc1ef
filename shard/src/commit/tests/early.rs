//! Answers before the log: who gets one, and what becomes of what is owed.

use ringkeep_io::{Doing, Times};

use super::*;
use crate::log::{FRAMES_IN_FLIGHT_MAX, FULL_FRAMES_IN_FLIGHT_MAX};

const SOON: Nanos = 1_000_000;

fn desk() -> Desk {
    Desk::with_tail(8 << 10)
}

/// Frames written, and those with their own durability.
fn frames(desk: &Desk) -> (u64, u64) {
    let counters = desk.core.log.borrow().counters;
    (counters.frames, counters.durable_writes)
}

#[test]
fn who_asks_for_no_more_is_answered_at_once_and_the_log_gets_all_of_it_soon() {
    let desk = desk();
    for token in 1..=3 {
        desk.accept(token, vec![put(10)], Durability::Buffered);
        desk.core.turn_commits();
        assert_eq!(desk.answers(), [(token, true)]);
    }
    assert_eq!(frames(&desk), (0, 0));
    let stats = desk.core.gather_stats();
    assert_eq!((stats.groups, stats.early_groups), (3, 3));
    let due = desk.deadline().expect("it is owed");
    assert!(due <= desk.core.io.now() + SOON);
    desk.disk.advance_to(due);
    desk.core.turn_commits();
    assert_eq!(frames(&desk), (1, 0));
    desk.land();
    desk.core.turn_commits();
    assert!(desk.core.commits.borrow().is_quiet());
}

#[test]
fn a_synced_write_takes_along_what_is_owed_and_needs_no_sync_for_it() {
    let desk = desk();
    desk.accept(1, vec![put(10)], Durability::Buffered);
    desk.accept(2, vec![put(10)], Durability::Sync);
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [(1, true)]);
    assert_eq!(frames(&desk), (1, 1));
    desk.accept(3, vec![put(10)], Durability::Buffered);
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [], "nobody overtakes");
    desk.settle();
    assert_eq!(desk.answers(), [(2, true), (3, true)]);
}

#[test]
fn what_fits_neither_the_tail_nor_a_frame_waits_for_the_log() {
    let desk = desk();
    desk.accept(1, vec![put(10)], Durability::Buffered);
    desk.accept(2, vec![put(5000)], Durability::Buffered);
    desk.accept(3, vec![put(50_000)], Durability::Buffered);
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [(1, true)]);
    desk.settle();
    assert_eq!(desk.answers(), [(2, true), (3, true)]);
    assert_eq!(desk.core.gather_stats().early_groups, 1);
}

/// Two frames of what comes now and then, and behind them as many full ones as may be.
#[test]
fn while_the_device_stands_still_full_frames_go_out_behind_one_another() {
    let desk = Desk::with(256 << 10, 1 << 20);
    let mut answered = 0;
    for token in 1..=40 {
        desk.accept(token, vec![put(5000)], Durability::Buffered);
        desk.core.turn_commits();
        answered += desk.answers().len();
    }
    // Four to a frame, in flight or owed.
    let frames_max = FULL_FRAMES_IN_FLIGHT_MAX;
    assert_eq!(
        (frames(&desk).0, answered),
        (frames_max as u64, 4 * frames_max + 4)
    );
    assert_eq!(desk.core.io.in_flight(), frames_max);
    desk.settle();
    assert_eq!(answered + desk.answers().len(), 40);
    let stats = desk.core.gather_stats();
    assert_eq!(stats.early_groups, stats.groups);
}

#[test]
fn what_is_not_a_full_frame_waits_behind_two() {
    let desk = Desk::with_tail(256 << 10);
    for token in 1..=20 {
        desk.accept(token, vec![put(100)], Durability::Buffered);
        desk.core.turn_commits();
        assert_eq!(desk.answers(), [(token, true)]);
        desk.disk.advance_to(desk.core.io.now() + SOON);
        desk.core.turn_commits();
    }
    assert_eq!(frames(&desk).0, FRAMES_IN_FLIGHT_MAX as u64);
}

#[test]
fn a_tail_that_cannot_be_written_is_given_up_and_nobody_hears_of_it() {
    let desk = desk();
    desk.disk.fail_next(Doing::Store, 5, Times::Once);
    desk.accept(1, vec![put(10)], Durability::Buffered);
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [], "it is in the log alone");
    assert_eq!(frames(&desk), (1, 0));
    desk.accept(2, vec![put(10)], Durability::Buffered);
    desk.settle();
    assert_eq!(desk.answers(), [(1, true), (2, true)]);
    let stats = desk.core.gather_stats();
    assert_eq!((stats.early_groups, stats.tails_lost), (0, 1));
}

/// A closing frame is in no tail: what leads on from it would be behind a gap until it is written.
#[test]
fn behind_a_closing_frame_in_flight_a_write_waits() {
    let desk = desk();
    desk.accept(1, vec![put(10)], Durability::Sync);
    desk.settle();
    desk.disk
        .advance_to(desk.deadline().expect("it will close"));
    desk.core.turn_commits();
    assert!(desk.core.log.borrow().is_closing());
    desk.answers();
    desk.accept(2, vec![put(10)], Durability::Buffered);
    desk.core.turn_commits();
    assert_eq!(desk.answers(), []);
    desk.settle();
    assert_eq!(desk.answers(), [(2, true)]);
}

#[test]
fn a_periodic_sync_begins_when_all_is_written_that_was_answered() {
    let desk = desk();
    desk.accept(1, vec![put(10)], Durability::Periodic(1000));
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [(1, true)]);
    desk.disk.advance_to(desk.core.io.now() + 1000);
    desk.core.turn_commits();
    desk.core.turn_commits();
    let log = || desk.core.log.borrow();
    assert_eq!((frames(&desk).0, log().is_syncing()), (1, false));
    desk.land();
    desk.core.turn_commits();
    assert!(log().is_syncing());
    desk.land();
    desk.core.turn_commits();
    assert_eq!(log().durable(), 1);
}

//! One turn after the other.

use super::*;

fn delete(key: &[u8]) -> Op {
    Op::Delete { key: key.to_vec() }
}

#[test]
fn of_a_group_of_several_frames_only_the_last_is_asked_to_be_durable() {
    for (durability, syncs) in [(Durability::Sync, 1), (Durability::Buffered, 0)] {
        let desk = Desk::new();
        desk.accept(1, vec![put(50_000)], durability);
        desk.core.turn_commits();
        assert!(!desk.core.commits.borrow().is_between_groups());
        desk.land();
        desk.core.turn_commits();
        assert!(desk.core.commits.borrow().is_between_groups());
        assert_eq!(desk.answers(), []);
        for _ in 0..3 {
            desk.land();
            desk.core.turn_commits();
        }
        assert_eq!(desk.answers(), [(1, true)]);
        let counters = desk.core.log.borrow().counters;
        assert_eq!((counters.frames, counters.durable_writes), (3, 0));
        assert_eq!(counters.syncs, syncs);
    }
}

#[test]
fn a_write_that_need_not_be_durable_costs_no_sync() {
    let desk = Desk::new();
    desk.accept(1, vec![put(10)], Durability::Buffered);
    desk.core.turn_commits();
    assert_eq!(desk.core.log.borrow().counters.syncs, 0, "it is in flight");
    desk.land();
    desk.core.turn_commits();
    assert_eq!(desk.answers(), [(1, true)]);
    assert_eq!(desk.core.log.borrow().counters.syncs, 0);
}

#[test]
fn what_was_written_is_counted() {
    let desk = Desk::new();
    for token in 1..=3 {
        desk.accept(token, vec![put(97), delete(b"other")], Durability::Sync);
        desk.settle();
    }
    assert_eq!(desk.answers().len(), 3);
    let stats = desk.core.gather_stats();
    assert_eq!((stats.writes, stats.groups, stats.ops), (3, 3, 6));
    assert_eq!(stats.user_bytes, 3 * 105);
    let commits = desk.core.commits.borrow();
    assert_eq!((commits.end_of_line(), commits.has_served(3)), (3, true));
    // Merges hear of it too.
    desk.core.compaction.pace.merge(1);
    assert_eq!(desk.core.compaction.pace.merge_is_ahead(), Some(3 * 105));
}

#[test]
fn a_commit_is_counted_as_coordinated_where_others_have_a_part() {
    for (participants, coordinated) in [(vec![], 0), (vec![ShardId(1)], 1)] {
        let desk = Desk::new();
        let ack = Ack::Decision(TransactionId(1), participants, 9);
        desk.core.acknowledge(ack, Vec::new(), Version(1));
        let stats = desk.core.gather_stats();
        assert_eq!((stats.writes, stats.commits_coordinated), (1, coordinated));
        assert_eq!(desk.letters().len() as u64, coordinated);
    }
}

#[test]
fn a_prepared_part_knows_the_frame_that_it_is_in() {
    let desk = Desk::new();
    for token in 1..=2 {
        desk.accept(token, vec![delete(b"other")], Durability::Sync);
        desk.settle();
    }
    desk.lock(5);
    let (transaction, coordinator) = (TransactionId(5), ShardId(1));
    desk.core
        .log_prepare(transaction, coordinator, vec![put(1)].into());
    desk.settle();
    let part = desk
        .core
        .transactions
        .borrow_mut()
        .take_prepared(transaction);
    assert_eq!(part.map(|(_, sequence)| sequence), Some(3));
}

/// Nothing is written out, as no task runs: one memtable waits for that, and one is full.
#[test]
fn writers_wait_for_the_flush_and_the_log_is_not_closed_meanwhile() {
    let desk = Desk::new();
    for token in 0..200 {
        desk.accept(token, vec![put(1000)], Durability::Buffered);
        desk.settle();
    }
    let memtables = desk.core.memtables.borrow();
    assert_eq!(memtables.sealed_count(), 1);
    assert!(memtables.active().filled(32 << 10) <= 32 << 10);
    let commits = desk.core.commits.borrow();
    let waiting = commits.pending.len();
    assert_eq!(desk.answers().len() + waiting, 200);
    assert!(waiting > 100, "{waiting} wait");
    assert!(desk.core.log.borrow().is_quiet());
    assert_eq!(commits.close_at, None);
}

#[test]
fn a_periodic_promise_is_kept_when_it_is_due_and_no_other_sync_is_under_way() {
    let desk = Desk::new();
    desk.accept(1, vec![put(10)], Durability::Periodic(1000));
    desk.core.turn_commits();
    desk.land();
    desk.core.turn_commits();
    let due = desk.core.commits.borrow().sync_at.expect("a promise");
    desk.disk.advance_to(due);
    desk.core.log.borrow_mut().start_sync(&desk.core.io);
    desk.accept(2, vec![put(10)], Durability::Buffered);
    desk.core.turn_commits();
    let due_still = desk.core.commits.borrow().sync_at;
    assert_eq!(due_still, Some(due), "that sync may have begun too early");
    desk.land();
    desk.core.turn_commits();
    assert_eq!(desk.core.commits.borrow().sync_at, None);
    assert!(desk.core.log.borrow().is_syncing());
}

#[test]
fn an_idle_log_is_closed_at_its_time_and_not_before() {
    let desk = Desk::new();
    desk.accept(1, vec![put(10)], Durability::Sync);
    desk.core.turn_commits();
    desk.land();
    desk.core.turn_commits();
    let at = desk.core.commits.borrow().close_at.expect("it will close");
    assert_eq!(desk.deadline(), Some(at));
    desk.disk.advance_to(at - 1);
    desk.core.turn_commits();
    assert_eq!(desk.core.log.borrow().counters.closing_frames, 0);
    desk.disk.advance_to(at);
    desk.core.turn_commits();
    assert_eq!(desk.core.log.borrow().counters.closing_frames, 1);
}

/// The kernel may have dropped what the failed write was for, and the next sync would say nothing of it.
#[test]
fn after_a_failed_log_write_no_promise_is_kept_with_another_sync() {
    let desk = Desk::new();
    desk.accept(1, vec![put(10)], Durability::Periodic(1000));
    desk.core.turn_commits();
    desk.land();
    desk.core.turn_commits();
    assert!(desk.core.commits.borrow().sync_at.is_some());
    let doing = ringkeep_io::Doing::Write;
    desk.disk.fail_next(doing, 5, ringkeep_io::Times::Once);
    desk.accept(2, vec![put(10)], Durability::Buffered);
    desk.settle();
    assert_eq!(desk.answers(), [(1, true), (2, false)]);
    assert!(desk.core.is_failed());
    assert_eq!(desk.deadline(), None);
    assert_eq!(desk.core.log.borrow().counters.syncs, 0);
}

#[test]
fn a_write_to_a_key_of_an_undecided_batch_gets_in_line_when_it_is_decided() {
    let desk = Desk::new();
    desk.lock(5);
    desk.accept(1, vec![put(10)], Durability::Sync);
    desk.settle();
    desk.core.release_held_up();
    desk.settle();
    assert_eq!(desk.answers(), [], "nobody has decided");
    assert!(!desk.core.commits.borrow().is_quiet());
    let part = desk.core.transactions.borrow_mut();
    drop({ part }.take_prepared(TransactionId(5)));
    desk.core.release_held_up();
    desk.settle();
    assert_eq!(desk.answers(), [(1, true)]);
}

#[test]
fn who_holds_locks_hears_that_those_in_front_were_applied_before_they_are_written() {
    for locked in [true, false] {
        let desk = Desk::new();
        if locked {
            desk.lock(5);
        }
        desk.wait_for_one_served();
        desk.accept(1, vec![delete(b"other")], Durability::Sync);
        desk.core.turn_commits();
        assert_eq!(desk.answers(), []);
        assert_eq!(desk.core.tasks.has_ready(), locked);
        desk.core.tasks.clear();
    }
}

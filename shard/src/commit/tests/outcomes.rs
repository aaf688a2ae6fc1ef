//! Outcomes wait for company, and nothing overtakes them.

use super::*;

/// With one outcome that waits.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.core.log_outcome(TransactionId(3), ShardId(1), None);
    desk.core.turn_commits();
    assert_eq!(frames(&desk), 0, "it waits");
    desk
}

fn frames(desk: &Desk) -> u64 {
    desk.core.log.borrow().counters.frames
}

fn is_settled(desk: &Desk) -> bool {
    let letters = desk.letters();
    let settled = |letter: &Content| matches!(letter, Content::Settled { .. });
    letters.len() == 1 && letters.iter().all(settled)
}

#[test]
fn an_outcome_goes_in_front_of_what_gets_in_line_and_in_its_frame() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let desk = desk();
        desk.accept(1, vec![put(10)], durability);
        let first = |write: &Pending<u64>| matches!(write.ack, Ack::Outcome(..));
        let in_front = desk
            .core
            .commits
            .borrow()
            .pending
            .front()
            .is_some_and(first);
        assert!(in_front);
        desk.settle();
        assert_eq!(frames(&desk), 1);
        assert_eq!(desk.answers(), [(1, true)]);
        assert!(is_settled(&desk), "it is durable");
    }
}

#[test]
fn what_its_batch_has_held_up_goes_behind_it() {
    let desk = Desk::new();
    desk.lock(5);
    desk.accept(1, vec![put(10)], Durability::Sync);
    desk.core.log_outcome(TransactionId(5), ShardId(1), None);
    let part = desk.core.transactions.borrow_mut();
    drop({ part }.take_prepared(TransactionId(5)));
    desk.core.release_held_up();
    let commits = desk.core.commits.borrow();
    let acks = commits.pending.iter().map(|write| &write.ack);
    let outcomes = acks.map(|ack| matches!(ack, Ack::Outcome(..)));
    assert!(outcomes.eq([true, false]));
}

#[test]
fn an_outcome_that_stays_alone_goes_by_itself() {
    let desk = desk();
    assert!(!desk.core.commits.borrow().is_quiet());
    let at = desk.deadline().expect("it is looked after");
    desk.disk.advance_to(at - 1);
    desk.settle();
    assert_eq!(frames(&desk), 0);
    desk.disk.advance_to(at);
    desk.settle();
    assert_eq!(frames(&desk), 1);
    assert!(is_settled(&desk));
}

#[test]
fn a_shard_that_closes_does_not_wait() {
    let desk = desk();
    desk.core.closing.set(true);
    desk.settle();
    assert!(is_settled(&desk));
}

#[test]
fn a_shard_that_has_failed_waits_for_no_outcome() {
    let desk = desk();
    desk.core.fail_because("no more");
    assert_eq!(desk.deadline(), None);
    desk.core.log_outcome(TransactionId(4), ShardId(1), None);
    desk.core.turn_commits();
    assert_eq!(desk.deadline(), None);
    assert_eq!(frames(&desk), 0);
}

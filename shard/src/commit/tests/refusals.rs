//! Who is told what when a write is not done.

use super::*;
use crate::error::Error;
use crate::full_disk::Starved;

#[test]
fn on_a_full_disk_all_that_wait_are_refused_but_outcomes() {
    let desk = Desk::new();
    let core = &desk.core;
    core.mark_starved(Starved::Log, true);
    for token in 1..=2 {
        let key = b"key".to_vec();
        desk.accept(token, vec![Op::Delete { key }], Durability::Sync);
    }
    core.log_outcome(TransactionId(3), ShardId(1), None);
    core.commits.borrow_mut().line_up_outcomes();
    let place = core.commits.borrow().end_of_line();
    assert_eq!(place, 3);
    core.refuse_pending();
    let replies = core.replies.borrow_mut().drain(..).collect::<Vec<_>>();
    assert_eq!(replies.len(), 2);
    for (_, reply) in replies {
        assert!(matches!(reply, Reply::Failed(Error::Full { .. })));
    }
    let commits = core.commits.borrow();
    assert_eq!(commits.pending.len(), 1, "the outcome waits for room");
    assert!(commits.has_served(place), "nobody waits for those refused");
    assert_eq!(commits.end_of_line(), 4);
}

#[test]
fn participants_hear_that_a_decision_is_lost_or_that_nothing_happened() {
    let reason = || "the disk is gone".to_string();
    for (error, lost) in [
        (Error::Unknown { reason: reason() }, true),
        (Error::Failed { reason: reason() }, false),
    ] {
        let desk = Desk::new();
        let ack = Ack::Decision(TransactionId(1), vec![ShardId(1)], 9);
        desk.core.refuse(ack, error);
        let outcomes = desk.letters();
        let [Content::Outcome { outcome, .. }] = &outcomes[..] else {
            panic!("one letter");
        };
        match outcome {
            Outcome::Lost(why) => assert_eq!((lost, why), (true, &reason())),
            Outcome::Aborted => assert!(!lost),
            Outcome::Committed(_) => panic!("it is not"),
        }
        assert_eq!(desk.answers(), [(9, false)]);
    }
}

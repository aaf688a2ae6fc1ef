//! Who is told what when a write is not done.

use super::*;
use crate::error::Error;
use crate::full_disk::Starved;
use crate::letter::{Letter, Prepare, Verdict};
use crate::transaction::{Part, Reads};

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

fn prepare(desk: &Desk, transaction: u64) {
    let key = b"key".to_vec();
    let part = Part {
        shard: ShardId(0),
        ops: vec![Op::Delete { key }].into(),
        ..Part::default()
    };
    let prepare = Prepare {
        transaction: TransactionId(transaction),
        coordinator: ShardId(1),
        part,
        snapshot: None,
    };
    desk.core.open_letter(Letter(Content::Prepare(prepare)));
}

/// The older of two batches over one key waits for the younger, of which the disk has no room for the record.
#[test]
fn a_batch_gets_the_locks_of_one_that_was_refused() {
    let desk = Desk::new();
    prepare(&desk, 5);
    prepare(&desk, 3);
    assert!(desk.letters().is_empty(), "neither is prepared");
    desk.core.refuse_pending();
    let is_refused = |letter: &Content| match letter {
        Content::Vote { verdict, .. } => matches!(verdict, Verdict::Refused(Error::Full { .. })),
        _ => false,
    };
    let letters = desk.letters();
    assert!(letters.len() == 1 && letters.iter().all(is_refused));
    desk.settle();
    let [
        Content::Vote {
            transaction,
            verdict,
            ..
        },
    ] = &desk.letters()[..]
    else {
        panic!("the other batch waits for good");
    };
    assert_eq!(*transaction, TransactionId(3));
    assert!(matches!(verdict, Verdict::Prepared));
}

/// A batch that is coordinated here waits for its own key, and is woken when that is free.
#[test]
fn a_coordinator_gets_the_locks_of_a_batch_that_was_refused() {
    let desk = Desk::new();
    prepare(&desk, 5);
    let key = b"key".to_vec();
    let own = (ShardId(0), vec![Op::Delete { key }]);
    desk.core.accept_commit(7, vec![own]);
    desk.core.tasks.run(10);
    desk.core.refuse_pending();
    assert!(desk.core.tasks.has_ready(), "nobody wakes it");
    desk.core.tasks.run(10);
    desk.settle();
    assert_eq!(desk.answers(), [(7, true)]);
}

/// More keys than are looked at without a rest, in which the shard fails.
#[test]
fn a_part_that_is_validated_while_its_shard_fails_is_refused() {
    let desk = Desk::new();
    desk.core.start_validating();
    let keys = (0..300u32).map(|key| Box::from(key.to_be_bytes()));
    let key = b"key".to_vec();
    let part = Part {
        shard: ShardId(0),
        ops: vec![Op::Delete { key }].into(),
        reads: Reads {
            keys: keys.collect(),
            ranges: Vec::new(),
        },
    };
    let prepare = Prepare {
        transaction: TransactionId(3),
        coordinator: ShardId(1),
        part,
        snapshot: Some(Arc::new(desk.core.pins.pin())),
    };
    desk.core.open_letter(Letter(Content::Prepare(prepare)));
    desk.core.tasks.run(10);
    desk.core.tasks.run(10);
    desk.core.fail_because("a drill");
    assert!(desk.letters().is_empty(), "it is being validated");
    desk.core.tasks.run(10);
    desk.settle();
    let is_refused = |letter: &Content| match letter {
        Content::Vote { verdict, .. } => matches!(verdict, Verdict::Refused(_)),
        _ => false,
    };
    let letters = desk.letters();
    assert!(letters.len() == 1 && letters.iter().all(is_refused));
}

/// A host that has several shards is gone: one of them decides a batch, another is named.
#[test]
fn all_shards_of_a_host_are_lost_with_it() {
    let desk = Desk::new();
    desk.lock(5);
    let at = Some(Version(u64::MAX - 1));
    assert!(!desk.core.is_settled(at), "the outcome may come");
    desk.core.lose_peers(|shard| shard.0 % 2 == 1, "a drill");
    assert!(desk.core.is_settled(at));
    assert!(desk.core.check_readable(at).is_err());
}

/// Whoever waits for its place in line to be served is woken by a refusal.
#[test]
fn who_waits_for_those_in_front_hears_that_they_were_refused() {
    let desk = Desk::new();
    let key = b"key".to_vec();
    desk.accept(1, vec![Op::Delete { key }], Durability::Sync);
    desk.wait_for_one_served();
    desk.core.refuse_pending();
    assert!(desk.core.tasks.has_ready());
}

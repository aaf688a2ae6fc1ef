//! What waits in line and what is in flight, without a log.

use super::*;
use crate::log::format::{push_op, push_record};

fn range() -> Op {
    Op::DeleteRange {
        from: b"a".to_vec(),
        to: b"b".to_vec(),
    }
}

fn prepare(ops: Vec<Op>) -> Body {
    Body::Record(Record::Prepare {
        transaction: TransactionId(1),
        coordinator: ShardId(0),
        ops: ops.into(),
    })
}

fn decide(ops: Vec<Op>, participants: u16) -> Body {
    Body::Record(Record::Decide {
        transaction: TransactionId(1),
        participants: (0..participants).map(ShardId).collect(),
        ops,
    })
}

fn outcome() -> Body {
    Body::Record(Record::Outcome {
        transaction: TransactionId(1),
        version: None,
    })
}

fn line(bodies: impl IntoIterator<Item = Body>) -> Commits<u64> {
    let mut commits = Commits::default();
    for body in bodies {
        commits.push(body, Durability::Sync, Ack::Caller(0));
    }
    commits
}

fn group(version: u64, last_sequence: u64) -> Group<u64> {
    Group {
        version: Version(version),
        last_sequence,
        durable: false,
        periodic: None,
        acks: Vec::new(),
    }
}

#[test]
fn a_place_in_line_is_behind_all_that_wait_and_served_when_they_are_gone() {
    let mut commits = line((0..5).map(|_| Body::Ops(vec![put(1)])));
    assert_eq!(commits.end_of_line(), 5);
    commits.pending.drain(..2);
    commits.served += 2;
    let place = commits.end_of_line();
    assert_eq!(place, 5, "somebody at the front went, and nobody came");
    for served in 2..7 {
        commits.served = served;
        assert_eq!(commits.has_served(place), served >= 5);
    }
}

#[test]
fn the_line_is_looked_through_for_changes_that_are_wanted() {
    let large = |ops: &[Op]| ops.iter().any(|op| op.bytes() > 100);
    let small = || Body::Ops(vec![put(1)]);
    assert!(!line([]).any_in_line(large));
    assert!(!line([small(), small()]).any_in_line(large));
    assert!(line([small(), Body::Ops(vec![put(200)])]).any_in_line(large));
    assert!(line([small(), decide(vec![put(1), put(200)], 1)]).any_in_line(large));
    // Its locks are looked at, not its changes.
    assert!(!line([prepare(vec![put(200)]), outcome()]).any_in_line(large));
}

#[test]
fn a_line_that_is_long_to_look_through_is_taken_to_hold_what_is_wanted() {
    for (ops, looked_through) in [(1, 31), (3, 15), (0, 63), (63, 0), (100, 0)] {
        let body = || Body::Ops((0..ops).map(|_| put(1)).collect());
        let long = |count| line((0..count).map(|_| body())).any_in_line(|_| false);
        assert!(!long(looked_through), "{looked_through} with {ops} changes");
        assert!(
            long(looked_through + 1),
            "{looked_through} with {ops} changes, and one"
        );
    }
}

#[test]
fn room_for_what_waits_is_never_less_than_it_takes_in_the_log() {
    let key = vec![1; crate::limits::KEY_BYTES_MAX];
    let changes = [
        put(0),
        put(3 << 20),
        range(),
        Op::Delete { key: key.clone() },
        Op::PutUntil {
            key: key.clone(),
            value: vec![2; 3 << 20],
            until: crate::limits::UNTIL_MAX,
        },
        Op::DeleteRange {
            from: key.clone(),
            to: [&key[..], &[0]].concat(),
        },
    ];
    let shards = crate::limits::SHARDS_MAX;
    let bodies = [
        Body::Ops(changes.to_vec()),
        Body::Ops(vec![changes[4].clone()]),
        prepare(changes.to_vec()),
        prepare(Vec::new()),
        decide(changes.to_vec(), shards),
        decide(Vec::new(), shards),
        outcome(),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let mut payload = Vec::new();
        match &body {
            Body::Ops(ops) => ops.iter().for_each(|op| push_op(&mut payload, op)),
            Body::Record(record) => push_record(&mut payload, record),
        }
        let bytes = line([body]).pending[0].bytes;
        assert!(
            bytes >= payload.len(),
            "{number}: {bytes} of {}",
            payload.len()
        );
        // And not so much more that groups are formed for nothing.
        let spare = RECORD_OVERHEAD + changes.len() * OP_OVERHEAD;
        assert!(bytes <= payload.len() + spare, "{number}: {bytes}");
    }
    // It decides how many writes share a group.
    assert_eq!((OP_OVERHEAD, RECORD_OVERHEAD), (15, 2067));
}

#[test]
fn what_hides_the_writes_before_it_begins_a_group() {
    let begins = |body| line([body]).pending[0].begins_group;
    assert!(begins(Body::Ops(vec![put(1), range()])));
    assert!(begins(decide(vec![range()], 1)));
    assert!(!begins(Body::Ops(vec![put(1)])));
    assert!(!begins(decide(vec![put(1)], 1)));
    // It hides nothing before its outcome is known.
    assert!(!begins(prepare(vec![range()])));
    assert!(!begins(outcome()));
}

#[test]
fn groups_up_to_a_frame_are_done_when_the_oldest_left_ends_behind_it() {
    let mut commits: Commits<u64> = Commits::default();
    assert!(commits.are_done(7) && commits.oldest_in_flight().is_none());
    commits.groups.push_back(group(30, 5));
    commits.groups.push_back(group(40, u64::MAX));
    assert_eq!(commits.oldest_in_flight(), Some(Version(30)));
    let done = [4, 5, 6].map(|sequence| commits.are_done(sequence));
    assert_eq!(done, [true, false, false]);
    commits.groups.pop_front();
    assert!(
        commits.are_done(6),
        "the last frame of the next is not written"
    );
    assert!(!commits.are_done(u64::MAX));
}

#[test]
fn it_is_quiet_when_nothing_waits_is_held_up_or_in_flight() {
    let mut commits = line([]);
    assert!(commits.is_quiet());
    commits.groups.push_back(group(1, 1));
    assert!(!commits.is_quiet());
    let mut commits = line([outcome()]);
    assert!(!commits.is_quiet());
    let write = commits.pending.pop_back();
    assert!(commits.is_quiet());
    commits.held_up.extend(write);
    assert!(!commits.is_quiet());
}

#[test]
fn a_group_is_half_written_until_its_last_frame() {
    let mut commits = line([]);
    assert!(commits.is_between_groups());
    commits.large = Some(Large {
        payload: Vec::new(),
        written: 0,
        version: Version(1),
        millis: 0,
        durable: false,
    });
    assert!(!commits.is_between_groups());
}

#[test]
fn the_next_deadline_is_the_earlier_one() {
    let desk = Desk::new();
    for (sync_at, close_at, next) in [
        (None, None, None),
        (Some(3), None, Some(3)),
        (None, Some(4), Some(4)),
        (Some(3), Some(4), Some(3)),
        (Some(5), Some(4), Some(4)),
    ] {
        let mut commits = desk.core.commits.borrow_mut();
        (commits.sync_at, commits.close_at) = (sync_at, close_at);
        drop(commits);
        assert_eq!(desk.deadline(), next);
    }
}

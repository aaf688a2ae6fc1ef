//! Rows read on the caller's thread, where batches over several shards change them: whoever saw one half of a batch,
//! or was told of its end, sees the other half.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Database};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

use crate::folder::tiny;

const KEYS: u32 = 12;
const ROUNDS: u32 = 150;

fn key(at: u32) -> String {
    format!("key {at}")
}

fn number(value: Option<Vec<u8>>) -> u32 {
    let value = value.expect("every key is always there");
    u32::from_le_bytes(value.try_into().expect("four bytes"))
}

/// Asks, and lets the hosts work until the answer is there.
fn ask(db: &Database, hosts: &ByHand, at: u32) -> u32 {
    number(hosts.run(db.get_async(key(at))).expect("a read"))
}

/// What can be had without letting any host work.
fn look(db: &Database, at: u32) -> Option<u32> {
    let get = pin!(db.get_async(key(at)));
    match get.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(number(value.expect("a read"))),
        Poll::Pending => None,
    }
}

#[test]
fn no_reader_sees_one_half_of_a_batch_and_then_not_the_other() {
    let disk = SimulatedDisk::new(7, SimulatedOptions::default());
    let options = ringkeep::Options {
        threads: Some(3),
        ..tiny(4)
    };
    let (db, hosts) = simulation::open(&disk, "/db", &options, [7; 16]).expect("opens");
    let mut seen_without_asking = 0;
    for round in 1..=ROUNDS {
        let mut batch = Batch::new();
        for at in 0..KEYS {
            batch.put(key(at), round.to_le_bytes());
        }
        let mut write = pin!(db.write_async(batch));
        let mut at = round;
        while write
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
        {
            if round > 1 {
                let (one, other) = (at % KEYS, (at + 1 + round % (KEYS - 1)) % KEYS);
                if let Some(first) = look(&db, one) {
                    let second = ask(&db, &hosts, other);
                    assert!(second >= first, "{second} after {first} was seen");
                    seen_without_asking += 1;
                }
                at += 1;
            }
            if !hosts.turn() {
                hosts.park();
            }
        }
        for at in 0..KEYS {
            if let Some(seen) = look(&db, at) {
                assert_eq!(seen, round, "an old row after the batch was acknowledged");
            }
            assert_eq!(ask(&db, &hosts, at), round);
            assert_eq!(
                look(&db, at),
                Some(round),
                "a row that was asked for is shown"
            );
        }
    }
    assert!(seen_without_asking > ROUNDS, "{seen_without_asking} looks");
    let stats = hosts.run(db.stats_async()).expect("stats");
    assert!(stats.total.row_hits > u64::from(ROUNDS * KEYS));
}

/// A snapshot that is taken while a durable write is in flight shows it. What another shard has shown since that is not in the snapshot
/// must not be seen together with the row from before the write: neither would have come first.
#[test]
fn rows_that_a_write_in_flight_will_replace_are_no_part_of_one_instant_over_shards() {
    let disk = SimulatedDisk::new(8, SimulatedOptions::default());
    let (db, hosts) = simulation::open(&disk, "/db", &tiny(4), [8; 16]).expect("opens");
    for at in 0..KEYS {
        let put = db.put_async(key(at), 1u32.to_le_bytes());
        hosts.run(put).expect("a write");
        assert_eq!(ask(&db, &hosts, at), 1);
    }
    let mut context = Context::from_waker(Waker::noop());
    let all = || db.multi_get_async((0..KEYS).map(key).collect::<Vec<_>>());
    assert!(
        pin!(all()).poll(&mut context).is_ready(),
        "all rows are shown"
    );
    let mut write = pin!(db.put_async(key(0), 2u32.to_le_bytes()));
    assert!(write.as_mut().poll(&mut context).is_pending());
    hosts.turn();
    assert!(write.as_mut().poll(&mut context).is_pending(), "in flight");
    assert_eq!(look(&db, 0), Some(1), "nobody can have seen the other");
    assert!(pin!(all()).poll(&mut context).is_pending());
    hosts.run(write).expect("a write");
    assert_eq!(look(&db, 0), Some(2));
    assert!(pin!(all()).poll(&mut context).is_ready());
}

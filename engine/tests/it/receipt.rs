//! Receipts on a clock that only the disk and the test move: every nanosecond is where it belongs.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, CallReceipt, Database, Durability, Operation, Options, Receipt, ShardId};
use ringkeep_io::SimulatedDisk;

use crate::folder::tiny;
use crate::latency::{TAKES, even_disk};

const NO_TIME: Duration = Duration::ZERO;

fn open(disk: &SimulatedDisk) -> (Database, ByHand) {
    let options = Options {
        threads: Some(2),
        ..tiny(2)
    };
    simulation::open(disk, "/db", &options, [7; 16]).expect("opens")
}

/// As [`ByHand::run`], but the caller looks before time passes.
fn run<R>(hosts: &ByHand, future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(result) => return result,
            // Twice: of two hosts, the first to turn has not yet seen what the other sent.
            Poll::Pending if hosts.turn() | hosts.turn() => {}
            Poll::Pending => match future.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => hosts.park(),
            },
        }
    }
}

/// Keys of one shard of two.
fn keys(shard: u16) -> impl Iterator<Item = String> {
    let place = simulation::placement(2);
    let names = (0..).map(|n| format!("key {n}"));
    names.filter(move |key| place(key.as_bytes()) == ShardId(shard))
}

fn key(shard: u16) -> String {
    keys(shard).next().expect("there are many")
}

/// What the only call took that the future made.
fn only<R>(hosts: &ByHand, future: impl Future<Output = ringkeep::Result<R>>) -> CallReceipt {
    let (result, receipt) = run(hosts, Receipt::of_async(future));
    result.expect("an answer");
    let [call] = &receipt.calls[..] else {
        panic!("one call, not {receipt}");
    };
    call.clone()
}

fn takes(operation: Operation, shard: u16) -> CallReceipt {
    CallReceipt {
        shard: ShardId(shard),
        operation,
        queue: NO_TIME,
        cpu: NO_TIME,
        io_wait: NO_TIME,
        flush_wait: NO_TIME,
        reply: NO_TIME,
    }
}

#[test]
fn a_durable_write_waits_for_the_log_and_for_nothing_else() {
    let disk = even_disk();
    let (db, hosts) = open(&disk);
    let written = |operation| CallReceipt {
        flush_wait: TAKES,
        ..takes(operation, 0)
    };
    let put = only(&hosts, db.put_async(key(0), "value"));
    assert_eq!(put, written(Operation::Put));
    let delete = only(&hosts, db.delete_async(key(0)));
    assert_eq!(delete, written(Operation::Delete));
    let mut batch = Batch::new();
    for key in keys(0).take(3) {
        batch.put(key, "value");
    }
    assert_eq!(
        only(&hosts, db.write_async(batch)),
        written(Operation::Batch)
    );
    let put = db.put_with_async(key(0), "value", Durability::Buffered);
    assert_eq!(
        only(&hosts, put),
        takes(Operation::Put, 0),
        "nobody waits for the device who has not asked for it"
    );
}

#[test]
fn a_batch_over_two_shards_waits_for_both_logs_in_turn() {
    let disk = even_disk();
    let (db, hosts) = open(&disk);
    let mut batch = Batch::new();
    batch.put(key(0), "value").put(key(1), "value");
    let expected = CallReceipt {
        flush_wait: 2 * TAKES,
        ..takes(Operation::Batch, 0)
    };
    assert_eq!(only(&hosts, db.write_async(batch)), expected);
}

#[test]
fn a_cold_get_waits_for_the_device_and_a_warm_one_for_nothing() {
    let disk = even_disk();
    let (db, hosts) = open(&disk);
    for key in keys(0).take(500) {
        run(&hosts, db.put_async(key, [7; 100])).expect("a put");
    }
    run(&hosts, db.flush_async()).expect("a flush");
    let reads = || {
        let stats = run(&hosts, db.stats_async()).expect("stats");
        stats.hosts.iter().map(|host| host.io.reads).sum::<u64>()
    };
    let mut cold = 0;
    // Of a snapshot: rows of the present are read without asking.
    let snapshot = db.snapshot().expect("a snapshot");
    for key in keys(0).take(500) {
        let before = reads();
        let get = only(&hosts, snapshot.get_async(key));
        let blocks = (reads() - before) as u32;
        cold += blocks;
        let expected = CallReceipt {
            io_wait: blocks * TAKES,
            ..takes(Operation::Get, 0)
        };
        assert_eq!(get, expected);
    }
    assert!(cold > 5, "{cold} blocks were not in memory");
}

#[test]
fn what_waits_for_a_host_that_does_not_run_is_in_the_queue() {
    let disk = even_disk();
    let (db, hosts) = open(&disk);
    let pause = Duration::from_millis(3);
    hosts.hold(1, disk.now() + pause.as_nanos() as u64);
    let get = only(&hosts, db.get_async(key(1)));
    let expected = CallReceipt {
        queue: pause,
        ..takes(Operation::Get, 1)
    };
    assert_eq!(get, expected);
    // In line behind a frame for which there is no flight free.
    let mut first = Vec::new();
    for key in keys(0).take(3) {
        let mut put = Box::pin(Receipt::of_async(db.put_async(key, "value")));
        assert!(
            put.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        hosts.turn();
        first.push(put);
    }
    let puts: Vec<_> = first
        .into_iter()
        .map(|put| run(&hosts, put).1.calls.remove(0))
        .collect();
    assert_eq!(puts.iter().map(CallReceipt::whole).max(), Some(2 * TAKES));
    let last = puts.iter().max_by_key(|put| put.whole()).expect("three");
    assert_eq!((last.queue, last.flush_wait), (TAKES, TAKES));
}

#[test]
fn a_receipt_is_of_what_it_is_around() {
    let db = Database::in_memory(tiny(2)).expect("opens");
    let ((), receipt) = Receipt::of(|| {
        db.put("a", "1").expect("a put");
        let (_, inner) = Receipt::of(|| db.put("b", "2").expect("a put"));
        assert_eq!(inner.calls.len(), 1);
        db.delete("c").expect("a delete");
    });
    db.put("d", "4").expect("a put");
    let operations: Vec<_> = receipt.calls.iter().map(|call| call.operation).collect();
    assert_eq!(operations, [Operation::Put, Operation::Delete]);
    let whole: Duration = receipt.calls.iter().map(CallReceipt::whole).sum();
    assert!(whole <= receipt.elapsed, "{receipt}");
    let nothing = Receipt::of(|| ()).1;
    assert!(nothing.calls.is_empty());
}

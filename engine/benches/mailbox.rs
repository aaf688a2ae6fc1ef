//! A call's way to a host thread and back, without the host's work.
#![cfg(not(loom))]
#![allow(unsafe_code, reason = "the mailbox's own files, each with its proofs")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

// Not public: the files themselves, as the loom models take them.
#[path = "../src/mailbox/atomics.rs"]
mod atomics;
#[path = "../src/mailbox/call.rs"]
#[allow(dead_code, reason = "the bench uses a part")]
mod call;
#[path = "../src/mailbox/lane.rs"]
mod lane;
#[path = "../src/mailbox/lanes.rs"]
#[allow(dead_code, reason = "the bench uses a part")]
mod lanes;

use call::{Answer, Idle, Waiting};

fn taken(mut waiting: Waiting<u64>) -> (u64, Idle<u64>) {
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(answer)) = waiting.poll(&mut context) else {
        unreachable!("it is ready");
    };
    (answer, waiting.into_idle().expect("it was answered"))
}

/// One thread is caller and host: the instructions, without the caches' way between cores.
fn same_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(1));
    let mut mail = lanes::inbox::<u64>(1, 1024, Box::new(|| {}));
    let inbox = mail.inbox().clone();
    group.bench_function("send_and_take", |b| {
        b.iter(|| {
            let sent = inbox.send(0, 7);
            let mut sum = 0;
            mail.take(64, |item| sum += item, |_| {});
            assert!(sent.is_ok() && sum == 7);
        });
    });
    let mut slot = Some(Idle::new());
    group.bench_function("ask_and_answer", |b| {
        b.iter(|| {
            let (waiting, answer) = slot.take().unwrap_or_else(Idle::new).ask();
            answer.send(7);
            let (answer, idle) = taken(waiting);
            slot = Some(idle);
            answer
        });
    });
    group.finish();
}

/// Leaves the core to the other side, if it turns out to have none.
fn pause(spins: &mut u32) {
    *spins += 1;
    match *spins {
        0..1000 => std::hint::spin_loop(),
        _ => thread::yield_now(),
    }
}

/// Two threads that never sleep: a whole call, there and back. Needs two cores to mean anything.
fn round_trip(c: &mut Criterion) {
    let mut mail = lanes::inbox::<Answer<u64>>(1, 1024, Box::new(|| {}));
    let (inbox, done) = (mail.inbox().clone(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut spins = 0;
            while !done.load(Ordering::Relaxed) {
                mail.take(
                    64,
                    |answer| {
                        answer.send(7);
                        spins = 0;
                    },
                    |_| {},
                );
                pause(&mut spins);
            }
        });
        let mut slot = Some(Idle::new());
        c.bench_function("mailbox/round_trip", |b| {
            b.iter(|| {
                let (waiting, answer) = slot.take().unwrap_or_else(Idle::new).ask();
                assert!(inbox.send(0, answer).is_ok());
                let mut spins = 0;
                while !waiting.is_ready() {
                    pause(&mut spins);
                }
                let (answer, idle) = taken(waiting);
                slot = Some(idle);
                answer
            });
        });
        done.store(true, Ordering::Relaxed);
    });
}

criterion_group!(benches, same_thread, round_trip);
criterion_main!(benches);

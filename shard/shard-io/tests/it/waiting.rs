//! Parking, waking and what they cost, on every backend.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ringkeep_io::{OpenMode, PAGE, WriteDurability};

use crate::rig::{every, filled, finish, real};

#[test]
fn the_doorbell_ends_a_park_from_another_thread() {
    for rig in every() {
        let bell = rig.io.doorbell();
        for _ in 0..100 {
            let bell = bell.clone();
            let ringer = std::thread::spawn(move || bell.ring());
            if rig.name == "simulated" {
                // It cannot sleep for real: there, only a bell from before is heard.
                ringer.join().unwrap();
                rig.io.park(None);
            } else {
                rig.io.park(None);
                ringer.join().unwrap();
            }
        }
    }
}

#[test]
fn a_bell_from_before_ends_the_next_park() {
    for rig in every() {
        rig.io.doorbell().ring();
        rig.io.park(None);
        // Also when a turn came between, which may have heard it already.
        rig.io.doorbell().ring();
        rig.io.turn();
        rig.io.park(None);
    }
}

#[test]
fn bells_are_heard_among_completions() {
    for rig in every() {
        let file = rig.directory.open("noise", OpenMode::CreateNew).unwrap();
        for page in 0..50 {
            let write = rig.io.write(
                &file,
                page * PAGE as u64,
                filled(PAGE, 1),
                PAGE,
                WriteDurability::Cached,
            );
            rig.io.turn();
            rig.io.doorbell().ring();
            finish(&rig.io, write);
        }
        rig.io.doorbell().ring();
        rig.io.park(None);
    }
}

#[test]
fn a_deadline_ends_a_park() {
    for rig in every() {
        let io = &rig.io;
        for wait in [0, 1, 1_000_000, 3_000_000] {
            let deadline = io.now() + wait;
            while io.now() < deadline {
                io.park(Some(deadline));
            }
        }
        let passed = io.now();
        io.park(Some(passed.saturating_sub(1)));
        assert!(io.wall_clock() > 1_700_000_000_000_000_000, "{}", rig.name);
    }
}

#[test]
fn idle_turns_make_no_system_call() {
    for rig in every() {
        rig.io.turn();
        let before = rig.io.counters().enters;
        for _ in 0..1000 {
            assert_eq!(rig.io.turn(), 0);
        }
        assert_eq!(rig.io.counters().enters, before, "{}", rig.name);
    }
}

#[test]
fn one_read_at_a_time_is_one_system_call_each() {
    for rig in real() {
        let io = &rig.io;
        let file = rig.directory.open("file", OpenMode::CreateNew).unwrap();
        finish(
            io,
            io.write(&file, 0, filled(PAGE, 1), PAGE, WriteDurability::Cached),
        );
        let before = io.counters().enters;
        for _ in 0..100 {
            finish(io, io.read(&file, 0, io.frame()));
        }
        let calls = io.counters().enters - before;
        // A wait that a signal or an early bell ends is repeated.
        assert!(calls <= 110, "{}: {calls} calls for 100 reads", rig.name);
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_completion_wakes_its_waker_and_nothing_else() {
    for rig in every() {
        let io = &rig.io;
        let file = rig.directory.open("file", OpenMode::CreateNew).unwrap();
        let (early, late) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let (early_waker, late_waker) = (Waker::from(early.clone()), Waker::from(late.clone()));
        let mut ticket = pin!(io.write(&file, 0, filled(PAGE, 1), PAGE, WriteDurability::Durable));
        // The last waker to ask is the one that is woken.
        assert!(
            ticket
                .as_mut()
                .poll(&mut Context::from_waker(&early_waker))
                .is_pending()
        );
        assert!(
            ticket
                .as_mut()
                .poll(&mut Context::from_waker(&late_waker))
                .is_pending()
        );
        let mut completed = 0;
        while io.in_flight() > 0 {
            io.park(None);
            completed += io.turn();
        }
        assert_eq!(completed, 1, "{}", rig.name);
        assert_eq!(early.0.load(Ordering::Relaxed), 0);
        assert_eq!(late.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(completion) = ticket.as_mut().poll(&mut Context::from_waker(&late_waker))
        else {
            panic!("woken before it was ready");
        };
        assert_eq!(completion.result, Ok(PAGE));
    }
}

//! An answer is never lost, never seen twice, and always wakes the last waker that was left.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use loom::thread;

use crate::call::{Idle, Lost, Waiting};

struct Wakes(Notify);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Sleeps as a caller does: a wake-up that is missed hangs the model, which loom reports.
fn wait<R: Send>(waiting: &mut Waiting<R>) -> Result<R, Lost> {
    let wakes = Arc::new(Wakes(Notify::new()));
    let waker = Waker::from(Arc::clone(&wakes));
    loop {
        match waiting.poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(reply) => return reply,
            Poll::Pending => wakes.0.wait(),
        }
    }
}

#[test]
fn a_sleeping_caller_is_woken() {
    loom::model(|| {
        let (mut waiting, answer) = Idle::new().ask();
        let host = thread::spawn(move || answer.send(7));
        assert_eq!(wait(&mut waiting), Ok(7));
        host.join().unwrap();
    });
}

#[test]
fn a_slot_is_used_again_while_the_last_answerer_still_leaves() {
    loom::model(|| {
        let (mut waiting, answer) = Idle::new().ask();
        let first = thread::spawn(move || answer.send(1));
        assert_eq!(wait(&mut waiting), Ok(1));
        let (mut waiting, answer) = waiting.into_idle().unwrap().ask();
        answer.send(2);
        assert_eq!(wait(&mut waiting), Ok(2));
        first.join().unwrap();
    });
}

#[test]
fn the_waker_left_last_is_the_one_that_counts() {
    loom::model(|| {
        let (mut waiting, answer) = Idle::new().ask();
        let host = thread::spawn(move || answer.send(7));
        let earlier = Waker::from(Arc::new(Wakes(Notify::new())));
        match waiting.poll(&mut Context::from_waker(&earlier)) {
            Poll::Ready(reply) => assert_eq!(reply, Ok(7)),
            Poll::Pending => assert_eq!(wait(&mut waiting), Ok(7)),
        }
        host.join().unwrap();
    });
}

#[test]
fn an_answerer_that_goes_away_leaves_nobody_waiting() {
    loom::model(|| {
        let (mut waiting, answer) = Idle::<u32>::new().ask();
        let host = thread::spawn(move || drop(answer));
        assert_eq!(wait(&mut waiting), Err(Lost));
        host.join().unwrap();
    });
}

#[test]
fn a_caller_that_goes_away_harms_nobody() {
    loom::model(|| {
        let (mut waiting, answer) = Idle::new().ask();
        let host = thread::spawn(move || answer.send(Box::new(7)));
        let waker = Waker::from(Arc::new(Wakes(Notify::new())));
        drop(waiting.poll(&mut Context::from_waker(&waker)));
        drop(waiting);
        host.join().unwrap();
    });
}

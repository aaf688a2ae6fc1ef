//! A lane hands over every item once, in its sender's order, and drops what nobody took.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use crate::lane;

/// The smallest ring, so that every lap is explored.
const CAPACITY: usize = 2;

#[test]
fn every_item_arrives_once_and_in_order_across_laps() {
    loom::model(|| {
        let (sender, mut receiver) = lane::ring(CAPACITY);
        let sending = thread::spawn(move || {
            for item in 1..=3 {
                while sender.send(item).is_err() {
                    thread::yield_now();
                }
            }
        });
        let mut taken = Vec::new();
        while taken.len() < 3 {
            match receiver.take() {
                Some(item) => taken.push(item),
                None => thread::yield_now(),
            }
        }
        sending.join().unwrap();
        assert_eq!(taken, [1, 2, 3]);
        assert_eq!(receiver.take(), None);
    });
}

#[test]
fn two_senders_never_get_the_same_cell() {
    loom::model(|| {
        let (sender, mut receiver) = lane::ring(CAPACITY);
        let sender = Arc::new(sender);
        let other = Arc::clone(&sender);
        let sending = thread::spawn(move || other.send(1).unwrap());
        sender.send(2).unwrap();
        sending.join().unwrap();
        assert_eq!(sender.send(3), Err(3), "the ring holds two");
        let mut taken = [receiver.take().unwrap(), receiver.take().unwrap()];
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_nobody_takes_is_dropped_once() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, mut receiver) = lane::ring(CAPACITY);
        let item = Counted(Arc::clone(&drops));
        let sending = thread::spawn(move || drop(sender.send(item)));
        drop(receiver.take());
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

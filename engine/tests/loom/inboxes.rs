//! Mail is never overlooked: not by a host that goes to sleep, and not by one that goes away.

use loom::sync::{Arc, Notify};
use loom::thread;

use crate::call::{Answer, Idle};
use crate::lanes::{self, Mail, Refused};

fn inbox<T: Send>(lanes: usize) -> (Mail<T>, Arc<Notify>) {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    (
        lanes::inbox(lanes, 2, Box::new(move || ring.notify())),
        bell,
    )
}

/// The host's loop until `count` items came: a bell that is not rung hangs the model.
fn take(mail: &mut Mail<u32>, bell: &Notify, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        if !mail.take(2, |item| taken.push(item), drop) && taken.len() < count {
            sleep(mail, bell);
        }
    }
    taken
}

fn sleep<T: Send>(mail: &mut Mail<T>, bell: &Notify) {
    if mail.lie_down(false, false) {
        bell.wait();
    }
    mail.get_up();
}

#[test]
fn a_sleeping_host_is_woken() {
    loom::model(|| {
        let (mut mail, bell) = inbox(1);
        let inbox = Arc::clone(mail.inbox());
        let sender = thread::spawn(move || inbox.send(0, 1).unwrap());
        assert_eq!(take(&mut mail, &bell, 1), [1]);
        sender.join().unwrap();
    });
}

#[test]
fn senders_on_two_lanes_are_both_heard() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (mut mail, bell) = inbox(2);
        let inbox = Arc::clone(mail.inbox());
        let sender = thread::spawn(move || inbox.send(1, 1).unwrap());
        let inbox = Arc::clone(mail.inbox());
        let other = thread::spawn(move || inbox.send(0, 2).unwrap());
        let mut taken = take(&mut mail, &bell, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        sender.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn two_senders_share_a_lane() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let (mut mail, bell) = inbox(1);
        let inbox = Arc::clone(mail.inbox());
        let sender = thread::spawn(move || inbox.send(0, 1).unwrap());
        let inbox = Arc::clone(mail.inbox());
        let other = thread::spawn(move || inbox.send(0, 2).unwrap());
        let mut taken = take(&mut mail, &bell, 2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        sender.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_host_that_is_told_to_stop_does_not_sleep_on() {
    loom::model(|| {
        let (mut mail, bell) = inbox::<u32>(1);
        let inbox = Arc::clone(mail.inbox());
        let owner = thread::spawn(move || inbox.stop());
        while !mail.is_stopped() {
            sleep(&mut mail, &bell);
        }
        owner.join().unwrap();
    });
}

#[test]
fn mail_to_a_host_that_goes_away_is_dropped_and_its_caller_told() {
    loom::model(|| {
        let (mail, _bell) = inbox::<Answer<u32>>(1);
        let inbox = Arc::clone(mail.inbox());
        let (waiting, answer) = Idle::new().ask();
        let sender = thread::spawn(move || match inbox.send(0, answer) {
            Ok(()) | Err(Refused::Closed(_)) => {}
            Err(Refused::Full(_)) => unreachable!("one item fits"),
        });
        drop(mail);
        sender.join().unwrap();
        assert!(
            waiting.is_ready(),
            "whoever came last has dropped the answer"
        );
    });
}

#[test]
fn what_is_left_beside_the_mail_is_found_before_a_sleep() {
    loom::model(|| {
        let (mut mail, bell) = inbox::<u32>(1);
        let inbox = Arc::clone(mail.inbox());
        let left = Arc::new(loom::sync::Mutex::new(0));
        let there = Arc::clone(&left);
        let visitor = thread::spawn(move || {
            *there.lock().unwrap() += 1;
            inbox.wake_up();
        });
        // As a host does: first it says that it sleeps, then it looks.
        loop {
            let sleeps = mail.lie_down(false, false);
            let found = *left.lock().unwrap() == 1;
            if sleeps && !found {
                bell.wait();
            }
            mail.get_up();
            if found {
                break;
            }
        }
        visitor.join().unwrap();
    });
}

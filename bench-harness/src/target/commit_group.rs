//! Group commit in front of a store that syncs one caller at a time.
//!
//! What a service would put there, so that such stores are not measured by a queue on their lock. The first
//! caller commits for everyone who has asked by then; when it is done, the next one of those who came meanwhile
//! does the same.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use super::Failure;
use crate::workload::{Durability, Op, OpKind};

/// One key and what becomes of it; `None` removes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// The changes that a writing operation makes; they are committed together.
pub fn changes(op: &Op<'_>) -> Vec<Change> {
    match op.kind {
        OpKind::Put | OpKind::Insert | OpKind::Rmw => {
            vec![(op.key().to_vec(), Some(op.value().to_vec()))]
        }
        OpKind::Delete => vec![(op.key().to_vec(), None)],
        OpKind::Batch => op
            .each_pair()
            .map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
            .collect(),
        OpKind::Get | OpKind::MultiGet | OpKind::Scan => Vec::new(),
    }
}

/// Callers that commit together.
#[derive(Debug, Default)]
pub struct CommitGroup {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<Waiter>>,
    /// Is somebody committing now?
    busy: bool,
}

#[derive(Debug)]
struct Waiter {
    changes: Mutex<Vec<Change>>,
    sync: bool,
    state: AtomicU8,
    failure: Mutex<Option<Failure>>,
    thread: Thread,
}

/// States of a waiter: its changes are in the queue; it is to commit for the queue; they are committed.
const WAITING: u8 = 0;
const LEADING: u8 = 1;
const DONE: u8 = 2;

impl CommitGroup {
    /// Nobody waits yet.
    pub fn new() -> CommitGroup {
        CommitGroup::default()
    }

    /// Returns once `changes` are committed. `apply` commits what it is given in one go, on stable storage if
    /// it is told so; it is called by one thread at a time.
    pub fn commit(
        &self,
        changes: Vec<Change>,
        durability: Durability,
        apply: impl Fn(&[Change], bool) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let own = Arc::new(Waiter {
            changes: Mutex::new(changes),
            sync: durability == Durability::Sync,
            state: AtomicU8::new(WAITING),
            failure: Mutex::new(None),
            thread: std::thread::current(),
        });
        {
            let mut queue = lock(&self.queue);
            queue.waiting.push(own.clone());
            if !queue.busy {
                queue.busy = true;
                own.state.store(LEADING, Ordering::Relaxed);
            }
        }
        loop {
            // Acquire pairs with the leader's release of the failure.
            match own.state.load(Ordering::Acquire) {
                DONE => break,
                LEADING => {
                    self.lead(&own, apply);
                    break;
                }
                _ => std::thread::park(),
            }
        }
        match lock(&own.failure).take() {
            None => Ok(()),
            Some(failure) => Err(failure),
        }
    }

    fn lead(&self, own: &Arc<Waiter>, apply: impl Fn(&[Change], bool) -> Result<(), Failure>) {
        let group = std::mem::take(&mut lock(&self.queue).waiting);
        let mut all = Vec::with_capacity(group.len());
        for waiter in &group {
            all.append(&mut lock(&waiter.changes));
        }
        let sync = group.iter().any(|waiter| waiter.sync);
        let outcome = apply(&all, sync);
        // The next group starts before this one's callers are woken: the device should not wait for them.
        let next = {
            let mut queue = lock(&self.queue);
            queue.busy = !queue.waiting.is_empty();
            queue.waiting.first().cloned()
        };
        if let Some(next) = next {
            next.state.store(LEADING, Ordering::Release);
            next.thread.unpark();
        }
        for waiter in &group {
            if let Err(failure) = &outcome {
                *lock(&waiter.failure) = Some(failure.clone());
            }
            waiter.state.store(DONE, Ordering::Release);
            if !Arc::ptr_eq(waiter, own) {
                waiter.thread.unpark();
            }
        }
    }
}

/// A caller that panicked has left nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn everyone_is_committed_once_and_many_at_a_time() {
        let group = CommitGroup::new();
        let stored = Mutex::new(Vec::new());
        let commits = AtomicUsize::new(0);
        let inside = AtomicUsize::new(0);
        let started = std::sync::Barrier::new(32);
        std::thread::scope(|scope| {
            for thread in 0..32u8 {
                let (group, stored, commits, inside) = (&group, &stored, &commits, &inside);
                let started = &started;
                scope.spawn(move || {
                    started.wait();
                    for i in 0..50u8 {
                        let change = (vec![thread, i], Some(vec![]));
                        group
                            .commit(vec![change], Durability::Sync, |changes, sync| {
                                assert!(sync);
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                commits.fetch_add(1, Ordering::Relaxed);
                                // Gives the others time to queue up, as a sync would.
                                std::thread::yield_now();
                                lock(stored).extend(changes.iter().map(|(key, _)| key.clone()));
                                inside.fetch_sub(1, Ordering::SeqCst);
                                Ok(())
                            })
                            .unwrap();
                        assert!(lock(stored).contains(&vec![thread, i]));
                    }
                });
            }
        });
        let mut stored = stored.into_inner().unwrap();
        stored.sort();
        stored.dedup();
        assert_eq!(stored.len(), 32 * 50);
        assert!(commits.into_inner() <= 32 * 50);
        assert!(!lock(&group.queue).busy);
    }

    #[test]
    fn a_failed_commit_is_every_callers_failure() {
        let group = CommitGroup::new();
        let failed = group.commit(vec![], Durability::Buffered, |_, sync| {
            assert!(!sync);
            Err(Failure("disk full".to_string()))
        });
        assert_eq!(failed, Err(Failure("disk full".to_string())));
        assert_eq!(
            group.commit(vec![], Durability::Buffered, |_, _| Ok(())),
            Ok(())
        );
    }
}

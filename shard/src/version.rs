//! Commit versions, the one clock that hands them out, and the pins that keep old ones readable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ringkeep_io::planted::{Defect, planted};

/// The order of commits over the whole database. Every commit group of every shard has its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which shard of a database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// The one commit clock of a database, shared by its shards. A shard takes one version for each
/// commit group, so a shard has always applied every version that it was given.
#[derive(Debug, Default)]
pub struct CommitClock(AtomicU64);

impl CommitClock {
    /// A version above every other one handed out so far.
    pub fn next(&self) -> Version {
        Version(self.0.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The newest version handed out.
    pub fn now(&self) -> Version {
        Version(self.0.load(Ordering::Acquire))
    }

    /// Recovery: never hand out `version` or anything below it again.
    pub fn raise_to(&self, version: Version) {
        self.0.fetch_max(version.0, Ordering::AcqRel);
    }
}

/// The versions that somebody still reads at. Compaction keeps what they can see.
#[derive(Debug)]
pub struct Pins {
    clock: Arc<CommitClock>,
    held: Mutex<BTreeMap<Version, usize>>,
}

impl Pins {
    /// No pins yet, over `clock`.
    pub fn new(clock: Arc<CommitClock>) -> Arc<Pins> {
        Arc::new(Pins {
            clock,
            held: Mutex::new(BTreeMap::new()),
        })
    }

    /// Pins the present. The version is read under the lock, so that no compaction that asks for
    /// `oldest` at the same time can miss a pin older than its answer.
    pub fn pin(self: &Arc<Self>) -> Pin {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.clock.now();
        *held.entry(version).or_insert(0) += 1;
        drop(held);
        Pin {
            pins: Arc::clone(self),
            version,
        }
    }

    /// Pins a version that a shard reads at now. What that shard has merged away was hidden from it; of other
    /// shards this says nothing.
    pub(crate) fn pin_at(self: &Arc<Self>, version: Version) -> Pin {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(version).or_insert(0) += 1;
        drop(held);
        Pin {
            pins: Arc::clone(self),
            version,
        }
    }

    /// Nobody reads, and nobody will ever read, below this version.
    pub fn oldest(&self) -> Version {
        if planted(Defect::PinForgotten) {
            return self.clock.now();
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = held.first_key_value().map(|(version, _)| *version);
        oldest.unwrap_or_else(|| self.clock.now())
    }

    /// How many pins are held.
    pub fn count(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().sum()
    }
}

/// Holds one version readable until dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    version: Version,
}

impl Pin {
    /// The pinned version: reads at it see every commit up to and including it.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self
            .pins
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pin_wins_until_it_is_dropped() {
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::new(Arc::clone(&clock));
        clock.raise_to(Version(7));
        let old = pins.pin();
        clock.next();
        let young = pins.pin();
        assert_eq!(
            (old.version(), young.version(), pins.oldest()),
            (Version(7), Version(8), Version(7))
        );
        drop(old);
        assert_eq!(pins.oldest(), Version(8));
        drop(young);
        clock.next();
        assert_eq!((pins.oldest(), pins.count()), (Version(9), 0));
    }
}

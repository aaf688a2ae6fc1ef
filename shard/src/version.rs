//! Commit versions, the one clock that hands them out, and the pins that keep old ones readable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringkeep_io::planted::{Defect, planted};

use crate::timeline::{MOMENTS_MAX, Timeline};

/// Between moments of the timeline where the window is a number of versions.
const STEP_MILLIS: u64 = 10;

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

/// How much of the past is kept, beside what snapshots and scans hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retention {
    /// Nothing on purpose.
    #[default]
    None,
    /// The newest so many versions. Each group of commits takes one; a transaction or a batch over several shards one
    /// more.
    Versions(u64),
    /// So long before the newest commit.
    For(Duration),
}

/// Why a version cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Past {
    /// Merges may have dropped what only reads below this version can see.
    Gone(Version),
    /// No version above this one was handed out yet.
    NotYet(Version),
}

/// The versions that somebody still reads at, or may want to. Flushes and merges keep what they can see.
#[derive(Debug)]
pub struct Pins {
    clock: Arc<CommitClock>,
    held: Mutex<Held>,
    retention: Retention,
    timeline: Timeline,
}

#[derive(Debug, Default)]
struct Held {
    pins: BTreeMap<Version, usize>,
    /// What only reads below this version can see may be dropped already.
    gone: Version,
}

impl Pins {
    /// No pins yet, over `clock`.
    pub fn new(clock: Arc<CommitClock>) -> Arc<Pins> {
        Pins::keeping(clock, Retention::None)
    }

    /// No pins yet, but a part of the past.
    pub fn keeping(clock: Arc<CommitClock>, retention: Retention) -> Arc<Pins> {
        Arc::new(Pins {
            clock,
            held: Mutex::default(),
            retention,
            timeline: Timeline::default(),
        })
    }

    /// Pins the present. The version is read under the lock, so that no compaction that asks at the same
    /// time can miss a pin older than its answer.
    pub fn pin(self: &Arc<Self>) -> Pin {
        let mut held = self.held();
        let version = self.clock.now();
        self.hold(&mut held, version)
    }

    /// Pins a version that a shard reads at now. What that shard has merged away was hidden from it; of other
    /// shards this says nothing.
    pub(crate) fn pin_at(self: &Arc<Self>, version: Version) -> Pin {
        self.hold(&mut self.held(), version)
    }

    /// Pins a version of the past, if all of it is still there.
    pub fn pin_past(self: &Arc<Self>, version: Version) -> Result<Pin, Past> {
        let mut held = self.held();
        let newest = self.clock.now();
        if version > newest {
            return Err(Past::NotYet(newest));
        }
        if version < held.gone {
            return Err(Past::Gone(held.gone));
        }
        Ok(self.hold(&mut held, version))
    }

    fn hold(self: &Arc<Self>, held: &mut Held, version: Version) -> Pin {
        *held.pins.entry(version).or_insert(0) += 1;
        Pin {
            pins: Arc::clone(self),
            version,
        }
    }

    /// Nobody reads, and nobody will be let read, below this version.
    pub fn oldest(&self) -> Version {
        self.oldest_of(&self.held())
    }

    /// The same; from here on what only reads below it can see may be dropped.
    pub(crate) fn let_go(&self) -> Version {
        let mut held = self.held();
        let oldest = self.oldest_of(&held);
        held.gone = held.gone.max(oldest);
        oldest
    }

    fn oldest_of(&self, held: &Held) -> Version {
        if planted(Defect::PinForgotten) {
            return self.clock.now();
        }
        let policy = self.policy();
        let pinned = held.pins.first_key_value();
        pinned.map_or(policy, |(version, _)| policy.min(*version))
    }

    /// The oldest version that is kept on purpose.
    pub fn policy(&self) -> Version {
        let now = self.clock.now();
        match self.retention {
            _ if planted(Defect::RetentionForgotten) => now,
            Retention::None => now,
            Retention::Versions(count) => Version(now.0.saturating_sub(count)),
            Retention::For(time) => {
                let newest = self.timeline.newest().unwrap_or_default();
                let from = newest.millis.saturating_sub(time.as_millis() as u64);
                self.timeline.version_at(from).unwrap_or_default().min(now)
            }
        }
    }

    /// What only reads below this version can see may have been dropped.
    pub fn gone(&self) -> Version {
        self.held().gone
    }

    /// Opening: an earlier life of a shard has let go of this.
    pub(crate) fn recover(&self, gone: Version) {
        // The version may never have been used: the power went before.
        self.clock.raise_to(gone);
        let mut held = self.held();
        held.gone = held.gone.max(gone);
    }

    /// When versions were.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Moments of the timeline should be so many milliseconds apart; nothing where times are not kept.
    pub(crate) fn step(&self) -> Option<u64> {
        match self.retention {
            Retention::None => None,
            Retention::Versions(_) => Some(STEP_MILLIS),
            Retention::For(time) => {
                let step = time.as_millis() as u64 / (MOMENTS_MAX as u64 / 2);
                Some(step.max(1))
            }
        }
    }

    /// How many pins are held.
    pub fn count(&self) -> usize {
        self.held().pins.values().sum()
    }

    /// The versions that are pinned, oldest first, and how often.
    pub fn pinned(&self) -> Vec<(Version, usize)> {
        let held = self.held();
        held.pins
            .iter()
            .map(|(version, count)| (*version, *count))
            .collect()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut held = self.pins.held();
        if let Some(count) = held.pins.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                held.pins.remove(&self.version);
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

    #[test]
    fn the_past_is_there_until_it_is_let_go() {
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::keeping(Arc::clone(&clock), Retention::Versions(10));
        clock.raise_to(Version(30));
        assert!(pins.pin_past(Version(5)).is_ok(), "nothing was dropped yet");
        assert_eq!(pins.let_go(), Version(20));
        let past = |version| pins.pin_past(Version(version)).map(|pin| pin.version());
        assert_eq!(past(19), Err(Past::Gone(Version(20))));
        assert_eq!(past(20), Ok(Version(20)));
        assert_eq!(past(31), Err(Past::NotYet(Version(30))));
        let old = pins.pin_past(Version(21)).expect("it is within the window");
        clock.raise_to(Version(50));
        assert_eq!(
            pins.let_go(),
            Version(21),
            "a pin keeps more than the policy"
        );
        drop(old);
        assert_eq!((pins.let_go(), pins.oldest()), (Version(40), Version(40)));
        assert_eq!(past(21), Err(Past::Gone(Version(40))));
    }

    #[test]
    fn a_window_of_time_ends_at_the_newest_commit() {
        let clock = Arc::new(CommitClock::default());
        let window = Retention::For(Duration::from_millis(100));
        let pins = Pins::keeping(Arc::clone(&clock), window);
        clock.raise_to(Version(9));
        assert_eq!(pins.policy(), Version(0), "no time is known");
        for (millis, version) in [(1000, 3), (1050, 5), (1120, 9)] {
            let version = Version(version);
            pins.timeline()
                .add(crate::timeline::Moment { millis, version });
        }
        assert_eq!(pins.policy(), Version(3));
    }
}

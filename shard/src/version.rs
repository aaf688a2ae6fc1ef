//! Commit versions, the one clock that hands them out, and the pins that keep old ones readable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringkeep_io::planted::{Defect, planted};

use crate::keyspace::Living;
use crate::timeline::{MOMENTS_MAX, Moment, Timeline};

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

/// What flushes and merges have to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Needs {
    /// Nobody reads below this version.
    pub watermark: Version,
    /// What has ended by then has for everybody.
    pub ended_by: u64,
}

impl Needs {
    /// Everything above this version, ended or not.
    pub fn above(watermark: Version) -> Needs {
        Needs {
            watermark,
            ended_by: 0,
        }
    }
}

/// The moments that somebody still reads at, or may want to. Flushes and merges keep what they can see.
#[derive(Debug)]
pub struct Pins {
    clock: Arc<CommitClock>,
    held: Mutex<Held>,
    retention: Retention,
    timeline: Timeline,
    /// Milliseconds since 1970. The least that `now` says: the machine's clock may be set back, and what was once
    /// seen to have ended must not be there again.
    latest: AtomicU64,
    machine: fn() -> u64,
    living: Mutex<Arc<Living>>,
}

#[derive(Debug, Default)]
struct Held {
    /// By version and time, and how often.
    pins: BTreeMap<(Version, u64), usize>,
    /// What only reads below this version can see may be dropped already.
    gone: Version,
    /// And what has ended by then.
    ended_by: u64,
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
            latest: AtomicU64::new(0),
            machine: || 0,
            living: Mutex::default(),
        })
    }

    /// The same, where callers can ask the machine for the time: milliseconds since 1970. Otherwise they know it from
    /// the shards alone.
    pub fn with_clock(
        clock: Arc<CommitClock>,
        retention: Retention,
        machine: fn() -> u64,
    ) -> Arc<Pins> {
        let pins = Pins::keeping(clock, retention);
        let mut pins = Arc::into_inner(pins).expect("nobody else has it yet");
        pins.machine = machine;
        Arc::new(pins)
    }

    /// The time by which ends are judged: milliseconds since 1970. It never goes back.
    pub fn now(&self) -> u64 {
        self.hear((self.machine)())
    }

    /// The same for those who have looked at a clock.
    pub fn hear(&self, millis: u64) -> u64 {
        // Relaxed: the number stands for itself. Written once a millisecond at most, and read by all.
        let latest = self.latest.load(Ordering::Relaxed);
        if millis <= latest {
            return latest;
        }
        self.latest.fetch_max(millis, Ordering::Relaxed).max(millis)
    }

    /// Pins the present. The version is read under the lock, so that no compaction that asks at the same
    /// time can miss a pin older than its answer.
    pub fn pin(self: &Arc<Self>) -> Pin {
        let mut held = self.held();
        let (version, millis) = (self.clock.now(), self.now());
        self.hold(&mut held, Moment { millis, version })
    }

    /// Pins a moment that a shard reads at now. What that shard has merged away was hidden from it; of other
    /// shards this says nothing.
    pub(crate) fn pin_at(self: &Arc<Self>, moment: Moment) -> Pin {
        self.hold(&mut self.held(), moment)
    }

    /// Pins a version of the past, if all of it is still there. Ends are judged at `time`, or else at the time of the
    /// version as far as the timeline tells.
    pub fn pin_past(self: &Arc<Self>, version: Version, time: Option<u64>) -> Result<Pin, Past> {
        let mut held = self.held();
        let newest = self.clock.now();
        if version > newest {
            return Err(Past::NotYet(newest));
        }
        if version < held.gone {
            return Err(Past::Gone(held.gone));
        }
        let time = time.or_else(|| self.timeline.time_of(version));
        let millis = time.map_or_else(|| self.now(), |time| time.min(self.now()));
        // What had ended before may be dropped here, and still be there on another shard.
        let millis = millis.max(held.ended_by);
        Ok(self.hold(&mut held, Moment { millis, version }))
    }

    fn hold(self: &Arc<Self>, held: &mut Held, moment: Moment) -> Pin {
        let key = (moment.version, moment.millis);
        *held.pins.entry(key).or_insert(0) += 1;
        Pin {
            pins: Arc::clone(self),
            moment,
        }
    }

    /// Nobody reads, and nobody will be let read, below this version.
    pub fn oldest(&self) -> Version {
        self.oldest_of(&self.held())
    }

    /// What to keep; from here on all else may be dropped.
    pub(crate) fn let_go(&self) -> Needs {
        let mut held = self.held();
        let needs = self.needs_of(&held);
        held.gone = held.gone.max(needs.watermark);
        held.ended_by = held.ended_by.max(needs.ended_by);
        needs
    }

    /// Which keyspaces are there from here on; no call to any other one is let in any more.
    pub fn set_living(&self, living: Living) {
        *self.living.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(living);
    }

    /// Merges drop the keys of all other keyspaces.
    pub(crate) fn living(&self) -> Arc<Living> {
        Arc::clone(&self.living.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What has to be kept at the moment.
    pub(crate) fn needs(&self) -> Needs {
        self.needs_of(&self.held())
    }

    fn needs_of(&self, held: &Held) -> Needs {
        let pinned = held.pins.keys().map(|(_, millis)| *millis);
        let policy = match self.retention {
            Retention::None => self.now(),
            // Of what lies before the timeline nobody knows when it was. An earlier life may have had a clock that was
            // ahead: what has not ended for the present has for nobody.
            _ => {
                let then = self.timeline.time_of(self.policy()).unwrap_or(0);
                match planted(Defect::EndedByEarlierClock) {
                    false => then.min(self.now()),
                    true => then,
                }
            }
        };
        Needs {
            watermark: self.oldest_of(held),
            ended_by: match planted(Defect::EndedForReaders) {
                false => pinned.fold(policy, u64::min),
                true => self.now(),
            },
        }
    }

    fn oldest_of(&self, held: &Held) -> Version {
        if planted(Defect::PinForgotten) {
            return self.clock.now();
        }
        let policy = self.policy();
        let pinned = held.pins.first_key_value();
        pinned.map_or(policy, |((version, _), _)| policy.min(*version))
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

    /// What may have been dropped, for a manifest.
    pub(crate) fn let_go_so_far(&self) -> Needs {
        let held = self.held();
        Needs {
            watermark: held.gone,
            ended_by: held.ended_by,
        }
    }

    /// Opening: an earlier life of a shard has let go of this.
    pub(crate) fn recover(&self, gone: Needs) {
        // The version may never have been used: the power went before.
        self.clock.raise_to(gone.watermark);
        self.hear(gone.ended_by);
        let mut held = self.held();
        held.gone = held.gone.max(gone.watermark);
        held.ended_by = held.ended_by.max(gone.ended_by);
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
        let mut pinned: Vec<(Version, usize)> = Vec::new();
        for ((version, _), count) in &held.pins {
            match pinned.last_mut() {
                Some((last, sum)) if last == version => *sum += count,
                _ => pinned.push((*version, *count)),
            }
        }
        pinned
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds one moment readable until dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    moment: Moment,
}

impl Pin {
    /// The pinned version: reads at it see every commit up to and including it.
    pub fn version(&self) -> Version {
        self.moment.version
    }

    /// The same with the time by which ends are judged.
    pub fn moment(&self) -> Moment {
        self.moment
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut held = self.pins.held();
        let key = (self.moment.version, self.moment.millis);
        if let Some(count) = held.pins.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                held.pins.remove(&key);
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
        let let_go = || pins.let_go().watermark;
        let past = |version| pins.pin_past(Version(version), None);
        assert!(past(5).is_ok(), "nothing was dropped yet");
        assert_eq!(let_go(), Version(20));
        let past = |version| past(version).map(|pin| pin.version());
        assert_eq!(past(19), Err(Past::Gone(Version(20))));
        assert_eq!(past(20), Ok(Version(20)));
        assert_eq!(past(31), Err(Past::NotYet(Version(30))));
        let old = pins.pin_past(Version(21), None);
        let old = old.expect("it is within the window");
        clock.raise_to(Version(50));
        assert_eq!(let_go(), Version(21), "a pin keeps more than the policy");
        drop(old);
        assert_eq!((let_go(), pins.oldest()), (Version(40), Version(40)));
        assert_eq!(past(21), Err(Past::Gone(Version(40))));
    }

    #[test]
    fn what_has_ended_has_when_the_oldest_reader_says_so() {
        let pins = Pins::new(Arc::default());
        assert_eq!(pins.hear(100), 100);
        let early = pins.pin();
        assert_eq!(pins.hear(300), 300);
        assert_eq!(pins.hear(200), 300, "a clock that was set back");
        assert_eq!(pins.let_go().ended_by, 100);
        let late = pins.pin();
        assert_eq!((early.moment().millis, late.moment().millis), (100, 300));
        drop(early);
        assert_eq!(pins.let_go().ended_by, 300);
        let past = pins.pin_past(Version(0), Some(150)).expect("it is there");
        assert_eq!(
            past.moment().millis,
            300,
            "what had ended by then may be dropped"
        );
        assert_eq!(pins.pinned(), [(Version(0), 2)]);
    }

    #[test]
    fn a_clock_that_was_ahead_in_an_earlier_life_ends_nothing_early() {
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::keeping(Arc::clone(&clock), Retention::Versions(1));
        clock.raise_to(Version(9));
        let moment = |millis, version| Moment {
            millis,
            version: Version(version),
        };
        pins.timeline().add(moment(5000, 3));
        assert_eq!(pins.hear(100), 100);
        assert_eq!((pins.let_go().ended_by, pins.now()), (100, 100));
        assert_eq!(pins.hear(7000), 7000);
        assert_eq!(pins.let_go().ended_by, 5000);
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

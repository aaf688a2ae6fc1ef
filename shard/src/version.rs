//! Commit versions, the one clock that hands them out, and the pins that keep old ones readable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringkeep_io::planted::{Defect, planted};

use crate::keyspace::{KeyspaceId, Living};
use crate::needs::{Need, Needs};
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

impl Retention {
    /// Milliseconds between the moments of a timeline that serves it; zero where none are needed.
    fn step(self) -> u64 {
        match self {
            Retention::None => 0,
            Retention::Versions(_) => STEP_MILLIS,
            Retention::For(time) => (time.as_millis() as u64 / (MOMENTS_MAX as u64 / 2)).max(1),
        }
    }
}

/// Why a version cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Past {
    /// Merges may have dropped what only reads below this version can see.
    Gone(Version),
    /// No version above this one was handed out yet.
    NotYet(Version),
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
    /// Locked after `held` where both are.
    living: Mutex<Arc<Living>>,
    /// Milliseconds between moments of the timeline; zero where times are not kept.
    step: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    /// By version and time, and how often.
    pins: BTreeMap<(Version, u64), usize>,
    /// What only reads below these versions can see, but for those of pins, and what has ended by these times, may be
    /// dropped already.
    gone: Needs,
    /// The same, but with what no pin sees either: lower while something older is pinned.
    unseen: Needs,
}

impl Pins {
    /// No pins yet, over `clock`.
    pub fn new(clock: Arc<CommitClock>) -> Arc<Pins> {
        Pins::keeping(clock, Retention::None)
    }

    /// No pins yet, but a part of the past.
    pub fn keeping(clock: Arc<CommitClock>, retention: Retention) -> Arc<Pins> {
        let gone = Needs {
            unread: true,
            ..Needs::default()
        };
        let pins = BTreeMap::new();
        Arc::new(Pins {
            clock,
            held: Mutex::new(Held {
                pins,
                unseen: gone.clone(),
                gone,
            }),
            timeline: Timeline::default(),
            latest: AtomicU64::new(0),
            machine: || 0,
            living: Mutex::default(),
            step: AtomicU64::new(retention.step()),
            retention,
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
        self.hold(&mut held, Moment { millis, version }, None)
    }

    /// Pins a moment that a shard reads at now. What that shard has merged away was hidden from it; of other
    /// shards this says nothing.
    pub(crate) fn pin_at(self: &Arc<Self>, moment: Moment) -> Pin {
        self.hold(&mut self.held(), moment, None)
    }

    /// Pins a version of the past, if all of it is still there in a keyspace. Ends are judged at `time`, or else at the time
    /// of the version as far as the timeline tells.
    pub fn pin_past(
        self: &Arc<Self>,
        keyspace: KeyspaceId,
        version: Version,
        time: Option<u64>,
    ) -> Result<Pin, Past> {
        let mut held = self.held();
        let newest = self.clock.now();
        if version > newest {
            return Err(Past::NotYet(newest));
        }
        let time = time.or_else(|| self.timeline.time_of(version));
        let millis = time.map_or_else(|| self.now(), |time| time.min(self.now()));
        let moment = there(&held.gone, keyspace, Moment { millis, version })?;
        let most = held.gone.most();
        let everywhere = most.watermark <= version && most.ended_by <= moment.millis;
        let gone = (!everywhere).then(|| Box::new(held.gone.clone()));
        Ok(self.hold(&mut held, moment, gone))
    }

    fn hold(self: &Arc<Self>, held: &mut Held, moment: Moment, gone: Option<Box<Needs>>) -> Pin {
        let key = (moment.version, moment.millis);
        *held.pins.entry(key).or_insert(0) += 1;
        Pin {
            pins: Arc::clone(self),
            moment,
            gone,
        }
    }

    /// Nobody reads, and nobody will be let read, below this version, but in keyspaces with a window of their own.
    pub fn oldest(&self) -> Version {
        self.need_of(self.held().read(), self.retention).watermark
    }

    /// What to keep; from here on all else may be dropped.
    pub(crate) fn let_go(&self) -> Needs {
        let mut held = self.held();
        let needs = self.needs_of(&held);
        held.gone.raise(&needs.refused());
        held.unseen.raise(&needs);
        needs
    }

    /// Which keyspaces are there from here on; no call to any other one is let in any more.
    pub fn set_living(&self, living: Living) {
        let mut held = self.held();
        let windows = &living.windows;
        let held = &mut *held;
        for let_go in [&mut held.gone, &mut held.unseen] {
            // Until this was known, nothing of them was let go in this life.
            let own = windows.keys().map(|number| (*number, Need::default()));
            let own = std::mem::replace(&mut let_go.own, own.collect());
            let own = own.into_iter();
            let own = own.filter(|(number, _)| windows.contains_key(number));
            let_go.own.extend(own);
            let_go.unread = false;
        }
        let steps = windows.values().map(|window| window.step());
        let step = steps.fold(self.retention.step(), u64::max);
        self.step.store(step, Ordering::Relaxed);
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
        let read = held.read();
        let windows = &self.living().windows;
        let own = windows.iter();
        let own = own.map(|(number, window)| (*number, self.need_of(read, *window)));
        Needs {
            common: self.need_of(read, self.retention),
            own: own.collect(),
            pinned: held.pinned(),
            unread: held.gone.unread,
        }
    }

    /// Of what is read as `read` says, and kept as long as `retention` does.
    fn need_of(&self, read: Need, retention: Retention) -> Need {
        let policy = self.oldest_kept(retention);
        let ended_by = match retention {
            Retention::None => self.now(),
            // Of what lies before the timeline nobody knows when it was. An earlier life may have had a clock that was
            // ahead: what has not ended for the present has for nobody.
            _ => {
                let then = self.timeline.time_of(policy).unwrap_or(0);
                match planted(Defect::EndedByEarlierClock) {
                    false => then.min(self.now()),
                    true => then,
                }
            }
        };
        Need {
            watermark: match planted(Defect::PinForgotten) {
                false => policy.min(read.watermark),
                true => self.clock.now(),
            },
            whole_from: policy,
            ended_by: match planted(Defect::EndedForReaders) {
                false => ended_by.min(read.ended_by),
                true => self.now(),
            },
        }
    }

    /// The oldest version that is kept on purpose, but for keyspaces with a window of their own.
    pub fn policy(&self) -> Version {
        self.oldest_kept(self.retention)
    }

    /// The oldest version that is kept on purpose where this is the window.
    pub fn oldest_kept(&self, retention: Retention) -> Version {
        let now = self.clock.now();
        match retention {
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

    /// What only reads below this version can see may have been dropped, but in keyspaces with a window of their own.
    pub fn gone(&self) -> Version {
        self.held().gone.common.watermark
    }

    /// What may have been dropped, for a manifest.
    pub(crate) fn let_go_so_far(&self) -> Needs {
        self.held().gone.clone()
    }

    /// What nobody sees, whatever is pinned, and never will.
    pub(crate) fn unseen_so_far(&self) -> Needs {
        self.held().unseen.clone()
    }

    /// Opening: an earlier life of a shard has let go of this.
    pub(crate) fn recover(&self, gone: &Needs) {
        // The versions may never have been used: the power went before.
        let most = gone.most();
        self.clock.raise_to(most.watermark);
        self.hear(most.ended_by);
        let mut held = self.held();
        held.gone.raise(gone);
        held.unseen.raise(gone);
    }

    /// When versions were.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Moments of the timeline should be so many milliseconds apart; nothing where times are not kept.
    pub(crate) fn step(&self) -> Option<u64> {
        // Relaxed: the number stands for itself.
        let step = self.step.load(Ordering::Relaxed);
        (step > 0).then_some(step)
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

impl Held {
    /// What is read of all keyspaces; as high as can be where nothing is.
    fn read(&self) -> Need {
        let oldest = self.pins.first_key_value();
        let millis = self.pins.keys().map(|(_, millis)| *millis);
        Need {
            watermark: oldest.map_or(Version(u64::MAX), |((version, _), _)| *version),
            whole_from: Version(u64::MAX),
            ended_by: millis.min().unwrap_or(u64::MAX),
        }
    }

    /// The versions that are read at.
    fn pinned(&self) -> Arc<[Version]> {
        // Asked for after calls, which allocate nothing.
        if self.pins.is_empty() || planted(Defect::PinForgotten) {
            return Arc::default();
        }
        let mut versions: Vec<_> = self.pins.keys().map(|(version, _)| *version).collect();
        versions.dedup();
        if planted(Defect::YoungerPinForgotten) {
            versions.truncate(1);
        }
        versions.into()
    }
}

/// By what moment a keyspace is read at this one.
fn there(gone: &Needs, keyspace: KeyspaceId, moment: Moment) -> Result<Moment, Past> {
    let gone = match planted(Defect::WindowOfKeyspaceUnchecked) {
        false => gone.of_keyspace(keyspace),
        true => gone.common,
    };
    if moment.version < gone.watermark {
        return Err(Past::Gone(gone.watermark));
    }
    Ok(Moment {
        // What had ended before may be dropped on one shard, and still be there on another.
        millis: moment.millis.max(gone.ended_by),
        ..moment
    })
}

/// Holds one moment readable until dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    moment: Moment,
    /// What had been let go before, where that is more in some keyspaces than this moment can do without. What is let go
    /// later leaves it whole.
    gone: Option<Box<Needs>>,
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

    /// By what moment a keyspace is read: this one, if that keyspace has not let it go, and where values that end are
    /// dropped sooner than elsewhere, at the time by which they were.
    pub fn moment_in(&self, keyspace: KeyspaceId) -> Result<Moment, Past> {
        match &self.gone {
            None => Ok(self.moment),
            Some(gone) => there(gone, keyspace, self.moment),
        }
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
        let let_go = || pins.let_go().common.watermark;
        let past = |version| pins.pin_past(KeyspaceId(0), Version(version), None);
        assert!(past(5).is_ok(), "nothing was dropped yet");
        assert_eq!(let_go(), Version(20));
        let past = |version| past(version).map(|pin| pin.version());
        assert_eq!(past(19), Err(Past::Gone(Version(20))));
        assert_eq!(past(20), Ok(Version(20)));
        assert_eq!(past(31), Err(Past::NotYet(Version(30))));
        let old = pins.pin_past(KeyspaceId(0), Version(21), None);
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
        assert_eq!(pins.let_go().common.ended_by, 100);
        let late = pins.pin();
        assert_eq!((early.moment().millis, late.moment().millis), (100, 300));
        drop(early);
        assert_eq!(pins.let_go().common.ended_by, 300);
        let past = pins
            .pin_past(KeyspaceId(0), Version(0), Some(150))
            .expect("it is there");
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
        assert_eq!((pins.let_go().common.ended_by, pins.now()), (100, 100));
        assert_eq!(pins.hear(7000), 7000);
        assert_eq!(pins.let_go().common.ended_by, 5000);
    }

    #[test]
    fn a_keyspace_is_read_by_its_own_window() {
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::keeping(Arc::clone(&clock), Retention::Versions(10));
        pins.hear(1000);
        let [all, none, long] = [0, 1, 2].map(KeyspaceId);
        let earlier = Need {
            watermark: Version(3),
            whole_from: Version(3),
            ended_by: 0,
        };
        let own = [(none.0, earlier), (9, earlier)].into();
        pins.recover(&Needs {
            own,
            ..Needs::default()
        });
        clock.raise_to(Version(30));
        let unread = pins.let_go();
        assert_eq!(unread.common.watermark, Version(20));
        assert_eq!(
            unread.of_keyspace(long),
            Need::default(),
            "whatever it asks for"
        );

        let windows = [(1, Retention::None), (2, Retention::Versions(25))];
        pins.set_living(Living {
            next: 3,
            numbers: [1, 2].into(),
            windows: windows.into(),
            ..Living::default()
        });
        let past = |keyspace, version| pins.pin_past(keyspace, Version(version), None);
        let refused = |keyspace, version| past(keyspace, version).map(drop).unwrap_err();
        assert_eq!(
            refused(none, 2),
            Past::Gone(Version(3)),
            "an earlier life let go"
        );
        assert!(past(long, 0).is_ok() && past(none, 3).is_ok());
        let needs = pins.let_go();
        let of = [all, none, long].map(|keyspace| needs.of_keyspace(keyspace).watermark.0);
        assert_eq!(of, [20, 30, 5]);
        assert_eq!(
            pins.let_go_so_far().own.len(),
            2,
            "one of a keyspace that is gone"
        );
        assert_eq!(refused(none, 29), Past::Gone(Version(30)));
        assert_eq!(refused(long, 4), Past::Gone(Version(5)));

        let old = past(long, 6).expect("it is within its window");
        let read = |keyspace| old.moment_in(keyspace).map(|moment| moment.version.0);
        assert_eq!(read(long), Ok(6));
        assert_eq!(
            [all, none].map(read),
            [20, 30].map(|oldest| Err(Past::Gone(Version(oldest))))
        );
        clock.raise_to(Version(90));
        let needs = pins.let_go();
        let of = [all, none, long].map(|keyspace| needs.of_keyspace(keyspace).watermark.0);
        assert_eq!(of, [6; 3], "a pin keeps all");
        drop(old);

        // What has ended is dropped sooner in one than the moment of the reader says.
        pins.hear(2000);
        pins.let_go();
        let at = past(all, 90).expect("it is the present");
        assert_eq!(at.moment_in(none).map(|moment| moment.millis), Ok(2000));
        assert_eq!(
            pins.pin().moment_in(none).map(|moment| moment.version),
            Ok(Version(90))
        );
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

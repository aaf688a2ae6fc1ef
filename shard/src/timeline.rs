//! When versions were handed out: moments of commits, few enough to be kept in a manifest.
//!
//! Each frame of the log carries its time. A shard adds a moment to the timeline when the last one is a step
//! old, with the one before it, so that pauses between commits are exact; when there are too many, every
//! second old one goes. Frees of the log are covered by the manifest, what is left of the log by its frames.

use std::sync::{Mutex, PoisonError};

use crate::version::Version;

/// 16 bytes each in every manifest.
pub(crate) const MOMENTS_MAX: usize = 512;

/// A commit and its time; of a reader, the newest commit that it sees, and the time by which it judges ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// Milliseconds since 1970, as the machine's clock said.
    pub millis: u64,
    /// The commit.
    pub version: Version,
}

/// Moments of all shards of a database. Times never fall as versions rise, whatever the clock does.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<Vec<Moment>>);

impl Timeline {
    pub(crate) fn add(&self, moment: Moment) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = moments.partition_point(|known| known.version < moment.version);
        if moments
            .get(place)
            .is_some_and(|known| known.version == moment.version)
        {
            return;
        }
        let least = place
            .checked_sub(1)
            .map_or(0, |place| moments[place].millis);
        let most = moments.get(place).map_or(u64::MAX, |next| next.millis);
        let millis = moment.millis.max(least).min(most);
        moments.insert(place, Moment { millis, ..moment });
        if moments.len() > MOMENTS_MAX {
            let half = MOMENTS_MAX / 2;
            let mut index = 0;
            moments.retain(|_| {
                index += 1;
                index > half || index % 2 == 1
            });
        }
    }

    /// The newest version known to have been handed out at or before a time; nothing when the timeline begins later.
    pub fn version_at(&self, millis: u64) -> Option<Version> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = moments.partition_point(|moment| moment.millis <= millis);
        Some(moments.get(behind.checked_sub(1)?)?.version)
    }

    /// When a version was, or rather the newest one known that is not above it; the first one for those before.
    pub fn time_of(&self, version: Version) -> Option<u64> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = moments.partition_point(|moment| moment.version <= version);
        Some(moments.get(behind.saturating_sub(1))?.millis)
    }

    /// Opening: versions above the newest that came back were lost, and will be given again.
    pub fn forget_above(&self, newest: Version) {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.retain(|moment| moment.version <= newest);
    }

    /// The newest moment.
    pub fn newest(&self) -> Option<Moment> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.last().copied()
    }

    pub(crate) fn moments(&self) -> Vec<Moment> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(moments: &[(u64, u64)]) -> Timeline {
        let timeline = Timeline::default();
        for &(millis, version) in moments {
            let version = Version(version);
            timeline.add(Moment { millis, version });
        }
        timeline
    }

    #[test]
    fn a_time_is_the_newest_version_up_to_it() {
        // Shards do not add in order, and clocks go back.
        let timeline = timeline(&[(100, 5), (300, 9), (200, 7), (250, 12), (250, 12)]);
        let at = |millis| timeline.version_at(millis).map(|version| version.0);
        assert_eq!([at(99), at(100), at(199)], [None, Some(5), Some(5)]);
        assert_eq!(
            [at(200), at(299), at(300), at(999)],
            [7, 7, 12, 12].map(Some)
        );
        let times = [4, 5, 8, 9, 99].map(|version| timeline.time_of(Version(version)));
        assert_eq!(times, [100, 100, 200, 300, 300].map(Some));
        assert_eq!(timeline.newest().map(|moment| moment.millis), Some(300));
        timeline.forget_above(Version(9));
        assert_eq!(timeline.version_at(999), Some(Version(9)));
    }

    #[test]
    fn it_stays_small_and_keeps_both_ends() {
        let timeline = Timeline::default();
        for number in 1..=100_000 {
            let version = Version(number);
            timeline.add(Moment {
                millis: number,
                version,
            });
        }
        let moments = timeline.moments();
        assert!(moments.len() <= MOMENTS_MAX);
        assert_eq!(moments[0].version, Version(1));
        assert_eq!(timeline.version_at(u64::MAX), Some(Version(100_000)));
        assert_eq!(
            timeline.version_at(99_900),
            Some(Version(99_900)),
            "new ones are exact"
        );
        assert!(moments.is_sorted_by(|a, b| a.millis <= b.millis && a.version < b.version));
    }
}

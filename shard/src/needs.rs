//! What flushes and merges have to keep, of each keyspace: what somebody reads, and what its window asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use crate::keyspace::{KeyspaceId, keyspace_of};
use crate::version::Version;

/// What is needed of one keyspace. Of what merges have let go, the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Need {
    /// Nobody reads below this version.
    pub watermark: Version,
    /// Anybody may read from this version on, and below it only at versions that are pinned.
    pub whole_from: Version,
    /// What has ended by then has for everybody: milliseconds since 1970.
    pub ended_by: u64,
}

impl Need {
    /// For those of both.
    fn least(self, other: Need) -> Need {
        Need {
            watermark: self.watermark.min(other.watermark),
            whole_from: self.whole_from.min(other.whole_from),
            ended_by: self.ended_by.min(other.ended_by),
        }
    }

    fn most(self, other: Need) -> Need {
        Need {
            watermark: self.watermark.max(other.watermark),
            whole_from: self.whole_from.max(other.whole_from),
            ended_by: self.ended_by.max(other.ended_by),
        }
    }
}

/// Whether a key is of another keyspace than the default one.
pub(crate) fn is_of_named(stored: &[u8]) -> bool {
    stored.first() == Some(&u8::MAX)
        && keyspace_of(stored).is_some_and(|keyspace| keyspace.0 > 0)
        && !planted(Defect::WindowOfKeyspaceIgnored)
}

/// What is needed of every keyspace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Needs {
    /// Of those that have no window of their own, the default one among them.
    pub common: Need,
    /// Of those that have, by number.
    pub own: BTreeMap<u32, Need>,
    /// The versions that somebody reads at, in order.
    pub pinned: Arc<[Version]>,
    /// Nobody has read yet which keyspaces have a window of their own: all of every one but the default one is needed.
    pub unread: bool,
}

impl Needs {
    /// Everything above this version, ended or not, of all keyspaces.
    pub fn above(watermark: Version) -> Needs {
        let common = Need {
            watermark,
            whole_from: watermark,
            ended_by: 0,
        };
        Needs {
            common,
            ..Needs::default()
        }
    }

    /// What is refused to new readers when all else has been let go: below where it is whole something is missing,
    /// whoever still reads there.
    pub fn refused(&self) -> Needs {
        let refused = |need: &Need| Need {
            watermark: need.whole_from,
            ..*need
        };
        let own = self.own.iter();
        Needs {
            common: refused(&self.common),
            own: own.map(|(number, need)| (*number, refused(need))).collect(),
            pinned: Arc::default(),
            unread: self.unread,
        }
    }

    /// Somebody reads at `version` or above it, below `next`.
    pub fn is_pinned(&self, version: Version, next: Version) -> bool {
        let at = self.pinned.partition_point(|pinned| *pinned < version);
        self.pinned.get(at).is_some_and(|pinned| *pinned < next)
    }

    /// Not all keyspaces have the same.
    pub fn differ(&self) -> bool {
        self.unread || !self.own.is_empty()
    }

    /// Of the keyspace of a key.
    #[inline]
    pub fn of(&self, stored: &[u8]) -> Need {
        match stored.first() {
            // All keys of others begin like this.
            Some(&u8::MAX) if !planted(Defect::WindowOfKeyspaceIgnored) => {
                self.of_keyspace(keyspace_of(stored).unwrap_or_default())
            }
            _ => self.common,
        }
    }

    /// Of a keyspace.
    pub fn of_keyspace(&self, keyspace: KeyspaceId) -> Need {
        match self.own.get(&keyspace.0) {
            Some(own) => *own,
            None if self.unread && keyspace.0 > 0 => Need::default(),
            None => self.common,
        }
    }

    /// Of all keys from `first` to `last`, wherever there may be one between: merges can drop at least what this lets go.
    pub fn over(&self, first: &[u8], last: &[u8]) -> Need {
        self.between(first, last).0
    }

    /// The same, but what merges can drop at most.
    pub fn most_over(&self, first: &[u8], last: &[u8]) -> Need {
        self.between(first, last).1
    }

    fn between(&self, first: &[u8], last: &[u8]) -> (Need, Need) {
        let number = |key: &[u8]| keyspace_of(key).map_or(u32::MAX, |keyspace| keyspace.0);
        let (from, to) = match last.first() {
            Some(&u8::MAX) => (number(first), number(last)),
            _ => (0, 0),
        };
        if from == to {
            return (self.of(first), self.of(first));
        }
        let unread = self.unread.then(Need::default);
        let own = self.own.range(from..=to).map(|(_, own)| *own);
        own.chain(unread)
            .fold((self.common, self.common), |(least, most), own| {
                (least.least(own), most.most(own))
            })
    }

    /// Of the one of which least is needed.
    pub fn most(&self) -> Need {
        self.own.values().copied().fold(self.common, Need::most)
    }

    /// More is let go: what these numbers say, where they are higher.
    pub fn raise(&mut self, to: &Needs) {
        self.common = self.common.most(to.common);
        for (number, need) in &to.own {
            let own = self.own.entry(*number).or_default();
            *own = own.most(*need);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::{prefix, system};

    fn need(watermark: u64) -> Need {
        Need {
            watermark: Version(watermark),
            whole_from: Version(watermark),
            ended_by: 10 * watermark,
        }
    }

    fn key(number: u32) -> Vec<u8> {
        [&prefix(KeyspaceId(number))[..], b"k"].concat()
    }

    #[test]
    fn each_key_has_the_need_of_its_keyspace_and_a_range_the_least() {
        let mut needs = Needs {
            common: need(50),
            own: [(2, need(10)), (300, need(90))].into(),
            ..Needs::default()
        };
        let of = |needs: &Needs, number| needs.of(&key(number)).watermark.0;
        assert_eq!([0, 1, 2, 300].map(|n| of(&needs, n)), [50, 50, 10, 90]);
        assert_eq!(needs.of(&system("keyspaces")), need(50));
        assert_eq!(needs.of(b"\xff\0\xffk"), need(50));
        let over = |needs: &Needs, from, to| needs.over(&key(from), &key(to)).watermark.0;
        let ranges = [(0, 0), (0, 1), (0, 2), (2, 2), (3, 300), (300, 300)];
        assert_eq!(
            ranges.map(|(from, to)| over(&needs, from, to)),
            [50, 50, 10, 10, 50, 90]
        );
        assert_eq!(needs.over(b"a", &system("x")), need(10));
        assert_eq!(needs.over(&system("a"), &system("x")), need(50));
        let most = |from, to| needs.most_over(&key(from), &key(to)).watermark.0;
        assert_eq!(
            ranges.map(|(from, to)| most(from, to)),
            [50, 50, 50, 10, 90, 90]
        );
        assert_eq!(needs.most(), need(90));

        needs.unread = true;
        assert_eq!([0, 1, 2, 300].map(|n| of(&needs, n)), [50, 0, 10, 90]);
        assert_eq!([(0, 0), (0, 2)].map(|(a, b)| over(&needs, a, b)), [50, 0]);
    }

    #[test]
    fn what_was_let_go_stays_so() {
        let needs = |common, two| Needs {
            common: need(common),
            own: [(2, need(two))].into(),
            ..Needs::default()
        };
        let mut gone = needs(5, 20);
        gone.raise(&needs(9, 10));
        assert_eq!(gone, needs(9, 20));
        gone.raise(&Needs::above(Version(3)));
        assert_eq!(gone, needs(9, 20));
    }
}

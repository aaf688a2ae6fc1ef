//! Keyspaces, as far as shards know of them: how their keys are told apart, which of them are gone, and what the others ask for.

mod format;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use format::keyspace_of;
pub use format::{
    DEFAULT_END, KeyspaceId, PREFIX_BYTES_MAX, default_prefix, prefix, system, user_key,
};

use crate::table::Codec;
use crate::version::Retention;

/// Which keyspaces are there. What is not known yet counts as there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Living {
    /// Numbers from here on were not given to any keyspace yet.
    pub next: u32,
    /// The numbers of those that are there.
    pub numbers: BTreeSet<u32>,
    /// How much of the past is kept of those that have a window of their own.
    pub windows: BTreeMap<u32, Retention>,
    /// How the blocks of those are compressed that do not leave it to the level.
    pub codecs: BTreeMap<u32, Codec>,
}

/// How much of a range of keys belongs to keyspaces that are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dead {
    No,
    /// Something between its ends may.
    Perhaps,
    /// The first key or the last one does.
    InPart,
    Wholly,
}

impl Living {
    /// Nobody can read this key any more.
    #[inline]
    pub(crate) fn is_gone(&self, stored: &[u8]) -> bool {
        // All others begin like this.
        stored.first() == Some(&u8::MAX) && self.is_gone_from(keyspace_of(stored))
    }

    fn is_gone_from(&self, keyspace: Option<KeyspaceId>) -> bool {
        let number = keyspace.map_or(0, |keyspace| keyspace.0);
        number > 0 && number < self.next && !self.numbers.contains(&number)
    }

    /// How the block of a key is compressed, if its keyspace has a say.
    #[inline]
    pub(crate) fn codec_of(&self, stored: &[u8]) -> Option<Codec> {
        match stored.first() {
            Some(&u8::MAX) => self.codecs.get(&keyspace_of(stored)?.0).copied(),
            _ => None,
        }
    }

    /// What a merge could drop of the keys from `first` to `last`.
    pub(crate) fn dead_in(&self, first: &[u8], last: &[u8]) -> Dead {
        let (from, to) = (keyspace_of(first), keyspace_of(last));
        let ends = [from, to].map(|end| self.is_gone_from(end));
        match ends {
            [true, true] if from == to => Dead::Wholly,
            [false, false] => {
                let number = |id: Option<KeyspaceId>| id.map_or(u32::MAX, |id| id.0);
                let between = number(from).max(1)..number(to).min(self.next);
                let there = self
                    .numbers
                    .range(between.start..between.end.max(between.start));
                match there.count() < between.len() {
                    true => Dead::Perhaps,
                    false => Dead::No,
                }
            }
            _ => Dead::InPart,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_of_a_range() {
        let living = Living {
            next: 6,
            numbers: [1, 4].into(),
            codecs: [(4, Codec::Zstd)].into(),
            ..Living::default()
        };
        let key = |number: u32| [&prefix(KeyspaceId(number))[..], b"k"].concat();
        let gone: Vec<u32> = (0..9).filter(|n| living.is_gone(&key(*n))).collect();
        assert_eq!(gone, [2, 3, 5]);
        assert!(!living.is_gone(&system("catalog")));
        let codecs = [0, 1, 4].map(|number| living.codec_of(&key(number)));
        assert_eq!(codecs, [None, None, Some(Codec::Zstd)]);
        assert_eq!(living.codec_of(&system("catalog")), None);
        let dead = |from, to| living.dead_in(&key(from), &key(to));
        assert_eq!([dead(2, 2), dead(5, 5)], [Dead::Wholly; 2]);
        assert_eq!([dead(0, 2), dead(3, 4), dead(2, 3)], [Dead::InPart; 3]);
        assert_eq!(
            [dead(0, 0), dead(0, 1), dead(4, 4), dead(6, 8)],
            [Dead::No; 4]
        );
        assert_eq!([dead(0, 4), dead(1, 4), dead(4, 6)], [Dead::Perhaps; 3]);
        assert_eq!(living.dead_in(b"a", &system("catalog")), Dead::Perhaps);
        assert_eq!(Living::default().dead_in(&key(1), &key(9)), Dead::No);
    }
}

//! What a commit depends on: the keys and ranges that its transaction has read.

use std::ops::Bound;
use std::sync::Arc;

use crate::call::{Durability, Op};
use crate::version::{Pin, ShardId};

/// Changes that count only if nothing that they depend on has changed since a snapshot.
#[derive(Clone, Debug)]
pub struct Transact {
    /// One for each shard concerned. The first belongs to the shard that is asked, and changes something.
    pub parts: Vec<Part>,
    /// What was read, was read at this version. The pin goes with the changes, so that merges keep
    /// what validation asks for.
    pub snapshot: Arc<Pin>,
    /// When to acknowledge a commit in one shard; over several it is durable.
    pub durability: Durability,
}

/// One shard's share of a commit.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Whose.
    pub shard: ShardId,
    /// What it changes, shared with the letter and the frame that it goes into. A key that has changed since the snapshot
    /// is a conflict.
    pub ops: Arc<Vec<Op>>,
    /// What has to be as it was at the snapshot, besides.
    pub reads: Reads,
}

/// Keys and ranges of keys.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Single keys, present or not.
    pub keys: Vec<Box<[u8]>>,
    /// Every key in these, present or not.
    pub ranges: Vec<Span>,
}

/// A range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The low end.
    pub from: Bound<Box<[u8]>>,
    /// The high end.
    pub to: Bound<Box<[u8]>>,
}

impl Span {
    /// Whether `key` lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        let above = match &self.from {
            Bound::Included(from) => **from <= *key,
            Bound::Excluded(from) => **from < *key,
            Bound::Unbounded => true,
        };
        above && !self.ends_before(key)
    }

    /// Both may have a key in common.
    pub(crate) fn overlaps(&self, other: &Span) -> bool {
        let begins_in = |from: &Bound<Box<[u8]>>, span: &Span| match from {
            // The end of a span that is excluded is no key of it, and one that is included is.
            Bound::Included(key) => !span.ends_before(key),
            Bound::Excluded(key) => match &span.to {
                Bound::Included(to) | Bound::Excluded(to) => key < to,
                Bound::Unbounded => true,
            },
            Bound::Unbounded => true,
        };
        begins_in(&self.from, other) && begins_in(&other.from, self)
    }

    /// `key` lies above it.
    pub(crate) fn ends_before(&self, key: &[u8]) -> bool {
        match &self.to {
            Bound::Included(to) => **to < *key,
            Bound::Excluded(to) => **to <= *key,
            Bound::Unbounded => false,
        }
    }
}

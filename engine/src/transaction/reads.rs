//! What a serializable transaction has read, and its commit depends on.

use std::collections::BTreeSet;

use ringkeep_shard::Span;

use super::writes::Writes;

/// Keys and ranges, whether anything was there or not.
#[derive(Default)]
pub(super) struct ReadSet {
    keys: BTreeSet<Box<[u8]>>,
    ranges: Vec<Span>,
    bytes: usize,
}

impl ReadSet {
    pub(super) fn has_key(&self, key: &[u8]) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn add_key(&mut self, key: Box<[u8]>) {
        let bytes = key.len();
        if self.keys.insert(key) {
            self.bytes += bytes;
        }
    }

    pub(super) fn add_range(&mut self, span: Span) {
        if self.ranges.last() != Some(&span) {
            self.bytes += size_of::<Span>();
            self.ranges.push(span);
        }
    }

    /// Keys and ranges, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.keys.len() + self.ranges.len(), self.bytes)
    }

    /// Keys that are changed as well are validated for that reason already.
    pub(super) fn into_parts(self, writes: &Writes) -> (Vec<Box<[u8]>>, Vec<Span>) {
        let keys = self.keys.into_iter();
        let keys = keys.filter(|key| !writes.contains_key(key));
        (keys.collect(), self.ranges)
    }
}

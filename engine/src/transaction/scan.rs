//! A transaction's scan: the snapshot's entries and its own changes, merged.

use std::cmp::Ordering;
use std::collections::btree_map;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Bound;

use ringkeep_shard::Span;

use super::reads::ReadSet;
use super::removed::Removed;
use super::writes::{Own, Writes};
use crate::scan::{KeyValue, Keys, Scan, user_part};
use crate::{Result, desk};

/// Entries in the order of their keys: those of the snapshot, as the transaction has changed them. An iterator
/// for threads, [`TransactionScan::next_async`] for futures. Of a serializable transaction the commit depends on
/// the part of the range that was passed.
pub struct TransactionScan<'t> {
    scan: Scan,
    keys: Keys,
    own: btree_map::Range<'t, Box<[u8]>, Own>,
    /// Entries of the snapshot in these are gone.
    removed: &'t Removed,
    /// By which ends are judged.
    time: u64,
    /// The next of its own changes, and of the snapshot's entries.
    next_own: Option<(&'t [u8], Option<&'t [u8]>)>,
    next_seen: Option<KeyValue>,
    stage: Stage,
    /// Entries to come at most.
    left: usize,
    reverse: bool,
    keys_only: bool,
    reads: Option<&'t mut ReadSet>,
}

#[derive(Clone, PartialEq, Eq)]
enum Stage {
    New,
    /// Behind this key.
    Passed(Box<[u8]>),
    Ended,
}

impl<'t> TransactionScan<'t> {
    pub(super) fn new(
        scan: Scan,
        keys: Keys,
        (writes, removed): (&'t Writes, &'t Removed),
        time: u64,
        reads: Option<&'t mut ReadSet>,
    ) -> TransactionScan<'t> {
        let own = match keys.is_empty() {
            // A range that ends before it begins is no range to a map.
            true => btree_map::Range::default(),
            false => writes.range::<[u8], _>((slice(&keys.from), slice(&keys.to))),
        };
        TransactionScan {
            scan,
            keys,
            own,
            removed,
            time,
            next_own: None,
            next_seen: None,
            stage: Stage::New,
            left: usize::MAX,
            reverse: false,
            keys_only: false,
            reads,
        }
    }

    /// From the last key to the first. Only before the first entry is taken.
    pub fn reverse(mut self) -> TransactionScan<'t> {
        self.reverse = !self.reverse;
        self.scan.turn_around();
        self
    }

    /// Without values, which are empty then. Only before the first entry is taken.
    pub fn keys_only(mut self) -> TransactionScan<'t> {
        self.keys_only = true;
        self.scan.leave_values();
        self
    }

    /// Ends after so many entries, as [`Scan::limit`]: the commit depends on nothing behind the last of them.
    ///
    /// # Panics
    ///
    /// When the first entry was taken already.
    pub fn limit(mut self, entries: usize) -> TransactionScan<'t> {
        // Each of its own changes replaces or hides one entry of the snapshot at most, a range that it removes any number.
        let hidden = match self.removed.is_empty() {
            true => self.own.clone().count(),
            false => usize::MAX,
        };
        self.scan.end_after(entries.saturating_add(hidden));
        self.left = entries;
        self
    }

    /// The next entry, as a future; nothing at the end and after an error.
    pub async fn next_async(&mut self) -> Option<Result<KeyValue>> {
        if self.stage == Stage::Ended || self.left == 0 {
            return None;
        }
        loop {
            if self.next_seen.is_none() {
                match self.scan.next_stored_async().await {
                    Some(Ok((key, _))) if self.removed.contains(&key) => continue,
                    Some(Ok(entry)) => self.next_seen = Some(entry),
                    Some(Err(error)) => {
                        self.stage = Stage::Ended;
                        return Some(Err(error));
                    }
                    None => {}
                }
            }
            if self.next_own.is_none() {
                let own = match self.reverse {
                    false => self.own.next(),
                    true => self.own.next_back(),
                };
                self.next_own = own.map(|(key, own)| (&**key, own.seen(self.time)));
            }
            let order = match (&self.next_own, &self.next_seen) {
                (None, None) => {
                    self.stage = Stage::Ended;
                    return None;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((own, _)), Some((seen, _))) if self.reverse => seen[..].cmp(own),
                (Some((own, _)), Some((seen, _))) => (*own).cmp(seen),
            };
            if order == Ordering::Greater {
                let entry = self.next_seen.take();
                return entry.map(|entry| Ok(self.pass(entry)));
            }
            if order == Ordering::Equal {
                self.next_seen = None;
            }
            if let Some((key, Some(value))) = self.next_own.take() {
                let value = match self.keys_only {
                    true => Vec::new(),
                    false => value.to_vec(),
                };
                return Some(Ok(self.pass((key.to_vec(), value))));
            }
        }
    }

    fn pass(&mut self, (key, value): KeyValue) -> KeyValue {
        self.left -= 1;
        if self.reads.is_some() {
            self.stage = Stage::Passed(key.as_slice().into());
        }
        (user_part(key), value)
    }

    /// What has been seen of the range.
    fn passed(&self) -> Option<Span> {
        let Keys { from, to } = self.keys.clone();
        match &self.stage {
            Stage::New => None,
            Stage::Ended => Some(Span { from, to }),
            Stage::Passed(last) if self.reverse => Some(Span {
                from: Bound::Included(last.clone()),
                to,
            }),
            Stage::Passed(last) => Some(Span {
                from,
                to: Bound::Included(last.clone()),
            }),
        }
    }
}

impl Drop for TransactionScan<'_> {
    fn drop(&mut self) {
        let passed = self.passed();
        if let (Some(reads), Some(span)) = (&mut self.reads, passed) {
            reads.add_range(span);
        }
    }
}

impl Iterator for TransactionScan<'_> {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Result<KeyValue>> {
        desk::block_on(self.next_async())
    }
}

impl FusedIterator for TransactionScan<'_> {}

impl fmt::Debug for TransactionScan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionScan")
            .field("keys", &self.keys)
            .field("reverse", &self.reverse)
            .finish_non_exhaustive()
    }
}

fn slice(bound: &Bound<Box<[u8]>>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

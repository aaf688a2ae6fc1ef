//! Who holds which key until it is decided: what a batch or transaction changes for itself alone, what a
//! serializable transaction has read together with other readers.
//!
//! Locks are held from the validation of a part to its outcome, never while a client thinks.

use std::collections::BTreeMap;
use std::ops::Bound;

use ringkeep_io::planted::{Defect, planted};

use crate::call::Op;
use crate::shard::TransactionId;
use crate::transaction::{Part, Span};

#[derive(Default)]
pub(crate) struct Locks {
    keys: BTreeMap<Box<[u8]>, Lock>,
    /// Ranges that are read, and those that are removed.
    ranges: Vec<(TransactionId, Span)>,
    removed: Vec<(TransactionId, Span)>,
    held: BTreeMap<TransactionId, Vec<Box<[u8]>>>,
}

#[derive(Default)]
struct Lock {
    writer: Option<TransactionId>,
    readers: Vec<TransactionId>,
}

impl Locks {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The transaction holds something here.
    pub fn has(&self, transaction: TransactionId) -> bool {
        self.held.contains_key(&transaction)
    }

    /// Somebody is about to change the key.
    pub fn is_changing(&self, key: &[u8]) -> bool {
        !self.is_empty()
            && (self.keys.get(key).is_some_and(|lock| lock.writer.is_some())
                || self.removers(key).next().is_some())
    }

    /// Somebody holds one of these keys, so that they may not be changed.
    pub fn blocks(&self, ops: &[Op]) -> bool {
        !self.is_empty() && ops.iter().any(|op| self.in_the_way(op).next().is_some())
    }

    /// This transaction holds one of these keys.
    pub fn blocks_for(&self, transaction: TransactionId, ops: &[Op]) -> bool {
        let mut holders = ops.iter().flat_map(|op| self.in_the_way(op));
        holders.any(|holder| holder == transaction)
    }

    /// Takes all that a part needs or nothing; the error is the oldest in the way.
    pub fn take(&mut self, transaction: TransactionId, part: &Part) -> Result<(), TransactionId> {
        let changes = part.ops.iter().flat_map(|op| self.in_the_way(op));
        let reads = part.reads.keys.iter();
        let reads = reads.flat_map(|key| self.writer(key).into_iter().chain(self.removers(key)));
        let ranges = part.reads.ranges.iter();
        let ranges = ranges.flat_map(|span| self.writers_in(span));
        let in_the_way = changes.chain(reads).chain(ranges);
        if let Some(oldest) = in_the_way.filter(|holder| *holder != transaction).min() {
            return Err(oldest);
        }
        let mut held = Vec::with_capacity(part.ops.len() + part.reads.keys.len());
        for op in &part.ops {
            if let Some(span) = span_of(op) {
                if !planted(Defect::RangeNotLocked) {
                    self.removed.push((transaction, span));
                }
                continue;
            }
            self.keys.entry(op.key().into()).or_default().writer = Some(transaction);
            held.push(op.key().into());
        }
        if !planted(Defect::ReadsNotLocked) {
            for key in &part.reads.keys {
                let lock = self.keys.entry(key.clone()).or_default();
                lock.readers.push(transaction);
                held.push(key.clone());
            }
            let ranges = part.reads.ranges.iter().cloned();
            self.ranges.extend(ranges.map(|span| (transaction, span)));
        }
        self.held.insert(transaction, held);
        Ok(())
    }

    pub fn release(&mut self, transaction: TransactionId) {
        for key in self.held.remove(&transaction).unwrap_or_default() {
            let Some(lock) = self.keys.get_mut(&key) else {
                continue;
            };
            lock.writer.take_if(|writer| *writer == transaction);
            lock.readers.retain(|reader| *reader != transaction);
            if lock.writer.is_none() && lock.readers.is_empty() {
                self.keys.remove(&key);
            }
        }
        self.ranges.retain(|(holder, _)| *holder != transaction);
        self.removed.retain(|(holder, _)| *holder != transaction);
    }

    fn writer(&self, key: &[u8]) -> Option<TransactionId> {
        self.keys.get(key)?.writer
    }

    /// Everybody because of whom a change may not be made.
    fn in_the_way<'a>(&'a self, op: &'a Op) -> impl Iterator<Item = TransactionId> + 'a {
        let span = span_of(op);
        let of_key = match span {
            None => Some(self.holders(op.key())),
            Some(_) => None,
        };
        let of_range = span.into_iter().flat_map(|span| self.holders_in(&span));
        of_key.into_iter().flatten().chain(of_range)
    }

    /// Everybody because of whom a range may not be removed.
    fn holders_in(&self, span: &Span) -> Vec<TransactionId> {
        let locks = self.locks_in(span);
        let keys = locks.flat_map(|lock| lock.writer.iter().chain(&lock.readers));
        let ranges = self.ranges.iter().chain(&self.removed);
        let ranges = ranges.filter(|(_, other)| other.overlaps(span));
        keys.copied()
            .chain(ranges.map(|(holder, _)| *holder))
            .collect()
    }

    /// Those who remove a range that the key is in.
    fn removers(&self, key: &[u8]) -> impl Iterator<Item = TransactionId> {
        let removed = self.removed.iter();
        let removed = removed.filter(move |(_, span)| span.contains(key));
        removed.map(|(holder, _)| *holder)
    }

    /// Everybody because of whom a key may not be changed.
    fn holders(&self, key: &[u8]) -> impl Iterator<Item = TransactionId> {
        let lock = self.keys.get(key).into_iter();
        let holders = lock.flat_map(|lock| lock.writer.iter().chain(&lock.readers).copied());
        let ranges = self.ranges.iter().chain(&self.removed);
        let ranges = ranges.filter(move |(_, span)| span.contains(key));
        holders.chain(ranges.map(|(holder, _)| *holder))
    }

    /// Everybody because of whom a range may not be read.
    fn writers_in(&self, span: &Span) -> impl Iterator<Item = TransactionId> {
        let removed = self
            .removed
            .iter()
            .filter(|(_, other)| other.overlaps(span));
        let removed = removed.map(|(holder, _)| *holder);
        removed.chain(self.locks_in(span).filter_map(|lock| lock.writer))
    }

    fn locks_in(&self, span: &Span) -> impl Iterator<Item = &Lock> {
        let from: (Bound<&[u8]>, Bound<&[u8]>) =
            (span.from.as_ref().map(|key| &**key), Bound::Unbounded);
        let above = self.keys.range::<[u8], _>(from);
        let inside = above.take_while(|(key, _)| !span.ends_before(key));
        inside.map(|(_, lock)| lock)
    }
}

fn span_of(op: &Op) -> Option<Span> {
    let (from, to) = op.range()?;
    Some(Span {
        from: Bound::Included(from.into()),
        to: Bound::Excluded(to.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: TransactionId = TransactionId(1);
    const YOUNG: TransactionId = TransactionId(2);
    const THIRD: TransactionId = TransactionId(3);

    fn put(key: &str) -> Op {
        let (key, value) = (key.as_bytes().into(), Vec::new());
        Op::Put { key, value }
    }

    fn part(changes: &[&str], reads: &[&str], ranges: &[(&str, &str)]) -> Part {
        let mut part = Part {
            ops: changes.iter().map(|key| put(key)).collect(),
            ..Part::default()
        };
        part.reads.keys = reads.iter().map(|key| key.as_bytes().into()).collect();
        let span = |(from, to): &(&str, &str)| Span {
            from: Bound::Included(from.as_bytes().into()),
            to: Bound::Excluded(to.as_bytes().into()),
        };
        part.reads.ranges = ranges.iter().map(span).collect();
        part
    }

    #[test]
    fn who_is_in_whose_way() {
        let changes = part(&["b"], &[], &[]);
        let reads = part(&[], &["b"], &[]);
        let scans = part(&[], &[], &[("a", "c")]);
        let removal = |from: &str, to: &str| Part {
            ops: vec![Op::DeleteRange {
                from: from.into(),
                to: to.into(),
            }],
            ..Part::default()
        };
        let (removes, not_this) = (removal("a", "c"), removal("c", "d"));
        let elsewhere = part(&["x"], &["y"], &[("c", "b"), ("c", "x")]);
        let cases = [
            (&changes, &changes, true),
            (&changes, &reads, true),
            (&changes, &scans, true),
            (&changes, &elsewhere, false),
            (&reads, &changes, true),
            (&reads, &reads, false),
            (&reads, &scans, false),
            (&scans, &changes, true),
            (&scans, &reads, false),
            (&scans, &scans, false),
            (&scans, &elsewhere, false),
            (&removes, &changes, true),
            (&removes, &reads, true),
            (&removes, &scans, true),
            (&removes, &removes, true),
            (&removes, &elsewhere, false),
            (&removes, &not_this, false),
            (&changes, &removes, true),
            (&reads, &removes, true),
            (&scans, &removes, true),
            (&elsewhere, &removes, false),
        ];
        for (first, second, in_the_way) in cases {
            let mut locks = Locks::default();
            assert_eq!(locks.take(OLD, first), Ok(()));
            assert_eq!(
                locks.take(OLD, first),
                Ok(()),
                "its own are in nobody's way"
            );
            let taken = locks.take(YOUNG, second);
            assert_eq!(taken.is_err(), in_the_way, "{first:?} before {second:?}");
            assert_eq!(locks.has(YOUNG), !in_the_way, "all or nothing");
            locks.release(OLD);
            assert_eq!(locks.take(YOUNG, second), Ok(()));
            locks.release(YOUNG);
            assert!(
                locks.is_empty()
                    && locks.keys.is_empty()
                    && locks.ranges.is_empty()
                    && locks.removed.is_empty()
            );
        }
    }

    #[test]
    fn readers_share_a_key_and_the_last_one_frees_it() {
        let mut locks = Locks::default();
        let reads = part(&[], &["k"], &[]);
        assert_eq!(locks.take(YOUNG, &reads), Ok(()));
        assert_eq!(locks.take(OLD, &reads), Ok(()));
        assert_eq!(locks.take(THIRD, &part(&["k"], &[], &[])), Err(OLD));
        assert!(locks.blocks(&[put("k")]) && locks.blocks_for(YOUNG, &[put("k")]));
        assert!(!locks.is_changing(b"k"));
        locks.release(OLD);
        assert!(locks.blocks(&[put("k")]));
        locks.release(YOUNG);
        assert!(!locks.blocks(&[put("k")]));
    }

    #[test]
    fn one_that_reads_what_it_changes_holds_it_as_one() {
        let mut locks = Locks::default();
        assert_eq!(
            locks.take(OLD, &part(&["k"], &["k"], &[("a", "z")])),
            Ok(())
        );
        assert!(locks.is_changing(b"k"));
        locks.release(OLD);
        assert!(locks.is_empty() && locks.keys.is_empty() && locks.ranges.is_empty());
    }
}

//! Who holds which key until it is decided: what a batch or transaction changes for itself alone, what a
//! serializable transaction has read together with other readers.
//!
//! Locks are held from the validation of a part to its outcome, never while a client thinks.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use hashbrown::HashTable;
use ringkeep_io::planted::{Defect, planted};
use xxhash_rust::xxh3::xxh3_64;

use crate::call::Op;
use crate::shard::TransactionId;
use crate::transaction::{Part, Span};

#[derive(Default)]
pub(crate) struct Locks {
    /// By hash alone: two keys of one hash are one lock, at the price of a wait for nothing.
    keys: HashTable<Lock>,
    /// Ranges that are read, and those that are removed.
    ranges: Vec<(TransactionId, Span)>,
    removed: Vec<(TransactionId, Span)>,
    held: BTreeMap<TransactionId, Held>,
}

struct Lock {
    hash: u64,
    writer: Option<TransactionId>,
    readers: Vec<TransactionId>,
}

/// The keys of one transaction: first those that it changes, then those that it has read.
struct Held {
    keys: Vec<HeldKey>,
    changed: usize,
    /// The keys themselves, one behind the other.
    bytes: Vec<u8>,
    /// Their places by key, once somebody asked for a range: most transactions end before.
    order: OnceCell<Box<[usize]>>,
}

struct HeldKey {
    hash: u64,
    start: usize,
    end: usize,
}

impl Held {
    fn of(part: &Part) -> Held {
        let changes = part.ops.iter().filter(|op| op.range().is_none());
        let changes = changes.map(Op::key);
        let reads = part.reads.keys.iter().map(|key| &**key);
        let all = changes.clone().chain(reads.clone());
        let mut held = Held {
            keys: Vec::with_capacity(part.ops.len() + part.reads.keys.len()),
            changed: 0,
            bytes: Vec::with_capacity(all.map(<[u8]>::len).sum()),
            order: OnceCell::new(),
        };
        changes.for_each(|key| held.add(key));
        held.changed = held.keys.len();
        reads.for_each(|key| held.add(key));
        held
    }

    fn add(&mut self, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push(HeldKey {
            hash: xxh3_64(key),
            start,
            end: self.bytes.len(),
        });
    }

    fn forget_reads(&mut self) {
        self.keys.truncate(self.changed);
    }

    fn key(&self, place: usize) -> &[u8] {
        let key = &self.keys[place];
        &self.bytes[key.start..key.end]
    }

    /// One of the keys lies in the range, and is wanted.
    fn has_in(&self, span: &Span, wanted: impl Fn(usize) -> bool) -> bool {
        let order = self.order.get_or_init(|| {
            let mut order: Box<[usize]> = (0..self.keys.len()).collect();
            order.sort_unstable_by_key(|place| self.key(*place));
            order
        });
        let below = |place: &usize| match &span.from {
            Bound::Included(from) => self.key(*place) < &**from,
            Bound::Excluded(from) => self.key(*place) <= &**from,
            Bound::Unbounded => false,
        };
        let mut inside = order[order.partition_point(below)..]
            .iter()
            .take_while(|place| !span.ends_before(self.key(**place)));
        inside.any(|place| wanted(*place))
    }
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
            && (self.writer(xxh3_64(key)).is_some() || self.removers(key).next().is_some())
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
        let mut held = Held::of(part);
        let removed: Vec<Span> = part.ops.iter().filter_map(span_of).collect();
        if !self.is_empty()
            && let Some(oldest) = self.oldest_in_the_way(transaction, part, &held, &removed)
        {
            return Err(oldest);
        }
        if planted(Defect::ReadsNotLocked) {
            held.forget_reads();
        } else {
            let ranges = part.reads.ranges.iter().cloned();
            self.ranges.extend(ranges.map(|span| (transaction, span)));
        }
        if !planted(Defect::RangeNotLocked) {
            let removed = removed.into_iter();
            self.removed.extend(removed.map(|span| (transaction, span)));
        }
        for (place, key) in held.keys.iter().enumerate() {
            let lock = self
                .keys
                .entry(key.hash, |lock| lock.hash == key.hash, hash_of);
            let mut lock = lock.or_insert_with(|| Lock {
                hash: key.hash,
                writer: None,
                readers: Vec::new(),
            });
            match place < held.changed {
                true => lock.get_mut().writer = Some(transaction),
                false => lock.get_mut().readers.push(transaction),
            }
        }
        self.held.insert(transaction, held);
        Ok(())
    }

    fn oldest_in_the_way(
        &self,
        transaction: TransactionId,
        part: &Part,
        held: &Held,
        removed: &[Span],
    ) -> Option<TransactionId> {
        let (changed, read) = held.keys.split_at(held.changed);
        let key = |key: &HeldKey| &held.bytes[key.start..key.end];
        let changes = changed.iter();
        let changes = changes.flat_map(|change| self.holders(change.hash, key(change)));
        let removals = removed.iter().flat_map(|span| self.holders_in(span));
        let reads = read.iter().flat_map(|read| {
            let writer = self.writer(read.hash).into_iter();
            writer.chain(self.removers(key(read)))
        });
        let ranges = part.reads.ranges.iter();
        let ranges = ranges.flat_map(|span| self.writers_in(span));
        let all = changes.chain(removals).chain(reads).chain(ranges);
        all.filter(|holder| *holder != transaction).min()
    }

    pub fn release(&mut self, transaction: TransactionId) {
        let Some(held) = self.held.remove(&transaction) else {
            return;
        };
        for HeldKey { hash, .. } in held.keys {
            // Of two keys of one hash the first has freed it.
            let Ok(mut found) = self.keys.find_entry(hash, |lock| lock.hash == hash) else {
                continue;
            };
            let lock = found.get_mut();
            lock.writer.take_if(|writer| *writer == transaction);
            lock.readers.retain(|reader| *reader != transaction);
            if lock.writer.is_none() && lock.readers.is_empty() {
                found.remove();
            }
        }
        self.ranges.retain(|(holder, _)| *holder != transaction);
        self.removed.retain(|(holder, _)| *holder != transaction);
    }

    fn lock(&self, hash: u64) -> Option<&Lock> {
        self.keys.find(hash, |lock| lock.hash == hash)
    }

    fn writer(&self, hash: u64) -> Option<TransactionId> {
        self.lock(hash)?.writer
    }

    /// Everybody because of whom a change may not be made.
    fn in_the_way<'a>(&'a self, op: &'a Op) -> impl Iterator<Item = TransactionId> + 'a {
        let span = span_of(op);
        let of_key = match span {
            None => Some(self.holders(xxh3_64(op.key()), op.key())),
            Some(_) => None,
        };
        let of_range = span.into_iter().flat_map(|span| self.holders_in(&span));
        of_key.into_iter().flatten().chain(of_range)
    }

    /// Everybody because of whom a range may not be removed.
    fn holders_in(&self, span: &Span) -> Vec<TransactionId> {
        let keys = self.held.iter();
        let keys = keys.filter(|(_, held)| held.has_in(span, |_| true));
        let ranges = self.ranges.iter().chain(&self.removed);
        let ranges = ranges.filter(|(_, other)| other.overlaps(span));
        keys.map(|(holder, _)| *holder)
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
    fn holders(&self, hash: u64, key: &[u8]) -> impl Iterator<Item = TransactionId> {
        let lock = self.lock(hash).into_iter();
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
        let keys = self.held.iter();
        let keys = keys.filter(|(_, held)| held.has_in(span, |place| place < held.changed));
        removed.chain(keys.map(|(holder, _)| *holder))
    }
}

fn hash_of(lock: &Lock) -> u64 {
    lock.hash
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
            ops: Vec::from_iter(changes.iter().map(|key| put(key))).into(),
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
            }]
            .into(),
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
    fn a_range_meets_each_key_in_it_in_whatever_order_they_were_taken() {
        let mut locks = Locks::default();
        let holds = part(&["m", "b", "x", "b"], &["g", "a"], &[]);
        assert_eq!(locks.take(OLD, &holds), Ok(()));
        let cases = [
            ("a", "b", false, true),
            ("a", "c", true, true),
            ("c", "m", false, true),
            ("g", "h", false, true),
            ("h", "m", false, false),
            ("m", "n", true, true),
            ("n", "z", true, true),
            ("y", "z", false, false),
        ];
        for (from, to, reading_waits, removing_waits) in cases {
            let reads = part(&[], &[], &[(from, to)]);
            assert_eq!(locks.take(YOUNG, &reads).is_err(), reading_waits, "{from}");
            locks.release(YOUNG);
            let removes = Op::DeleteRange {
                from: from.into(),
                to: to.into(),
            };
            assert_eq!(locks.blocks(&[removes]), removing_waits, "{from}");
        }
        locks.release(OLD);
        assert!(locks.is_empty() && locks.keys.is_empty());
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

//! About how much there is in a range of keys, from what tables and memtables say of themselves.

use std::ops::Bound;
use std::rc::Rc;

use crate::call::Reply;
use crate::core::Core;
use crate::keyspace::keyspace_of;
use crate::table::Table;
use crate::token::Token;
use crate::transaction::Span;
use crate::version::Version;

/// How much there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// Keys with a value, about.
    pub records: u64,
    /// What they take in tables and memory, about.
    pub bytes: u64,
}

impl<T: Token> Core<T> {
    /// Reads no block.
    pub fn accept_estimate(self: &Rc<Self>, token: T, span: Span) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            core.sort_memtables().await;
            core.reply(token, Reply::Estimated(core.estimate(&span)));
        });
    }

    fn estimate(&self, span: &Span) -> Estimate {
        let (mut keys, mut removed, mut bytes) = (0, 0, 0);
        for table in self.tables.borrow().tables() {
            let summary = table.summary();
            let share = share(table, span) - self.removed_share(table, span);
            let part_of = |whole: u64| (whole as f64 * share).round() as u64;
            keys += part_of(summary.keys);
            removed += part_of(summary.tombstones);
            bytes += part_of(summary.weight());
        }
        for generation in self.memtables.borrow().newest_first() {
            let mut memtable = generation.table.borrow_mut();
            let ends = (span.from.as_ref(), span.to.as_ref());
            let (mut inside, all) =
                memtable.keys_in(ends.0.map(|key| &**key), ends.1.map(|key| &**key));
            let newest = memtable.newest().unwrap_or_default();
            for removed in self.removed_newer(span, newest) {
                let (from, to) = (removed.from.as_ref(), removed.to.as_ref());
                let removed = memtable.keys_in(from.map(|key| &**key), to.map(|key| &**key));
                inside = inside.saturating_sub(removed.0);
            }
            keys += inside as u64;
            bytes += (memtable.bytes() as u128 * inside as u128 / all.max(1) as u128) as u64;
        }
        // A removal is a key as well, and hides another one.
        let records = u64::saturating_sub(keys, 2 * removed);
        Estimate { records, bytes }
    }
}

impl<T: Token> Core<T> {
    /// What range deletes newer than all of a table have removed of a range.
    fn removed_share(&self, table: &Table, span: &Span) -> f64 {
        let removed = self.removed_newer(span, table.summary().newest);
        removed.iter().map(|removed| share(table, removed)).sum()
    }

    /// What range deletes newer than a version have in common with a range.
    fn removed_newer(&self, span: &Span, than: Version) -> Vec<Span> {
        let ranges = self.ranges.borrow();
        if ranges.is_empty() {
            return Vec::new();
        }
        let from: &[u8] = match &span.from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let visible = self.visible.get();
        let over = ranges
            .above(from)
            .take_while(|fragment| !span.ends_before(&fragment.from));
        let newer = over.filter(|fragment| fragment.newest_up_to(visible) > than);
        let common = newer.map(|fragment| Span {
            from: Bound::Included(from.max(&fragment.from).into()),
            to: match span.ends_before(&fragment.to) {
                true => span.to.clone(),
                false => Bound::Excluded((*fragment.to).into()),
            },
        });
        common.collect()
    }
}

/// Which part of a table's keys lies in the range, from 0 to 1.
pub(crate) fn share(table: &Table, span: &Span) -> f64 {
    let from = match &span.from {
        Bound::Unbounded => 0.0,
        Bound::Included(key) | Bound::Excluded(key) => place(table, key),
    };
    let to = match &span.to {
        Bound::Unbounded => 1.0,
        Bound::Included(key) | Bound::Excluded(key) => place(table, key),
    };
    f64::max(to - from, 0.0)
}

/// How much of a table lies before a key, from 0 to 1: all parts of the index are as large, and in each of them keys lie as
/// far from each other.
fn place(table: &Table, key: &[u8]) -> f64 {
    let mut begin: Box<[u8]> = table.first_key().into();
    let parts = table.part_ends().count().max(1);
    for (passed, end) in table.part_ends().enumerate() {
        if key <= &*end {
            return (passed as f64 + between(&begin, &end, key)) / parts as f64;
        }
        begin = end;
    }
    1.0
}

/// How far a key lies on the way from one to another, by its first bytes that these do not share. What ends in another
/// keyspace than it begins in is taken for the first one's.
fn between(begin: &[u8], end: &[u8], key: &[u8]) -> f64 {
    if key <= begin {
        return 0.0;
    }
    let keyspace = keyspace_of(begin);
    if keyspace != keyspace_of(end) {
        return if keyspace == keyspace_of(key) {
            0.5
        } else {
            1.0
        };
    }
    let shared = begin.iter().zip(end).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8]| {
        let mut bytes = [0; 8];
        let rest = &key[shared.min(key.len())..];
        let length = rest.len().min(8);
        bytes[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(bytes) as f64
    };
    let way = number(end) - number(begin);
    match way > 0.0 {
        true => f64::clamp((number(key) - number(begin)) / way, 0.0, 1.0),
        false => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_as_far_from_each_other_as_their_bytes_say() {
        let cases = [
            ("a", "c", "b", 0.5),
            ("key-100", "key-900", "key-500", 0.5),
            ("a", "b", "a", 0.0),
            ("a", "b", "", 0.0),
            ("a", "b", "c", 1.0),
            ("\0\0", "\x01\0", "\0\x40", 0.25),
        ];
        for (begin, end, key, expected) in cases {
            let found = between(begin.as_bytes(), end.as_bytes(), key.as_bytes());
            assert!((found - expected).abs() < 0.06, "{key:?}: {found}");
        }
        let other = b"\xff\x01k";
        assert_eq!(
            [
                between(b"a", other, b"b"),
                between(b"a", other, b"\xff\x01")
            ],
            [0.5, 1.0]
        );
    }
}

//! Ranges of keys.

use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

use ringkeep_io::planted::{Defect, planted};

/// The two ends of a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub(crate) from: Bound<Box<[u8]>>,
    pub(crate) to: Bound<Box<[u8]>>,
}

/// What can be scanned: any of Rust's ranges over anything that is bytes, `..` for everything.
///
/// ```
/// # use ringkeep::KeyRange;
/// fn scannable(_: impl KeyRange) {}
/// scannable(..);
/// scannable("user:".."user;");
/// scannable(&b"a"[..]..=&b"zz"[..]);
/// ```
pub trait KeyRange {
    /// Its two ends.
    fn keys(self) -> Keys;
}

impl KeyRange for RangeFull {
    fn keys(self) -> Keys {
        Keys {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
        }
    }
}

impl KeyRange for Keys {
    fn keys(self) -> Keys {
        self
    }
}

macro_rules! ranges {
    ($($range:ty),*) => {$(
        impl<K: AsRef<[u8]>> KeyRange for $range {
            fn keys(self) -> Keys {
                Keys {
                    from: self.start_bound().map(|key| key.as_ref().into()),
                    to: self.end_bound().map(|key| key.as_ref().into()),
                }
            }
        }
    )*};
}

ranges!(
    Range<K>,
    RangeInclusive<K>,
    RangeFrom<K>,
    RangeTo<K>,
    RangeToInclusive<K>,
    (Bound<K>, Bound<K>)
);

impl Keys {
    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Keys {
        let prefix = prefix.as_ref();
        // The first key after them all: the prefix without its 0xff tail, and one more in the last byte.
        let last = prefix.iter().rposition(|byte| *byte != u8::MAX);
        let to = last.map(|last| {
            let mut after: Box<[u8]> = prefix[..=last].into();
            after[last] += 1;
            after
        });
        Keys {
            from: Bound::Included(prefix.into()),
            to: to.map_or(Bound::Unbounded, Bound::Excluded),
        }
    }

    /// No key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (
                Bound::Included(from) | Bound::Excluded(from),
                Bound::Included(to) | Bound::Excluded(to),
            ) => from >= to,
        }
    }

    /// What is left of it once a scan has come to `key`.
    pub(super) fn pass(&mut self, key: &[u8], reverse: bool) {
        let end = if reverse {
            &mut self.to
        } else {
            &mut self.from
        };
        *end = match planted(Defect::LastOfPageRepeated) {
            false => Bound::Excluded(key.into()),
            true => Bound::Included(key.into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_that_lacks_it() {
        let end = |prefix: &[u8]| Keys::prefix(prefix).to;
        let before = |key: &[u8]| Bound::Excluded(key.into());
        assert_eq!(end(b"ab"), before(b"ac"));
        assert_eq!(end(b"a\xff\xff"), before(b"b"));
        assert_eq!(end(b"\xff"), Bound::Unbounded);
        assert_eq!(end(b""), Bound::Unbounded);
    }

    #[test]
    fn empty_ranges_are_known_without_asking() {
        let is_empty = |range: (Bound<&str>, Bound<&str>)| range.keys().is_empty();
        let (at, before) = (Bound::Included, Bound::Excluded);
        assert!(is_empty((at("b"), at("a"))));
        assert!(is_empty((at("a"), before("a"))));
        assert!(is_empty((before("a"), at("a"))));
        assert!(is_empty((before("a"), before("a"))));
        assert!(!is_empty((at("a"), at("a"))));
        assert!(!is_empty((before("a"), Bound::Unbounded)));
    }
}

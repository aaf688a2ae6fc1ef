//! A row's first word: how long the row is, and which of those that lay here one behind the other.
//!
//! ```text
//! bits 0..16   bytes of the key
//! bits 16..32  bytes of the value
//! bit 32       hidden: it is about to be written over, or just is
//! bit 33       a newer version of its key has its place among all versions, and nobody can see it yet
//! bits 34..63  how often it was written over
//! bit 63       there is a row: memory that was given back is zero
//! ```

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head(pub u64);

/// Words before a row's key: this one, then the hash.
pub(super) const HEAD_WORDS: usize = 2;

/// Instead of a row: nothing but the way to the end of the segment. No row is as long.
pub(super) const FILLER: Head = Head(u64::MAX);

const LENGTH_BITS: u32 = 16;
const HIDDEN: u64 = 1 << 32;
const OUTDATED: u64 = 1 << 33;
const ONCE: u64 = 1 << 34;
const TIMES: u64 = PRESENT - ONCE;
const PRESENT: u64 = 1 << 63;

impl Head {
    /// Of a row that was never written over.
    pub fn new(key_bytes: usize, value_bytes: usize) -> Head {
        debug_assert!(key_bytes.max(value_bytes) < usize::from(u16::MAX));
        Head(PRESENT).of_lengths(key_bytes, value_bytes)
    }

    /// Lengths of key and value, if there is a row.
    #[inline]
    pub fn lengths(self) -> Option<(usize, usize)> {
        let length = |bits: u64| usize::from(bits as u16);
        (self.0 & PRESENT != 0).then(|| (length(self.0), length(self.0 >> LENGTH_BITS)))
    }

    /// Words of the whole row.
    pub fn row_words(self) -> usize {
        let (key_bytes, value_bytes) = self.lengths().unwrap_or_default();
        row_words(key_bytes, value_bytes)
    }

    #[inline]
    pub fn is_hidden(self) -> bool {
        self.0 & HIDDEN != 0
    }

    /// The same row, that no reader takes.
    pub fn hidden(self) -> Head {
        Head(self.0 | HIDDEN)
    }

    #[inline]
    pub fn is_outdated(self) -> bool {
        self.0 & OUTDATED != 0
    }

    /// The same row, of no instant that versions of other shards tell.
    pub fn outdated(self) -> Head {
        Head(self.0 | OUTDATED)
    }

    /// Of the row with this value in its place. None when that has happened as often as can be told apart.
    pub fn written_over(self, value_bytes: usize) -> Option<Head> {
        let (key_bytes, _) = self.lengths()?;
        let is_last = self.0 & TIMES == TIMES;
        (!is_last).then(|| {
            Head((self.0 & !(HIDDEN | OUTDATED)) + ONCE).of_lengths(key_bytes, value_bytes)
        })
    }

    fn of_lengths(self, key_bytes: usize, value_bytes: usize) -> Head {
        let lengths = key_bytes as u64 | (value_bytes as u64) << LENGTH_BITS;
        Head(self.0 >> (2 * LENGTH_BITS) << (2 * LENGTH_BITS) | lengths)
    }
}

/// Words of a row.
pub(super) fn row_words(key_bytes: usize, value_bytes: usize) -> usize {
    HEAD_WORDS + key_bytes.div_ceil(8) + value_bytes.div_ceil(8)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_in_one_place_have_the_same_head() {
        let first = Head::new(16, 100);
        assert_eq!(first.lengths(), Some((16, 100)));
        assert_eq!(first.row_words(), 2 + 2 + 13);
        let second = first.hidden().written_over(98).expect("the second");
        assert_eq!(second.lengths(), Some((16, 98)));
        assert!(first.hidden().is_hidden() && !second.is_hidden());
        assert!(first.outdated().is_outdated() && !first.outdated().is_hidden());
        assert_eq!(first.outdated().hidden().written_over(98), Some(second));
        assert_ne!(second.written_over(100), Some(first));
        let last = Head(first.0 | TIMES);
        assert_eq!(last.lengths(), first.lengths());
        assert_eq!(last.hidden().written_over(100), None);
        assert_eq!(Head(0).lengths(), None);
        assert!(!last.is_hidden() && last.hidden() != FILLER);
    }
}

//! Short keys for the index: somewhere between the last key of one block and the first of the next.

use super::block_builder::common_prefix;

/// A short key at or above `last` and below `next`, where `last < next`.
pub(super) fn between(last: &[u8], next: &[u8]) -> Vec<u8> {
    let common = common_prefix(last, next);
    if next.len() > common + 1 {
        return next[..=common].to_vec();
    }
    // `next` ends at the byte that makes it greater, so stay below it: cut `last` behind that byte,
    // at the first byte that can be raised.
    let tail = last.get(common + 1..).unwrap_or_default();
    match tail.iter().position(|&byte| byte < u8::MAX) {
        Some(at) => {
            let mut key = last[..common + 2 + at].to_vec();
            key[common + 1 + at] += 1;
            key
        }
        None => last.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_between_and_is_no_longer_than_needed() {
        for (last, next, expected) in [
            ("apple", "banana", "b"),
            ("apple", "apricot", "apr"),
            ("apple", "b", "aq"),
            ("a", "b", "a"),
            ("a", "abc", "ab"),
            ("a", "ab", "a"),
            ("abcxyz", "abd", "abcy"),
            ("", "x", ""),
        ] {
            assert_eq!(
                between(last.as_bytes(), next.as_bytes()),
                expected.as_bytes()
            );
            assert!(last <= expected && expected < next);
        }
        assert_eq!(between(b"a\xff\xff", b"b"), b"a\xff\xff");
        assert_eq!(between(b"a\xff\x01", b"b"), b"a\xff\x02");
    }
}

//! What a version of a key says of it.

use crate::blob::BlobRef;

/// The end of a value that has none. Times of ends take six bytes where they are stored.
pub(crate) const NEVER: u64 = u64::MAX;

/// Somebody else's memory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Content<'a> {
    #[default]
    Removed,
    Value(&'a [u8]),
    /// A value, and from when on it is none: milliseconds since 1970.
    Until(u64, &'a [u8]),
    /// A value that is in a blob file, and from when on it is none. Tables have such, and nothing else has.
    Elsewhere(u64, &'a BlobRef),
}

impl<'a> Content<'a> {
    /// When it ends to be seen: a removal always has, and a value without an end never does.
    #[inline]
    pub fn ends(self) -> u64 {
        match self {
            Content::Removed => 0,
            Content::Value(_) => NEVER,
            Content::Until(until, _) | Content::Elsewhere(until, _) => until,
        }
    }

    /// The value, ended or not, if it is here.
    #[inline]
    pub fn value(self) -> Option<&'a [u8]> {
        match self {
            Content::Removed | Content::Elsewhere(..) => None,
            Content::Value(value) | Content::Until(_, value) => Some(value),
        }
    }
}

/// No value means removed.
impl<'a> From<Option<&'a [u8]>> for Content<'a> {
    #[inline]
    fn from(value: Option<&'a [u8]>) -> Content<'a> {
        value.map_or(Content::Removed, Content::Value)
    }
}

/// What a value of a test says, so that a map of values is a map of contents: one that begins with a byte from 224 on ends
/// at the time that the byte is.
#[cfg(test)]
pub(crate) fn of_test(value: Option<&[u8]>) -> Content<'_> {
    match value {
        Some(value @ [until @ 224..=255, ..]) => Content::Until(u64::from(*until), value),
        value => value.into(),
    }
}

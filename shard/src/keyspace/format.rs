//! How a key is stored: what stands in front of the user's own bytes.
//!
//! ```text
//! default keyspace     the key itself, unless it begins with FF: then FF 00 and the key
//! keyspaces 1 to 239   FF, the number in one byte, the key
//! further ones         FF F0, the number in four bytes, the highest first, the key
//! system               FF FF, a name
//! ```
//!
//! So keys of the default keyspace cost nothing for there being others, no keyspace has keys between those of
//! another, and within each the order is that of the user's keys. A number is never used twice.

const ESCAPE: u8 = 0xff;
const DEFAULT: u8 = 0;
const LONG: u8 = 0xf0;
const SYSTEM: u8 = 0xff;

/// What can stand in front of a user's key at most.
pub const PREFIX_BYTES_MAX: usize = 6;

/// Which keyspace; 0 is the default one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KeyspaceId(pub u32);

/// What all keys of a keyspace begin with.
pub fn prefix(id: KeyspaceId) -> Vec<u8> {
    match id.0 {
        0 => Vec::new(),
        number @ 1..0xf0 => vec![ESCAPE, number as u8],
        number => [&[ESCAPE, LONG][..], &number.to_be_bytes()].concat(),
    }
}

/// What stands in front of a key of the default keyspace.
#[inline]
pub fn default_prefix(key: &[u8]) -> &'static [u8] {
    match key.first() {
        Some(&ESCAPE) => &[ESCAPE, DEFAULT],
        _ => &[],
    }
}

/// No key of the default keyspace is stored at or above this.
pub const DEFAULT_END: &[u8] = &[ESCAPE, DEFAULT + 1];

/// A key of the database's own.
pub fn system(name: &str) -> Vec<u8> {
    [&[ESCAPE, SYSTEM], name.as_bytes()].concat()
}

/// The user's part of a stored key.
#[inline]
pub fn user_key(stored: &[u8]) -> &[u8] {
    match stored.first() {
        Some(&ESCAPE) => escaped(stored).1,
        _ => stored,
    }
}

/// Whose a stored key is; nobody's where it is the database's own.
pub(crate) fn keyspace_of(stored: &[u8]) -> Option<KeyspaceId> {
    match stored.first() {
        Some(&ESCAPE) => escaped(stored).0,
        _ => Some(KeyspaceId(0)),
    }
}

#[cold]
fn escaped(stored: &[u8]) -> (Option<KeyspaceId>, &[u8]) {
    match stored {
        [_, LONG, a, b, c, d, key @ ..] => {
            let number = u32::from_be_bytes([*a, *b, *c, *d]);
            (Some(KeyspaceId(number)), key)
        }
        [_, number @ DEFAULT..LONG, key @ ..] => (Some(KeyspaceId((*number).into())), key),
        [_, _, key @ ..] => (None, key),
        short => (None, short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: u32, key: &[u8]) -> Vec<u8> {
        match id {
            0 => [default_prefix(key), key].concat(),
            id => [&prefix(KeyspaceId(id))[..], key].concat(),
        }
    }

    #[test]
    fn golden_keys() {
        let cases: [(u32, &[u8], &[u8]); 6] = [
            (0, b"k", b"k"),
            (0, b"\xffk", b"\xff\x00\xffk"),
            (1, b"k", b"\xff\x01k"),
            (239, b"k", b"\xff\xefk"),
            (240, b"k", b"\xff\xf0\x00\x00\x00\xf0k"),
            (0x0102_0304, b"k", b"\xff\xf0\x01\x02\x03\x04k"),
        ];
        for (id, key, expected) in cases {
            assert_eq!(stored(id, key), expected);
        }
        assert_eq!(system("name"), b"\xff\xffname");
    }

    #[test]
    fn order_is_kept_and_keyspaces_do_not_mix() {
        let keys: [&[u8]; 7] = [
            b"",
            b"\0",
            b"a",
            b"\xfe\xff",
            b"\xff",
            b"\xff\0",
            b"\xff\xff\xff",
        ];
        let mut all = Vec::new();
        for id in [0, 1, 2, 239, 240, 241, 70_000, u32::MAX] {
            for key in keys {
                let stored = stored(id, key);
                assert_eq!(user_key(&stored), key);
                assert_eq!(keyspace_of(&stored), Some(KeyspaceId(id)));
                assert_eq!(stored < DEFAULT_END.to_vec(), id == 0);
                all.push(stored);
            }
        }
        all.push(system("a"));
        assert_eq!(keyspace_of(&system("a")), None);
        assert!(all.is_sorted_by(|a, b| a < b));
    }
}

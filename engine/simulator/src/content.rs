//! Keys and values that tell who wrote them: every byte depends on the write and the key, so no mix-up of
//! records, blocks or sectors goes unseen.

use crate::random::mix;

/// The name of a key. A few are long, and all share a prefix, as blocks cut prefixes off.
pub fn key(number: u32) -> Vec<u8> {
    let tail = if number % 11 == 3 {
        (number % 5 * 30) as usize
    } else {
        0
    };
    let mut name = format!("key-{number:04}").into_bytes();
    name.resize(name.len() + tail, b'.');
    name
}

/// The number in a key's name.
pub fn number(name: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(name.get(4..8)?).ok()?;
    let number = digits.parse().ok()?;
    (key(number) == name).then_some(number)
}

/// The name of a list, beside the keys.
pub fn list(number: u32) -> Vec<u8> {
    format!("list-{number}").into_bytes()
}

/// Whether a name is a list's.
pub fn is_list(name: &[u8]) -> bool {
    name.starts_with(b"list-")
}

/// A list with these elements.
pub fn list_value(elements: &[u64]) -> Vec<u8> {
    elements
        .iter()
        .flat_map(|element| element.to_le_bytes())
        .collect()
}

/// The elements of a list.
pub fn elements(value: &[u8]) -> Vec<u64> {
    let chunks = value.chunks(8);
    let element = |chunk: &[u8]| {
        let mut word = [0xff; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    chunks.map(element).collect()
}

/// Sizes of values in a plan are below this. What is above says for how long the value is there, in milliseconds and one
/// more; nothing stands for ever.
const SIZES: u32 = 1 << 20;

/// What a value that ends begins with, before the time of its end: no other value does.
const MARK: u64 = 0x1e5d_5e4d_5a71_05ff;

/// A size in a plan, of a value that is there for so long: less than 4,095 ms.
pub fn staying(bytes: u32, millis: u32) -> u32 {
    bytes + (millis + 1) * SIZES
}

/// For how long a value of this size in a plan is there.
pub fn stays(bytes: u32) -> Option<u64> {
    (bytes / SIZES).checked_sub(1).map(u64::from)
}

/// When a value ends, as it says itself.
pub fn until(value: &[u8]) -> Option<u64> {
    let (mark, rest) = value.split_first_chunk()?;
    let until = rest.first_chunk()?;
    (u64::from_le_bytes(*mark) == MARK).then(|| u64::from_le_bytes(*until))
}

/// A value that ends then.
pub fn ending_value(write: u64, key: u32, bytes: u32, until: u64) -> Vec<u8> {
    let head = [MARK, until].map(u64::to_le_bytes).concat();
    [head, value(write, key, bytes % SIZES)].concat()
}

/// What a write leaves under a key.
pub fn value(write: u64, key: u32, bytes: u32) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes as usize + 8);
    let mut word = mix(write << 16 ^ u64::from(key));
    while value.len() < bytes as usize {
        value.extend_from_slice(&word.to_le_bytes());
        // Cheap, and different in every word: the position is in it.
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    }
    value.truncate(bytes as usize);
    value
}

/// The value that `value` makes, without making it.
pub fn is_value(found: &[u8], write: u64, key: u32, bytes: u32) -> bool {
    if found.len() != bytes as usize {
        return false;
    }
    let mut word = mix(write << 16 ^ u64::from(key));
    found.chunks(8).all(|chunk| {
        let same = chunk == &word.to_le_bytes()[..chunk.len()];
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        same
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_ends_says_when() {
        let bytes = staying(100, 7);
        assert_eq!((stays(bytes), stays(100)), (Some(7), None));
        let value = ending_value(77, 5, bytes, 1234);
        assert_eq!((until(&value), value.len()), (Some(1234), 116));
        assert_eq!(until(&super::value(77, 5, 100)), None);
    }

    #[test]
    fn a_value_is_known_by_all_its_bytes() {
        for bytes in [0, 1, 7, 8, 9, 4096, 5001] {
            let mut made = value(77, 5, bytes);
            assert!(is_value(&made, 77, 5, bytes));
            if bytes >= 8 {
                assert!(!is_value(&made, 78, 5, bytes) && !is_value(&made, 77, 6, bytes));
                let last = made.len() - 1;
                made[last] ^= 1;
                assert!(!is_value(&made, 77, 5, bytes));
            }
        }
        assert_eq!(number(&key(3)), Some(3));
        assert_eq!(number(b"key-0003"), None, "its name is longer");
    }
}

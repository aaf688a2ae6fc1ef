//! The bytes of the catalog: one record under a key of the database's own, written whole at each change. As durable, as
//! atomic and as checked as every record.
//!
//! ```text
//! magic "RKSPACES", format version u32, sequence u64: one more at each change
//! next number u32, keyspaces u32, then each: number u32, time that values stay u64 (milliseconds; 0: for ever),
//!     name (u16 length, bytes),
//!     what its window is u8 (0: the database's, 1: nothing, 2: versions, 3: milliseconds), how many of them u64; these two
//!     not in format 1,
//!     codec u8 (0: the database's, else one more than the number that blocks have for it); not in formats 1 and 2
//! ```
//!
//! Little-endian.

use std::time::Duration;

use ringkeep_shard::keyspace::KeyspaceId;
use ringkeep_shard::{Codec, Retention};

use super::{Kept, NAME_BYTES_MAX};

const MAGIC: &[u8] = b"RKSPACES";
pub(super) const FORMAT_VERSION: u32 = 3;
/// Without codecs, and otherwise the same.
const FORMAT_WITHOUT_CODECS: u32 = 2;
/// Without windows either.
const FORMAT_WITHOUT_WINDOWS: u32 = 1;

/// What the catalog says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) sequence: u64,
    /// The number that the next keyspace gets.
    pub(super) next: u32,
    /// In the order of their making.
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) id: KeyspaceId,
    pub(super) kept: Kept,
    pub(super) name: String,
}

/// Why bytes are no catalog of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    Damaged,
    Format(u32),
}

impl Default for Record {
    fn default() -> Record {
        Record {
            sequence: 0,
            next: 1,
            entries: Vec::new(),
        }
    }
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.next.to_le_bytes());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.id.0.to_le_bytes());
            out.extend_from_slice(&entry.kept.stay.to_le_bytes());
            out.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
            out.extend_from_slice(entry.name.as_bytes());
            let (what, count) = match entry.kept.retention {
                None => (0, 0),
                Some(Retention::None) => (1, 0),
                Some(Retention::Versions(count)) => (2, count),
                Some(Retention::For(time)) => (3, time.as_millis() as u64),
            };
            out.push(what);
            out.extend_from_slice(&count.to_le_bytes());
            out.push(entry.kept.codec.map_or(0, |codec| 1 + codec as u8));
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Record, Unreadable> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Unreadable::Damaged)?;
        let mut input = Input(rest);
        let format = input.word().ok_or(Unreadable::Damaged)?;
        if !(FORMAT_WITHOUT_WINDOWS..=FORMAT_VERSION).contains(&format) {
            return Err(Unreadable::Format(format));
        }
        input.record(format).ok_or(Unreadable::Damaged)
    }

    /// What must never be done, for a planted mistake: the last keyspace gets the least number that is free.
    pub(super) fn reuse_number(&mut self) {
        let is_used = |number: &u32| self.entries.iter().any(|entry| entry.id.0 == *number);
        let free = (1..self.next).find(|number| !is_used(number));
        if let (Some(free), Some(last)) = (free, self.entries.last_mut()) {
            last.id = KeyspaceId(free);
            self.entries.sort_by_key(|entry| entry.id);
        }
    }

    fn is_sound(&self) -> bool {
        let numbers = self.entries.iter().map(|entry| entry.id.0);
        let names = self.entries.iter().map(|entry| entry.name.len());
        numbers.clone().is_sorted_by(|a, b| a < b)
            && numbers
                .into_iter()
                .all(|number| number > 0 && number < self.next)
            && names
                .into_iter()
                .all(|bytes| (1..=NAME_BYTES_MAX).contains(&bytes))
    }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn record(&mut self, format: u32) -> Option<Record> {
        let (sequence, next) = (self.long()?, self.word()?);
        let mut entries = Vec::new();
        for _ in 0..self.word()? {
            let (id, stay) = (KeyspaceId(self.word()?), self.long()?);
            let length = u16::from_le_bytes(self.take()?);
            let (name, rest) = self.0.split_at_checked(length.into())?;
            self.0 = rest;
            let name = String::from_utf8(name.to_vec()).ok()?;
            let retention = match format {
                FORMAT_WITHOUT_WINDOWS => None,
                _ => self.window()?,
            };
            let codec = match format {
                FORMAT_WITHOUT_WINDOWS | FORMAT_WITHOUT_CODECS => None,
                _ => self.codec()?,
            };
            let kept = Kept {
                stay,
                retention,
                codec,
            };
            entries.push(Entry { id, kept, name });
        }
        let record = Record {
            sequence,
            next,
            entries,
        };
        (self.0.is_empty() && record.is_sound()).then_some(record)
    }

    fn window(&mut self) -> Option<Option<Retention>> {
        let [what] = self.take()?;
        Some(match (what, self.long()?) {
            (0, 0) => None,
            (1, 0) => Some(Retention::None),
            (2, count) => Some(Retention::Versions(count)),
            (3, millis) => Some(Retention::For(Duration::from_millis(millis))),
            _ => return None,
        })
    }

    fn codec(&mut self) -> Option<Option<Codec>> {
        let [byte] = self.take()?;
        match byte.checked_sub(1) {
            None => Some(None),
            Some(number) => Codec::from_byte(number).map(Some),
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let entry = |number, stay, retention, codec, name: &str| Entry {
            id: KeyspaceId(number),
            kept: Kept {
                stay,
                retention,
                codec,
            },
            name: name.into(),
        };
        let hour = Retention::For(Duration::from_secs(3600));
        let (raw, lz4, zstd) = (Some(Codec::Raw), Some(Codec::Lz4), Some(Codec::Zstd));
        Record {
            sequence: 7,
            next: 5,
            entries: vec![
                entry(1, 0, None, None, "a"),
                entry(2, 0, Some(Retention::None), raw, "n"),
                entry(3, 0, Some(Retention::Versions(100)), lz4, "v"),
                entry(4, 60_000, Some(hour), zstd, "bc"),
            ],
        }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample()
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let expected = "524b535041434553 03000000 0700000000000000 05000000 04000000 \
             01000000 0000000000000000 0100 61 00 0000000000000000 00 \
             02000000 0000000000000000 0100 6e 01 0000000000000000 01 \
             03000000 0000000000000000 0100 76 02 6400000000000000 02 \
             04000000 60ea000000000000 0200 6263 03 80ee360000000000 03";
        let expected: String = expected.split_whitespace().collect();
        assert_eq!(hex, expected);
        assert_eq!(Record::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn what_is_cut_bent_or_of_another_release_is_refused_or_harmless() {
        let bytes = sample().encode();
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..cut]), Err(Unreadable::Damaged));
        }
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let _ = Record::decode(&bent);
        }
        let mut newer = bytes;
        newer[8] = 4;
        assert_eq!(Record::decode(&newer), Err(Unreadable::Format(4)));
        let mut foreign = sample().encode();
        *foreign.last_mut().unwrap() = 4;
        assert_eq!(Record::decode(&foreign), Err(Unreadable::Damaged));
    }

    #[test]
    fn those_from_before_keyspaces_had_windows_and_codecs_are_read() {
        let without_windows = "524b535041434553 01000000 0700000000000000 05000000 02000000 \
             01000000 0000000000000000 0100 61 04000000 60ea000000000000 0200 6263";
        let without_codecs = "524b535041434553 02000000 0700000000000000 05000000 02000000 \
             01000000 0000000000000000 0100 61 01 0000000000000000 \
             04000000 60ea000000000000 0200 6263 02 6400000000000000";
        for (older, windows) in [
            (without_windows, [None; 2]),
            (
                without_codecs,
                [Retention::None, Retention::Versions(100)].map(Some),
            ),
        ] {
            let hex: String = older.split_whitespace().collect();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            let record = Record::decode(&bytes).unwrap();
            let kept: Vec<_> = record.entries.iter().map(|entry| entry.kept).collect();
            let [first, second] = windows;
            let of = |stay, retention| Kept {
                stay,
                retention,
                codec: None,
            };
            assert_eq!(kept, [of(0, first), of(60_000, second)]);
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }
}

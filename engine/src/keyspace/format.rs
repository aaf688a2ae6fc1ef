//! The bytes of the catalog: one record under a key of the database's own, written whole at each change. As durable, as
//! atomic and as checked as every record.
//!
//! ```text
//! magic "RKSPACES", format version u32, sequence u64: one more at each change
//! next number u32, keyspaces u32, then each: number u32, time that values stay u64 (milliseconds; 0: for ever),
//!     name (u16 length, bytes)
//! ```
//!
//! Little-endian.

use ringkeep_shard::keyspace::KeyspaceId;

use super::NAME_BYTES_MAX;

const MAGIC: &[u8] = b"RKSPACES";
pub(super) const FORMAT_VERSION: u32 = 1;

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
    /// How long values stay, in milliseconds; 0 is for ever.
    pub(super) stay: u64,
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
            out.extend_from_slice(&entry.stay.to_le_bytes());
            out.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Record, Unreadable> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Unreadable::Damaged)?;
        let mut input = Input(rest);
        let format = input.word().ok_or(Unreadable::Damaged)?;
        if format != FORMAT_VERSION {
            return Err(Unreadable::Format(format));
        }
        input.record().ok_or(Unreadable::Damaged)
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
    fn record(&mut self) -> Option<Record> {
        let (sequence, next) = (self.long()?, self.word()?);
        let mut entries = Vec::new();
        for _ in 0..self.word()? {
            let (id, stay) = (KeyspaceId(self.word()?), self.long()?);
            let length = u16::from_le_bytes(self.take()?);
            let (name, rest) = self.0.split_at_checked(length.into())?;
            self.0 = rest;
            let name = String::from_utf8(name.to_vec()).ok()?;
            entries.push(Entry { id, stay, name });
        }
        let record = Record {
            sequence,
            next,
            entries,
        };
        (self.0.is_empty() && record.is_sound()).then_some(record)
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
        let entry = |number, stay, name: &str| Entry {
            id: KeyspaceId(number),
            stay,
            name: name.into(),
        };
        Record {
            sequence: 7,
            next: 5,
            entries: vec![entry(1, 0, "a"), entry(4, 60_000, "bc")],
        }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample()
            .encode()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let expected = "524b535041434553 01000000 0700000000000000 05000000 02000000 \
             01000000 0000000000000000 0100 61 04000000 60ea000000000000 0200 6263";
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
        newer[8] = 2;
        assert_eq!(Record::decode(&newer), Err(Unreadable::Format(2)));
    }
}

//! The answer to a scan. Keys and values lie one behind the other in one piece of memory, which comes with the call and
//! is used again: an allocation for each would be made on one core and given back on another.

use std::fmt;

use ringkeep_io::planted::{Defect, planted};

/// Entries in the order of the scan.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ScanPage {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
    /// Nothing is left in the range.
    pub done: bool,
}

/// Where an entry's key and value end; it begins where the one before ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    key: u32,
    value: u32,
}

/// A key and its value, of which as much as possible is in one piece.
#[derive(Clone, Copy)]
pub(crate) struct Pieces<'a> {
    /// What the key begins with.
    pub start: &'a [u8],
    /// The rest of the key and, right behind it, what of the value lies there.
    pub tail: &'a [u8],
    pub suffix_length: usize,
    /// The rest of the value.
    pub rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    pub fn without_value(self) -> Pieces<'a> {
        Pieces {
            tail: &self.tail[..self.suffix_length],
            rest: &[],
            ..self
        }
    }
}

/// What a page takes at most before its last entry, so that its places are numbers of four bytes.
pub(crate) const BYTES_MAX: usize = 1 << 30;

/// Memory taken in advance, at most, and the entries that it is thought to be for.
const ROOM_BYTES_MAX: usize = 256 << 10;
const ENTRY_BYTES: usize = 96;

impl ScanPage {
    /// Room for about so many bytes, unless there is some.
    pub(crate) fn begin(&mut self, bytes: usize) {
        if !planted(Defect::PageRoomNotCleared) {
            self.clear();
        }
        let bytes = bytes.min(ROOM_BYTES_MAX);
        self.bytes.reserve(bytes + bytes / 16);
        self.ends.reserve(bytes / ENTRY_BYTES);
    }

    /// Without its entries, for another call.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.done = false;
    }

    /// Memory that it has, used or not.
    pub fn room(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<Ends>()
    }

    #[inline]
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        let value = self.bytes.len() as u32;
        self.ends.push(Ends { key, value });
    }

    /// The same of an entry in the pieces in which it lies.
    #[inline]
    pub(crate) fn push_pieces(&mut self, pieces: Pieces<'_>) {
        let key = self.bytes.len() + pieces.start.len() + pieces.suffix_length;
        if !pieces.start.is_empty() {
            self.bytes.extend_from_slice(pieces.start);
        }
        self.bytes.extend_from_slice(pieces.tail);
        if !pieces.rest.is_empty() {
            self.bytes.extend_from_slice(pieces.rest);
        }
        let value = self.bytes.len() as u32;
        let key = key as u32;
        self.ends.push(Ends { key, value });
    }

    /// An entry whose value comes later.
    pub(crate) fn push_room(&mut self, key: &[u8], length: usize) {
        self.push(key, &[]);
        self.bytes.resize(self.bytes.len() + length, 0);
        if let Some(ends) = self.ends.last_mut() {
            ends.value = self.bytes.len() as u32;
        }
    }

    /// The value of an entry, for which there is room.
    pub(crate) fn fill(&mut self, at: usize, value: &[u8]) {
        let Ends { key, value: end } = self.ends[at];
        self.bytes[key as usize..end as usize].copy_from_slice(value);
    }

    /// Of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// It has no entries.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A key and its value.
    #[inline]
    pub fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let Ends { key, value } = *self.ends.get(at)?;
        let start = match at {
            0 => 0,
            _ => self.ends[at - 1].value,
        };
        let bytes = &self.bytes[start as usize..value as usize];
        Some(bytes.split_at((key - start) as usize))
    }

    /// The last one.
    pub fn last(&self) -> Option<(&[u8], &[u8])> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl fmt::Debug for ScanPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanPage")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .field("done", &self.done)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_and_the_memory_is_used_again() {
        let mut page = ScanPage::default();
        for round in 0..2u8 {
            page.begin(100);
            let room = page.bytes.capacity();
            let entries: [(&[u8], &[u8]); 4] = [
                (b"", b""),
                (b"", b"value"),
                (b"key", b""),
                (b"k", &[round; 9]),
            ];
            for (key, value) in entries {
                page.push(key, value);
            }
            assert!(page.iter().eq(entries));
            assert_eq!((page.len(), page.bytes()), (4, 18));
            assert_eq!((page.last(), page.get(4)), (Some(entries[3]), None));
            assert_eq!(page.bytes.capacity(), room);
            page.done = true;
        }
        page.clear();
        assert_eq!((page.last(), page.done), (None, false));
    }
}

//! Which rows readers on other threads may see without asking: see `rows` for what this has to keep true.

use xxhash_rust::xxh3::xxh3_64;

use crate::call::Op;
use crate::core::Core;

/// Answered rows that wait to be shown until all that was said before them is on its way. Keeps its memory.
#[derive(Default)]
pub(crate) struct ToShow {
    rows: Vec<Waiting>,
    /// Their keys and values.
    bytes: Vec<u8>,
}

struct Waiting {
    hash: u64,
    start: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl<T> Core<T> {
    /// A read of the present found this value.
    pub fn offer_row(&self, key: &[u8], value: &[u8]) {
        let hash = xxh3_64(key);
        let admitted = self.rows.borrow_mut().admits(hash, key, value);
        if admitted && self.is_newest(key) && !self.transactions.borrow().locks.is_changing(key) {
            let ToShow { rows, bytes } = &mut *self.to_show.borrow_mut();
            rows.push(Waiting {
                hash,
                start: bytes.len(),
                key_bytes: key.len(),
                value_bytes: value.len(),
            });
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
    }

    /// From here on these keys may change at any moment: takes their rows away, before a newer version can be
    /// acknowledged or seen.
    pub fn hide_rows(&self, ops: &[Op]) {
        let mut rows = self.rows.borrow_mut();
        let to_show = &mut self.to_show.borrow_mut().rows;
        if rows.inserted() == 0 && to_show.is_empty() {
            return;
        }
        for op in ops {
            let hash = xxh3_64(op.key());
            rows.remove(hash);
            to_show.retain(|waiting| waiting.hash != hash);
        }
    }

    /// Together with the answers, never before them: who sees a row and then calls another shard comes after the
    /// letters that this shard sent because of it.
    pub fn show_rows(&self) {
        let mut rows = self.rows.borrow_mut();
        let ToShow {
            rows: waiting,
            bytes,
        } = &mut *self.to_show.borrow_mut();
        for row in waiting.drain(..) {
            let (key, rest) = bytes[row.start..].split_at(row.key_bytes);
            rows.show(row.hash, key, &rest[..row.value_bytes]);
        }
        bytes.clear();
    }

    /// No version of the key is in memory that is not visible yet.
    fn is_newest(&self, key: &[u8]) -> bool {
        let memtables = self.memtables.borrow();
        let mut newest = memtables
            .newest_first()
            .filter_map(|generation| generation.table.borrow().newest_of(key));
        newest
            .next()
            .is_none_or(|version| version <= self.visible.get())
    }
}

//! Which rows readers on other threads may see without asking: see `rows` for what this has to keep true.

use xxhash_rust::xxh3::xxh3_64;

use crate::call::Op;
use crate::core::Core;

/// An answered row that waits to be shown until all that was said before it is on its way.
pub(crate) struct Shown {
    hash: u64,
    key: Box<[u8]>,
    value: Box<[u8]>,
}

impl<T> Core<T> {
    /// A read of the present found this value.
    pub fn offer_row(&self, key: &[u8], value: &[u8]) {
        let hash = xxh3_64(key);
        let admitted = self.rows.borrow_mut().admits(hash, key, value);
        if admitted && self.is_newest(key) && !self.transactions.borrow().holds(hash) {
            self.to_show.borrow_mut().push(Shown {
                hash,
                key: key.into(),
                value: value.into(),
            });
        }
    }

    /// From here on these keys may change at any moment: takes their rows away, before a newer version can be
    /// acknowledged or seen.
    pub fn hide_rows(&self, ops: &[Op]) {
        let mut rows = self.rows.borrow_mut();
        let mut to_show = self.to_show.borrow_mut();
        if rows.inserted() == 0 && to_show.is_empty() {
            return;
        }
        for op in ops {
            let hash = xxh3_64(op.key());
            rows.remove(hash);
            to_show.retain(|shown| shown.hash != hash);
        }
    }

    /// Together with the answers, never before them: who sees a row and then calls another shard comes after the
    /// letters that this shard sent because of it.
    pub fn show_rows(&self) {
        let mut rows = self.rows.borrow_mut();
        for Shown { hash, key, value } in self.to_show.borrow_mut().drain(..) {
            rows.show(hash, &key, &value);
        }
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

//! Which rows readers on other threads may see without asking: see `rows` for what this has to keep true.

use std::rc::Rc;

use hashbrown::HashTable;
use ringkeep_io::planted::{Defect, planted};
use xxhash_rust::xxh3::xxh3_64;

use crate::call::Op;
use crate::content::Content;
use crate::core::Core;
use crate::tasks::yield_now;
use crate::token::Token;
use crate::version::Version;

/// A larger write is a load: showing its rows would double its cost, and what is read of them comes by the reads.
pub(crate) const SHOWN_OF_A_WRITE: usize = 64;

/// Rows looked at between two looks at what else there is to do: well under 100 us.
const ROWS_PER_SLICE: usize = 256;

/// As many cache misses as a core can wait for at once, and some more.
const ROWS_AHEAD: usize = 16;

/// Rows that wait to be shown until all that was said before them is on its way. Keeps its memory.
#[derive(Default)]
pub(crate) struct ToShow {
    rows: Vec<Waiting>,
    /// Their keys and values.
    bytes: Vec<u8>,
    /// Of each hash the last one.
    places: HashTable<usize>,
}

struct Waiting {
    hash: u64,
    start: usize,
    key_bytes: usize,
    value_bytes: usize,
    /// Its key has changed since.
    stale: bool,
    /// Nobody asked for it: if it is here by now, it stays as it is.
    resting: bool,
}

impl ToShow {
    fn push(&mut self, hash: u64, key: &[u8], value: &[u8], resting: bool) {
        self.drop(hash);
        let (place, rows) = (self.rows.len(), &self.rows);
        self.places
            .insert_unique(hash, place, |place| rows[*place].hash);
        self.rows.push(Waiting {
            hash,
            start: self.bytes.len(),
            key_bytes: key.len(),
            value_bytes: value.len(),
            stale: false,
            resting,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) {
        for row in &mut self.rows {
            let key = &self.bytes[row.start..][..row.key_bytes];
            row.stale |= from <= key && key < to;
        }
    }

    fn drop(&mut self, hash: u64) {
        let rows = &mut self.rows;
        if let Ok(found) = self
            .places
            .find_entry(hash, |place| rows[*place].hash == hash)
        {
            let (place, _) = found.remove();
            rows[place].stale = true;
        }
    }
}

impl<T: Token> Core<T> {
    /// A read of the present found this value.
    pub fn offer_row(&self, key: &[u8], value: &[u8]) {
        self.make_room_for_rows();
        let hash = xxh3_64(key);
        let (admitted, missed) = self.rows.borrow_mut().admits(hash, key, value);
        if missed {
            self.split.borrow_mut().missed_row();
        }
        if admitted && self.is_newest(key) {
            self.to_show.borrow_mut().push(hash, key, value, false);
        }
    }

    /// These changes are visible from now on: rows that were hidden for them come back, and all do while there is
    /// memory that nobody uses.
    pub fn offer_written(&self, ops: &[Op]) {
        if ops.len() > SHOWN_OF_A_WRITE {
            return;
        }
        for op in ops {
            let Op::Put { key, value } = op else { continue };
            self.make_room_for_rows();
            let hash = xxh3_64(key);
            let admitted = self.rows.borrow_mut().admits_written(hash, key, value);
            if !admitted || !self.is_newest(key) {
                continue;
            }
            // Not what this call wrote: another of the same group, or a later change of this one, may have come after it.
            let visible = self.visible.get();
            let floor = self.ranges.borrow().hidden_below(key, visible);
            let memtables = self.memtables.borrow();
            for generation in memtables.newest_first() {
                match generation.table_for(key).get_above(floor, key, visible) {
                    Some(Content::Value(value)) => {
                        self.to_show.borrow_mut().push(hash, key, value, false);
                    }
                    Some(Content::Until(..) | Content::Removed | Content::Elsewhere(..)) => {}
                    None => continue,
                }
                break;
            }
        }
    }

    /// A row that a walk found; false when there is no room for more. It may have been written over since the walk began,
    /// but no tables have been put in place.
    pub fn offer_resting(&self, key: &[u8], version: Version, value: &[u8]) -> bool {
        let hash = xxh3_64(key);
        if self.rows.borrow().has(hash) {
            return true;
        }
        self.make_room_for_rows();
        if !self.rows.borrow().has_room() {
            return false;
        }
        let memtables = self.memtables.borrow();
        let mut newest = memtables
            .newest_first()
            .filter_map(|generation| generation.table_for(key).newest_of(key));
        // Of what is in no memtable any more the tables have the newest.
        let is_newest = newest.next().is_none_or(|newest| newest == version)
            && self.ranges.borrow().newest_over(key) <= version
            && !self.transactions.borrow().locks.is_changing(key);
        if is_newest {
            self.to_show.borrow_mut().push(hash, key, value, true);
        }
        true
    }

    /// A newer version of these keys is about to be visible, or may be anywhere: takes their rows away before it can be
    /// acknowledged or seen.
    pub fn hide_rows(&self, ops: &[Op]) {
        let mut rows = self.rows.borrow_mut();
        let mut to_show = self.to_show.borrow_mut();
        self.miss_rows(&mut rows, ops.len());
        if rows.inserted() == 0 && to_show.rows.is_empty() {
            return;
        }
        for op in ops {
            if let Some((from, to)) = op.range() {
                if !planted(Defect::RangeRowsKept) {
                    rows.remove_range(from, to);
                    to_show.drop_range(from, to);
                    self.rows_to_remove.raise();
                }
                continue;
            }
            let hash = xxh3_64(op.key());
            match op {
                Op::Put { key, .. } if ops.len() <= SHOWN_OF_A_WRITE => rows.hide(hash, key),
                _ => rows.remove(hash),
            }
            to_show.drop(hash);
        }
    }

    /// These changes have a version, and readers see their rows until it is visible: not together with rows of other shards.
    pub fn outdate_rows(&self, ops: &[Op]) {
        let mut rows = self.rows.borrow_mut();
        if self.identity.shards == 1 || rows.inserted() == 0 {
            return;
        }
        for op in ops {
            rows.outdate(xxh3_64(op.key()), op.key());
        }
    }

    /// Takes rows away that range deletes have removed, which readers do without until that is done.
    pub async fn keep_removing_rows(self: Rc<Self>) {
        loop {
            self.rows_to_remove
                .wait_until(|| self.rows.borrow().is_removing())
                .await;
            while self.rows.borrow_mut().remove_some(ROWS_PER_SLICE) {
                yield_now().await;
            }
        }
    }

    /// Together with the answers, never before them: who sees a row and then calls another shard comes after the
    /// letters that this shard sent because of it.
    pub fn show_rows(&self) {
        let to_show = &mut *self.to_show.borrow_mut();
        if to_show.rows.is_empty() {
            return;
        }
        for few in to_show.rows.chunks(ROWS_AHEAD) {
            let few = few.iter().filter(|row| !row.stale);
            for row in few.clone() {
                self.rows.borrow().approach(row.hash);
            }
            for row in few {
                self.make_room_for_rows();
                let (key, rest) = to_show.bytes[row.start..].split_at(row.key_bytes);
                let mut rows = self.rows.borrow_mut();
                if !row.resting || !rows.has(row.hash) {
                    rows.show(row.hash, key, &rest[..row.value_bytes]);
                }
            }
        }
        to_show.rows.clear();
        to_show.bytes.clear();
        to_show.places.clear();
    }

    /// No version of the key is in memory that is not visible yet, and no batch may change it.
    fn is_newest(&self, key: &[u8]) -> bool {
        let memtables = self.memtables.borrow();
        let mut newest = memtables
            .newest_first()
            .filter_map(|generation| generation.table_for(key).newest_of(key));
        let visible = self.visible.get();
        newest.next().is_none_or(|version| version <= visible)
            && self.ranges.borrow().newest_over(key) <= visible
            && !self.transactions.borrow().locks.is_changing(key)
    }
}

//! A memtable that is filled from the log. Nobody reads it meanwhile, so it is only written to, from front to
//! back; its keys come to the index while the log's next bytes are on their way and when they are needed (`late`), and are
//! sorted when the database is open.

use super::Memtable;
use super::arena::{Address, Arena};
use super::key_index::{Hash, SEGMENTS};
use super::late::LateKeys;
use super::order::{Common, Order};
use crate::Version;
use crate::call::Change;

/// Memory from huge pages from this size on: a smaller one would notice what a last page, barely used, takes.
const HUGE_FROM_BYTES: usize = 16 << 20;

/// What index and order take for each key, more or less.
const BYTES_PER_KEY: usize = 32;

pub(crate) struct BulkMemtable {
    table: Memtable,
    late: LateKeys,
    /// In the order in which they came. A key may be among them more than once.
    keys: Vec<Address>,
    common: Common,
}

impl BulkMemtable {
    /// One that will grow to this size, if there is as much in the log.
    pub fn new(memtable_bytes: usize) -> BulkMemtable {
        let mut table = Memtable::new();
        if memtable_bytes >= HUGE_FROM_BYTES {
            table.arena = Arena::bulk();
        }
        BulkMemtable {
            table,
            late: LateKeys::new(),
            keys: Vec::new(),
            common: Common::default(),
        }
    }

    /// Adds the changes of one commit, in order; of two changes of one key the
    /// last one wins.
    pub fn insert<'a>(&mut self, changes: impl IntoIterator<Item = Change<'a>>, version: Version) {
        let before = self.keys.len();
        for Change { key, content } in changes {
            self.common.add(key);
            let address = self.table.arena.add_key(key, version, content);
            self.late.add(Hash::of(key), address);
            self.keys.push(address);
        }
        let added = self.keys.len() - before;
        if added > 0 {
            self.table.entries += added;
            self.table.oldest = self.table.oldest.min(version);
            self.table.newest = self.table.newest.max(version);
        }
    }

    /// Memory that the memtable will take.
    pub fn bytes(&self) -> usize {
        self.table.arena.capacity_bytes() + self.keys.len() * BYTES_PER_KEY
    }

    /// Does some of what is left to do later; false when there is little.
    pub fn index_some(&mut self) -> bool {
        self.late.place_many(&mut self.table)
    }

    pub fn finish(mut self) -> Memtable {
        // The first write to a segment need not ask for memory.
        (0..SEGMENTS).for_each(|segment| self.table.index.make_room_for(segment, 0));
        self.table.late = (!self.keys.is_empty()).then_some(self.late);
        self.table.order = Order::waiting(self.common, self.keys);
        self.table
    }
}

//! A memtable that is filled from the log. Nobody reads it meanwhile, so it is only written to, from front to
//! back; its index is made while the log's next bytes are on their way, and the keys are sorted when the database is open.

use super::Memtable;
use super::arena::{Address, Arena};
use super::key_index::{Hash, IndexToBe};
use super::order::{Common, Order};
use crate::Version;
use crate::call::Change;

/// Memory from huge pages from this size on: a smaller one would notice what a last page, barely used, takes.
const HUGE_FROM_BYTES: usize = 16 << 20;

/// What index and order take for each key, more or less.
const BYTES_PER_KEY: usize = 32;

pub(crate) struct BulkMemtable {
    arena: Arena,
    /// In the order in which they came. A key may be among them more than once.
    keys: Vec<Address>,
    index: IndexToBe,
    /// Keys that came again, and where they came first.
    again: Vec<(Address, Address)>,
    common: Common,
    oldest: Version,
    newest: Version,
}

impl BulkMemtable {
    /// One that will grow to this size, if there is as much in the log.
    pub fn new(memtable_bytes: usize) -> BulkMemtable {
        BulkMemtable {
            arena: match memtable_bytes >= HUGE_FROM_BYTES {
                true => Arena::bulk(),
                false => Arena::default(),
            },
            keys: Vec::new(),
            index: IndexToBe::new(),
            again: Vec::new(),
            common: Common::default(),
            oldest: Version(u64::MAX),
            newest: Version(0),
        }
    }

    /// Adds the changes of one commit, in order; of two changes of one key the
    /// last one wins.
    pub fn insert<'a>(&mut self, changes: impl IntoIterator<Item = Change<'a>>, version: Version) {
        for Change { key, content } in changes {
            self.common.add(key);
            let address = self.arena.add_key(key, version, content);
            self.index.add(Hash::of(key), address);
            self.keys.push(address);
            self.oldest = self.oldest.min(version);
            self.newest = self.newest.max(version);
        }
    }

    /// Memory that the memtable will take.
    pub fn bytes(&self) -> usize {
        self.arena.capacity_bytes() + self.keys.len() * BYTES_PER_KEY
    }

    /// Does some of what `finish` has to do; false when there is little left.
    pub fn index_some(&mut self) -> bool {
        let (arena, again) = (&self.arena, &mut self.again);
        let is = |a, b| arena.key(a) == arena.key(b);
        let join = |first, later| again.push((first, later));
        self.index.place_some(is, join)
    }

    pub fn finish(self) -> Memtable {
        let BulkMemtable {
            mut arena,
            mut keys,
            mut again,
            ..
        } = self;
        let mut entries = keys.len();
        let is = |a, b| arena.key(a) == arena.key(b);
        let join = |first, later| again.push((first, later));
        let index = self.index.finish(is, join);
        for &(first, later) in &again {
            let version = arena.head(later);
            entries -= usize::from(arena.link(first, version));
            arena.abandon(later);
        }
        if !again.is_empty() {
            keys.retain(|key| arena.head(*key) != Address::NONE);
        }
        Memtable {
            index,
            order: Order::waiting(self.common, keys),
            arena,
            entries,
            oldest: self.oldest,
            newest: self.newest,
        }
    }
}

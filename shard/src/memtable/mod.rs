//! The newest writes of a shard, in memory, ordered by (key ascending, version descending).
//!
//! A put or get costs one hash probe: `key_index` finds the key's record in `arena`, which leads to
//! its versions, newest first. `order` keeps the keys sorted well enough for cursors without a
//! comparison on the way of a put. It does no I/O and forgets nothing until it is dropped whole.

mod arena;
mod bulk;
mod cursor;
mod key_index;
mod late;
mod order;
#[cfg(test)]
mod tests;

use std::ops::Bound;

use arena::Arena;
use key_index::{Found, Hash, KeyIndex};
use late::LateKeys;
use order::Order;

use crate::Version;
use crate::call::Change;
use crate::content::Content;
use crate::ranges::hides;

pub(crate) use arena::Address;
pub(crate) use bulk::BulkMemtable;
pub(crate) use cursor::MemtableCursor;

/// As many cache misses as a core can wait for at once, and some more.
const KEYS_AHEAD: usize = 16;

/// Versions of keys, by key.
pub(crate) struct Memtable {
    arena: Arena,
    index: KeyIndex,
    order: Order,
    /// Those that came from the log and wait for a place in the index.
    late: Option<LateKeys>,
    /// One too many for each late key that is there already.
    entries: usize,
    oldest: Version,
    newest: Version,
}

impl Memtable {
    /// An empty one.
    pub fn new() -> Memtable {
        Memtable {
            arena: Arena::default(),
            index: KeyIndex::new(),
            order: Order::default(),
            late: None,
            entries: 0,
            oldest: Version(u64::MAX),
            newest: Version(0),
        }
    }

    /// Adds the changes of one commit, in order; of two changes of one key the last one wins. Memory is waited
    /// for a few keys at a time, which pays where the index is larger than
    /// the processor's caches.
    pub fn insert<'a>(&mut self, changes: impl IntoIterator<Item = Change<'a>>, version: Version) {
        let mut changes = changes.into_iter();
        let mut few = [(Hash::default(), Change::default()); KEYS_AHEAD];
        loop {
            let mut count = 0;
            for (place, change) in few.iter_mut().zip(changes.by_ref()) {
                *place = (Hash::of(change.key), change);
                count += 1;
            }
            if count > 1 {
                few[..count]
                    .iter()
                    .for_each(|(hash, ..)| self.index.approach(*hash));
            }
            for (hash, change) in &few[..count] {
                self.insert_hashed(*hash, *change, version);
            }
            if count < KEYS_AHEAD {
                return;
            }
        }
    }

    #[cfg(test)]
    pub fn put(&mut self, key: &[u8], version: Version, content: Content<'_>) {
        self.insert([Change { key, content }], version);
    }

    #[inline]
    fn insert_hashed(&mut self, hash: Hash, change: Change<'_>, version: Version) {
        let Change { key, content } = change;
        if self.is_late() {
            self.place_near_hash(hash);
        }
        let is = |arena: &Arena, address| arena.key(address) == key;
        let add = |arena: &mut Arena| arena.add_key(key, version, content);
        match self.index.find_or_add(hash, &mut self.arena, is, add) {
            Found::New(address) => {
                self.order.add(key, address, &self.arena);
                self.entries += 1;
            }
            Found::Old(address) => self.add_version(address, version, content),
        }
        self.oldest = self.oldest.min(version);
        self.newest = self.newest.max(version);
    }

    /// What the newest version at or below `at` says. Nothing at all when the memtable does not know.
    #[inline]
    pub fn get(&self, key: &[u8], at: Version) -> Option<Content<'_>> {
        self.find(key, at).map(|(_, content)| content)
    }

    #[inline]
    fn find(&self, key: &[u8], at: Version) -> Option<(Version, Content<'_>)> {
        let found = self.address_of(key)?;
        let mut address = self.arena.head(found);
        while address != Address::NONE {
            let record = self.arena.version(address);
            if record.version <= at {
                return Some((record.version, record.content));
            }
            address = record.prev;
        }
        None
    }

    /// The same, where versions below `floor` are removed.
    #[inline]
    pub fn get_above(&self, floor: Version, key: &[u8], at: Version) -> Option<Content<'_>> {
        let (version, content) = self.find(key, at)?;
        Some(match hides(floor, version) {
            false => content,
            true => Content::Removed,
        })
    }

    /// The newest version of a key.
    pub fn newest_of(&self, key: &[u8]) -> Option<Version> {
        let found = self.address_of(key)?;
        Some(self.arena.version(self.arena.head(found)).version)
    }

    #[inline]
    fn address_of(&self, key: &[u8]) -> Option<Address> {
        let hash = Hash::of(key);
        debug_assert!(self.late.as_ref().is_none_or(|late| late.is_placed(hash)));
        self.index
            .find(hash, |address| self.arena.key(address) == key)
    }

    /// Keys that came from the log wait for a place in the index: [`place_near`](Self::place_near) comes before a look.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.late.is_some()
    }

    /// From now on the index knows all about this key, and about those that share its segment.
    #[cold]
    pub fn place_near(&mut self, key: &[u8]) {
        self.place_near_hash(Hash::of(key));
    }

    #[cold]
    fn place_near_hash(&mut self, hash: Hash) {
        if let Some(mut late) = self.late.take() {
            late.place_near(hash, self);
            self.late = Some(late);
        }
    }

    /// Keys that came from the log wait to be sorted.
    pub fn is_unsorted(&self) -> bool {
        self.late.is_some() || self.order.is_waiting()
    }

    /// Sorts some of the keys that came from the log, so that the next cursor need not; false when all are.
    pub fn sort_some(&mut self) -> bool {
        // First the index, which finds those that are there twice.
        match self.late.take() {
            Some(mut late) => {
                self.late = late.place_some(self).then_some(late);
                true
            }
            None => self.order.sort_waiting(&self.arena),
        }
    }

    /// A cursor over the keys that are here now. Sorts what is not sorted yet.
    pub fn cursor(&mut self) -> MemtableCursor {
        self.place_all();
        MemtableCursor::new(self.order.runs(&self.arena))
    }

    /// How many keys lie between two bounds, and how many there are. Sorts what is not sorted yet.
    pub fn keys_in(&mut self, from: Bound<&[u8]>, to: Bound<&[u8]>) -> (usize, usize) {
        self.place_all();
        let (mut inside, mut all) = (0, 0);
        for run in self.order.runs(&self.arena) {
            let first = run.count_before(from, &self.arena);
            // What is within an upper bound is what lies before the opposite lower bound.
            let end = match to {
                Bound::Unbounded => run.places.len(),
                Bound::Included(key) => run.count_before(Bound::Excluded(key), &self.arena),
                Bound::Excluded(key) => run.count_before(Bound::Included(key), &self.arena),
            };
            inside += end.saturating_sub(first);
            all += run.places.len();
        }
        (inside, all)
    }

    /// Memory taken, with the index and the order.
    pub fn bytes(&self) -> usize {
        let late = self.late.as_ref().map_or(0, LateKeys::bytes);
        self.arena.capacity_bytes() + self.index.bytes() + self.order.bytes() + late
    }

    /// Versions of keys.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Whether nothing was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The oldest version inserted; nothing when empty.
    #[cfg(test)]
    pub fn oldest(&self) -> Option<Version> {
        (!self.is_empty()).then_some(self.oldest)
    }

    /// The newest version inserted; nothing when empty.
    pub fn newest(&self) -> Option<Version> {
        (!self.is_empty()).then_some(self.newest)
    }

    /// The version at an address that a cursor gave, and what it says.
    #[inline]
    pub(crate) fn entry(&self, address: Address) -> (Version, Content<'_>) {
        let record = self.arena.version(address);
        (record.version, record.content)
    }

    /// The next older version of the same key.
    #[inline]
    pub(crate) fn older(&self, address: Address) -> Option<Address> {
        let prev = self.arena.version(address).prev;
        (prev != Address::NONE).then_some(prev)
    }

    fn place_all(&mut self) {
        if let Some(mut late) = self.late.take() {
            while late.place_some(self) {}
        }
    }

    /// Of a key that is in memory twice the first one stays, with the versions of both.
    fn join(&mut self, first: Address, again: Address) {
        let version = self.arena.head(again);
        self.entries -= usize::from(self.arena.link(first, version));
        self.arena.abandon(again);
    }

    /// A newer version of a known key, or an older one.
    fn add_version(&mut self, key: Address, version: Version, content: Content<'_>) {
        let added = self.arena.add_version(version, content);
        self.entries += 1;
        self.entries -= usize::from(self.arena.link(key, added));
    }
}

//! Which blocks were evicted lately, as hashes: one that comes back goes straight among those that
//! are kept. Bounded; the oldest is forgotten first.

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

pub(super) struct Ghosts {
    order: VecDeque<u64>,
    known: HashTable<u64>,
}

impl Ghosts {
    pub fn new() -> Ghosts {
        Ghosts {
            order: VecDeque::new(),
            known: HashTable::new(),
        }
    }

    /// Remembers a hash, and no more than `most` of them.
    pub fn remember(&mut self, hash: u64, most: usize) {
        if let Entry::Vacant(vacant) = self.known.entry(hash, |&known| known == hash, |&h| h) {
            vacant.insert(hash);
            self.order.push_back(hash);
        }
        while self.order.len() > most
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// Forgets a hash; whether it was known. Its place in the order runs out by itself.
    pub fn forget(&mut self, hash: u64) -> bool {
        match self.known.find_entry(hash, |&known| known == hash) {
            Ok(found) => {
                found.remove();
                true
            }
            Err(_) => false,
        }
    }
}

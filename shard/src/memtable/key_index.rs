//! From a key to its record, by hash. Split into segments that grow one at a time: growing a single
//! table of half a million keys would stop the shard for milliseconds. The hash is kept beside the
//! address, so that growing reads no keys.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::arena::Address;

const SEGMENTS: usize = 64;
const SEGMENT_SHIFT: u32 = u32::BITS - SEGMENTS.ilog2();

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    key: Address,
}

/// Of a key.
#[derive(Clone, Copy, Default)]
pub(super) struct Hash(u32);

pub(super) struct KeyIndex {
    segments: Box<[HashTable<Slot>]>,
    bytes: usize,
}

impl KeyIndex {
    pub fn new() -> KeyIndex {
        KeyIndex {
            segments: (0..SEGMENTS).map(|_| HashTable::new()).collect(),
            bytes: SEGMENTS * size_of::<HashTable<Slot>>(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Brings near what the next look at this hash will read. Several of these wait for memory together;
    /// several looks wait one after the other.
    #[inline]
    pub fn approach(&self, hash: Hash) {
        let Hash(hash) = hash;
        let seen = self.segments[segment(hash)].find(spread(hash), |slot| slot.hash == hash);
        std::hint::black_box(seen.is_some());
    }

    #[inline]
    pub fn find(&self, hash: Hash, is: impl Fn(Address) -> bool) -> Option<Address> {
        let Hash(hash) = hash;
        self.segments[segment(hash)]
            .find(spread(hash), |slot| slot.hash == hash && is(slot.key))
            .map(|slot| slot.key)
    }

    /// The address of a key that is there already, or else of the one that `add` makes.
    #[inline]
    pub fn find_or_add<C>(
        &mut self,
        hash: Hash,
        context: &mut C,
        is: impl Fn(&C, Address) -> bool,
        add: impl FnOnce(&mut C) -> Address,
    ) -> Found {
        let Hash(hash) = hash;
        let table = &mut self.segments[segment(hash)];
        let grows = table.len() == table.capacity();
        let before = if grows { table.allocation_size() } else { 0 };
        let is_it = |slot: &Slot| slot.hash == hash && is(context, slot.key);
        match table.entry(spread(hash), is_it, |slot| spread(slot.hash)) {
            Entry::Occupied(found) => Found::Old(found.get().key),
            Entry::Vacant(vacant) => {
                let key = add(context);
                vacant.insert(Slot { hash, key });
                if grows {
                    self.bytes += self.segments[segment(hash)].allocation_size() - before;
                }
                Found::New(key)
            }
        }
    }
}

pub(super) enum Found {
    Old(Address),
    New(Address),
}

impl Hash {
    #[inline]
    pub fn of(key: &[u8]) -> Hash {
        Hash((xxh3_64(key) >> 32) as u32)
    }
}

fn segment(hash: u32) -> usize {
    (hash >> SEGMENT_SHIFT) as usize
}

/// hashbrown takes its index from the low bits and its tag from the top ones, and the segment has
/// used up the top ones of the hash itself: an odd multiplier gives new ones and keeps the low bits
/// a bijection.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

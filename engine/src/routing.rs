//! Key → slot → shard. The slot function is a stored property of the database: every key ever
//! written is found through it again.

use ringkeep_shard::ShardId;
use xxhash_rust::xxh3::xxh3_64;

/// Slots of every database. Many more than shards, so that slots can later move between shards and
/// nodes one by one.
pub(crate) const SLOTS: usize = 16_384;

/// How a key finds its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotFunction {
    /// The low 14 bits of XXH3 (64 bits, seed 0) of the whole key.
    Xxh3,
}

impl SlotFunction {
    /// The number stored in the database file.
    pub(crate) fn id(self) -> u8 {
        match self {
            SlotFunction::Xxh3 => 1,
        }
    }

    /// The function with this number.
    pub(crate) fn from_id(id: u8) -> Option<SlotFunction> {
        (id == SlotFunction::Xxh3.id()).then_some(SlotFunction::Xxh3)
    }

    fn slot(self, key: &[u8]) -> usize {
        match self {
            SlotFunction::Xxh3 => slot_of(xxh3_64(key)),
        }
    }
}

#[inline]
fn slot_of(hash: u64) -> usize {
    hash as usize % SLOTS
}

/// Where every key lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Routing {
    pub(crate) function: SlotFunction,
    pub(crate) shards: u16,
    /// One shard number for each slot, each below `shards`.
    pub(crate) table: Box<[u16]>,
}

impl Routing {
    /// Slots dealt out in even, contiguous runs.
    pub(crate) fn even(shards: u16) -> Routing {
        let shard_of = |slot: usize| (slot * usize::from(shards) / SLOTS) as u16;
        Routing {
            function: SlotFunction::Xxh3,
            shards,
            table: (0..SLOTS).map(shard_of).collect(),
        }
    }

    /// The shard that owns a key.
    pub(crate) fn shard(&self, key: &[u8]) -> ShardId {
        ShardId(self.table[self.function.slot(key)])
    }

    /// The shard that owns a key, and the hash by which that shard knows it.
    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> (ShardId, u64) {
        let hash = xxh3_64(key);
        match self.function {
            SlotFunction::Xxh3 => (ShardId(self.table[slot_of(hash)]), hash),
        }
    }

    /// All shards.
    pub(crate) fn shards(&self) -> impl ExactSizeIterator<Item = ShardId> + use<> {
        (0..self.shards).map(ShardId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_of_a_key_never_changes() {
        let slots = [&b""[..], b"a", b"ringkeep", b"user:1000:name"]
            .map(|key| SlotFunction::Xxh3.slot(key));
        assert_eq!(slots, [5314, 3615, 14_019, 15_431]);
    }

    #[test]
    fn every_shard_gets_an_even_share_of_the_slots() {
        for shards in [1, 2, 3, 7, 16, 1024] {
            let routing = Routing::even(shards);
            for shard in 0..shards {
                let owned = routing
                    .table
                    .iter()
                    .filter(|owner| **owner == shard)
                    .count();
                let share = SLOTS / usize::from(shards);
                assert!(
                    (share..=share + 1).contains(&owned),
                    "{shards} shards: {shard} owns {owned}"
                );
            }
        }
    }
}

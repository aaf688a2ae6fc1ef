//! How much of each blob file is alive: what tables refer to, summed up. Nothing keeps count, so no count is ever wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{BlobId, BlobShare};

/// What tables refer to.
#[derive(Default)]
pub(crate) struct Census(BTreeMap<BlobId, Life>);

#[derive(Clone, Copy, Default)]
struct Life {
    bytes: u64,
    /// While a merge has passed on references that its inputs still have, too, more than there is.
    alive: u64,
}

impl Life {
    fn dead(self) -> u64 {
        self.bytes.saturating_sub(self.alive)
    }

    /// To copy what is left of it takes less than it gives back.
    fn is_sparse(self) -> bool {
        self.dead() > self.bytes / 2
    }
}

impl Census {
    /// Of the shares of all tables.
    pub fn of<'a>(shares: impl Iterator<Item = &'a BlobShare>) -> Census {
        let mut lives = BTreeMap::<BlobId, Life>::new();
        for share in shares {
            let life = lives.entry(share.file).or_default();
            life.bytes = share.file_bytes;
            life.alive += share.bytes;
        }
        Census(lives)
    }

    pub fn files(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn bytes(&self) -> u64 {
        self.0.values().map(|life| life.bytes).sum()
    }

    /// Of these, what nobody refers to.
    pub fn dead(&self) -> u64 {
        self.0.values().map(|life| life.dead()).sum()
    }

    /// What is dead in a file, if merges collect the rest of it unasked.
    pub fn sparse(&self, id: BlobId) -> Option<u64> {
        let life = self.0.get(&id).filter(|life| life.is_sparse())?;
        Some(life.dead())
    }

    /// A file has something dead.
    pub fn has_dead(&self, id: BlobId) -> bool {
        self.0.get(&id).is_some_and(|life| life.dead() > 0)
    }

    /// The files that a merge leaves empty as far as it meets references to them: on request all that have something dead.
    pub fn to_collect(&self, on_request: bool) -> BTreeSet<BlobId> {
        let due = |life: &Life| life.is_sparse() || (on_request && life.dead() > 0);
        let lives = self.0.iter().filter(|(_, life)| due(life));
        lives.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_table_refers_to_is_dead() {
        let share = |file, bytes| BlobShare {
            file: BlobId(file),
            file_bytes: 100,
            bytes,
        };
        let shares = [
            share(1, 60),
            share(1, 40),
            share(2, 49),
            share(3, 30),
            share(3, 20),
        ];
        let census = Census::of(shares.iter());
        assert_eq!(
            (census.files(), census.bytes(), census.dead()),
            (3, 300, 101)
        );
        assert_eq!(
            [1, 2, 3].map(|id| census.sparse(BlobId(id))),
            [None, Some(51), None]
        );
        assert_eq!(census.to_collect(false), [BlobId(2)].into());
        assert_eq!(census.to_collect(true), [BlobId(2), BlobId(3)].into());
        let twice = [share(1, 100), share(1, 100)];
        assert_eq!(Census::of(twice.iter()).dead(), 0);
    }
}

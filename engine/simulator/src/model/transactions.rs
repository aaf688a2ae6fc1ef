//! What a transaction depends on: no other commit to it between its snapshot and its own.

use super::{Model, WriteId};
use crate::failure::{Check, Verdict, failed};

/// A transaction that was committed.
pub struct Commit {
    /// Its changes.
    pub id: WriteId,
    /// The version that it has read at.
    pub at: u64,
    /// Keys that must not have changed since, besides those that it changes.
    pub reads: Vec<u32>,
}

impl Model {
    /// Takes down that a write is a transaction, which may hold up others' writes to these keys for a while.
    pub fn is_transaction(&mut self, id: WriteId, reads: &[u32]) {
        let write = &mut self.writes[id];
        let keys = write.ops.iter().map(|(key, _)| *key);
        write.holds_up = keys.chain(reads.iter().copied()).collect();
    }

    /// A transaction was acknowledged. It is judged when all versions are known that will be.
    pub fn committed(&mut self, commit: Commit) {
        self.commits.push(commit);
    }

    /// A transaction was refused because of a key: somebody must have been after it.
    pub fn lost_for(&self, id: Option<WriteId>, asked: u64, key: u32) -> Verdict {
        let mut rivals = self.keys[key as usize].writes.iter();
        let is_rival = |rival: &&WriteId| {
            let write = &self.writes[**rival];
            let before = write.settled.is_some_and(|settled| settled < asked);
            Some(**rival) != id && !before && !write.refused
        };
        match rivals.find(is_rival) {
            Some(_) => Ok(()),
            None => failed(
                Check::Isolation,
                format!("a transaction lost key {key}, which nobody else has changed meanwhile"),
            ),
        }
    }

    /// Looks at all transactions of this life.
    pub(super) fn finish_commits(&mut self) -> Verdict {
        for commit in std::mem::take(&mut self.commits) {
            let mine = &self.writes[commit.id];
            let Some(version) = mine.version else {
                continue;
            };
            let changed = mine.ops.iter().map(|(key, _)| *key);
            for key in changed.chain(commit.reads.iter().copied()) {
                let mut others = self.keys[key as usize].writes.iter();
                let between = others.find(|id| {
                    let its = self.writes[**id].version.unwrap_or_default();
                    **id != commit.id && its > commit.at && its <= version
                });
                if let Some(other) = between {
                    let story = format!(
                        "{} depends on key {key} as it was at version {}, but {}",
                        self.tell(commit.id),
                        commit.at,
                        self.tell(*other)
                    );
                    return failed(Check::Isolation, story);
                }
            }
        }
        Ok(())
    }
}

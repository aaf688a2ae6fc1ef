//! What may be there after a stop.

use super::{Found, Holder, Model, Write};
use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::plan::Promise;

/// What a stop may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nothing that was acknowledged: everything was made durable before.
    Nothing,
    /// The same, as long as the machine goes on: the process ended.
    Process,
    /// What was not durable at this time. A periodic sync is at most `slack` late, but waits from `since` on.
    Power { time: u64, since: u64, slack: u64 },
}

impl Model {
    /// Judges everything that is there after a stop.
    pub fn survived(&self, found: &[(u32, Found)], loss: Loss) -> Verdict {
        for (key, found) in found {
            if self.holders(*key, found.as_deref()).is_empty() {
                let check = if self.keys[*key as usize].base.is_some() && found.is_none() {
                    Check::Durability
                } else {
                    Check::Content
                };
                return failed(check, self.tell_found(*key, found.as_deref()));
            }
        }
        let kept = self.kept_by_shard(found, loss);
        for (key, found) in found {
            let shard = self.shards[*key as usize];
            let holders = self.holders(*key, found.as_deref());
            let lost = |holder: Holder| {
                let mut writes = self.keys[*key as usize].writes.iter();
                writes.find(|id| {
                    Holder::Write(**id) != holder
                        && self.must_be_kept(&self.writes[**id], loss, kept[usize::from(shard)])
                        && self.is_after(**id, holder)
                })
            };
            if holders.iter().all(|holder| lost(*holder).is_some()) {
                let id = lost(holders[0]).expect("all have one");
                return failed(
                    Check::Durability,
                    format!(
                        "{} is lost ({loss:?}, shard {shard} kept versions up to {}): {}",
                        self.tell(*id),
                        kept[usize::from(shard)],
                        self.tell_found(*key, found.as_deref())
                    ),
                );
            }
        }
        self.whole_batches(found)
    }

    /// A shard's log is a row: what lies before something durable, or before something that is there, is
    /// there. For each shard the newest version of which that is known.
    fn kept_by_shard(&self, found: &[(u32, Found)], loss: Loss) -> Vec<u64> {
        let shards = self
            .shards
            .iter()
            .max()
            .map_or(0, |shard| usize::from(*shard) + 1);
        let mut kept = vec![0; shards];
        if !matches!(loss, Loss::Power { .. }) {
            return vec![u64::MAX; shards];
        }
        let mut keep = |write: &Write| {
            let kept: &mut u64 = &mut kept[usize::from(write.coordinator)];
            // Of one shard everything unanswered comes after everything answered.
            *kept = (*kept).max(write.version.unwrap_or(u64::MAX));
        };
        for write in &self.writes {
            if write.certain && write.version.is_some() && is_durable(write, loss) {
                keep(write);
            }
        }
        for (key, value) in found {
            if value.is_some()
                && let [Holder::Write(id)] = self.holders(*key, value.as_deref())[..]
                && self.shards[*key as usize] == self.writes[id].coordinator
            {
                keep(&self.writes[id]);
            }
        }
        kept
    }

    fn must_be_kept(&self, write: &Write, loss: Loss, kept: u64) -> bool {
        let in_row = write.version.is_some_and(|version| version <= kept);
        write.certain && (in_row || is_durable(write, loss))
    }

    /// What was found is what the next life begins with.
    pub fn adopt(&mut self, found: Vec<(u32, Found)>, loss: Loss) {
        if matches!(loss, Loss::Power { .. }) {
            // Versions that the cut took are given again.
            self.newest = 0;
        }
        let ended: Vec<_> = found
            .iter()
            .map(|(key, found)| self.ended(*key, found))
            .collect();
        self.written_before += self.writes.len() as u64;
        self.writes.clear();
        self.answered.fill(Default::default());
        self.unfinished.clear();
        self.commits.clear();
        for key in &mut self.keys {
            key.writes.clear();
        }
        for ((key, found), ended) in found.into_iter().zip(ended) {
            let key = &mut self.keys[key as usize];
            key.base = found;
            key.ended = ended;
        }
    }

    /// Of a key under which nothing was found: what may have ended there.
    fn ended(&self, key: u32, found: &Found) -> Vec<Vec<u8>> {
        if found.is_some() {
            return Vec::new();
        }
        let history = &self.keys[key as usize];
        let mut ended = Vec::new();
        for holder in self.holders(key, None) {
            match holder {
                Holder::Base => {
                    let base = history
                        .base
                        .iter()
                        .filter(|base| content::until(base).is_some());
                    ended.extend(base.chain(&history.ended).cloned());
                }
                Holder::Write(id) => ended.extend(self.writes[id].ending(self.tag(id), key)),
            }
        }
        ended
    }
}

fn is_durable(write: &Write, loss: Loss) -> bool {
    let Loss::Power { time, since, slack } = loss else {
        return true;
    };
    let in_time = match write.promise {
        Promise::Sync => true,
        Promise::Buffered => false,
        // Only what was answered has begun to wait.
        Promise::Periodic(every) => {
            let begun = write.settled_at.max(since);
            write.version.is_some() && begun + every + slack < time
        }
    };
    in_time || write.over_shards || write.flushed
}

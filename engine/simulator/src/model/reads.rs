//! What a read or a scan may show.

use super::{Found, Holder, Model, Tick, When, WriteId};
use crate::failure::{Check, Verdict, failed};

/// What a scan found, to be looked at again when more is known of the writes that ran beside it.
pub struct Snapshot {
    /// The version that it reads at.
    pub at: u64,
    /// And when it judges ends.
    pub when: When,
    /// Keys looked at and what they held.
    pub found: Vec<(u32, Found)>,
}

impl Model {
    /// One key, asked for at `asked` and answered now.
    pub fn read(&mut self, key: u32, found: Option<&[u8]>, asked: Tick, now: Tick) -> Verdict {
        let holders = self.holders(key, found);
        if holders.is_empty() {
            return failed(Check::Content, self.tell_found(key, found));
        }
        let newer = |holder: Holder| self.newer_than(key, holder, asked);
        if holders.iter().all(|holder| newer(*holder).is_some()) {
            let newer = newer(holders[0]).expect("all have one");
            return failed(
                Check::Freshness,
                format!(
                    "{}, but {} was known before the read began",
                    self.tell_found(key, found),
                    self.tell(newer)
                ),
            );
        }
        self.observe(&holders, now);
        Ok(())
    }

    /// Several keys of one instant.
    pub fn read_together(&mut self, found: &[(u32, Found)], asked: Tick, now: Tick) -> Verdict {
        for (key, found) in found {
            self.read(*key, found.as_deref(), asked, now)?;
        }
        self.whole_batches(found)
    }

    /// No batch is half in what was found together.
    pub(super) fn whole_batches(&self, found: &[(u32, Found)]) -> Verdict {
        for (key, value) in found {
            // Removals and tiny values may have several holders, and prove nothing then.
            let [Holder::Write(id)] = self.holders(*key, value.as_deref())[..] else {
                continue;
            };
            if self.writes[id].ops.len() < 2 {
                continue;
            }
            let others = found
                .iter()
                .filter(|(other, _)| self.writes[id].ops.iter().any(|(own, _)| own == other));
            for (other, value) in others {
                let holders = self.holders(*other, value.as_deref());
                let fits =
                    |holder: &Holder| *holder == Holder::Write(id) || !self.is_after(id, *holder);
                if !holders.iter().any(fits) {
                    return failed(
                        Check::Atomicity,
                        format!(
                            "{} is there in key {key}, but {}",
                            self.tell(id),
                            self.tell_found(*other, value.as_deref())
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    /// A scan has ended.
    pub fn scanned(&mut self, snapshot: Snapshot, asked: Tick, now: Tick) -> Verdict {
        self.matches_version(&snapshot)?;
        // Nothing that was known when the scan was made may be above its version.
        for (key, found) in &snapshot.found {
            self.read(*key, found.as_deref(), asked, now)?;
        }
        self.whole_batches(&snapshot.found)?;
        if self.writes.iter().any(|write| write.open) {
            self.unfinished.push(snapshot);
        }
        Ok(())
    }

    /// Looks at all scans again, now that what will be known is known.
    pub fn finish_snapshots(&mut self) -> Verdict {
        let when = self.when.get();
        for snapshot in std::mem::take(&mut self.unfinished) {
            self.matches_version(&snapshot)?;
        }
        self.judge_at(when);
        self.finish_commits()
    }

    fn matches_version(&self, snapshot: &Snapshot) -> Verdict {
        let at = snapshot.at;
        self.judge_at(snapshot.when);
        for (key, found) in &snapshot.found {
            let fits = |holder: &Holder| {
                let seen = match holder {
                    Holder::Base => true,
                    Holder::Write(id) => {
                        self.writes[*id].version.is_none_or(|version| version <= at)
                    }
                };
                let hidden = self.keys[*key as usize].writes.iter().find(|id| {
                    let visible = self.writes[**id]
                        .version
                        .is_some_and(|version| version <= at);
                    visible && Holder::Write(**id) != *holder && self.is_after(**id, *holder)
                });
                seen && hidden.is_none()
            };
            let holders = self.holders(*key, found.as_deref());
            if holders.is_empty() {
                return failed(Check::Content, self.tell_found(*key, found.as_deref()));
            }
            if !holders.iter().any(fits) {
                let writes: Vec<_> = self.keys[*key as usize]
                    .writes
                    .iter()
                    .filter(|id| self.writes[**id].version.is_some())
                    .map(|id| self.tell(*id))
                    .collect();
                return failed(
                    Check::Snapshot,
                    format!(
                        "at version {at} {}; written to it in this life: {}",
                        self.tell_found(*key, found.as_deref()),
                        writes.join(", ")
                    ),
                );
            }
        }
        Ok(())
    }

    /// A write that was known at `asked` and came after the holder.
    fn newer_than(&self, key: u32, holder: Holder, asked: Tick) -> Option<WriteId> {
        let mut writes = self.keys[key as usize].writes.iter().copied();
        writes.find(|id| {
            let known = self.writes[*id].settled.is_some_and(|at| at <= asked);
            known && Holder::Write(*id) != holder && self.is_after(*id, holder)
        })
    }

    /// What a read has shown could have been answered, and is as certain as if it had been.
    fn observe(&mut self, holders: &[Holder], now: Tick) {
        let [Holder::Write(id)] = holders else { return };
        let write = &mut self.writes[*id];
        write.certain = true;
        // The other shards of a batch may hear of it a moment later, until it is answered.
        if !write.over_shards {
            write.settled.get_or_insert(now);
        }
    }
}

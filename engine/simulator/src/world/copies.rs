//! What is done to copies of the disk, while the database itself goes on: the power goes in another way, a
//! bit turns over, a write lands elsewhere.

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Database, Error};
use ringkeep_io::{Crash, SimulatedDisk};

use super::clients::in_order;
use super::steps::{Findings, entries};
use super::{Open, World};
use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::model::{Loss, When};

impl World<'_> {
    /// Cuts the power now, in several ways.
    pub(super) fn cut_copies(&mut self, open: &Open, count: u64) -> Verdict {
        if open.is_cut(&self.disk) {
            return Ok(());
        }
        let loss = self.power_loss();
        for _ in 0..count {
            let copy = self.disk.crashed_copy(self.random.bits(), Crash::Random);
            copy.set_capacity_bytes(1 << 40);
            if self.random.chance(20) {
                // And once more, in the midst of the recovery.
                copy.crash_at(self.random.below(150), Crash::Random);
                drop(self.try_open(&copy));
                copy.crash();
                self.totals.recoveries += 1;
                self.totals.cuts_while_opening += 1;
            }
            self.survives_on(&copy, loss)?;
            self.totals.cuts += 1;
        }
        Ok(())
    }

    /// Looks at what else the last power cut within an operation may have left.
    pub(super) fn look_at_outcomes(&mut self, loss: Loss) -> Verdict {
        for copy in self.disk.take_outcomes() {
            copy.set_capacity_bytes(1 << 40);
            self.survives_on(&copy, loss)?;
            self.totals.cuts += 1;
        }
        Ok(())
    }

    /// What an opening of the copy finds.
    pub(super) fn survives_on(&mut self, copy: &SimulatedDisk, loss: Loss) -> Verdict<Findings> {
        let (db, hosts) = match self.try_open(copy) {
            Ok(opened) => opened,
            Err(error) => return failed(Check::Opening, format!("of a copy ({loss:?}): {error}")),
        };
        let found = self.find(&db, &hosts)?;
        self.model.survived(&found, loss)?;
        self.lists.survived(&self.find_lists(&db, &hosts)?)?;
        self.spaces_survived(&self.find_spaces(&db, &hosts)?)?;
        self.totals.recoveries += 1;
        self.see(copy.trace_hash());
        Ok(found)
    }

    /// Damages one bit at rest, in several places.
    pub(super) fn flip_copies(&mut self, open: &Open, count: u64) -> Verdict {
        if !self.idle(open)? {
            return Ok(());
        }
        for _ in 0..count {
            let copy = self.disk.crashed_copy(0, Crash::KeepAll);
            let files = copy.files();
            let (path, bytes) = self.random.pick(&files).clone();
            if bytes == 0 {
                continue;
            }
            let (byte, bit) = (self.byte_to_flip(&copy, &path), self.random.below(8) as u8);
            copy.flip_bit(&path, byte, bit);
            let story = format!("bit {bit} of byte {byte} of {path} turned over");
            self.say(|| story.clone());
            let may_refuse = !path.ends_with("superblock");
            self.right_or_refused(&copy, &story, may_refuse, false)?;
            self.totals.damages += 1;
        }
        Ok(())
    }

    /// Mostly one that is not zero, as most of many files is.
    fn byte_to_flip(&mut self, disk: &SimulatedDisk, path: &str) -> u64 {
        let contents = disk.read_raw(path).unwrap_or_default();
        let any = self.random.below(contents.len() as u64);
        if self.random.chance(20) {
            return any;
        }
        let (before, after) = contents.split_at(any as usize);
        let next = after.iter().chain(before).position(|byte| *byte != 0);
        let next = next.map(|ahead| (any + ahead as u64) % contents.len() as u64);
        // A little further on, so that the first of a page is not the most likely.
        let next = next.map_or(any, |next| next + self.random.below(64));
        next.min(contents.len() as u64 - 1)
    }

    /// One of the writes of a flush lands somewhere else in its file.
    pub(super) fn misdirect_copies(&mut self, open: &Open, count: u64) -> Verdict {
        if !self.idle(open)? {
            return Ok(());
        }
        for _ in 0..count {
            let copy = self.disk.crashed_copy(0, Crash::KeepAll);
            let spared = self.random.below(12);
            let story = format!("write {spared} of a flush went elsewhere");
            self.say(|| story.clone());
            let Ok((db, hosts)) = self.try_open(&copy) else {
                return failed(Check::Opening, "a copy of the quiet disk does not open");
            };
            copy.misdirect_write_at(spared);
            let flushed = self.drive(&hosts, db.flush_async())?;
            copy.heal();
            self.damage_only(&flushed, &story)?;
            self.read_damaged(&db, &hosts, &story)?;
            drop((db, hosts));
            copy.kill();
            self.right_or_refused(&copy, &story, true, true)?;
            self.totals.damages += 1;
        }
        Ok(())
    }

    /// Opens a damaged copy. It may refuse to open, or to give a value; it may not give a wrong one.
    fn right_or_refused(
        &mut self,
        copy: &SimulatedDisk,
        story: &str,
        may_refuse: bool,
        reopened: bool,
    ) -> Verdict {
        let (db, hosts) = match self.try_open(copy) {
            Ok(opened) => opened,
            Err(error) if may_refuse && is_damage(&error) => {
                self.say(|| format!("refused: {error}"));
                self.totals.refusals += 1;
                return Ok(());
            }
            Err(error) => return failed(Check::Damage, format!("{story}: opening says {error}")),
        };
        self.read_damaged(&db, &hosts, story)?;
        if !reopened && self.random.chance(50) {
            // A merge must not make damage look whole.
            let compacted = self.drive(&hosts, db.compact_async())?;
            self.damage_only(&compacted, story)?;
            self.read_damaged(&db, &hosts, story)?;
        }
        Ok(())
    }

    fn read_damaged(&mut self, db: &Database, hosts: &ByHand, story: &str) -> Verdict {
        let keys: Vec<u32> = (0..self.model.keys()).collect();
        let mut found: Findings = Vec::new();
        let from = simulation::now(db);
        for &key in &keys {
            match self.drive(hosts, db.get_async(content::key(key)))? {
                Ok(value) => found.push((key, value)),
                Err(error) if is_damage(&error) => self.totals.refusals += 1,
                Err(error) => return failed(Check::Damage, format!("{story}: a get says {error}")),
            }
        }
        let to = simulation::now(db);
        self.model.judge_at(When { from, to });
        self.right(&found, story)?;
        match self.drive(hosts, entries(db.scan(..), false))? {
            Ok(shown) => {
                let found = in_order(&keys, shown, false)?;
                let to = simulation::now(db);
                self.model.judge_at(When { from, to });
                self.right(&found, story)
            }
            Err(error) if is_damage(&error) => Ok(()),
            Err(error) => failed(Check::Damage, format!("{story}: a scan says {error}")),
        }
    }

    fn right(&self, found: &Findings, story: &str) -> Verdict {
        let verdict = self.model.survived(found, Loss::Nothing);
        verdict.or_else(|wrong| failed(Check::Damage, format!("{story}: {}", wrong.story)))
    }

    /// Work on damaged files may fail, and stop a shard's writes, for that reason alone.
    fn damage_only(&self, outcome: &ringkeep::Result<()>, story: &str) -> Verdict {
        match outcome {
            Err(error) if !is_damage(error) && !stopped(error) => {
                failed(Check::Damage, format!("{story}: {error}"))
            }
            _ => Ok(()),
        }
    }
}

fn is_damage(error: &Error) -> bool {
    use ringkeep::ShardError as Shard;
    let other_version = matches!(
        error,
        Error::Version { .. }
            | Error::Shard {
                error: Shard::Version { .. },
                ..
            }
    );
    error.is_corruption() || other_version
}

fn stopped(error: &Error) -> bool {
    use ringkeep::ShardError as Shard;
    matches!(
        error,
        Error::Shard {
            error: Shard::Failed { .. },
            ..
        }
    )
}

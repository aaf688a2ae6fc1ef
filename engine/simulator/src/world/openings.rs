//! Opening after any stop, and what must be there then.

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Database, Error};
use ringkeep_io::{Crash, SimulatedDisk, Times};

use super::clients::in_order;
use super::steps::{EIO, Findings, entries};
use super::{Causes, Open, PATH, STORE, World};
use crate::content;
use crate::failure::{Check, Failure, Verdict, failed};
use crate::model::{Loss, When};
use crate::plan::{Failing, Fault, Life};

/// A plan of a power cut that never comes.
pub(super) const NEVER: u64 = u64::MAX;

impl World<'_> {
    /// Opens the database, whatever the power does meanwhile, and compares what is there.
    pub(super) fn open(&mut self, life: &Life, mut loss: Loss) -> Verdict<Open> {
        let cuts = &life.cuts_while_opening;
        self.tail_bytes = life.tail_bytes;
        // What the last life went through decides what a cut may take now.
        if loss == Loss::Process
            && (!cuts.is_empty() || life.harms_tails)
            && let Loss::Power { since, slack, .. } = self.power_loss()
        {
            let time = self.ended_at;
            loss = Loss::Power { time, since, slack };
        }
        self.causes = Default::default();
        self.disk.heal();
        self.free();
        if life.harms_tails {
            self.harm_tails(&self.disk.clone());
        }
        for spared in &life.kills_while_opening {
            self.kill_while_opening(*spared)?;
        }
        for spared in cuts {
            let crashes = self.disk.crashes();
            self.disk.crash_at(*spared, Crash::Random);
            let opened = self.try_open(&self.disk);
            self.totals.cuts_while_opening += 1;
            self.totals.recoveries += 1;
            if self.disk.crashes() == crashes {
                if let Err(error) = opened {
                    return failed(Check::Opening, error.to_string());
                }
                // It was quicker than the cut.
                drop(opened);
                self.missed += 1;
                self.disk.crash();
            }
            self.look_at_outcomes(loss)?;
        }
        for failing in &life.fails_while_opening {
            self.fail_to_open(failing)?;
        }
        self.disk.crash_at(NEVER, Crash::Random);
        let (db, hosts) = match self.try_open(&self.disk) {
            Ok(opened) => opened,
            Err(error) => return failed(Check::Opening, error.to_string()),
        };
        // Before anything turns: a flush or a merge may begin at once.
        let files = self.disk.files();
        let found = self.find(&db, &hosts)?;
        self.model.finish_snapshots()?;
        self.model.survived(&found, loss)?;
        self.model.adopt(found, loss);
        let lists = self.find_lists(&db, &hosts)?;
        self.lists.survived(&lists)?;
        self.totals.judged += self.lists.committed() as u64;
        self.lists.adopt(lists);
        let spaces = self.find_spaces(&db, &hosts)?;
        self.spaces_survived(&spaces)?;
        for (space, found) in (0..).zip(spaces) {
            self.spaces.adopt(space, found);
        }
        self.totals.recoveries += 1;
        self.check_files(&db, &hosts, &files)?;
        self.say(|| "open, and everything is there".into());
        let began = db.snapshot().map(|snapshot| snapshot.version());
        let began = began.map_err(|error| Failure {
            check: Check::Errors,
            story: format!("a snapshot after opening: {error}"),
        })?;
        Ok(Open {
            db,
            hosts,
            crashes: self.disk.crashes(),
            began,
        })
    }

    /// An opening during which operations fail may say so; whatever it has done, the next one finds everything.
    fn fail_to_open(&mut self, failing: &Failing) -> Verdict {
        let Failing {
            doing,
            spared,
            times,
        } = *failing;
        self.disk
            .fail_at(doing.doing(), spared, EIO, Times::Count(times));
        self.totals.faults += 1;
        let opened = self.try_open(&self.disk);
        self.disk.heal();
        if let Err(error) = &opened {
            self.totals.errors += 1;
            self.say(|| format!("an opening fails: {error}"));
            let causes = Causes {
                reads: true,
                writes: true,
                ..Causes::default()
            };
            // What cannot be read looks as if it were damaged.
            let unreadable = doing == Fault::Read && error.is_corruption();
            if !causes.explain(error) && !unreadable {
                return failed(Check::Opening, format!("while {doing:?} fails: {error}"));
            }
        }
        drop(opened);
        self.kill();
        Ok(())
    }

    pub(super) fn try_open(&self, disk: &SimulatedDisk) -> Result<(Database, ByHand), Error> {
        simulation::open(
            disk,
            PATH,
            &self.plan.setting.options(self.tail_bytes),
            STORE,
        )
    }

    /// Everything in an open database: by a scan, and a few keys again by themselves.
    pub(super) fn find(&mut self, db: &Database, hosts: &ByHand) -> Verdict<Findings> {
        let reverse = self.random.chance(30);
        let error = |error: Error| Failure {
            check: Check::Errors,
            story: format!("a read after opening: {error}"),
        };
        let from = simulation::now(db);
        let shown = self
            .drive(hosts, entries(db.scan(..), reverse))?
            .map_err(error)?;
        let keys: Vec<u32> = (0..self.model.keys()).collect();
        let found = in_order(&keys, shown, reverse)?;
        let to = simulation::now(db);
        self.model.judge_at(When { from, to });
        let again: Vec<u32> = match self.random.chance(10) {
            true => keys,
            false => vec![*self.random.pick(&keys)],
        };
        let names = again.iter().map(|key| content::key(*key));
        let values = self
            .drive(hosts, db.multi_get_async(names))?
            .map_err(error)?;
        for (key, value) in again.into_iter().zip(values) {
            let shown = &found[key as usize].1;
            let until = shown.as_deref().and_then(content::until);
            let ended = value.is_none() && until.is_some_and(|until| until <= simulation::now(db));
            if *shown != value && !ended {
                let (scanned, got) = (
                    self.model.tell_found(key, shown.as_deref()),
                    self.model.tell_found(key, value.as_deref()),
                );
                return failed(
                    Check::Snapshot,
                    format!("of one quiet database, a scan says: {scanned}; and a get: {got}"),
                );
            }
        }
        Ok(found)
    }
}

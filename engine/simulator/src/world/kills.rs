//! A process that is killed, also while it opens and again and again, and what becomes of the log's tail meanwhile.

use ringkeep_io::{Crash, SimulatedDisk};

use super::openings::NEVER;
use super::{Open, World};
use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::model::Loss;

/// What tails held is kept of so many moments.
const TAILS_MAX: usize = 8;

impl World<'_> {
    /// The process is gone, and nobody opens before what the device was given has landed: the lock is held by the ring.
    /// What was planned to end it comes no more.
    pub(super) fn kill(&mut self) {
        self.disk.kill();
        self.disk.crash_at(NEVER, Crash::Random);
        land(&self.disk);
    }

    /// The same at the end of a life.
    pub(super) fn killed(&mut self, open: Open) -> Loss {
        self.ended_at = self.disk.now();
        self.kill();
        self.say(|| "the process is killed".into());
        self.totals.kills += 1;
        self.unstick();
        land(&self.disk);
        self.bury(open, false)
    }

    pub(super) fn kill_while_opening(&mut self, spared: u64) -> Verdict {
        let crashes = self.disk.crashes();
        self.disk.kill_at(spared);
        let opened = self.try_open(&self.disk);
        self.totals.kills_while_opening += 1;
        if self.disk.crashes() == crashes {
            self.missed += 1;
            if let Err(error) = opened {
                return failed(Check::Opening, error.to_string());
            }
        }
        drop(opened);
        self.kill();
        Ok(())
    }

    /// Kills the process now, and whoever opens behind it: what was answered is there.
    pub(super) fn kill_copies(&mut self, open: &Open, count: u64) -> Verdict {
        for _ in 0..count {
            if open.is_cut(&self.disk) {
                return Ok(());
            }
            let copy = self.disk.killed_copy(self.random.bits());
            copy.set_capacity_bytes(1 << 40);
            self.totals.kills += 1;
            let mut loss = Loss::Process;
            if self.random.chance(25) {
                self.harm_tails(&copy);
                loss = self.power_loss();
            }
            while self.random.chance(30) {
                copy.kill_at(self.random.below(150));
                drop(self.try_open(&copy));
                copy.kill();
                land(&copy);
                self.totals.kills_while_opening += 1;
            }
            copy.crash_at(NEVER, Crash::Random);
            if self.random.chance(15) {
                copy.crash();
                loss = self.power_loss();
            }
            let found = self.survives_on(&copy, loss)?;
            match self.random.below(3) {
                0 => continue,
                1 => copy.crash(),
                _ => copy.kill(),
            }
            land(&copy);
            let again = self.survives_on(&copy, loss)?;
            let ends = |value: &Option<Vec<u8>>| value.as_deref().and_then(content::until);
            let mut both = found.iter().zip(&again);
            let gone = both.find(|(one, other)| one != other && ends(&one.1).is_none());
            if let Some(((key, value), (_, other))) = gone {
                let (first, then) = (
                    self.model.tell_found(*key, value.as_deref()),
                    self.model.tell_found(*key, other.as_deref()),
                );
                let story = format!("an opening found: {first}; and the one after it: {then}");
                return failed(Check::Durability, story);
            }
        }
        Ok(())
    }

    /// Does to the logs' tails what a power cut might, or a person, and more.
    pub(super) fn harm_tails(&mut self, copy: &SimulatedDisk) {
        let files = copy.files().into_iter();
        for (path, bytes) in files.filter(|(path, bytes)| path.ends_with("/tail") && *bytes > 0) {
            let held = copy.read_raw(&path).unwrap_or_default();
            let at = self.random.below(bytes);
            match self.random.below(6) {
                0 => copy.flip_bit(&path, at, self.random.below(8) as u8),
                1 => {
                    let some = self.random.between(1, 600).min(bytes - at) as usize;
                    copy.overwrite(&path, at, &vec![*self.random.pick(&[0, 0xff]); some]);
                }
                2 => copy.truncate(&path, at),
                3 => copy.truncate(&path, bytes + at),
                4 => copy.remove(&path),
                // What it was once, or another's, from its beginning on or from somewhere.
                _ if !self.tails.is_empty() => {
                    let other = self.random.pick(&self.tails);
                    let from = *self.random.pick(&[0, at]);
                    let other = &other[(from as usize).min(other.len())..];
                    let some = other.len().min((bytes - from) as usize);
                    copy.overwrite(&path, from, &other[..some]);
                }
                _ => {}
            }
            if self.tails.len() == TAILS_MAX {
                self.tails
                    .remove(self.random.below(TAILS_MAX as u64) as usize);
            }
            self.tails.push(held);
            self.totals.tails_harmed += 1;
        }
    }
}

fn land(disk: &SimulatedDisk) {
    while let Some(landing) = disk.next_event() {
        disk.advance_to(landing);
    }
}

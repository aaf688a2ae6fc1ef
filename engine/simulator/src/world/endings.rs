//! How a life stops.

use super::{Open, World};
use crate::failure::{Check, Verdict, failed};
use crate::model::Loss;
use crate::plan::{End, Leaves};

impl World<'_> {
    /// Ends a life, and says what that may have taken.
    pub(super) fn end(&mut self, end: &End, open: Open, kill_at: u64) -> Verdict<Loss> {
        self.ended_at = self.disk.now();
        match end {
            End::Cut { leaves, .. } => {
                // Also what nobody waits for goes on until the power goes, but not for long.
                let limit = self.now + 40;
                self.turn_until(&open, |world| world.now >= limit)?;
                if !open.is_cut(&self.disk) {
                    self.missed += 1;
                    self.disk.crash_with(leaves.crash());
                    self.poll_clients(&open)?;
                }
                self.say(|| "the power is gone".into());
                self.totals.cuts += 1;
                self.look_at_outcomes(self.power_loss())?;
                Ok(self.bury(open, true))
            }
            End::Kill { .. } => {
                self.turn_until(&open, |world| {
                    world.disk.operations() >= kill_at || world.clients.all_free()
                })?;
                Ok(self.killed(open))
            }
            End::KillWithin { .. } => {
                let limit = self.now + 40;
                self.turn_until(&open, |world| world.now >= limit)?;
                self.missed += u64::from(!open.is_cut(&self.disk));
                Ok(self.killed(open))
            }
            End::Close { cut, within } => {
                self.say(|| "close".into());
                self.totals.closings += 1;
                self.wait_unless_full(&open)?;
                self.causes.gives_up = self.is_full;
                self.cut_within(*within);
                let closed = self.drive_until_cut(&open, open.db.close_async())?;
                let Some(closed) = closed.filter(|_| !open.is_cut(&self.disk)) else {
                    self.clients.clear();
                    drop(open);
                    return self.cut_while_ending();
                };
                // Who thinks for a while hears then that it is closed.
                for _ in 0..1000 {
                    self.poll_clients(&open)?;
                }
                if !open.hosts.is_finished() || !self.clients.all_free() {
                    return failed(
                        Check::Progress,
                        format!(
                            "a closed database has something left to do: {}",
                            self.waiting()
                        ),
                    );
                }
                self.is_over(*within);
                self.clients.clear();
                let whole = !self.causes.log;
                if let Err(error) = closed {
                    self.say(|| format!("the close fails: {error}"));
                    self.explain(&error)?;
                    if !whole || !*cut {
                        return Ok(self.give_up(open));
                    }
                }
                drop(open);
                Ok(self.cut_after(*cut, true))
            }
            End::Drop { cut, within } => {
                self.say(|| "the last handle is dropped".into());
                self.totals.drops += 1;
                self.wait_unless_full(&open)?;
                self.clients.clear();
                self.cut_within(*within);
                let crashes = self.disk.crashes();
                let Open { db, hosts, .. } = open;
                drop(db);
                let mut turns = 0;
                while !hosts.is_finished() && self.disk.crashes() == crashes {
                    self.turn(&hosts)?;
                    turns += 1;
                    if turns > 100_000 {
                        return failed(Check::Progress, "a dropped database does not end");
                    }
                }
                if self.disk.crashes() > crashes {
                    drop(hosts);
                    return self.cut_while_ending();
                }
                self.is_over(*within);
                let whole = !self.causes.log;
                drop(hosts);
                Ok(self.cut_after(*cut, whole))
            }
        }
    }

    /// Until no call is under way, or what is under way waits for room on the disk.
    fn wait_unless_full(&mut self, open: &Open) -> Verdict<bool> {
        match self.is_full {
            false => self.wait(open),
            true => {
                self.unstick();
                self.turn_until(open, |world| world.clients.all_free())
            }
        }
    }

    /// The power is to go within an operation of the end.
    fn cut_within(&mut self, within: Option<u64>) {
        if let Some(spared) = within {
            self.disk.crash_at(spared, Leaves::Random.crash());
        }
    }

    /// The end was quicker than that.
    fn is_over(&mut self, within: Option<u64>) {
        self.missed += u64::from(within.is_some());
        self.disk.crash_at(u64::MAX, Leaves::Random.crash());
    }

    fn cut_while_ending(&mut self) -> Verdict<Loss> {
        self.say(|| "the power is gone before the end".into());
        self.totals.cuts += 1;
        self.look_at_outcomes(self.power_loss())?;
        Ok(self.power_loss())
    }

    /// After an end that could not make everything durable, a restart follows, not a power cut.
    fn give_up(&mut self, open: Open) -> Loss {
        self.kill();
        self.bury(open, false)
    }

    fn cut_after(&mut self, cut: bool, whole: bool) -> Loss {
        if !whole {
            return Loss::Process;
        }
        if cut {
            self.say(|| "then the power goes".into());
            self.disk.crash_with(Leaves::Random.crash());
        }
        Loss::Nothing
    }

    pub(super) fn bury(&mut self, open: Open, power: bool) -> Loss {
        self.clients.clear();
        drop(open);
        match power {
            false => Loss::Process,
            true => self.power_loss(),
        }
    }

    /// What a power cut at this moment may take.
    pub(super) fn power_loss(&self) -> Loss {
        // The sync that is under way when one falls due must end first, then its own.
        // After a failed sync there is none.
        let slack = match self.causes.stuck || self.causes.log {
            true => u64::MAX / 4,
            false => 4 * self.plan.setting.slowest(),
        };
        let time = self.disk.now();
        let since = self.causes.unstuck_at.max(self.causes.held_until);
        Loss::Power { time, since, slack }
    }
}

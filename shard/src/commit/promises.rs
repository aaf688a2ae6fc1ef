//! Promises that a later sync keeps, and the end of a log that goes idle.

use crate::core::Core;
use crate::log::FrameIntent;
use crate::token::Token;

impl<T: Token> Core<T> {
    /// With nothing to write: keeps a periodic promise, or closes an idle log.
    pub(super) fn sync_or_close(&self) {
        if self.closed.get() {
            return;
        }
        {
            let (mut log, commits) = (self.log.borrow_mut(), self.commits.borrow());
            let waiting = commits.groups.front().is_some_and(|group| {
                group.durable
                    && log.completed() >= group.last_sequence
                    && log.durable() < group.last_sequence
            });
            if waiting && !log.is_syncing() {
                return log.start_sync(&self.io);
            }
        }
        if self.sync_if_due() {
            return;
        }
        let (mut log, mut commits) = (self.log.borrow_mut(), self.commits.borrow_mut());
        let nothing_waits =
            commits.pending.is_empty() && commits.groups.is_empty() && commits.outcomes.is_empty();
        // What waits for room in the log may do so for long, and nothing is written meanwhile.
        let rests = nothing_waits || self.lacks_room.get();
        let idle = rests && commits.owed.is_empty() && log.is_quiet();
        let may_close = || nothing_waits && log.wants_closing() && log.has_room(0);
        if !idle || !(log.needs_sync() || may_close()) {
            commits.close_at = None;
            return;
        }
        let now = self.io.now();
        match commits.close_at {
            None => commits.close_at = Some(now + self.options.idle_close_after),
            Some(at) if now < at => {}
            Some(_) if log.needs_sync() => {
                commits.sync_at = None;
                log.start_sync(&self.io);
            }
            Some(_) => {
                commits.close_at = None;
                drop((log, commits));
                let intent = FrameIntent {
                    version: self.visible.get(),
                    millis: 0,
                    continues: false,
                    closing: true,
                    durable: true,
                };
                self.write_frame(&[], intent);
                self.log.borrow_mut().counters.closing_frames += 1;
            }
        }
    }

    /// Writes are stopped, and what is still in flight has no one left to hear of it. But what was answered
    /// is put in the log, and with a periodic promise synced in time, unless it is the log itself that failed.
    pub(super) fn keep_last_promise(&self) {
        let reaped = self.log.borrow_mut().reap();
        if reaped.is_err() {
            self.give_up_syncing();
        }
        self.pay_if_due(true);
        self.sync_if_due();
        if !matches!(reaped, Ok(false)) {
            // Who stops the shard waits for this.
            self.published.raise();
        }
    }

    /// All that was answered is durable, or never will be since the log has failed.
    pub fn has_kept_promises(&self) -> bool {
        let (log, commits) = (self.log.borrow(), self.commits.borrow());
        let is_durable = commits.owed.is_empty() && log.is_quiet() && !log.needs_sync();
        is_durable || log.has_failed()
    }

    /// The log cannot be trusted with another sync: the kernel may have dropped what the failed one was for.
    /// Nor with what it is owed: the tail has that for the next opening.
    pub fn give_up_syncing(&self) {
        let mut commits = self.commits.borrow_mut();
        (commits.sync_at, commits.sync_behind) = (None, None);
        commits.owed.settle();
    }

    /// Keeps a periodic promise that is due, once all is written that was answered by then; when the shard stops, they all
    /// are, and those that have no time. True when it did.
    fn sync_if_due(&self) -> bool {
        let (mut log, mut commits) = (self.log.borrow_mut(), self.commits.borrow_mut());
        if log.is_syncing() || log.has_failed() {
            return false;
        }
        // One promise after the other: what was answered later may be in a later frame.
        if commits.sync_behind.is_none() {
            let is_left = || !commits.owed.is_empty() || (log.is_quiet() && log.needs_sync());
            let is_promised = || commits.sync_at.is_some_and(|due| self.io.now() >= due);
            if is_promised() || (self.stopping.get() && is_left()) {
                commits.sync_at = None;
                commits.sync_behind = Some(commits.owed.carried_by());
                commits.owed.hurry(self.io.now());
            }
        }
        let is_written = |sequence: &mut u64| log.completed() >= *sequence;
        let begins = commits.sync_behind.take_if(is_written).is_some();
        if begins {
            log.start_sync(&self.io);
        }
        begins
    }
}

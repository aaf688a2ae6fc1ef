//! How a shard ends. Closed: everything is in tables, and the end of its log on record. Stopped: what was answered is durable, and
//! the next opening reads the log back. A close that cannot be ends as a stop, and says why.
//!
//! Neither waits for room on the disk for longer than it takes to find that there is none, nor for work that has failed.

use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};

use crate::call::Reply;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::full_disk::{Found, Starved};
use crate::manifest::PieceEnd;
use crate::open::drop_dead_pieces;
use crate::token::Token;

impl<T: Token> Core<T> {
    /// Finishes what was accepted, writes the memtables out, ends the log, and stops.
    pub fn accept_close(self: &Rc<Self>, token: T) {
        self.closing.set(true);
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            let reply = match core.close().await {
                Ok(()) => Reply::Done,
                Err(error) => {
                    core.stop().await;
                    Reply::Failed(error)
                }
            };
            core.closed.set(true);
            core.reply(token, reply);
        });
    }

    /// Makes what was answered durable, and no more.
    pub fn accept_stop(self: &Rc<Self>, token: T) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            core.stop().await;
            core.reply(token, Reply::Done);
        });
    }

    /// No more calls come, and each of those that were taken has to end. All do but one: a group of which a part is in the
    /// log waits for room for the rest.
    pub fn drain(self: &Rc<Self>) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            let found = core.full_disk.found();
            let is_over = || core.is_failed() || core.closed.get();
            core.published
                .wait_until(|| {
                    let is_half_written = core.commits.borrow().is_half_written();
                    is_over() || (is_half_written && core.is_stuck_since(found))
                })
                .await;
            if !is_over() {
                core.give_up_half_a_group();
            }
        });
    }

    async fn stop(&self) {
        if planted(Defect::PromisesForgotten) && (self.is_failed() || self.is_full()) {
            return;
        }
        self.stopping.set(true);
        self.published
            .wait_until(|| self.closed.get() || self.has_kept_promises())
            .await;
    }

    async fn close(&self) -> Result<()> {
        if let Err(full) = self.finish().await {
            if self.give_up_half_a_group() {
                return Err(full);
            }
            // What is in tables is needed in the log no longer, which may make room for the rest.
            self.flush().await?;
            self.finish().await?;
        }
        self.flush().await?;
        // The log ends here, on record: the next open has nothing to look for.
        self.log.borrow_mut().start_sync(&self.io);
        self.published
            .wait_until(|| self.log.borrow().is_quiet() || self.is_failed())
            .await;
        // What failed is not there: recorded as the end, it would make of a good log a damaged one.
        if let Some(reason) = self.failure.borrow().clone() {
            return Err(Error::Failed { reason });
        }
        let end = {
            let log = self.log.borrow();
            PieceEnd {
                sequence: log.last_sequence(),
                crc: log.last_crc(),
            }
        };
        let next_table = self.next_table.get();
        self.add_latest();
        let moments = self.pins.timeline().moments();
        // On a full disk the caller hears of it: nothing will be written after this.
        let ended = self.manifest.commit(move |manifest| {
            manifest.next_table = manifest.next_table.max(next_table);
            manifest.moments = moments;
            if let Some(last) = manifest.pieces.last_mut() {
                last.end = Some(end);
            }
            drop_dead_pieces(manifest);
        });
        ended.await
    }

    /// Waits until all that was accepted is done, or until writes have stopped for good. Not for room in the log that the
    /// disk does not have.
    async fn finish(&self) -> Result<()> {
        let found = self.full_disk.found();
        let is_done = || {
            let log = self.log.borrow();
            let quiet = self.commits.borrow().is_quiet()
                && self.transactions.borrow().is_idle()
                && log.completed() == log.last_sequence();
            self.is_failed() || quiet
        };
        self.published
            .wait_until(|| is_done() || self.is_stuck_since(found))
            .await;
        match is_done() {
            true => Ok(()),
            false => Err(self.full_error()),
        }
    }

    /// What is next has no room in the log, and the disk none for more log.
    fn is_stuck_since(&self, before: Found) -> bool {
        let whom = [Starved::Log, Starved::Manifest];
        let is_found = self.full_disk.is_found_since(before, &whom);
        self.lacks_room.get() && is_found && !planted(Defect::RoomAwaited)
    }
}

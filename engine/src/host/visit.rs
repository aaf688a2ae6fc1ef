//! A caller drives the host for one call of its own, while the host's thread sleeps: no mail, no closures, no other
//! shard, nothing that the kernel must be told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ringkeep_io::Errand;
use ringkeep_shard::ShardId;

use super::threads::reason;
use super::{Host, Post, Stopping};
use crate::desk;
use crate::limits::{CALLS_MAX, MAIL_PER_LANE};
use crate::shards::is_short;

/// Short turns of the shard in one visit, so that a long page goes on on the host's thread.
const TURNS_PER_VISIT: usize = 8;

/// What a visitor does next.
pub(super) struct After {
    /// To be carried out, and then the host is to be visited again.
    pub errand: Option<Errand>,
    /// The host's own thread has something to do.
    pub wake: bool,
}

impl Host {
    /// It would not do anything else now.
    pub(super) fn is_at_leisure(&self) -> bool {
        self.calls < CALLS_MAX
            && !self.mail.is_waiting()
            && !self.draining
            && self.stopping == Stopping::No
            && !self.mail.is_stopped()
            && self.outbox.is_empty()
            && self.broken.is_none()
    }

    /// Takes a visitor's call, or goes on with what its errand has brought. `may_block`: it may be sent on another.
    pub(super) fn visit(&mut self, shard: ShardId, call: Option<Post>, may_block: bool) -> After {
        const BROKEN: After = After {
            errand: None,
            wake: true,
        };
        if self.broken.is_some() {
            return BROKEN;
        }
        self.visits += u64::from(call.is_some());
        let _driving = desk::while_it_drives();
        // What is half done when it panics is for the host's thread to bury.
        let visit = AssertUnwindSafe(|| self.drive(shard, call, may_block));
        catch_unwind(visit).unwrap_or_else(|panic| {
            self.broken = Some(reason(&*panic));
            BROKEN
        })
    }

    /// A turn of a host that is driven by hand. Had it a thread, that would sleep before some of them: then short calls come
    /// as visits, and the turn is what they wake the thread for.
    pub(crate) fn turn_by_hand(&mut self) -> bool {
        if self.rests && self.turns % 2 == 1 && self.calls < CALLS_MAX {
            self.be_visited();
        }
        self.turn()
    }

    fn be_visited(&mut self) {
        let mut calls = std::mem::take(&mut self.taken);
        let mut urgent = std::mem::take(&mut self.taken_urgent);
        let (call, first) = (|post| calls.push(post), |post| urgent.push(post));
        self.mail.take(MAIL_PER_LANE, call, first);
        let sleeps = urgent.is_empty();
        urgent.drain(..).for_each(|post| self.receive(post));
        for post in calls.drain(..) {
            match post {
                Post::Ask {
                    shard, ref call, ..
                } if sleeps && is_short(call) && self.is_at_leisure() => {
                    self.visit(shard, Some(post), false);
                }
                _ => self.receive(post),
            }
        }
        self.taken = calls;
        self.taken_urgent = urgent;
    }

    fn drive(&mut self, shard: ShardId, call: Option<Post>, may_block: bool) -> After {
        self.io.begin_visit();
        let (others, is_new) = (self.calls, call.is_some());
        if let Some(post) = call {
            self.receive(post);
        }
        self.io.settle_visit();
        let place = self.place(shard);
        let mut goes_on = true;
        for _ in 0..TURNS_PER_VISIT {
            let more = self.residents[place].shard.short_turn();
            goes_on = self.io.settle_visit() || more;
            if !goes_on {
                break;
            }
        }
        let more = self.carry();
        // Whoever has its answer does not wait for the device.
        let waits = !is_new || self.calls > others;
        let visited = self.io.end_visit(may_block && waits);
        let is_due = self
            .next_deadline()
            .is_some_and(|due| self.sleeps_until.is_none_or(|until| due < until));
        let mut residents = self.residents.iter();
        After {
            errand: visited.errand,
            // Mail may have waited for calls to end.
            wake: more
                || goes_on
                || self.has_mail()
                || visited.left
                || is_due
                || !self.outbox.is_empty()
                || residents.any(|resident| resident.shard.is_ready()),
        }
    }
}

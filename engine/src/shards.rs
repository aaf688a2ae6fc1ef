//! The callers' side: knows which shard owns a key and which inbox leads there, asks, and waits.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use crossbeam_utils::{Backoff, CachePadded};
use ringkeep_shard::{Call, Reply, Rows, ShardId};

use crate::host::{Answer, Caller, Helm, Obituaries, Outcome, Post, Start, Visitor, host_of};
use crate::latency::{Clock, Issued};
use crate::limits::{OBITUARY_WAIT, SPIN, VISIT_KEYS_MAX, VISIT_PAGE_BYTES_MAX};
use crate::mailbox::{Inbox, Lost, Refused, Waiting};
use crate::routing::Routing;
use crate::{Error, Result, desk, error};

/// See the module.
pub(crate) struct Shards {
    pub(crate) routing: Routing,
    inboxes: Arc<[Arc<Inbox<Post>>]>,
    /// Of each host; none where nobody but their threads may drive them.
    helms: Box<[Arc<Helm>]>,
    /// Of each shard.
    rows: Box<[Arc<Rows>]>,
    clock: Clock,
    obituaries: Obituaries,
    /// Set once; callers read it.
    closed: AtomicBool,
    /// Callers that poll for their answer now, and how many may: those that find a core free of hosts.
    spinning: CachePadded<AtomicUsize>,
    spinning_max: usize,
}

/// An outcome, or none.
pub(crate) type Answered = std::result::Result<Outcome, Lost>;

/// Nothing to send any more, or what is still to be sent.
type Visit = std::result::Result<(), Post>;

/// A question, sent when it is first polled. Dropping it before that asks nothing; dropping it later
/// leaves the call to run its course unheard.
pub(crate) struct Question {
    /// Whose answer it is, for the message when there is none.
    shard: ShardId,
    host: usize,
    unsent: Option<Post>,
    waiting: Waiting<Outcome>,
}

impl Shards {
    pub(crate) fn new(
        routing: Routing,
        inboxes: Arc<[Arc<Inbox<Post>>]>,
        helms: Box<[Arc<Helm>]>,
        rows: Box<[Arc<Rows>]>,
        clock: Clock,
        obituaries: Obituaries,
        spinning_max: usize,
    ) -> Shards {
        Shards {
            routing,
            inboxes,
            helms,
            rows,
            clock,
            obituaries,
            closed: AtomicBool::new(false),
            spinning: CachePadded::new(AtomicUsize::new(0)),
            spinning_max,
        }
    }

    /// The newest value of a key, if its row is one that may be read without asking; appended to `value`.
    #[inline]
    pub(crate) fn read_row(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        self.check_open()?;
        let (shard, hash) = self.routing.place(key);
        Ok(self.rows[usize::from(shard.0)].read(hash, key, value))
    }

    /// The newest values of several keys at one instant, if the rows of all of them may be read without asking.
    pub(crate) fn read_rows<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Option<Vec<Vec<u8>>> {
        Rows::read_all(keys.map(|key| {
            let (shard, hash) = self.routing.place(key);
            (&*self.rows[usize::from(shard.0)], hash, key)
        }))
    }

    /// Asks and sleeps until the answer is there.
    pub(crate) fn ask(&self, shard: ShardId, call: Call) -> Result<Reply> {
        self.check_open()?;
        let (mut waiting, answer) = desk::slot().ask();
        let host = host_of(shard, self.inboxes.len());
        let may_be_quick = self.spinning_max > 0 && matches!(call, Call::Get { .. });
        let is_short = is_short(&call);
        let issued = Issued::now(&call, &self.clock);
        let post = Post::Ask {
            shard,
            call,
            issued,
            answer,
        };
        let _caller = Caller::of(self.helms.get(host..=host).unwrap_or_default());
        let unserved = match is_short {
            true => self.visit(host, shard, post, Visitor::Sleeps),
            false => Err(post),
        };
        if let Err(post) = unserved {
            self.send(host, post);
            if may_be_quick {
                self.spin(&waiting);
            }
        }
        let outcome = desk::block_on_poll(|context| waiting.poll(context));
        if let Some(slot) = waiting.into_idle() {
            desk::keep(slot);
        }
        self.reply(shard, outcome)
    }

    /// Counts this thread as one that waits for all hosts.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller::of(&self.helms)
    }

    /// Serves a call on this thread if its host sleeps or is about to.
    fn visit(&self, host: usize, shard: ShardId, post: Post, visitor: Visitor) -> Visit {
        match self.helms.get(host) {
            Some(helm) if !desk::is_hosts() => {
                helm.visit(&self.inboxes[host], shard, post, visitor)
            }
            _ => Err(post),
        }
    }

    fn send(&self, host: usize, mut post: Post) {
        let backoff = Backoff::new();
        // What comes back from a host that is gone is dropped, answer and all: the waiting for it ends at once.
        while let Err(Refused::Full(refused)) = self.inboxes[host].send(desk::lane(), post) {
            post = refused;
            backoff.snooze();
        }
    }

    /// The same as a future.
    pub(crate) async fn ask_async(&self, shard: ShardId, call: Call) -> Result<Reply> {
        if desk::is_in_steps() {
            return self.ask(shard, call);
        }
        self.check_open()?;
        let mut question = self.question(shard, call);
        let outcome = poll_fn(|context| question.poll(self, context)).await;
        if let Some(slot) = question.waiting.into_idle() {
            desk::keep(slot);
        }
        self.reply(shard, outcome)
    }

    /// Asks several at once; the answers in the order of the questions.
    pub(crate) async fn ask_all(&self, mut questions: Vec<Question>) -> Vec<Answered> {
        let mut outcomes: Vec<_> = questions.iter().map(|_| None).collect();
        poll_fn(|context| {
            let mut pending = false;
            for (question, outcome) in questions.iter_mut().zip(&mut outcomes) {
                if outcome.is_none() {
                    match question.poll(self, context) {
                        Poll::Ready(ready) => *outcome = Some(ready),
                        Poll::Pending => pending = true,
                    }
                }
            }
            if pending {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        outcomes.into_iter().flatten().collect()
    }

    /// A question for a shard.
    pub(crate) fn question(&self, shard: ShardId, call: Call) -> Question {
        let host = host_of(shard, self.inboxes.len());
        let issued = Issued::now(&call, &self.clock);
        Question::new(shard, host, |answer| Post::Ask {
            shard,
            call,
            issued,
            answer,
        })
    }

    /// A closure for the host of a shard.
    pub(crate) fn question_to_run(&self, shard: ShardId, start: Start) -> Question {
        let host = host_of(shard, self.inboxes.len());
        Question::new(shard, host, |answer| Post::Run { start, answer })
    }

    /// The same question for every host.
    pub(crate) fn question_hosts(&self, post: impl Fn(Answer) -> Post) -> Vec<Question> {
        let hosts = 0..self.inboxes.len();
        hosts
            .map(|host| Question::new(ShardId(host as u16), host, &post))
            .collect()
    }

    /// A shard's reply, or why there is none.
    pub(crate) fn reply(&self, shard: ShardId, outcome: Answered) -> Result<Reply> {
        let outcome = match outcome {
            Ok(Outcome::ReplyAndSlip(both)) => {
                let (reply, slip) = *both;
                slip.hand_in(shard, self.clock.now());
                Ok(Outcome::Reply(reply))
            }
            outcome => outcome,
        };
        match outcome {
            Ok(Outcome::Reply(Reply::Failed(error))) => Err(error::of_shard(shard, error)),
            Ok(Outcome::Reply(reply)) => Ok(reply),
            Ok(Outcome::HostGone { shard, reason }) => Err(Error::HostStopped { shard, reason }),
            Ok(
                Outcome::ReplyAndSlip(_)
                | Outcome::Ran(_)
                | Outcome::Panicked(_)
                | Outcome::Drained
                | Outcome::Report(_),
            ) => {
                unreachable!("a host's answer to a shard's question")
            }
            Err(Lost) => Err(self.lost(shard)),
        }
    }

    /// Why nobody answers for this shard.
    pub(crate) fn lost(&self, shard: ShardId) -> Error {
        let host = host_of(shard, self.inboxes.len());
        // A panic drops the calls in hand a moment before its reason is known.
        let until = Instant::now() + OBITUARY_WAIT;
        loop {
            if let Some(reason) = self.obituaries.of(host) {
                return Error::HostStopped { shard, reason };
            }
            if self.check_open().is_err() {
                return Error::Closed;
            }
            if Instant::now() >= until {
                let reason = "for a reason that is not known".to_owned();
                return Error::HostStopped { shard, reason };
            }
            std::thread::yield_now();
        }
    }

    /// A host has ended that should not have.
    pub(crate) fn any_lost(&self) -> Option<Error> {
        let (host, reason) = self.obituaries.first()?;
        let shard = ShardId(host as u16);
        Some(Error::HostStopped { shard, reason })
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        // Relaxed: a call that runs beside the close may be let in; its host refuses it.
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Lets no further call in.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Asks all hosts to stop without a flush.
    pub(crate) fn stop(&self) {
        for inbox in self.inboxes.iter() {
            inbox.stop();
        }
    }

    /// Ends a host by a panic; for tests.
    pub(crate) fn panic_host(&self, shard: ShardId) {
        let host = host_of(shard, self.inboxes.len());
        drop(self.inboxes[host].send(desk::lane(), Post::Panic));
    }

    /// Ends a host by a panic on this thread, while it drives it; for tests.
    pub(crate) fn panic_visitor(&self, shard: ShardId) {
        let host = host_of(shard, self.inboxes.len());
        while self
            .visit(host, shard, Post::Panic, Visitor::Sleeps)
            .is_err()
        {
            std::thread::yield_now();
        }
    }

    /// Polls for a moment, if a core is free for it and the answer may come without the device.
    fn spin(&self, waiting: &Waiting<Outcome>) {
        if self.spinning.fetch_add(1, Ordering::Relaxed) < self.spinning_max {
            desk::wait_a_moment(SPIN, || waiting.is_ready());
        }
        self.spinning.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Question {
    fn new(shard: ShardId, host: usize, post: impl FnOnce(Answer) -> Post) -> Question {
        let (waiting, answer) = desk::slot().ask();
        Question {
            shard,
            host,
            unsent: Some(post(answer)),
            waiting,
        }
    }

    /// Whom it is for.
    pub(crate) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Sends it if it is not sent yet and there is room.
    pub(crate) fn send(&mut self, shards: &Shards) {
        let Some(mut post) = self.unsent.take() else {
            return;
        };
        if let Post::Ask { call, shard, .. } = &post
            && is_short_read(call)
        {
            match shards.visit(self.host, *shard, post, Caller::visitor()) {
                Ok(()) => return,
                Err(unserved) => post = unserved,
            }
        }
        if let Err(Refused::Full(post)) = shards.inboxes[self.host].send(desk::lane(), post) {
            self.unsent = Some(post);
        }
    }

    /// Sends it if need be; then the answer, when it is there.
    pub(crate) fn poll(&mut self, shards: &Shards, context: &mut Context<'_>) -> Poll<Answered> {
        self.send(shards);
        if self.unsent.is_some() {
            // Nothing tells when a lane has room again; the executor gets its turn in between.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waiting.poll(context)
    }
}

/// What one shard reads for one caller, and not much: what takes longer goes on beside the caller.
fn is_short_read(call: &Call) -> bool {
    match call {
        Call::Get { .. } => true,
        Call::MultiGet { keys, .. } => keys.len() <= VISIT_KEYS_MAX,
        Call::Scan(scan) => scan.page_bytes <= VISIT_PAGE_BYTES_MAX,
        _ => false,
    }
}

/// What one shard does for one caller and is done with soon.
pub(crate) fn is_short(call: &Call) -> bool {
    match call {
        Call::Write { .. } => true,
        Call::Transact(transact) => transact.parts.len() == 1,
        call => is_short_read(call),
    }
}

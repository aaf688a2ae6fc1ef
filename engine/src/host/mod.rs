//! One thread's worth of database: its door to the kernel, its shards, its inbox. A host is driven by
//! `turn` and `park` and by nothing else: by its own pinned thread in production, by hand on one
//! thread in the simulator. It never blocks but in `park`, and never waits for another host.

mod commits;
mod post;
mod threads;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use ringkeep_io::{Directory, Io, Nanos};
use ringkeep_shard::{
    Call, CommitClock, Identity, InDoubt, Letter, Pins, Reply, Shard, ShardId, ShardOptions,
    TransactionId, Version,
};

use crate::limits::{CALLS_MAX, LANE_ITEMS, LANES_PER_CORE, MAIL_PER_LANE};
use crate::mailbox::{self, Inbox, LANES_MAX, Mail, Refused};
use crate::{Error, Result, error, options};
use commits::{Asker, Commits};
pub use post::HostReport;
pub(crate) use post::{Answer, Outcome, Post};
pub(crate) use threads::{Driver, HostThread, Obituaries, Setup};

/// See the module.
pub(crate) struct Host {
    index: usize,
    hosts: usize,
    io: Io,
    mail: Mail<Post>,
    peers: Arc<[Arc<Inbox<Post>>]>,
    residents: Vec<Resident>,
    /// Letters whose lane was full. Bounded by the commits under way.
    outbox: VecDeque<(ShardId, Letter)>,
    commits: Commits,
    /// Calls taken and not answered.
    calls: usize,
    /// Set by `Drain`: takes no more calls.
    draining: bool,
    drained: Vec<Answer>,
    stopping: Stopping,
    busy: bool,
    /// Mail on its way from the inbox to the shards; empty between turns.
    taken: Vec<Post>,
    turns: u64,
    calls_taken: u64,
    parks: u64,
}

struct Resident {
    id: ShardId,
    shard: Shard<Asker>,
}

/// The way down after the last handle was dropped without a close.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    No,
    /// Waiting for so many shards to make the last acknowledged writes durable.
    Syncing(usize),
    Stopped,
}

/// Which host serves a shard. Dealt out in turn, so that any number of hosts serves any number of shards.
pub(crate) fn host_of(shard: ShardId, hosts: usize) -> usize {
    usize::from(shard.0) % hosts
}

/// The folder of a shard.
pub(crate) fn folder(shard: ShardId) -> String {
    format!("shard-{shard}")
}

impl Host {
    /// A host without shards.
    pub(crate) fn new(io: Io, index: usize) -> Host {
        let lanes = (options::cores() * LANES_PER_CORE).min(LANES_MAX);
        let doorbell = io.doorbell();
        let mail = mailbox::inbox(lanes, LANE_ITEMS, Box::new(move || doorbell.ring()));
        Host {
            index,
            hosts: 1,
            io,
            mail,
            peers: Arc::new([]),
            residents: Vec::new(),
            outbox: VecDeque::new(),
            commits: Commits::default(),
            calls: 0,
            draining: false,
            drained: Vec::new(),
            stopping: Stopping::No,
            busy: false,
            taken: Vec::new(),
            turns: 0,
            calls_taken: 0,
            parks: 0,
        }
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    pub(crate) fn inbox(&self) -> Arc<Inbox<Post>> {
        Arc::clone(self.mail.inbox())
    }

    /// Makes this host's shards, empty. Whatever an earlier attempt left in their folders goes.
    pub(crate) fn create_shards(&mut self, site: &Site) -> Result<()> {
        self.hosts = site.hosts;
        let root = site.root(&self.io)?;
        for id in self.own_shards(site.shards) {
            let name = folder(id);
            let at = |error| Error::Io {
                path: site.path.join(&name),
                error,
            };
            match root.create_directory(&name) {
                Err(error) if !error.is_present() => return Err(at(error)),
                _ => {}
            }
            let directory = root.directory(&name).map_err(at)?;
            for file in directory.list().map_err(at)? {
                directory.remove(&file).map_err(at)?;
            }
            Shard::<Asker>::create(&self.io, &directory, &site.identity(id), &site.each)
                .map_err(|error| error::of_shard(id, error))?;
            directory.sync().map_err(at)?;
        }
        root.sync().map_err(|error| Error::Io {
            path: site.path.clone(),
            error,
        })
    }

    /// Recovers this host's shards.
    pub(crate) fn open_shards(&mut self, site: &Site) -> Result<Vec<(ShardId, InDoubt)>> {
        self.hosts = site.hosts;
        let root = site.root(&self.io)?;
        let mut doubts = Vec::new();
        for id in self.own_shards(site.shards) {
            let path = site.path.join(folder(id));
            let directory = root.directory(&folder(id)).map_err(|error| {
                if error.is_missing() {
                    Error::MissingShard { shard: id, path }
                } else {
                    Error::Io { path, error }
                }
            })?;
            let (clock, pins) = (Arc::clone(&site.clock), Arc::clone(&site.pins));
            let shard = Shard::open(
                &self.io,
                &directory,
                &site.identity(id),
                &site.each,
                clock,
                pins,
            )
            .map_err(|error| error::of_shard(id, error))?;
            doubts.extend(shard.in_doubt().into_iter().map(|doubt| (id, doubt)));
            self.residents.push(Resident { id, shard });
        }
        Ok(doubts)
    }

    /// What a shard of this host decided about a commit that it coordinated.
    pub(crate) fn decision(
        &self,
        coordinator: ShardId,
        transaction: TransactionId,
    ) -> Option<Version> {
        let resident = &self.residents[self.place(coordinator)];
        resident.shard.decision(transaction)
    }

    /// Tells a shard of this host how a commit ended.
    pub(crate) fn resolve(
        &mut self,
        shard: ShardId,
        transaction: TransactionId,
        decision: Option<Version>,
    ) {
        let place = self.place(shard);
        self.residents[place].shard.resolve(transaction, decision);
    }

    /// Introduces the other hosts, itself among them.
    pub(crate) fn meet(&mut self, peers: Arc<[Arc<Inbox<Post>>]>) {
        self.peers = peers;
    }

    /// Take mail, let the shards work, carry their answers and letters. True: there is more to do at once.
    pub(crate) fn turn(&mut self) -> bool {
        self.turns += 1;
        let mut more = self.take_mail();
        // What the shards could answer at once goes out before anything waits for the kernel.
        more |= self.carry();
        self.io.turn();
        for resident in &mut self.residents {
            more |= resident.shard.turn();
        }
        more |= self.carry();
        self.step_down();
        more
    }

    /// Sleeps until there is something to do.
    pub(crate) fn park(&mut self) {
        self.parks += 1;
        let deadline = self.next_deadline();
        let io = &self.io;
        if self.calls >= CALLS_MAX {
            // Mail waits and is not to be taken: only the kernel can change that.
            return io.park(deadline);
        }
        self.mail
            .park(self.stopping != Stopping::No, || io.park(deadline));
    }

    /// When a shard wants to be called at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.residents
            .iter()
            .filter_map(|resident| resident.shard.next_deadline())
            .min()
    }

    /// Nothing is left to do, ever.
    pub(crate) fn is_finished(&self) -> bool {
        self.stopping == Stopping::Stopped
            || self
                .residents
                .iter()
                .all(|resident| resident.shard.is_closed())
    }

    /// The last turn took mail.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy
    }

    /// Waits until the kernel has done everything that it was given.
    pub(crate) fn finish_writes(&mut self) {
        self.residents.clear();
        while self.io.in_flight() > 0 {
            self.io.park(None);
            self.io.turn();
        }
    }

    /// Mail is waiting and may be taken.
    pub(crate) fn has_mail(&self) -> bool {
        self.calls < CALLS_MAX && self.mail.is_waiting()
    }

    fn take_mail(&mut self) -> bool {
        self.busy = false;
        if self.calls >= CALLS_MAX {
            return false;
        }
        // Moved out for the time of the loop: what takes the mail needs the rest of the host.
        let mut taken = std::mem::take(&mut self.taken);
        let more = self.mail.take(MAIL_PER_LANE, |post| taken.push(post));
        self.busy = !taken.is_empty();
        for post in taken.drain(..) {
            self.receive(post);
        }
        self.taken = taken;
        more
    }

    fn receive(&mut self, post: Post) {
        match post {
            Post::Ask {
                shard,
                call,
                answer,
            } => self.accept(shard, call, answer),
            Post::Letter { to, letter } => {
                let place = self.place(to);
                self.residents[place].shard.deliver(letter);
            }
            Post::Drain(answer) => {
                self.draining = true;
                self.drained.push(answer);
            }
            Post::Report(answer) => answer.send(Outcome::Report(Box::new(self.report()))),
            Post::HostGone { host, reason } => {
                let hosts = self.hosts;
                self.calls -= self
                    .commits
                    .abandon(|shard| host_of(shard, hosts) == host, &reason);
            }
        }
    }

    fn accept(&mut self, shard: ShardId, call: Call, answer: Answer) {
        self.calls_taken += 1;
        if self.draining && !matches!(call, Call::Close | Call::Stats) {
            answer.send(Outcome::Reply(Reply::Failed(ringkeep_shard::Error::Closed)));
            return;
        }
        let asker = match &call {
            Call::Commit { parts } => {
                let gone = parts
                    .iter()
                    .find(|(shard, _)| self.peers[host_of(*shard, self.hosts)].is_closed());
                if let Some((shard, _)) = gone {
                    let reason =
                        "it ended before this batch began, which changed nothing".to_owned();
                    answer.send(Outcome::HostGone {
                        shard: *shard,
                        reason,
                    });
                    return;
                }
                self.commits.enter(answer, parts)
            }
            _ => Asker::Caller(answer),
        };
        self.calls += 1;
        let place = self.place(shard);
        self.residents[place].shard.accept(asker, call);
    }

    /// Answers go to their callers, letters to their shards. True when a letter stayed on this host, or found
    /// its lane full.
    fn carry(&mut self) -> bool {
        let mut more = false;
        for place in 0..self.residents.len() {
            for (asker, reply) in self.residents[place].shard.replies() {
                match asker {
                    Asker::Host => {
                        if let Stopping::Syncing(left) = &mut self.stopping {
                            *left -= 1;
                        }
                        continue;
                    }
                    Asker::Caller(answer) => answer.send(Outcome::Reply(reply)),
                    Asker::Commit(ticket) => {
                        if !self.commits.answer(ticket, reply) {
                            continue;
                        }
                    }
                }
                self.calls -= 1;
            }
            self.outbox.extend(self.residents[place].shard.letters());
        }
        for _ in 0..self.outbox.len() {
            let Some((to, letter)) = self.outbox.pop_front() else {
                break;
            };
            more |= self.post(to, letter);
        }
        if self.calls == 0 {
            for answer in self.drained.drain(..) {
                answer.send(Outcome::Drained);
            }
        }
        more
    }

    fn post(&mut self, to: ShardId, letter: Letter) -> bool {
        let host = host_of(to, self.hosts);
        if host == self.index {
            let place = self.place(to);
            self.residents[place].shard.deliver(letter);
            return true;
        }
        match self.peers[host].send(self.index, Post::Letter { to, letter }) {
            // To a host that is gone: the commits that need it have been or will be told.
            Ok(()) | Err(Refused::Closed(_)) => false,
            Err(Refused::Full(Post::Letter { to, letter })) => {
                self.outbox.push_back((to, letter));
                true
            }
            Err(Refused::Full(_)) => unreachable!("what comes back is what was sent"),
        }
    }

    /// After the last handle was dropped: nobody waits for anything, but what was acknowledged before
    /// it was durable is made so. An empty write is acknowledged after all before it.
    fn step_down(&mut self) {
        match self.stopping {
            Stopping::No if self.mail.is_stopped() => {
                for resident in &mut self.residents {
                    let call = Call::Write {
                        ops: Vec::new(),
                        durability: ringkeep_shard::Durability::Sync,
                    };
                    resident.shard.accept(Asker::Host, call);
                }
                self.stopping = Stopping::Syncing(self.residents.len());
            }
            Stopping::Syncing(0) => self.stopping = Stopping::Stopped,
            _ => {}
        }
    }

    fn report(&self) -> HostReport {
        HostReport {
            shards: self.residents.iter().map(|resident| resident.id).collect(),
            door: self.io.report().to_string(),
            io: self.io.counters(),
            turns: self.turns,
            calls: self.calls_taken,
            parks: self.parks,
        }
    }

    fn own_shards(&self, shards: u16) -> impl Iterator<Item = ShardId> + use<> {
        (self.index as u16..shards).step_by(self.hosts).map(ShardId)
    }

    fn place(&self, shard: ShardId) -> usize {
        debug_assert_eq!(host_of(shard, self.hosts), self.index);
        usize::from(shard.0) / self.hosts
    }
}

/// What all hosts of one database know.
pub(crate) struct Site {
    pub(crate) path: std::path::PathBuf,
    pub(crate) store: [u8; 16],
    pub(crate) shards: u16,
    pub(crate) hosts: usize,
    pub(crate) each: ShardOptions,
    pub(crate) clock: Arc<CommitClock>,
    pub(crate) pins: Arc<Pins>,
}

impl Site {
    fn root(&self, io: &Io) -> Result<Directory> {
        root(io, &self.path)
    }

    fn identity(&self, shard: ShardId) -> Identity {
        Identity {
            store: self.store,
            shard,
            shards: self.shards,
        }
    }
}

/// The folder of the database through a host's own door.
pub(crate) fn root(io: &Io, path: &Path) -> Result<Directory> {
    io.directory(path).map_err(|error| Error::Io {
        path: path.into(),
        error,
    })
}

//! One thread's worth of database: its door to the kernel, its shards, its inbox. A host is driven by
//! `turn` and `park`: by its own pinned thread in production, by hand on one thread in the simulator; and by `visit` for one
//! call of a caller, while that thread sleeps. It never blocks but in `park`, and never waits for another host.

mod carrying;
mod commits;
#[cfg(feature = "glommio")]
mod glommio;
mod helm;
mod jobs;
mod opening;
mod post;
mod threads;
mod visit;

use std::collections::VecDeque;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Io, Nanos, Sleep};
use ringkeep_shard::{Call, Letter, Shard, ShardId};

use crate::hits::Marks;
use crate::latency::Recorder;
use crate::limits::{CALLS_MAX, LANE_ITEMS, LANES_PER_CORE, MAIL_PER_LANE};
use crate::mailbox::{self, Inbox, LANES_MAX, Mail};
use crate::options;
use commits::{Asker, Commits};
pub(crate) use helm::{Caller, Helm, Visitor};
use jobs::Jobs;
pub(crate) use jobs::{Ran, Running, Start};
pub(crate) use opening::{ReadLogs, Site, folder, root};
pub use post::HostReport;
pub(crate) use post::{Answer, Outcome, Post};
pub(crate) use threads::{Door, Driver, HostThread, Obituaries, Setup};

/// See the module.
pub(crate) struct Host {
    index: usize,
    /// What its own executor calls it.
    #[cfg(feature = "glommio")]
    here: glommio::Here,
    hosts: usize,
    io: Io,
    mail: Mail<Post>,
    peers: Arc<[Arc<Inbox<Post>>]>,
    residents: Vec<Resident>,
    /// Letters whose lane was full. Bounded by the commits under way.
    outbox: VecDeque<(ShardId, Letter)>,
    commits: Commits,
    /// Callers' closures. Their own calls come by mail, as everybody's.
    jobs: Jobs,
    /// Calls taken and not answered.
    calls: usize,
    /// Set by `Drain`: takes no more calls.
    draining: bool,
    drained: Vec<Answer>,
    stopping: Stopping,
    busy: bool,
    /// Mail on its way from the inbox to the shards; empty between turns.
    taken: Vec<Post>,
    taken_urgent: Vec<Post>,
    /// The last turn left nothing to do at once.
    rests: bool,
    /// When it gets up by itself, while it sleeps.
    sleeps_until: Option<Nanos>,
    /// A caller who drove it has panicked, and why.
    broken: Option<String>,
    turns: u64,
    visits: u64,
    calls_taken: u64,
    letters_sent: u64,
    parks: u64,
}

struct Resident {
    id: ShardId,
    shard: Shard<Asker>,
    /// What its calls took.
    took: Recorder,
    /// What its reads had found before.
    marks: Marks,
    /// It took part in a batch over several shards, and may hold a piece of one that is not ended.
    entangled: bool,
    /// It was asked for a write that may be acknowledged before it is durable.
    loose: bool,
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

impl Host {
    /// A host without shards.
    pub(crate) fn new(io: Io, index: usize) -> Host {
        let lanes = (options::cores() * LANES_PER_CORE).min(LANES_MAX);
        let doorbell = io.doorbell();
        #[cfg(feature = "glommio")]
        let (here, doorbell) = glommio::beside(doorbell);
        let mail = mailbox::inbox(lanes, LANE_ITEMS, Box::new(move || doorbell.ring()));
        let jobs = Jobs::new(Arc::clone(mail.inbox()));
        Host {
            index,
            #[cfg(feature = "glommio")]
            here,
            hosts: 1,
            io,
            mail,
            jobs,
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
            taken_urgent: Vec::new(),
            rests: false,
            sleeps_until: None,
            broken: None,
            turns: 0,
            visits: 0,
            calls_taken: 0,
            letters_sent: 0,
            parks: 0,
        }
    }

    pub(crate) fn io(&self) -> &Io {
        &self.io
    }

    pub(crate) fn inbox(&self) -> Arc<Inbox<Post>> {
        Arc::clone(self.mail.inbox())
    }

    /// Introduces the other hosts, itself among them.
    pub(crate) fn meet(&mut self, peers: Arc<[Arc<Inbox<Post>>]>) {
        self.peers = peers;
    }

    /// Take mail, let the shards work, carry their answers and letters. True: there is more to do at once.
    pub(crate) fn turn(&mut self) -> bool {
        self.turns += 1;
        if let Some(reason) = self.broken.take() {
            panic!("while a caller drove it: {reason}");
        }
        let mut more = self.take_mail();
        // What the shards could answer at once goes out before anything waits for the kernel.
        more |= self.carry();
        self.io.turn();
        for resident in &mut self.residents {
            more |= resident.shard.turn();
        }
        more = more | self.carry() | self.jobs.run(|| self.io.now()) | self.step_down();
        self.rests = !more;
        more
    }

    /// A sleep while which others may have this, unless there is something to do. `get_up` comes next in any case.
    fn lie_down(&mut self) -> Option<Sleep> {
        self.parks += 1;
        let deadline = self.next_deadline();
        self.sleeps_until = deadline;
        match self.lies_down() {
            true => self.io.lie_down(deadline),
            false => None,
        }
    }

    /// It has slept.
    fn get_up(&mut self) {
        self.io.get_up();
        self.mail.get_up();
    }

    /// As `lie_down`, for a host that sleeps elsewhere until its doorbell rings or the time of `next_deadline`
    /// has come, and gets up then. False, and nothing to wait for, when there is something to do.
    #[cfg(feature = "glommio")]
    fn lie_down_elsewhere(&mut self) -> bool {
        // What the shards have started since the kernel was last asked.
        if self.io.submit() {
            return false;
        }
        let sleeps = self.lies_down();
        self.parks += u64::from(sleeps);
        sleeps
    }

    /// Says that it sleeps, unless there is mail. Calls wait their turn while there are too many; letters, without which
    /// those in hand might never end, do not.
    fn lies_down(&mut self) -> bool {
        let full = self.calls >= CALLS_MAX;
        self.mail.lie_down(full, self.stopping != Stopping::No)
    }

    #[cfg(feature = "glommio")]
    fn get_up_elsewhere(&mut self) {
        self.mail.get_up();
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
        let mut residents = self.residents.iter();
        // A shard that is closed still answers letters, for which another's close may wait.
        self.stopping == Stopping::Stopped
            || residents.all(|resident| resident.shard.is_closed()) && !self.mail.is_waiting()
    }

    /// The last turn took mail.
    pub(crate) fn was_busy(&self) -> bool {
        self.busy
    }

    /// Waits until the kernel has done everything that it was given.
    pub(crate) fn finish_writes(&mut self) {
        self.residents.clear();
        self.io.wait_for_errands();
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
        // Moved out for the time of the loops: what takes the mail needs the rest of the host.
        let mut calls = std::mem::take(&mut self.taken);
        let mut urgent = std::mem::take(&mut self.taken_urgent);
        let mut more = false;
        if self.calls < CALLS_MAX {
            let (call, first) = (|post| calls.push(post), |post| urgent.push(post));
            more = self.mail.take(MAIL_PER_LANE, call, first);
        } else {
            self.mail.take_urgent(|post| urgent.push(post));
        }
        self.busy = !calls.is_empty() || !urgent.is_empty();
        // A shard answers a caller only after its letters are on their way: who calls another shard
        // because of that answer must find them applied.
        for post in urgent.drain(..).chain(calls.drain(..)) {
            self.receive(post);
        }
        self.taken = calls;
        self.taken_urgent = urgent;
        more
    }

    /// After the last handle was dropped: nobody waits for anything, but what was acknowledged before
    /// it was durable is made so.
    fn step_down(&mut self) -> bool {
        let begins = self.stopping == Stopping::No && self.mail.is_stopped();
        if begins {
            let mut asked = 0;
            let loose =
                |resident: &&mut Resident| resident.loose && !planted(Defect::DropWithoutSync);
            for resident in self.residents.iter_mut().filter(loose) {
                resident.shard.accept(Asker::Host, Call::Stop);
                asked += 1;
            }
            self.stopping = Stopping::Syncing(asked);
        }
        if self.stopping == Stopping::Syncing(0) {
            self.stopping = Stopping::Stopped;
        }
        begins
    }

    fn resident(&mut self, shard: ShardId) -> &mut Resident {
        let place = self.place(shard);
        &mut self.residents[place]
    }

    fn place(&self, shard: ShardId) -> usize {
        debug_assert_eq!(host_of(shard, self.hosts), self.index);
        usize::from(shard.0) / self.hosts
    }
}

//! The parts of a shard, shared by its turn and its tasks, and what all of them need.
//!
//! Everything is used by one thread at a time: a borrow never outlives the statement or block that took it, and
//! none is held across an `await`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Directory, Io};

use crate::blob::Blobs;
use crate::call::Reply;
use crate::commit::Commits;
use crate::compaction::Compaction;
use crate::cross_shard::Transactions;
use crate::error::{Error, Result};
use crate::full_disk::FullDisk;
use crate::hot_rows::ToShow;
use crate::letter::{Content, Letter};
use crate::log::{Log, LogFailure};
use crate::manifest::ManifestStore;
use crate::memtables::Memtables;
use crate::page_cache::PageCache;
use crate::range_deletes::TableRanges;
use crate::ranges::Ranges;
use crate::rows::RowWriter;
use crate::shard::{Identity, ShardOptions};
use crate::split::Split;
use crate::stats::ShardStats;
use crate::table::{FilterSize, Make};
use crate::table_set::TableSet;
use crate::tasks::{Signal, Tasks};
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::{CommitClock, Pins, ShardId, Version};
use crate::warm::Warmth;
use crate::watch::{Phase, Watch, watched};

pub(crate) struct Core<T> {
    // Constant after opening.
    pub io: Io,
    pub directory: Directory,
    pub identity: Identity,
    pub options: ShardOptions,
    pub clock: Arc<CommitClock>,
    pub pins: Arc<Pins>,

    // The data path.
    pub log: RefCell<Log>,
    pub commits: RefCell<Commits<T>>,
    pub transactions: RefCell<Transactions>,
    pub memtables: RefCell<Memtables>,
    pub tables: RefCell<Rc<TableSet>>,
    /// The files that tables refer to.
    pub blobs: Blobs,
    /// All range deletes, of memtables and of tables. Changes together with these.
    pub ranges: RefCell<Rc<Ranges>>,
    /// Those whose memtable is in tables, so that the manifest has them.
    pub table_ranges: RefCell<TableRanges>,
    pub cache: Rc<RefCell<PageCache>>,
    pub rows: RefCell<RowWriter>,
    pub to_show: RefCell<ToShow>,
    pub split: RefCell<Split>,
    pub manifest: ManifestStore,
    pub next_table: Cell<u64>,
    /// The newest group, where times are kept.
    pub latest: Cell<Moment>,
    /// The time of the moment last added to the timeline.
    pub added: Cell<u64>,
    /// Reads of the present see versions up to this one: the newest whose group is as durable as was
    /// asked.
    pub visible: Cell<Version>,
    /// The newest version that a cross-shard commit applied here; `visible` follows as soon as the
    /// groups in flight below it are done.
    pub committed_elsewhere: Cell<Version>,
    /// Why no write is taken until the shard is opened again.
    pub failure: RefCell<Option<String>>,
    /// Groups were in flight when writes stopped. Nobody may see them, nor anything above them.
    pub hides_failed: Cell<bool>,
    /// While it is, what adds data is refused, and what removes data goes on.
    pub full_disk: FullDisk,
    /// What was next in line had no room in the log when that was looked at last.
    pub lacks_room: Cell<bool>,

    // Tasks, and what they wait for.
    pub tasks: Tasks,
    /// Raised when `visible` moves, a transaction ends, or writes stop.
    pub published: Signal,
    /// Raised when there may be something to flush, merge or allocate.
    pub work: Signal,
    /// Raised when nothing in the log may be needed any more.
    pub log_may_be_dead: Signal,
    /// Raised when rows of a range are left to be taken away.
    pub rows_to_remove: Signal,
    /// When rows that are missing are read in.
    pub warmth: Warmth,
    /// Raised when a part of a transaction waits to be validated.
    pub to_validate: Signal,
    pub compaction: Compaction,

    // What goes out.
    pub replies: RefCell<Vec<(T, Reply)>>,
    pub letters: RefCell<Vec<(ShardId, Letter)>>,
    pub stats: RefCell<ShardStats>,
    pub closing: Cell<bool>,
    /// What was answered is made durable now, whatever it was promised.
    pub stopping: Cell<bool>,
    pub closed: Cell<bool>,
}

impl<T: Token> Core<T> {
    /// How tables of the last level, or above it, are made.
    pub fn make(&self, last_level: bool) -> Make {
        match last_level {
            true => Make {
                codec: self.options.last_level_codec,
                filter: FilterSize::LastLevel,
            },
            false => Make {
                codec: self.options.codec,
                filter: FilterSize::Tier,
            },
        }
    }

    pub fn reply(&self, token: T, reply: Reply) {
        if let Some(watch) = token.watch() {
            watch.enter(Phase::Reply, self.io.now());
        }
        self.replies.borrow_mut().push((token, reply));
    }

    /// Starts a task that works for a call.
    pub fn spawn_for(&self, watch: Option<Rc<Watch>>, task: impl Future<Output = ()> + 'static) {
        match watch {
            None => self.tasks.spawn(task),
            Some(watch) => self.tasks.spawn(watched(watch, self.io.clone(), task)),
        }
    }

    /// As `spawn_for`, and it runs at once, as far as it gets without waiting.
    pub fn start_for(&self, watch: Option<Rc<Watch>>, task: impl Future<Output = ()> + 'static) {
        match watch {
            None => self.tasks.start(task),
            Some(watch) => self.tasks.start(watched(watch, self.io.clone(), task)),
        }
    }

    pub fn send(&self, to: ShardId, content: Content) {
        self.letters.borrow_mut().push((to, Letter(content)));
    }

    pub fn is_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Why a write cannot be taken now, if it cannot. `adds` tells whether it adds data.
    pub fn refusal(&self, adds: bool) -> Option<Error> {
        if self.closing.get() {
            return Some(Error::Closed);
        }
        if let Some(reason) = self.failure.borrow().clone() {
            return Some(Error::Failed { reason });
        }
        (adds && self.is_full()).then(|| self.full_error())
    }

    /// Stops all writes for good.
    pub fn fail(&self, failure: &LogFailure) {
        self.give_up_syncing();
        self.fail_because(&format!(
            "a log write failed: {}: {}",
            failure.file, failure.error
        ));
    }

    pub fn fail_because(&self, reason: &str) {
        if self.is_failed() {
            return;
        }
        *self.failure.borrow_mut() = Some(reason.to_string());
        let in_flight = self.commits.borrow().oldest_in_flight();
        self.hides_failed.set(in_flight.is_some());
        self.refuse_everything(reason);
        self.published.raise();
        self.work.raise();
    }

    /// Moves `visible` up to what is acknowledged.
    pub fn publish(&self, version: Version) {
        self.visible.set(self.visible.get().max(version));
        if self.hides_failed.get() {
            return;
        }
        let elsewhere = self.committed_elsewhere.get();
        let in_flight = self.commits.borrow().oldest_in_flight();
        if in_flight.is_none_or(|oldest| oldest > elsewhere) {
            self.visible.set(self.visible.get().max(elsewhere));
        }
    }

    /// The version that a read sees: the pinned one, or the newest visible one. After a failure, what
    /// was in flight is seen by nobody.
    pub fn read_version(&self, at: Option<Version>) -> Version {
        match at {
            Some(at) if self.is_failed() => at.min(self.visible.get()),
            Some(at) => at,
            None => self.visible.get(),
        }
    }

    /// After a failure: a batch over several shards may be committed above groups whose fate is not known.
    /// Reads could show both or neither, and neither is right, so there are none. Nor at a version at which a batch
    /// may be committed whose coordinator is gone: others may show their parts of it.
    pub fn check_readable(&self, at: Option<Version>) -> Result<()> {
        let gone = self.transactions.borrow().oldest_never_decided();
        let is_torn = at.is_some_and(|at| gone.is_some_and(|since| since <= at));
        if (is_torn || self.committed_elsewhere.get() > self.visible.get())
            && let Some(reason) = &*self.failure.borrow()
        {
            let reason = reason.clone();
            return Err(Error::Unreadable { reason });
        }
        Ok(())
    }

    /// A read at this version sees all that it must: nothing at or below it is undecided.
    pub fn is_settled(&self, at: Option<Version>) -> bool {
        if self.is_failed() {
            // Nothing in flight will be seen. But a batch that others decide may still be heard of, and whoever
            // reads at a version beyond its parts must see them all or none.
            let undecided = self.transactions.borrow().oldest_undecided();
            return at.is_none_or(|at| undecided.is_none_or(|oldest| oldest > at));
        }
        let Some(at) = at else {
            return self.committed_elsewhere.get() <= self.visible.get();
        };
        let in_flight = self.commits.borrow().oldest_in_flight();
        if planted(Defect::UndecidedNotAwaited) {
            return in_flight.is_none_or(|oldest| oldest > at);
        }
        let undecided = self.transactions.borrow().oldest_undecided();
        in_flight.is_none_or(|oldest| oldest > at) && undecided.is_none_or(|oldest| oldest > at)
    }
}

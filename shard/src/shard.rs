//! The shard: takes calls and letters, answers them, and spends what is left on maintenance.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::vec::Drain;

use ringkeep_io::{Directory, Io, Nanos};

use crate::call::{Call, Reply};
use crate::core::Core;
use crate::error::Result;
use crate::letter::{Content, Letter, Outcome};
use crate::open::{block_on, create, open};
use crate::replay::{ReplayedLog, read_log};
use crate::rows::Rows;
use crate::stats::Lookups;
use crate::table::Codec;
use crate::token::Token;
use crate::version::{CommitClock, Pins, ShardId, Version};

/// Tasks polled in one turn: a fourth of those that are ready, within these bounds. After each turn the device hears what
/// new calls want to read and callers what was found, so that both are at work while the next few are looked at: where many
/// reads end at once, as they do on a device that tells of several together, it would otherwise stand still until all of
/// them are answered. Fewer would leave less to be told at once; and what arrives meanwhile waits no longer than these take.
const TASKS_PER_TURN: (usize, usize) = (4, 32);

/// Who a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The database.
    pub store: [u8; 16],
    /// This shard.
    pub shard: ShardId,
    /// Of so many.
    pub shards: u16,
}

/// Sizes of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// A memtable of this size is written out.
    pub memtable_bytes: usize,
    /// Cached blocks, and rows that other threads read without asking the shard: both together. Which of them has how
    /// much, the shard finds out.
    pub caches_bytes: usize,
    /// Of these, cached blocks at most. Unless that is none, they have the memory of a second memtable, too, while there is none.
    pub cache_bytes: usize,
    /// And rows at most.
    pub rows_bytes: usize,
    /// What fits into the memory for rows is read when the shard is opened.
    pub warm: bool,
    /// One log segment. Fixed when the shard is made.
    pub segment_bytes: u64,
    /// The largest payload of one log frame.
    pub group_bytes: usize,
    /// A table file is ended at about this size.
    pub table_bytes: u64,
    /// More sorted runs than this are merged.
    pub runs_max: usize,
    /// Values of so many bytes or more go to blob files when a memtable is written out, and are not written again with every
    /// merge of their keys; none do when absent.
    pub blob_bytes: Option<usize>,
    /// How tables are compressed, but for the last level.
    pub codec: Codec,
    /// How the last level is compressed, where most of the data is and most of it is read seldom.
    pub last_level_codec: Codec,
    /// Of the file of writes that are answered before the log has them; zero lets all of them wait for the log. A file
    /// that is there grows and never shrinks.
    pub tail_bytes: usize,
    /// An idle log writes its closing frame after this long.
    pub idle_close_after: Nanos,
}

/// Values from here on go to blob files, unless something else is chosen. What they take there is rounded up to whole pages:
/// a fifth more at worst.
pub const BLOB_BYTES: usize = 16 << 10;

impl ShardOptions {
    /// Sizes that stay within `memory_bytes` for this shard: two memtables take a quarter of it and
    /// caches five eighths; the rest is for filters, indexes, buffers and merges.
    pub fn for_budget(memory_bytes: usize) -> ShardOptions {
        let memtable_bytes = (memory_bytes / 8).clamp(64 << 10, 64 << 20);
        let caches_bytes = memory_bytes / 8 * 5;
        let segment_bytes = segment_bytes_for(memtable_bytes);
        ShardOptions {
            memtable_bytes,
            caches_bytes,
            // Neither is ever without a part that is worth having.
            cache_bytes: caches_bytes / 8 * 7,
            rows_bytes: caches_bytes / 4 * 3,
            warm: true,
            segment_bytes,
            // With its header, two fit into a segment, or large groups would leave much of each unused.
            group_bytes: (segment_bytes as usize / 2 - ringkeep_io::PAGE).min(1 << 20),
            table_bytes: 64 << 20,
            runs_max: 8,
            blob_bytes: Some(BLOB_BYTES),
            codec: Codec::Raw,
            last_level_codec: Codec::Raw,
            // Some 40 ms of writing as fast as merges let it be: devices stand still for some of that now and then.
            tail_bytes: (memtable_bytes / 4).clamp(256 << 10, 16 << 20),
            idle_close_after: 50_000_000,
        }
    }
}

/// An idle shard keeps one segment, so that is small beside what is flushed at once; and the log of a memtable takes a
/// dozen files or so.
fn segment_bytes_for(memtable_bytes: usize) -> u64 {
    let eighth = (memtable_bytes as u64 / 8).max(1);
    (1 << eighth.ilog2()).clamp(1 << 20, 8 << 20)
}

/// A commit over several shards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TransactionId(pub u64);

/// A prepared part whose outcome this shard's log does not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InDoubt {
    /// Which commit.
    pub transaction: TransactionId,
    /// Who knows.
    pub coordinator: ShardId,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Log frames replayed.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames beyond the end were cut: they had been in flight when the power went.
    pub torn: bool,
    /// Groups that were answered and not in the log yet: its tail had them.
    pub from_tail: u64,
    /// The last frame kept.
    pub last_sequence: u64,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { frames, bytes, .. } = self;
        write!(f, "{frames} log frames ({bytes} bytes) replayed")?;
        if self.from_tail > 0 {
            write!(f, ", {} groups taken from the log's tail", self.from_tail)?;
        }
        if self.torn {
            write!(f, ", a torn tail cut after frame {}", self.last_sequence)?;
        }
        Ok(())
    }
}

/// One core's storage. `T` names who waits for an answer; the shard only hands it back.
pub struct Shard<T> {
    core: Rc<Core<T>>,
    recovered: Recovered,
    /// Being handed out; empty in between.
    replies: Vec<(T, Reply)>,
    letters: Vec<(ShardId, Letter)>,
}

impl<T: Token> Shard<T> {
    /// Makes an empty shard in an empty directory. Waits for the disk.
    pub fn create(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        options: &ShardOptions,
    ) -> Result<()> {
        block_on(io, create(io, directory, identity, options))
    }

    /// Reads the log of a shard that nobody has open, for the `open` that comes next: on any thread,
    /// through any door. Waits for the disk, and writes nothing.
    pub fn read_log(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        options: &ShardOptions,
    ) -> Result<ReplayedLog> {
        block_on(io, read_log(io, directory, identity, options))
    }

    /// Recovers a shard. Waits for the disk.
    pub fn open(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        options: &ShardOptions,
        clock: Arc<CommitClock>,
        pins: Arc<Pins>,
    ) -> Result<Shard<T>> {
        let log = Shard::<T>::read_log(io, directory, identity, options)?;
        Shard::open_replayed(io, directory, identity, options, clock, pins, log)
    }

    /// Recovers a shard whose log was read since it was last open. Waits for the disk.
    pub fn open_replayed(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        options: &ShardOptions,
        clock: Arc<CommitClock>,
        pins: Arc<Pins>,
        log: ReplayedLog,
    ) -> Result<Shard<T>> {
        let opening = open(io, directory, identity, options, clock, pins, log);
        let (core, recovered) = block_on(io, opening)?;
        core.start_maintenance();
        core.start_validating();
        let me = core.identity.shard;
        let unsettled = core.transactions.borrow().unsettled_decisions();
        for (transaction, version, participants) in unsettled {
            for participant in participants {
                let outcome = Outcome::Committed(version);
                let content = Content::Outcome {
                    transaction,
                    coordinator: me,
                    outcome,
                };
                core.send(participant, content);
            }
        }
        Ok(Shard {
            core,
            recovered,
            replies: Vec::new(),
            letters: Vec::new(),
        })
    }

    /// Prepared parts whose outcome only their coordinator knows. Each must be resolved before the
    /// first turn.
    pub fn in_doubt(&self) -> Vec<InDoubt> {
        self.core.transactions.borrow().in_doubt()
    }

    /// The version at which this coordinator committed a batch; nothing when it did not.
    pub fn decision(&self, transaction: TransactionId) -> Option<Version> {
        self.core.transactions.borrow().decision(transaction)
    }

    /// Ends a doubt with the coordinator's decision.
    pub fn resolve(&mut self, transaction: TransactionId, decision: Option<Version>) {
        let in_doubt = self.in_doubt();
        let Some(doubt) = in_doubt
            .iter()
            .find(|doubt| doubt.transaction == transaction)
        else {
            return;
        };
        let outcome = decision.map_or(Outcome::Aborted, Outcome::Committed);
        self.core.settle(transaction, doubt.coordinator, outcome);
    }

    /// What recovery found.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Takes a call. Never waits; the answer comes out of `replies`, perhaps at once.
    pub fn accept(&mut self, token: T, call: Call) {
        let core = &self.core;
        match call {
            Call::Get { key, at, room } => core.accept_get(token, key, at, room),
            Call::MultiGet { keys, at } => core.accept_multi_get(token, keys, at),
            Call::Write { ops, durability } => core.accept_write(token, ops, durability),
            Call::Commit { parts } => core.accept_commit(token, parts),
            Call::Transact(transact) => core.accept_transact(token, transact),
            Call::Pause(nanos) => core.accept_pause(token, nanos),
            Call::History(asked) => core.accept_history(token, &asked),
            Call::Scan(scan) => core.accept_scan(token, scan),
            Call::Estimate(span) => core.accept_estimate(token, span),
            Call::Flush => core.accept_flush(token),
            Call::Compact => core.accept_compact(token),
            Call::Verify { bytes_per_second } => core.accept_verify(token, bytes_per_second),
            Call::Stats => core.reply(token, Reply::Stats(Box::new(core.gather_stats()))),
            Call::Close => core.accept_close(token),
            Call::Stop => core.accept_stop(token),
        }
    }

    /// No more calls come but `Stats`, `Close` and `Stop`, and all that were taken are answered, also on a full disk.
    pub fn drain(&mut self) {
        self.core.drain();
    }

    /// Takes a message from another shard.
    pub fn deliver(&mut self, letter: Letter) {
        self.core.open_letter(letter);
        self.core.notice_dead_log();
    }

    /// Other shards are gone for good and will not answer: those that `is_lost` says.
    pub fn lose_peers(&mut self, is_lost: impl Fn(ShardId) -> bool, reason: &str) {
        self.core.lose_peers(is_lost, reason);
    }

    /// One turn: acknowledges what is done, starts what can start, runs tasks that are ready. True
    /// when there is more to do at once; otherwise the next event is a call, a letter, a completion
    /// or `next_deadline`.
    pub fn turn(&mut self) -> bool {
        let core = &self.core;
        if core.tasks.next_deadline().is_some() {
            core.tasks.expire(core.io.now());
        }
        core.turn_commits();
        let (least, most) = TASKS_PER_TURN;
        if core.tasks.run((core.tasks.ready() / 4).clamp(least, most)) {
            core.turn_commits();
            return true;
        }
        core.turn_commits();
        core.tasks.has_ready()
    }

    /// What calls just taken need of a turn, for a caller who drives the shard for a moment: at most one task runs. True when
    /// the same again may bring an answer.
    pub fn short_turn(&mut self) -> bool {
        let core = &self.core;
        core.turn_commits();
        if core.tasks.has_ready() {
            core.tasks.run(1);
            core.turn_commits();
        }
        core.replies.borrow().is_empty() && core.tasks.has_ready()
    }

    /// Tasks wait for a turn.
    pub fn is_ready(&self) -> bool {
        self.core.tasks.has_ready()
    }

    /// Park no longer than this.
    pub fn next_deadline(&self) -> Option<Nanos> {
        let log = self.core.log.borrow();
        let commits = self.core.commits.borrow().next_deadline(&log);
        commits
            .into_iter()
            .chain(self.core.tasks.next_deadline())
            .min()
    }

    /// What readers on other threads may look at before they ask.
    pub fn rows(&self) -> Arc<Rows> {
        Arc::clone(self.core.rows.borrow().rows())
    }

    /// Answers ready to go. To be taken when all letters are on their way: other threads see the answered rows from
    /// here on.
    pub fn replies(&mut self) -> Drain<'_, (T, Reply)> {
        self.core.show_rows();
        // Two lists take turns, so that answering takes no memory.
        std::mem::swap(&mut *self.core.replies.borrow_mut(), &mut self.replies);
        self.replies.drain(..)
    }

    /// Messages to other shards ready to go.
    pub fn letters(&mut self) -> Drain<'_, (ShardId, Letter)> {
        std::mem::swap(&mut *self.core.letters.borrow_mut(), &mut self.letters);
        self.letters.drain(..)
    }

    /// Why writes are stopped for good, if they are.
    pub fn failure(&self) -> Option<String> {
        self.core.failure.borrow().clone()
    }

    /// What its reads have found in memory.
    pub fn lookups(&self) -> Lookups {
        self.core.lookups()
    }

    /// What is left on its file system, if that can tell.
    pub fn free_bytes(&self) -> Option<u64> {
        self.core.directory.free_bytes().ok()
    }

    /// `Close` was answered: everything is flushed and nothing is in flight.
    pub fn is_closed(&self) -> bool {
        self.core.closed.get()
    }
}

impl<T> Drop for Shard<T> {
    fn drop(&mut self) {
        // Tasks hold the core alive, and the core the tasks.
        self.core.tasks.clear();
    }
}

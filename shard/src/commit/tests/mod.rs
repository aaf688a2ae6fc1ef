//! The write path step by step: no task runs unless a test lets it.

mod early;
mod line;
mod outcomes;
mod refusals;
mod turns;

use std::path::Path;
use std::sync::Arc;

use ringkeep_io::{Io, SimulatedDisk, SimulatedOptions};

use super::*;
use crate::call::Reply;
use crate::letter::{Content, Outcome};
use crate::open::{block_on, create, open};
use crate::replay::read_log;
use crate::shard::{Identity, ShardOptions};
use crate::table::Codec;
use crate::version::{CommitClock, Pins};

fn put(value_bytes: usize) -> Op {
    Op::Put {
        key: b"key".to_vec(),
        value: vec![7; value_bytes],
    }
}

/// A shard of which only the write path moves, and only when told to.
struct Desk {
    disk: SimulatedDisk,
    core: Rc<Core<u64>>,
}

impl Desk {
    /// Everything waits for the log.
    fn new() -> Desk {
        Desk::with_tail(0)
    }

    fn with_tail(tail_bytes: usize) -> Desk {
        Desk::with(tail_bytes, 32 << 10)
    }

    fn with(tail_bytes: usize, memtable_bytes: usize) -> Desk {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        let identity = Identity {
            store: *b"a write path....",
            shard: ShardId(0),
            shards: 2,
        };
        let options = ShardOptions {
            memtable_bytes,
            caches_bytes: 64 << 10,
            cache_bytes: 64 << 10,
            rows_bytes: 8 << 10,
            warm: false,
            segment_bytes: 256 << 10,
            group_bytes: 16 << 10,
            table_bytes: 32 << 10,
            runs_max: 3,
            blob_bytes: None,
            codec: Codec::Raw,
            last_level_codec: Codec::Raw,
            tail_bytes,
            idle_close_after: 1_000_000,
        };
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::new(Arc::clone(&clock));
        let core = block_on(&io, async {
            create(&io, &directory, &identity, &options).await?;
            let log = read_log(&io, &directory, &identity, &options).await?;
            open(&io, &directory, &identity, &options, clock, pins, log).await
        });
        let (core, _) = core.expect("a fresh shard opens");
        Desk { disk, core }
    }

    fn accept(&self, token: u64, ops: Vec<Op>, durability: Durability) {
        self.core.accept_write(token, ops, durability);
    }

    fn deadline(&self) -> Option<Nanos> {
        let log = self.core.log.borrow();
        self.core.commits.borrow().next_deadline(&log)
    }

    /// Until nothing is in flight; the write path has not heard of it.
    fn land(&self) {
        let io = &self.core.io;
        while io.in_flight() > 0 {
            if io.turn() == 0 {
                io.park(None);
            }
        }
    }

    /// A task that waits for the first in line to be served, and sleeps.
    fn wait_for_one_served(&self) {
        let core = Rc::clone(&self.core);
        self.core.tasks.spawn(async move {
            let served = || core.commits.borrow().has_served(1);
            core.published.wait_until(served).await;
        });
        self.core.tasks.run(10);
        assert!(!self.core.tasks.has_ready());
    }

    /// Until nothing moves without time or a task.
    fn settle(&self) {
        for _ in 0..20 {
            self.core.turn_commits();
            self.land();
        }
    }

    /// Who was answered, and whether the write was done.
    fn answers(&self) -> Vec<(u64, bool)> {
        let replies = self.core.replies.borrow_mut().drain(..).collect::<Vec<_>>();
        let is_written = |reply| matches!(reply, Reply::Written(_));
        let answers = replies.into_iter();
        answers
            .map(|(token, reply)| (token, is_written(reply)))
            .collect()
    }

    /// Locks the one key for a batch that another shard decides.
    fn lock(&self, transaction: u64) {
        let mut transactions = self.core.transactions.borrow_mut();
        let transaction = TransactionId(transaction);
        transactions.replay_prepare(transaction, ShardId(1), vec![put(1)], 0, Version(1));
    }

    fn letters(&self) -> Vec<Content> {
        let mut letters = self.core.letters.borrow_mut();
        letters.drain(..).map(|(_, letter)| letter.0).collect()
    }
}

//! Where the time of a caller's own calls went.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

use ringkeep_io::Nanos;
use ringkeep_shard::{ShardId, Watched};

use super::{Operation, Short};

thread_local! {
    /// Looked at by every call that asks a shard: no more than a flag.
    static ASKED_FOR: Cell<bool> = const { Cell::new(false) };
    static CALLS: RefCell<Vec<CallReceipt>> = const { RefCell::new(Vec::new()) };
}

/// Where the time went of what was asked of shards, call by call.
///
/// ```
/// # use ringkeep::{Database, Operation, Options, Receipt};
/// let db = Database::in_memory(Options::small())?;
/// let (version, receipt) = Receipt::of(|| db.put("key", "value"));
/// version?;
/// let put = &receipt.calls[0];
/// assert_eq!(put.operation, Operation::Put);
/// let parts = [put.queue, put.cpu, put.io_wait, put.flush_wait, put.reply];
/// assert_eq!(parts.iter().sum::<std::time::Duration>(), put.whole());
/// println!("{receipt}");
/// # Ok::<(), ringkeep::Error>(())
/// ```
///
/// It works around whatever a thread or a future does: any call of a database, a keyspace, a snapshot or a transaction,
/// a whole request with many of them. What was answered from rows, without asking a shard, is not on it. Calls that
/// nobody asks a receipt for pay nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// In the order of their answers.
    pub calls: Vec<CallReceipt>,
    /// From begin to end, with what the caller did itself.
    pub elapsed: Duration,
}

/// One call to one shard, from the moment at which it was issued until its caller had the answer. Each moment of that is
/// in one of the parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallReceipt {
    /// Whom it asked.
    pub shard: ShardId,
    /// What for.
    pub operation: Operation,
    /// Waiting for its turn: in the mail, in line, for a lock, for a batch whose end is not known.
    pub queue: Duration,
    /// Being worked on by the shard's core.
    pub cpu: Duration,
    /// Waiting for blocks from the device, and for the core to come back to it then.
    pub io_wait: Duration,
    /// Waiting for the log: from the moment at which its commit group was closed to the one at which the group was as durable
    /// as was asked; of a batch over several shards also until the others were prepared.
    pub flush_wait: Duration,
    /// From the shard's answer until the caller had it.
    pub reply: Duration,
}

impl CallReceipt {
    /// All of it.
    pub fn whole(&self) -> Duration {
        self.queue + self.cpu + self.io_wait + self.flush_wait + self.reply
    }
}

impl Receipt {
    /// Runs `work`, and says where the time of its calls went.
    pub fn of<R>(work: impl FnOnce() -> R) -> (R, Receipt) {
        let begun = Instant::now();
        let desk = Collecting::begin(Vec::new());
        let result = work();
        let calls = desk.end();
        let elapsed = begun.elapsed();
        (result, Receipt { calls, elapsed })
    }

    /// The same of a future. What is under way beside it on the same thread is not on the receipt.
    ///
    /// ```
    /// # use ringkeep::{Database, Options, Receipt};
    /// # let db = Database::in_memory(Options::small())?;
    /// # let main = async {
    /// let (version, receipt) = Receipt::of_async(db.put_async("key", "value")).await;
    /// println!("version {} took\n{receipt}", version?);
    /// # Ok::<(), ringkeep::Error>(())
    /// # };
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(main)?;
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub async fn of_async<R>(work: impl Future<Output = R>) -> (R, Receipt) {
        let begun = Instant::now();
        let mut work = pin!(work);
        let mut calls = Vec::new();
        let result = poll_fn(|context| {
            let desk = Collecting::begin(std::mem::take(&mut calls));
            let polled = work.as_mut().poll(context);
            calls = desk.end();
            polled
        })
        .await;
        let elapsed = begun.elapsed();
        (result, Receipt { calls, elapsed })
    }
}

/// While it lives, this thread's calls are collected, and not those of whoever collected before.
struct Collecting {
    outer: Vec<CallReceipt>,
    outer_asked: bool,
}

impl Collecting {
    fn begin(calls: Vec<CallReceipt>) -> Collecting {
        Collecting {
            outer: CALLS.replace(calls),
            outer_asked: ASKED_FOR.replace(true),
        }
    }

    fn end(self) -> Vec<CallReceipt> {
        CALLS.take()
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        ASKED_FOR.set(self.outer_asked);
        CALLS.replace(std::mem::take(&mut self.outer));
    }
}

/// Whoever calls now wants a receipt.
pub(super) fn asked_for() -> bool {
    ASKED_FOR.get()
}

/// What the shard's thread noted of a call, for its caller.
pub(crate) struct Slip {
    pub(crate) operation: Operation,
    pub(crate) watched: Watched,
}

impl Slip {
    /// The caller has the answer.
    pub(crate) fn hand_in(self, shard: ShardId, now: Nanos) {
        if !asked_for() {
            return;
        }
        let Watched { spent, answered } = self.watched;
        let [queue, cpu, io_wait, flush_wait] = spent.map(Duration::from_nanos);
        let call = CallReceipt {
            shard,
            operation: self.operation,
            queue,
            cpu,
            io_wait,
            flush_wait,
            reply: Duration::from_nanos(now.saturating_sub(answered)),
        };
        CALLS.with_borrow_mut(|calls| calls.push(call));
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}", "")?;
        for part in ["queue", "cpu", "I/O wait", "flush wait", "reply", "whole"] {
            write!(f, "{part:>12}")?;
        }
        for call in &self.calls {
            let name = format!("{}, shard {}", call.operation, call.shard);
            write!(f, "\n{name:<24}")?;
            let parts = [
                call.queue,
                call.cpu,
                call.io_wait,
                call.flush_wait,
                call.reply,
                call.whole(),
            ];
            for part in parts {
                write!(f, "{:>12}", Short(part))?;
            }
        }
        write!(f, "\n{:<84}{:>12}", "in all", Short(self.elapsed))
    }
}

//! Everything that a run does, drawn from a seed beforehand. A plan is data: it can be printed, kept, and
//! made shorter.

use std::fmt;

use ringkeep::{Codec, Durability, KeyspaceOptions, Options, Retention, ShardOptions};
use ringkeep_io::{Crash, Doing, Latency, Probabilities, SimulatedOptions};
use serde::{Deserialize, Serialize};

/// One database and its lives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what the disk does where the plan leaves it open.
    pub seed: u64,
    /// The database and the machine.
    pub setting: Setting,
    /// From an opening to a stop, each.
    pub lives: Vec<Life>,
    /// Each power cut within an operation is looked at in so many other ways, too, on copies of the disk.
    #[serde(default)]
    pub ways: usize,
}

/// Sizes and speeds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the options that they set")]
pub struct Setting {
    pub shards: u16,
    pub hosts: usize,
    pub clients: usize,
    pub keys: u32,
    pub memtable_bytes: usize,
    pub cache_bytes: usize,
    pub rows_bytes: usize,
    pub segment_bytes: u64,
    pub group_bytes: usize,
    pub table_bytes: u64,
    pub runs_max: usize,
    pub idle_close_after: u64,
    /// Of the log's tail; 0 for none.
    #[serde(default)]
    pub tail_bytes: usize,
    /// Versions of the past that are kept; 0 for none.
    #[serde(default)]
    pub retention: u64,
    /// The same of each named keyspace, where it is not that of the database.
    #[serde(default)]
    pub windows: Vec<Option<u64>>,
    /// How each named keyspace is compressed, where it is not as the database: by the codec's number.
    #[serde(default)]
    pub codecs: Vec<Option<u8>>,
    /// Values from here on go to blob files.
    #[serde(default)]
    pub blob_bytes: Option<usize>,
    pub latency_least: u64,
    pub latency_most: u64,
    pub tail_per_mille: u64,
    pub tail_factor: u64,
    pub short_per_mille: u64,
    /// How much longer than others an operation takes that fails.
    #[serde(default)]
    pub failing_factor: u64,
}

/// From one opening to one stop.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Life {
    /// The power goes after so many operations of an opening, once for each, before it succeeds.
    pub cuts_while_opening: Vec<u64>,
    /// Before all of that the logs' tails are damaged, cut, lost, or what they were once.
    #[serde(default)]
    pub harms_tails: bool,
    /// How large tails are in this life, where that is not as in the others.
    #[serde(default)]
    pub tail_bytes: Option<usize>,
    /// Before that the process is killed after so many, once for each.
    #[serde(default)]
    pub kills_while_opening: Vec<u64>,
    /// Operations of an opening fail, once for each, before it succeeds.
    #[serde(default)]
    pub fails_while_opening: Vec<Failing>,
    /// What is done then.
    pub steps: Vec<Step>,
    /// And how it ends.
    pub end: End,
}

/// So many operations of a kind fail, after some that do not.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Failing {
    pub doing: Fault,
    pub spared: u64,
    pub times: u64,
}

/// One thing that a client, or fate, does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Who; fate's steps have none.
    pub client: usize,
    /// What.
    pub action: Action,
}

/// What can be done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// One key: bytes of its value, or its removal.
    Write(u32, Option<u32>, Promise),
    /// Several keys at once.
    Batch(Vec<(u32, Option<u32>)>, Promise),
    /// The keys of a range, behind some changes and before others.
    DeleteRange {
        before: Vec<(u32, Option<u32>)>,
        from: u32,
        to: u32,
        after: Vec<(u32, Option<u32>)>,
        promise: Promise,
    },
    /// One key.
    Get(u32),
    /// Several keys of one instant.
    MultiGet(Vec<u32>),
    /// The keys of a range.
    Scan { from: u32, to: u32, reverse: bool },
    /// A transaction over keys.
    Transact(Transact),
    /// A transaction that reads lists and appends to others.
    Append {
        reads: Vec<u32>,
        appends: Vec<u32>,
        think: u8,
        serializable: bool,
    },
    /// Something with a named keyspace.
    Space { space: u32, action: SpaceAction },
    /// Reads everything as it was so many versions ago.
    AsOf { back: u64, reverse: bool },
    /// Makes a scan of everything and keeps it.
    Pin,
    /// Reads the oldest scan that is kept.
    ReadPinned { reverse: bool },
    /// Memory to tables.
    Flush,
    /// Tables to one run.
    Compact,
    /// Waits until no client waits.
    Wait,
    /// Lets so much time pass.
    Pause { nanos: u64 },
    /// Waits until the database has nothing to do, and looks for leaks.
    Idle,
    /// So many operations of a kind fail, after some that do not.
    Fail {
        doing: Fault,
        spared: u64,
        times: u64,
    },
    /// Faults that have not struck never will.
    Heal,
    /// The disk has only this much room left.
    Fill { bytes: u64 },
    /// The disk has room again.
    Free,
    /// The next operation of a kind does not end.
    Stick(Fault),
    /// One host gets no core for so many nanoseconds.
    Hold { host: usize, nanos: u64 },
    /// It ends.
    Unstick,
    /// The wall clock is set forward, or back.
    MoveClock { millis: i64 },
    /// Reads everything as it was so many milliseconds ago.
    AsOfTime { back: u64, reverse: bool },
    /// The power goes here in so many different ways, each on a copy of the disk.
    CutCopies { count: u64 },
    /// The process is killed here so many times, each on a copy of the disk.
    KillCopies { count: u64 },
    /// One bit turns over on a copy of the quiet disk, so many times.
    FlipCopies { count: u64 },
    /// A write of a flush lands elsewhere, on a copy of the quiet disk.
    MisdirectCopies { count: u64 },
}

/// Reads, and then changes if nothing came between.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Transact {
    /// Keys read.
    pub reads: Vec<u32>,
    /// And a range.
    pub range: Option<(u32, u32)>,
    /// A range that it removes before its changes.
    #[serde(default)]
    pub removes: Option<(u32, u32)>,
    /// Changes; none of the keys that are read.
    pub ops: Vec<(u32, Option<u32>)>,
    /// Turns between reading and changing.
    pub think: u8,
    pub serializable: bool,
    pub promise: Promise,
}

/// What is done with a named keyspace.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum SpaceAction {
    /// It is made.
    Make,
    /// It is dropped.
    Drop,
    /// One key: bytes of its value.
    Put(u32, u32),
    /// The keys from one number on and below another are removed.
    DeleteRange(u32, u32),
    /// All of it.
    Read {
        /// From its end.
        reverse: bool,
    },
    /// All of it in a snapshot, which is kept.
    Keep,
    /// All of it in the oldest snapshot that is kept of it.
    ReadKept {
        /// From its end.
        reverse: bool,
    },
    /// All of it as it was so many versions ago.
    AsOf {
        /// So many.
        back: u64,
        /// In a snapshot that the database gives, not the keyspace.
        by_database: bool,
    },
}

/// When a write may be acknowledged.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the engine")]
pub enum Promise {
    Sync,
    Periodic(u64),
    Buffered,
}

/// What fails.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the door to the kernel")]
pub enum Fault {
    Read,
    Write,
    Sync,
    SyncDirectory,
    Create,
    Allocate,
    Remove,
    Open,
    Store,
}

impl Fault {
    /// Each, the log's tail among them.
    pub fn all() -> impl Iterator<Item = Fault> {
        Fault::DRAWN.into_iter().chain([Fault::Store])
    }

    /// In the order in which seeds draw them.
    pub const DRAWN: [Fault; 8] = [
        Fault::Read,
        Fault::Write,
        Fault::Sync,
        Fault::SyncDirectory,
        Fault::Create,
        Fault::Allocate,
        Fault::Remove,
        Fault::Open,
    ];
}

/// How a life ends.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum End {
    /// The power goes within an operation, after so many.
    Cut { spared: u64, leaves: Leaves },
    /// The process is killed after so many operations.
    Kill { spared: u64 },
    /// The same in the midst of a turn, within an operation.
    KillWithin { spared: u64 },
    /// It is closed; then the power may go, or already within this operation of the closing.
    Close {
        cut: bool,
        #[serde(default)]
        within: Option<u64>,
    },
    /// The last handle is dropped; then the power may go, or already within this operation of the end.
    Drop {
        cut: bool,
        #[serde(default)]
        within: Option<u64>,
    },
}

/// What a power cut leaves of what was not durable.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in the simulated disk")]
pub enum Leaves {
    Random,
    Nothing,
    Everything,
    Writes,
    Sectors,
}

/// So many versions, or nothing on purpose.
fn retention(versions: u64) -> Retention {
    match versions {
        0 => Retention::None,
        versions => Retention::Versions(versions),
    }
}

impl Setting {
    /// What a named keyspace is made with.
    pub fn keyspace(&self, space: u32) -> KeyspaceOptions {
        KeyspaceOptions {
            retention: self.window(space).map(retention),
            codec: self.codec(space),
            ..KeyspaceOptions::default()
        }
    }

    fn window(&self, space: u32) -> Option<u64> {
        self.windows.get(space as usize).copied().flatten()
    }

    fn codec(&self, space: u32) -> Option<Codec> {
        let number = self.codecs.get(space as usize).copied().flatten();
        number.and_then(Codec::from_byte)
    }

    /// How many versions of a named keyspace are kept.
    pub fn kept_of(&self, space: u32) -> u64 {
        self.window(space).unwrap_or(self.retention)
    }

    /// What the database is opened with, in a life with tails so large.
    pub fn options(&self, tail_bytes: Option<usize>) -> Options {
        Options {
            shards: Some(self.shards),
            threads: Some(self.hosts),
            retention: retention(self.retention),
            shard: Some(ShardOptions {
                memtable_bytes: self.memtable_bytes,
                // Where both may have some, they fight for it.
                caches_bytes: self.cache_bytes.max(self.rows_bytes),
                cache_bytes: self.cache_bytes,
                rows_bytes: self.rows_bytes,
                warm: self.rows_bytes > 4 << 10,
                segment_bytes: self.segment_bytes,
                group_bytes: self.group_bytes,
                table_bytes: self.table_bytes,
                runs_max: self.runs_max,
                blob_bytes: self.blob_bytes,
                tail_bytes: tail_bytes.unwrap_or(self.tail_bytes),
                idle_close_after: self.idle_close_after,
                ..ShardOptions::for_budget(1 << 20)
            }),
            ..Options::default()
        }
    }

    /// What the disk is like.
    pub fn disk(&self) -> SimulatedOptions {
        SimulatedOptions {
            latency: Latency {
                least: self.latency_least,
                most: self.latency_most,
                tail_probability: self.tail_per_mille as f64 / 1000.0,
                tail_factor: self.tail_factor,
            },
            bytes_per_second: None,
            probabilities: Probabilities {
                short: self.short_per_mille as f64 / 1000.0,
                ..Probabilities::default()
            },
            // Coarse, so that whoever polls instead of sleeping is not polled too often.
            turn_nanos: 2_000,
            failing_factor: self.failing_factor,
            ..SimulatedOptions::default()
        }
    }

    /// The longest that one operation takes, unless it is stuck.
    pub fn slowest(&self) -> u64 {
        let tail = if self.tail_per_mille > 0 {
            self.tail_factor.max(1)
        } else {
            1
        };
        self.latency_most * tail
    }
}

impl Promise {
    /// For the engine.
    pub fn durability(self) -> Durability {
        match self {
            Promise::Sync => Durability::Sync,
            Promise::Periodic(every) => Durability::Periodic(every),
            Promise::Buffered => Durability::Buffered,
        }
    }
}

impl Fault {
    /// For the disk.
    pub fn doing(self) -> Doing {
        match self {
            Fault::Read => Doing::Read,
            Fault::Write => Doing::Write,
            Fault::Sync => Doing::Sync,
            Fault::SyncDirectory => Doing::SyncDirectory,
            Fault::Create => Doing::Create,
            Fault::Allocate => Doing::Allocate,
            Fault::Remove => Doing::Remove,
            Fault::Open => Doing::Open,
            Fault::Store => Doing::Store,
        }
    }
}

impl Leaves {
    /// For the disk.
    pub fn crash(self) -> Crash {
        match self {
            Leaves::Random => Crash::Random,
            Leaves::Nothing => Crash::LoseAll,
            Leaves::Everything => Crash::KeepAll,
            Leaves::Writes => Crash::Writes,
            Leaves::Sectors => Crash::Sectors,
        }
    }
}

impl Default for End {
    fn default() -> End {
        End::CLOSE
    }
}

impl End {
    /// A closing that nothing disturbs.
    pub const CLOSE: End = End::Close {
        cut: false,
        within: None,
    };
}

impl Plan {
    /// The other ways of a power cut.
    pub fn ways(&self) -> Vec<Crash> {
        let chosen = [Crash::LoseAll, Crash::KeepAll, Crash::Writes];
        let all = chosen.into_iter().chain(
            [Crash::Sectors, Crash::Writes, Crash::Sectors]
                .into_iter()
                .cycle(),
        );
        all.take(self.ways).collect()
    }

    /// Steps of all lives.
    pub fn steps(&self) -> usize {
        self.lives.iter().map(|life| life.steps.len()).sum()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}: {:?}", self.client, self.action)
    }
}

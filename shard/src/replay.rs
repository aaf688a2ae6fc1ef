//! What the log says, in memory: the first half of opening a shard, and the one that takes time. It
//! may be done on another thread than the shard's own, so that no core sits idle while another one
//! has several logs to read.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Directory, Io};

use crate::call::Change;
use crate::cross_shard::Transactions;
use crate::error::{Error, Result};
use crate::log::format::{Changes, Read, take_change, take_record};
use crate::log::recovery::{LogEnd, Replay, ReplayedGroup};
use crate::log::segments::slot_name;
use crate::log::tail::Owed;
use crate::manifest::{Manifest, ManifestStore};
use crate::memtable::{BulkMemtable, Memtable};
use crate::ranges::RangeDelete;
use crate::shard::{Identity, Recovered, ShardOptions, TransactionId};
use crate::superblock::Chosen;
use crate::timeline::Moment;
use crate::version::{ShardId, Version};

/// A log that was read to its end and judged.
pub struct ReplayedLog {
    /// Which manifest it was read by.
    pub(crate) chosen: Chosen,
    /// Oldest first; the last one is not full.
    pub(crate) generations: Vec<ReplayedGeneration>,
    pub(crate) transactions: Transactions,
    pub(crate) newest: Version,
    /// Of commits whose time was kept.
    pub(crate) moments: Vec<Moment>,
    pub(crate) end: LogEnd,
    /// What the log lacks of it.
    pub(crate) owed: Vec<Owed>,
    pub(crate) recovered: Recovered,
}

/// One memtable's worth.
pub(crate) struct ReplayedGeneration {
    pub table: Memtable,
    pub ranges: Vec<RangeDelete>,
    /// The last frame in it.
    pub last_sequence: u64,
    /// The oldest prepare frame whose changes are in it.
    pub needs_from: u64,
}

/// The one that takes what is read.
struct Filling {
    table: BulkMemtable,
    ranges: Vec<RangeDelete>,
    needs_from: u64,
}

impl Filling {
    fn new(memtable_bytes: usize) -> Filling {
        Filling {
            table: BulkMemtable::new(memtable_bytes),
            ranges: Vec::new(),
            needs_from: u64::MAX,
        }
    }

    fn end(self, last_sequence: u64) -> ReplayedGeneration {
        ReplayedGeneration {
            table: self.table.finish(),
            ranges: self.ranges,
            last_sequence,
            needs_from: self.needs_from,
        }
    }
}

/// Reads the whole log and writes nothing.
pub(crate) async fn read_log(
    io: &Io,
    directory: &Directory,
    identity: &Identity,
    options: &ShardOptions,
) -> Result<ReplayedLog> {
    let store = ManifestStore::open(io, directory, identity).await?;
    let manifest = store.with(Manifest::clone);
    let mut replay = Replay::open(io, directory, identity, &manifest).await?;
    let mut state = State {
        full: Vec::new(),
        filling: Filling::new(options.memtable_bytes),
        transactions: Transactions::default(),
        prepared: BTreeMap::new(),
        newest: manifest.newest,
        moments: Vec::new(),
        flushed: manifest.flushed,
    };
    while let Some(group) = next_group(io, &mut replay, &mut state.filling.table).await? {
        state.apply(&group, replay.payload())?;
        state.seal_if_full(options, group.last_sequence);
    }
    let (frames, bytes, torn) = (replay.frames, replay.bytes, replay.torn);
    let end = replay.into_end();
    let owed = end.read_tail(directory, identity)?;
    for Owed {
        sequence, payload, ..
    } in &owed
    {
        let frame = ReplayedGroup {
            first_sequence: *sequence,
            last_sequence: *sequence,
            // Its groups bring their own.
            version: Version(0),
            millis: 0,
        };
        state.apply(&frame, payload)?;
        state.seal_if_full(options, *sequence);
    }
    let newest = state.newest;
    let moments = std::mem::take(&mut state.moments);
    let (generations, transactions) = state.end();
    Ok(ReplayedLog {
        chosen: store.chosen(),
        generations,
        newest,
        moments,
        transactions,
        recovered: Recovered {
            frames,
            bytes,
            torn,
            from_tail: owed.iter().map(|owed| owed.groups).sum(),
            last_sequence: owed.last().map_or(end.last.sequence, |last| last.sequence),
        },
        end,
        owed,
    })
}

/// The next group; as long as it is on its way, work on what has been read.
async fn next_group(
    io: &Io,
    replay: &mut Replay,
    table: &mut BulkMemtable,
) -> Result<Option<ReplayedGroup>> {
    let mut next = pin!(replay.next_group());
    poll_fn(|context| {
        loop {
            match next.as_mut().poll(context) {
                Poll::Pending if table.index_some() => drop(io.turn()),
                outcome => return outcome,
            }
        }
    })
    .await
}

/// What the groups read so far add up to.
struct State {
    full: Vec<ReplayedGeneration>,
    filling: Filling,
    transactions: Transactions,
    /// Parts of commits over several shards whose outcome has not come yet: nearly all of them get
    /// theirs a few frames on, so their changes stay as they were read.
    prepared: BTreeMap<TransactionId, Part>,
    newest: Version,
    moments: Vec<Moment>,
    /// What frames up to this one changed is in tables.
    flushed: u64,
}

struct Part {
    coordinator: ShardId,
    changes: Vec<u8>,
    sequence: u64,
    since: Version,
}

impl State {
    fn apply(&mut self, group: &ReplayedGroup, payload: &[u8]) -> Result<()> {
        // A frame of several groups names them one by one.
        let mut version = group.version;
        self.begin_group(version, group.millis);
        // A part is applied before its outcome is logged, and a later write to its keys is logged after that. So
        // of an outcome behind `flushed` nothing newer is in tables, and of one before it the part itself is.
        let in_tables = group.last_sequence <= self.flushed && !planted(Defect::TablesReplayed);
        let mut rest = payload;
        while !rest.is_empty() {
            let read = take_record(&mut rest).ok_or_else(|| Error::CorruptAcked {
                file: slot_name(0),
                offset: 0,
                detail: format!(
                    "frame {} has a good checksum but does not parse",
                    group.last_sequence
                ),
            })?;
            match read {
                Read::Change(first) => {
                    let more = std::iter::from_fn(|| take_change(&mut rest));
                    let changes = std::iter::once(first).chain(more);
                    match in_tables {
                        true => changes.for_each(drop),
                        false => self.insert(changes, version),
                    }
                }
                Read::Range(span) => {
                    if !in_tables {
                        self.filling.ranges.push(span.at(version));
                    }
                }
                Read::Prepare {
                    transaction,
                    coordinator,
                    changes,
                } => {
                    let part = Part {
                        coordinator,
                        changes: changes.bytes().to_vec(),
                        sequence: group.first_sequence,
                        since: version,
                    };
                    self.prepared.insert(transaction, part);
                }
                Read::Decide {
                    transaction,
                    participants,
                    changes,
                } => {
                    if !in_tables {
                        self.insert_all(changes, version);
                    }
                    self.transactions.decided(
                        transaction,
                        version,
                        group.first_sequence,
                        &participants,
                    );
                }
                Read::Group {
                    version: next,
                    millis,
                } => {
                    version = next;
                    self.begin_group(version, millis);
                }
                Read::Outcome {
                    transaction,
                    version,
                } => {
                    let part = self.prepared.remove(&transaction);
                    if let (Some(part), Some(version)) = (part, version) {
                        self.newest = self.newest.max(version);
                        if !in_tables {
                            self.insert_all(Changes::of(&part.changes), version);
                            self.filling.needs_from = self.filling.needs_from.min(part.sequence);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn seal_if_full(&mut self, options: &ShardOptions, last_sequence: u64) {
        if self.filling.table.bytes() >= options.memtable_bytes {
            let next = Filling::new(options.memtable_bytes);
            let full = std::mem::replace(&mut self.filling, next);
            self.full.push(full.end(last_sequence));
        }
    }

    fn begin_group(&mut self, version: Version, millis: u64) {
        self.newest = self.newest.max(version);
        self.note_time(version, millis);
    }

    /// The last of each millisecond is enough.
    fn note_time(&mut self, version: Version, millis: u64) {
        if millis == 0 {
            return;
        }
        match self.moments.last_mut() {
            Some(last) if last.millis == millis => last.version = version,
            _ => self.moments.push(Moment { millis, version }),
        }
    }

    fn insert<'a>(&mut self, changes: impl IntoIterator<Item = Change<'a>>, version: Version) {
        self.filling.table.insert(changes, version);
    }

    fn insert_all(&mut self, changes: Changes<'_>, version: Version) {
        let ranges = changes.ranges().map(|span| span.at(version));
        self.filling.ranges.extend(ranges);
        self.insert(changes, version);
    }

    /// The parts left over are in doubt: only their coordinator knows.
    fn end(self) -> (Vec<ReplayedGeneration>, Transactions) {
        let (mut generations, mut transactions) = (self.full, self.transactions);
        generations.push(self.filling.end(u64::MAX));
        for (transaction, part) in self.prepared {
            let ops = Changes::of(&part.changes).ops();
            let Part {
                coordinator,
                sequence,
                since,
                ..
            } = part;
            transactions.replay_prepare(transaction, coordinator, ops, sequence, since);
        }
        (generations, transactions)
    }
}

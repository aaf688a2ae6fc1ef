//! What clients know of the database: every write of this life, when it was asked for and when it was
//! known to have happened. From that follows what a read, a scan or a recovery may show.
//!
//! ```text
//!   mod.rs        writes, and which of two to one key came later
//!   reads.rs      what a read or a scan may show
//!   transactions.rs   what nobody may change while a transaction depends on it
//!   lists.rs      lists that transactions append to, and who saw them as what
//!   spaces.rs     keyspaces: which there are, and what is in them
//!   recovery.rs   what may be there after a stop
//! ```

mod lists;
mod reads;
mod recovery;
mod spaces;
mod transactions;

pub use lists::{LISTS, Lists};
pub use reads::Snapshot;
pub use recovery::Loss;
pub use spaces::{Entries as SpaceEntries, SPACE_KEYS, SPACES, Spaces, name, space_key};
pub use transactions::Commit;

use std::cell::Cell;

use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::plan::Promise;

/// The time by which a read judged ends, as far as is known: milliseconds since 1970.
#[derive(Clone, Copy, Default)]
pub struct When {
    /// No earlier.
    pub from: u64,
    /// And no later.
    pub to: u64,
}

/// Position in the order of what clients see.
pub type Tick = u64;

/// A write of this life, by its place in the history.
pub type WriteId = usize;

/// What is under a key.
pub type Found = Option<Vec<u8>>;

/// The history of one life of a database, over what its opening found.
pub struct Model {
    /// Where each key lives.
    shards: Vec<u16>,
    keys: Vec<Key>,
    writes: Vec<Write>,
    /// Writes of earlier lives; values carry the sum.
    written_before: u64,
    /// The newest version that was acknowledged.
    newest: u64,
    /// The newest version that each shard's log has answered.
    answered: Vec<Answered>,
    unfinished: Vec<Snapshot>,
    commits: Vec<Commit>,
    /// Of the read that is judged.
    when: Cell<When>,
}

#[derive(Clone, Copy, Default)]
struct Answered {
    before: u64,
    /// What came at one tick came in no order that could be told.
    at: Tick,
    then: u64,
}

#[derive(Default)]
struct Key {
    base: Found,
    /// Where that is nothing: values that had ended by then, and are there for those who judge by an earlier time.
    ended: Vec<Vec<u8>>,
    /// In the order in which they were asked for.
    writes: Vec<WriteId>,
}

struct Write {
    ops: Vec<(u32, Option<u32>)>,
    promise: Promise,
    asked: Tick,
    /// When it was asked for, by the clock that ends are judged by.
    millis: u64,
    /// `newest` when it was asked for: its own version is above.
    above: u64,
    /// Acknowledged, or seen by a read: from then on all reads see it.
    settled: Option<Tick>,
    /// Virtual time of the acknowledgement.
    settled_at: u64,
    /// It happened: as `settled`, but also when only one shard of several has shown it.
    certain: bool,
    /// A flush since then has put it into tables.
    flushed: bool,
    version: Option<u64>,
    refused: bool,
    open: bool,
    /// The shard whose log decides: the first key's.
    coordinator: u16,
    over_shards: bool,
    /// Keys of a transaction that are held from its validation to its commit.
    holds_up: Vec<u32>,
}

/// Who may have left what was found under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// It was there when the database was opened.
    Base,
    Write(WriteId),
}

impl Model {
    /// An empty database whose keys live on these shards.
    pub fn new(shards: Vec<u16>) -> Model {
        let count = shards
            .iter()
            .max()
            .map_or(0, |shard| usize::from(*shard) + 1);
        Model {
            answered: vec![Answered::default(); count],
            keys: shards.iter().map(|_| Key::default()).collect(),
            shards,
            writes: Vec::new(),
            written_before: 0,
            newest: 0,
            unfinished: Vec::new(),
            commits: Vec::new(),
            when: Cell::default(),
        }
    }

    /// What is judged from here on was read then.
    pub fn judge_at(&self, when: When) {
        self.when.set(when);
    }

    /// Keys are numbered below this.
    pub fn keys(&self) -> u32 {
        self.keys.len() as u32
    }

    /// Takes a write down and gives its values.
    pub fn ask(
        &mut self,
        ops: Vec<(u32, Option<u32>)>,
        promise: Promise,
        now: Tick,
        millis: u64,
    ) -> (WriteId, Vec<Found>) {
        let id = self.writes.len();
        let coordinator = self.shards[ops[0].0 as usize];
        let over_shards = ops
            .iter()
            .any(|(key, _)| self.shards[*key as usize] != coordinator);
        let tag = self.tag(id);
        let values = ops
            .iter()
            .map(|(key, bytes)| {
                let bytes = (*bytes)?;
                Some(match content::stays(bytes) {
                    Some(time) => content::ending_value(tag, *key, bytes, millis + time),
                    None => content::value(tag, *key, bytes),
                })
            })
            .collect();
        for (key, _) in &ops {
            let writes = &mut self.keys[*key as usize].writes;
            if writes.last() != Some(&id) {
                writes.push(id);
            }
        }
        self.writes.push(Write {
            ops,
            promise,
            asked: now,
            millis,
            above: self.newest,
            settled: None,
            settled_at: 0,
            certain: false,
            flushed: false,
            version: None,
            refused: false,
            open: true,
            coordinator,
            over_shards,
            holds_up: Vec::new(),
        });
        (id, values)
    }

    /// The write has a part on each of so many shards, whatever its keys: it removes a range.
    pub fn is_on_all(&mut self, id: WriteId, shards: u16) {
        self.writes[id].over_shards |= shards > 1;
    }

    /// The write was answered with its version.
    pub fn acknowledge(&mut self, id: WriteId, version: u64, now: Tick, time: u64) -> Verdict {
        let newest = self.newest.max(version);
        let write = &mut self.writes[id];
        write.open = false;
        write.version = Some(version);
        write.settled.get_or_insert(now);
        write.settled_at = time;
        write.certain = true;
        self.newest = newest;
        let answered = &mut self.answered[usize::from(write.coordinator)];
        if answered.at < now {
            answered.before = answered.before.max(answered.then);
            answered.at = now;
        }
        answered.then = answered.then.max(version);
        if answered.before > version {
            let before = answered.before;
            return failed(
                Check::Versions,
                format!(
                    "{} is answered after version {before} of its shard",
                    self.tell(id)
                ),
            );
        }
        if version <= write.above {
            return failed(
                Check::Versions,
                format!(
                    "{} has version {version}, but {} was acknowledged before it was asked for",
                    self.tell(id),
                    self.writes[id].above
                ),
            );
        }
        Ok(())
    }

    /// The write was refused untouched: it must never show.
    pub fn refuse(&mut self, id: WriteId) -> Verdict {
        let write = &mut self.writes[id];
        write.open = false;
        write.refused = true;
        if write.certain {
            return failed(
                Check::Freshness,
                format!("{} was refused, but a read has shown it", self.tell(id)),
            );
        }
        Ok(())
    }

    /// Whether the write is kept shows after the next opening.
    pub fn leave_open(&mut self, id: WriteId) {
        self.writes[id].open = false;
    }

    /// A flush that was asked for at `asked` has succeeded.
    pub fn flushed(&mut self, asked: Tick) {
        for write in &mut self.writes {
            write.flushed |= write.settled.is_some_and(|settled| settled <= asked);
        }
    }

    /// The newest version that was acknowledged.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    fn tag(&self, id: WriteId) -> u64 {
        self.written_before + id as u64
    }

    /// Everybody who may have left this under the key, newest first. Removals look alike.
    fn holders(&self, key: u32, found: Option<&[u8]>) -> Vec<Holder> {
        let history = &self.keys[key as usize];
        let mut holders = Vec::new();
        for &id in history.writes.iter().rev() {
            let write = &self.writes[id];
            if !write.refused && write.leaves(self.tag(id), key, found, self.when.get()) {
                holders.push(Holder::Write(id));
            }
        }
        let base = history.base.as_deref();
        let base_until = base.and_then(content::until);
        if is_shown(base, base_until, found, self.when.get()) {
            holders.push(Holder::Base);
        }
        let when = self.when.get();
        let had_ended = |value: &Vec<u8>| {
            let until = content::until(value);
            Some(&value[..]) == found && until.is_some_and(|until| until > when.from)
        };
        if history.ended.iter().any(had_ended) {
            holders.push(Holder::Base);
        }
        holders
    }

    /// The write came after the holder, for certain, if it happened at all.
    fn is_after(&self, id: WriteId, holder: Holder) -> bool {
        let Holder::Write(other) = holder else {
            return true;
        };
        let (write, other_write) = (&self.writes[id], &self.writes[other]);
        match (write.version, other_write.version) {
            (Some(mine), Some(its)) if mine != its => mine > its,
            // Of one group the one that was asked for later is later, unless the first waited aside for a key that
            // an undecided batch held; a batch over several shards is in line only when the others have voted.
            (Some(_), Some(_)) => {
                let in_line = !write.over_shards && !other_write.over_shards;
                id > other && in_line && !self.may_have_waited(other_write)
            }
            _ => other_write
                .settled
                .is_some_and(|settled| settled < write.asked),
        }
    }

    /// A batch over several shards, or a transaction, that was asked for and not answered held one of its keys.
    fn may_have_waited(&self, write: &Write) -> bool {
        let shares_key = |batch: &Write| {
            let mut keys = write.ops.iter().map(|(key, _)| key);
            let holds = |key| batch.ops.iter().any(|(other, _)| other == key);
            keys.any(|key| holds(key) || batch.holds_up.contains(key))
        };
        self.writes.iter().any(|batch| {
            (batch.over_shards || !batch.holds_up.is_empty())
                && batch.settled.is_none_or(|settled| settled >= write.asked)
                && shares_key(batch)
        })
    }

    fn tell(&self, id: WriteId) -> String {
        let write = &self.writes[id];
        let fate = match (write.version, write.refused) {
            (_, true) => "refused".to_string(),
            (Some(version), _) => format!("acknowledged with version {version}"),
            _ if write.open => "unanswered".to_string(),
            _ => "unknown".to_string(),
        };
        format!(
            "write {} ({:?}, {:?}, {fate})",
            self.tag(id),
            write.ops,
            write.promise
        )
    }

    fn tell_holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Base => "what the opening found".into(),
            Holder::Write(id) => self.tell(id),
        }
    }

    pub fn tell_found(&self, key: u32, found: Option<&[u8]>) -> String {
        let place = format!("key {key} on shard {}", self.shards[key as usize]);
        match (self.holders(key, found).first(), found) {
            (Some(holder), _) => format!("{place} holds {}", self.tell_holder(*holder)),
            (None, None) => format!("{place} is missing, and nobody removed it"),
            (None, Some(bytes)) => format!(
                "{place} holds {} bytes that nobody left there in this life: {:02x?}",
                bytes.len(),
                &bytes[..bytes.len().min(16)]
            ),
        }
    }
}

impl Write {
    fn leaves(&self, tag: u64, key: u32, found: Option<&[u8]>, when: When) -> bool {
        if let Some(value) = self.ending(tag, key) {
            return is_shown(Some(&value), content::until(&value), found, when);
        }
        match (self.op(key), found) {
            (Some(Some(bytes)), Some(found)) => content::is_value(found, tag, key, bytes),
            (Some(None), None) => true,
            _ => false,
        }
    }

    /// The last change of a key in a batch is the one that counts.
    fn op(&self, key: u32) -> Option<Option<u32>> {
        let mut ops = self.ops.iter().rev();
        ops.find(|(other, _)| *other == key)
            .map(|(_, bytes)| *bytes)
    }

    /// The value that it leaves under the key, if that is one that ends.
    fn ending(&self, tag: u64, key: u32) -> Option<Vec<u8>> {
        let bytes = self.op(key)??;
        let until = self.millis + content::stays(bytes)?;
        Some(content::ending_value(tag, key, bytes, until))
    }
}

/// Whether a read shows a value like this: the value until it ends, and nothing from then on.
fn is_shown(value: Option<&[u8]>, until: Option<u64>, found: Option<&[u8]>, when: When) -> bool {
    match (found, until) {
        (Some(_), Some(until)) => found == value && until > when.from,
        (None, Some(until)) => until <= when.to,
        _ => found == value,
    }
}

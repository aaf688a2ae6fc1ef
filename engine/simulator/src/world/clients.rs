//! Calls under way, and their answers. Every client is one future at a time, polled after each turn of the
//! hosts; that is all the concurrency there is, and it is the engine's own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use ringkeep::simulation::{self, ByHand, Moment};
use ringkeep::{Error, Scan, ShardError, Version};

use super::spaces::{Asking, Kept, Spaced};
use super::transactions::{Appended, Goal, Transacted};
use super::{Causes, Open, World};
use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::model::{Found, Snapshot, Tick, When, WriteId};
use crate::random::mix;

/// Turns without any answer after which nothing more is to be expected.
const TURNS_MAX: u64 = 200_000;
/// And virtual time.
const NANOS_MAX: u64 = 600_000_000_000;

/// Of these, in a row and without an operation of the disk. Fewer than there are between two tries on a full one.
const BUSY_TURNS_MAX: u64 = 20_000;

/// While an operation is stuck or the disk full, what waits for it is left alone after so many.
const TURNS_WHILE_HINDERED: u64 = 200;

pub(super) type Call = Pin<Box<dyn Future<Output = Answer>>>;

/// What a call gives.
pub(super) enum Answer {
    Written(ringkeep::Result<Version>),
    Value(ringkeep::Result<Found>),
    Values(ringkeep::Result<Vec<Found>>),
    Scanned(ringkeep::Result<Vec<(Vec<u8>, Vec<u8>)>>),
    Done(ringkeep::Result<()>),
    Transacted(Transacted),
    Spaced(Spaced),
    Appended(Appended),
}

/// What a call was for.
pub(super) enum Asked {
    Write(WriteId),
    Get(u32),
    MultiGet(Vec<u32>),
    Scan {
        at: Moment,
        keys: Vec<u32>,
        reverse: bool,
        /// Of entries.
        limit: usize,
    },
    Flush,
    Compact,
    Transact(Goal),
    Space(Asking),
    /// By its place in the history of the lists.
    Append(usize),
}

struct Client {
    call: Call,
    asked: Asked,
    since: Tick,
    /// The time by which the present judged ends then.
    millis: u64,
}

/// Everybody who uses the database.
pub(super) struct Clients {
    working: Vec<Option<Client>>,
    /// Scans that were made and not read, with when.
    pub pinned: VecDeque<(Scan, Tick)>,
    /// Snapshots of keyspaces.
    pub kept: Vec<Kept>,
}

impl Clients {
    pub fn new(count: usize) -> Clients {
        Clients {
            working: (0..count).map(|_| None).collect(),
            pinned: VecDeque::new(),
            kept: Vec::new(),
        }
    }

    pub fn is_free(&self, client: usize) -> bool {
        self.working[client].is_none()
    }

    pub fn all_free(&self) -> bool {
        self.working.iter().all(Option::is_none)
    }

    /// Scans under way and kept, and snapshots.
    pub fn scans(&self) -> usize {
        let scanning = |client: &&Client| {
            matches!(
                client.asked,
                Asked::Scan { .. } | Asked::Transact(_) | Asked::Append(_)
            )
        };
        let kept = self.pinned.len() + self.kept.len();
        kept + self.working.iter().flatten().filter(scanning).count()
    }

    /// Everybody goes home.
    pub fn clear(&mut self) {
        self.working.iter_mut().for_each(|client| *client = None);
        self.pinned.clear();
        self.kept.clear();
    }

    /// For where nothing may be dropped any more.
    pub fn take_all(&mut self) -> impl Sized + use<> {
        (
            std::mem::take(&mut self.working),
            std::mem::take(&mut self.pinned),
            std::mem::take(&mut self.kept),
        )
    }
}

impl World<'_> {
    pub(super) fn ask(
        &mut self,
        open: &Open,
        client: usize,
        asked: Asked,
        since: Tick,
        call: Call,
    ) {
        self.clients.working[client] = Some(Client {
            call,
            asked,
            since,
            millis: simulation::now(&open.db),
        });
    }

    /// Drives one call to its end, with nobody else there.
    pub(super) fn drive<R>(&self, hosts: &ByHand, call: impl Future<Output = R>) -> Verdict<R> {
        let mut call = pin!(call);
        let mut context = Context::from_waker(Waker::noop());
        let until = self.disk.now() + NANOS_MAX;
        for _ in 0..TURNS_MAX {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
                return Ok(answer);
            }
            if self.disk.now() > until {
                break;
            }
            self.turn(hosts)?;
        }
        failed(Check::Progress, "a call is never answered")
    }

    /// A turn, and a sleep behind it if that has left nothing to do. Whoever is busy for long and asks nothing of the disk
    /// goes round in circles.
    pub(super) fn turn(&self, hosts: &ByHand) -> Verdict {
        let crashes = self.disk.crashes();
        let more = hosts.turn();
        if !more && self.disk.crashes() == crashes {
            hosts.park();
        }
        let operations = self.disk.operations();
        let (since, turns) = self.busy.get();
        let turns = if more && since == operations {
            turns + 1
        } else {
            0
        };
        self.busy.set((operations, turns));
        if turns > BUSY_TURNS_MAX {
            return failed(
                Check::Progress,
                format!("busy with nothing for {turns} turns: {}", self.waiting()),
            );
        }
        Ok(())
    }

    /// The same, or nothing when the power goes.
    pub(super) fn drive_until_cut<R>(
        &self,
        open: &Open,
        call: impl Future<Output = R>,
    ) -> Verdict<Option<R>> {
        let mut call = pin!(call);
        let call = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Pending if open.is_cut(&self.disk) => Poll::Ready(None),
            answer => answer.map(Some),
        });
        self.drive(&open.hosts, call)
    }

    /// Turns until `done`, or until the power is gone; false then.
    pub(super) fn turn_until(
        &mut self,
        open: &Open,
        done: impl Fn(&World<'_>) -> bool,
    ) -> Verdict<bool> {
        let mut turns = 0;
        let mut since = self.disk.now();
        loop {
            if self.poll_clients(open)? {
                (turns, since) = (0, self.disk.now());
            }
            if open.is_cut(&self.disk) {
                return Ok(false);
            }
            if done(self) {
                return Ok(true);
            }
            self.turn(&open.hosts)?;
            self.now += 1;
            turns += 1;
            let waited = self.disk.now() - since;
            let is_hindered = self.causes.stuck || self.is_full;
            if (turns > TURNS_MAX || waited > NANOS_MAX) && !is_hindered {
                return failed(
                    Check::Progress,
                    format!(
                        "no answer in {turns} turns and {waited} ns: {}",
                        self.waiting()
                    ),
                );
            }
            if is_hindered && turns > TURNS_WHILE_HINDERED {
                return Ok(true);
            }
        }
    }

    pub(super) fn waiting(&self) -> String {
        let working = self.clients.working.iter().enumerate();
        let names = working.filter_map(|(number, client)| {
            let asked = match client.as_ref()?.asked {
                Asked::Write(id) => format!("write {id}"),
                Asked::Get(_) => "a get".into(),
                Asked::MultiGet(_) => "a multi-get".into(),
                Asked::Scan { .. } => "a scan".into(),
                Asked::Flush => "a flush".into(),
                Asked::Compact => "a compaction".into(),
                Asked::Transact(_) | Asked::Append(_) => "a transaction".into(),
                Asked::Space(_) => "a keyspace".into(),
            };
            Some(format!("client {number} waits for {asked}"))
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// True when somebody got an answer. After the power went only good news counts: what was answered had
    /// been done before.
    pub(super) fn poll_clients(&mut self, open: &Open) -> Verdict<bool> {
        let mut context = Context::from_waker(Waker::noop());
        let mut any = false;
        for number in 0..self.clients.working.len() {
            let Some(client) = &mut self.clients.working[number] else {
                continue;
            };
            let Poll::Ready(answer) = client.call.as_mut().poll(&mut context) else {
                continue;
            };
            any = true;
            let client = self.clients.working[number].take().expect("just polled");
            if open.is_cut(&self.disk) && !answer.is_written() {
                continue;
            }
            self.totals.answers += 1;
            self.model.judge_at(When {
                from: client.millis,
                to: simulation::now(&open.db),
            });
            self.take_answer(number, client, answer)?;
        }
        Ok(any)
    }

    fn take_answer(&mut self, number: usize, client: Client, answer: Answer) -> Verdict {
        let Client { asked, since, .. } = client;
        match (asked, answer) {
            (Asked::Write(id), Answer::Written(Ok(version))) => {
                self.say(|| format!("client {number}: write {id} has version {version}"));
                self.see(version.0);
                self.totals.acknowledged += 1;
                self.model
                    .acknowledge(id, version.0, self.now, self.disk.now())
            }
            (Asked::Write(id), Answer::Written(Err(error))) => {
                self.say(|| format!("client {number}: write {id}: {error}"));
                self.totals.errors += 1;
                self.see(mix(u64::from(error.is_full())));
                if error.is_unknown() {
                    self.model.leave_open(id);
                } else {
                    self.model.refuse(id)?;
                }
                self.explain(&error)
            }
            (Asked::Get(key), Answer::Value(Ok(found))) => {
                self.see_value(found.as_deref());
                self.model.read(key, found.as_deref(), since, self.now)
            }
            (Asked::MultiGet(keys), Answer::Values(Ok(values))) => {
                values
                    .iter()
                    .for_each(|value| self.see_value(value.as_deref()));
                let found: Vec<_> = keys.into_iter().zip(values).collect();
                self.model.read_together(&found, since, self.now)
            }
            (
                Asked::Scan {
                    at,
                    keys,
                    reverse,
                    limit,
                },
                Answer::Scanned(Ok(entries)),
            ) => {
                self.see(entries.len() as u64);
                self.totals.scans += 1;
                let keys = within(limit, keys, &entries, reverse)?;
                let found = in_order(&keys, entries, reverse)?;
                let snapshot = snapshot(at, found);
                self.model.scanned(snapshot, since, self.now)
            }
            (Asked::Transact(goal), Answer::Transacted(answer)) => {
                self.take_transacted(number, since, &goal, answer)
            }
            (Asked::Append(place), Answer::Appended(answer)) => {
                self.take_appended(number, place, answer)
            }
            (Asked::Space(asked), Answer::Spaced(answer)) => {
                self.take_spaced(number, asked, answer)
            }
            (Asked::Flush, Answer::Done(Ok(()))) => {
                self.model.flushed(since);
                Ok(())
            }
            (Asked::Compact, Answer::Done(Ok(()))) => Ok(()),
            (
                _,
                Answer::Value(Err(error))
                | Answer::Values(Err(error))
                | Answer::Scanned(Err(error))
                | Answer::Done(Err(error)),
            ) => {
                self.say(|| format!("client {number}: {error}"));
                self.totals.errors += 1;
                self.explain(&error)
            }
            _ => unreachable!("an answer to another question"),
        }
    }

    /// An error without a cause is a failure.
    pub(super) fn explain(&self, error: &Error) -> Verdict {
        if self.causes.explain(error) {
            return Ok(());
        }
        failed(Check::Errors, format!("nothing explains: {error}"))
    }

    pub(super) fn see(&mut self, value: u64) {
        self.seen = mix(self.seen.rotate_left(5) ^ value);
    }

    fn see_value(&mut self, value: Option<&[u8]>) {
        self.totals.reads += 1;
        let word = value.map_or(1, |value| {
            let mut word = [0; 8];
            let length = value.len().min(8);
            word[..length].copy_from_slice(&value[..length]);
            u64::from_le_bytes(word) ^ value.len() as u64
        });
        self.see(word);
    }
}

impl Answer {
    /// Something was done, and is acknowledged.
    fn is_written(&self) -> bool {
        match self {
            Answer::Written(written) => written.is_ok(),
            Answer::Transacted(transacted) => transacted.committed.is_ok(),
            Answer::Appended(appended) => appended.committed.is_ok(),
            _ => false,
        }
    }
}

impl Causes {
    pub(super) fn explain(&self, error: &Error) -> bool {
        match error {
            Error::Shard { error, .. } => match error {
                ShardError::Full { .. } => self.full,
                // Also a read: a merge that cannot read its tables stops the shard.
                ShardError::Failed { .. }
                | ShardError::Unknown { .. }
                | ShardError::Unreadable { .. } => self.writes || self.reads || self.gives_up,
                ShardError::Io { error, .. } if error.is_full() => self.full,
                ShardError::Io { .. } => self.reads || self.writes,
                _ => false,
            },
            Error::Io { .. } => self.reads || self.writes || self.full,
            // Who does several things one after the other is told so in between.
            Error::Closed => self.gives_up,
            _ => false,
        }
    }
}

/// What was found at a moment.
pub(super) fn snapshot(at: Moment, found: Vec<(u32, Found)>) -> Snapshot {
    Snapshot {
        at: at.version.0,
        when: When {
            from: at.millis,
            to: at.millis,
        },
        found,
    }
}

/// Of the keys that a scan was asked for those that it covers: when it has as many entries as it was to take, none behind the
/// last one.
fn within(
    limit: usize,
    mut keys: Vec<u32>,
    entries: &[(Vec<u8>, Vec<u8>)],
    reverse: bool,
) -> Verdict<Vec<u32>> {
    if entries.len() > limit {
        let found = entries.len();
        return failed(
            Check::Content,
            format!("a scan of {limit} entries shows {found}"),
        );
    }
    if let Some((last, _)) = entries.last().filter(|_| entries.len() == limit) {
        keys.retain(|key| match reverse {
            true => content::key(*key) >= *last,
            false => content::key(*key) <= *last,
        });
    }
    Ok(keys)
}

/// The entries of a scan as findings for all keys that it covered; each key once and in order.
pub(super) fn in_order(
    keys: &[u32],
    mut entries: Vec<(Vec<u8>, Vec<u8>)>,
    reverse: bool,
) -> Verdict<Vec<(u32, Found)>> {
    if reverse {
        entries.reverse();
    }
    entries.retain(|(name, _)| !content::is_list(name));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        let names = pair.iter().map(|(key, _)| String::from_utf8_lossy(key));
        let names: Vec<_> = names.collect();
        return failed(
            Check::Content,
            format!("a scan shows {names:?} in this order"),
        );
    }
    let mut entries = entries.into_iter().peekable();
    let mut found = Vec::with_capacity(keys.len());
    for &key in keys {
        let name = content::key(key);
        let value = entries.next_if(|(entry, _)| *entry == name);
        found.push((key, value.map(|(_, value)| value)));
    }
    match entries.next() {
        Some((key, _)) => failed(
            Check::Content,
            format!(
                "a scan shows {:?}, a key that nobody wrote",
                String::from_utf8_lossy(&key)
            ),
        ),
        None => Ok(found),
    }
}

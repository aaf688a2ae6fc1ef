//! One step of the plan.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringkeep::{Batch, Error, Scan, Snapshot, Version, simulation};
use ringkeep_io::Times;

use super::clients::{Answer, Asked, Call};
use super::{Open, World};
use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::model::Found;
use crate::plan::{Action, Fault, Promise, Step};

/// Changes of a batch, as the plan has them.
type Changes = [(u32, Option<u32>)];

/// How many entries scans take at most, by their version.
const LIMITS: [usize; 5] = [usize::MAX, 3, usize::MAX, 1, 9];

/// Scans that are kept at a time.
const PINS_MAX: usize = 4;

impl World<'_> {
    pub(super) fn take_step(&mut self, step: &Step, open: &Open) -> Verdict {
        let client = step.client;
        let is_call = !matches!(
            step.action,
            Action::Pin
                | Action::Wait
                | Action::Pause { .. }
                | Action::Idle
                | Action::Fail { .. }
                | Action::Heal
                | Action::Fill { .. }
                | Action::Free
                | Action::Stick(_)
                | Action::Unstick
                | Action::Hold { .. }
                | Action::MoveClock { .. }
                | Action::CutCopies { .. }
                | Action::KillCopies { .. }
                | Action::FlipCopies { .. }
                | Action::MisdirectCopies { .. }
        );
        if is_call && !self.turn_until(open, |world| world.clients.is_free(client))? {
            return Ok(());
        }
        // Hindered by what is stuck or full.
        if is_call && !self.clients.is_free(client) {
            return Ok(());
        }
        self.say(|| step.to_string());
        self.totals.steps += 1;
        let db = open.db.clone();
        match &step.action {
            Action::Write(key, bytes, promise) => {
                self.write(open, client, vec![(*key, *bytes)], *promise);
            }
            Action::Batch(ops, promise) => self.write(open, client, ops.clone(), *promise),
            Action::DeleteRange {
                before,
                from,
                to,
                after,
                promise,
            } => self.delete_range(open, client, (before, *from..*to, after), *promise),
            Action::Transact(plan) => self.transact(open, client, plan),
            Action::Append {
                reads,
                appends,
                think,
                serializable,
            } => self.append(open, client, reads, appends, *think, *serializable),
            Action::Get(key) => {
                let name = content::key(*key);
                let call = async move { Answer::Value(db.get_async(name).await) };
                self.ask(open, client, Asked::Get(*key), self.now, Box::pin(call));
            }
            Action::MultiGet(keys) => {
                let names: Vec<_> = keys.iter().map(|key| content::key(*key)).collect();
                let call = async move { Answer::Values(db.multi_get_async(names).await) };
                let asked = Asked::MultiGet(keys.clone());
                self.ask(open, client, asked, self.now, Box::pin(call));
            }
            Action::Scan { from, to, reverse } => {
                let scan = db.scan(content::key(*from)..content::key(*to));
                let (asked, call) = read_out(scan, (*from..*to).collect(), *reverse);
                self.ask(open, client, asked, self.now, call);
            }
            Action::AsOf { back, reverse } => return self.read_past(open, client, *back, *reverse),
            Action::Pin => {
                if self.clients.pinned.len() < PINS_MAX {
                    self.clients.pinned.push_back((db.scan(..), self.now));
                }
            }
            Action::ReadPinned { reverse } => {
                if let Some((scan, since)) = self.clients.pinned.pop_front() {
                    let keys = (0..self.model.keys()).collect();
                    let (asked, call) = read_out(scan, keys, *reverse);
                    self.ask(open, client, asked, since, call);
                }
            }
            Action::Space { space, action } => self.ask_space(open, client, *space, action),
            Action::Flush => {
                let call = async move { Answer::Done(db.flush_async().await) };
                self.ask(open, client, Asked::Flush, self.now, Box::pin(call));
            }
            Action::Compact => {
                let call = async move { Answer::Done(db.compact_async().await) };
                self.ask(open, client, Asked::Compact, self.now, Box::pin(call));
            }
            Action::Wait => return self.wait(open).map(drop),
            Action::Pause { nanos } => return self.pause(open, *nanos),
            Action::Idle => return self.idle(open).map(drop),
            Action::Fail {
                doing,
                spared,
                times,
            } => {
                let reads = matches!(doing, Fault::Read);
                self.causes.reads |= reads;
                // Without a tail writes wait for the log, and nobody hears of it.
                self.causes.writes |= !reads && *doing != Fault::Store;
                self.causes.log |= matches!(doing, Fault::Write | Fault::Sync);
                self.totals.faults += 1;
                let times = Times::Count(*times);
                self.disk.fail_at(doing.doing(), *spared, EIO, times);
            }
            Action::Heal => self.disk.heal(),
            Action::Fill { bytes } => {
                self.causes.full = true;
                self.is_full = true;
                self.totals.faults += 1;
                let used = self.used_bytes();
                self.disk.set_capacity_bytes(used + bytes);
            }
            Action::Free => self.free(),
            Action::Hold { host, nanos } => {
                let until = self.disk.now() + nanos;
                open.hosts.hold(host % self.plan.setting.hosts, until);
                // Nor does it sync what it has promised to, until then.
                self.causes.held_until = until;
            }
            Action::Stick(doing) => {
                self.causes.stuck = true;
                self.totals.faults += 1;
                self.disk.stick_next(doing.doing());
            }
            Action::Unstick => self.unstick(),
            Action::MoveClock { millis } => self.disk.move_wall_clock(millis * 1_000_000),
            Action::AsOfTime { back, reverse } => {
                return self.read_past_time(open, client, *back, *reverse);
            }
            Action::CutCopies { count } => return self.cut_copies(open, *count),
            Action::KillCopies { count } => return self.kill_copies(open, *count),
            Action::FlipCopies { count } => return self.flip_copies(open, *count),
            Action::MisdirectCopies { count } => return self.misdirect_copies(open, *count),
        }
        // Sent at once: what is asked for first is taken first.
        self.poll_clients(open).map(drop)
    }

    fn write(
        &mut self,
        open: &Open,
        client: usize,
        ops: Vec<(u32, Option<u32>)>,
        promise: Promise,
    ) {
        let (id, values) =
            self.model
                .ask(ops.clone(), promise, self.now, simulation::now(&open.db));
        self.say(|| format!("client {client}: this is write {id}"));
        let (db, durability) = (open.db.clone(), promise.durability());
        let mut changes = ops.into_iter().zip(values);
        let is_simple = |value: &Found| value.as_deref().and_then(content::until).is_none();
        let simple = changes.len() == 1 && changes.clone().all(|(_, value)| is_simple(&value));
        let call: Call = if simple {
            let ((key, _), value) = changes.next().expect("one change");
            let name = content::key(key);
            Box::pin(async move {
                Answer::Written(match value {
                    Some(value) => db.put_with_async(name, value, durability).await,
                    None => db.delete_with_async(name, durability).await,
                })
            })
        } else {
            let mut batch = Batch::new();
            for ((key, _), value) in changes {
                match value {
                    Some(value) => put(&mut batch, key, &value),
                    None => batch.delete(content::key(key)),
                };
            }
            Box::pin(async move { Answer::Written(db.write_with_async(batch, durability).await) })
        };
        self.ask(open, client, Asked::Write(id), self.now, call);
    }

    /// For the model it is a batch that removes every key there may be.
    fn delete_range(
        &mut self,
        open: &Open,
        client: usize,
        (before, range, after): (&Changes, Range<u32>, &Changes),
        promise: Promise,
    ) {
        let removals = range.clone().map(|key| (key, None));
        let ops = before
            .iter()
            .copied()
            .chain(removals)
            .chain(after.iter().copied());
        let (id, values) =
            self.model
                .ask(ops.collect(), promise, self.now, simulation::now(&open.db));
        self.model.is_on_all(id, self.plan.setting.shards);
        self.totals.range_deletes += 1;
        self.say(|| format!("client {client}: this is write {id}"));
        let (db, durability) = (open.db.clone(), promise.durability());
        let keys = content::key(range.start)..content::key(range.end);
        let call: Call = if before.is_empty() && after.is_empty() && promise == Promise::Sync {
            Box::pin(async move { Answer::Written(db.delete_range_async(keys).await) })
        } else {
            let mut batch = Batch::new();
            let add = |batch: &mut Batch, key: u32, value: &Found| {
                match value {
                    Some(value) => put(batch, key, value),
                    None => batch.delete(content::key(key)),
                };
            };
            for ((key, _), value) in before.iter().zip(&values) {
                add(&mut batch, *key, value);
            }
            batch.delete_range(keys);
            for ((key, _), value) in after.iter().zip(&values[values.len() - after.len()..]) {
                add(&mut batch, *key, value);
            }
            Box::pin(async move { Answer::Written(db.write_with_async(batch, durability).await) })
        };
        self.ask(open, client, Asked::Write(id), self.now, call);
    }

    /// Reads a version of this life, if it is still there; it must be within the window.
    fn read_past(&mut self, open: &Open, client: usize, back: u64, reverse: bool) -> Verdict {
        let Ok(now) = open.db.snapshot().map(|snapshot| snapshot.version()) else {
            return Ok(());
        };
        let at = Version(now.0.saturating_sub(back).max(open.began.0));
        let window = self.plan.setting.retention;
        let then = match open.db.as_of(at) {
            Ok(then) => then,
            Err(Error::HistoryGone { oldest, .. }) if at.0 + window < now.0 && oldest > at => {
                return Ok(());
            }
            Err(error) => {
                let story = format!("version {at} of {now}, of which {window} are kept: {error}");
                return failed(Check::Snapshot, story);
            }
        };
        self.totals.past += 1;
        let keys: Vec<u32> = (0..self.model.keys()).collect();
        // Gets go another way through the tables.
        let (asked, call) = match back.is_multiple_of(2) {
            true => read_out(then.scan(..), keys, reverse),
            false => get_out(then, keys, reverse),
        };
        // It knows nothing of what is known now.
        self.ask(open, client, asked, 0, call);
        self.poll_clients(open).map(drop)
    }

    /// Reads the newest version known to be no later than a time, wherever the clock has been since.
    fn read_past_time(&mut self, open: &Open, client: usize, back: u64, reverse: bool) -> Verdict {
        // Every shard is asked for its times, also one that does not answer.
        if self.causes.stuck || self.is_full {
            return Ok(());
        }
        let then = simulation::now(&open.db).saturating_sub(back);
        let db = &open.db;
        let both = async {
            let earlier = db.as_of_time_async(time(then.saturating_sub(back))).await;
            (earlier, db.as_of_time_async(time(then)).await)
        };
        let Some((earlier, then)) = self.drive_until_cut(open, both)? else {
            return Ok(());
        };
        // Others were answered meanwhile, and will hear of it now.
        self.now += 1;
        let then = match then {
            Ok(then) => then,
            Err(Error::TimeNotKept { .. } | Error::HistoryGone { .. }) => return Ok(()),
            Err(error) => return self.explain(&error),
        };
        if let Ok(earlier) = earlier
            && earlier.version() > then.version()
        {
            let (earlier, then) = (earlier.version(), then.version());
            let story = format!("an earlier time has version {earlier}, a later one {then}");
            return failed(Check::Snapshot, story);
        }
        // Of what was before this life nobody knows the versions.
        if then.version() < open.began {
            return Ok(());
        }
        self.totals.past += 1;
        let keys = (0..self.model.keys()).collect();
        let (asked, call) = read_out(then.scan(..), keys, reverse);
        self.ask(open, client, asked, 0, call);
        self.poll_clients(open).map(drop)
    }

    pub(super) fn unstick(&mut self) {
        if self.causes.stuck {
            // What was to be stuck and is not never will.
            self.disk.heal();
            self.disk.unstick();
            self.causes.stuck = false;
            self.causes.unstuck_at = self.disk.now();
        }
    }

    /// Whatever happens meanwhile; no longer, though nothing does.
    fn pause(&mut self, open: &Open, nanos: u64) -> Verdict {
        let until = self.disk.now() + nanos;
        loop {
            self.poll_clients(open)?;
            if open.is_cut(&self.disk) || self.disk.now() >= until {
                return Ok(());
            }
            if !open.hosts.turn() && !open.is_cut(&self.disk) {
                open.hosts.park_until(Some(until));
            }
            self.now += 1;
        }
    }

    /// Until no call is under way; false when the power went before.
    pub(super) fn wait(&mut self, open: &Open) -> Verdict<bool> {
        self.unstick();
        let alive = self.turn_until(open, |world| world.clients.all_free())?;
        if !alive || self.clients.all_free() {
            return Ok(alive);
        }
        // A group of which a part is in the log waits for room.
        self.free();
        self.turn_until(open, |world| world.clients.all_free())
    }

    pub(super) fn free(&mut self) {
        self.disk.set_capacity_bytes(1 << 40);
        self.is_full = false;
    }

    /// What all files take, as far as names show.
    pub(super) fn used_bytes(&self) -> u64 {
        let files = self.disk.files();
        files
            .iter()
            .map(|(_, bytes)| bytes.next_multiple_of(4096))
            .sum()
    }
}

/// A value that says that it ends does.
fn put<'b>(batch: &'b mut Batch, key: u32, value: &[u8]) -> &'b mut Batch {
    match content::until(value) {
        Some(until) => batch.put_until(content::key(key), value, time(until)),
        None => batch.put(content::key(key), value),
    }
}

pub(super) fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

pub(super) const EIO: i32 = 5;

/// Reads a scan of these keys, most of them to the end and some up to a few entries.
fn read_out(scan: Scan, keys: Vec<u32>, reverse: bool) -> (Asked, Call) {
    let at = simulation::moment_of(&scan);
    let limit = LIMITS[(at.version.0 % LIMITS.len() as u64) as usize];
    let call = async move { Answer::Scanned(entries(scan.limit(limit), reverse).await) };
    let asked = Asked::Scan {
        at,
        keys,
        reverse,
        limit,
    };
    (asked, Box::pin(call))
}

/// What a scan of a snapshot would show, key by key.
fn get_out(snapshot: Snapshot, keys: Vec<u32>, reverse: bool) -> (Asked, Call) {
    let asked = Asked::Scan {
        at: simulation::moment_of(&snapshot.scan(..)),
        keys: keys.clone(),
        reverse,
        limit: usize::MAX,
    };
    let mut keys: Vec<_> = keys.into_iter().map(content::key).collect();
    if reverse {
        keys.reverse();
    }
    let call = async move {
        let values = snapshot.multi_get_async(&keys).await;
        let found = |values: Vec<Option<Vec<u8>>>| {
            let entries = keys.iter().cloned().zip(values);
            entries
                .filter_map(|(key, value)| Some((key, value?)))
                .collect()
        };
        Answer::Scanned(values.map(found))
    };
    (asked, Box::pin(call))
}

/// Everything that a scan shows.
pub(super) async fn entries(
    scan: Scan,
    reverse: bool,
) -> ringkeep::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // Pages of one entry up to pages of everything.
    let first_bytes = 8 << (simulation::moment_of(&scan).version.0 % 12);
    let scan = simulation::in_pages(scan, first_bytes);
    let mut scan = if reverse { scan.reverse() } else { scan };
    let mut entries = Vec::new();
    while let Some(entry) = scan.next_async().await {
        entries.push(entry?);
    }
    Ok(entries)
}

/// One finding for each key.
pub(super) type Findings = Vec<(u32, Found)>;

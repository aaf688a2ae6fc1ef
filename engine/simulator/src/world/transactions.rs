//! Transactions: over keys, which the model judges by their versions, and over lists, which tell who came
//! before whom.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;
use std::time::Duration;

use ringkeep::simulation::{self, ByHand, Moment};
use ringkeep::{Database, Error, Isolation, Transaction, TransactionOptions, Version};

use super::clients::{Answer, Asked, in_order, snapshot};
use super::steps::{Findings, time};
use super::{Open, World};
use crate::content;
use crate::failure::{Check, Failure, Verdict, failed};
use crate::history::{Contents, Fate};
use crate::model::{Commit, Found, LISTS, WriteId};
use crate::plan::{Promise, Transact};

/// What a transaction over keys has come to.
pub(super) struct Transacted {
    at: Moment,
    found: Findings,
    pub committed: ringkeep::Result<Version>,
}

/// What one over lists has come to.
pub(super) struct Appended {
    reads: Vec<(u32, Vec<u64>)>,
    pub committed: ringkeep::Result<Version>,
}

/// What it was for.
pub(super) struct Goal {
    /// Its changes; nothing when it changes nothing.
    id: Option<WriteId>,
    serializable: bool,
}

impl World<'_> {
    /// Reads keys and a range, and changes others.
    pub(super) fn transact(&mut self, open: &Open, client: usize, plan: &Transact) {
        let Transact {
            reads,
            range,
            removes,
            ops,
            think,
            serializable,
            promise,
        } = plan.clone();
        let mut asked = None;
        let mut changes = Vec::new();
        let removed = removes.map_or(0..0, |(from, to)| from..to);
        let all = removed
            .clone()
            .map(|key| (key, None))
            .chain(ops.iter().copied());
        let all: Vec<_> = all.collect();
        if !all.is_empty() {
            let (id, mut values) =
                self.model
                    .ask(all, promise, self.now, simulation::now(&open.db));
            if !removed.is_empty() {
                self.model.is_on_all(id, self.plan.setting.shards);
            }
            values.drain(..removed.len());
            self.say(|| format!("client {client}: this is write {id}"));
            let mut covered = reads.clone();
            covered.extend(range.map_or(0..0, |(from, to)| from..to));
            let covered = if serializable { covered } else { Vec::new() };
            self.model.is_transaction(id, &covered);
            asked = Some(id);
            changes = ops.iter().map(|(key, _)| *key).zip(values).collect();
        }
        let Some(mut tx) = begin(&open.db, serializable, promise) else {
            return;
        };
        let call = async move {
            let at = simulation::moment_of_transaction(&tx);
            let mut found = Vec::new();
            let read = read_keys(&mut tx, &reads, range, &mut found).await;
            let committed = match read {
                Ok(()) => change(tx, removed, changes, think).await,
                Err(error) => Err(error),
            };
            Answer::Transacted(Transacted {
                at,
                found,
                committed,
            })
        };
        let asked = Asked::Transact(Goal {
            id: asked,
            serializable,
        });
        self.ask(open, client, asked, self.now, Box::pin(call));
    }

    pub(super) fn take_transacted(
        &mut self,
        number: usize,
        since: u64,
        asked: &Goal,
        answer: Transacted,
    ) -> Verdict {
        let Transacted {
            at,
            found,
            committed,
        } = answer;
        let id = asked.id;
        self.say(|| format!("client {number}: transaction {id:?} at {at:?}: {committed:?}"));
        self.see(at.version.0);
        match committed {
            Ok(version) => {
                self.see(version.0);
                self.totals.transactions += 1;
                if let Some(id) = id {
                    let reads = found.iter().map(|(key, _)| *key);
                    let reads = reads.filter(|_| asked.serializable).collect();
                    self.totals.acknowledged += 1;
                    self.model
                        .acknowledge(id, version.0, self.now, self.disk.now())?;
                    let at = at.version.0;
                    self.model.committed(Commit { id, at, reads });
                }
                self.model.scanned(snapshot(at, found), since, self.now)
            }
            Err(error) => {
                self.totals.errors += 1;
                if let Some(id) = id {
                    match error.is_unknown() {
                        true => self.model.leave_open(id),
                        false => self.model.refuse(id)?,
                    }
                }
                let Error::Conflict { key } = &error else {
                    return self.explain(&error);
                };
                self.totals.conflicts += 1;
                match content::number(key) {
                    Some(key) => self.model.lost_for(id, since, key),
                    None => failed(Check::Isolation, format!("a conflict over {key:?}")),
                }
            }
        }
    }

    /// Reads lists, and appends one new element to some.
    pub(super) fn append(
        &mut self,
        open: &Open,
        client: usize,
        reads: &[u32],
        appends: &[u32],
        think: u8,
        serializable: bool,
    ) {
        let Some(mut tx) = begin(&open.db, serializable, Promise::Sync) else {
            return;
        };
        let element = self.lists.new_element();
        let place = self.lists.begin(element, appends, serializable);
        let all: Vec<u32> = reads.iter().chain(appends).copied().collect();
        let count = all.len() - appends.len();
        let call = async move {
            let names = all.iter().map(|list| content::list(*list));
            let values = match tx.multi_get_async(names).await {
                Ok(values) => values,
                Err(error) => {
                    return Answer::Appended(Appended {
                        reads: Vec::new(),
                        committed: Err(error),
                    });
                }
            };
            let reads: Vec<(u32, Vec<u64>)> = all
                .into_iter()
                .zip(values)
                .map(|(list, value)| (list, content::elements(&value.unwrap_or_default())))
                .collect();
            let changes = reads[count..].iter().map(|(list, elements)| {
                let mut longer = elements.clone();
                longer.push(element);
                (content::list(*list), content::list_value(&longer))
            });
            let changes: Vec<_> = changes.collect();
            rest(think).await;
            let mut committed = Ok(Version::default());
            for (name, value) in changes {
                committed = committed.and(tx.put(name, value).map(|()| Version::default()));
            }
            if committed.is_ok() {
                committed = tx.commit_async().await;
            }
            Answer::Appended(Appended { reads, committed })
        };
        self.ask(open, client, Asked::Append(place), self.now, Box::pin(call));
    }

    pub(super) fn take_appended(
        &mut self,
        number: usize,
        place: usize,
        answer: Appended,
    ) -> Verdict {
        let Appended { reads, committed } = answer;
        self.say(|| format!("client {number}: lists {reads:?}: {committed:?}"));
        self.lists.reads(place, reads);
        match committed {
            Ok(version) => {
                self.see(version.0);
                self.totals.transactions += 1;
                self.lists.ends(place, Fate::Committed);
                Ok(())
            }
            Err(error) => {
                self.totals.errors += 1;
                match error.is_unknown() {
                    true => self.lists.fails(place),
                    false => self.lists.ends(place, Fate::Refused),
                }
                if error.is_conflict() {
                    self.totals.conflicts += 1;
                    return Ok(());
                }
                self.explain(&error)
            }
        }
    }

    /// What all lists hold in an open database.
    pub(super) fn find_lists(&self, db: &Database, hosts: &ByHand) -> Verdict<Contents> {
        let names = (0..LISTS).map(content::list);
        let values = self.drive(hosts, db.multi_get_async(names))?;
        let values = values.map_err(|error| Failure {
            check: Check::Errors,
            story: format!("a read after opening: {error}"),
        })?;
        let lists = values.into_iter().map(Option::unwrap_or_default);
        Ok((0..LISTS)
            .zip(lists.map(|value| content::elements(&value)))
            .collect())
    }
}

/// Nothing when the database is closed.
fn begin(db: &Database, serializable: bool, promise: Promise) -> Option<Transaction> {
    let isolation = match serializable {
        true => Isolation::Serializable,
        false => Isolation::Snapshot,
    };
    let options = TransactionOptions {
        isolation,
        durability: Some(promise.durability()),
        // Real time means nothing here.
        age_max: Duration::MAX,
        ..TransactionOptions::default()
    };
    db.transaction_with(&options).ok()
}

async fn read_keys(
    tx: &mut Transaction,
    keys: &[u32],
    range: Option<(u32, u32)>,
    found: &mut Findings,
) -> ringkeep::Result<()> {
    let names = keys.iter().map(|key| content::key(*key));
    let values: Vec<Found> = tx.multi_get_async(names).await?;
    found.extend(keys.iter().copied().zip(values));
    let Some((from, to)) = range else {
        return Ok(());
    };
    let mut scan = tx.scan(content::key(from)..content::key(to))?;
    let mut entries = Vec::new();
    while let Some(entry) = scan.next_async().await {
        entries.push(entry?);
    }
    let keys: Vec<u32> = (from..to).collect();
    // What is out of order shows as keys that are missing.
    found.extend(in_order(&keys, entries, false).unwrap_or_default());
    Ok(())
}

async fn change(
    mut tx: Transaction,
    removed: Range<u32>,
    changes: Vec<(u32, Found)>,
    think: u8,
) -> ringkeep::Result<Version> {
    rest(think).await;
    if !removed.is_empty() {
        tx.delete_range(content::key(removed.start)..content::key(removed.end))?;
    }
    for (key, value) in changes {
        match value {
            Some(value) => match content::until(&value) {
                Some(until) => tx.put_until(content::key(key), value, time(until))?,
                None => tx.put(content::key(key), value)?,
            },
            None => tx.delete(content::key(key))?,
        }
    }
    tx.commit_async().await
}

/// Lets everybody else go on for so many turns.
async fn rest(mut turns: u8) {
    poll_fn(|_| match turns {
        0 => Poll::Ready(()),
        _ => {
            turns -= 1;
            Poll::Pending
        }
    })
    .await;
}

//! The database as it was: at a version, at a time, and what has changed between two versions.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ringkeep_shard::keyspace::KeyspaceId;
use ringkeep_shard::{Call, Reply, ShardId, Span, Version};

use crate::database::wrong;
use crate::expiry::since_1970;
use crate::scan::{KeyRange, KeyValue, Scan};
use crate::shards::Question;
use crate::snapshot::{DEFAULT, not_there};
use crate::{Database, Error, Result, Snapshot, desk};

impl Database {
    /// The database as it was at a version of the past, for as long as the snapshot lives. All versions within
    /// [`Options::retention`](crate::Options::retention) can be read, and older ones while merges have not dropped
    /// them; what another snapshot keeps is read through a clone of that. Of keyspaces with a window of their own, as much as that holds: [`Keyspace::as_of`](crate::Keyspace::as_of).
    ///
    /// Values that end ([`Database::put_until`]) are judged at the time of the version, as far as that is kept; without a
    /// retention, at the present. [`Snapshot::time`] tells.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-as-of-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// use ringkeep::{Options, Retention};
    /// let options = Options { retention: Retention::Versions(1_000_000), ..options };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// let then = db.put("price", "10")?;
    /// db.put("price", "12")?;
    /// assert_eq!(db.as_of(then)?.get("price")?.as_deref(), Some(&b"10"[..]));
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_of(&self, version: Version) -> Result<Snapshot> {
        self.as_of_moment(DEFAULT, version, None)
    }

    pub(crate) fn as_of_moment(
        &self,
        keyspace: KeyspaceId,
        version: Version,
        time: Option<u64>,
    ) -> Result<Snapshot> {
        self.0.shards.check_open()?;
        match self.0.pins.pin_past(keyspace, version, time) {
            Ok(pin) => Ok(Snapshot::pinned(Arc::clone(&self.0), pin)),
            Err(past) => Err(not_there(version, past)),
        }
    }

    /// The database as it was at a time of the past, by the machine's clock when commits were made: the newest
    /// version known to be no later. Times are kept within [`Options::retention`](crate::Options::retention), to one
    /// part in 250 of the longest window of time, those of keyspaces among them; a time of the future is the present.
    pub fn as_of_time(&self, time: SystemTime) -> Result<Snapshot> {
        desk::block_on(self.as_of_time_async(time))
    }

    /// [`Database::as_of_time`] as a future.
    pub async fn as_of_time_async(&self, time: SystemTime) -> Result<Snapshot> {
        self.as_of_time_in(DEFAULT, time).await
    }

    pub(crate) async fn as_of_time_in(
        &self,
        keyspace: KeyspaceId,
        time: SystemTime,
    ) -> Result<Snapshot> {
        // The shards have newer times than the timeline.
        self.history(Vec::new()).await?;
        let millis = since_1970(time);
        let version = self.0.pins.timeline().version_at(millis);
        let version = version.ok_or(Error::TimeNotKept { time })?;
        self.as_of_moment(keyspace, version, Some(millis))
    }

    /// What has changed from one snapshot to another in a range of keys, in order. It reads all of the range, twice.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-diff-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// db.put("apple", "10")?;
    /// let before = db.snapshot()?;
    /// db.put("apple", "12")?;
    /// db.put("plum", "9")?;
    /// let changed: Vec<_> = db.diff(&before, &db.snapshot()?, ..).collect::<Result<_, _>>()?;
    /// assert_eq!(changed[0].before.as_deref(), Some(&b"10"[..]));
    /// assert_eq!((&changed[1].key[..], &changed[1].before), (&b"plum"[..], &None));
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn diff(&self, before: &Snapshot, after: &Snapshot, range: impl KeyRange) -> Diff {
        let keys = range.keys();
        Diff::new(before.scan(keys.clone()), after.scan(keys))
    }

    /// What keeps the past, and about how many bytes of tables each keeps that could else be dropped.
    pub fn explain_retention(&self) -> Result<Kept> {
        desk::block_on(self.explain_retention_async())
    }

    /// [`Database::explain_retention`] as a future.
    pub async fn explain_retention_async(&self) -> Result<Kept> {
        self.load_catalog().await?;
        let pins = &self.0.pins;
        let now = self.0.clock.now();
        let holder = |version, reason| Holder {
            version,
            reason,
            bytes: 0,
        };
        let pinned = pins.pinned().into_iter();
        let mut holders: Vec<Holder> = pinned
            .map(|(version, count)| holder(version, Reason::Snapshots(count)))
            .collect();
        holders.push(holder(pins.policy(), Reason::Policy));
        let spaces = self.0.catalog.with_windows();
        for space in &spaces {
            let window = space.kept.retention.unwrap_or_default();
            let reason = Reason::Keyspace(space.name.clone());
            holders.push(holder(pins.oldest_kept(window), reason));
        }
        holders.retain(|holder| holder.version < now);
        holders.sort_by_key(|holder| holder.version);

        // Of all there is, and then of each keyspace that has a window of its own.
        let spans = spaces.iter().map(|space| {
            let keys = space.range((..).keys());
            let (from, to) = (keys.from, keys.to);
            Some(Span { from, to })
        });
        let spans: Vec<Option<Span>> = std::iter::once(None).chain(spans).collect();
        let mut watermarks: Vec<Version> = holders.iter().map(|holder| holder.version).collect();
        watermarks.push(now);
        let of_each = spans.iter();
        let asked = of_each.flat_map(|span| watermarks.iter().map(|at| (span.clone(), *at)));
        let droppable = self.history(asked.collect()).await?;
        let mut droppable: Vec<Vec<u64>> = droppable
            .chunks(watermarks.len())
            .map(<[u64]>::to_vec)
            .collect();
        // The first is of all that have the window of the database from here on.
        let (rest, own) = droppable.split_at_mut(1);
        for of_space in own.iter() {
            let pairs = rest[0].iter_mut().zip(of_space);
            pairs.for_each(|(rest, own)| *rest = rest.saturating_sub(*own));
        }
        let reasons = spaces
            .iter()
            .map(|space| Reason::Keyspace(space.name.clone()));
        let reasons = std::iter::once(Reason::Policy).chain(reasons);
        for (reason, droppable) in reasons.zip(&droppable) {
            let holds = |holder: &Holder| {
                matches!(holder.reason, Reason::Snapshots(_)) || holder.reason == reason
            };
            // Each holds what the next one does not, up to the present.
            let mut next = droppable[holders.len()];
            for (holder, could_go) in holders.iter_mut().zip(droppable).rev() {
                if holds(holder) {
                    holder.bytes += next.saturating_sub(*could_go);
                    next = *could_go;
                }
            }
        }
        Ok(Kept {
            oldest: pins.gone(),
            newest: now,
            holders,
        })
    }

    /// Of each range and version, bytes that could be dropped there if nobody read below it, over all shards.
    async fn history(&self, asked: Vec<(Option<Span>, Version)>) -> Result<Vec<u64>> {
        let shards = &self.0.shards;
        shards.check_open()?;
        let all: Vec<ShardId> = shards.routing.shards().collect();
        let call = |shard: &ShardId| shards.question(*shard, Call::History(asked.clone()));
        let questions: Vec<Question> = all.iter().map(call).collect();
        let mut sums = vec![0; asked.len()];
        for (shard, outcome) in all.into_iter().zip(shards.ask_all(questions).await) {
            match shards.reply(shard, outcome)? {
                Reply::History(bytes) => {
                    sums.iter_mut()
                        .zip(bytes)
                        .for_each(|(sum, bytes)| *sum += bytes);
                }
                reply => wrong(&reply),
            }
        }
        Ok(sums)
    }
}

/// What [`Database::explain_retention`] tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Every version from here on can be read with [`Database::as_of`], but of keyspaces with a window of their own.
    pub oldest: Version,
    /// The present.
    pub newest: Version,
    /// Who keeps what, oldest first.
    pub holders: Vec<Holder>,
}

/// Somebody who keeps versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// What can be seen at this version is kept.
    pub version: Version,
    /// Who.
    pub reason: Reason,
    /// About so many bytes of tables could be dropped if this one let go, and all older ones had. What is in memory is
    /// not counted.
    pub bytes: u64,
}

/// Why a version is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// So many snapshots, scans and transactions read at it.
    Snapshots(usize),
    /// [`Options::retention`](crate::Options::retention) begins there.
    Policy,
    /// The retention of the keyspace of this name does.
    Keyspace(String),
}

/// A key whose value is not the same in two snapshots; absent where the key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The key.
    pub key: Vec<u8>,
    /// Its value in the first snapshot.
    pub before: Option<Vec<u8>>,
    /// Its value in the second one.
    pub after: Option<Vec<u8>>,
}

/// The differences of two snapshots. An iterator for threads, [`Diff::next_async`] for futures.
#[derive(Debug)]
pub struct Diff {
    before: Scan,
    after: Scan,
    next_before: Option<KeyValue>,
    next_after: Option<KeyValue>,
    ended: bool,
}

impl Diff {
    pub(crate) fn new(before: Scan, after: Scan) -> Diff {
        Diff {
            before,
            after,
            next_before: None,
            next_after: None,
            ended: false,
        }
    }

    /// The next difference, as a future; nothing at the end and after an error.
    pub async fn next_async(&mut self) -> Option<Result<Changed>> {
        if self.ended {
            return None;
        }
        let next = self.find().await.transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }

    async fn find(&mut self) -> Result<Option<Changed>> {
        loop {
            if self.next_before.is_none() {
                self.next_before = self.before.next_async().await.transpose()?;
            }
            if self.next_after.is_none() {
                self.next_after = self.after.next_async().await.transpose()?;
            }
            let keys = (&self.next_before, &self.next_after);
            let (takes_before, takes_after) = match keys {
                (None, None) => return Ok(None),
                (Some(_), None) => (true, false),
                (None, Some(_)) => (false, true),
                (Some((before, _)), Some((after, _))) => (before <= after, after <= before),
            };
            let before = self.next_before.take_if(|_| takes_before);
            let after = self.next_after.take_if(|_| takes_after);
            if before != after {
                let key = before.as_ref().or(after.as_ref());
                return Ok(Some(Changed {
                    key: key.map(|(key, _)| key.clone()).unwrap_or_default(),
                    before: before.map(|(_, value)| value),
                    after: after.map(|(_, value)| value),
                }));
            }
        }
    }
}

impl Iterator for Diff {
    type Item = Result<Changed>;

    fn next(&mut self) -> Option<Result<Changed>> {
        desk::block_on(self.next_async())
    }
}

impl std::iter::FusedIterator for Diff {}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "versions {} to {} can be read", self.oldest, self.newest)?;
        for holder in &self.holders {
            let Holder { version, bytes, .. } = holder;
            match &holder.reason {
                Reason::Snapshots(count) => {
                    write!(f, "\n{count} snapshots, scans or transactions")?
                }
                Reason::Policy => write!(f, "\nthe option retention")?,
                Reason::Keyspace(name) => write!(f, "\nthe retention of the keyspace {name:?}")?,
            }
            write!(f, ": from version {version} on, about {bytes} bytes")?;
        }
        Ok(())
    }
}

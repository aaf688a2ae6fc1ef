//! Keyspaces made, dropped, written and read, beside all else.

use ringkeep::simulation::ByHand;
use ringkeep::{Database, Durability, Error, Keyspace, Snapshot, Version};

use super::clients::{Answer, Asked, Call};
use super::steps::entries;
use super::{Open, World};
use crate::failure::{Check, Failure, Verdict, failed};
use crate::model::{SPACES, SpaceEntries, name, space_key};
use crate::plan::SpaceAction;

/// What was asked of a keyspace.
pub(super) struct Asking {
    space: u32,
    action: SpaceAction,
    /// Of a write.
    entry: (Vec<u8>, Vec<u8>),
}

/// A snapshot, and what it shows of a keyspace for as long as that lives.
pub(super) struct Kept {
    space: u32,
    generation: Option<u64>,
    snapshot: Snapshot,
    handle: Keyspace,
    shows: SpaceEntries,
}

/// Snapshots kept at a time: each holds what merges could drop.
const KEPT_MAX: usize = 3;

/// A read of the past.
pub(super) struct Past {
    now: Version,
    at: Version,
    found: ringkeep::Result<SpaceEntries>,
}

/// What came of it.
pub(super) enum Spaced {
    Kept(ringkeep::Result<(Snapshot, Keyspace, SpaceEntries)>),
    ReadKept(Box<Kept>, ringkeep::Result<SpaceEntries>),
    /// With the version of a write.
    Done(ringkeep::Result<u64>),
    Past(ringkeep::Result<Past>),
    Read(ringkeep::Result<SpaceEntries>),
    /// It was dropped, and a handle to it was let in afterwards.
    StillThere,
}

impl World<'_> {
    pub(super) fn ask_space(
        &mut self,
        open: &Open,
        client: usize,
        space: u32,
        action: &SpaceAction,
    ) {
        if !self.spaces.enter(space) {
            return;
        }
        let (db, name, action) = (open.db.clone(), name(space), action.clone());
        let mut entry = Default::default();
        let call: Call = match action {
            SpaceAction::Make => {
                self.spaces.begin_change(space, true);
                let options = self.plan.setting.keyspace(space);
                Box::pin(async move {
                    let made = db.create_keyspace_async(&name, options);
                    Answer::Spaced(Spaced::Done(made.await.map(|_| 0)))
                })
            }
            SpaceAction::Drop => {
                self.spaces.begin_change(space, false);
                Box::pin(async move {
                    let handle = db.keyspace_async(&name).await.ok();
                    let dropped = db.drop_keyspace_async(&name).await;
                    if dropped.is_ok()
                        && let Some(handle) = handle
                        && !is_refused(&handle.get_async("key").await)
                    {
                        return Answer::Spaced(Spaced::StillThere);
                    }
                    Answer::Spaced(Spaced::Done(dropped.map(|()| 0)))
                })
            }
            SpaceAction::Put(key, bytes) => {
                entry = self.spaces.begin_write(space, key, bytes);
                let (key, value) = entry.clone();
                Box::pin(async move {
                    let written = match db.keyspace_async(&name).await {
                        Ok(handle) => {
                            let mut batch = ringkeep::Batch::new();
                            batch.put_in(&handle, key, value);
                            let durability = Durability::Sync;
                            db.write_with_async(batch, durability)
                                .await
                                .map(|version| version.0)
                        }
                        Err(error) => Err(error),
                    };
                    Answer::Spaced(Spaced::Done(written))
                })
            }
            SpaceAction::DeleteRange(from, to) => {
                self.spaces.begin_removal(space, from..to);
                let keys = space_key(from)..space_key(to);
                Box::pin(async move {
                    let removed = match db.keyspace_async(&name).await {
                        Ok(handle) => handle
                            .delete_range_async(keys)
                            .await
                            .map(|version| version.0),
                        Err(error) => Err(error),
                    };
                    Answer::Spaced(Spaced::Done(removed))
                })
            }
            SpaceAction::Keep => Box::pin(async move {
                let kept = async {
                    let handle = db.keyspace_async(&name).await?;
                    let snapshot = db.snapshot()?;
                    let shows = entries(snapshot.scan_in(&handle, ..), false).await?;
                    Ok((snapshot, handle, shows))
                };
                Answer::Spaced(Spaced::Kept(kept.await))
            }),
            SpaceAction::ReadKept { reverse } => {
                let kept = &mut self.clients.kept;
                let Some(place) = kept.iter().position(|kept| kept.space == space) else {
                    return self.spaces.refused(space);
                };
                let kept = Box::new(kept.remove(place));
                Box::pin(async move {
                    let found = entries(kept.snapshot.scan_in(&kept.handle, ..), reverse).await;
                    Answer::Spaced(Spaced::ReadKept(kept, found))
                })
            }
            SpaceAction::AsOf { back, by_database } => {
                let began = open.began;
                Box::pin(async move {
                    let past = async {
                        let handle = db.keyspace_async(&name).await?;
                        let now = db.snapshot()?.version();
                        let at = Version(now.0.saturating_sub(back).max(began.0));
                        let then = match by_database {
                            true => db.as_of(at),
                            false => handle.as_of(at),
                        };
                        let found = match then {
                            Ok(then) => entries(then.scan_in(&handle, ..), false).await,
                            Err(error) => Err(error),
                        };
                        Ok(Past { now, at, found })
                    };
                    Answer::Spaced(Spaced::Past(past.await))
                })
            }
            SpaceAction::Read { reverse } => Box::pin(async move {
                Answer::Spaced(Spaced::Read(match db.keyspace_async(&name).await {
                    Ok(handle) => entries(handle.scan(..), reverse).await,
                    Err(error) => Err(error),
                }))
            }),
        };
        let asked = Asked::Space(Asking {
            space,
            action: action.clone(),
            entry,
        });
        self.ask(open, client, asked, self.now, call);
    }

    pub(super) fn take_spaced(&mut self, number: usize, asked: Asking, answer: Spaced) -> Verdict {
        let Asking {
            space,
            action,
            entry,
        } = asked;
        self.totals.spaces += 1;
        let error = match answer {
            Spaced::StillThere => {
                return failed(Check::Content, "a dropped keyspace lets calls in");
            }
            Spaced::Read(Ok(found)) => {
                self.see(found.len() as u64);
                return self.spaces.read(space, Some(&found));
            }
            Spaced::Done(Ok(version)) => {
                return match action {
                    SpaceAction::Put(..) => self.spaces.written(space, &entry.0, &entry.1, version),
                    SpaceAction::DeleteRange(..) => self.spaces.removed(space, version),
                    action => {
                        let makes = action == SpaceAction::Make;
                        self.spaces.changed(space, makes, true)
                    }
                };
            }
            Spaced::Past(Ok(Past { now, at, found })) => {
                let of_space = self.plan.setting.kept_of(space);
                // The database refuses by its own window first.
                let kept = match action {
                    SpaceAction::AsOf {
                        by_database: true, ..
                    } => of_space.min(self.plan.setting.retention),
                    _ => of_space,
                };
                match found {
                    Ok(found) => {
                        self.totals.past += 1;
                        self.see(found.len() as u64);
                        return self.spaces.read_past(space, at.0, &found);
                    }
                    Err(Error::HistoryGone { oldest, .. })
                        if at.0 + kept < now.0 && oldest > at =>
                    {
                        self.spaces.refused(space);
                        return Ok(());
                    }
                    Err(error @ Error::HistoryGone { .. }) => {
                        let story = format!(
                            "version {at} of {now} of a keyspace, of which {kept} are kept: {error}"
                        );
                        return failed(Check::Snapshot, story);
                    }
                    Err(error) => error,
                }
            }
            Spaced::Kept(Ok((snapshot, handle, shows))) => {
                self.see(shows.len() as u64);
                let verdict = self.spaces.read(space, Some(&shows));
                if self.clients.kept.len() < KEPT_MAX {
                    let generation = self.spaces.generation(space);
                    self.clients.kept.push(Kept {
                        space,
                        generation,
                        snapshot,
                        handle,
                        shows,
                    });
                }
                return verdict;
            }
            Spaced::ReadKept(kept, found) => {
                self.spaces.refused(space);
                let lives = kept.generation == self.spaces.generation(space);
                match found {
                    Ok(mut found) => {
                        self.see(found.len() as u64);
                        if action == (SpaceAction::ReadKept { reverse: true }) {
                            found.reverse();
                        }
                        return match lives && found == kept.shows {
                            true => Ok(()),
                            false => failed(
                                Check::Content,
                                format!(
                                    "a snapshot of keyspace {space} showed {} entries and now {}, or it was dropped",
                                    kept.shows.len(),
                                    found.len()
                                ),
                            ),
                        };
                    }
                    Err(Error::KeyspaceDropped { .. }) if !lives => return Ok(()),
                    Err(error) => {
                        self.totals.errors += 1;
                        return self.explain(&error);
                    }
                }
            }
            Spaced::Read(Err(error))
            | Spaced::Done(Err(error))
            | Spaced::Past(Err(error))
            | Spaced::Kept(Err(error)) => error,
        };
        self.say(|| format!("client {number}: {action:?} of keyspace {space}: {error}"));
        let is_missing = matches!(error, Error::NoKeyspace { .. });
        let is_judged = is_missing || matches!(error, Error::KeyspaceExists { .. });
        if !is_judged {
            self.totals.errors += 1;
            match (error.is_unknown(), &action) {
                (true, _) => self.spaces.unknown(space),
                (false, SpaceAction::Put(..)) => {
                    self.spaces.not_written(space, &entry.1, false)?;
                }
                (false, SpaceAction::DeleteRange(..)) => {
                    self.spaces.not_removed(space, false)?;
                }
                (false, _) => self.spaces.refused(space),
            }
            return self.explain(&error);
        }
        match action {
            SpaceAction::Make | SpaceAction::Drop => {
                let makes = action == SpaceAction::Make;
                self.spaces.changed(space, makes, false)
            }
            SpaceAction::Put(..) => self.spaces.not_written(space, &entry.1, is_missing),
            SpaceAction::DeleteRange(..) => self.spaces.not_removed(space, is_missing),
            SpaceAction::Read { .. } | SpaceAction::Keep | SpaceAction::AsOf { .. } => {
                self.spaces.read(space, None)
            }
            SpaceAction::ReadKept { .. } => Ok(()),
        }
    }

    /// All keyspaces of an open database.
    pub(super) fn find_spaces(
        &self,
        db: &Database,
        hosts: &ByHand,
    ) -> Verdict<Vec<Option<SpaceEntries>>> {
        let error = |error: Error| Failure {
            check: Check::Errors,
            story: format!("keyspaces after opening: {error}"),
        };
        let mut found = Vec::new();
        for space in 0..SPACES {
            let handle = self.drive(hosts, db.keyspace_async(&name(space)))?;
            found.push(match handle {
                Ok(handle) => {
                    let entries = self.drive(hosts, entries(handle.scan(..), false))?;
                    Some(entries.map_err(error)?)
                }
                Err(Error::NoKeyspace { .. }) => None,
                Err(other) => return Err(error(other)),
            });
        }
        Ok(found)
    }

    pub(super) fn spaces_survived(&self, found: &[Option<SpaceEntries>]) -> Verdict {
        let mut found = (0..).zip(found);
        found.try_for_each(|(space, found)| self.spaces.survived(space, found.as_ref()))
    }
}

fn is_refused<T>(result: &ringkeep::Result<T>) -> bool {
    matches!(result, Err(Error::KeyspaceDropped { .. } | Error::Closed))
}

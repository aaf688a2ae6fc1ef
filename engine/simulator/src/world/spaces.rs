//! Keyspaces made, dropped, written and read, beside all else.

use ringkeep::simulation::ByHand;
use ringkeep::{Database, Durability, Error, KeyspaceOptions};

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

/// What came of it.
pub(super) enum Spaced {
    Done(ringkeep::Result<()>),
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
                Box::pin(async move {
                    let made = db.create_keyspace_async(&name, KeyspaceOptions::default());
                    Answer::Spaced(Spaced::Done(made.await.map(drop)))
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
                    Answer::Spaced(Spaced::Done(dropped))
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
                            db.write_with_async(batch, durability).await.map(drop)
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
                        Ok(handle) => handle.delete_range_async(keys).await.map(drop),
                        Err(error) => Err(error),
                    };
                    Answer::Spaced(Spaced::Done(removed))
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
            Spaced::Done(Ok(())) => {
                return match action {
                    SpaceAction::Put(..) => self.spaces.written(space, &entry.0, &entry.1),
                    SpaceAction::DeleteRange(..) => self.spaces.removed(space),
                    action => {
                        let makes = action == SpaceAction::Make;
                        self.spaces.changed(space, makes, true)
                    }
                };
            }
            Spaced::Read(Err(error)) | Spaced::Done(Err(error)) => error,
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
            SpaceAction::Read { .. } => self.spaces.read(space, None),
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

//! A host's part in making and opening a database.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ringkeep_io::{Directory, Io};
use ringkeep_shard::{
    CommitClock, Identity, InDoubt, Pins, ReplayedLog, Rows, Shard, ShardId, ShardOptions,
    TransactionId, Version,
};

use super::commits::Asker;
use super::{Host, Resident};
use crate::hits::Marks;
use crate::latency::Recorder;
use crate::{Error, Result, error};

/// What all hosts of one database know.
pub(crate) struct Site {
    pub(crate) path: PathBuf,
    pub(crate) store: [u8; 16],
    pub(crate) shards: u16,
    pub(crate) hosts: usize,
    pub(crate) each: ShardOptions,
    pub(crate) clock: Arc<CommitClock>,
    pub(crate) pins: Arc<Pins>,
}

impl Site {
    fn root(&self, io: &Io) -> Result<Directory> {
        root(io, &self.path)
    }

    fn folder(&self, io: &Io, shard: ShardId) -> Result<Directory> {
        let path = self.path.join(folder(shard));
        self.root(io)?.directory(&folder(shard)).map_err(|error| {
            if error.is_missing() {
                Error::MissingShard { shard, path }
            } else {
                Error::Io { path, error }
            }
        })
    }

    fn identity(&self, shard: ShardId) -> Identity {
        Identity {
            store: self.store,
            shard,
            shards: self.shards,
        }
    }
}

/// The logs of all shards, on their way from the threads that read them to the hosts that go on with them.
#[derive(Clone)]
pub(crate) struct ReadLogs(Arc<Mutex<HashMap<ShardId, ReplayedLog>>>);

impl ReadLogs {
    pub(crate) fn of(logs: impl Iterator<Item = (ShardId, ReplayedLog)>) -> ReadLogs {
        ReadLogs(Arc::new(Mutex::new(logs.collect())))
    }

    fn take(&self, shard: ShardId) -> ReplayedLog {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logs.remove(&shard)
            .expect("every shard's log was read, once")
    }
}

impl Host {
    /// Makes this host's shards, empty. Whatever an earlier attempt left in their folders goes.
    pub(crate) fn create_shards(&mut self, site: &Site) -> Result<()> {
        self.hosts = site.hosts;
        let root = site.root(&self.io)?;
        for id in self.own_shards(site.shards) {
            let name = folder(id);
            let at = |error| Error::Io {
                path: site.path.join(&name),
                error,
            };
            match root.create_directory(&name) {
                Err(error) if !error.is_present() => return Err(at(error)),
                _ => {}
            }
            let directory = root.directory(&name).map_err(at)?;
            for file in directory.list().map_err(at)? {
                directory.remove(&file).map_err(at)?;
            }
            Shard::<Asker>::create(&self.io, &directory, &site.identity(id), &site.each)
                .map_err(|error| error::of_shard(id, error))?;
            directory.sync().map_err(at)?;
        }
        root.sync().map_err(|error| Error::Io {
            path: site.path.clone(),
            error,
        })
    }

    /// Reads the logs of this thread's share of the shards, which is its own ones when all that help are hosts.
    pub(crate) fn read_logs(
        &mut self,
        site: &Site,
        readers: usize,
    ) -> Result<Vec<(ShardId, ReplayedLog)>> {
        let mut logs = Vec::new();
        for id in (self.index as u16..site.shards)
            .step_by(readers)
            .map(ShardId)
        {
            let directory = site.folder(&self.io, id)?;
            let log =
                Shard::<Asker>::read_log(&self.io, &directory, &site.identity(id), &site.each)
                    .map_err(|error| error::of_shard(id, error))?;
            logs.push((id, log));
        }
        Ok(logs)
    }

    /// Recovers this host's shards.
    pub(crate) fn open_shards(
        &mut self,
        site: &Site,
        logs: &ReadLogs,
    ) -> Result<Vec<(ShardId, InDoubt)>> {
        self.hosts = site.hosts;
        let mut doubts = Vec::new();
        for id in self.own_shards(site.shards) {
            let directory = site.folder(&self.io, id)?;
            let (clock, pins) = (Arc::clone(&site.clock), Arc::clone(&site.pins));
            let shard = Shard::open_replayed(
                &self.io,
                &directory,
                &site.identity(id),
                &site.each,
                clock,
                pins,
                logs.take(id),
            )
            .map_err(|error| error::of_shard(id, error))?;
            doubts.extend(shard.in_doubt().into_iter().map(|doubt| (id, doubt)));
            self.residents.push(Resident {
                id,
                entangled: !shard.in_doubt().is_empty(),
                shard,
                took: Recorder::new(),
                marks: Marks::default(),
                loose: false,
            });
        }
        Ok(doubts)
    }

    /// What callers may look at before they ask this host's shards.
    pub(crate) fn rows(&self) -> Vec<(ShardId, Arc<Rows>)> {
        let residents = self.residents.iter();
        residents
            .map(|resident| (resident.id, resident.shard.rows()))
            .collect()
    }

    /// What a shard of this host decided about a commit that it coordinated.
    pub(crate) fn decision(
        &self,
        coordinator: ShardId,
        transaction: TransactionId,
    ) -> Option<Version> {
        let resident = &self.residents[self.place(coordinator)];
        resident.shard.decision(transaction)
    }

    /// Tells a shard of this host how a commit ended.
    pub(crate) fn resolve(
        &mut self,
        shard: ShardId,
        transaction: TransactionId,
        decision: Option<Version>,
    ) {
        let place = self.place(shard);
        self.residents[place].shard.resolve(transaction, decision);
    }

    fn own_shards(&self, shards: u16) -> impl Iterator<Item = ShardId> + use<> {
        (self.index as u16..shards).step_by(self.hosts).map(ShardId)
    }
}

/// The folder of the database through a host's own door.
pub(crate) fn root(io: &Io, path: &Path) -> Result<Directory> {
    io.directory(path).map_err(|error| Error::Io {
        path: path.into(),
        error,
    })
}

/// The folder of a shard.
pub(crate) fn folder(shard: ShardId) -> String {
    format!("shard-{shard}")
}

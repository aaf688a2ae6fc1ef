//! Which keyspaces there are: a record in the database itself, changed by transactions, and what is in memory of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringkeep_io::planted::{Defect, planted};
use ringkeep_shard::keyspace::{self, KeyspaceId, Living};
use ringkeep_shard::{Durability, Pins};

use super::format::{Entry, FORMAT_VERSION, Record, Unreadable};
use super::space::Space;
use super::{Keyspace, KeyspaceOptions, NAME_BYTES_MAX};
use crate::transaction::Next;
use crate::{Database, Error, Result, desk};

/// The name of its key.
const CATALOG: &str = "keyspaces";

/// In memory.
pub(crate) struct Catalog {
    known: Mutex<Known>,
    pins: Arc<Pins>,
}

#[derive(Default)]
struct Known {
    /// Of the record; nothing until it was read.
    sequence: Option<u64>,
    spaces: BTreeMap<String, Arc<Space>>,
}

impl Catalog {
    pub(crate) fn new(pins: Arc<Pins>) -> Catalog {
        let known = Mutex::default();
        Catalog { known, pins }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was read, or is durable. An older one tells nothing.
    fn learn(&self, record: &Record) {
        let mut known = self.known();
        if known.sequence.is_some_and(|known| known >= record.sequence) {
            return;
        }
        known.sequence = Some(record.sequence);
        let before = std::mem::take(&mut known.spaces);
        for entry in &record.entries {
            let Entry { id, kept, name } = entry.clone();
            let space = before.get(&name).filter(|space| space.id == id).cloned();
            let new = || Arc::new(Space::new(id, name.clone(), kept, Arc::clone(&self.pins)));
            let space = space.unwrap_or_else(new);
            known.spaces.insert(name, space);
        }
        for space in before.values() {
            let is_there = |there: &Arc<Space>| there.id == space.id;
            let is_there = known.spaces.get(&space.name).is_some_and(is_there);
            if !is_there && !planted(Defect::DroppedKeyspaceOpen) {
                space.shut();
            }
        }
        let numbers = record.entries.iter().map(|entry| entry.id.0);
        let entries = record.entries.iter();
        let windows = entries
            .clone()
            .filter_map(|entry| Some((entry.id.0, entry.kept.retention?)));
        let codecs = entries.filter_map(|entry| Some((entry.id.0, entry.kept.codec?)));
        // No call is let in from here on, so merges may drop what is left.
        self.pins.set_living(Living {
            next: record.next,
            numbers: match planted(Defect::NewKeyspaceDropped) {
                false => numbers.collect(),
                true => numbers.rev().skip(1).collect(),
            },
            windows: windows.collect(),
            codecs: codecs.collect(),
        });
    }

    /// Those with a window of their own.
    pub(crate) fn with_windows(&self) -> Vec<Arc<Space>> {
        let known = self.known();
        let spaces = known.spaces.values();
        let own = spaces.filter(|space| space.kept.retention.is_some());
        own.cloned().collect()
    }

    fn find(&self, name: &str) -> Option<Arc<Space>> {
        self.known().spaces.get(name).cloned()
    }
}

impl Database {
    /// Makes a keyspace: keys of their own, in this database, under a name. When this returns it is there for good.
    ///
    /// ```
    /// # fn main() -> ringkeep::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("ringkeep-doc-keyspace-{}", std::process::id()));
    /// # let options = ringkeep::Options { direct: ringkeep::Direct::Optional, ..ringkeep::Options::small() };
    /// # let db = ringkeep::Database::open(&folder, options)?;
    /// use ringkeep::KeyspaceOptions;
    /// let users = db.create_keyspace("users", KeyspaceOptions::default())?;
    /// users.put("ann", "Ann")?;
    /// assert_eq!(db.get("ann")?, None);
    /// assert_eq!(db.keyspace("users")?.get("ann")?.as_deref(), Some(&b"Ann"[..]));
    /// db.drop_keyspace("users")?;
    /// assert!(users.get("ann").is_err());
    /// # db.close()?;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace> {
        desk::block_on(self.create_keyspace_async(name, options))
    }

    /// [`Database::create_keyspace`] as a future.
    pub fn create_keyspace_async(
        &self,
        name: &str,
        options: KeyspaceOptions,
    ) -> impl Future<Output = Result<Keyspace>> + Send {
        let name = name.to_owned();
        async move {
            let kept = options.validated()?;
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(Error::Option {
                    name: "name",
                    detail: format!("a keyspace's has 1 to {NAME_BYTES_MAX} bytes"),
                });
            }
            let change = |record: &mut Record| {
                if record.entries.iter().any(|entry| entry.name == name) {
                    return Err(Error::KeyspaceExists { name: name.clone() });
                }
                let id = KeyspaceId(record.next);
                record.next = record.next.checked_add(1).expect("there are four billion");
                let name = name.clone();
                record.entries.push(Entry { id, kept, name });
                if planted(Defect::KeyspaceNumberReused) {
                    record.reuse_number();
                }
                Ok(())
            };
            self.change_catalog(change).await?;
            self.keyspace_async(&name).await
        }
    }

    /// Opens a keyspace that is there.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        desk::block_on(self.keyspace_async(name))
    }

    /// [`Database::keyspace`] as a future.
    pub fn keyspace_async(&self, name: &str) -> impl Future<Output = Result<Keyspace>> + Send {
        let name = name.to_owned();
        async move {
            self.load_catalog().await?;
            self.0.shards.check_open()?;
            match self.0.catalog.find(&name) {
                Some(space) => Ok(Keyspace::new(self.clone(), space)),
                None => Err(Error::NoKeyspace { name }),
            }
        }
    }

    /// Drops a keyspace with all its keys, at whatever version. When this returns the name is free, and calls of handles to
    /// it, of snapshots and transactions too, are refused with [`Error::KeyspaceDropped`]; those under way end as if they
    /// had come before. Its space comes back with merges; [`Database::compact`] brings all of it.
    ///
    /// After an error that is [unknown](Error::is_unknown) it cannot be used until the database is opened again, which shows
    /// whether it is gone.
    pub fn drop_keyspace(&self, name: &str) -> Result<()> {
        desk::block_on(self.drop_keyspace_async(name))
    }

    /// [`Database::drop_keyspace`] as a future.
    pub fn drop_keyspace_async(&self, name: &str) -> impl Future<Output = Result<()>> + Send {
        let name = name.to_owned();
        async move {
            let change = |record: &mut Record| {
                let before = record.entries.len();
                record.entries.retain(|entry| entry.name != name);
                match record.entries.len() < before {
                    true => Ok(()),
                    false => Err(Error::NoKeyspace { name: name.clone() }),
                }
            };
            let dropped = self.change_catalog(change).await;
            if dropped.as_ref().is_err_and(Error::is_unknown)
                && let Some(space) = self.0.catalog.find(&name)
            {
                // What is written from now on could be gone at the next opening.
                space.shut();
            }
            dropped
        }
    }

    /// The names of all keyspaces but the default one.
    pub fn keyspaces(&self) -> Result<Vec<String>> {
        desk::block_on(self.keyspaces_async())
    }

    /// [`Database::keyspaces`] as a future.
    pub async fn keyspaces_async(&self) -> Result<Vec<String>> {
        self.load_catalog().await?;
        self.0.shards.check_open()?;
        let known = self.0.catalog.known();
        Ok(known.spaces.keys().cloned().collect())
    }

    /// Once. Who never asks for a keyspace never pays for it.
    pub(crate) async fn load_catalog(&self) -> Result<()> {
        if self.0.catalog.known().sequence.is_some() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let found = self.0.get_stored(&key(), &mut bytes).await?;
        let record = read(found.then_some(&bytes[..]))?;
        self.0.catalog.learn(&record);
        Ok(())
    }

    async fn change_catalog(
        &self,
        change: impl Fn(&mut Record) -> Result<()> + Send + Sync,
    ) -> Result<()> {
        let step = |old: Option<&[u8]>| {
            let mut record = read(old)?;
            change(&mut record)?;
            record.sequence += 1;
            Ok((Next::Put(record.encode()), record))
        };
        let durability = match planted(Defect::CatalogNotSynced) {
            false => Durability::Sync,
            true => Durability::Buffered,
        };
        let record = self
            .step(Ok(key()), || u64::MAX, Some(durability), step)
            .await?;
        self.0.catalog.learn(&record);
        Ok(())
    }
}

fn key() -> Vec<u8> {
    keyspace::system(CATALOG)
}

fn read(bytes: Option<&[u8]>) -> Result<Record> {
    let Some(bytes) = bytes else {
        return Ok(Record::default());
    };
    Record::decode(bytes).map_err(|error| Error::Catalog {
        detail: match error {
            Unreadable::Damaged => "it does not parse".to_owned(),
            Unreadable::Format(found) => {
                format!("its format is {found}, this build reads {FORMAT_VERSION}")
            }
        },
    })
}

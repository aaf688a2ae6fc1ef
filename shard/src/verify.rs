//! Reads everything that a shard keeps and compares it with its checksums, beside all other work and no faster than
//! asked: superblock, manifest, tables and log. Nothing is answered from memory, and nothing is changed.
//!
//! Tables that come while it goes on were just written, and those that go are not needed; both are passed over.

use std::rc::Rc;

use ringkeep_io::{Nanos, OpenMode};

use crate::call::Reply;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::superblock::missing_or;
use crate::table::Table;
use crate::tasks::yield_now;
use crate::token::Token;

/// What a verification read, and what is damaged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// Bytes read and compared.
    pub bytes: u64,
    /// Tables looked at.
    pub tables: u64,
    /// Log frames looked at.
    pub frames: u64,
    /// In the order of their discovery.
    pub damages: Vec<Damage>,
}

/// Something on disk that is not what was written there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The damaged file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What was found.
    pub detail: String,
    /// Which keys cannot be read, or may show an older value.
    pub keys: KeysAtRisk,
}

impl Damage {
    /// What a read or a check said; at this offset, if it does not say where.
    pub(crate) fn of(error: Error, at: u64, keys: KeysAtRisk) -> Damage {
        let (file, offset, detail) = match error {
            Error::Corrupt {
                file,
                offset,
                detail,
            }
            | Error::CorruptAcked {
                file,
                offset,
                detail,
            } => (file, offset, detail),
            Error::Io { error, file } => (file, at, format!("it cannot be read: {error}")),
            Error::Missing { file } => (file, at, "it is missing or too short".into()),
            Error::Foreign { file, detail } => (file, 0, detail),
            Error::Version { ref file, .. } => (file.clone(), 0, error.to_string()),
            other => (String::new(), 0, other.to_string()),
        };
        Damage {
            file,
            offset,
            detail,
            keys,
        }
    }
}

/// The keys that a damage concerns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeysAtRisk {
    /// None: there are other copies.
    None,
    /// Any key of the shard.
    Any,
    /// Those above `after`, up to and with `to`.
    Between {
        /// Below the first one; empty when it is the first of all.
        after: Box<[u8]>,
        /// The last one.
        to: Box<[u8]>,
    },
}

/// One verification under way.
pub(crate) struct Inspection<'a, T> {
    core: &'a Core<T>,
    /// No limit when it is 0.
    bytes_per_second: u64,
    begun: Nanos,
    pub found: Verified,
}

impl<T: Token> Core<T> {
    pub fn accept_verify(self: &Rc<Self>, token: T, bytes_per_second: u64) {
        let core = Rc::clone(self);
        self.tasks.spawn(async move {
            let reply = match core.verify(bytes_per_second).await {
                Ok(found) => Reply::Verified(Box::new(found)),
                Err(error) => Reply::Failed(error),
            };
            core.reply(token, reply);
        });
    }

    async fn verify(&self, bytes_per_second: u64) -> Result<Verified> {
        let mut inspection = Inspection {
            core: self,
            bytes_per_second,
            begun: self.io.now(),
            found: Verified::default(),
        };
        self.manifest.verify(&mut inspection).await?;
        let tables: Vec<_> = self.tables.borrow().tables().map(|t| t.id()).collect();
        for id in tables {
            let still = self
                .tables
                .borrow()
                .tables()
                .find(|t| t.id() == id)
                .cloned();
            if let Some(table) = still {
                self.verify_table(&table, &mut inspection).await?;
            }
        }
        self.verify_log(&mut inspection).await?;
        Ok(inspection.found)
    }

    /// Opens the table anew, as a restart would, and reads every block that its indexes lead to.
    async fn verify_table(&self, table: &Table, inspection: &mut Inspection<'_, T>) -> Result<()> {
        inspection.found.tables += 1;
        let summary = table.summary();
        let whole = || KeysAtRisk::Between {
            after: Box::default(),
            to: summary.last_key.clone(),
        };
        let name = table.name();
        let reopened = match self.directory.open(name, OpenMode::Read) {
            Ok(file) => {
                let (store, shard) = (self.identity.store, self.identity.shard);
                Table::open(&self.io, file, name.into(), summary, store, shard).await
            }
            Err(error) => Err(missing_or(error, name)),
        };
        match reopened {
            Ok(reopened) => {
                reopened.hold(table.blobs().to_vec());
                reopened.verify_blocks(inspection).await
            }
            Err(error) => {
                inspection.damage(error, whole());
                // What is in memory still leads to the rest.
                table.verify_blocks(inspection).await
            }
        }
    }
}

impl<T: Token> Inspection<'_, T> {
    pub fn io(&self) -> &ringkeep_io::Io {
        &self.core.io
    }

    /// So many bytes were compared. Waits for as long as they were read too early.
    pub async fn took(&mut self, bytes: u64) -> Result<()> {
        self.found.bytes += bytes;
        self.core.stats.borrow_mut().verified_bytes += bytes;
        if self.core.closing.get() {
            return Err(Error::Closed);
        }
        if self.bytes_per_second > 0 {
            let allowed = u128::from(self.found.bytes) * 1_000_000_000;
            let due = self.begun + (allowed / u128::from(self.bytes_per_second)) as u64;
            if due > self.io().now() {
                self.core.tasks.sleep_until(due).await;
                return Ok(());
            }
        }
        yield_now().await;
        Ok(())
    }

    /// What a read or a check said, as a damage.
    pub fn damage(&mut self, error: Error, keys: KeysAtRisk) {
        self.damage_at(error, 0, keys);
    }

    /// The same where the error may not say where.
    pub fn damage_at(&mut self, error: Error, at: u64, keys: KeysAtRisk) {
        self.found.damages.push(Damage::of(error, at, keys));
    }
}

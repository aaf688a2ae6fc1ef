//! What can still be read of a damaged shard that nobody has open. Trusts no index: log frames and table blocks say
//! themselves what they are, so each that is whole counts, whatever is wrong around it. Reads, and writes nothing.
//!
//! The manifest, where it can be read, tells which files and which frames count. Without it everything that is
//! whole does, and what had been overwritten, removed or cut may come back: the notes say so.

mod blobs;
mod log;
mod tables;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ringkeep_io::{Directory, Io};

use crate::call::Op;
use crate::error::Result;
use crate::manifest::{Manifest, ManifestStore};
use crate::open::block_on;
use crate::ranges::RangeDelete;
use crate::shard::{Identity, TransactionId};
use crate::superblock;
use crate::verify::Damage;
use crate::version::{ShardId, Version};

/// Takes a key and value that are to be kept, and when the value ends, if it does. An error ends the salvage.
pub type Keep<'a, E> = dyn FnMut(&[u8], &[u8], Option<u64>) -> std::result::Result<(), E> + 'a;

/// What was left of one shard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvaged {
    /// Keys that were kept.
    pub keys: u64,
    /// What could not be read.
    pub damages: Vec<Damage>,
    /// What else whoever uses the result has to know.
    pub notes: Vec<String>,
}

/// Versions of a key, newest first.
type Versions = BTreeMap<(Box<[u8]>, Reverse<Version>), Op>;

/// What is left of a shard's log, and of its list of files.
pub struct Remains {
    identity: Identity,
    manifest: Option<Manifest>,
    changes: Versions,
    ranges: Vec<RangeDelete>,
    /// Parts of batches over several shards whose outcome this log does not say.
    prepared: Vec<(TransactionId, ShardId, Vec<Op>)>,
    decisions: BTreeMap<TransactionId, Version>,
    found: Salvaged,
}

impl Remains {
    /// Reads manifest and log. Waits for the disk.
    pub fn read(io: &Io, directory: &Directory, identity: &Identity) -> Result<Remains> {
        block_on(io, async {
            let mut remains = Remains {
                identity: identity.clone(),
                manifest: None,
                changes: Versions::new(),
                ranges: Vec::new(),
                prepared: Vec::new(),
                decisions: BTreeMap::new(),
                found: Salvaged::default(),
            };
            match ManifestStore::open(io, directory, identity).await {
                Ok(store) => {
                    let manifest = store.with(Manifest::clone);
                    remains.ranges = manifest.ranges.clone();
                    remains.manifest = Some(manifest);
                }
                Err(error) => remains.found.notes.push(format!(
                    "the list of files is lost ({error}): everything whole was taken, so that values which had been \
                     overwritten, removed, or never acknowledged may have come back"
                )),
            }
            remains.read_log(io, directory).await?;
            Ok(remains)
        })
    }

    /// The batches over several shards that this shard decided to commit.
    pub fn decisions(&self) -> impl Iterator<Item = (TransactionId, Version)> + '_ {
        let decisions = self.decisions.iter();
        decisions.map(|(transaction, version)| (*transaction, *version))
    }

    fn take_ops(&mut self, ops: Vec<Op>, version: Version) {
        for op in ops {
            match RangeDelete::of(&op, version) {
                Some(range) => self.ranges.push(range),
                None => {
                    let key = (op.key().into(), Reverse(version));
                    self.changes.insert(key, op);
                }
            }
        }
    }

    /// Gives every key that is left, in order, with its newest value. `decided` is what all shards decided. Waits
    /// for the disk.
    pub fn keep<E: From<crate::Error>>(
        mut self,
        io: &Io,
        directory: &Directory,
        decided: &BTreeMap<TransactionId, Version>,
        keep: &mut Keep<'_, E>,
    ) -> std::result::Result<Salvaged, E> {
        for (transaction, _, ops) in std::mem::take(&mut self.prepared) {
            if let Some(version) = decided.get(&transaction) {
                self.take_ops(ops, *version);
            }
        }
        block_on(io, self.keep_newest(io, directory, keep))
    }
}

/// Whose shard this is, as the first whole copy of its superblock says.
pub fn identify(io: &Io, directory: &Directory) -> Option<Identity> {
    block_on(io, superblock::any_identity(io, directory))
}

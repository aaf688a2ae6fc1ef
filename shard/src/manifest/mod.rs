//! Which files make up the shard, and the one way to change that.
//!
//! Two files take turns: the new manifest goes into the one that the current superblock does not
//! refer to, then the superblock is switched. Edits that arrive while one is being written are
//! written together by the next one.

mod format;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, Io, OpenMode, PAGE, WriteDurability};

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::shard::Identity;
use crate::superblock::{self, Chosen, Superblock, missing_or};
use crate::tasks::Signal;
use crate::token::Token;
use crate::verify::{Inspection, KeysAtRisk};

use format::{FORMAT_VERSION, Unreadable};
pub(crate) use format::{LogPiece, Manifest, PieceEnd, Run};

pub(crate) const FILE_NAMES: [&str; 2] = ["manifest-a", "manifest-b"];

/// A manifest larger than this is damage: 64 MiB name about half a million tables.
const BYTES_MAX: u64 = 64 << 20;

/// The manifest in memory and its files.
pub(crate) struct ManifestStore {
    io: Io,
    files: [File; 2],
    superblock_file: File,
    state: RefCell<State>,
    written: Signal,
}

struct State {
    manifest: Manifest,
    superblock: Superblock,
    /// All copies of it are on stable storage.
    everywhere: bool,
    /// Edits applied to `manifest`.
    edits: u64,
    /// Edits that are on stable storage.
    durable: u64,
    writing: bool,
    /// Why there is no writing any more.
    failure: Option<Error>,
}

impl ManifestStore {
    /// Writes the first manifest and superblock of a new shard.
    pub async fn create(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        manifest: Manifest,
    ) -> Result<()> {
        let create = |name: &str| {
            directory
                .open(name, OpenMode::CreateNew)
                .map_err(|e| Error::io(e, name))
        };
        let files = [create(FILE_NAMES[0])?, create(FILE_NAMES[1])?];
        let superblock_file = superblock::create(directory)?;
        directory
            .sync()
            .map_err(|e| Error::io(e, "the shard's directory"))?;
        let store = ManifestStore {
            io: io.clone(),
            files,
            superblock_file,
            state: RefCell::new(State {
                manifest,
                superblock: Superblock {
                    identity: identity.clone(),
                    sequence: 0,
                    manifest_bytes: 0,
                    manifest_crc: 0,
                    parent_crc: 0,
                },
                everywhere: true,
                edits: 0,
                durable: 0,
                writing: false,
                failure: None,
            }),
            written: Signal::default(),
        };
        store.commit(|_| ()).await
    }

    /// Reads what the newest superblock refers to.
    pub async fn open(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
    ) -> Result<ManifestStore> {
        let chosen = superblock::read(io, directory, identity).await?;
        ManifestStore::of(io, directory, chosen).await
    }

    /// Reads what this superblock refers to.
    pub async fn of(io: &Io, directory: &Directory, chosen: Chosen) -> Result<ManifestStore> {
        let superblock_file = superblock::open(directory)?;
        let Chosen {
            superblock,
            everywhere,
        } = chosen;
        let open = |name: &str| {
            directory
                .open(name, OpenMode::ReadWrite)
                .map_err(|e| missing_or(e, name))
        };
        let files = [open(FILE_NAMES[0])?, open(FILE_NAMES[1])?];
        let turn = (superblock.sequence % 2) as usize;
        let manifest = read_manifest(io, &files[turn], FILE_NAMES[turn], &superblock).await?;
        Ok(ManifestStore {
            io: io.clone(),
            files,
            superblock_file,
            state: RefCell::new(State {
                manifest,
                superblock,
                everywhere,
                edits: 0,
                durable: 0,
                writing: false,
                failure: None,
            }),
            written: Signal::default(),
        })
    }

    /// The superblock that refers to it.
    pub fn chosen(&self) -> Chosen {
        let state = self.state.borrow();
        Chosen {
            superblock: state.superblock.clone(),
            everywhere: state.everywhere,
        }
    }

    /// Looks at the manifest as edited so far.
    pub fn with<R>(&self, look: impl FnOnce(&Manifest) -> R) -> R {
        look(&self.state.borrow().manifest)
    }

    /// Edits the manifest and waits until the edit is on stable storage.
    ///
    /// A full disk leaves the edit in memory, to be written by the next commit, and the files on
    /// disk as they were. After any other failure nothing is written any more: the copies of the
    /// superblock that failed may be there all the same, and what they refer to must stay as it is.
    pub async fn commit(&self, edit: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mine = {
            let mut state = self.state.borrow_mut();
            edit(&mut state.manifest);
            state.edits += 1;
            state.edits
        };
        self.persist(mine).await
    }

    /// Writes what was edited so far, for a commit that failed on a full disk.
    pub async fn commit_again(&self) -> Result<()> {
        let newest = self.state.borrow().edits;
        self.persist(newest).await
    }

    async fn persist(&self, edit: u64) -> Result<()> {
        loop {
            self.written
                .wait_until(|| !self.state.borrow().writing)
                .await;
            if self.state.borrow().durable >= edit {
                return Ok(());
            }
            if let Some(failure) = self.state.borrow().failure.clone() {
                return Err(failure);
            }
            let (bytes, superblock, covers) = {
                let mut state = self.state.borrow_mut();
                state.writing = true;
                let bytes = state.manifest.encode();
                let mut next = state.superblock.clone();
                next.sequence += 1;
                next.parent_crc = state.superblock.crc();
                next.manifest_bytes = bytes.len() as u64;
                next.manifest_crc = crc32c(&bytes);
                (bytes, next, state.edits)
            };
            let outcome = match self.make_superblock_whole().await {
                Ok(()) => self.write(&bytes, &superblock).await,
                failed => failed,
            };
            {
                let mut state = self.state.borrow_mut();
                state.writing = false;
                match &outcome {
                    Ok(()) => {
                        state.superblock = superblock;
                        state.durable = covers;
                    }
                    Err(Error::Io { error, file })
                        if error.is_full() && file != superblock::FILE_NAME => {}
                    Err(_) if planted(Defect::FailedSuperblockRetried) => {}
                    Err(error) => state.failure = Some(error.clone()),
                }
            }
            self.written.raise();
            outcome?;
        }
    }

    /// Compares the files with what they should say. No commit runs meanwhile.
    pub async fn verify<T: Token>(&self, inspection: &mut Inspection<'_, T>) -> Result<()> {
        self.written
            .wait_until(|| !self.state.borrow().writing)
            .await;
        self.state.borrow_mut().writing = true;
        let (superblock, everywhere) = {
            let state = self.state.borrow();
            (state.superblock.clone(), state.everywhere)
        };
        if everywhere {
            superblock::verify(&self.io, &self.superblock_file, &superblock, inspection).await;
        }
        let turn = (superblock.sequence % 2) as usize;
        let read = read_manifest(&self.io, &self.files[turn], FILE_NAMES[turn], &superblock).await;
        self.state.borrow_mut().writing = false;
        self.written.raise();
        if let Err(error) = read {
            inspection.damage(error, KeysAtRisk::Any);
        }
        inspection.took(superblock.manifest_bytes).await
    }

    /// After a power cut between the halves, two copies are still the one before. Torn while the next one is
    /// written, they would be the quorum, for a manifest whose file the next one took. Before files are removed that this
    /// one does not name, since the other may.
    pub async fn make_superblock_whole(&self) -> Result<()> {
        let (everywhere, current) = {
            let state = self.state.borrow();
            (state.everywhere, state.superblock.clone())
        };
        if !everywhere && !planted(Defect::SuperblockLeftHalf) {
            superblock::write(&self.io, &self.superblock_file, &current).await?;
            self.state.borrow_mut().everywhere = true;
        }
        Ok(())
    }

    async fn write(&self, bytes: &[u8], superblock: &Superblock) -> Result<()> {
        let turn = (superblock.sequence % 2) as usize;
        let (file, name) = (&self.files[turn], FILE_NAMES[turn]);
        let mut buffer = Buffer::zeroed(bytes.len().next_multiple_of(PAGE));
        buffer[..bytes.len()].copy_from_slice(bytes);
        let length = buffer.len();
        let written = self
            .io
            .write(file, 0, buffer, length, WriteDurability::Cached)
            .await;
        written.result.map_err(|e| Error::io(e, name))?;
        if !planted(Defect::ManifestNotSynced) {
            let synced = self.io.sync(file).await;
            synced.result.map_err(|e| Error::io(e, name))?;
        }
        superblock::write(&self.io, &self.superblock_file, superblock).await
    }
}

async fn read_manifest(
    io: &Io,
    file: &File,
    name: &str,
    superblock: &Superblock,
) -> Result<Manifest> {
    let corrupt = |detail: &str| Error::Corrupt {
        file: name.into(),
        offset: 0,
        detail: detail.into(),
    };
    if superblock.manifest_bytes > BYTES_MAX {
        return Err(corrupt("its length in the superblock is impossible"));
    }
    let length = superblock.manifest_bytes as usize;
    let done = io
        .read(file, 0, Buffer::zeroed(length.next_multiple_of(PAGE)))
        .await;
    let read = done.result.map_err(|e| Error::io(e, name))?;
    if read < length {
        return Err(Error::Missing { file: name.into() });
    }
    let bytes = &done.buffer[..length];
    if crc32c(bytes) != superblock.manifest_crc && !planted(Defect::ManifestChecksumSkipped) {
        return Err(corrupt("checksum differs from the superblock's"));
    }
    Manifest::decode(bytes).map_err(|unreadable| match unreadable {
        Unreadable::Damaged => corrupt("it does not parse"),
        Unreadable::Format(found) => Error::Version {
            file: name.into(),
            found,
            supported: FORMAT_VERSION,
        },
    })
}

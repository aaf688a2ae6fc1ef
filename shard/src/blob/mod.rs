//! Blob files: large values, written once and not again with every merge of their keys.
//!
//! `format` has the bytes. A flush puts values of `ShardOptions::blob_bytes` or more into a file of their own and leaves a
//! reference to each in its table. Merges pass references on. So a blob file is alive as long as a table refers to it, and each
//! table says in the manifest how much of which file it needs: what nobody needs is known without a counter (`census`).
//! Merges collect: what a file still has that is less than half alive, they write into the one that they make themselves.
//!
//! Tables hold the files that they refer to, and nobody else does: a reader of a value holds the table that it
//! found the reference in. A file goes together with the last table that needs it.

mod census;
mod fetch;
mod format;
mod open_files;
mod writer;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, Io};

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::table::{BlockHandle, BlockKind, Codec, TableId, TableSummary, unpack};

pub(crate) use census::Census;
pub(crate) use fetch::Fetches;
pub(crate) use format::{BlobRef, REFERENCE_BYTES};
use open_files::OpenFiles;
pub(crate) use writer::BlobWriter;

/// Which blob file of a shard: a number as tables have, and of the same row. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct BlobId(pub u64);

/// What a table refers to in one blob file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct BlobShare {
    pub file: BlobId,
    /// Of the whole file.
    pub file_bytes: u64,
    /// Of the values that the table refers to.
    pub bytes: u64,
}

/// A blob file that can be read.
pub(crate) struct BlobFile {
    pub id: BlobId,
    pub bytes: u64,
    name: String,
    open: Rc<OpenFiles>,
}

pub(crate) fn blob_name(id: BlobId) -> String {
    format!("blob-{:08}", id.0)
}

/// The number in a blob file's name.
pub(crate) fn blob_number(name: &str) -> Option<u64> {
    name.strip_prefix("blob-")?.parse().ok()
}

impl BlobRef {
    /// Where the value is among blocks in memory.
    pub fn place(&self) -> (TableId, BlockHandle) {
        let handle = BlockHandle {
            page: self.page(),
            pages: self.pages(),
            kind: BlockKind::Blob,
        };
        (TableId(self.file().0), handle)
    }
}

impl BlobFile {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is stored of a value, compared with its checksum, and zeros behind it. The read is on its way before this is
    /// awaited.
    pub fn read(
        &self,
        io: &Io,
        reference: &BlobRef,
    ) -> impl Future<Output = Result<Buffer>> + use<> {
        let (io, name, reference) = (io.clone(), self.name.clone(), *reference);
        let begun = self.open.file(self.id).map(|file| {
            let buffer = match reference.pages() {
                1 => io.frame(),
                _ => Buffer::zeroed(reference.file_bytes() as usize),
            };
            let ticket = io.read(&file, reference.offset(), buffer);
            (file, ticket)
        });
        async move {
            let (file, ticket) = begun?;
            let mut done = ticket.await;
            if done.result.is_err() {
                // Once more: a path to the device that hiccuped is not a lost value.
                done = io.read(&file, reference.offset(), done.buffer).await;
            }
            let read = done.result.map_err(|e| Error::io(e, name.as_str()))?;
            let corrupt = |detail: String| Error::Corrupt {
                file: name.clone(),
                offset: reference.offset(),
                detail,
            };
            if read < reference.stored() {
                return Err(corrupt("the file ends inside this value".into()));
            }
            let computed = crc32c(&done.buffer[..reference.stored()]);
            if computed != reference.crc() && !planted(Defect::BlobChecksumSkipped) {
                let stored = reference.crc();
                let detail = format!("checksum {computed:08x} where {stored:08x} is recorded");
                return Err(corrupt(detail));
            }
            Ok(done.buffer)
        }
    }

    /// The value in what is stored of it.
    pub fn value(&self, reference: &BlobRef, stored: Buffer) -> Result<Buffer> {
        if reference.codec() == Codec::Raw {
            return Ok(stored);
        }
        let mut plain = Buffer::zeroed(reference.length().next_multiple_of(ringkeep_io::PAGE));
        let packed = &stored[..reference.stored()];
        let restored = unpack(reference.codec(), packed, &mut plain[..reference.length()]);
        restored.then_some(plain).ok_or_else(|| Error::Corrupt {
            file: self.name.clone(),
            offset: reference.offset(),
            detail: "a compressed value that does not decompress to its size".into(),
        })
    }
}

/// The blob files of a shard, by number: those that tables hold, and perhaps some that nobody needs any more.
pub(crate) struct Blobs {
    files: RefCell<BTreeMap<BlobId, Rc<BlobFile>>>,
    open: Rc<OpenFiles>,
}

impl Blobs {
    /// None yet.
    pub fn of_directory(directory: &Directory) -> Blobs {
        Blobs {
            files: RefCell::default(),
            open: Rc::new(OpenFiles::of(directory)),
        }
    }

    /// The file. It is there for as long as somebody holds a table that refers to it.
    pub fn get(&self, id: BlobId) -> Result<Rc<BlobFile>> {
        let found = self.files.borrow().get(&id).cloned();
        found.ok_or_else(|| Error::Missing {
            file: blob_name(id),
        })
    }

    /// Those that a table refers to.
    pub fn of(&self, table: &TableSummary) -> Result<Vec<Rc<BlobFile>>> {
        let shares = table.blobs.iter();
        shares.map(|share| self.get(share.file)).collect()
    }

    /// One that a manifest or a table names, of so many bytes or more.
    pub fn find(&self, id: BlobId, bytes: u64) -> Result<Rc<BlobFile>> {
        if let Ok(found) = self.get(id) {
            return Ok(found);
        }
        let name = blob_name(id);
        let size = self.open.file(id)?.size();
        if size.map_err(|e| Error::io(e, name.as_str()))? < bytes {
            return Err(Error::Missing { file: name });
        }
        self.add(id, bytes);
        self.get(id)
    }

    /// One that was just written.
    pub fn made(&self, id: BlobId, bytes: u64, file: File) -> Rc<BlobFile> {
        self.open.keep(id, file);
        self.add(id, bytes)
    }

    fn add(&self, id: BlobId, bytes: u64) -> Rc<BlobFile> {
        let file = Rc::new(BlobFile {
            id,
            bytes,
            name: blob_name(id),
            open: Rc::clone(&self.open),
        });
        self.files.borrow_mut().insert(id, Rc::clone(&file));
        file
    }

    /// It is removed, or about to be.
    pub fn forget(&self, id: BlobId) {
        self.files.borrow_mut().remove(&id);
        self.open.forget(id);
    }
}

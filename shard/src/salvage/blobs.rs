//! Values that tables refer to, as far as their blob files have them.

use ringkeep_io::{Directory, Io};

use crate::blob::{BlobRef, Blobs};
use crate::call::{Change, Op};
use crate::content::{Content, NEVER};
use crate::error::Result;

/// The blob files that were asked for so far.
pub(super) struct BlobFiles<'a> {
    io: &'a Io,
    files: Blobs,
}

impl<'a> BlobFiles<'a> {
    pub fn new(io: &'a Io, directory: &Directory) -> BlobFiles<'a> {
        BlobFiles {
            io,
            files: Blobs::of_directory(directory),
        }
    }

    /// What an entry says, with its value.
    pub async fn op(&self, key: &[u8], content: Content<'_>) -> Result<Op> {
        let Content::Elsewhere(ends, reference) = content else {
            return Ok(Op::from(Change { key, content }));
        };
        let value = self.value(reference).await?;
        let content = match ends {
            NEVER => Content::Value(&value),
            _ => Content::Until(ends, &value),
        };
        Ok(Op::from(Change { key, content }))
    }

    async fn value(&self, reference: &BlobRef) -> Result<Vec<u8>> {
        // Nobody knows how long the file was: each value says whether it is there.
        let file = self.files.find(reference.file(), 0)?;
        let stored = file.read(self.io, reference).await?;
        let value = file.value(reference, stored)?;
        Ok(value[..reference.length()].to_vec())
    }
}

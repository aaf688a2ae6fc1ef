//! Builds a blob file front to back: values in, references and chunks of whole pages out. Nothing here waits; whoever owns the
//! writer writes the chunks, in any order, and syncs once.

use ringkeep_io::{Buffer, PAGE};

use super::{BlobId, BlobRef};
use crate::table::{BlockKind, Codec, Compressor, Output, TableId};

/// A blob file in the making.
pub(crate) struct BlobWriter {
    id: BlobId,
    compressor: Compressor,
    out: Output,
}

impl BlobWriter {
    pub fn new(id: BlobId) -> BlobWriter {
        BlobWriter {
            id,
            compressor: Compressor::default(),
            out: Output::new(TableId(id.0)),
        }
    }

    pub fn id(&self) -> BlobId {
        self.id
    }

    /// What the file has so far.
    pub fn bytes(&self) -> u64 {
        u64::from(self.out.next_page) * PAGE as u64
    }

    /// Adds a value: compressed, if that saves a page.
    pub fn add(&mut self, value: &[u8], codec: Codec) -> BlobRef {
        let (codec, stored) = match self.compressor.pack(codec, value) {
            Some(packed) => (codec, packed),
            None => (Codec::Raw, value),
        };
        let page = put(&mut self.out, stored);
        BlobRef::new(self.id, page, codec, value.len(), stored)
    }

    /// Adds what is stored of a value in another file.
    pub fn add_stored(&mut self, reference: &BlobRef, stored: &[u8]) -> BlobRef {
        reference.moved_to(self.id, put(&mut self.out, &stored[..reference.stored()]))
    }

    /// A finished chunk: where in the file it belongs, and how much of the buffer is to be written.
    pub fn pending(&mut self) -> Option<(u64, Buffer, usize)> {
        self.out.pop()
    }

    /// Ends the file: the chunks that are left.
    pub fn finish(self) -> Vec<(u64, Buffer, usize)> {
        self.out.finish()
    }
}

/// The page that the bytes begin on.
fn put(out: &mut Output, stored: &[u8]) -> u32 {
    let (handle, part) = out.part(BlockKind::Blob, stored.len().div_ceil(PAGE));
    part[..stored.len()].copy_from_slice(stored);
    handle.page
}

//! The bytes of one file, in chunks; a chunk that nobody wrote to is not there and reads as zeroes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Space;

const CHUNK_BYTES: usize = 64 << 10;

type Chunk = Box<[u8]>;

/// One file. A shard's files are used by one thread at a time, so nobody waits for the lock.
#[derive(Debug)]
pub(crate) struct Inode {
    space: Arc<Space>,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    chunks: Vec<Option<Chunk>>,
    bytes: u64,
}

/// No room is left.
pub(crate) struct Full;

impl Inode {
    pub fn new(space: Arc<Space>) -> Inode {
        Inode {
            space,
            content: Mutex::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // A panic elsewhere does not spoil it: it is consistent after every statement.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn size(&self) -> u64 {
        self.content().bytes
    }

    /// Copies what lies at `offset`; fewer bytes where the file ends.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let content = self.content();
        let there = content.bytes.saturating_sub(offset);
        let length = buffer.len().min(there as usize);
        let mut rest = &mut buffer[..length];
        for (chunk, within) in pieces(offset, length) {
            let (piece, behind) = rest.split_at_mut(within.len());
            match content.chunks.get(chunk).and_then(Option::as_ref) {
                Some(chunk) => piece.copy_from_slice(&chunk[within]),
                None => piece.fill(0),
            }
            rest = behind;
        }
        length
    }

    /// Copies all of it to `offset`, or nothing.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Full> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut content = self.content();
        let end = offset + bytes.len() as u64;
        content.provide(offset, bytes.len(), &self.space)?;
        content.bytes = content.bytes.max(end);
        let mut rest = bytes;
        for (chunk, within) in pieces(offset, bytes.len()) {
            let (piece, behind) = rest.split_at(within.len());
            if let Some(chunk) = &mut content.chunks[chunk] {
                chunk[within].copy_from_slice(piece);
            }
            rest = behind;
        }
        Ok(())
    }

    /// Room for the first `bytes` bytes.
    pub fn allocate(&self, bytes: u64) -> Result<(), Full> {
        let mut content = self.content();
        content.provide(0, bytes as usize, &self.space)?;
        content.bytes = content.bytes.max(bytes);
        Ok(())
    }

    pub fn truncate(&self, bytes: u64) {
        let mut content = self.content();
        let (keep, within) = (bytes as usize / CHUNK_BYTES, bytes as usize % CHUNK_BYTES);
        if let Some(Some(last)) = content.chunks.get_mut(keep) {
            last[within..].fill(0);
        }
        let chunks = (bytes as usize).div_ceil(CHUNK_BYTES);
        let before = content.taken();
        content.chunks.truncate(chunks);
        content.bytes = bytes;
        self.space.give_back(before - content.taken());
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let taken = self.content().taken();
        self.space.give_back(taken);
    }
}

impl Content {
    fn taken(&self) -> u64 {
        (self.chunks.iter().flatten().count() * CHUNK_BYTES) as u64
    }

    /// Makes the chunks of a range that are not there.
    fn provide(&mut self, offset: u64, length: usize, space: &Space) -> Result<(), Full> {
        let range = pieces(offset, length).map(|(chunk, _)| chunk);
        let chunks = range.clone().last().map_or(0, |last| last + 1);
        let is_missing = |chunk: &usize| !matches!(self.chunks.get(*chunk), Some(Some(_)));
        let missing = range.clone().filter(is_missing).count() * CHUNK_BYTES;
        if !space.take(missing as u64) {
            return Err(Full);
        }
        self.chunks
            .resize_with(chunks.max(self.chunks.len()), || None);
        for chunk in range {
            self.chunks[chunk].get_or_insert_with(|| vec![0; CHUNK_BYTES].into());
        }
        Ok(())
    }
}

/// The chunks of a range, and which of their bytes.
fn pieces(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + Clone {
    let (start, end) = (offset as usize, offset as usize + length);
    (start / CHUNK_BYTES..end.div_ceil(CHUNK_BYTES).max(start / CHUNK_BYTES)).map(move |chunk| {
        let first = chunk * CHUNK_BYTES;
        (
            chunk,
            start.max(first) - first..end.min(first + CHUNK_BYTES) - first,
        )
    })
}

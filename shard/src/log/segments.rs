//! The log's files: a fixed set of slots, each holding one segment at a time.
//!
//! A slot is written with zeroes once, before its first use, and recycled from then on: appending
//! to it changes no metadata, so that one commit is one device write. What a slot holds stands in
//! its frames alone; old frames of an earlier use are told apart by segment, epoch and sequence.
//! Until it is used it begins with a frame that says so, and recovery need not look through it.
//! When the log is empty, which is after a flush that nobody writes behind, all slots but the first are given back.

use std::collections::VecDeque;
use std::ops::Range;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, Io, IoError, OpenMode, WriteDurability};

use crate::error::{Error, Result};
use crate::shard::Identity;
use crate::superblock::missing_or;

use super::format::{FrameHeader, HEADER_BYTES};

/// Zeroes are written in pieces of this size, a few at a time.
const ZERO_BYTES: usize = 1 << 20;
const ZEROES_IN_FLIGHT: usize = 4;

/// One log file.
pub(crate) struct Slot {
    pub file: File,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Ready for a new segment.
    Free,
    /// Frames that recovery may need, up to `last_sequence`.
    Live { segment: u64, last_sequence: u64 },
}

pub(crate) fn slot_name(index: usize) -> String {
    format!("log-{index:04}")
}

/// The slot that a file name stands for.
pub(crate) fn slot_index(name: &str) -> Option<usize> {
    name.strip_prefix("log-")?.parse().ok()
}

/// Makes slots whose blocks are written, durable, and named by durable directory entries. Where the disk has no
/// room for all of them, those that it has room for are made.
pub(crate) async fn create_slots(
    io: &Io,
    directory: &Directory,
    identity: &Identity,
    indexes: Range<usize>,
    segment_bytes: u64,
) -> Result<Vec<Slot>> {
    let mut files = Vec::new();
    let mut failed = None;
    for index in indexes.clone() {
        match make_file(directory, &slot_name(index), segment_bytes) {
            Ok(file) => files.push(file),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let (filled, error) = fill(io, identity, &files, indexes.start, segment_bytes).await;
    files.truncate(filled);
    if let Some(error) = error.or(failed) {
        // Half a slot is worth nothing: give its space back. The next open would remove it too.
        for index in indexes.skip(filled) {
            let _ = directory.remove(&slot_name(index));
        }
        let is_full = matches!(&error, Error::Io { error, .. } if error.is_full());
        if !is_full || files.is_empty() {
            return Err(error);
        }
    }
    if !planted(Defect::SegmentNameNotSynced) {
        let synced = directory.synced().await;
        synced.map_err(|e| Error::io(e, "the shard's directory"))?;
    }
    let free = |file| Slot {
        file,
        content: Content::Free,
    };
    Ok(files.into_iter().map(free).collect())
}

/// Gives away slots that the manifest does not count any more. A file that cannot be removed now is in nobody's
/// way: its name is free for the next slot of this number, and an opening removes it.
pub(crate) fn remove_slots(directory: &Directory, first: usize, slots: Vec<Slot>) {
    for (index, slot) in (first..).zip(slots) {
        // The close frees the space, and is not waited for.
        let _ = directory.remove(&slot_name(index));
        drop(slot);
    }
}

fn make_file(directory: &Directory, name: &str, segment_bytes: u64) -> Result<File> {
    let to_error = |e| Error::io(e, name);
    let file = match directory.open(name, OpenMode::CreateNew) {
        // One that was given away and could not be removed.
        Err(error) if error.is_present() => {
            directory.remove(name).map_err(to_error)?;
            directory.open(name, OpenMode::CreateNew)
        }
        other => other,
    };
    let file = file.map_err(to_error)?;
    match file.allocate(segment_bytes) {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = directory.remove(name);
            Err(to_error(error))
        }
    }
}

/// Writes zeroes into all of them at a time, so that they wait for the device once. How many of them, from the first, are filled and durable, and
/// what was wrong with the next one.
async fn fill(
    io: &Io,
    identity: &Identity,
    files: &[File],
    first: usize,
    segment_bytes: u64,
) -> (usize, Option<Error>) {
    let zero_bytes = ZERO_BYTES.min(segment_bytes as usize);
    let pieces = segment_bytes.div_ceil(zero_bytes as u64);
    let mut left = (0..files.len() as u64 * pieces).map(|piece| {
        let (slot, offset) = (
            (piece / pieces) as usize,
            piece % pieces * zero_bytes as u64,
        );
        (
            slot,
            offset,
            zero_bytes.min((segment_bytes - offset) as usize),
        )
    });
    let (mut filled, mut wrong) = (files.len(), None);
    let mut fail = |slot: usize, error: IoError| {
        if slot < filled {
            filled = slot;
            wrong = Some(Error::io(error, slot_name(first + slot)));
        }
    };
    let mut in_flight = VecDeque::new();
    let mut spare: Vec<Buffer> = Vec::new();
    loop {
        if in_flight.len() < ZEROES_IN_FLIGHT
            && let Some((slot, offset, length)) = left.next()
        {
            let mut bytes = spare.pop().unwrap_or_else(|| Buffer::zeroed(zero_bytes));
            if offset == 0 {
                FrameHeader::UNUSED.seal(identity, &mut bytes);
            }
            let written = io.write(&files[slot], offset, bytes, length, WriteDurability::Cached);
            in_flight.push_back((slot, written));
        } else if let Some((slot, written)) = in_flight.pop_front() {
            let done = written.await;
            let mut zeroes = done.buffer;
            zeroes[..HEADER_BYTES].fill(0);
            spare.push(zeroes);
            if let Err(error) = done.result {
                fail(slot, error);
            }
        } else {
            break;
        }
    }
    let synced: Vec<_> = files.iter().map(|file| io.sync(file)).collect();
    for (slot, synced) in synced.into_iter().enumerate() {
        if let Err(error) = synced.await.result {
            fail(slot, error);
        }
    }
    (filled, wrong)
}

/// Opens a slot that the manifest names.
pub(crate) fn open_slot(directory: &Directory, index: usize, segment_bytes: u64) -> Result<File> {
    let name = slot_name(index);
    let file = directory
        .open(&name, OpenMode::ReadWrite)
        .map_err(|e| missing_or(e, &name))?;
    let size = file.size().map_err(|e| Error::io(e, &name))?;
    if size < segment_bytes {
        return Err(Error::Missing { file: name });
    }
    Ok(file)
}

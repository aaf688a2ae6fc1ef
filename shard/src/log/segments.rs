//! The log's files: a fixed set of slots, each holding one segment at a time.
//!
//! A slot is written with zeroes once, before its first use, and recycled from then on: appending
//! to it changes no metadata, so that one commit is one device write. What a slot holds stands in
//! its frames alone; old frames of an earlier use are told apart by segment, epoch and sequence.
//! Until it is used it begins with a frame that says so, and recovery need not look through it.
//! When the log is empty, which is after a flush that nobody writes behind, all slots but the first are given back.

use std::ops::Range;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, Io, OpenMode, WriteDurability};

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
    let mut slots = Vec::new();
    for index in indexes {
        let name = slot_name(index);
        match fill_slot(io, directory, identity, &name, segment_bytes).await {
            Ok(slot) => slots.push(slot),
            Err(error) => {
                // Half a slot is worth nothing: give its space back. The next open would remove it too.
                let _ = directory.remove(&name);
                match &error {
                    Error::Io { error, .. } if error.is_full() && !slots.is_empty() => break,
                    _ => return Err(error),
                }
            }
        }
    }
    if !planted(Defect::SegmentNameNotSynced) {
        let synced = directory.synced().await;
        synced.map_err(|e| Error::io(e, "the shard's directory"))?;
    }
    Ok(slots)
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

async fn fill_slot(
    io: &Io,
    directory: &Directory,
    identity: &Identity,
    name: &str,
    segment_bytes: u64,
) -> Result<Slot> {
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
    file.allocate(segment_bytes).map_err(to_error)?;
    let zero_bytes = ZERO_BYTES.min(segment_bytes as usize);
    let mut offset = 0;
    let mut in_flight = std::collections::VecDeque::new();
    let mut spare: Vec<Buffer> = Vec::new();
    while offset < segment_bytes || !in_flight.is_empty() {
        if offset < segment_bytes && in_flight.len() < ZEROES_IN_FLIGHT {
            let length = zero_bytes.min((segment_bytes - offset) as usize);
            let mut bytes = spare.pop().unwrap_or_else(|| Buffer::zeroed(zero_bytes));
            if offset == 0 {
                FrameHeader::UNUSED.seal(identity, &mut bytes);
            }
            in_flight.push_back(io.write(&file, offset, bytes, length, WriteDurability::Cached));
            offset += length as u64;
        } else if let Some(ticket) = in_flight.pop_front() {
            let done = ticket.await;
            done.result.map_err(to_error)?;
            let mut zeroes = done.buffer;
            zeroes[..HEADER_BYTES].fill(0);
            spare.push(zeroes);
        }
    }
    io.sync(&file).await.result.map_err(to_error)?;
    Ok(Slot {
        file,
        content: Content::Free,
    })
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

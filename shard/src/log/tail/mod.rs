//! The log's tail: groups that were answered before the log has them. It is a small file in the page cache, which
//! outlives the process, so that nobody has to wait for the device who has not asked for it.
//!
//! What is in it is owed to the log: the next frame carries it. Of two halves one takes entries; the other is used
//! again when every frame that carries an entry of it has been written. Nothing of it is durable, and nothing relies on
//! that: after a power cut its pages may be any mixture. Entries count that are whole, of the log's own epoch, and lead on
//! from where the log ends, one behind the other.
//!
//! ```text
//! the log   … │ frame 7 │ frame 8, not written any more
//! the tail      7.0 7.1   8.0 8.1 8.2      sequence and place
//!                         └ what an opening puts into the log
//! ```

pub(crate) mod format;
#[cfg(test)]
mod tests;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{CachedFile, Directory, IoError, OpenMode};

use crate::error::{Error, Result};
use crate::shard::Identity;
use format::{Head, entry_bytes};

/// Beside the files named `log-…`, which are counted.
pub(crate) const FILE_NAME: &str = "tail";

/// A larger one is none of ours.
const FILE_BYTES_MAX: usize = 64 << 20;

/// The tail of a shard that is open.
pub(crate) struct Tail {
    file: CachedFile,
    identity: Identity,
    epoch: u64,
    half_bytes: usize,
    /// The half that takes entries, and where in it.
    half: usize,
    at: usize,
    /// Of each half: the last frame that carries an entry of it.
    carried_by: [u64; 2],
    entry: Vec<u8>,
}

impl Tail {
    /// Opens a shard's tail, or makes it, for a new epoch: with that it is empty. None where none is wanted, or nothing
    /// outlives the process.
    pub fn open(
        directory: &Directory,
        identity: &Identity,
        epoch: u64,
        bytes: usize,
    ) -> std::result::Result<Option<Tail>, IoError> {
        if bytes == 0 {
            return Ok(None);
        }
        let file = match directory.open_cached(FILE_NAME, OpenMode::ReadWrite) {
            Err(error) if error.is_missing() => make(directory, bytes),
            other => other,
        };
        let Some(file) = file? else { return Ok(None) };
        let mut size = file.size()?.min(FILE_BYTES_MAX as u64) as usize;
        if size < bytes {
            // A power cut took its length, which nobody had synced, or more is asked for. What was in it the log has by now.
            file.write(0, &vec![0; bytes])?;
            size = bytes;
        }
        Ok(Some(Tail {
            file,
            identity: identity.clone(),
            epoch,
            half_bytes: half_bytes(size),
            half: 0,
            at: 0,
            carried_by: [0; 2],
            entry: Vec::new(),
        }))
    }

    /// There is room for a group of so many bytes, once the log has `completed` so many frames.
    pub fn has_room(&self, payload_bytes: usize, completed: u64) -> bool {
        let bytes = entry_bytes(payload_bytes);
        let other_is_free =
            self.carried_by[1 - self.half] <= completed || planted(Defect::TailUsedAgainEarly);
        self.at + bytes <= self.half_bytes || (bytes <= self.half_bytes && other_is_free)
    }

    /// Puts a group there. The caller has made sure of room, and takes a failed one for the last.
    pub fn write(
        &mut self,
        sequence: u64,
        number: u64,
        place: u32,
        payload: &[u8],
    ) -> std::result::Result<(), IoError> {
        let head = Head {
            epoch: self.epoch,
            sequence,
            number,
            place,
        };
        let bytes = entry_bytes(payload.len());
        if self.at + bytes > self.half_bytes {
            (self.half, self.at) = (1 - self.half, 0);
        }
        head.seal(&self.identity, payload, &mut self.entry);
        let offset = self.half * self.half_bytes + self.at;
        self.at += bytes;
        self.carried_by[self.half] = sequence;
        if planted(Defect::TailNotWritten) {
            return Ok(());
        }
        self.file.write(offset as u64, &self.entry)
    }
}

fn make(directory: &Directory, bytes: usize) -> std::result::Result<Option<CachedFile>, IoError> {
    let made = directory.open_cached(FILE_NAME, OpenMode::CreateNew)?;
    if let Some(file) = &made
        // So that writing into it asks the file system for no room.
        && let Err(error) = file.write(0, &vec![0; bytes])
    {
        let _ = directory.remove(FILE_NAME);
        return Err(error);
    }
    Ok(made)
}

pub(crate) fn half_bytes(file_bytes: usize) -> usize {
    (file_bytes / 2) & !7
}

/// What one frame was to carry: its groups, one behind the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    pub sequence: u64,
    pub payload: Vec<u8>,
    pub groups: u64,
}

/// What a shard's tail has of an epoch whose log ends before frame `next`.
pub(crate) fn read(
    directory: &Directory,
    identity: &Identity,
    epoch: u64,
    next: u64,
) -> Result<Vec<Owed>> {
    let to_error = |error| Error::io(error, FILE_NAME);
    let file = match directory.open_cached(FILE_NAME, OpenMode::Read) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other.map_err(to_error)?,
    };
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let bytes = file.read(FILE_BYTES_MAX).map_err(to_error)?;
    Ok(owed(&bytes, identity, epoch, next))
}

/// The same of its bytes.
pub(crate) fn owed(bytes: &[u8], identity: &Identity, epoch: u64, next: u64) -> Vec<Owed> {
    let half = half_bytes(bytes.len());
    let (first, second) = bytes.split_at(half);
    let mut entries = row(first, identity, epoch);
    entries.extend(row(&second[..half], identity, epoch));
    // The log has the others.
    let comes_between = planted(Defect::TailGapIgnored) || planted(Defect::TailEpochsComeAgain);
    entries.retain(|(head, _)| head.sequence >= next || comes_between);
    entries.sort_by_key(|(head, _)| head.number);
    let mut owed: Vec<Owed> = Vec::new();
    let mut last: Option<Head> = None;
    for (head, payload) in entries {
        let leads_on = match last {
            None => head.sequence == next && head.place == 0,
            Some(last) => {
                let beside = (last.sequence, last.place + 1);
                let behind = (last.sequence + 1, 0);
                let here = (head.sequence, head.place);
                head.number == last.number + 1 && (here == beside || here == behind)
            }
        };
        if !leads_on && !planted(Defect::TailGapIgnored) {
            match last {
                // The log has it.
                None => continue,
                Some(_) => break,
            }
        }
        last = Some(head);
        match owed
            .last_mut()
            .filter(|owed| owed.sequence == head.sequence)
        {
            Some(owed) => {
                owed.payload.extend_from_slice(payload);
                owed.groups += 1;
            }
            None => owed.push(Owed {
                sequence: head.sequence,
                payload: payload.to_vec(),
                groups: 1,
            }),
        }
    }
    owed
}

/// The entries of a half.
fn row<'a>(half: &'a [u8], identity: &Identity, epoch: u64) -> Vec<(Head, &'a [u8])> {
    let (mut entries, mut rest, mut before) = (Vec::new(), half, None);
    while let Some((head, payload)) = Head::read(identity, rest) {
        if head.epoch != epoch || before.is_some_and(|number| head.number <= number) {
            break;
        }
        before = Some(head.number);
        entries.push((head, payload));
        rest = rest.get(entry_bytes(payload.len())..).unwrap_or_default();
    }
    entries
}

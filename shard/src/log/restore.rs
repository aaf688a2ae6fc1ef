//! What the tail has and the log lacks goes into the log, behind its end, before anything builds on it: the very frames
//! that the process which ended had not written. Doing it again after another crash finds some of them in the log.

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, IoError, PAGE, WriteDurability};

use crate::error::{Error, Result};
use crate::shard::Identity;
use crate::version::Version;

use super::format::{FrameHeader, HEADER_BYTES, Read, frame_bytes, take_record};
use super::recovery::LogEnd;
use super::segments::{Content, slot_name};
use super::tail::{self, Owed};
use crate::manifest::PieceEnd;

impl LogEnd {
    /// Reads what leads on from here. Nothing does where the log was closed, where a power cut has taken frames
    /// whose changes are in tables, and behind what another opening has put here: the frame that was to be in this place may have had more
    /// in it than the tail had.
    pub fn read_tail(&self, directory: &Directory, identity: &Identity) -> Result<Vec<Owed>> {
        let Some(piece) = self.open_piece() else {
            return Ok(Vec::new());
        };
        let leads_nowhere = self.ends_tail && !planted(Defect::TailGapIgnored);
        if leads_nowhere || self.next_sequence != piece.first_sequence.max(self.last.sequence + 1) {
            return Ok(Vec::new());
        }
        tail::read(directory, identity, piece.epoch, self.next_sequence)
    }

    /// Writes frames of these behind the last one. They are durable after [`make_durable`](Self::make_durable).
    pub async fn restore(
        &mut self,
        io: &ringkeep_io::Io,
        files: &[File],
        identity: &Identity,
        owed: &[Owed],
    ) -> Result<()> {
        let Some(epoch) = self.open_piece().map(|piece| piece.epoch) else {
            return Ok(());
        };
        if planted(Defect::TailNotRestored) {
            return Ok(());
        }
        let last = owed.last().map(|owed| owed.sequence);
        for Owed {
            sequence, payload, ..
        } in owed
        {
            let bytes = frame_bytes(payload.len());
            let (slot, offset, segment) = self.place(bytes as u64)?;
            let (version, millis) = first_group(payload);
            let ends_tail = Some(*sequence) == last;
            let mut frame = Buffer::zeroed(bytes);
            frame[HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
            let header = FrameHeader {
                segment,
                epoch,
                sequence: *sequence,
                // Of nothing new this knows that it is durable.
                durable: 0,
                version,
                millis,
                ends_tail: ends_tail && !planted(Defect::TailEndForgotten),
                payload_bytes: payload.len() as u32,
                previous_crc: self.last.crc,
                ..FrameHeader::default()
            }
            .seal(identity, &mut frame);
            let durability = WriteDurability::Cached;
            let written = io.write(&files[slot], offset, frame, bytes, durability);
            let written = written.await.result;
            written.map_err(|error| Error::io(error, slot_name(slot)))?;
            if offset == 0 {
                self.heads[slot] = Some(header);
            }
            self.behind_last = Some((slot, offset + bytes as u64));
            self.last = PieceEnd {
                sequence: *sequence,
                crc: header.crc,
            };
            self.next_sequence = *sequence + 1;
            self.ends_tail = ends_tail;
        }
        match self.ends_tail && !planted(Defect::CutNotForgotten) {
            true => self.forget_cut(io, files, identity, epoch).await,
            false => Ok(()),
        }
    }

    /// Segments of this epoch behind the one in which the log ends: what was restored, now or by an opening that was killed, has their
    /// sequences, and whoever looks for those is not to find these.
    async fn forget_cut(
        &mut self,
        io: &ringkeep_io::Io,
        files: &[File],
        identity: &Identity,
        epoch: u64,
    ) -> Result<()> {
        let ends_in = self.behind_last.and_then(|(slot, _)| self.heads[slot]);
        let ends_in = ends_in.map_or(u64::MAX, |head| head.segment);
        for (slot, file) in files.iter().enumerate() {
            let is_cut = |head: &FrameHeader| head.epoch == epoch && head.segment > ends_in;
            if !self.heads[slot].as_ref().is_some_and(is_cut) {
                continue;
            }
            let mut unused = Buffer::zeroed(PAGE);
            FrameHeader::UNUSED.seal(identity, &mut unused);
            let written = io.write(file, 0, unused, PAGE, WriteDurability::Durable);
            let written = written.await.result;
            written.map_err(|error| Error::io(error, slot_name(slot)))?;
            self.heads[slot] = None;
        }
        Ok(())
    }

    /// Slot, offset and segment of the next frame. The process that owes it has made sure of room before it answered.
    fn place(&self, bytes: u64) -> Result<(usize, u64, u64)> {
        let mut next = self.newest_segment() + 1;
        if let Some((slot, offset)) = self.behind_last
            && let Some(head) = self.heads[slot]
        {
            // Where tables have all of the log, the process had begun a segment anew, and counted on the room of a whole one.
            let goes_on =
                self.last.sequence > self.replay_after || planted(Defect::TailPutElsewhere);
            if goes_on && offset + bytes <= self.segment_bytes {
                return Ok((slot, offset, head.segment));
            }
            next = head.segment + 1;
        }
        let epoch = self.open_piece().map_or(0, |piece| piece.epoch);
        let is_cut = |head: &FrameHeader| head.epoch == epoch && head.sequence > self.last.sequence;
        let is_free = |slot: &usize| match self.content(*slot) {
            Content::Free => true,
            Content::Live { last_sequence, .. } => {
                last_sequence <= self.replay_after || self.heads[*slot].as_ref().is_some_and(is_cut)
            }
        };
        // One that was cut with this number is where the segment would be looked for.
        let has_number = |slot: &usize| {
            let head = self.heads[*slot];
            head.is_some_and(|head| is_cut(&head) && head.segment == next)
        };
        let slots = 0..self.heads.len();
        let slot = slots.clone().find(has_number);
        let slot = slot.or_else(|| slots.clone().find(is_free));
        match slot {
            Some(slot) => Ok((slot, 0, next)),
            None => {
                let full = IoError::new(NO_ROOM, ringkeep_io::Doing::Write);
                Err(Error::io(full, "the log"))
            }
        }
    }
}

/// ENOSPC.
const NO_ROOM: i32 = 28;

fn first_group(mut payload: &[u8]) -> (Version, u64) {
    match take_record(&mut payload) {
        Some(Read::Group { version, millis }) => (version, millis),
        _ => (Version(0), 0),
    }
}

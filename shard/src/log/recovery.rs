//! Reading the log back after a stop of any kind.
//!
//! The manifest lists the epochs whose frames may still be needed. All but the newest ended at a
//! known frame, so they must be whole to that frame. The newest, unless the shard was closed, ends
//! at the first frame that is not valid, and there one question decides:
//!
//! | found beyond the bad frame of sequence n | it means | so |
//! |---|---|---|
//! | a valid frame of the epoch with `durable >= n` | frame n had been durable | refuse: `CorruptAcked` |
//! | only valid frames with `durable < n` | they were in flight together | torn tail: cut before n |
//! | nothing | the log ends here | cut before n |
//!
//! Cutting writes nothing: the next epoch starts in a fresh segment, and the manifest records where
//! this one ended, so that its leftovers never come back.

use ringkeep_io::{Buffer, Directory, File, Io, PAGE};

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::limits::BATCH_BYTES_MAX;
use crate::manifest::{LogPiece, Manifest, PieceEnd};
use crate::shard::Identity;
use crate::version::Version;

use super::format::{FORMAT_VERSION, FrameHeader, HEADER_BYTES, frame_bytes};
use super::segments::{Content, Slot, open_slot, slot_name};
use super::{Log, LogCounters};

const WINDOW_BYTES: usize = 1 << 20;

/// A batch with its record overheads, and some more: a group beyond this is damage.
const GROUP_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Frames of the log in order, group by group.
pub(crate) struct Replay {
    io: Io,
    identity: Identity,
    segment_bytes: u64,
    slots: Vec<(File, Option<FrameHeader>)>,
    pieces: Vec<LogPiece>,
    replay_after: u64,
    window: Window,

    /// The piece being read, and where in it.
    piece: usize,
    at: Option<(usize, u64)>,
    /// The sequence that the next frame must have, and the checksum that it must name.
    expected: u64,
    previous_crc: Option<u32>,

    /// The end of the last whole group.
    end: PieceEnd,
    pub frames: u64,
    pub bytes: u64,
    /// Valid frames beyond the cut, which had been in flight together.
    pub torn: bool,
}

/// One commit group.
pub(crate) struct ReplayedGroup {
    pub first_sequence: u64,
    pub last_sequence: u64,
    pub version: Version,
    pub payload: Vec<u8>,
}

struct Window {
    buffer: Buffer,
    slot: usize,
    offset: u64,
    filled: usize,
}

impl Replay {
    pub async fn open(
        io: &Io,
        directory: &Directory,
        identity: &Identity,
        manifest: &Manifest,
    ) -> Result<Replay> {
        let mut slots = Vec::new();
        for index in 0..manifest.log_slots as usize {
            let file = open_slot(directory, index, manifest.segment_bytes)?;
            slots.push((file, None));
        }
        let mut replay = Replay {
            io: io.clone(),
            identity: identity.clone(),
            segment_bytes: manifest.segment_bytes,
            slots,
            pieces: manifest.pieces.clone(),
            replay_after: manifest.replay_after,
            window: Window {
                buffer: Buffer::zeroed(WINDOW_BYTES),
                slot: usize::MAX,
                offset: 0,
                filled: 0,
            },
            piece: 0,
            at: None,
            expected: 0,
            previous_crc: None,
            end: PieceEnd {
                sequence: manifest.replay_after,
                crc: 0,
            },
            frames: 0,
            bytes: 0,
            torn: false,
        };
        replay.identify_slots().await?;
        replay.start_piece(0).await?;
        Ok(replay)
    }

    /// A slot holds the segment that its first frame names.
    async fn identify_slots(&mut self) -> Result<()> {
        let tickets: Vec<_> = self
            .slots
            .iter()
            .map(|(file, _)| self.io.read(file, 0, Buffer::zeroed(PAGE)))
            .collect();
        for (index, ticket) in tickets.into_iter().enumerate() {
            let done = ticket.await;
            done.result
                .map_err(|error| Error::io(error, slot_name(index)))?;
            if let Some(format) = FrameHeader::format_of(&done.buffer)
                && format != FORMAT_VERSION
            {
                return Err(Error::Version {
                    file: slot_name(index),
                    found: u32::from(format),
                    supported: u32::from(FORMAT_VERSION),
                });
            }
            self.slots[index].1 = FrameHeader::read(&self.identity, &done.buffer);
        }
        Ok(())
    }

    /// Goes to the first frame of a piece that is not in tables yet.
    async fn start_piece(&mut self, piece: usize) -> Result<()> {
        self.piece = piece;
        self.previous_crc = None;
        self.at = None;
        let Some(found) = self.pieces.get(piece).copied() else {
            return Ok(());
        };
        let start = found.first_sequence.max(self.replay_after + 1);
        self.expected = start;
        let nearest = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, (_, head))| head.map(|head| (index, head)))
            .filter(|(_, head)| head.epoch == found.epoch && head.segment >= found.first_segment)
            .filter(|(_, head)| head.sequence <= start)
            .max_by_key(|(_, head)| head.sequence);
        if let Some((slot, head)) = nearest {
            self.at = Some((slot, 0));
            self.expected = head.sequence;
        }
        Ok(())
    }

    /// The next whole group, or nothing at the end of the log.
    pub async fn next_group(&mut self) -> Result<Option<ReplayedGroup>> {
        let mut group: Option<ReplayedGroup> = None;
        while let Some((header, payload)) = self.next_frame().await? {
            self.frames += 1;
            self.bytes += frame_bytes(payload.len()) as u64;
            let part = group.get_or_insert_with(|| ReplayedGroup {
                first_sequence: header.sequence,
                last_sequence: header.sequence,
                version: header.version,
                payload: Vec::new(),
            });
            if part.version != header.version || part.payload.len() > GROUP_BYTES_MAX {
                return Err(self.corrupt("frames of two groups are mixed", header.sequence));
            }
            part.payload.extend_from_slice(&payload);
            part.last_sequence = header.sequence;
            if header.continues {
                continue;
            }
            // Plain frames that a power cut took may be in tables all the same. Their sequences are spent:
            // a new frame that had one of them would count as being in tables.
            if header.sequence >= self.end.sequence {
                self.end = PieceEnd {
                    sequence: header.sequence,
                    crc: header.crc,
                };
            }
            if header.sequence <= self.replay_after {
                group = None;
                continue;
            }
            return Ok(group);
        }
        // A group whose last frame never made it was never acknowledged.
        self.torn |= group.is_some();
        Ok(None)
    }

    async fn next_frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>> {
        loop {
            let Some(piece) = self.pieces.get(self.piece).copied() else {
                return Ok(None);
            };
            if let Some(end) = piece.end
                && self.expected > end.sequence
            {
                let agrees = self.previous_crc.is_none_or(|crc| crc == end.crc);
                if !agrees {
                    return Err(
                        self.corrupt("the last frame is not the recorded one", self.expected)
                    );
                }
                self.start_piece(self.piece + 1).await?;
                continue;
            }
            if let Some(found) = self.frame_here(&piece).await? {
                return Ok(Some(found));
            }
            if let Some(found) = self.frame_in_next_segment(&piece).await? {
                return Ok(Some(found));
            }
            // Frames that are in tables already may be gone: go on with the first one behind them.
            if self.expected <= self.replay_after && self.skip_dead_frames(&piece).await? {
                continue;
            }
            if piece.end.is_some() {
                return Err(
                    self.corrupt("a frame before the recorded end is missing", self.expected)
                );
            }
            self.refuse_if_acknowledged(&piece).await?;
            return Ok(None);
        }
    }

    async fn frame_here(&mut self, piece: &LogPiece) -> Result<Option<(FrameHeader, Vec<u8>)>> {
        let Some((slot, offset)) = self.at else {
            return Ok(None);
        };
        let segment = self.slots[slot].1.map_or(0, |head| head.segment);
        let Some(header) = self.header_at(slot, offset).await? else {
            return Ok(None);
        };
        let follows = header.epoch == piece.epoch
            && header.segment == segment
            && header.sequence == self.expected
            && self
                .previous_crc
                .is_none_or(|crc| crc == header.previous_crc);
        if !follows {
            return Ok(None);
        }
        let Some(payload) = self.payload_at(slot, offset, &header).await? else {
            return Ok(None);
        };
        self.at = Some((slot, offset + frame_bytes(payload.len()) as u64));
        self.expected += 1;
        self.previous_crc = Some(header.crc);
        Ok(Some((header, payload)))
    }

    async fn frame_in_next_segment(
        &mut self,
        piece: &LogPiece,
    ) -> Result<Option<(FrameHeader, Vec<u8>)>> {
        let Some((slot, _)) = self.at else {
            return Ok(None);
        };
        let segment = self.slots[slot].1.map_or(0, |head| head.segment);
        let next = self.slots.iter().position(|(_, head)| {
            head.is_some_and(|head| head.epoch == piece.epoch && head.segment == segment + 1)
        });
        let Some(next) = next else { return Ok(None) };
        let here = self.at.replace((next, 0));
        let found = self.frame_here(piece).await?;
        if found.is_none() {
            self.at = here;
        }
        Ok(found)
    }

    /// Looks for a frame at or before the first one needed, behind damage in frames that are not.
    async fn skip_dead_frames(&mut self, piece: &LogPiece) -> Result<bool> {
        let Some((slot, offset)) = self.at else {
            return Ok(false);
        };
        let segment = self.slots[slot].1.map_or(0, |head| head.segment);
        let mut offset = offset + PAGE as u64;
        while offset < self.segment_bytes {
            if let Some(header) = self.header_at(slot, offset).await?
                && (header.epoch, header.segment) == (piece.epoch, segment)
                && header.sequence > self.expected
            {
                if header.sequence > self.replay_after + 1 {
                    return Ok(false);
                }
                self.at = Some((slot, offset));
                self.expected = header.sequence;
                self.previous_crc = None;
                return Ok(true);
            }
            offset += PAGE as u64;
        }
        Ok(false)
    }

    /// The decision at the first bad frame of the open piece; see the table above.
    async fn refuse_if_acknowledged(&mut self, piece: &LogPiece) -> Result<()> {
        let (here, from) = self.at.unwrap_or((usize::MAX, 0));
        let segment = self.slots.get(here).and_then(|(_, head)| *head);
        for slot in 0..self.slots.len() {
            let start = match self.slots[slot].1 {
                _ if slot == here => from,
                // Its first frame is damaged, or it was never used.
                None => 0,
                Some(head) if head.epoch == piece.epoch => match segment {
                    Some(segment) if head.segment <= segment.segment => continue,
                    _ => 0,
                },
                Some(_) => continue,
            };
            self.look_for_witness(piece, slot, start).await?;
        }
        Ok(())
    }

    async fn look_for_witness(&mut self, piece: &LogPiece, slot: usize, from: u64) -> Result<()> {
        let mut offset = from;
        while offset < self.segment_bytes {
            if let Some(header) = self.header_at(slot, offset).await?
                && header.epoch == piece.epoch
                && header.sequence >= self.expected
            {
                if header.durable >= self.expected {
                    let detail = format!(
                        "frame {} is not whole, but frame {} in {} says that it was durable",
                        self.expected,
                        header.sequence,
                        slot_name(slot)
                    );
                    return Err(self.corrupt_here(detail));
                }
                self.torn = true;
            }
            offset += PAGE as u64;
        }
        Ok(())
    }

    fn corrupt(&self, what: &str, sequence: u64) -> Error {
        self.corrupt_here(format!("frame {sequence}: {what}"))
    }

    fn corrupt_here(&self, detail: String) -> Error {
        let (slot, offset) = self.at.unwrap_or((0, 0));
        Error::CorruptAcked {
            file: slot_name(slot),
            offset,
            detail,
        }
    }

    async fn header_at(&mut self, slot: usize, offset: u64) -> Result<Option<FrameHeader>> {
        if offset + PAGE as u64 > self.segment_bytes {
            return Ok(None);
        }
        self.cover(slot, offset).await?;
        let start = (offset - self.window.offset) as usize;
        if start + PAGE > self.window.filled {
            return Ok(None);
        }
        let header = FrameHeader::read(&self.identity, &self.window.buffer[start..]);
        let fits = |header: &FrameHeader| {
            offset + frame_bytes(header.payload_bytes as usize) as u64 <= self.segment_bytes
        };
        Ok(header.filter(fits))
    }

    /// The payload, if its checksum holds.
    async fn payload_at(
        &mut self,
        slot: usize,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<Option<Vec<u8>>> {
        let length = header.payload_bytes as usize;
        let frame = frame_bytes(length);
        let start = (offset - self.window.offset) as usize;
        if start + frame <= self.window.filled {
            let payload = &self.window.buffer[start + HEADER_BYTES..][..length];
            return Ok((crc32c(payload) == header.payload_crc).then(|| payload.to_vec()));
        }
        let file = &self.slots[slot].0;
        let done = self.io.read(file, offset, Buffer::zeroed(frame)).await;
        let read = done.result.map_err(|e| Error::io(e, slot_name(slot)))?;
        if read < frame {
            return Ok(None);
        }
        let payload = &done.buffer[HEADER_BYTES..][..length];
        Ok((crc32c(payload) == header.payload_crc).then(|| payload.to_vec()))
    }

    /// Makes the window hold the page at `offset`.
    async fn cover(&mut self, slot: usize, offset: u64) -> Result<()> {
        let window = &self.window;
        let end = window.offset + window.filled as u64;
        if window.slot == slot && window.offset <= offset && offset + PAGE as u64 <= end {
            return Ok(());
        }
        let buffer = std::mem::replace(&mut self.window.buffer, Buffer::zeroed(0));
        let done = self.io.read(&self.slots[slot].0, offset, buffer).await;
        self.window.buffer = done.buffer;
        self.window.filled = done.result.map_err(|e| Error::io(e, slot_name(slot)))?;
        self.window.slot = slot;
        self.window.offset = offset;
        Ok(())
    }

    /// Makes what was replayed durable. After the end of a process its last frames may sit in the
    /// device's cache, and the manifest is about to promise them.
    pub async fn make_durable(&self) -> Result<()> {
        for (index, (file, head)) in self.slots.iter().enumerate() {
            if head.is_some() {
                let done = self.io.sync(file).await;
                done.result.map_err(|e| Error::io(e, slot_name(index)))?;
            }
        }
        Ok(())
    }

    /// Where the log ends.
    pub fn end(&self) -> PieceEnd {
        self.end
    }

    /// The piece that the coming incarnation writes.
    pub fn next_piece(&self) -> LogPiece {
        let segments = self.slots.iter().filter_map(|(_, head)| *head);
        let newest = segments.map(|head| head.segment).max().unwrap_or(0);
        let last = self.pieces.last();
        LogPiece {
            epoch: last.map_or(1, |piece| piece.epoch + 1),
            first_segment: newest.max(last.map_or(0, |piece| piece.first_segment)) + 1,
            first_sequence: self.end.sequence + 1,
            end: None,
        }
    }

    /// The log, ready for the first frame of `piece`.
    pub fn into_log(self, piece: LogPiece, frame_bytes_max: usize) -> Log {
        let needed = |head: &FrameHeader| {
            self.pieces.iter().any(|piece| {
                let end = piece.end.map_or(u64::MAX, |end| end.sequence);
                piece.epoch == head.epoch && head.sequence <= end && end > self.replay_after
            })
        };
        let heads: Vec<_> = self.slots.iter().map(|(_, head)| *head).collect();
        let slots = self.slots.iter().map(|(file, head)| {
            // The last frame of a segment is the one before the next segment's first.
            let live = head.filter(needed).map(|head| {
                let next = heads
                    .iter()
                    .flatten()
                    .find(|next| next.epoch == head.epoch && next.segment == head.segment + 1);
                Content::Live {
                    segment: head.segment,
                    last_sequence: next.map_or(self.end.sequence, |next| next.sequence - 1),
                }
            });
            Slot {
                file: file.clone(),
                content: live.unwrap_or(Content::Free),
            }
        });
        Log {
            slots: slots.collect(),
            identity: self.identity.clone(),
            segment_bytes: self.segment_bytes,
            frame_bytes_max: frame_bytes_max.min(self.segment_bytes as usize),
            active: None,
            epoch: piece.epoch,
            segment: piece.first_segment - 1,
            next_sequence: piece.first_sequence,
            previous_crc: self.end.crc,
            completed: self.end.sequence,
            durable: self.end.sequence,
            flights: Default::default(),
            unsynced: Vec::new(),
            syncing: None,
            buffers: Vec::new(),
            last_frame_closes: true,
            counters: LogCounters::default(),
        }
    }
}

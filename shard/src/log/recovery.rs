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

use ringkeep_io::planted::{Defect, planted};
use std::collections::VecDeque;

use ringkeep_io::{Buffer, Directory, File, Io, PAGE, WriteDurability};

use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::limits::GROUP_BYTES_MAX;
use crate::manifest::{LogPiece, Manifest, PieceEnd};
use crate::shard::Identity;
use crate::version::Version;

use super::format::{FORMAT_VERSION, FrameHeader, HEADER_BYTES, frame_bytes, is_read};
use super::segments::{Content, Slot, open_slot, slot_name};
use super::windows::Windows;
use super::{Log, LogCounters};

/// Frames that may have to be written again are, in stretches of about this size.
const STRETCH_BYTES: u64 = 1 << 20;
const STRETCHES_AT_ONCE: usize = 4;

/// Frames of the log in order, group by group.
pub(crate) struct Replay {
    io: Io,
    identity: Identity,
    segment_bytes: u64,
    slots: Vec<(File, Option<FrameHeader>)>,
    pieces: Vec<LogPiece>,
    replay_after: u64,
    flushed: u64,
    windows: Windows,
    /// The joined payloads of the last group, kept for its memory.
    payload: Vec<u8>,
    /// Where in the window the payload is, if it is one frame's and lies there whole.
    in_window: Option<(u64, usize)>,

    /// The piece being read, and where in it.
    piece: usize,
    at: Option<(usize, u64)>,
    /// Where the next frame should be, if that is another segment than the one before.
    elsewhere: Option<(usize, u64)>,
    /// The sequence that the next frame must have, and the checksum that it must name.
    expected: u64,
    previous_crc: Option<u32>,

    /// Frames of the open piece that no later one calls durable.
    doubtful: VecDeque<Stretch>,

    /// The end of the last whole group.
    end: PieceEnd,
    /// Nothing in the tail leads on from there. Of the open piece only: each has a tail of its own.
    ends_tail: bool,
    /// Where in the open piece the next one would be.
    behind_last: Option<(usize, u64)>,
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
    pub millis: u64,
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
            flushed: manifest.flushed,
            windows: Windows::new(io, manifest.segment_bytes),
            payload: Vec::new(),
            in_window: None,
            piece: 0,
            at: None,
            elsewhere: None,
            expected: 0,
            previous_crc: None,
            doubtful: VecDeque::new(),
            end: PieceEnd {
                sequence: manifest.replay_after,
                crc: 0,
            },
            ends_tail: false,
            behind_last: None,
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
                && !is_read(format)
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
    async fn start_piece(&mut self, mut piece: usize) -> Result<()> {
        let is_dead = |piece: &LogPiece| piece.is_dead(self.replay_after);
        while self.pieces.get(piece).is_some_and(is_dead) {
            piece += 1;
        }
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
            // Where frames that a power cut tore were restored from the tail, they are in later segments than what it left.
            .max_by_key(|(_, head)| head.segment);
        if let Some((slot, head)) = nearest {
            self.at = Some((slot, 0));
            self.expected = head.sequence;
        }
        Ok(())
    }

    /// The next whole group, or nothing at the end of the log. Its records are in `payload`.
    pub async fn next_group(&mut self) -> Result<Option<ReplayedGroup>> {
        let mut group: Option<ReplayedGroup> = None;
        self.payload.clear();
        self.in_window = None;
        while let Some(header) = self.next_frame().await? {
            self.frames += 1;
            self.bytes += frame_bytes(header.payload_bytes as usize) as u64;
            if group
                .as_ref()
                .is_some_and(|part| part.last_sequence + 1 != header.sequence)
            {
                // Dead frames were passed over, among them the rest of a group.
                group = None;
                let bytes = header.payload_bytes as usize;
                let before = self.payload.len().saturating_sub(bytes);
                self.payload.drain(..before);
            }
            let part = group.get_or_insert(ReplayedGroup {
                first_sequence: header.sequence,
                last_sequence: header.sequence,
                version: header.version,
                millis: header.millis,
            });
            if part.version != header.version || self.payload.len() > GROUP_BYTES_MAX {
                return Err(self.corrupt("frames of two groups are mixed", header.sequence));
            }
            part.last_sequence = header.sequence;
            if header.continues {
                continue;
            }
            if header.sequence >= self.end.sequence {
                self.end = PieceEnd {
                    sequence: header.sequence,
                    crc: header.crc,
                };
                let open = self.pieces.get(self.piece);
                let is_open = open.is_some_and(|piece| piece.end.is_none());
                self.behind_last = self.at.filter(|_| is_open);
                self.ends_tail = is_open && header.ends_tail;
            }
            if header.sequence <= self.replay_after {
                group = None;
                self.payload.clear();
                self.in_window = None;
                continue;
            }
            return Ok(group);
        }
        // A group whose last frame never made it was never acknowledged.
        self.torn |= group.is_some();
        Ok(None)
    }

    /// The last frame that was whole, with all before it.
    pub fn reached(&self) -> u64 {
        self.expected.saturating_sub(1)
    }

    /// What to say when there should have been more.
    pub fn ends_too_early(&self) -> Error {
        self.corrupt("it was durable and is not whole", self.expected)
    }

    /// The records of the group that `next_group` gave last.
    pub fn payload(&self) -> &[u8] {
        match self.in_window {
            Some((offset, bytes)) => &self.windows.from(offset)[..bytes],
            None => &self.payload,
        }
    }

    /// The next frame; its payload is appended to the group's.
    async fn next_frame(&mut self) -> Result<Option<FrameHeader>> {
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
            // Dead frames may be gone: it matters whether the first one behind them was durable.
            self.expected = self.expected.max(self.replay_after + 1);
            self.refuse_if_acknowledged(&piece).await?;
            return Ok(None);
        }
    }

    async fn frame_here(&mut self, piece: &LogPiece) -> Result<Option<FrameHeader>> {
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
        let counts =
            follows || (planted(Defect::StaleTailAccepted) && header.sequence == self.expected);
        if !counts {
            return Ok(None);
        }
        if !self.take_payload(slot, offset, &header).await? {
            return Ok(None);
        }
        let bytes = frame_bytes(header.payload_bytes as usize) as u64;
        self.at = Some((slot, offset + bytes));
        self.elsewhere = None;
        self.expected += 1;
        self.previous_crc = Some(header.crc);
        if piece.end.is_none() {
            self.doubt((slot, offset), bytes, &header);
        }
        Ok(Some(header))
    }

    /// Takes note of a frame, and forgets those that it calls durable.
    fn doubt(&mut self, at: (usize, u64), bytes: u64, header: &FrameHeader) {
        let durable = |stretch: &Stretch| stretch.last_sequence <= header.durable;
        while self.doubtful.front().is_some_and(durable) {
            self.doubtful.pop_front();
        }
        match self.doubtful.back_mut() {
            Some(last)
                if (last.slot, last.offset + last.bytes) == at
                    && last.bytes + bytes <= STRETCH_BYTES =>
            {
                last.bytes += bytes;
                last.last_sequence = header.sequence;
            }
            _ => self.doubtful.push_back(Stretch {
                slot: at.0,
                offset: at.1,
                bytes,
                last_sequence: header.sequence,
            }),
        }
    }

    async fn frame_in_next_segment(&mut self, piece: &LogPiece) -> Result<Option<FrameHeader>> {
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
            let there = std::mem::replace(&mut self.at, here);
            // Where that segment begins with a later frame, this one is missing here.
            let first = self.slots[next].1.map(|head| head.sequence);
            self.elsewhere = there.filter(|_| first == Some(self.expected));
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
        if planted(Defect::WatermarkIgnored) {
            return Ok(());
        }
        let (here, from) = self.at.unwrap_or((usize::MAX, 0));
        let segment = self.slots.get(here).and_then(|(_, head)| *head);
        for slot in 0..self.slots.len() {
            let start = match self.slots[slot].1 {
                _ if slot == here => from,
                // Its first frame is damaged, or it was made before unused ones said so.
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
        let (slot, offset) = self.elsewhere.or(self.at).unwrap_or((0, 0));
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
        self.windows.cover(&self.slots, slot, offset).await?;
        let page = self.windows.from(offset);
        if page.len() < PAGE {
            return Ok(None);
        }
        let header = FrameHeader::read(&self.identity, page);
        let fits = |header: &FrameHeader| {
            offset + frame_bytes(header.payload_bytes as usize) as u64 <= self.segment_bytes
        };
        Ok(header.filter(fits))
    }

    /// Appends the payload to the group's, if its checksum holds.
    async fn take_payload(
        &mut self,
        slot: usize,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<bool> {
        let before = self.payload.len();
        let mut offset = offset + HEADER_BYTES as u64;
        let mut missing = header.payload_bytes as usize;
        while missing > 0 {
            self.windows.cover(&self.slots, slot, offset).await?;
            let bytes = self.windows.from(offset);
            if let Some(whole) = bytes.get(..missing)
                && self.payload.is_empty()
                && !header.continues
            {
                let same =
                    crc32c(whole) == header.payload_crc || planted(Defect::FrameChecksumSkipped);
                self.in_window = same.then_some((offset, missing));
                return Ok(same);
            }
            let part = bytes.len().min(missing);
            if part == 0 {
                break;
            }
            self.payload.extend_from_slice(&bytes[..part]);
            offset += part as u64;
            missing -= part;
        }
        let same = crc32c(&self.payload[before..]) == header.payload_crc
            || planted(Defect::FrameChecksumSkipped);
        let whole = missing == 0 && same;
        if !whole {
            self.payload.truncate(before);
        }
        Ok(whole)
    }

    /// What is left to know once the log is read.
    pub fn into_end(self) -> LogEnd {
        LogEnd {
            heads: self.slots.iter().map(|(_, head)| *head).collect(),
            segment_bytes: self.segment_bytes,
            pieces: self.pieces,
            replay_after: self.replay_after,
            // Frames that a power cut took may be in tables all the same. Their sequences are spent: a new
            // frame that had one of them would count as being in tables.
            next_sequence: self.end.sequence.max(self.flushed) + 1,
            doubtful: self.doubtful.into(),
            last: self.end,
            ends_tail: self.ends_tail,
            behind_last: self.behind_last,
        }
    }
}

/// Frames that lie one behind the other.
#[derive(Clone, Copy)]
struct Stretch {
    slot: usize,
    offset: u64,
    bytes: u64,
    last_sequence: u64,
}

/// Where a log ended, and what its slots hold: enough to go on behind it.
pub(crate) struct LogEnd {
    pub(super) heads: Vec<Option<FrameHeader>>,
    pub(super) segment_bytes: u64,
    pieces: Vec<LogPiece>,
    pub(super) replay_after: u64,
    /// What the first new frame gets.
    pub(super) next_sequence: u64,
    doubtful: Vec<Stretch>,
    /// The last frame of the last whole group.
    pub last: PieceEnd,
    /// An opening has put that there from the tail, as the last one: what else the tail has was behind a gap.
    pub(super) ends_tail: bool,
    /// Slot and offset behind it, if it is in the open piece.
    pub(super) behind_last: Option<(usize, u64)>,
}

impl LogEnd {
    pub fn open_slots(&self, directory: &Directory) -> Result<Vec<File>> {
        (0..self.heads.len())
            .map(|index| open_slot(directory, index, self.segment_bytes))
            .collect()
    }

    /// Makes what was replayed durable. After the end of a process its last frames may sit in the
    /// device's cache, and the manifest is about to promise them. Those that no later frame calls durable
    /// are written once more, as they are: if a sync of them failed before the process ended, the kernel
    /// takes them for clean, and another sync alone would succeed and do nothing.
    pub async fn make_durable(&self, io: &Io, files: &[File]) -> Result<()> {
        if planted(Defect::ReplayNotSynced) {
            return Ok(());
        }
        let to_error = |stretch: &Stretch| {
            let slot = stretch.slot;
            move |error| Error::io(error, slot_name(slot))
        };
        for some in self.doubtful.chunks(STRETCHES_AT_ONCE) {
            let reads = some.iter().map(|stretch| {
                let buffer = Buffer::zeroed(stretch.bytes as usize);
                io.read(&files[stretch.slot], stretch.offset, buffer)
            });
            let reads: Vec<_> = reads.collect();
            let mut writes = Vec::new();
            for (stretch, read) in some.iter().zip(reads) {
                let read = read.await;
                read.result.map_err(to_error(stretch))?;
                let (file, bytes) = (&files[stretch.slot], stretch.bytes as usize);
                let durability = WriteDurability::Cached;
                writes.push(io.write(file, stretch.offset, read.buffer, bytes, durability));
            }
            for (stretch, write) in some.iter().zip(writes) {
                write.await.result.map_err(to_error(stretch))?;
            }
        }
        // All at once: the device empties its cache for several of them together.
        let used = files.iter().enumerate();
        let used =
            used.filter(|(index, _)| self.heads[*index].is_some_and(|head| !head.is_unused()));
        let syncs: Vec<_> = used.map(|(index, file)| (index, io.sync(file))).collect();
        for (index, sync) in syncs {
            let done = sync.await;
            done.result.map_err(|e| Error::io(e, slot_name(index)))?;
        }
        Ok(())
    }

    /// The piece that was being written when the shard stopped, unless that was by a close.
    pub(super) fn open_piece(&self) -> Option<&LogPiece> {
        self.pieces.last().filter(|piece| piece.end.is_none())
    }

    /// No segment has a number above this one.
    pub(super) fn newest_segment(&self) -> u64 {
        let segments = self.heads.iter().flatten().map(|head| head.segment);
        let newest = segments.max().unwrap_or(0);
        let first = self.pieces.last().map_or(1, |piece| piece.first_segment);
        newest.max(first - 1)
    }

    /// The piece that the coming incarnation writes.
    pub fn next_piece(&self) -> LogPiece {
        let last = self.pieces.last();
        if let Some(last) = last
            && planted(Defect::EpochNotRaised)
        {
            return LogPiece {
                first_sequence: self.next_sequence,
                end: None,
                ..*last
            };
        }
        LogPiece {
            epoch: last.map_or(1, |piece| piece.epoch + 1),
            first_segment: self
                .newest_segment()
                .max(last.map_or(0, |piece| piece.first_segment))
                + 1,
            first_sequence: self.next_sequence,
            end: None,
        }
    }

    /// The log, ready for the first frame of `piece`.
    pub fn into_log(
        self,
        identity: &Identity,
        files: Vec<File>,
        piece: LogPiece,
        frame_bytes_max: usize,
    ) -> Log {
        let slots = files.into_iter().enumerate().map(|(index, file)| Slot {
            file,
            content: self.content(index),
        });
        Log {
            slots: slots.collect(),
            identity: identity.clone(),
            segment_bytes: self.segment_bytes,
            frame_bytes_max: frame_bytes_max.min(self.segment_bytes as usize),
            active: None,
            epoch: piece.epoch,
            segment: piece.first_segment - 1,
            next_sequence: piece.first_sequence,
            previous_crc: self.last.crc,
            completed: piece.first_sequence - 1,
            durable: piece.first_sequence - 1,
            flights: Default::default(),
            unsynced: Vec::new(),
            syncing: None,
            buffers: Vec::new(),
            last_frame_closes: true,
            has_failed: false,
            counters: LogCounters::default(),
        }
    }

    pub(super) fn content(&self, slot: usize) -> Content {
        let needed = |head: &FrameHeader| {
            self.pieces.iter().any(|piece| {
                let end = piece.end.map_or(u64::MAX, |end| end.sequence);
                piece.epoch == head.epoch && head.sequence <= end && end > self.replay_after
            })
        };
        let Some(head) = self.heads[slot].filter(needed) else {
            return Content::Free;
        };
        // The last frame of a segment is before the first of any later one. The next segment itself may be gone, and was
        // not needed then. One that was cut is none.
        let later = self.heads.iter().flatten();
        let later = later.filter(|next| next.epoch == head.epoch && next.segment > head.segment);
        let next = later.min_by_key(|next| next.sequence);
        Content::Live {
            segment: head.segment,
            last_sequence: next
                .map_or(u64::MAX, |next| next.sequence - 1)
                .min(self.last.sequence),
        }
    }
}

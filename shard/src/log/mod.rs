//! The write-ahead log: what makes a commit durable.
//!
//! One frame is one device write. Frames are chained by checksum and sequence, at most two are in
//! flight, eight if they are full, and they count only in order: `completed` and `durable` are the ends of unbroken rows.
//!
//! A frame written with its own durability makes only itself durable. So it may follow a plain frame
//! only after a sync: otherwise a power cut could keep it and lose the frame before, and with the
//! chain broken recovery would never reach it. `append` decides this; nobody else does.

pub(crate) mod format;
pub(crate) mod recovery;
mod restore;
pub(crate) mod segments;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod windows;

use std::collections::VecDeque;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Io, IoError, Ticket, WriteDurability};

use crate::shard::Identity;
use crate::version::Version;
use format::{FrameHeader, HEADER_BYTES, frame_bytes};
use segments::{Content, Slot, slot_name};

/// More would not help: batching beats depth, and each one in flight is one more that a crash leaves
/// in doubt.
pub(crate) const FRAMES_IN_FLIGHT_MAX: usize = 2;

/// But a device may stand still for as long as callers need to fill several frames. Those go out behind the two, so that callers
/// who need not wait for the device do not.
pub(crate) const FULL_FRAMES_IN_FLIGHT_MAX: usize = 8;

/// The log of one shard, open for appending.
pub(crate) struct Log {
    identity: Identity,
    segment_bytes: u64,
    frame_bytes_max: usize,
    slots: Vec<Slot>,
    /// The slot that takes the next frame, and where. None after a recovery on a full disk.
    active: Option<Position>,
    epoch: u64,
    segment: u64,
    next_sequence: u64,
    previous_crc: u32,
    completed: u64,
    durable: u64,
    flights: VecDeque<Flight>,
    /// Slots with plain frames that no sync has covered, oldest first.
    unsynced: Vec<usize>,
    syncing: Option<Syncing>,
    buffers: Vec<Buffer>,
    last_frame_closes: bool,
    has_failed: bool,
    pub(crate) counters: LogCounters,
}

#[derive(Clone, Copy)]
struct Position {
    slot: usize,
    offset: u64,
}

/// So many segments may hold plain frames that no sync has covered, and the one that is being filled.
const UNSYNCED_MAX: usize = 8;

struct Flight {
    sequence: u64,
    durable: bool,
    ticket: Ticket,
}

struct Syncing {
    covers: u64,
    tickets: Vec<Ticket>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct LogCounters {
    pub frames: u64,
    pub bytes: u64,
    pub durable_writes: u64,
    pub syncs: u64,
    pub closing_frames: u64,
}

/// A failed log write or sync. Never retried: the kernel may have dropped the data and reported so
/// only once.
#[derive(Clone, Debug)]
pub(crate) struct LogFailure {
    pub error: IoError,
    pub file: String,
}

/// What goes into a frame beside its payload.
#[derive(Clone, Copy)]
pub(crate) struct FrameIntent {
    pub version: Version,
    /// When the group was formed; zero where that is not kept.
    pub millis: u64,
    pub continues: bool,
    pub closing: bool,
    /// The caller will acknowledge only what is durable.
    pub durable: bool,
}

impl Log {
    /// The largest payload that one frame takes.
    pub fn payload_max(&self) -> usize {
        self.frame_bytes_max - HEADER_BYTES
    }

    /// A buffer for one frame; the payload starts at `HEADER_BYTES`.
    pub fn take_buffer(&mut self) -> Buffer {
        self.buffers
            .pop()
            .unwrap_or_else(|| Buffer::zeroed(self.frame_bytes_max))
    }

    /// Another frame may be written now.
    pub fn has_flight_free(&self) -> bool {
        self.flights.len() < FRAMES_IN_FLIGHT_MAX
    }

    /// Another frame may be written now that has no room for more, or that somebody waits for.
    pub fn has_flight_for_full(&self) -> bool {
        self.flights.len() < FULL_FRAMES_IN_FLIGHT_MAX
    }

    /// The frame fits the active segment, or a free slot takes it.
    pub fn has_room(&self, payload_bytes: usize) -> bool {
        let fits = self
            .active
            .is_some_and(|at| at.offset + frame_bytes(payload_bytes) as u64 <= self.segment_bytes);
        fits || self.free_slot().is_some()
    }

    /// Writes the frame whose payload is in `buffer`. The caller has made sure of a free flight and
    /// of room. Gives the frame's sequence.
    pub fn append(
        &mut self,
        io: &Io,
        mut buffer: Buffer,
        payload_bytes: usize,
        intent: FrameIntent,
    ) -> u64 {
        assert!(
            self.has_flight_for_full(),
            "more frames in flight than allowed"
        );
        let bytes = frame_bytes(payload_bytes);
        let at = self.place(bytes as u64);
        let sequence = self.next_sequence;
        let header = FrameHeader {
            segment: self.segment,
            epoch: self.epoch,
            sequence,
            durable: self.durable,
            version: intent.version,
            millis: intent.millis,
            continues: intent.continues,
            closing: intent.closing,
            payload_bytes: payload_bytes as u32,
            previous_crc: self.previous_crc,
            ..FrameHeader::default()
        }
        .seal(&self.identity, &mut buffer);
        self.previous_crc = header.crc;
        self.next_sequence += 1;
        self.last_frame_closes = intent.closing;
        self.slots[at.slot].content = Content::Live {
            segment: self.segment,
            last_sequence: sequence,
        };
        self.active = Some(Position {
            offset: at.offset + bytes as u64,
            ..at
        });

        let alone = (self.unsynced.is_empty() && self.syncing.is_none())
            || planted(Defect::DurableBehindPlain);
        let durable = intent.durable && alone;
        let durability = if durable {
            self.counters.durable_writes += 1;
            match planted(Defect::DurableWriteIsNot) {
                false => WriteDurability::Durable,
                true => WriteDurability::Cached,
            }
        } else {
            if self.unsynced.last() != Some(&at.slot) {
                self.unsynced.push(at.slot);
            }
            WriteDurability::Cached
        };
        self.counters.frames += 1;
        self.counters.bytes += bytes as u64;
        let file = &self.slots[at.slot].file;
        let ticket = io.write(file, at.offset, buffer, bytes, durability);
        self.flights.push_back(Flight {
            sequence,
            durable,
            ticket,
        });
        sequence
    }

    fn place(&mut self, bytes: u64) -> Position {
        if let Some(at) = self.active
            && at.offset + bytes <= self.segment_bytes
        {
            return at;
        }
        let slot = self.free_slot().expect("the caller made sure of room");
        self.segment += 1;
        Position { slot, offset: 0 }
    }

    fn free_slot(&self) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.content == Content::Free)
    }

    /// Takes note of finished writes and syncs, in order. True when something moved.
    pub fn reap(&mut self) -> Result<bool, LogFailure> {
        let mut moved = false;
        while let Some(flight) = self.flights.front_mut() {
            let Some(done) = flight.ticket.try_take() else {
                break;
            };
            let (sequence, durable) = (flight.sequence, flight.durable);
            self.flights.pop_front();
            if self.buffers.len() < FRAMES_IN_FLIGHT_MAX {
                self.buffers.push(done.buffer);
            }
            if !planted(Defect::FailedWriteIgnored) {
                done.result.map_err(|error| self.fail(error))?;
            }
            self.completed = sequence;
            if durable {
                self.durable = sequence;
            }
            moved = true;
        }
        if let Some(syncing) = &mut self.syncing
            && syncing.tickets.iter().all(Ticket::is_done)
        {
            let syncing = self.syncing.take().expect("just looked at");
            for mut ticket in syncing.tickets {
                let done = ticket.try_take().expect("all are done");
                if !planted(Defect::FailedSyncIgnored) {
                    done.result.map_err(|error| self.fail(error))?;
                }
            }
            self.durable = self.durable.max(syncing.covers);
            moved = true;
        }
        Ok(moved)
    }

    fn fail(&mut self, error: IoError) -> LogFailure {
        self.has_failed = true;
        let slot = self.active.map_or(0, |at| at.slot);
        LogFailure {
            error,
            file: slot_name(slot),
        }
    }

    /// Starts making durable what has completed. Frames still in flight stay for the next sync.
    pub fn start_sync(&mut self, io: &Io) {
        if self.syncing.is_some() || self.unsynced.is_empty() || self.has_failed {
            return;
        }
        let slots = std::mem::take(&mut self.unsynced);
        let tickets: Vec<_> = slots
            .iter()
            .map(|slot| io.sync(&self.slots[*slot].file))
            .collect();
        self.counters.syncs += tickets.len() as u64;
        // The sync is not promised to cover frames in flight: their slots stay on the list.
        if !self.flights.is_empty() {
            self.unsynced = slots;
        }
        self.syncing = Some(Syncing {
            covers: match planted(Defect::SyncCoversFlights) {
                false => self.completed,
                true => self.next_sequence - 1,
            },
            tickets,
        });
    }

    /// Starts making durable what was written to segments that were left for the next one, when there are enough of them.
    /// Nobody waits for it; but what no later frame calls durable is written once more when a log is read back.
    pub fn start_syncing_what_was_left(&mut self, io: &Io) {
        if self.syncing.is_some() || self.has_failed || self.unsynced.len() <= UNSYNCED_MAX {
            return;
        }
        let active = self.active.map(|at| at.slot);
        let (slots, completed) = (&self.slots, self.completed);
        let last_of = |index: usize| match slots[index].content {
            Content::Live { last_sequence, .. } => last_sequence,
            Content::Free => 0,
        };
        let was_left = |index: &mut usize| active != Some(*index) && last_of(*index) <= completed;
        let left: Vec<usize> = self.unsynced.extract_if(.., was_left).collect();
        let Some(covers) = left.iter().map(|index| last_of(*index)).max() else {
            return;
        };
        let tickets = left.iter().map(|index| io.sync(&slots[*index].file));
        let tickets: Vec<_> = tickets.collect();
        self.counters.syncs += tickets.len() as u64;
        self.syncing = Some(Syncing { covers, tickets });
    }

    /// A write or sync of it has failed: nothing of it is synced any more.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Plain frames wait for a sync.
    pub fn needs_sync(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Nothing is in flight.
    pub fn is_quiet(&self) -> bool {
        self.flights.is_empty() && self.syncing.is_none()
    }

    /// A closing frame is in flight. It is in no tail.
    pub fn is_closing(&self) -> bool {
        self.last_frame_closes && !self.flights.is_empty()
    }

    /// The last frame has no later one to witness that it was durable.
    pub fn wants_closing(&self) -> bool {
        !self.last_frame_closes
    }

    /// Every frame up to this sequence is written.
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// Every frame up to this sequence is on stable storage.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    pub fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// The checksum of the last frame, which ends this epoch when the shard is closed.
    pub fn last_crc(&self) -> u32 {
        self.previous_crc
    }

    /// Frees the slots whose frames are all in tables. Only after the manifest that says so is durable.
    /// Plain frames among them need no sync any more: recovery begins behind them. Where no frame is left that
    /// recovery reads, the next one begins a segment in the first slot, and the others are not needed until it is full.
    pub fn release(&mut self, replay_after: u64) {
        if self.last_sequence() <= replay_after && self.is_quiet() {
            self.active = None;
            self.durable = self.completed;
            // Nor does the last frame need a witness.
            self.last_frame_closes = true;
        }
        let active = self.active.map(|at| at.slot);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Content::Live { last_sequence, .. } = slot.content
                && last_sequence <= replay_after
                && active != Some(index)
            {
                slot.content = Content::Free;
                self.unsynced.retain(|unsynced| *unsynced != index);
            }
        }
    }

    /// Slots, and how many of them are free.
    pub fn slot_counts(&self) -> (usize, usize) {
        let free = self
            .slots
            .iter()
            .filter(|slot| slot.content == Content::Free)
            .count();
        (self.slots.len(), free)
    }

    /// Another slot should be made ready, or what is left could be used up before that is done: it takes a few syncs,
    /// which a busy device is slow with. A log that has grown is likely to go on; one of a single slot is first filled by half.
    pub fn wants_slot(&self) -> bool {
        let (slots, free) = self.slot_counts();
        let enough = (self.segment_bytes / 2).max(self.frame_bytes_max as u64);
        let left = self.active.map_or(0, |at| self.segment_bytes - at.offset);
        free < (slots / 4).max(1) && (slots > 1 || left < enough)
    }

    /// Takes new slots in, after the manifest that counts them is durable.
    pub fn add_slots(&mut self, slots: Vec<Slot>) {
        self.slots.extend(slots);
    }

    /// Nothing is in the log, and there are more slots than the next frame needs.
    pub fn has_spare_slots(&self) -> bool {
        let (slots, free) = self.slot_counts();
        slots > 1 && free == slots
    }

    /// Gives all slots but the first away, while nothing is in the log.
    pub fn take_spare_slots(&mut self) -> Vec<Slot> {
        assert!(self.has_spare_slots(), "only free slots are given away");
        self.slots.split_off(1)
    }
}

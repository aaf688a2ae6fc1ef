//! What recovery has of the log in memory: one stretch that is looked at, and a few behind it on their way,
//! so that the device always has something to do. Memory is taken once and goes around.

use std::collections::VecDeque;

use ringkeep_io::{Buffer, File, Io, Ticket};

use crate::error::{Error, Result};

use super::format::FrameHeader;
use super::segments::slot_name;

const WINDOW_BYTES: usize = 512 << 10;

/// The device is kept busy while one window is worked on, and one that comes late is waited for seldom.
const AHEAD: usize = 3;

/// A stretch of a slot; stretches lie on a grid of `WINDOW_BYTES`.
type Place = (usize, u64);

/// The log's files, and the first frame of each that has one.
pub(super) type Slots = [(File, Option<FrameHeader>)];

pub(super) struct Windows {
    io: Io,
    segment_bytes: u64,
    here: Option<Place>,
    buffer: Buffer,
    filled: usize,
    /// In the order in which they will be wanted.
    ahead: VecDeque<(Place, Ticket)>,
    spare: Vec<Buffer>,
}

impl Windows {
    pub fn new(io: &Io, segment_bytes: u64) -> Windows {
        Windows {
            io: io.clone(),
            segment_bytes,
            here: None,
            buffer: Buffer::zeroed(0),
            filled: 0,
            ahead: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// What is in memory from `offset` on; the window covers that place.
    pub fn from(&self, offset: u64) -> &[u8] {
        let start = (offset % WINDOW_BYTES as u64) as usize;
        self.buffer[..self.filled].get(start..).unwrap_or_default()
    }

    /// Makes the window hold what lies at `offset` of a slot. Once it moves on in a row, which may lead into the
    /// slot of the following segment, more is read ahead.
    pub async fn cover(&mut self, slots: &Slots, slot: usize, offset: u64) -> Result<()> {
        let place = (slot, offset / WINDOW_BYTES as u64);
        if self.here == Some(place) {
            return Ok(());
        }
        let follows = |here| self.after(slots, here) == Some(place);
        let expected = |(coming, _): &(Place, Ticket)| *coming == place;
        let in_a_row = self.here.is_some_and(follows) || self.ahead.iter().any(expected);
        let left = std::mem::replace(&mut self.buffer, Buffer::zeroed(0));
        self.keep(left);
        self.here = None;
        let ticket = loop {
            match self.ahead.pop_front() {
                Some((coming, ticket)) if coming == place => break ticket,
                // Nothing but an unused end of a segment is passed over.
                Some((_, ticket)) => {
                    let passed = ticket.await.buffer;
                    self.keep(passed);
                }
                None => break self.read(slots, place),
            }
        };
        let done = ticket.await;
        self.buffer = done.buffer;
        self.filled = done.result.map_err(|e| Error::io(e, slot_name(slot)))?;
        self.here = Some(place);
        if in_a_row {
            let mut last = self.ahead.back().map_or(place, |(coming, _)| *coming);
            while self.ahead.len() < AHEAD
                && let Some(place) = self.after(slots, last)
            {
                let ticket = self.read(slots, place);
                self.ahead.push_back((place, ticket));
                last = place;
            }
            // What is only queued keeps no device busy, and nobody turns before all windows that came have been looked at.
            self.io.turn();
        }
        Ok(())
    }

    fn after(&self, slots: &Slots, (slot, index): Place) -> Option<Place> {
        if (index + 1) * (WINDOW_BYTES as u64) < self.segment_bytes {
            return Some((slot, index + 1));
        }
        let head = slots[slot].1?;
        let follows =
            |next: &FrameHeader| next.epoch == head.epoch && next.segment == head.segment + 1;
        let next = slots
            .iter()
            .position(|(_, next)| next.as_ref().is_some_and(follows));
        next.map(|slot| (slot, 0))
    }

    fn read(&mut self, slots: &Slots, (slot, index): Place) -> Ticket {
        let bytes = WINDOW_BYTES.min(self.segment_bytes as usize);
        let spare = self.spare.pop();
        let buffer = spare.unwrap_or_else(|| Buffer::zeroed(bytes));
        let offset = index * WINDOW_BYTES as u64;
        self.io.read(&slots[slot].0, offset, buffer)
    }

    fn keep(&mut self, buffer: Buffer) {
        if !buffer.is_empty() {
            self.spare.push(buffer);
        }
    }
}

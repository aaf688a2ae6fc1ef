//! Groups that are answered before the log has them: they are in its tail, which outlives the process. What they say is
//! owed to the log, whose next frame carries all of it.
//!
//! A group may be one of these if nobody in it asks for more, if all before it are answered, and if the log has room for it:
//! once it is answered the disk may not be full. Anything else goes the other way, behind what is owed and in the same
//! frame where that fits, and waits for the device.

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{IoError, Nanos};

use super::Commits;
use crate::call::Durability;
use crate::core::Core;
use crate::log::FrameIntent;
use crate::log::format::GROUP_BYTES;
use crate::log::tail::Tail;
use crate::token::Token;
use crate::version::Version;

/// The log gets what it is owed after this long: time for others to come along, since each frame takes the device a
/// write and the host two wake-ups.
const OWED_FOR: Nanos = 1_000_000;

/// Or as soon as it is so much.
const OWED_BYTES: usize = 32 << 10;

/// What is owed, and to what the log has to catch up.
#[derive(Default)]
pub(crate) struct Owed {
    pub(super) tail: Option<Tail>,
    /// It could not be made, opened or written.
    has_lost_tail: bool,
    /// The groups, one behind the other, as the next frame has them; otherwise empty, and kept for its memory.
    pub(super) payload: Vec<u8>,
    groups: u32,
    /// Version and time of the first.
    first: (Version, u64),
    /// When the log gets them at the latest.
    at: Option<Nanos>,
    /// The frame that carries the last group that was answered early.
    carried_by: u64,
    /// Groups formed since the shard was opened.
    formed: u64,
}

/// A group that has just been made.
#[derive(Clone, Copy)]
pub(super) struct Formed {
    pub version: Version,
    pub millis: u64,
    /// The shortest interval asked for.
    pub periodic: Option<Nanos>,
    /// Where it begins in the payload.
    pub from: usize,
}

impl Owed {
    pub fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// The frame that the log must have written so that a sync covers all that was answered.
    pub fn carried_by(&self) -> u64 {
        self.carried_by
    }

    /// When to look again, while the log could take a frame.
    pub fn deadline(&self) -> Option<Nanos> {
        self.at
    }

    /// Somebody waits for the log to have everything.
    pub fn hurry(&mut self, now: Nanos) {
        if !self.is_empty() {
            self.at = Some(self.at.map_or(now, |at| at.min(now)));
        }
    }

    fn is_due(&self, now: impl FnOnce() -> Nanos) -> bool {
        !self.is_empty()
            && (self.payload.len() >= OWED_BYTES || self.at.is_none_or(|at| at <= now()))
    }

    pub(super) fn count(&mut self) {
        self.formed += 1;
    }

    /// Version and time for the header of a frame with a group behind what is owed.
    pub(super) fn head(&self, formed: &Formed) -> (Version, u64) {
        match self.is_empty() {
            true => (formed.version, formed.millis),
            false => self.first,
        }
    }

    /// It is in a frame, or nobody will write it.
    pub(super) fn settle(&mut self) {
        self.payload.clear();
        (self.groups, self.at) = (0, None);
    }

    /// Takes a group that frame `sequence` will carry. True when it is in the tail, and so may be answered.
    pub(super) fn take(&mut self, sequence: u64, formed: &Formed, now: Nanos) -> bool {
        let payload = &self.payload[formed.from..];
        let written = self
            .tail
            .as_mut()
            .map(|tail| tail.write(sequence, self.formed, self.groups, payload));
        let is_written = matches!(written, Some(Ok(())));
        if self.is_empty() {
            self.first = (formed.version, formed.millis);
        }
        self.groups += 1;
        // A sync must come within the interval, and behind this.
        let within = formed.periodic.map_or(OWED_FOR, |every| every / 2);
        let at = now + within.min(OWED_FOR);
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
        if is_written {
            self.carried_by = sequence;
        } else {
            // Whatever is there now: nobody relies on it, and nothing is put behind it.
            self.tail = None;
            self.has_lost_tail = true;
            self.at = Some(now);
        }
        is_written
    }
}

impl<T: Token> Core<T> {
    /// How many of those in line may be answered now.
    pub(super) fn early_members(&self, group_bytes: usize) -> usize {
        let (log, commits) = (self.log.borrow(), self.commits.borrow());
        let Some(tail) = &commits.owed.tail else {
            return 0;
        };
        let is_closing = log.is_closing() && !planted(Defect::TailBehindClosing);
        if !commits.groups.is_empty() || is_closing {
            return 0;
        }
        let owed = commits.owed.payload.len() + GROUP_BYTES;
        let fits = |bytes: usize| {
            owed + bytes <= log.payload_max()
                && tail.has_room(GROUP_BYTES + bytes, log.completed())
                && log.has_room(owed + bytes)
        };
        let (mut bytes, mut count) = (0, 0);
        for write in &commits.pending {
            bytes += write.bytes;
            let begins = count > 0 && (write.begins_group || bytes > group_bytes);
            if write.durability == Durability::Sync || begins || !fits(bytes) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Puts what is owed in the log if it is time, or somebody waits for it, and a flight is free. True when it did.
    pub(super) fn pay_if_due(&self, somebody_waits: bool) -> bool {
        let somebody_waits = somebody_waits || self.closing.get() || self.stopping.get();
        let is_due = |owed: &Owed| match somebody_waits {
            true => !owed.is_empty(),
            false => owed.is_due(|| self.io.now()),
        };
        let is_free = match somebody_waits {
            true => self.log.borrow().has_flight_for_full(),
            false => self.log.borrow().has_flight_free(),
        };
        is_free && is_due(&self.commits.borrow().owed) && self.pay()
    }

    /// What is owed has no room for the next in line, so no later frame will carry more.
    pub(super) fn owes_full_frame(&self) -> bool {
        let commits = self.commits.borrow();
        let next = commits.pending.front();
        let bytes = next.map_or(0, |write| GROUP_BYTES + write.bytes);
        commits.owed.payload.len() + bytes > self.log.borrow().payload_max()
    }

    /// Puts what is owed in the log.
    pub(super) fn pay(&self) -> bool {
        let (payload, (version, millis)) = {
            let owed = &mut self.commits.borrow_mut().owed;
            (std::mem::take(&mut owed.payload), owed.first)
        };
        let intent = FrameIntent {
            version,
            millis,
            continues: false,
            closing: false,
            durable: false,
        };
        self.write_frame(&payload, intent);
        let owed = &mut self.commits.borrow_mut().owed;
        owed.payload = payload;
        owed.settle();
        true
    }
}

impl<T> Commits<T> {
    /// With a tail, if there is one. Without it everything waits for the log.
    pub fn with(tail: std::result::Result<Option<Tail>, IoError>) -> Commits<T> {
        let mut commits = Commits::default();
        commits.owed.has_lost_tail = tail.is_err();
        commits.owed.tail = tail.ok().flatten();
        commits
    }

    pub fn has_lost_tail(&self) -> bool {
        self.owed.has_lost_tail
    }
}

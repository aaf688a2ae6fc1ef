//! Logs made frame by frame, as incarnations of a shard would have left them, and what is made of them.

mod append;
mod dead;
mod limits;
mod pieces;
mod read_ahead;
mod replay;
mod restore;
mod slots;
mod witness;

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};

use ringkeep_io::{Directory, Io, PAGE, SimulatedDisk, SimulatedOptions};

use super::format::{FrameHeader, HEADER_BYTES, frame_bytes};
use super::recovery::{LogEnd, Replay};
use super::segments::{Slot, create_slots, slot_name};
use crate::error::{Error, Result};
use crate::manifest::{LogPiece, Manifest, PieceEnd};
use crate::open::block_on;
use crate::shard::Identity;
use crate::version::{ShardId, Version};

const SEGMENT: u64 = 16 * PAGE as u64;

fn identity() -> Identity {
    Identity {
        store: *b"a log on its own",
        shard: ShardId(0),
        shards: 1,
    }
}

/// A folder with log files, and the manifest that counts them.
struct Paper {
    disk: SimulatedDisk,
    io: Io,
    directory: Directory,
    manifest: Manifest,
}

/// What a recovery gives.
struct Found {
    /// First and last sequence, and payload.
    groups: Vec<(u64, u64, Vec<u8>)>,
    frames: u64,
    bytes: u64,
    torn: bool,
    end: LogEnd,
}

impl Found {
    fn sequences(&self) -> Vec<(u64, u64)> {
        let groups = self.groups.iter();
        groups.map(|(first, last, _)| (*first, *last)).collect()
    }
}

/// The piece that is still written.
fn open_piece(epoch: u64, first_segment: u64, first_sequence: u64) -> LogPiece {
    LogPiece {
        epoch,
        first_segment,
        first_sequence,
        end: None,
    }
}

impl Paper {
    /// With one open piece, from the first frame of the first segment on.
    fn new(slots: usize, segment_bytes: u64) -> Paper {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        let manifest = Manifest {
            log_slots: slots as u32,
            segment_bytes,
            pieces: vec![open_piece(1, 1, 1)],
            ..Manifest::default()
        };
        let paper = Paper {
            disk,
            io,
            directory,
            manifest,
        };
        let made = paper.make_slots(0..slots, segment_bytes);
        block_on(&paper.io, made).expect("room for the slots");
        paper
    }

    /// More of them, as a shard makes them.
    async fn make_slots(&self, indexes: Range<usize>, segment_bytes: u64) -> Result<Vec<Slot>> {
        let (io, directory) = (&self.io, &self.directory);
        create_slots(io, directory, &identity(), indexes, segment_bytes).await
    }

    /// Writes from the beginning of a segment on.
    fn pen(&self, epoch: u64, segment: u64, slot: usize, sequence: u64) -> Pen<'_> {
        Pen {
            paper: self,
            slot,
            offset: 0,
            next: FrameHeader {
                epoch,
                segment,
                sequence,
                version: Version(100 + sequence),
                ..FrameHeader::default()
            },
        }
    }

    fn read(&self) -> Result<Found> {
        block_on(&self.io, self.reading())
    }

    async fn reading(&self) -> Result<Found> {
        let mut replay =
            Replay::open(&self.io, &self.directory, &identity(), &self.manifest).await?;
        let mut groups = Vec::new();
        while let Some(group) = replay.next_group().await? {
            let payload = replay.payload().to_vec();
            groups.push((group.first_sequence, group.last_sequence, payload));
        }
        Ok(Found {
            groups,
            frames: replay.frames,
            bytes: replay.bytes,
            torn: replay.torn,
            end: replay.into_end(),
        })
    }

    /// How many operations are in flight at most until `work` is done.
    fn most_in_flight<R>(&self, work: impl Future<Output = R>) -> usize {
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        let mut most = 0;
        while work.as_mut().poll(&mut context).is_pending() {
            most = most.max(self.io.in_flight());
            if self.io.turn() == 0 {
                self.io.park(None);
            }
        }
        most
    }

    /// Where the log is refused, and why.
    fn refused(&self) -> (String, u64, String) {
        match self.read().err() {
            Some(Error::CorruptAcked {
                file,
                offset,
                detail,
            }) => (file, offset, detail),
            other => panic!("{other:?} is no refusal of damage"),
        }
    }

    fn damage(&self, slot: usize, offset: u64) {
        let path = format!("/shard/{}", slot_name(slot));
        self.disk.flip_bit(&path, offset, 3);
    }
}

/// Writes frames one behind the other, each naming the one before.
struct Pen<'a> {
    paper: &'a Paper,
    slot: usize,
    offset: u64,
    /// The head of the next frame, as far as it is known before its payload.
    next: FrameHeader,
}

impl Pen<'_> {
    /// Goes on in the next segment.
    fn turn_to(&mut self, slot: usize) {
        (self.slot, self.offset) = (slot, 0);
        self.next.segment += 1;
    }

    /// A group of one frame.
    fn group(&mut self, payload: &[u8]) -> PieceEnd {
        self.frame(payload, false, true)
    }

    /// Groups of one frame and one page each.
    fn groups(&mut self, count: u64) {
        for _ in 0..count {
            self.group(&self.next.sequence.to_le_bytes());
        }
    }

    /// A frame whose group goes on in the next one.
    fn part(&mut self, payload: &[u8]) -> PieceEnd {
        self.frame(payload, true, true)
    }

    /// A frame that never reached the disk.
    fn lost(&mut self) -> PieceEnd {
        self.frame(&self.next.sequence.to_le_bytes(), false, false)
    }

    fn frame(&mut self, payload: &[u8], continues: bool, lands: bool) -> PieceEnd {
        let mut frame = vec![0; frame_bytes(payload.len())];
        frame[HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
        let header = FrameHeader {
            continues,
            payload_bytes: payload.len() as u32,
            ..self.next
        };
        let header = header.seal(&identity(), &mut frame);
        if lands {
            let path = format!("/shard/{}", slot_name(self.slot));
            self.paper.disk.overwrite(&path, self.offset, &frame);
        }
        self.offset += frame.len() as u64;
        self.next.sequence += 1;
        self.next.previous_crc = header.crc;
        if !continues {
            self.next.version = Version(self.next.version.0 + 1);
        }
        PieceEnd {
            sequence: header.sequence,
            crc: header.crc,
        }
    }
}

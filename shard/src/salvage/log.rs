//! Frames, wherever they lie in the log's files.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ringkeep_io::{Buffer, Directory, Io, OpenMode, PAGE};

use super::Remains;
use crate::call::Change;
use crate::checksum::crc32c;
use crate::error::{Error, Result};
use crate::log::format::{FrameHeader, HEADER_BYTES, Read, frame_bytes, take_record};
use crate::log::segments::{slot_index, slot_name};
use crate::log::tail;
use crate::manifest::LogPiece;
use crate::verify::{Damage, KeysAtRisk};
use crate::version::Version;

/// By epoch and sequence.
type Frames = BTreeMap<(u64, u64), Frame>;

struct Frame {
    header: FrameHeader,
    payload: Vec<u8>,
}

impl Remains {
    pub(super) async fn read_log(&mut self, io: &Io, directory: &Directory) -> Result<()> {
        let names = directory
            .list()
            .map_err(|e| Error::io(e, "the shard's directory"))?;
        let mut frames = Frames::new();
        for slot in names.iter().filter_map(|name| slot_index(name)) {
            self.read_slot(io, directory, slot, &mut frames).await?;
        }
        let replay_after = self.manifest.as_ref().map_or(0, |m| m.replay_after);
        let pieces = match &self.manifest {
            Some(manifest) => manifest.pieces.clone(),
            None => epochs(&frames),
        };
        for piece in pieces {
            let first = (piece.epoch, piece.first_sequence.max(replay_after + 1));
            let last = (piece.epoch, piece.end.map_or(u64::MAX, |end| end.sequence));
            if first <= last {
                let own: Vec<&Frame> = frames.range(first..=last).map(|(_, f)| f).collect();
                let next = self.take_piece(&piece, first.1, &own);
                let last = own.iter().find(|frame| frame.header.sequence + 1 == next);
                let leads_on = !last.is_some_and(|frame| frame.header.ends_tail);
                if piece.end.is_none() && leads_on {
                    self.take_tail(directory, &piece, next);
                }
            }
        }
        Ok(())
    }

    /// Every whole frame of a file. What is not whole says nothing of where the next one begins, so each page is
    /// looked at.
    async fn read_slot(
        &mut self,
        io: &Io,
        directory: &Directory,
        slot: usize,
        frames: &mut Frames,
    ) -> Result<()> {
        let name = slot_name(slot);
        let file = directory
            .open(&name, OpenMode::Read)
            .map_err(|e| Error::io(e, name.as_str()))?;
        let bytes = file.size().map_err(|e| Error::io(e, name.as_str()))?;
        let mut offset = 0;
        while offset + PAGE as u64 <= bytes {
            let page = io.read(&file, offset, Buffer::zeroed(PAGE)).await;
            let header = match &page.result {
                Ok(_) => FrameHeader::read(&self.identity, &page.buffer),
                Err(error) => {
                    self.found.damages.push(Damage {
                        file: name.clone(),
                        offset,
                        detail: format!("it cannot be read: {error}"),
                        keys: KeysAtRisk::Any,
                    });
                    None
                }
            };
            let length = header.map_or(PAGE, |h| frame_bytes(h.payload_bytes as usize)) as u64;
            let counts = |header: &FrameHeader| offset + length <= bytes && !header.is_unused();
            let Some(header) = header.filter(counts) else {
                offset += PAGE as u64;
                continue;
            };
            let whole = io
                .read(&file, offset, Buffer::zeroed(length as usize))
                .await;
            let end = HEADER_BYTES + header.payload_bytes as usize;
            let payload = whole.buffer.get(HEADER_BYTES..end).unwrap_or_default();
            if whole.result.is_ok() && crc32c(payload) == header.payload_crc {
                let payload = payload.to_vec();
                frames.insert((header.epoch, header.sequence), Frame { header, payload });
                offset += length;
            } else {
                offset += PAGE as u64;
            }
        }
        Ok(())
    }

    /// The frames of one epoch in order. What is missing and had been durable is damage; what was in flight together
    /// when the power went is cut, as an opening would. Gives the frame behind them.
    fn take_piece(&mut self, piece: &LogPiece, first: u64, frames: &[&Frame]) -> u64 {
        let durable = frames.iter().map(|frame| frame.header.durable).max();
        let durable = piece.end.map_or(durable.unwrap_or(0), |end| end.sequence);
        let mut expected = first;
        let mut group: Vec<&Frame> = Vec::new();
        for frame in frames {
            let sequence = frame.header.sequence;
            if sequence != expected && self.manifest.is_some() {
                if expected > durable {
                    return expected;
                }
                self.report_gap(expected, sequence - 1);
                group.clear();
            }
            expected = sequence + 1;
            let begun = group.first().map(|frame| frame.header.version);
            if begun.is_some_and(|version| version != frame.header.version) {
                group.clear();
            }
            group.push(frame);
            if !frame.header.continues {
                let payload: Vec<u8> = group.iter().flat_map(|f| f.payload.clone()).collect();
                self.take_group(frame.header.version, &payload);
                group.clear();
            }
        }
        if expected <= durable && self.manifest.is_some() {
            self.report_gap(expected, durable);
        }
        expected
    }

    /// What leads on from the last frame.
    fn take_tail(&mut self, directory: &Directory, piece: &LogPiece, next: u64) {
        match tail::read(directory, &self.identity, piece.epoch, next) {
            Ok(owed) => {
                for owed in owed {
                    self.take_group(Version(0), &owed.payload);
                }
            }
            Err(error) => self.found.damages.push(Damage {
                file: tail::FILE_NAME.into(),
                offset: 0,
                detail: format!("it cannot be read: {error}"),
                keys: KeysAtRisk::Any,
            }),
        }
    }

    fn report_gap(&mut self, first: u64, last: u64) {
        self.found.damages.push(Damage {
            file: "the log".into(),
            offset: 0,
            detail: format!("frames {first} to {last}, which were durable, are not there"),
            keys: KeysAtRisk::Any,
        });
    }

    fn take_group(&mut self, mut version: Version, payload: &[u8]) {
        let mut rest = payload;
        while !rest.is_empty() {
            match take_record(&mut rest) {
                // The rest of a group whose beginning is gone.
                None => return,
                Some(Read::Change(change)) => self.change(change, version),
                Some(Read::Range(span)) => self.ranges.push(span.at(version)),
                Some(Read::Decide {
                    transaction,
                    changes,
                    ..
                }) => {
                    self.decisions.insert(transaction, version);
                    self.take_ops(changes.ops(), version);
                }
                Some(Read::Prepare {
                    transaction,
                    coordinator,
                    changes,
                }) => {
                    let ops = changes.ops();
                    self.prepared.push((transaction, coordinator, ops));
                }
                Some(Read::Group { version: next, .. }) => version = next,
                Some(Read::Outcome {
                    transaction,
                    version,
                }) => {
                    if let Some(version) = version {
                        self.decisions.insert(transaction, version);
                    }
                }
            }
        }
    }

    fn change(&mut self, change: Change<'_>, version: Version) {
        let key = (change.key.into(), Reverse(version));
        self.changes.insert(key, change.into());
    }
}

/// Without a manifest, every epoch that left frames.
fn epochs(frames: &Frames) -> Vec<LogPiece> {
    let mut epochs: Vec<u64> = frames.keys().map(|(epoch, _)| *epoch).collect();
    epochs.dedup();
    let piece = |epoch| LogPiece {
        epoch,
        first_segment: 0,
        first_sequence: 0,
        end: None,
    };
    epochs.into_iter().map(piece).collect()
}

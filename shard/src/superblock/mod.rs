//! The root pointer of a shard: four copies, written in two halves with the device's flush between.
//!
//! Whatever instant the power goes, one half is whole: the old one until the first half is durable,
//! the new one from then on. Nothing that the previous superblock refers to is reused before all
//! four new copies are durable.

mod format;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, Directory, File, Io, OpenMode, PAGE, WriteDurability};

use crate::error::{Error, Result};
use crate::shard::Identity;
use crate::token::Token;
use crate::verify::{Inspection, KeysAtRisk};

pub(crate) use format::Superblock;
use format::{COPIES, COPY_STRIDE, FILE_BYTES, FORMAT_VERSION, Invalid};

pub(crate) const FILE_NAME: &str = "superblock";

/// Makes the file. Its first content is written by `write`.
pub(crate) fn create(directory: &Directory) -> Result<File> {
    let file = directory
        .open(FILE_NAME, OpenMode::CreateNew)
        .map_err(|e| Error::io(e, FILE_NAME))?;
    file.allocate(FILE_BYTES)
        .map_err(|e| Error::io(e, FILE_NAME))?;
    Ok(file)
}

/// Opens the one that there is.
pub(crate) fn open(directory: &Directory) -> Result<File> {
    let file = directory.open(FILE_NAME, OpenMode::ReadWrite);
    file.map_err(|e| missing_or(e, FILE_NAME))
}

/// Replaces all four copies.
pub(crate) async fn write(io: &Io, file: &File, superblock: &Superblock) -> Result<()> {
    if planted(Defect::SuperblockOneCopy) {
        let mut page = Buffer::zeroed(PAGE);
        superblock.encode(0, &mut page);
        let written = io
            .write(file, 0, page, PAGE, WriteDurability::Durable)
            .await;
        return written
            .result
            .map(drop)
            .map_err(|e| Error::io(e, FILE_NAME));
    }
    for half in 0..2 {
        let tickets = [half * 2, half * 2 + 1].map(|copy| {
            let mut page = Buffer::zeroed(PAGE);
            superblock.encode(copy, &mut page);
            let offset = copy as u64 * COPY_STRIDE;
            io.write(file, offset, page, PAGE, WriteDurability::Durable)
        });
        for ticket in tickets {
            ticket.await.result.map_err(|e| Error::io(e, FILE_NAME))?;
        }
    }
    Ok(())
}

/// Compares all four copies with what they should say. A damaged one is written anew by the next edit of the
/// manifest.
pub(crate) async fn verify<T: Token>(
    io: &Io,
    file: &File,
    expected: &Superblock,
    inspection: &mut Inspection<'_, T>,
) {
    for copy in 0..COPIES {
        let offset = copy as u64 * COPY_STRIDE;
        let done = io.read(file, offset, Buffer::zeroed(PAGE)).await;
        let whole =
            done.result.is_ok() && Superblock::decode(copy, &done.buffer).as_ref() == Ok(expected);
        if !whole {
            let error = Error::Corrupt {
                file: FILE_NAME.into(),
                offset,
                detail: format!("copy {copy} of {COPIES} is damaged; the others stand in for it"),
            };
            inspection.damage(error, KeysAtRisk::None);
        }
    }
}

/// The superblock that counts, and whether all copies are it. Chosen once for an opening: by the next time a copy may not be
/// readable, or be again, and another one may count.
#[derive(Clone)]
pub(crate) struct Chosen {
    pub superblock: Superblock,
    pub everywhere: bool,
}

/// Reads the newest superblock that a quorum of copies agrees on.
pub(crate) async fn read(io: &Io, directory: &Directory, identity: &Identity) -> Result<Chosen> {
    let file = open(directory)?;
    let mut copies = Vec::new();
    let (mut other_format, mut unread) = (None, None);
    for copy in 0..COPIES {
        let ticket = io.read(&file, copy as u64 * COPY_STRIDE, Buffer::zeroed(PAGE));
        let done = ticket.await;
        // A copy that cannot be read is a damaged copy, as long as there are others.
        if let Err(error) = done.result {
            unread = Some(error);
            continue;
        }
        match Superblock::decode(copy, &done.buffer) {
            Ok(superblock) => copies.push(superblock),
            Err(Invalid::Format(found)) => other_format = Some(found),
            Err(Invalid::Damaged) => {}
        }
    }
    let Some(superblock) = choose(&copies) else {
        return Err(match (other_format, unread) {
            (Some(found), _) => Error::Version {
                file: FILE_NAME.into(),
                found,
                supported: FORMAT_VERSION,
            },
            // What could not be read may be whole: nobody shall restore a backup over it.
            (None, Some(error)) => Error::io(error, FILE_NAME),
            (None, None) => Error::Corrupt {
                file: FILE_NAME.into(),
                offset: 0,
                detail: "none of the four copies is whole".into(),
            },
        });
    };
    if superblock.identity != *identity {
        let found = &superblock.identity;
        return Err(Error::Foreign {
            file: FILE_NAME.into(),
            detail: format!(
                "it is shard {} of {} of store {}",
                found.shard,
                found.shards,
                hex(&found.store)
            ),
        });
    }
    let everywhere = copies.len() == COPIES && copies.iter().all(|copy| *copy == superblock);
    Ok(Chosen {
        superblock,
        everywhere,
    })
}

/// Whose shard a superblock is, as its first whole copy says.
pub(crate) async fn any_identity(io: &Io, directory: &Directory) -> Option<Identity> {
    let file = directory.open(FILE_NAME, OpenMode::Read).ok()?;
    for copy in 0..COPIES {
        let ticket = io.read(&file, copy as u64 * COPY_STRIDE, Buffer::zeroed(PAGE));
        if let Ok(superblock) = Superblock::decode(copy, &ticket.await.buffer) {
            return Some(superblock.identity);
        }
    }
    None
}

/// The newest that two copies hold; a lone newest one lost the race against the power cut, unless it
/// is all that is left.
fn choose(copies: &[Superblock]) -> Option<Superblock> {
    let agreed = |candidate: &&Superblock| {
        let twins = copies.iter().filter(|other| other == candidate).count();
        twins >= 2
    };
    let newest = |a: &&Superblock, b: &&Superblock| a.sequence.cmp(&b.sequence);
    copies
        .iter()
        .filter(agreed)
        .max_by(newest)
        .or_else(|| copies.iter().max_by(newest))
        .cloned()
}

pub(crate) fn missing_or(error: ringkeep_io::IoError, file: &str) -> Error {
    if error.is_missing() {
        Error::Missing { file: file.into() }
    } else {
        Error::io(error, file)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringkeep_io::{SimulatedDisk, SimulatedOptions};

    use super::*;
    use crate::open::block_on;
    use crate::version::ShardId;

    fn copy(sequence: u64) -> Superblock {
        Superblock {
            identity: Identity {
                store: [7; 16],
                shard: ShardId(0),
                shards: 1,
            },
            sequence,
            manifest_bytes: 4096,
            manifest_crc: 1,
            parent_crc: 0,
        }
    }

    #[test]
    fn the_newest_pair_wins() {
        let sequence = |found: &[u64]| {
            let copies: Vec<_> = found.iter().map(|s| copy(*s)).collect();
            choose(&copies).map(|s| s.sequence)
        };
        assert_eq!(sequence(&[5, 5, 5, 5]), Some(5));
        assert_eq!(sequence(&[6, 6, 5, 5]), Some(6), "first half was durable");
        assert_eq!(sequence(&[6, 5, 5]), Some(5), "first half tore");
        assert_eq!(sequence(&[6, 6, 6, 5]), Some(6));
        assert_eq!(sequence(&[6, 6]), Some(6));
        assert_eq!(sequence(&[6]), Some(6));
        assert_eq!(sequence(&[]), None);
    }

    /// A folder with a superblock whose copies have these sequences; those without one are not whole.
    fn folder(sequences: [Option<u64>; COPIES]) -> (Io, Directory) {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        let file = create(&directory).expect("room");
        assert_eq!(file.size(), Ok(3 * 65_536 + 4096));
        block_on(&io, write(&io, &file, &copy(1))).expect("no fault");
        for (number, sequence) in sequences.into_iter().enumerate() {
            let mut page = vec![0; PAGE];
            if let Some(sequence) = sequence {
                copy(sequence).encode(number, &mut page);
            }
            let offset = number as u64 * COPY_STRIDE;
            disk.overwrite("/shard/superblock", offset, &page);
        }
        (io, directory)
    }

    #[test]
    fn it_is_everywhere_when_all_copies_are_the_one_that_counts() {
        for (sequences, everywhere) in [
            ([Some(5); COPIES], true),
            ([Some(5), Some(5), Some(5), None], false),
            ([Some(6), Some(6), Some(5), Some(5)], false),
            ([Some(6), Some(5), Some(5), Some(5)], false),
        ] {
            let (io, directory) = folder(sequences);
            let chosen = block_on(&io, read(&io, &directory, &copy(0).identity));
            let chosen = chosen.expect("two copies agree");
            assert_eq!(chosen.everywhere, everywhere, "{sequences:?}");
        }
    }

    #[test]
    fn another_shards_superblock_is_refused_and_says_whose_it_is() {
        let (io, directory) = folder([Some(5); COPIES]);
        let other = Identity {
            shard: ShardId(1),
            shards: 2,
            ..copy(0).identity
        };
        match block_on(&io, read(&io, &directory, &other)).err() {
            Some(Error::Foreign { file, detail }) => {
                assert_eq!(file, FILE_NAME);
                assert!(detail.contains("shard 0000 of 1"), "{detail}");
                assert!(detail.ends_with(&"07".repeat(16)), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn any_whole_copy_tells_whose_it_is() {
        for whole in 0..COPIES {
            let mut sequences = [None; COPIES];
            sequences[whole] = Some(5);
            let (io, directory) = folder(sequences);
            let found = block_on(&io, any_identity(&io, &directory));
            assert_eq!(found, Some(copy(0).identity), "copy {whole}");
        }
        let (io, directory) = folder([None; COPIES]);
        assert_eq!(block_on(&io, any_identity(&io, &directory)), None);
    }
}

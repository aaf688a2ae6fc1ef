//! What a manifest that could not be written leaves behind.

use std::path::Path;

use ringkeep_io::{Doing, SimulatedDisk, SimulatedOptions, Times};

use super::*;
use crate::open::block_on;
use crate::version::ShardId;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const IDENTITY: Identity = Identity {
    store: [5; 16],
    shard: ShardId(0),
    shards: 1,
};

struct Folder {
    disk: SimulatedDisk,
    io: Io,
    directory: Directory,
    store: ManifestStore,
}

impl Folder {
    fn new() -> Folder {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/shard")).expect("a folder");
        let made = ManifestStore::create(&io, &directory, &IDENTITY, Manifest::default());
        block_on(&io, made).expect("room");
        let store = block_on(&io, ManifestStore::open(&io, &directory, &IDENTITY));
        Folder {
            disk,
            io,
            directory,
            store: store.expect("it opens"),
        }
    }

    fn raise(&self, next_table: u64) -> Result<()> {
        let edit = |manifest: &mut Manifest| manifest.next_table = next_table;
        block_on(&self.io, self.store.commit(edit))
    }

    /// What the next opening would find.
    fn found(&self) -> u64 {
        let opened = ManifestStore::open(&self.io, &self.directory, &IDENTITY);
        let store = block_on(&self.io, opened).expect("it opens");
        store.with(|manifest| manifest.next_table)
    }
}

#[test]
fn what_a_full_disk_did_not_take_is_written_by_the_next_commit_or_when_asked() {
    for again in [true, false] {
        let folder = Folder::new();
        folder.raise(1).expect("room");
        folder.disk.fail_next(Doing::Write, ENOSPC, Times::Once);
        let full = folder.raise(2);
        assert!(matches!(full, Err(Error::Io { error, .. }) if error.is_full()));
        assert_eq!(folder.found(), 1, "the files are as they were");
        assert_eq!(folder.store.with(|manifest| manifest.next_table), 2);
        let done = match again {
            true => block_on(&folder.io, folder.store.commit_again()),
            false => block_on(&folder.io, folder.store.commit(|_| ())),
        };
        assert_eq!((done, folder.found()), (Ok(()), 2));
    }
}

#[test]
fn after_any_other_failure_nothing_is_written_any_more() {
    for (file, errno) in [
        ("manifest-a", EIO),
        ("superblock", EIO),
        ("superblock", ENOSPC),
    ] {
        let folder = Folder::new();
        let path = format!("/shard/{file}");
        folder
            .disk
            .fail_file_at(&path, Doing::Write, 0, errno, Times::Once);
        let failed = folder.raise(1).expect_err("a failed write");
        let writes = folder.disk.counters().writes;
        assert_eq!(folder.raise(2), Err(failed.clone()));
        let again = block_on(&folder.io, folder.store.commit_again());
        assert_eq!(again, Err(failed));
        assert_eq!(folder.disk.counters().writes, writes, "{file}, {errno}");
    }
}

#[test]
fn commits_take_turns_between_the_two_files() {
    let folder = Folder::new();
    let path = |turn: usize| format!("/shard/{}", FILE_NAMES[turn]);
    let mut before = [0, 1].map(|turn| folder.disk.read_raw(&path(turn)));
    for number in 1..6u64 {
        folder.raise(number).expect("room");
        let after = [0, 1].map(|turn| folder.disk.read_raw(&path(turn)));
        let changed = [0, 1].map(|turn| before[turn] != after[turn]);
        // The first one was written when the shard was made.
        let expected = [number % 2 == 1, number % 2 == 0];
        assert_eq!(changed, expected, "commit {number}");
        before = after;
        assert_eq!(folder.found(), number);
    }
}

#[test]
fn a_length_that_no_manifest_has_is_damage() {
    for (bytes, says) in [(BYTES_MAX + 1, "impossible"), (BYTES_MAX, "")] {
        let folder = Folder::new();
        let mut superblock = folder.store.state.borrow().superblock.clone();
        superblock.manifest_bytes = bytes;
        let file = &folder.store.superblock_file;
        block_on(&folder.io, superblock::write(&folder.io, file, &superblock)).expect("room");
        let opened = ManifestStore::open(&folder.io, &folder.directory, &IDENTITY);
        match block_on(&folder.io, opened).err() {
            Some(Error::Corrupt { detail, .. }) if bytes > BYTES_MAX => {
                assert!(detail.contains(says), "{detail}");
            }
            Some(Error::Missing { file }) if bytes == BYTES_MAX => {
                assert_eq!(file, FILE_NAMES[1]);
            }
            other => panic!("{bytes}: {other:?}"),
        }
    }
}

/// The power went between the halves of a superblock. Torn while the next one is written, the two old copies would
/// be the quorum, for a manifest that the next one takes the place of.
#[test]
fn a_superblock_that_is_not_everywhere_is_made_whole_before_a_manifest_is_written() {
    const SUPERBLOCK: &str = "/shard/superblock";
    let mut folder = Folder::new();
    folder.raise(1).expect("room");
    let before = folder.disk.read_raw(SUPERBLOCK).expect("a superblock");
    folder.raise(2).expect("room");
    let half = before.len() / 2;
    folder
        .disk
        .overwrite(SUPERBLOCK, half as u64, &before[half..]);
    let opened = ManifestStore::open(&folder.io, &folder.directory, &IDENTITY);
    folder.store = block_on(&folder.io, opened).expect("the newer half counts");
    assert!(!folder.store.state.borrow().everywhere);
    for name in FILE_NAMES {
        let path = format!("/shard/{name}");
        folder
            .disk
            .fail_file_at(&path, Doing::Write, 0, EIO, Times::Once);
    }
    folder.raise(3).expect_err("the manifest is not written");
    let read = superblock::read(&folder.io, &folder.directory, &IDENTITY);
    let chosen = block_on(&folder.io, read).expect("it is whole");
    assert!(chosen.everywhere);
    assert_eq!(folder.found(), 2);
}

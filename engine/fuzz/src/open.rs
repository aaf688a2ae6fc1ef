//! A whole database whose files were changed: opened, read, merged.
//!
//! ```text
//! byte 0    flags: 1 checksums are made to match, 2 the database was not closed, 4 merge what is there
//! then      edits of 8 bytes: file u8, how u8, where u32, value u8, length u8
//! ```

use std::collections::BTreeMap;

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Codec, Database, Error, Options, ShardError, ShardOptions};
use ringkeep_io::{Crash, SimulatedDisk, SimulatedOptions};

const PATH: &str = "/db";
const STORE: [u8; 16] = *b"a store to fuzz.";
const KEYS: u32 = 60;
const GENERATIONS: u8 = 3;
const SECTOR: usize = 512;

const MENDED: u8 = 1;
const UNCLOSED: u8 = 2;
const MERGED: u8 = 4;

thread_local! {
    static CLOSED: SimulatedDisk = made(true);
    static CUT: SimulatedDisk = made(false);
}

/// Any list of edits.
pub fn open(input: &[u8]) {
    let Some((flags, edits)) = input.split_first() else {
        return;
    };
    let base = match flags & UNCLOSED != 0 {
        true => &CUT,
        false => &CLOSED,
    };
    let disk = base.with(|disk| disk.crashed_copy(0, Crash::KeepAll));
    let (edits, _) = edits.as_chunks();
    change(&disk, edits, flags & MENDED != 0);
    let Some((db, hosts)) = opened(&disk, *flags) else {
        return;
    };
    look(&db, &hosts, *flags);
    if flags & MERGED != 0 {
        let merged = hosts.run(db.compact_async());
        merged.unwrap_or_else(|error| refused(&error, *flags));
        look(&db, &hosts, *flags);
    }
}

/// What came of flipping bytes of a closed database one at a time.
#[derive(Clone, Copy, Default, Debug)]
pub struct Flips {
    /// Flipped.
    pub bytes: u64,
    /// Of these, in how many something was refused by name; in the others every answer was right.
    pub refused: u64,
}

/// Flips one bit of every `step`th byte of every file, opens, and reads everything: what is not refused must be
/// right.
pub fn flip_every(step: usize) -> Flips {
    let mut flips = Flips::default();
    let files = CLOSED.with(SimulatedDisk::files);
    for (path, length) in files {
        for at in (0..length).step_by(step) {
            let disk = CLOSED.with(|disk| disk.crashed_copy(0, Crash::KeepAll));
            disk.flip_bit(&path, at, (at % 8) as u8);
            flips.bytes += 1;
            let refused = match opened(&disk, 0) {
                Some((db, hosts)) => look(&db, &hosts, 0),
                None => true,
            };
            flips.refused += u64::from(refused);
        }
    }
    flips
}

/// Untouched ones, and one small change in each of many places.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..8).map(|flags| vec![flags]).collect();
    for file in 0..16 {
        for (flags, how) in [(1, 0), (2, 1), (4, 2), (5, 0)] {
            seeds.push(vec![flags, file, how, file.wrapping_mul(40), 0, 0, 0, 7, 3]);
        }
    }
    seeds
}

fn options() -> Options {
    Options {
        shards: Some(2),
        threads: Some(1),
        shard: Some(ShardOptions {
            memtable_bytes: 8 << 10,
            caches_bytes: (16 << 10) + (4 << 10),
            cache_bytes: 16 << 10,
            rows_bytes: 4 << 10,
            warm: false,
            segment_bytes: 32 << 10,
            group_bytes: 8 << 10,
            table_bytes: 8 << 10,
            runs_max: 3,
            codec: Codec::Lz4,
            last_level_codec: Codec::Zstd,
            blob_bytes: Some(200),
            ..ShardOptions::for_budget(1 << 20)
        }),
        ..Options::default()
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("key-{number:04}").into_bytes()
}

/// None for those that were removed last.
fn value(number: u32, generation: u8) -> Option<Vec<u8>> {
    let removed = generation + 1 == GENERATIONS && number.is_multiple_of(7);
    let length = 8 + (number as usize * 13) % 200;
    (!removed).then(|| [&number.to_be_bytes()[..], &vec![generation; length]].concat())
}

/// Two shards with tables, batches over both of them, and a log.
fn made(closed: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    let (db, hosts) = simulation::open(&disk, PATH, &options(), STORE).expect("a new database");
    for generation in 0..GENERATIONS {
        for number in 0..KEYS {
            let mut batch = Batch::new();
            match value(number, generation) {
                Some(value) => batch.put(key(number), value),
                None => batch.delete(key(number)),
            };
            if number.is_multiple_of(5) {
                batch.put(key(number + KEYS), [generation; 4]);
            }
            hosts.run(db.write_async(batch)).expect("room");
        }
        if generation == 0 {
            hosts.run(db.flush_async()).expect("room");
        }
    }
    if closed {
        hosts.run(db.close_async()).expect("room");
        drop(hosts);
        return disk;
    }
    let cut = disk.crashed_copy(1, Crash::KeepAll);
    drop((db, hosts));
    cut
}

fn change(disk: &SimulatedDisk, edits: &[[u8; 8]], mended: bool) {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (path, _) in disk.files() {
        let bytes = disk.read_raw(&path).unwrap_or_default();
        files.push((path, bytes));
    }
    for &[file, how, a, b, c, d, value, length] in edits.iter().take(32) {
        let file = usize::from(file) % files.len();
        let bytes = &mut files[file].1;
        let at = u32::from_le_bytes([a, b, c, d]) as usize % bytes.len().max(1);
        let length = usize::from(length).min(bytes.len() - at);
        match how % 6 {
            0 if at < bytes.len() => bytes[at] ^= value.max(1),
            1 => bytes[at..at + length].fill(value),
            2 => {
                // A sector of the file lands elsewhere in it.
                let (from, to) = (usize::from(value) * SECTOR, at / SECTOR * SECTOR);
                if from + SECTOR <= bytes.len() && to + SECTOR <= bytes.len() {
                    bytes.copy_within(from..from + SECTOR, to);
                }
            }
            3 => bytes.truncate(at),
            4 => {
                let sector = at / SECTOR * SECTOR;
                let end = (sector + SECTOR * (1 + length)).min(bytes.len());
                bytes[sector..end].fill(0);
            }
            _ => {
                let word = [0, 1, 0xff, 0x7f, 0x80][usize::from(value) % 5];
                let end = (at + [1, 2, 4, 8][length % 4]).min(bytes.len());
                bytes[at..end].fill(word);
            }
        }
    }
    if mended {
        mend(&mut files);
    }
    for (path, bytes) in files {
        if disk.read_raw(&path).is_some_and(|was| was != bytes) {
            disk.truncate(&path, bytes.len() as u64);
            disk.overwrite(&path, 0, &bytes);
        }
    }
}

fn mend(files: &mut [(String, Vec<u8>)]) {
    let mut folders: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in files.iter() {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let folder = folders.entry(folder.to_owned()).or_default();
        folder.insert(name.to_owned(), bytes.clone());
    }
    for files in folders.values_mut() {
        ringkeep_shard::fuzz::mend(files);
        if let Some(file) = files.get_mut("database") {
            ringkeep::fuzz::mend_database_file(file);
        }
    }
    for (path, bytes) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        *bytes = folders[folder][name].clone();
    }
}

fn opened(disk: &SimulatedDisk, flags: u8) -> Option<(Database, ByHand)> {
    simulation::open(disk, PATH, &options(), STORE)
        .map_err(|error| refused(&error, flags))
        .ok()
}

/// Every key by itself, then all of them in order. Whether something was refused.
fn look(db: &Database, hosts: &ByHand, flags: u8) -> bool {
    let mut any = false;
    for number in 0..KEYS {
        match hosts.run(db.get_async(key(number))) {
            Ok(found) => right(number, found.as_deref(), flags),
            Err(error) => {
                refused(&error, flags);
                any = true;
            }
        }
    }
    let mut scan = db.scan(..);
    let mut last = Vec::new();
    while let Some(entry) = hosts.run(scan.next_async()) {
        let (found, value) = match entry {
            Ok(entry) => entry,
            Err(error) => {
                refused(&error, flags);
                return true;
            }
        };
        if flags & MENDED == 0 {
            assert!(last < found, "a scan goes forward");
            if let Some(number) = (0..KEYS).find(|number| key(*number) == found) {
                right(number, Some(&value), flags);
            }
        }
        last = found;
    }
    any
}

/// Behind true checksums what is found was written; and after a close it is the newest.
fn right(number: u32, found: Option<&[u8]>, flags: u8) {
    if flags & MENDED != 0 {
        return;
    }
    let newest = value(number, GENERATIONS - 1);
    let was_written = || {
        let mut written = (0..GENERATIONS).map(|generation| value(number, generation));
        found.is_none() || written.any(|value| value.as_deref() == found)
    };
    let right = match flags & UNCLOSED != 0 {
        // What was zeroed from some frame on is a torn tail like any other.
        true => was_written(),
        false => newest.as_deref() == found,
    };
    assert!(right, "key {number} has {found:?}");
}

/// Of what is behind true checksums, damage is the one thing to be said. Whoever forges a file may hear anything
/// but a panic.
fn refused(error: &Error, flags: u8) {
    let version = matches!(
        error,
        Error::Version { .. }
            | Error::ForeignDirectory { .. }
            | Error::Shard {
                error: ShardError::Version { .. } | ShardError::Failed { .. },
                ..
            }
    );
    assert!(
        flags & MENDED != 0 || error.is_corruption() || version,
        "{error}"
    );
}

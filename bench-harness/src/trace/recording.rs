//! Writing a trace while a store is in use.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::format::{BlockBuilder, Head, Key, Keys, Record, encode_head};
use crate::workload::OpKind;

/// A trace in the making, shared by all threads of a process.
#[derive(Debug)]
pub struct Recording {
    file: Mutex<File>,
    keys: Keys,
    one_in: u32,
    secret: u64,
    began: Instant,
    on: AtomicBool,
    bytes_left: AtomicU64,
    records: AtomicU64,
    /// The first write that failed; recording has stopped since.
    failure: Mutex<Option<String>>,
}

impl Recording {
    /// A new file, which grows to `bytes_max` and no further. One in `one_in` keys is kept, chosen by its hash, so
    /// that what happened to a key is there as a whole or not at all.
    pub fn create(
        path: &Path,
        keys: Keys,
        one_in: u32,
        bytes_max: u64,
    ) -> Result<Arc<Recording>, String> {
        let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        let mut file = File::create_new(path).map_err(cannot)?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let head = encode_head(&Head {
            keys,
            one_in: one_in.max(1),
            started_unix_ns: now.as_nanos() as u64,
        });
        file.write_all(&head).map_err(cannot)?;
        Ok(Arc::new(Recording {
            file: Mutex::new(file),
            keys,
            one_in: one_in.max(1),
            // Random for each process and never written down.
            secret: RandomState::new().hash_one(now.as_nanos()),
            began: Instant::now(),
            on: AtomicBool::new(false),
            bytes_left: AtomicU64::new(bytes_max.saturating_sub(head.len() as u64)),
            records: AtomicU64::new(0),
            failure: Mutex::new(None),
        }))
    }

    /// Records from now on.
    pub fn start(&self) {
        self.on.store(true, Ordering::Relaxed);
    }

    /// Records no more until `start`.
    pub fn pause(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// A thread's way to record.
    pub fn tap(self: &Arc<Recording>) -> Tap {
        Tap {
            block: BlockBuilder::new(self.keys),
            pending: 0,
            recording: self.clone(),
        }
    }

    /// Operations in the file.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Why recording ended before it was told to.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok()?.clone()
    }

    fn append(&self, bytes: &[u8], records: u64) {
        if bytes.is_empty() {
            return;
        }
        let taken = self
            .bytes_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes.len() as u64)
            });
        if taken.is_err() {
            return self.fail("the trace has reached its largest size".to_string());
        }
        let Ok(mut file) = self.file.lock() else {
            return;
        };
        match file.write_all(bytes) {
            Ok(()) => {
                self.records.fetch_add(records, Ordering::Relaxed);
            }
            Err(error) => self.fail(format!("the trace could not be written: {error}")),
        }
    }

    /// What is recorded must never be worth failing what is recorded.
    fn fail(&self, why: String) {
        self.pause();
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(why);
        }
    }
}

/// One thread's part of a recording: a block that is handed over when it is full or the tap goes away.
#[derive(Debug)]
pub struct Tap {
    recording: Arc<Recording>,
    block: BlockBuilder,
    pending: u64,
}

impl Tap {
    /// Is anything recorded at all? Cheap enough to ask for each operation.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.recording.on.load(Ordering::Relaxed)
    }

    /// Notes one operation, if its first key is among those kept.
    pub fn note<'k>(
        &mut self,
        op: OpKind,
        keys: impl Iterator<Item = &'k [u8]>,
        value_size: u32,
        entries: u32,
        absent: bool,
    ) {
        if !self.is_on() {
            return;
        }
        let recording = &self.recording;
        let mut kept = Vec::new();
        let mut key_size = 0;
        for key in keys {
            let hash = xxh3_64_with_seed(key, recording.secret);
            if kept.is_empty() {
                key_size = key.len() as u32;
                if !hash.is_multiple_of(u64::from(recording.one_in)) {
                    return;
                }
            }
            kept.push(match recording.keys {
                Keys::Anonymous => Key::Hash(hash),
                Keys::Raw => Key::Raw(key.to_vec()),
            });
        }
        self.block.push(&Record {
            at_ns: recording.began.elapsed().as_nanos() as u64,
            op,
            keys: kept,
            key_size,
            value_size,
            entries,
            absent,
        });
        self.pending += 1;
        if self.block.is_full() {
            self.flush();
        }
    }

    /// Hands over what has been noted.
    pub fn flush(&mut self) {
        let bytes = self.block.take();
        self.recording.append(&bytes, self.pending);
        self.pending = 0;
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;

    fn note(tap: &mut Tap, key: u64) {
        let key = key.to_be_bytes();
        tap.note(OpKind::Get, [&key[..]].into_iter(), 0, 0, false);
    }

    #[test]
    fn a_sample_keeps_keys_whole_and_says_nothing_about_them() {
        let dir = DataDir::temporary().unwrap();
        let path = dir.path().join("trace");
        let recording = Recording::create(&path, Keys::Anonymous, 10, 1 << 30).unwrap();
        let mut tap = recording.tap();
        note(&mut tap, 1);
        recording.start();
        for _ in 0..3 {
            (0..10_000).for_each(|key| note(&mut tap, key));
        }
        drop(tap);
        let trace = super::super::read(&path).unwrap();
        assert_eq!(trace.records.len() as u64, recording.records());
        let mut counts = std::collections::HashMap::new();
        for record in &trace.records {
            *counts.entry(record.keys[0].clone()).or_insert(0) += 1;
        }
        assert!((900..1100).contains(&counts.len()), "{}", counts.len());
        assert!(counts.values().all(|&count| count == 3));
        assert!(Recording::create(&path, Keys::Raw, 1, 1).is_err());
    }

    #[test]
    fn a_full_trace_stops_and_stays_readable() {
        let dir = DataDir::temporary().unwrap();
        let path = dir.path().join("trace");
        let recording = Recording::create(&path, Keys::Raw, 1, 200_000).unwrap();
        recording.start();
        let mut tap = recording.tap();
        (0..100_000).for_each(|key| note(&mut tap, key));
        drop(tap);
        assert!(recording.failure().unwrap().contains("largest size"));
        assert!(std::fs::metadata(&path).unwrap().len() <= 200_000);
        assert!(super::super::read(&path).unwrap().records.len() > 5_000);
    }
}

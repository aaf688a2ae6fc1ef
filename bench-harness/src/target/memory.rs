//! Ordered maps in memory behind locks: no file, no speed, right answers.
//!
//! Keys are spread over shards by their first bytes' hash; a scan merges the shards it needs by reading all of
//! them, which is slow and obviously correct.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Answer, Caller, Counters, Failure, OpenOptions, Pipeline, Reply, Target, counter};
use crate::random::mix;
use crate::workload::{Op, OpKind};

type Shard = RwLock<BTreeMap<Vec<u8>, Vec<u8>>>;

/// A sharded ordered map.
#[derive(Debug)]
pub struct MemoryTarget {
    shards: Vec<Shard>,
    written: AtomicU64,
}

impl MemoryTarget {
    /// An empty map.
    pub fn new(options: &OpenOptions) -> MemoryTarget {
        let shards = options.shards.unwrap_or(16).max(1);
        MemoryTarget {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            written: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &[u8]) -> &Shard {
        let hash = key.chunks(8).fold(0, |hash, part| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            mix(hash ^ u64::from_le_bytes(word))
        });
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.shard(key)
            .read()
            .expect("no caller panics")
            .get(key)
            .cloned()
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        let bytes = (key.len() + value.len()) as u64;
        self.written.fetch_add(bytes, Ordering::Relaxed);
        let mut shard = self.shard(key).write().expect("no caller panics");
        match shard.get_mut(key) {
            Some(old) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => {
                shard.insert(key.to_vec(), value.to_vec());
            }
        }
    }

    fn scan(&self, from: &[u8], entries: usize, reverse: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().expect("no caller panics");
            let copy = |(k, v): (&Vec<u8>, &Vec<u8>)| (k.clone(), v.clone());
            if reverse {
                let range = (Bound::Unbounded, Bound::Included(from));
                found.extend(shard.range::<[u8], _>(range).rev().take(entries).map(copy));
            } else {
                let range = (Bound::Included(from), Bound::Unbounded);
                found.extend(shard.range::<[u8], _>(range).take(entries).map(copy));
            }
        }
        found.sort_unstable();
        if reverse {
            found.reverse();
        }
        found.truncate(entries);
        found
    }

    fn carry_out(&self, op: &Op<'_>) -> Reply {
        match op.kind {
            OpKind::Get => Reply::Value(self.get(op.key())),
            OpKind::MultiGet => Reply::Values(op.each_key().map(|key| self.get(key)).collect()),
            OpKind::Put | OpKind::Insert => {
                self.put(op.key(), op.value());
                Reply::Done
            }
            OpKind::Delete => {
                self.shard(op.key())
                    .write()
                    .expect("no caller panics")
                    .remove(op.key());
                Reply::Done
            }
            OpKind::Scan => Reply::Entries(self.scan(op.key(), op.entries as usize, op.reverse)),
            OpKind::Rmw => {
                let old = self.get(op.key());
                self.put(op.key(), op.value());
                Reply::Value(old)
            }
            OpKind::Batch => {
                for (key, value) in op.each_pair() {
                    self.put(key, value);
                }
                Reply::Done
            }
        }
    }
}

impl Target for MemoryTarget {
    fn options(&self) -> Vec<(String, String)> {
        vec![
            ("shards".to_string(), self.shards.len().to_string()),
            ("durability".to_string(), "none".to_string()),
        ]
    }

    fn caller(&self) -> Result<Box<dyn Caller + '_>, Failure> {
        Ok(Box::new(MemoryCaller { target: self }))
    }

    fn pipeline<'a>(&'a self, _slots: usize, _kinds: &[OpKind]) -> Option<Box<dyn Pipeline + 'a>> {
        Some(Box::new(MemoryCaller { target: self }))
    }

    fn settle(&self) -> Result<Instant, Failure> {
        Ok(Instant::now())
    }

    fn counters(&self) -> Counters {
        let written = self.written.load(Ordering::Relaxed);
        Counters {
            totals: [(counter::USER_WRITE_BYTES.to_string(), written)].into(),
            ..Counters::default()
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

struct MemoryCaller<'a> {
    target: &'a MemoryTarget,
}

impl Caller for MemoryCaller<'_> {
    fn call(&mut self, op: &Op<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.reply(&self.target.carry_out(op));
        Ok(())
    }
}

impl Pipeline for MemoryCaller<'_> {
    fn start(&mut self, _slot: usize, op: &Op<'_>) -> Option<Result<Reply, Failure>> {
        Some(Ok(self.target.carry_out(op)))
    }

    fn reap(&mut self, _done: &mut Vec<(usize, Result<Reply, Failure>)>) {}

    fn wait(&mut self, timeout: Duration) {
        std::thread::sleep(timeout);
    }
}

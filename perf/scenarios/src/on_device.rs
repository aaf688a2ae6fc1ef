//! One shard on a real device, with nothing but the device to wait for.

use std::path::Path;
use std::sync::Arc;

use ringkeep_io::Io;
use ringkeep_shard::{
    Call, CommitClock, Durability, Identity, Op, Pins, Reply, Shard, ShardId, ShardOptions,
};

/// Enough that hardly a block is in the smallest cache when it is asked for.
const RECORDS: u64 = 100_000;
const VALUE_BYTES: usize = 600;

/// A shard with next to no cache.
pub struct OnDevice {
    io: Io,
    shard: Shard<u64>,
    next: u64,
}

impl OnDevice {
    /// In an empty folder.
    pub fn new(io: &Io, folder: &Path) -> Result<OnDevice, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
        let directory = io.directory(folder).map_err(|error| cannot(&error))?;
        let identity = Identity {
            store: *b"a store to probe",
            shard: ShardId(0),
            shards: 1,
        };
        let options = ShardOptions {
            cache_bytes: 1 << 20,
            ..ShardOptions::for_budget(64 << 20)
        };
        Shard::<u64>::create(io, &directory, &identity, &options)
            .map_err(|error| cannot(&error))?;
        let clock: Arc<CommitClock> = Arc::default();
        let pins = Pins::new(Arc::clone(&clock));
        let shard = Shard::open(io, &directory, &identity, &options, clock, pins);
        Ok(OnDevice {
            shard: shard.map_err(|error| cannot(&error))?,
            io: io.clone(),
            next: 0,
        })
    }

    /// Durable puts of 100 bytes a second, so many under way.
    pub fn durable_puts(&mut self, together: usize, seconds: f64) -> f64 {
        let call = |number| put(number, 100, Durability::Sync);
        self.rate(together, seconds, call)
    }

    /// Writes what `cold_gets` reads, and settles.
    pub fn load(&mut self) {
        let mut number = 0;
        while number < RECORDS {
            for _ in 0..100 {
                self.shard
                    .accept(0, put(number, VALUE_BYTES, Durability::Buffered));
                number += 1;
            }
            self.answer(100);
        }
        self.shard.accept(0, Call::Compact);
        self.answer(1);
    }

    /// Gets a second whose block is on the device, so many under way.
    pub fn cold_gets(&mut self, together: usize, seconds: f64) -> f64 {
        self.rate(together, seconds, |number| Call::Get {
            key: key(number.wrapping_mul(7919) % RECORDS).into(),
            at: None,
            room: Vec::new(),
        })
    }

    fn rate(&mut self, together: usize, seconds: f64, call: impl Fn(u64) -> Call) -> f64 {
        let began = self.io.now();
        let ends = began + (seconds * 1e9) as u64;
        let (mut open, mut done) = (0, 0u64);
        while self.io.now() < ends {
            while open < together {
                self.next += 1;
                self.shard.accept(0, call(self.next));
                open += 1;
            }
            let answered = self.answer(1);
            open -= answered;
            done += answered as u64;
        }
        let elapsed = self.io.now() - began;
        self.answer(open);
        done as f64 * 1e9 / elapsed as f64
    }

    /// Turns until at least so many calls are answered.
    fn answer(&mut self, least: usize) -> usize {
        let mut answered = 0;
        while answered < least {
            self.io.turn();
            let more = self.shard.turn();
            for (_, reply) in self.shard.replies() {
                assert!(!matches!(reply, Reply::Failed(_)), "{reply:?}");
                answered += 1;
            }
            if answered < least && !more {
                self.io.park(self.shard.next_deadline());
            }
        }
        answered
    }
}

fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn put(number: u64, value_bytes: usize, durability: Durability) -> Call {
    // No two alike, so that no device tells that it has the bytes already.
    let value = key(number).repeat(value_bytes.div_ceil(8));
    Call::Write {
        ops: vec![Op::Put {
            key: key(number).into(),
            value: value[..value_bytes].into(),
        }],
        durability,
    }
}

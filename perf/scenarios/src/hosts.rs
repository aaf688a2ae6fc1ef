//! A database of two shards on two hosts, all turned by one thread: the way of a call from its caller's core to its
//! shard's and back, and what shards tell each other.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Database, HostReport, KeyValue, Options};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};
use ringkeep_shard::ShardOptions;

use crate::allocation::allocated;
use crate::clocks::Clocks;
use crate::counts::{Measured, Moment};
use crate::ledger::Ledger;
use crate::measured_part;
use crate::outcome::Outcome;

pub const SHARDS: u16 = 2;
const SEED: u64 = 1;

/// A database, its disk, and what is known about the work so far.
pub struct Hosts {
    clocks: Clocks,
    disk: SimulatedDisk,
    database: Database,
    by_hand: ByHand,
    ledger: Ledger,
    measured: Option<Measured>,
    /// Times that it was asked for its counters, which takes messages too.
    asked_for_counters: u64,
}

/// One call of a service.
pub enum Ask {
    /// A durable put.
    Put(Vec<u8>, Vec<u8>),
    /// A get into the caller's memory.
    Get(Vec<u8>, Vec<u8>),
    /// Several keys at once.
    MultiGet(Vec<Vec<u8>>),
    /// Several records at once.
    Write(Vec<(Vec<u8>, Vec<u8>)>),
    /// So many records from a key on.
    Scan(Vec<u8>, usize),
    /// Everything into tables.
    Compact,
}

enum Heard {
    Written,
    Value(Option<Vec<u8>>),
    Values(Vec<Option<Vec<u8>>>),
    Entries(Vec<KeyValue>),
}

impl Hosts {
    /// An empty database.
    pub fn new(each: ShardOptions, clocks: Clocks) -> Hosts {
        let disk = SimulatedDisk::new(SEED, SimulatedOptions::default());
        let mut ledger = Ledger::default();
        ledger.asks(format!("{SHARDS} {each:?}").as_bytes());
        let options = Options {
            shards: Some(SHARDS),
            threads: Some(usize::from(SHARDS)),
            shard: Some(each),
            ..Options::default()
        };
        let opened = simulation::open(&disk, "/database", &options, *b"perf's scenarios");
        let (database, by_hand) = opened.expect("a new database");
        Hosts {
            clocks,
            disk,
            database,
            by_hand,
            ledger,
            measured: None,
            asked_for_counters: 0,
        }
    }

    /// Makes calls that do not count, one after the other.
    pub fn prepare(&mut self, asks: impl IntoIterator<Item = Ask>) {
        for ask in asks {
            self.note(&ask);
            let heard = call(&self.database, &self.by_hand, ask);
            self.hear(heard);
        }
        settle(&self.by_hand);
    }

    /// Makes calls that count, one after the other, and waits until nothing that they set off is under way.
    pub fn measure(&mut self, asks: Vec<Ask>) {
        asks.iter().for_each(|ask| self.note(ask));
        let user_bytes = asks.iter().map(user_bytes).sum();
        let mut heard = Vec::with_capacity(asks.len());
        let mut asks = asks.into_iter();
        let before = self.moment();
        let (database, by_hand) = (&self.database, &self.by_hand);
        let began = self.clocks.read();
        measured_part(&mut || {
            heard.extend(asks.by_ref().map(|ask| call(database, by_hand, ask)));
            settle(by_hand);
        });
        let ended = self.clocks.read();
        // What the question for counters itself takes must not count.
        let (disk, allocated) = (self.disk.counters(), allocated());
        let after = Moment {
            disk,
            allocated,
            ..self.moment()
        };
        let measured = Measured::between(&before, &after, began, ended);
        self.measured = Some(measured.writing(user_bytes));
        heard.into_iter().for_each(|heard| self.hear(heard));
    }

    fn moment(&mut self) -> Moment {
        let stats = finish(&self.by_hand, self.database.stats_async()).expect("counters");
        self.asked_for_counters += 1;
        // A call and its answer are one each, and so is a letter from shard to shard.
        let of = |host: &HostReport| 2 * host.calls + host.letters;
        let all: u64 = stats.hosts.iter().map(of).sum();
        let own = 2 * u64::from(SHARDS) * self.asked_for_counters;
        Moment {
            disk: self.disk.counters(),
            allocated: allocated(),
            stats: stats.total,
            messages: Some(all - own),
        }
    }

    fn note(&mut self, ask: &Ask) {
        match ask {
            Ask::Put(key, value) => self.ledger.writes(key, value),
            Ask::Get(key, _) => self.ledger.asks(key),
            Ask::MultiGet(keys) => keys.iter().for_each(|key| self.ledger.asks(key)),
            Ask::Scan(key, entries) => {
                self.ledger.asks(key);
                self.ledger.asks(&entries.to_le_bytes());
            }
            Ask::Compact => self.ledger.asks(b"compact"),
            Ask::Write(records) => {
                for (key, value) in records {
                    self.ledger.writes(key, value);
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) {
        let mut value = |value: Option<Vec<u8>>| match value {
            Some(value) => self.ledger.answers(&value),
            None => self.ledger.answers(b"nothing"),
        };
        match heard {
            Heard::Written => self.ledger.answers(b"written"),
            Heard::Value(one) => value(one),
            Heard::Values(all) => all.into_iter().for_each(value),
            Heard::Entries(entries) => {
                for (key, value) in &entries {
                    self.ledger.answers(key);
                    self.ledger.answers(value);
                }
            }
        }
    }

    /// The end of a scenario.
    pub fn outcome(mut self, scenario: &str, ops: u64) -> Outcome {
        let space_bytes = self.moment().stats.table_bytes;
        let measured = self.measured.take();
        let measured = measured.expect("a scenario measures something");
        self.ledger.outcome(scenario, ops, measured, space_bytes)
    }
}

fn user_bytes(ask: &Ask) -> u64 {
    let bytes = |key: &Vec<u8>, value: &Vec<u8>| (key.len() + value.len()) as u64;
    match ask {
        Ask::Put(key, value) => bytes(key, value),
        Ask::Write(records) => records.iter().map(|(key, value)| bytes(key, value)).sum(),
        Ask::Get(..) | Ask::MultiGet(_) | Ask::Scan(..) | Ask::Compact => 0,
    }
}

fn call(database: &Database, by_hand: &ByHand, ask: Ask) -> Heard {
    match ask {
        Ask::Put(key, value) => {
            finish(by_hand, database.put_async(key, value)).expect("it is written");
            Heard::Written
        }
        Ask::Get(key, mut value) => {
            let found = finish(by_hand, database.get_into_async(key, &mut value));
            Heard::Value(found.expect("it is read").then_some(value))
        }
        Ask::MultiGet(keys) => {
            let values = finish(by_hand, database.multi_get_async(keys));
            Heard::Values(values.expect("they are read"))
        }
        Ask::Scan(key, entries) => {
            let mut scan = database.scan(key..);
            let mut found = Vec::with_capacity(entries);
            while found.len() < entries
                && let Some(entry) = finish(by_hand, scan.next_async())
            {
                found.push(entry.expect("it is read"));
            }
            Heard::Entries(found)
        }
        Ask::Compact => {
            finish(by_hand, database.compact_async()).expect("it is merged");
            Heard::Written
        }
        Ask::Write(records) => {
            let mut batch = Batch::new();
            for (key, value) in records {
                batch.put(key, value);
            }
            finish(by_hand, database.write_async(batch)).expect("it is written");
            Heard::Written
        }
    }
}

/// Turns the hosts until a call is answered. Time passes only while the disk works: a host whose mail came from one
/// that was turned after it has not seen it yet, and must not be parked to the end of a deadline.
fn finish<R>(by_hand: &ByHand, future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        step(by_hand);
    }
}

/// Until nothing is under way: what a call leaves behind, as the receipts of a batch, belongs to it.
fn settle(by_hand: &ByHand) {
    // Twice nothing: mail that one turn brought is taken in the next.
    while step(by_hand) || step(by_hand) {}
}

/// One turn, and the disk's next answer if that left nothing else to do. False: there was neither.
fn step(by_hand: &ByHand) -> bool {
    let more = by_hand.turn();
    let waits = by_hand.in_flight() > 0;
    if !more && waits {
        by_hand.park();
    }
    more || waits
}

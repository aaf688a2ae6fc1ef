//! Batches over several shards, with power cuts at every moment: on all of them or on none.
//!
//! Each batch writes its number under one key of each of some shards. Single writes to the same keys
//! come between. After a crash the shards must agree on every batch, and hold every acknowledged one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use ringkeep_io::{Crash, Doing, Io, SimulatedDisk, SimulatedOptions};
use ringkeep_shard::{
    Call, CommitClock, Durability, Identity, Moment, Op, Pins, Reply, ScanCall, ScanPage, Shard,
    ShardId, ShardOptions,
};

use crate::random::Random;
use crate::world::tiny_options;

const SHARDS: u16 = 3;

pub struct Database {
    pub disk: SimulatedDisk,
    pub io: Io,
    options: ShardOptions,
    clock: Arc<CommitClock>,
    pins: Arc<Pins>,
    pub shards: Vec<Shard<u64>>,
    pub replies: BTreeMap<u64, Reply>,
    next_token: u64,
}

fn identity(shard: u16) -> Identity {
    Identity {
        store: [9; 16],
        shard: ShardId(shard),
        shards: SHARDS,
    }
}

impl Database {
    pub fn new(seed: u64, options: ShardOptions) -> Database {
        let disk = SimulatedDisk::new(seed, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::new(Arc::clone(&clock));
        let mut database = Database {
            disk,
            io,
            options,
            clock,
            pins,
            shards: Vec::new(),
            replies: BTreeMap::new(),
            next_token: 0,
        };
        for shard in 0..SHARDS {
            let directory = database
                .io
                .directory(Path::new(&folder(shard)))
                .expect("a folder");
            Shard::<u64>::create(
                &database.io,
                &directory,
                &identity(shard),
                &database.options,
            )
            .expect("a new shard");
        }
        database.open();
        database
    }

    /// As the engine does: all shards recover, then doubts are resolved, then work begins.
    fn open(&mut self) {
        self.clock = Arc::new(CommitClock::default());
        self.pins = Pins::new(Arc::clone(&self.clock));
        for shard in 0..SHARDS {
            let directory = self
                .io
                .directory(Path::new(&folder(shard)))
                .expect("the folder");
            let (clock, pins) = (Arc::clone(&self.clock), Arc::clone(&self.pins));
            let opened = Shard::open(
                &self.io,
                &directory,
                &identity(shard),
                &self.options,
                clock,
                pins,
            );
            self.shards.push(opened.expect("opens"));
        }
        for shard in 0..self.shards.len() {
            for doubt in self.shards[shard].in_doubt() {
                let coordinator = usize::from(doubt.coordinator.0);
                let decision = self.shards[coordinator].decision(doubt.transaction);
                self.shards[shard].resolve(doubt.transaction, decision);
            }
        }
    }

    pub fn lose_power(&mut self, crash: Crash) {
        self.shards.clear();
        self.replies.clear();
        self.disk.crash_with(crash);
        self.io = Io::simulated(&self.disk);
        self.open();
    }

    fn turn(&mut self, random: &mut Random) {
        self.io.turn();
        let mut more = false;
        for index in 0..self.shards.len() {
            // Shards on other threads run at their own pace.
            if random.chance(300) {
                more = true;
                continue;
            }
            more |= self.shards[index].turn();
            let letters: Vec<_> = self.shards[index].letters().collect();
            for (to, letter) in letters {
                self.shards[usize::from(to.0)].deliver(letter);
                more = true;
            }
            for (token, reply) in self.shards[index].replies() {
                self.replies.insert(token, reply);
            }
        }
        if !more {
            let deadlines = self.shards.iter().filter_map(|shard| shard.next_deadline());
            self.io.park(deadlines.min());
        }
    }

    pub fn call(&mut self, shard: u16, call: Call) -> u64 {
        self.next_token += 1;
        self.shards[usize::from(shard)].accept(self.next_token, call);
        self.next_token
    }

    fn wait(&mut self, token: u64, random: &mut Random) -> Reply {
        for _ in 0..100_000 {
            if let Some(reply) = self.replies.remove(&token) {
                return reply;
            }
            self.turn(random);
        }
        panic!("call {token} is never answered");
    }

    /// All shards at one version: key to the batch number that it holds.
    fn read_all(&mut self, random: &mut Random) -> Vec<BTreeMap<Vec<u8>, u64>> {
        let pin = self.pins.pin();
        (0..SHARDS)
            .map(|shard| {
                let token = self.call(shard, scan(pin.moment()));
                match self.wait(token, random) {
                    Reply::Page(page) => {
                        assert!(page.done);
                        let entry = |(key, value): (&[u8], &[u8])| {
                            let number = u64::from_be_bytes(value.try_into().expect("a number"));
                            (key.to_vec(), number)
                        };
                        page.iter().map(entry).collect()
                    }
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    }
}

fn folder(shard: u16) -> String {
    format!("/db/shard-{shard}")
}

fn scan(at: Moment) -> Call {
    Call::Scan(Box::new(ScanCall {
        from: Bound::Unbounded,
        to: Bound::Unbounded,
        reverse: false,
        at,
        page_bytes: 1 << 20,
        entries_max: usize::MAX,
        keys_only: false,
        room: ScanPage::default(),
    }))
}

pub fn put(key: u64, number: u64) -> Op {
    Op::Put {
        key: key.to_be_bytes().into(),
        value: number.to_be_bytes().into(),
    }
}

struct Batch {
    token: u64,
    key: u64,
    shards: Vec<u16>,
    acknowledged: bool,
}

/// Every batch has a key number of its own half of the time, so that nothing overwrites it and its
/// parts must be there on all its shards or on none; otherwise it fights for a few hot keys.
fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut database = Database::new(seed, tiny_options());
    let mut batches: Vec<Batch> = Vec::new();
    for round in 0..6 {
        let first = batches.len();
        for _ in 0..12 {
            let number = batches.len() as u64 + 1;
            let key = if random.chance(500) {
                number + 1000
            } else {
                random.below(4)
            };
            let mut shards: Vec<u16> = (0..SHARDS).filter(|_| random.chance(700)).collect();
            if shards.is_empty() {
                shards.push(0);
            }
            let coordinator = shards[random.below(shards.len() as u64) as usize];
            let parts = shards
                .iter()
                .map(|shard| (ShardId(*shard), vec![put(key, number)]))
                .collect();
            let token = database.call(coordinator, Call::Commit { parts });
            batches.push(Batch {
                token,
                key,
                shards,
                acknowledged: false,
            });
            if random.chance(400) {
                let shard = random.below(u64::from(SHARDS)) as u16;
                let ops = vec![put(2000 + random.below(4), number)];
                let durability = Durability::Buffered;
                database.call(shard, Call::Write { ops, durability });
            }
            for _ in 0..random.below(12) {
                database.turn(&mut random);
            }
            if random.chance(100) {
                let shard = random.below(u64::from(SHARDS)) as u16;
                database.call(shard, Call::Flush);
            }
            if random.chance(200) {
                check(
                    &mut database,
                    &mut random,
                    &mut batches,
                    first,
                    &format!("seed {seed}"),
                );
            }
        }
        if random.chance(300) {
            for batch in &mut batches[first..] {
                if !batch.acknowledged {
                    let reply = database.wait(batch.token, &mut random);
                    assert!(matches!(reply, Reply::Written(_)), "{reply:?}");
                    batch.acknowledged = true;
                }
            }
        }
        let story = format!("seed {seed}, round {round}");
        note_answers(&mut database, &mut batches);
        database.lose_power(Crash::Random);
        check(&mut database, &mut random, &mut batches, first, &story);
    }
}

fn note_answers(database: &mut Database, batches: &mut [Batch]) {
    for batch in batches {
        if let Some(Reply::Written(_)) = database.replies.remove(&batch.token) {
            batch.acknowledged = true;
        }
    }
}

fn check(
    database: &mut Database,
    random: &mut Random,
    batches: &mut [Batch],
    _first: usize,
    story: &str,
) {
    note_answers(database, batches);
    let acknowledged: Vec<bool> = batches.iter().map(|batch| batch.acknowledged).collect();
    let shards = database.read_all(random);
    for (index, batch) in batches.iter().enumerate() {
        let number = index as u64 + 1;
        let holds = |shard: &u16| {
            let key = batch.key.to_be_bytes().to_vec();
            shards[usize::from(*shard)].get(&key).copied()
        };
        if batch.key >= 1000 {
            let present = batch
                .shards
                .iter()
                .filter(|shard| holds(shard) == Some(number))
                .count();
            let all = batch.shards.len();
            assert!(
                present == 0 || present == all,
                "{story}: batch {number} is on {present} of {all}"
            );
            assert!(
                present == all || !acknowledged[index],
                "{story}: batch {number} is lost"
            );
        }
    }
}

#[test]
fn a_batch_is_on_all_its_shards_or_on_none() {
    let read = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match read("RINGKEEP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..read("RINGKEEP_SEEDS").unwrap_or(150),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!(
                "replay with: RINGKEEP_SEED={seed} cargo test -p ringkeep-shard --test it cross"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

/// It was looked at again and again, so that an idle database was never still while another shard was slow, nor for a second
/// after that.
#[test]
fn a_log_that_another_shard_still_needs_is_waited_for_without_a_clock() {
    let mut random = Random::new(7);
    let options = ShardOptions {
        memtable_bytes: 1 << 20,
        // Not before the other shard's log gets what it hears.
        idle_close_after: 10_000_000,
        ..tiny_options()
    };
    let mut database = Database::new(7, options);
    let slots = |database: &Database| {
        let files = database.disk.files();
        let of_first = |path: &&String| path.contains("shard-0/log-");
        files.iter().map(|(path, _)| path).filter(of_first).count()
    };
    for number in 0..300 {
        let call = Call::Write {
            ops: vec![put(number, number)],
            durability: Durability::Sync,
        };
        let token = database.call(0, call);
        database.wait(token, &mut random);
    }
    assert!(slots(&database) > 1);
    let parts = vec![(ShardId(0), vec![put(1, 1)]), (ShardId(1), vec![put(2, 2)])];
    let token = database.call(0, Call::Commit { parts });
    database.wait(token, &mut random);
    // What the other shard hears of it does not reach its log, where it goes a little later.
    database.disk.stick_next(Doing::Write);
    let later = database.io.now() + 3_000_000;
    while database.io.now() < later {
        database.turn(&mut random);
    }
    let token = database.call(0, Call::Flush);
    database.wait(token, &mut random);
    for _ in 0..1000 {
        database.turn(&mut random);
    }
    assert_eq!(database.shards[0].next_deadline(), None);
    assert!(slots(&database) > 1, "the decision is in there");
    database.disk.unstick();
    for _ in 0..1000 {
        database.turn(&mut random);
    }
    assert_eq!(slots(&database), 1);
}

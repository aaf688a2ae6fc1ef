//! The whole database from one seed: clients on three shards and two hosts, and the power goes, or the
//! process, at any operation. Each client owns its keys and writes ever larger numbers to them, a
//! single key or all of them as one batch, so that what may be found afterwards is easy to say.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Database, Durability, Options, ShardOptions};
use ringkeep_io::{Crash, SimulatedDisk, SimulatedOptions};

const CLIENTS: u32 = 6;
const KEYS: u32 = 5;
const LIVES: u32 = 6;

fn options() -> Options {
    Options {
        shards: Some(3),
        threads: Some(2),
        shard: Some(ShardOptions {
            memtable_bytes: 32 << 10,
            cache_bytes: 64 << 10,
            segment_bytes: 64 << 10,
            group_bytes: 16 << 10,
            table_bytes: 32 << 10,
            runs_max: 3,
            ..ShardOptions::for_budget(1 << 20)
        }),
        ..Options::default()
    }
}

/// What one client knows: the last number that it wrote, and what was acknowledged of it.
#[derive(Default)]
struct Client {
    number: u32,
    written: Cell<u32>,
    /// Survives the end of the process.
    acknowledged: Cell<u32>,
    /// Survives the end of power.
    durable: Cell<u32>,
}

impl Client {
    fn keys(&self) -> impl Iterator<Item = String> + use<> {
        let number = self.number;
        (0..KEYS).map(move |key| format!("client {number} key {key}"))
    }

    /// Even clients write all their keys as one batch, odd ones the same key again and again.
    async fn write(&self, db: &Database, durability: Durability) {
        loop {
            let round = self.written.get() + 1;
            self.written.set(round);
            if self.number.is_multiple_of(2) {
                let mut batch = Batch::new();
                for key in self.keys() {
                    batch.put(&key, content(&key, round));
                }
                db.write_with_async(batch, durability).await.unwrap();
            } else {
                let key = self.keys().next().unwrap();
                db.put_with_async(&key, content(&key, round), durability)
                    .await
                    .unwrap();
            }
            self.acknowledged.set(round);
            if durability == Durability::Sync {
                self.durable.set(round);
            }
            let found = self.read(db).await;
            assert_eq!(found, round, "client {} reads what it wrote", self.number);
        }
    }

    /// The number that the keys hold, which is the same for all of them.
    async fn read(&self, db: &Database) -> u32 {
        let keys: Vec<String> = self.keys().collect();
        let values = db.multi_get_async(&keys).await.unwrap();
        let mut rounds = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            let text = String::from_utf8(value.unwrap_or_default()).unwrap();
            let round = text.get(..8).map_or(0, |digits| digits.parse().unwrap());
            assert!(
                round == 0 || text == content(key, round),
                "{key} holds {text:.100}"
            );
            rounds.push(round);
        }
        let held = if self.number.is_multiple_of(2) {
            &rounds[..]
        } else {
            &rounds[..1]
        };
        assert!(
            held.iter().all(|round| *round == held[0]),
            "half a batch: {rounds:?}"
        );
        held[0]
    }

    /// After a cut: nothing that was acknowledged is missing, and nothing is there that was not written.
    async fn check(&self, db: &Database, least: u32) {
        let found = self.read(db).await;
        let possible = least..=self.written.get();
        assert!(
            possible.contains(&found),
            "client {}: {found} is not in {possible:?}",
            self.number
        );
        self.written.set(found);
        self.acknowledged.set(found);
        self.durable.set(found);
    }
}

fn content(key: &str, round: u32) -> String {
    format!("{round:08} {key} ").repeat(1 + round as usize % 40)
}

/// Lets all clients work until the power or the process is gone.
fn live(
    hosts: &ByHand,
    mut clients: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>,
    gone: impl Fn() -> bool,
) {
    let mut context = Context::from_waker(Waker::noop());
    while !gone() {
        for client in &mut clients {
            assert_eq!(
                client.as_mut().poll(&mut context),
                Poll::Pending,
                "clients never stop by themselves"
            );
        }
        if !hosts.turn() && !gone() {
            hosts.park();
        }
    }
}

/// Several lives of one database on one disk; the hash of all that happened.
fn history(seed: u64) -> u64 {
    let disk = SimulatedDisk::new(seed, SimulatedOptions::default());
    let clients: Vec<Rc<Client>> = (0..CLIENTS)
        .map(|number| {
            Rc::new(Client {
                number,
                ..Client::default()
            })
        })
        .collect();
    let mut killed = false;
    let open = |killed: bool| {
        let (db, hosts) = simulation::open(&disk, "/db", &options(), [7; 16]).unwrap();
        for client in &clients {
            let least = if killed {
                &client.acknowledged
            } else {
                &client.durable
            };
            hosts.run(client.check(&db, least.get()));
        }
        (db, hosts)
    };
    for life in 0..LIVES {
        let (db, hosts) = open(killed);
        killed = (seed + u64::from(life)).is_multiple_of(3);
        let spared = (seed * 7919 + u64::from(life) * 104_729) % 1500;
        let limit = disk.operations() + spared;
        let crashes = disk.crashes();
        if !killed {
            disk.crash_at(spared, Crash::Random);
        }
        let gone = || match killed {
            true => disk.operations() >= limit,
            false => disk.crashes() > crashes,
        };
        let tasks = clients.iter().map(|client| {
            let (client, db) = (Rc::clone(client), &db);
            // A batch over several shards is always synced; so are these in every other life.
            let durability = match (client.number + life) % 4 {
                1 => Durability::Buffered,
                3 => Durability::Periodic(1_000_000),
                _ => Durability::Sync,
            };
            Box::pin(async move { client.write(db, durability).await })
                as Pin<Box<dyn Future<Output = ()>>>
        });
        live(&hosts, tasks.collect(), gone);
        if killed {
            disk.kill();
        }
    }
    // The last life ends well.
    let (db, hosts) = open(killed);
    hosts.run(db.close_async()).unwrap();
    assert!(hosts.is_finished());
    assert!(
        clients.iter().all(|client| client.durable.get() > 0),
        "everybody got on"
    );
    disk.trace_hash()
}

#[test]
fn whatever_is_cut_nothing_acknowledged_is_lost_and_no_batch_is_halved() {
    let read = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match read("RINGKEEP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..read("RINGKEEP_SEEDS").unwrap_or(40),
    };
    for seed in seeds {
        eprintln!("seed {seed}");
        history(seed);
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

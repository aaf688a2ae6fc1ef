//! How many messages cross from core to core for a call: it and its answer are one each, and so is a letter from shard to
//! shard. Four shards on four hosts, driven by hand on a simulated disk.

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Batch, Database, HostReport, Options};
use ringkeep_io::{SimulatedDisk, SimulatedOptions};

const SHARDS: u16 = 4;
const ROUNDS: u64 = 50;

struct World {
    database: Database,
    hosts: ByHand,
}

impl World {
    fn new() -> World {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let options = Options {
            shards: Some(SHARDS),
            threads: Some(usize::from(SHARDS)),
            ..Options::default()
        };
        let opened = simulation::open(&disk, "/database", &options, [7; 16]);
        let (database, hosts) = opened.expect("a new database");
        World { database, hosts }
    }

    fn messages(&self) -> u64 {
        let stats = self.hosts.run(self.database.stats_async());
        let of = |host: &HostReport| 2 * host.calls + host.letters;
        stats.expect("counters").hosts.iter().map(of).sum()
    }

    /// Of one call, less what the question for counters itself takes; whole, because the last batch's receipts may still
    /// be on their way.
    fn each(&self, call: impl Fn(u64)) -> f64 {
        let before = self.messages();
        (0..ROUNDS).for_each(call);
        let own = 2 * u64::from(SHARDS);
        ((self.messages() - before - own) as f64 / ROUNDS as f64).round()
    }

    fn put(&self, number: u64) {
        let written = self
            .hosts
            .run(self.database.put_async(key(number), [7; 100]));
        written.expect("it is written");
    }
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// One key on each shard.
fn across() -> Vec<[u8; 8]> {
    let place = simulation::placement(SHARDS);
    let on = |shard| (0..).map(key).find(|key| place(key).0 == shard);
    (0..SHARDS).map(|shard| on(shard).expect("a key")).collect()
}

#[test]
fn messages_are_those_of_the_protocol() {
    let world = World::new();
    let (database, hosts) = (&world.database, &world.hosts);
    // There and back.
    assert_eq!(world.each(|number| world.put(number)), 2.0);

    let keys = across();
    let gets = |_| assert!(hosts.run(database.multi_get_async(&keys)).is_ok());
    assert_eq!(world.each(gets), 4.0 * 2.0);

    // To the coordinator and back; between it and each of three others prepare, vote, outcome and receipt.
    let writes = |number: u64| {
        let mut batch = Batch::new();
        for key in &keys {
            batch.put(key, number.to_be_bytes());
        }
        assert!(hosts.run(database.write_async(batch)).is_ok());
    };
    assert_eq!(world.each(writes), 2.0 + 3.0 * 4.0);

    // A row that was asked for before is read without anybody.
    let get = |_| assert!(hosts.run(database.get_async(key(0))).is_ok());
    (0..5).for_each(get);
    assert_eq!(world.each(get), 0.0);
}

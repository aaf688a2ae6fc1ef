//! What a call costs in system calls and allocations on a real ring, where no simulated disk allocates as well:
//! first on the shard's side, then on its caller's.

use std::path::PathBuf;
use std::sync::Arc;

use ringkeep::{Database, Options};
use ringkeep_io::{BackendKind, Direct, Io, IoOptions};
use ringkeep_scenarios::{CountingAllocator, allocated};
use ringkeep_shard::{
    Call, CommitClock, Durability, Identity, Op, Pins, Reply, Shard, ShardId, ShardOptions,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const CALLS: u64 = 1000;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringkeep-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("room");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct World {
    io: Io,
    shard: Shard<u64>,
    _folder: Folder,
}

/// For each call.
#[derive(Debug)]
struct Cost {
    system_calls: f64,
    allocations: f64,
}

impl World {
    fn new() -> World {
        let folder = Folder::new("hot");
        let io = Io::open(&IoOptions {
            direct: Direct::Optional,
            ..IoOptions::default()
        });
        let io = io.expect("a door to the kernel");
        let directory = io.directory(&folder.0).expect("the folder");
        let identity = Identity {
            store: *b"a store of tests",
            shard: ShardId(0),
            shards: 1,
        };
        let options = ShardOptions {
            // No segment is made while it is counted.
            segment_bytes: 32 << 20,
            ..ShardOptions::for_budget(64 << 20)
        };
        Shard::<u64>::create(&io, &directory, &identity, &options).expect("a new shard");
        let clock: Arc<CommitClock> = Arc::default();
        let pins = Pins::new(Arc::clone(&clock));
        let shard = Shard::open(&io, &directory, &identity, &options, clock, pins);
        World {
            shard: shard.expect("the shard opens"),
            io,
            _folder: folder,
        }
    }

    fn call(&mut self, call: Call) {
        self.shard.accept(0, call);
        loop {
            self.io.turn();
            let more = self.shard.turn();
            if let Some((_, reply)) = self.shard.replies().next() {
                assert!(!matches!(reply, Reply::Failed(_)), "{reply:?}");
                return;
            }
            if !more {
                self.io.park(self.shard.next_deadline());
            }
        }
    }

    fn cost(&mut self, call: impl Fn(u64) -> Call) -> Cost {
        let calls: Vec<Call> = (0..CALLS).map(call).collect();
        let (enters, allocations) = (self.io.counters().enters, allocated().calls);
        calls.into_iter().for_each(|call| self.call(call));
        let each = |count| count as f64 / CALLS as f64;
        Cost {
            system_calls: each(self.io.counters().enters - enters),
            allocations: each(allocated().calls - allocations),
        }
    }
}

fn put(number: u64) -> Call {
    Call::Write {
        ops: vec![Op::Put {
            key: number.to_be_bytes().into(),
            value: [7; 100].into(),
        }],
        durability: Durability::Sync,
    }
}

fn get(number: u64) -> Call {
    Call::Get {
        key: number.to_be_bytes().into(),
        at: None,
        room: Vec::with_capacity(100),
    }
}

#[test]
fn hot_paths_cost_what_they_are_known_to_cost() {
    let mut world = World::new();
    (0..CALLS).for_each(|number| world.call(put(number)));
    let (hit, miss) = (
        world.cost(get),
        world.cost(|number| get(number + 2 * CALLS)),
    );
    let put = world.cost(put);
    world.call(Call::Flush);
    world.cost(get);
    let cached = world.cost(get);
    println!("memtable {hit:?}\nmiss {miss:?}\nput {put:?}\ncached {cached:?}");
    for get in [&hit, &miss, &cached] {
        assert_eq!(get.system_calls, 0.0);
    }
    // At first the lists that grow to the size of a turn's answers.
    assert_eq!((miss.allocations, cached.allocations), (0.0, 0.0));
    assert!(hit.allocations <= 0.01, "{hit:?}");
    // The memtable's own growth.
    assert!(put.allocations <= 0.05, "{put:?}");
    // One to submit and to wait, where the device has durable writes and the kernel a ring.
    if world.io.report().backend == BackendKind::Ring {
        assert!(put.system_calls <= 2.1, "{put:?}");
    }
}

#[test]
fn a_caller_allocates_nothing_for_a_put_and_a_get() {
    let folder = Folder::new("calls");
    let options = Options {
        direct: Direct::Optional,
        ..Options::small()
    };
    let database = Database::open(&folder.0, options).expect("a new database");
    let mut value = Vec::with_capacity(1024);
    let mut round = |number: u64| {
        let key = (number % 10).to_be_bytes();
        database.put(key, [7; 100]).expect("it is written");
        // The first two ask the shard; the row is shown on the way, and later ones read it by themselves.
        for _ in 0..4 {
            assert!(database.get_into(key, &mut value).expect("it is read"));
            assert_eq!(value, [7; 100]);
        }
    };
    // Takes a reply slot, and memory for keys and values.
    (0..20).for_each(&mut round);
    // Whoever finds a host asleep drives its shard, and with it now and then the next chunk of a memtable or the making of a
    // log segment. That is not of each call: there are hundreds without.
    let hundreds = (0..10).map(|_| {
        let before = allocated().calls;
        (0..100).for_each(&mut round);
        allocated().calls - before
    });
    assert_eq!(hundreds.min(), Some(0));
    assert!(database.stats().expect("counters").total.row_hits > 0);
    database.close().expect("it closes");
}

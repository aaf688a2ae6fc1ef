//! One shard on a disk, simulated or real, and what it must hold.
//!
//! A shard commits writes in the order in which it took them. So whatever happens, what it holds is
//! the first `n` of them for some `n`: at least all that were acknowledged, at most all that were
//! submitted. The model keeps every write and checks that such an `n` exists.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringkeep_io::{
    Backend, Crash, Direct, Directory, Io, IoOptions, SimulatedDisk, SimulatedOptions,
};
use ringkeep_shard::{
    Call, Codec, CommitClock, Durability, Error, Identity, Moment, Op, Pin, Pins, Reply, Result,
    ScanCall, ScanPage, Shard, ShardId, ShardOptions,
};

pub type Map = BTreeMap<Vec<u8>, Vec<u8>>;

pub struct World {
    /// Simulated worlds use it; in a real one it is a disk without files.
    pub disk: SimulatedDisk,
    real: Option<Real>,
    pub options: ShardOptions,
    pub shard: Option<Shard<u64>>,
    pub io: Io,
    pub pins: Option<Arc<Pins>>,
    /// Of a page of a scan.
    pub entries_max: usize,
    next_token: u64,
    replies: BTreeMap<u64, Reply>,
    /// Every write taken, in order.
    history: Vec<Write>,
    /// The map after the first `base.0` writes.
    base: (usize, Map),
    /// Nothing was written since the shard was opened.
    untouched: bool,
}

/// A folder of this machine, reached through one of its doors.
struct Real {
    folder: PathBuf,
    backend: Backend,
}

impl Real {
    fn io(&self) -> Io {
        let options = IoOptions {
            backend: self.backend,
            frames_bytes: 1 << 20,
            // Tests may run where direct I/O is missing.
            direct: Direct::Optional,
            ..IoOptions::default()
        };
        Io::open(&options).expect("a door to the kernel")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Write {
    token: u64,
    ops: Vec<Op>,
    synced: bool,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Open,
    Acknowledged,
    /// Refused untouched: must never show.
    Refused,
    Unknown,
}

pub fn identity() -> Identity {
    Identity {
        store: *b"a simulated one!",
        shard: ShardId(0),
        shards: 1,
    }
}

pub fn tiny_options() -> ShardOptions {
    ShardOptions {
        memtable_bytes: 32 << 10,
        caches_bytes: (64 << 10) + (8 << 10),
        cache_bytes: 64 << 10,
        rows_bytes: 8 << 10,
        warm: false,
        segment_bytes: 64 << 10,
        group_bytes: 16 << 10,
        table_bytes: 32 << 10,
        runs_max: 3,
        blob_bytes: None,
        codec: Codec::Raw,
        last_level_codec: Codec::Raw,
        tail_bytes: 8 << 10,
        idle_close_after: 1_000_000,
    }
}

impl World {
    pub fn new(seed: u64, options: ShardOptions, disk: SimulatedOptions) -> World {
        let disk = SimulatedDisk::new(seed, disk);
        let io = Io::simulated(&disk);
        io.directory(Path::new("/shard")).expect("a folder");
        World::on(disk, None, io, options)
    }

    /// On this machine's own files, through the given door.
    pub fn real(seed: u64, options: ShardOptions, backend: Backend) -> World {
        let name = format!("shard-{backend:?}-{seed}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        #[expect(
            clippy::disallowed_methods,
            reason = "a test makes its folder from outside"
        )]
        std::fs::create_dir_all(&folder).expect("room for a folder");
        let real = Real { folder, backend };
        let io = real.io();
        let disk = SimulatedDisk::new(seed, SimulatedOptions::default());
        World::on(disk, Some(real), io, options)
    }

    fn on(disk: SimulatedDisk, real: Option<Real>, io: Io, options: ShardOptions) -> World {
        let mut world = World {
            disk,
            real,
            options,
            shard: None,
            io,
            pins: None,
            entries_max: usize::MAX,
            next_token: 0,
            replies: BTreeMap::new(),
            history: Vec::new(),
            base: (0, Map::new()),
            untouched: true,
        };
        let directory = world.directory();
        Shard::<u64>::create(&world.io, &directory, &identity(), &world.options)
            .expect("a new shard");
        world.open().expect("a fresh shard opens");
        world
    }

    pub fn directory(&self) -> Directory {
        let folder = self.real.as_ref().map(|real| real.folder.as_path());
        let folder = folder.unwrap_or(Path::new("/shard"));
        self.io.directory(folder).expect("the folder")
    }

    pub fn open(&mut self) -> Result<()> {
        let clock = Arc::new(CommitClock::default());
        let pins = Pins::new(Arc::clone(&clock));
        let directory = self.directory();
        let (io, options) = (&self.io, &self.options);
        let shard = Shard::open(
            io,
            &directory,
            &identity(),
            options,
            clock,
            Arc::clone(&pins),
        )?;
        self.shard = Some(shard);
        self.untouched = true;
        self.pins = Some(pins);
        Ok(())
    }

    /// Power loss: whatever was not durable is kept or lost by seed.
    pub fn lose_power(&mut self, crash: Crash) {
        self.shard = None;
        self.disk.crash_with(crash);
        self.after_death(true);
    }

    /// SIGKILL: what the device was given still lands, and nobody opens before it has: that is what
    /// the lock registered in the ring is for.
    pub fn kill(&mut self) {
        self.shard = None;
        self.disk.kill();
        while let Some(landing) = self.disk.next_event() {
            self.disk.advance_to(landing);
        }
        if let Some(real) = &self.real {
            self.io = real.io();
        }
        self.after_death(false);
    }

    fn after_death(&mut self, power_loss: bool) {
        if self.real.is_none() {
            self.io = Io::simulated(&self.disk);
        }
        self.replies.clear();
        for write in &mut self.history {
            let kept = write.fate == Fate::Acknowledged && (write.synced || !power_loss);
            if write.fate != Fate::Refused && !kept {
                write.fate = Fate::Unknown;
            }
        }
    }

    pub fn shard(&mut self) -> &mut Shard<u64> {
        self.shard.as_mut().expect("the shard is open")
    }

    pub fn call(&mut self, call: Call) -> u64 {
        self.next_token += 1;
        let token = self.next_token;
        self.shard().accept(token, call);
        token
    }

    pub fn write(&mut self, ops: Vec<Op>, durability: Durability) -> u64 {
        let call = Call::Write {
            ops: ops.clone(),
            durability,
        };
        let token = self.call(call);
        self.untouched = false;
        self.history.push(Write {
            token,
            ops,
            synced: durability == Durability::Sync,
            fate: Fate::Open,
        });
        token
    }

    pub fn put(&mut self, key: &[u8], value: &[u8], durability: Durability) -> u64 {
        let op = Op::Put {
            key: key.into(),
            value: value.into(),
        };
        self.write(vec![op], durability)
    }

    /// One turn of the host loop, without parking.
    pub fn turn(&mut self) -> bool {
        self.io.turn();
        let Some(shard) = self.shard.as_mut() else {
            return false;
        };
        let more = shard.turn();
        for (token, reply) in shard.replies() {
            if let Some(write) = self.history.iter_mut().rev().find(|w| w.token == token) {
                write.fate = match &reply {
                    Reply::Written(_) => Fate::Acknowledged,
                    Reply::Failed(Error::Unknown { .. }) => Fate::Unknown,
                    _ => Fate::Refused,
                };
            }
            self.replies.insert(token, reply);
        }
        more
    }

    /// Turns until idle or `most` turns.
    pub fn run(&mut self, most: usize) {
        for _ in 0..most {
            if self.turn() {
                continue;
            }
            let deadline = self.shard().next_deadline();
            if self.io.in_flight() == 0 && deadline.is_none() {
                return;
            }
            self.io.park(deadline);
        }
    }

    pub fn wait(&mut self, token: u64) -> Reply {
        for _ in 0..1_000_000 {
            if let Some(reply) = self.replies.remove(&token) {
                return reply;
            }
            // No time passes once it is answered.
            if !self.turn() && !self.replies.contains_key(&token) {
                let deadline = self.shard().next_deadline();
                self.io.park(deadline);
            }
        }
        panic!("call {token} is never answered");
    }

    pub fn is_answered(&self, token: u64) -> bool {
        self.replies.contains_key(&token)
    }

    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let call = Call::Get {
            key: key.into(),
            at: None,
            room: Vec::new(),
        };
        let token = self.call(call);
        match self.wait(token) {
            Reply::Value(got) => Ok(got.found.then_some(got.value)),
            Reply::Failed(error) => Err(error),
            other => panic!("{other:?} is no answer to a get"),
        }
    }

    /// Everything at a pinned version, by scan pages in the given direction.
    pub fn scan(&mut self, pin: &Pin, reverse: bool, page_bytes: usize) -> Result<Map> {
        let mut found = Map::new();
        let (mut from, mut to) = (Bound::Unbounded, Bound::Unbounded);
        loop {
            let page =
                self.scan_page(from.clone(), to.clone(), reverse, pin.moment(), page_bytes)?;
            let last = page.last().map(|(key, _)| key.into());
            for (key, value) in page.iter() {
                let known = found.insert(key.to_vec(), value.to_vec());
                assert!(known.is_none(), "{key:?} came twice");
            }
            match last {
                _ if page.done => return Ok(found),
                None => panic!("an empty page that is not the last"),
                Some(key) if reverse => to = Bound::Excluded(key),
                Some(key) => from = Bound::Excluded(key),
            }
        }
    }

    /// Everything that is there now.
    pub fn all(&mut self) -> Map {
        let pin = self.pins.as_ref().expect("open").pin();
        self.scan(&pin, false, 4096).expect("a scan")
    }

    pub fn scan_page(
        &mut self,
        from: Bound<Box<[u8]>>,
        to: Bound<Box<[u8]>>,
        reverse: bool,
        at: Moment,
        page_bytes: usize,
    ) -> Result<ScanPage> {
        let token = self.call(Call::Scan(Box::new(ScanCall {
            from,
            to,
            reverse,
            at,
            page_bytes,
            entries_max: self.entries_max,
            keys_only: false,
            room: ScanPage::default(),
        })));
        match self.wait(token) {
            Reply::Page(page) => {
                assert!(page.len() <= self.entries_max);
                Ok(page)
            }
            Reply::Failed(error) => Err(error),
            other => panic!("{other:?} is no answer to a scan"),
        }
    }

    pub fn done(&mut self, call: Call) -> Result<()> {
        let token = self.call(call);
        match self.wait(token) {
            Reply::Done => Ok(()),
            Reply::Failed(error) => Err(error),
            other => panic!("{other:?} is no answer"),
        }
    }

    pub fn stats(&mut self) -> ringkeep_shard::ShardStats {
        let token = self.call(Call::Stats);
        match self.wait(token) {
            Reply::Stats(stats) => *stats,
            other => panic!("{other:?} is no answer"),
        }
    }

    /// The newest value of `key` that a read may give now, and every one that was written since.
    pub fn possible(&self, key: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut possible = vec![self.base.1.get(key).cloned()];
        for write in &self.history[self.base.0..] {
            if write.fate == Fate::Refused {
                continue;
            }
            let mut ops = write.ops.iter().rev();
            let last = ops
                .find(|op| changes(op, key))
                .map(|op| op.value().map(<[u8]>::to_vec));
            if let Some(value) = last {
                if write.fate == Fate::Acknowledged {
                    possible.clear();
                }
                possible.push(value);
            }
        }
        possible
    }

    /// Finds the `n` whose first `n` writes are what the shard holds, and goes on from there.
    pub fn check(&mut self, story: &str) {
        let acknowledged = self
            .history
            .iter()
            .rposition(|write| write.fate == Fate::Acknowledged);
        let least = acknowledged.map_or(self.base.0, |index| (index + 1).max(self.base.0));
        let pin = self.pins.as_ref().expect("open").pin();
        let found = self.scan(&pin, false, 4096).expect("a scan");
        let mut map = self.base.1.clone();
        let mut n = self.base.0;
        let matched = loop {
            if n >= least && map == found {
                break true;
            }
            let Some(write) = self.history.get(n) else {
                break false;
            };
            if write.fate != Fate::Refused {
                apply(&mut map, &write.ops);
            }
            n += 1;
        };
        assert!(
            matched,
            "{story}: what is there is not the first n writes for any n from {least} to {}: \
             {}",
            self.history.len(),
            difference(&map, &found)
        );
        // Of these nothing shows and nothing ever will. Others may still be on their way.
        let gone = |write: &Write| matches!(write.fate, Fate::Unknown | Fate::Refused);
        if self.history[n..].iter().all(gone) {
            self.history.truncate(n);
        }
        let backwards = self.scan(&pin, true, 700).expect("a scan");
        assert!(
            backwards == map,
            "{story}: backwards is another map: {}",
            difference(&map, &backwards)
        );
        // Go on from what cannot be lost any more: all that recovery found, or what a sync covers.
        let synced = |write: &Write| write.fate == Fate::Acknowledged && write.synced;
        let durable = match self.untouched {
            true => n,
            false => self.history[..n]
                .iter()
                .rposition(synced)
                .map_or(0, |index| index + 1),
        };
        while self.base.0 < durable {
            let write = &self.history[self.base.0];
            if write.fate != Fate::Refused {
                apply(&mut self.base.1, &write.ops);
            }
            self.base.0 += 1;
        }
    }
}

fn apply(map: &mut Map, ops: &[Op]) {
    for op in ops {
        if op.range().is_some() {
            map.retain(|key, _| !changes(op, key));
            continue;
        }
        match op.value() {
            Some(value) => map.insert(op.key().to_vec(), value.to_vec()),
            None => map.remove(op.key()),
        };
    }
}

fn changes(op: &Op, key: &[u8]) -> bool {
    match op.range() {
        Some((from, to)) => from <= key && key < to,
        None => op.key() == key,
    }
}

/// The first few keys on which two maps differ, in words.
fn difference(expected: &Map, found: &Map) -> String {
    let mut words = String::new();
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key));
    for key in differ.take(5) {
        let tell = |map: &Map| match map.get(key) {
            Some(value) => format!(
                "{} bytes {:02x?}",
                value.len(),
                &value[..value.len().min(4)]
            ),
            None => "nothing".into(),
        };
        let key = String::from_utf8_lossy(key);
        words += &format!(
            "{key}: {} expected, {} found; ",
            tell(expected),
            tell(found)
        );
    }
    words
}

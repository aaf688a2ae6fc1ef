//! The same database without threads: hosts on a simulated disk, driven by hand on one thread, so that one
//! seed decides everything. For tests and the simulator; no part of the stable interface.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use ringkeep_io::{Io, Nanos, SimulatedDisk};
pub use ringkeep_shard::Moment;
use ringkeep_shard::{Pins, ShardId, ShardOptions};

use crate::host::{Driver, Host, Obituaries};
use crate::latency::Clock;
use crate::open::{self, Hosts};
use crate::routing::Routing;
use crate::shards::Shards;
use crate::threads::Running;
use crate::{Database, Options, Result, Scan, Transaction};

/// The hosts of a database, to be turned by hand. Use the async half of [`Database`] and drive it with
/// [`ByHand::run`]; the blocking half would wait for ever.
#[derive(Clone)]
pub struct ByHand {
    hosts: Rc<RefCell<Vec<Host>>>,
    pins: Arc<Pins>,
    clock: Arc<AtomicU64>,
    held: Rc<Cell<Option<Held>>>,
}

/// A host that does not get its core.
#[derive(Clone, Copy)]
struct Held {
    host: usize,
    until: Nanos,
}

struct Simulated<'a>(&'a SimulatedDisk);

/// Opens or makes a database in `path` of the disk, with a store id that the caller chooses. `options.threads`
/// says how many hosts there are.
pub fn open(
    disk: &SimulatedDisk,
    path: &str,
    options: &Options,
    store: [u8; 16],
) -> Result<(Database, ByHand)> {
    let path = PathBuf::from(path);
    let mut opened = open::open(&path, options, store, &mut Simulated(disk))?;
    let mut hosts = Vec::new();
    for driver in std::mem::take(&mut opened.hosts) {
        if let Driver::Hand(mut host) = driver {
            host.meet(opened.inboxes.clone());
            hosts.push(*host);
        }
    }
    let clock = Arc::default();
    let shards = Shards::new(
        opened.routing.clone(),
        opened.inboxes.clone(),
        Box::default(),
        std::mem::take(&mut opened.rows),
        Clock::Told(Arc::clone(&clock)),
        Obituaries::default(),
        0,
    );
    let pins = Arc::clone(&opened.pins);
    let database = Database::assemble(path, options, (opened, shards, Running::by_hand()));
    let hosts = Rc::new(RefCell::new(hosts));
    let held = Rc::default();
    let by_hand = ByHand {
        hosts,
        pins,
        clock,
        held,
    };
    by_hand.tell_time();
    Ok((database, by_hand))
}

/// Where the keys of a new database of so many shards live.
pub fn placement(shards: u16) -> impl Fn(&[u8]) -> ShardId {
    let routing = Routing::even(shards);
    move |key| routing.shard(key)
}

/// The version that a scan reads at, and the time by which it judges ends.
pub fn moment_of(scan: &Scan) -> Moment {
    scan.moment()
}

/// The same of a transaction.
pub fn moment_of_transaction(transaction: &Transaction) -> Moment {
    transaction.moment()
}

/// The same scan with a first page of so many bytes from each shard, so that few entries are several pages.
pub fn in_pages(scan: Scan, first_bytes: usize) -> Scan {
    scan.in_pages(first_bytes)
}

/// The time by which the present judges ends: milliseconds since 1970.
pub fn now(database: &Database) -> u64 {
    database.inner().pins.now()
}

/// Makes the host of a key's shard panic, as a fault of this program would; for tests.
pub fn panic_host(database: &Database, key: &[u8]) {
    database.panic_host(key);
}

/// Drives the host of a key's shard on this thread, as a caller does while the host sleeps, and panics in it; for tests.
pub fn panic_visitor(database: &Database, key: &[u8]) {
    database.panic_visitor(key);
}

impl Hosts for Simulated<'_> {
    fn start(&mut self, index: usize) -> Result<Driver> {
        Ok(Driver::Hand(Box::new(Host::new(
            Io::simulated(self.0),
            index,
        ))))
    }

    fn check(&self, _hosts: usize, _shards: u16, _each: &ShardOptions) -> Result<()> {
        Ok(())
    }
}

impl ByHand {
    /// Callers look at the disk's clock.
    fn tell_time(&self) {
        if let Some(host) = self.hosts.borrow().first() {
            self.pins.hear(host.io().wall_clock() / 1_000_000);
            self.clock.store(host.io().now(), Ordering::Relaxed);
        }
    }

    /// One turn of every host; true when one of them has more to do at once.
    pub fn turn(&self) -> bool {
        self.tell_time();
        let mut more = false;
        let held = self.held();
        for (index, host) in self.hosts.borrow_mut().iter_mut().enumerate() {
            if held.is_none_or(|held| held.host != index) {
                more |= host.turn_by_hand() | host.has_mail();
            }
        }
        more
    }

    /// Lets one host do nothing until then, as when another program has its core, or its thread sleeps in a page
    /// fault. The others go on.
    pub fn hold(&self, host: usize, until: Nanos) {
        self.held.set(Some(Held { host, until }));
    }

    fn held(&self) -> Option<Held> {
        let hosts = self.hosts.borrow();
        let now = hosts.first().map_or(0, |host| host.io().now());
        self.held.get().filter(|held| now < held.until)
    }

    /// Lets time pass until something happens.
    pub fn park(&self) {
        self.park_until(None);
    }

    /// The same, but no longer than until then.
    pub fn park_until(&self, latest: Option<Nanos>) {
        let held = self.held();
        let mut hosts = self.hosts.borrow_mut();
        let awake = hosts.iter().enumerate();
        let awake = awake.filter(|(index, _)| held.is_none_or(|held| held.host != *index));
        // The turn of a later host may have brought time to the end of an earlier one's operation: that one stays awake.
        if awake.clone().any(|(_, host)| host.io().has_answers()) {
            return;
        }
        let deadlines = awake.filter_map(|(_, host)| host.next_deadline());
        let deadlines = deadlines.chain(held.map(|held| held.until));
        let deadline = deadlines.chain(latest).min();
        // Time is the disk's: whoever sleeps, it passes for all.
        if let Some(host) = hosts.first_mut() {
            host.io().park(deadline);
            self.clock.store(host.io().now(), Ordering::Relaxed);
        }
    }

    /// Nothing is under way, and nothing will be without a call.
    pub fn is_idle(&self) -> bool {
        if self.held().is_some() {
            return false;
        }
        let hosts = self.hosts.borrow();
        hosts.iter().all(|host| {
            host.next_deadline().is_none() && host.io().in_flight() == 0 && !host.has_mail()
        })
    }

    /// Operations that the disk has not answered.
    pub fn in_flight(&self) -> usize {
        let hosts = self.hosts.borrow();
        hosts.iter().map(|host| host.io().in_flight()).sum()
    }

    /// Drives a future of the database to its end.
    pub fn run<R>(&self, future: impl Future<Output = R>) -> R {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                return result;
            }
            if !self.turn() {
                self.park();
            }
        }
    }

    /// Nothing is left to do on any host: the database was closed.
    pub fn is_finished(&self) -> bool {
        self.hosts.borrow().iter().all(Host::is_finished)
    }
}

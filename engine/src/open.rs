//! Opening, step by step, the same for threads and for hosts driven by hand: the database file, the
//! shards, the commits that a crash left undecided.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_shard::{CommitClock, InDoubt, Pins, Rows, ShardId, ShardOptions};

use crate::database_file::{self, DatabaseFile, State};
use crate::host::{Driver, Post, ReadLogs, Site, host_of, root};
use crate::mailbox::Inbox;
use crate::routing::Routing;
use crate::{Error, Options, Result};

/// A database whose hosts are ready to be left to their loops.
pub(crate) struct Opened {
    pub(crate) hosts: Vec<Driver>,
    pub(crate) inboxes: Arc<[Arc<Inbox<Post>>]>,
    /// Of each shard.
    pub(crate) rows: Box<[Arc<Rows>]>,
    pub(crate) routing: Routing,
    pub(crate) clock: Arc<CommitClock>,
    pub(crate) pins: Arc<Pins>,
}

/// Where hosts come from.
pub(crate) trait Hosts {
    /// A new host. The first is made before it is known how many there will be.
    fn start(&mut self, index: usize) -> Result<Driver>;

    /// How many threads can help to read the logs of so many shards, the hosts among them.
    fn readers(&self, hosts: usize, _shards: u16) -> usize {
        hosts
    }

    /// A thread that only reads logs and ends.
    fn start_reader(&mut self, index: usize) -> Result<Driver> {
        self.start(index)
    }

    /// Asks the machine for the time of day: milliseconds since 1970. Where callers must not, time is what hosts tell.
    fn machine_clock(&self) -> fn() -> u64 {
        || 0
    }

    /// The last check before shards are touched.
    fn check(&self, hosts: usize, shards: u16, each: &ShardOptions) -> Result<()>;
}

/// Opens the database at `path`, or makes it with this store id.
pub(crate) fn open(
    path: &Path,
    options: &Options,
    store: [u8; 16],
    from: &mut impl Hosts,
) -> Result<Opened> {
    let mut hosts = Vec::new();
    match open_with(path, options, store, from, &mut hosts) {
        Ok((inboxes, rows, routing, site)) => Ok(Opened {
            hosts,
            inboxes,
            rows,
            routing,
            clock: Arc::clone(&site.clock),
            pins: Arc::clone(&site.pins),
        }),
        Err(error) => {
            // The next opener must find no descriptor of this one.
            hosts.into_iter().for_each(Driver::end);
            Err(error)
        }
    }
}

type Inboxes = Arc<[Arc<Inbox<Post>>]>;
type AllRows = Box<[Arc<Rows>]>;

fn open_with(
    path: &Path,
    options: &Options,
    store: [u8; 16],
    from: &mut impl Hosts,
    hosts: &mut Vec<Driver>,
) -> Result<(Inboxes, AllRows, Routing, Arc<Site>)> {
    hosts.push(from.start(0)?);
    let fresh = DatabaseFile {
        store,
        state: State::Creating,
        sequence: 1,
        routing: Routing::even(options.shards_of_new()),
    };
    let mut file = read_or_create(path, &mut hosts[0], fresh)?;
    let shards = file.routing.shards;
    let count = options.threads_for(shards);
    let each = options.of_each(shards)?;
    from.check(count, shards, &each)?;
    for index in 1..count {
        hosts.push(from.start(index)?);
    }
    let clock = Arc::new(CommitClock::default());
    let site = Arc::new(Site {
        path: path.into(),
        store: file.store,
        shards,
        hosts: count,
        each,
        pins: Pins::with_clock(Arc::clone(&clock), options.retention, from.machine_clock()),
        clock,
    });
    if file.state == State::Creating {
        let at = Arc::clone(&site);
        on_all(hosts, move |host| host.create_shards(&at))?;
        file.state = State::Ready;
        file.sequence += 1;
        finish(path, &mut hosts[0], file.clone())?;
    }
    let logs = read_logs(hosts, &site, from)?;
    let at = Arc::clone(&site);
    let doubts = on_all(hosts, move |host| host.open_shards(&at, &logs))?;
    resolve(hosts, doubts.concat(), shards)?;
    site.pins.timeline().forget_above(site.clock.now());
    let inboxes = on_all(hosts, |host| Ok(host.inbox()))?;
    let mut rows = on_all(hosts, |host| Ok(host.rows()))?.concat();
    rows.sort_by_key(|(shard, _)| *shard);
    let rows = rows.into_iter().map(|(_, rows)| rows).collect();
    Ok((inboxes.into(), rows, file.routing, site))
}

/// Reads the logs of all shards with as many threads as can help: hosts leave a core to the callers, who have
/// nothing to do yet.
fn read_logs(hosts: &mut Vec<Driver>, site: &Arc<Site>, from: &mut impl Hosts) -> Result<ReadLogs> {
    let own = hosts.len();
    for index in own..from.readers(own, site.shards) {
        hosts.push(from.start_reader(index)?);
    }
    let readers = hosts.len();
    let at = Arc::clone(site);
    let logs = on_all(hosts, move |host| host.read_logs(&at, readers))?;
    hosts.drain(own..).for_each(Driver::end);
    Ok(ReadLogs::of(logs.into_iter().flatten()))
}

/// One step on every host at the same time; the first error after all have ended.
fn on_all<R: Send + 'static>(
    hosts: &mut [Driver],
    step: impl Fn(&mut crate::host::Host) -> Result<R> + Clone + Send + 'static,
) -> Result<Vec<R>> {
    let steps: Vec<_> = hosts
        .iter_mut()
        .map(|host| host.run(step.clone()))
        .collect();
    let results: Vec<Result<R>> = steps
        .into_iter()
        .map(|step| step.wait().flatten())
        .collect();
    results.into_iter().collect()
}

fn read_or_create(path: &Path, host: &mut Driver, fresh: DatabaseFile) -> Result<DatabaseFile> {
    let path: PathBuf = path.into();
    let step = host.run(move |host| {
        let directory = root(host.io(), &path)?;
        if let Some(file) = database_file::read(host.io(), &directory, &path)? {
            return Ok(file);
        }
        database_file::create(host.io(), &directory, &path, &fresh)?;
        Ok(fresh)
    });
    step.wait().flatten()
}

fn finish(path: &Path, host: &mut Driver, file: DatabaseFile) -> Result<()> {
    let path: PathBuf = path.into();
    let step = host.run(move |host| {
        let directory = root(host.io(), &path)?;
        database_file::replace(host.io(), &directory, &path, &file)
    });
    step.wait().flatten()
}

/// Asks the coordinator of every undecided commit and tells the participant.
fn resolve(hosts: &mut [Driver], doubts: Vec<(ShardId, InDoubt)>, shards: u16) -> Result<()> {
    let count = hosts.len();
    for (shard, doubt) in doubts {
        let InDoubt {
            transaction,
            coordinator,
        } = doubt;
        if coordinator.0 >= shards {
            return Err(Error::Shard {
                shard,
                error: ringkeep_shard::Error::Foreign {
                    file: "the log".into(),
                    detail: format!("it names a shard {coordinator} of {shards}"),
                },
            });
        }
        let asked = hosts[host_of(coordinator, count)]
            .run(move |host| host.decision(coordinator, transaction));
        let decision = asked.wait()?.filter(|_| !planted(Defect::DecisionLost));
        let told = hosts[host_of(shard, count)]
            .run(move |host| host.resolve(shard, transaction, decision));
        told.wait()?;
    }
    Ok(())
}

/// A store id that no other database has.
pub(crate) fn random_store() -> Result<[u8; 16]> {
    let path = "/dev/urandom";
    let mut store = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut store));
    read.map_err(|error| Error::Forbidden {
        path: path.into(),
        reason: error.to_string(),
    })?;
    Ok(store)
}

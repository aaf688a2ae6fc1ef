//! The hosts of a database that is there for its callers: one thread per host, and the folder with its lock or
//! files in memory.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use core_affinity::CoreId;
use ringkeep_io::{IoOptions, MemoryDisk};
use ringkeep_shard::ShardOptions;

use crate::Result;
use crate::expiry::since_1970;
use crate::host::{Door, Driver, Helm, HostThread, Obituaries, Setup};
use crate::latency::Clock;
use crate::limits::SPIN;
use crate::lock::Lock;
use crate::open::{Hosts, Opened};
use crate::options::{Executor, Options, cores};
use crate::place::{Place, check_limits};
use crate::shards::Shards;

/// Everything that threads need to start.
pub(crate) struct Threads<'a> {
    options: &'a Options,
    files: Files,
    obituaries: Obituaries,
    /// Hosts that will be there, as far as one can know before the database file is read.
    expected: usize,
    cores: Vec<CoreId>,
    first_core: usize,
}

enum Files {
    Folder(Place, Lock),
    Memory(MemoryDisk),
}

/// The threads of an open database, and the lock of its folder.
pub(crate) struct Running(Mutex<Option<Started>>);

type Started = (Vec<JoinHandle<()>>, Option<Lock>);

/// So that several databases of one process do not all begin at the first core.
static NEXT_CORE: AtomicUsize = AtomicUsize::new(0);

impl<'a> Threads<'a> {
    /// Finds the folder and takes its lock.
    pub(crate) fn prepare(path: &Path, options: &'a Options) -> Result<Threads<'a>> {
        let place = Place::find(path, options.create_if_missing)?;
        let lock = Lock::take(&place)?;
        Ok(Threads::over(Files::Folder(place, lock), options))
    }

    /// With files that go when the database is dropped.
    pub(crate) fn in_memory(options: &'a Options) -> Threads<'a> {
        let disk = MemoryDisk::new(options.in_memory_bytes);
        Threads::over(Files::Memory(disk), options)
    }

    fn over(files: Files, options: &'a Options) -> Threads<'a> {
        let cores = match options.pin_threads {
            true => core_affinity::get_core_ids().unwrap_or_default(),
            false => Vec::new(),
        };
        let expected = options.threads_for(options.shards_of_new());
        Threads {
            options,
            files,
            obituaries: Obituaries::default(),
            expected,
            cores,
            first_core: NEXT_CORE.fetch_add(expected, Ordering::Relaxed),
        }
    }

    /// Where it is; in memory, what messages call it.
    pub(crate) fn path(&self) -> &Path {
        match &self.files {
            Files::Folder(place, _) => &place.path,
            Files::Memory(_) => Path::new("in memory"),
        }
    }

    /// Leaves the hosts to their loops.
    pub(crate) fn go(self, mut opened: Opened) -> (Opened, Shards, Running) {
        let hosts = std::mem::take(&mut opened.hosts);
        let free = cores().saturating_sub(hosts.len());
        let helms = match self.options.executor {
            Executor::Own => hosts.iter().filter_map(Driver::helm).collect(),
            #[cfg(feature = "glommio")]
            Executor::Glommio => Box::default(),
        };
        let shards = Shards::new(
            opened.routing.clone(),
            opened.inboxes.clone(),
            helms,
            std::mem::take(&mut opened.rows),
            Clock::Machine,
            self.obituaries,
            free,
        );
        let threads = hosts
            .into_iter()
            .filter_map(|host| host.go(&opened.inboxes))
            .collect();
        let lock = match self.files {
            Files::Folder(_, lock) => Some(lock),
            Files::Memory(_) => None,
        };
        let running = Running(Mutex::new(Some((threads, lock))));
        (opened, shards, running)
    }
}

impl Hosts for Threads<'_> {
    fn start(&mut self, index: usize) -> Result<Driver> {
        let executor = self.options.executor;
        self.thread(index, self.options.io(self.expected), executor)
    }

    fn readers(&self, hosts: usize, shards: u16) -> usize {
        cores().min(usize::from(shards)).max(hosts)
    }

    fn start_reader(&mut self, index: usize) -> Result<Driver> {
        let frames_bytes = 0;
        let io = self.options.io(self.expected);
        self.thread(index, IoOptions { frames_bytes, ..io }, Executor::Own)
    }

    fn machine_clock(&self) -> fn() -> u64 {
        || since_1970(SystemTime::now())
    }

    fn check(&self, hosts: usize, shards: u16, each: &ShardOptions) -> Result<()> {
        match self.files {
            Files::Folder(..) => check_limits(self.readers(hosts, shards), shards, each),
            Files::Memory(_) => Ok(()),
        }
    }
}

impl Threads<'_> {
    fn thread(&self, index: usize, io: IoOptions, executor: Executor) -> Result<Driver> {
        let core = (self.cores.len() >= self.expected && !self.cores.is_empty())
            .then(|| self.cores[(self.first_core + index) % self.cores.len()]);
        let spin = match cores() > self.expected {
            true => SPIN,
            false => Duration::ZERO,
        };
        let door = match &self.files {
            Files::Folder(place, lock) => Door::Kernel(io, lock.copy(&place.path)?),
            Files::Memory(disk) => Door::Memory(disk.clone()),
        };
        let setup = Setup {
            index,
            door,
            core,
            spin,
            executor,
            helm: Arc::new(Helm::new(cores(), cores() > self.expected)),
            obituaries: self.obituaries.clone(),
        };
        HostThread::start(setup).map(Driver::Thread)
    }
}

impl Running {
    /// For the last handle that goes on one of these very threads, which cannot wait for itself.
    pub(crate) fn end_by_itself(&self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // They were told to stop. With their ends the last copies of the lock close.
        drop(running.take());
    }

    /// No threads: the hosts are driven by hand.
    pub(crate) fn by_hand() -> Running {
        Running(Mutex::new(None))
    }

    /// Waits until the threads, which were told to stop, have ended. `whole`: none of them was ended by a
    /// panic, so nothing is in flight any more.
    pub(crate) fn end(&self, whole: impl FnOnce() -> bool) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((threads, lock)) = running.take() else {
            return;
        };
        for thread in threads {
            // A panic was caught on the thread itself, and its reason kept.
            drop(thread.join());
        }
        if let Some(lock) = lock
            && whole()
        {
            lock.release();
        }
    }
}

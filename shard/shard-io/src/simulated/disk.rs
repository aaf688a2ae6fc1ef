//! The event queue of a simulated disk: virtual time, latency, completion, crash.

use std::cell::{BorrowMutError, Cell, RefCell, RefMut};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use super::faults::{Fate, Faults, Times};
use super::inode::{Inode, InodeRef, PageRef, Stamp, Survival, compose};
use super::namespace::{DirectoryRef, Node};
use super::random::Random;
use super::trace::{Trace, fold};
use super::{Crash, SECTOR, SimulatedOptions};
use crate::flight::Token;
use crate::operation::Step;
use crate::{Doing, Nanos, PAGE};

/// A seeded disk with virtual time; clones share it. Give it hosts with [`Io::simulated`](crate::Io::simulated).
#[derive(Clone)]
pub struct SimulatedDisk(Rc<RefCell<Disk>>);

/// What a simulated disk has done; exact, for assertions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Reads that arrived.
    pub reads: u64,
    /// Bytes that reads asked for.
    pub read_bytes: u64,
    /// Writes that arrived, durable or not.
    pub writes: u64,
    /// Bytes that they carried.
    pub write_bytes: u64,
    /// Durable writes among them.
    pub durable_writes: u64,
    /// File syncs.
    pub syncs: u64,
    /// Directory syncs.
    pub directory_syncs: u64,
}

pub(super) struct Disk {
    pub options: SimulatedOptions,
    pub now: Nanos,
    latency: Random,
    chance: Random,
    fortune: Random,
    events: BinaryHeap<Reverse<Event>>,
    stuck: Vec<Request>,
    sequence: u64,
    stamp: Stamp,
    hosts: Vec<HostState>,
    pub root: DirectoryRef,
    inodes: u64,
    used: Rc<Cell<u64>>,
    pub faults: Faults,
    pub trace: Trace,
    pub counters: DiskCounters,
}

struct HostState {
    alive: bool,
    in_flight: usize,
    answers: VecDeque<Answer>,
}

/// A completion on its way to a host, with the pages that a read brings.
pub(super) struct Answer {
    pub token: Token,
    pub answer: i32,
    pub pages: Vec<PageRef>,
}

/// One operation in flight.
pub(super) struct Request {
    pub host: usize,
    pub token: Token,
    pub step: Step,
    pub inode: InodeRef,
    pub offset: u64,
    pub length: usize,
    /// What a write carries; copied when asked for, because a crash needs it when the host is gone.
    pub pages: Vec<PageRef>,
}

struct Event {
    at: Nanos,
    /// Equal times are in no order that a caller could rely on.
    shuffle: u64,
    sequence: u64,
    covered: Stamp,
    fate: Fate,
    request: Request,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64, options: SimulatedOptions) -> SimulatedDisk {
        SimulatedDisk(Rc::new(RefCell::new(Disk {
            options,
            now: 0,
            latency: Random::new(seed, 1),
            chance: Random::new(seed, 2),
            fortune: Random::new(seed, 3),
            events: BinaryHeap::new(),
            stuck: Vec::new(),
            sequence: 0,
            stamp: 0,
            hosts: Vec::new(),
            root: DirectoryRef::default(),
            inodes: 0,
            used: Rc::default(),
            faults: Faults::default(),
            trace: Trace::default(),
            counters: DiskCounters::default(),
        })))
    }

    pub(super) fn disk(&self) -> RefMut<'_, Disk> {
        self.0.borrow_mut()
    }

    /// For where a panic may have left the disk borrowed.
    pub(super) fn try_disk(&self) -> Result<RefMut<'_, Disk>, BorrowMutError> {
        self.0.try_borrow_mut()
    }

    /// Cuts the power. What was durable stays, the rest by seed; every host is dead.
    pub fn crash(&self) {
        self.crash_with(Crash::Random);
    }

    /// Cuts the power with a chosen outcome for what was not durable.
    pub fn crash_with(&self, crash: Crash) {
        self.disk().crash(crash);
    }

    /// Kills every host's process. Nothing is lost: what is in flight still lands, each write in its time.
    pub fn kill(&self) {
        let mut disk = self.disk();
        disk.trace.note("kill", &[]);
        disk.hosts.iter_mut().for_each(HostState::die);
    }

    /// Fails the next operations of a kind.
    pub fn fail_next(&self, doing: Doing, errno: i32, times: Times) {
        self.fail_at(doing, 0, errno, times);
    }

    /// Fails operations of a kind after `spared` more have passed: 0 is the next one.
    pub fn fail_at(&self, doing: Doing, spared: u64, errno: i32, times: Times) {
        let mut disk = self.disk();
        disk.faults
            .add(doing, None, spared, Fate::Fail(errno), times);
    }

    /// Fails reads, writes or syncs of one file after `spared` more have passed.
    pub fn fail_file_at(&self, path: &str, doing: Doing, spared: u64, errno: i32, times: Times) {
        let inode = self.file(path).borrow().id;
        let mut disk = self.disk();
        disk.faults
            .add(doing, Some(inode), spared, Fate::Fail(errno), times);
    }

    /// Fails reads of these bytes with EIO until they are written again.
    pub fn fail_region(&self, path: &str, bytes: Range<u64>) {
        self.file(path).borrow_mut().add_bad(bytes);
    }

    /// Acknowledges the next write and does not do it.
    pub fn lose_next_write(&self) {
        self.fate_of_next(Doing::Write, Fate::Lost);
    }

    /// Acknowledges the next write and does it elsewhere in the same file.
    pub fn misdirect_next_write(&self) {
        self.fate_of_next(Doing::Write, Fate::Misdirected);
    }

    /// Never completes the next operation of a kind, until [`unstick`](Self::unstick).
    pub fn stick_next(&self, doing: Doing) {
        self.fate_of_next(doing, Fate::Stuck);
    }

    fn fate_of_next(&self, doing: Doing, fate: Fate) {
        self.disk().faults.add(doing, None, 0, fate, Times::Once);
    }

    /// Lets stuck operations go on.
    pub fn unstick(&self) {
        let mut disk = self.disk();
        for request in std::mem::take(&mut disk.stuck) {
            disk.schedule(request, Fate::Normal);
        }
    }

    /// Forgets every fault that was injected and has not struck yet.
    pub fn heal(&self) {
        self.disk().faults.heal();
    }

    /// Turns one bit of a file over, wherever it is kept.
    pub fn flip_bit(&self, path: &str, byte: u64, bit: u8) {
        let inode = self.file(path);
        inode
            .borrow_mut()
            .damage(byte, 1, |_, value| *value ^= 1 << bit);
    }

    /// Overwrites bytes of a file, wherever they are kept.
    pub fn overwrite(&self, path: &str, offset: u64, bytes: &[u8]) {
        let inode = self.file(path);
        let mut inode = inode.borrow_mut();
        inode.damage(offset, bytes.len(), |position, value| {
            *value = bytes[position]
        });
    }

    /// Cuts or extends a file, durably.
    pub fn truncate(&self, path: &str, bytes: u64) {
        self.file(path).borrow_mut().cut_everywhere(bytes);
    }

    /// Removes a file, durably.
    pub fn remove(&self, path: &str) {
        let (directory, name) = self.parent(path);
        let mut directory = directory.borrow_mut();
        directory.remove(&name);
        directory.sync();
    }

    /// Changes the disk's size. Less than what is used is allowed: then nothing more fits.
    pub fn set_capacity_bytes(&self, bytes: u64) {
        self.disk().options.capacity_bytes = bytes;
    }

    /// Changes how often things go wrong by themselves.
    pub fn set_probabilities(&self, probabilities: super::Probabilities) {
        self.disk().options.probabilities = probabilities;
    }

    /// Every file as lookups see it, with its size, sorted by path.
    pub fn files(&self) -> Vec<(String, u64)> {
        let mut files = Vec::new();
        let root = Rc::clone(&self.disk().root);
        collect(&root, "", &mut files);
        files
    }

    /// A file's bytes as reads see them; `None` when there is no such file.
    pub fn read_raw(&self, path: &str) -> Option<Vec<u8>> {
        match self.lookup(path)? {
            Node::File(inode) => Some(inode.borrow().contents()),
            Node::Directory(_) => None,
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Nanos {
        self.disk().now
    }

    /// When the next operation in flight completes.
    pub fn next_event(&self) -> Option<Nanos> {
        self.disk().next_event()
    }

    /// Moves virtual time forward and completes what falls due.
    pub fn advance_to(&self, time: Nanos) {
        let mut disk = self.disk();
        while disk.next_event().is_some_and(|next| next <= time) {
            disk.run_next();
        }
        disk.now = disk.now.max(time);
    }

    /// One number for everything that happened so far.
    pub fn trace_hash(&self) -> u64 {
        self.disk().trace.hash()
    }

    /// What was done so far.
    pub fn counters(&self) -> DiskCounters {
        self.disk().counters
    }

    fn file(&self, path: &str) -> InodeRef {
        match self.lookup(path) {
            Some(Node::File(inode)) => inode,
            _ => panic!("the simulated disk has no file {path}"),
        }
    }

    fn lookup(&self, path: &str) -> Option<Node> {
        let (directory, name) = self.try_parent(path)?;
        directory.borrow().get(&name).cloned()
    }

    fn parent(&self, path: &str) -> (DirectoryRef, String) {
        self.try_parent(path)
            .unwrap_or_else(|| panic!("the simulated disk has no {path}"))
    }

    fn try_parent(&self, path: &str) -> Option<(DirectoryRef, String)> {
        let mut directory = Rc::clone(&self.disk().root);
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        loop {
            let part = parts.next()?;
            if parts.peek().is_none() {
                return Some((directory, part.to_owned()));
            }
            let next = match directory.borrow().get(part)? {
                Node::Directory(next) => Rc::clone(next),
                Node::File(_) => return None,
            };
            directory = next;
        }
    }
}

fn collect(directory: &DirectoryRef, path: &str, files: &mut Vec<(String, u64)>) {
    for (name, node) in directory.borrow().entries() {
        let path = format!("{path}/{name}");
        match node {
            Node::File(inode) => files.push((path, inode.borrow().size())),
            Node::Directory(directory) => collect(directory, &path, files),
        }
    }
}

impl Disk {
    pub fn add_host(&mut self) -> usize {
        self.hosts.push(HostState {
            alive: true,
            in_flight: 0,
            answers: VecDeque::new(),
        });
        self.hosts.len() - 1
    }

    pub fn is_alive(&self, host: usize) -> bool {
        self.hosts[host].alive
    }

    /// The host's `Io` is gone.
    pub fn end_host(&mut self, host: usize) {
        self.hosts[host].die();
    }

    pub fn in_flight(&self, host: usize) -> usize {
        let stuck = self.stuck.iter().filter(|request| request.host == host);
        self.hosts[host].in_flight - stuck.count()
    }

    pub fn new_inode(&mut self) -> InodeRef {
        self.inodes += 1;
        Rc::new(RefCell::new(Inode::new(self.inodes, Rc::clone(&self.used))))
    }

    pub fn next_stamp(&mut self) -> Stamp {
        self.stamp += 1;
        self.stamp
    }

    pub fn free_bytes(&self) -> u64 {
        self.options.capacity_bytes.saturating_sub(self.used.get())
    }

    /// An injected error of a blocking call.
    pub fn strike(&mut self, doing: Doing, inode: Option<u64>) -> Result<(), i32> {
        match self.faults.strike(doing, inode) {
            Some(Fate::Fail(errno)) => Err(errno),
            _ => Ok(()),
        }
    }

    pub fn submit(&mut self, request: Request) {
        let inode = request.inode.borrow().id;
        let bytes = request.length as u64;
        let (doing, tag) = match request.step {
            Step::Read => {
                self.counters.reads += 1;
                self.counters.read_bytes += bytes;
                (Doing::Read, 0)
            }
            Step::Write { dsync } => {
                self.counters.writes += 1;
                self.counters.write_bytes += bytes;
                self.counters.durable_writes += u64::from(dsync);
                (Doing::Write, 1 + u64::from(dsync))
            }
            Step::Sync => {
                self.counters.syncs += 1;
                (Doing::Sync, 3)
            }
        };
        let data = request.pages.iter().flatten().fold(0u64, |hash, page| {
            hash.rotate_left(7) ^ fold(page.as_slice())
        });
        let values = [
            tag,
            request.host as u64,
            inode,
            request.offset,
            bytes,
            data,
            self.now,
        ];
        self.trace.note("submit", &values);
        self.hosts[request.host].in_flight += 1;
        let pages = request.length / PAGE;
        let probabilities = &self.options.probabilities;
        match self
            .faults
            .fate(doing, inode, pages, probabilities, &mut self.chance)
        {
            Fate::Stuck => self.stuck.push(request),
            fate => self.schedule(request, fate),
        }
    }

    fn schedule(&mut self, request: Request, fate: Fate) {
        let latency = &self.options.latency;
        let spread = latency.most.saturating_sub(latency.least) + 1;
        let mut takes = latency.least + self.latency.below(spread);
        if self.latency.chance(latency.tail_probability) {
            takes *= latency.tail_factor.max(1);
        }
        self.sequence += 1;
        self.events.push(Reverse(Event {
            at: self.now + takes,
            shuffle: self.latency.next(),
            sequence: self.sequence,
            covered: self.stamp,
            fate,
            request,
        }));
    }

    pub fn next_event(&self) -> Option<Nanos> {
        self.events.peek().map(|Reverse(event)| event.at)
    }

    /// Completes what has fallen due.
    pub fn run_due(&mut self) {
        while self.next_event().is_some_and(|at| at <= self.now) {
            self.run_next();
        }
    }

    /// Moves to the next completion; false when there is none.
    pub fn run_next(&mut self) -> bool {
        let Some(Reverse(event)) = self.events.pop() else {
            return false;
        };
        self.now = self.now.max(event.at);
        let request = &event.request;
        let (answer, pages) = match request.step {
            Step::Read => self.read(request, event.fate),
            Step::Write { dsync } => (self.write(request, event.fate, dsync), Vec::new()),
            Step::Sync => (self.sync(request, event.fate, event.covered), Vec::new()),
        };
        let inode = request.inode.borrow().id;
        let values = [
            request.host as u64,
            inode,
            request.offset,
            answer as u64,
            self.now,
        ];
        self.trace.note("complete", &values);
        let host = &mut self.hosts[request.host];
        host.in_flight -= 1;
        if host.alive {
            host.answers.push_back(Answer {
                token: request.token,
                answer,
                pages,
            });
        }
        true
    }

    fn read(&self, request: &Request, fate: Fate) -> (i32, Vec<PageRef>) {
        let length = match fate {
            Fate::Fail(errno) => return (-errno, Vec::new()),
            Fate::Short(pages) => pages * PAGE,
            _ => request.length,
        };
        match request.inode.borrow().read(request.offset, length) {
            Some((bytes, pages)) => (bytes as i32, pages),
            None => (-libc::EIO, Vec::new()),
        }
    }

    fn write(&mut self, request: &Request, fate: Fate, durable: bool) -> i32 {
        let mut inode = request.inode.borrow_mut();
        let stamp = self.next_stamp();
        let mut first = request.offset as usize / PAGE;
        let mut count = request.pages.len();
        if let Fate::Short(pages) = fate {
            count = pages;
        }
        // As much as there is room for, like the kernel.
        while inode.growth(((first + count) * PAGE) as u64) > self.free_bytes() {
            count -= 1;
            if count == 0 {
                return -libc::ENOSPC;
            }
        }
        let pages = &request.pages[..count];
        let bytes = (count * PAGE) as i32;
        let end = ((first + count) * PAGE) as u64;
        match fate {
            Fate::Fail(errno) => {
                // Any part of it may have been done.
                let torn = (first..).zip(pages).map(|(index, page)| {
                    let (before, done) = (inode.page(index), self.chance.next());
                    compose(|sector| {
                        if done >> sector & 1 == 1 {
                            page
                        } else {
                            &before
                        }
                    })
                });
                let torn = torn.collect::<Vec<_>>();
                // Nothing past the old end became part of the file.
                let inside = (inode.size() as usize / PAGE)
                    .saturating_sub(first)
                    .min(count);
                inode.write(stamp, first, &torn[..inside], false);
                return -errno;
            }
            Fate::Lost => {
                inode.extend(stamp, end, durable);
                return bytes;
            }
            Fate::Misdirected => {
                let size = inode.size() as usize / PAGE;
                inode.extend(stamp, end, durable);
                let places = size.max(first + count) - count + 1;
                if places == 1 {
                    // A file with no other place for it: then it is lost.
                    return bytes;
                }
                let other = self.chance.below(places as u64 - 1) as usize;
                first = if other >= first { other + 1 } else { other };
            }
            _ => {}
        }
        inode.write(stamp, first, pages, durable);
        bytes
    }

    fn sync(&mut self, request: &Request, fate: Fate, covered: Stamp) -> i32 {
        let mut inode = request.inode.borrow_mut();
        match fate {
            Fate::Fail(errno) => {
                inode.fail_sync(covered);
                -errno
            }
            // A sync that lies.
            Fate::Lost | Fate::Misdirected => 0,
            _ => {
                inode.sync(covered);
                0
            }
        }
    }

    /// What has completed for a host since it last asked.
    pub fn answers(&mut self, host: usize) -> VecDeque<Answer> {
        std::mem::take(&mut self.hosts[host].answers)
    }

    pub fn has_answers(&self, host: usize) -> bool {
        !self.hosts[host].answers.is_empty()
    }

    fn crash(&mut self, crash: Crash) {
        self.trace.note("crash", &[self.now]);
        self.hosts.iter_mut().for_each(HostState::die);
        let in_flight = std::mem::take(&mut self.events).into_sorted_vec();
        let in_flight = in_flight.into_iter().map(|Reverse(event)| event.request);
        let in_flight = in_flight.rev().chain(std::mem::take(&mut self.stuck));
        for request in in_flight.collect::<Vec<_>>() {
            self.hosts[request.host].in_flight = 0;
            let stamp = self.next_stamp();
            let first = request.offset as usize / PAGE;
            let mut inode = request.inode.borrow_mut();
            inode.write_in_flight(stamp, first, &request.pages);
        }
        let mut survival = Survival::new(crash, &mut self.fortune);
        self.root.borrow_mut().crash(&mut survival);
    }
}

impl HostState {
    fn die(&mut self) {
        self.alive = false;
        self.answers.clear();
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Event) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Event) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Event {
    fn key(&self) -> (Nanos, u64, u64) {
        (self.at, self.shuffle, self.sequence)
    }
}

const _: () = assert!(PAGE.is_multiple_of(SECTOR));

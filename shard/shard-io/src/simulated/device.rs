//! The device behind a simulated disk: an event queue in virtual time, latency, completion, crash.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;

use super::faults::{Fate, Faults};
use super::inode::{Inode, InodeRef, PageRef, Stamp, Survival, compose};
use super::namespace::{Copies, DirectoryRef};
use super::random::Random;
use super::trace::{Trace, fold};
use super::{Crash, SECTOR, SimulatedOptions};
use crate::flight::Token;
use crate::operation::Step;
use crate::planted::{Defect, planted};
use crate::{Doing, Nanos, PAGE};

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
    /// When the last transfer in line ends.
    transferred: Nanos,
    chance: Random,
    fortune: Random,
    events: BinaryHeap<Reverse<Event>>,
    stuck: Vec<Rc<Request>>,
    sequence: u64,
    stamp: Stamp,
    hosts: Vec<HostState>,
    pub root: DirectoryRef,
    inodes: u64,
    used: Rc<Cell<u64>>,
    pub faults: Faults,
    pub trace: Trace,
    pub counters: DiskCounters,
    pub operations: u64,
    pub crashes: u64,
    planned: Option<PlannedEnd>,
    /// Other outcomes that a planned crash is to have besides, and those of the last one.
    pub ways: Vec<Crash>,
    pub outcomes: Vec<Disk>,
}

struct PlannedEnd {
    /// Operations that are asked for before the one in whose midst it comes.
    spared: u64,
    /// None where only the process is killed.
    crash: Option<Crash>,
}

#[derive(Default)]
struct HostState {
    alive: bool,
    in_flight: usize,
    /// What the newest write carries; for a planted mistake.
    newest: Vec<PageRef>,
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
    request: Rc<Request>,
}

impl Disk {
    pub fn new(seed: u64, options: SimulatedOptions) -> Disk {
        Disk {
            options,
            now: 0,
            latency: Random::new(seed, 1),
            transferred: 0,
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
            operations: 0,
            crashes: 0,
            planned: None,
            ways: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    pub fn add_host(&mut self) -> usize {
        self.hosts.push(HostState {
            alive: true,
            in_flight: 0,
            newest: Vec::new(),
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
        self.enter(request);
        self.count_operation();
    }

    /// The power goes in the midst of an operation: when it is under way, or done and not yet answered.
    pub fn count_operation(&mut self) {
        self.operations += 1;
        match &mut self.planned {
            None => {}
            Some(planned) if planned.spared > 0 => planned.spared -= 1,
            Some(planned) => {
                let Some(crash) = planned.crash else {
                    self.planned = None;
                    self.crashes += 1;
                    return self.kill();
                };
                let seeds = self.operations << 8..;
                let ways = seeds.zip(&self.ways);
                self.outcomes = ways
                    .map(|(seed, way)| self.crashed_copy(seed, *way))
                    .collect();
                self.crash(crash);
            }
        }
    }

    fn enter(&mut self, request: Request) {
        let request = Rc::new(request);
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
            Step::SyncNames => unreachable!("names are synced at once"),
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
        if planted(Defect::BufferReusedInFlight) && !request.pages.is_empty() {
            self.hosts[request.host].newest.clone_from(&request.pages);
        }
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

    fn schedule(&mut self, request: Rc<Request>, fate: Fate) {
        let latency = &self.options.latency;
        let spread = latency.most.saturating_sub(latency.least) + 1;
        let mut takes = latency.least + self.latency.below(spread);
        if self.latency.chance(latency.tail_probability) {
            takes *= latency.tail_factor.max(1);
        }
        if matches!(fate, Fate::Fail(_)) {
            takes *= self.options.failing_factor.max(1);
        }
        if let Some(rate) = self.options.bytes_per_second {
            let transfer = request.length as u64 * 1_000_000_000 / rate.max(1);
            self.transferred = self.transferred.max(self.now) + transfer;
            takes += self.transferred - self.now;
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
            Step::SyncNames => unreachable!("names are synced at once"),
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
        if request.pages.is_empty() {
            return 0;
        }
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
        let newest = &self.hosts[request.host].newest;
        let reused = planted(Defect::BufferReusedInFlight) && newest.len() == request.pages.len();
        let pages = &if reused { newest } else { &request.pages }[..count];
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

    /// A write into the page cache, which reads see at once.
    pub fn store(&mut self, inode: &InodeRef, offset: u64, bytes: &[u8]) {
        let (stamp, mut inode) = (self.next_stamp(), inode.borrow_mut());
        let (mut at, mut rest) = (offset as usize, bytes);
        while !rest.is_empty() {
            let (index, inside) = (at / PAGE, at % PAGE);
            let (part, more) = rest.split_at(rest.len().min(PAGE - inside));
            let mut page = inode.page(index).map_or([0; PAGE], |page| *page);
            page[inside..][..part.len()].copy_from_slice(part);
            let end = at + part.len();
            inode.store(stamp, index, Some(Rc::new(page)), end as u64);
            (at, rest) = (end, more);
        }
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

    pub fn unstick(&mut self) {
        for request in std::mem::take(&mut self.stuck) {
            self.schedule(request, Fate::Normal);
        }
    }

    pub fn kill(&mut self) {
        self.trace.note("kill", &[self.now]);
        self.hosts.iter_mut().for_each(HostState::die);
    }

    pub fn end_at(&mut self, spared: u64, crash: Option<Crash>) {
        self.planned = Some(PlannedEnd { spared, crash });
    }

    pub fn crash(&mut self, crash: Crash) {
        self.trace.note("crash", &[self.now]);
        self.crashes += 1;
        self.planned = None;
        self.hosts.iter_mut().for_each(HostState::die);
        for request in self.in_flight_in_order() {
            let stamp = self.stamp + 1;
            self.stamp = stamp;
            request.land(stamp, &request.inode);
        }
        self.events.clear();
        self.stuck.clear();
        self.hosts.iter_mut().for_each(|host| host.in_flight = 0);
        let mut survival = Survival::new(crash, &mut self.fortune);
        self.root.borrow_mut().crash(&mut survival);
    }

    /// The same files, with nobody there.
    fn copy(&self, seed: u64) -> (Disk, Copies) {
        let mut copy = Disk::new(seed, self.options.clone());
        copy.now = self.now;
        copy.stamp = self.stamp;
        copy.inodes = self.inodes;
        let mut copies = Copies::new(&copy.used);
        copy.root = copies.directory(&self.root);
        (copy, copies)
    }

    /// As after a kill, with everything landed that was in flight.
    pub fn killed_copy(&self, seed: u64) -> Disk {
        let (mut copy, copies) = self.copy(seed);
        copy.hosts.resize_with(self.hosts.len(), HostState::default);
        let flying = self.events_in_order().into_iter();
        let flying = flying.map(|event| (event.fate, event.covered, &event.request));
        let stuck = self.stuck.iter();
        let stuck = stuck.map(|request| (Fate::Normal, self.stamp, request));
        for (fate, covered, request) in flying.chain(stuck) {
            let Some(inode) = copies.known(&request.inode) else {
                continue;
            };
            let request = Request {
                inode: Rc::clone(inode),
                pages: request.pages.clone(),
                ..**request
            };
            match request.step {
                Step::Write { dsync } => {
                    copy.write(&request, fate, dsync);
                }
                Step::Sync => {
                    copy.sync(&request, fate, covered);
                }
                Step::Read | Step::SyncNames => {}
            }
        }
        copy
    }

    pub fn crashed_copy(&self, seed: u64, crash: Crash) -> Disk {
        let (mut copy, copies) = self.copy(seed);
        for request in self.in_flight_in_order() {
            let stamp = copy.next_stamp();
            // A file without a name is lost anyway.
            if let Some(inode) = copies.known(&request.inode) {
                request.land(stamp, inode);
            }
        }
        copy.crash(crash);
        copy
    }

    /// Everything in flight in the order in which it would complete.
    fn in_flight_in_order(&self) -> Vec<Rc<Request>> {
        let events = self.events_in_order().into_iter();
        let requests = events.map(|event| &event.request);
        requests.chain(&self.stuck).cloned().collect()
    }

    fn events_in_order(&self) -> Vec<&Event> {
        let events = self.events.iter().map(|Reverse(event)| event);
        let mut events = events.collect::<Vec<_>>();
        events.sort();
        events
    }
}

impl Request {
    /// What a write that was cut may have left behind.
    fn land(&self, stamp: Stamp, inode: &InodeRef) {
        if self.pages.is_empty() {
            return;
        }
        let first = self.offset as usize / PAGE;
        inode
            .borrow_mut()
            .write_in_flight(stamp, first, &self.pages);
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

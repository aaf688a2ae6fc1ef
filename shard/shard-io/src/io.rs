//! One thread's door to the kernel.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use crate::buffer::FramePool;
use crate::flight::{Flight, Token};
use crate::memory::MemoryDoor;
use crate::operation::{Kind, Operation};
use crate::portable::Portable;
use crate::probe::{self, RingFacts};
use crate::report::DirectoryFacts;
use crate::ring::Ring;
use crate::simulated::Host;
use crate::visit::Visits;
use crate::{
    Backend, BackendKind, Buffer, Counters, Direct, Directory, Doing, Doorbell, File, IoError,
    IoOptions, MemoryDisk, Nanos, PAGE, Report, Result, SimulatedDisk, Sleep, Ticket, Visited,
    WriteDurability, system,
};

/// One thread's door to the kernel; clones share it. See the crate's front page for its rules.
///
/// The last handle (an `Io`, [`Directory`] or [`Ticket`]) to go waits for everything in flight.
#[derive(Clone)]
pub struct Io(Rc<Inner>);

pub(crate) struct Inner {
    id: u64,
    pub(crate) flight: RefCell<Flight>,
    /// An enum and not a trait object: the hot path has no indirect call.
    door: Option<Door>,
    pool: Rc<FramePool>,
    direct: Direct,
    reason: String,
    facts: RingFacts,
    directories: RefCell<Vec<DirectoryFacts>>,
    counters: Cell<Counters>,
    /// Completions reaped by a park, which the next turn counts.
    parked_completions: Cell<usize>,
    /// Kept between turns, to allocate nothing in them.
    ready: Cell<Vec<(Token, i32)>>,
    wakers: Cell<Vec<Waker>>,
    visits: Visits,
}

// Boxing would cost every operation a pointer chase to save memory in the one `Io` of a thread.
#[allow(clippy::large_enum_variant)]
enum Door {
    Ring(Ring),
    Portable(Portable),
    Simulated(Host),
    Memory(MemoryDoor),
}

/// Tells one `Io`'s registered frames and files from another's.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Io {
    /// Opens the door that the options name, after a real probe.
    pub fn open(options: &IoOptions) -> Result<Io> {
        Io::open_up_to(probe::RUNGS_ALL, options)
    }

    pub(crate) fn open_up_to(rungs_max: usize, options: &IoOptions) -> Result<Io> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let bell = system::eventfd().map_err(|errno| IoError::new(errno, Doing::Setup))?;
        let bell = Arc::new(bell);
        let forced = options.backend == Backend::Ring;
        let portable = |bell| match Portable::new(bell) {
            Ok(portable) => Ok(Door::Portable(portable)),
            Err(error) => Err(probe::setup_error(error)),
        };
        let (door, reason, facts) = match options.backend {
            Backend::Portable => (
                portable(bell)?,
                "asked for".to_owned(),
                RingFacts::default(),
            ),
            Backend::Auto | Backend::Ring => {
                match probe::open_ring(id, options, &bell, rungs_max) {
                    Ok((ring, facts)) => (
                        Door::Ring(ring),
                        "set up, restricted and tried with a no-op and a read".to_owned(),
                        facts,
                    ),
                    // Without descriptors no door opens; anything else the portable one does without.
                    Err(error) if forced || matches!(error.errno, libc::EMFILE | libc::ENFILE) => {
                        return Err(error);
                    }
                    Err(error) => (
                        portable(bell)?,
                        format!("the ring does not work here: {error}"),
                        RingFacts::default(),
                    ),
                }
            }
        };
        Ok(Io::with(
            id,
            door,
            options.frames_bytes,
            options.direct,
            reason,
            facts,
        ))
    }

    /// A host on a simulated disk. Several may share one disk and its clock.
    pub fn simulated(disk: &SimulatedDisk) -> Io {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let door = Door::Simulated(Host::new(disk));
        Io::with(
            id,
            door,
            0,
            Direct::Required,
            "asked for".to_owned(),
            RingFacts::default(),
        )
    }

    /// A host on files in memory. Several, of any threads, may share them.
    pub fn memory(disk: &MemoryDisk) -> Result<Io> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let bell = system::eventfd().map_err(|errno| IoError::new(errno, Doing::Setup))?;
        let door = Door::Memory(MemoryDoor::new(disk, Arc::new(bell)));
        let (direct, reason) = (Direct::Required, "asked for".to_owned());
        Ok(Io::with(id, door, 0, direct, reason, RingFacts::default()))
    }

    fn with(
        id: u64,
        door: Door,
        frames_bytes: usize,
        direct: Direct,
        reason: String,
        facts: RingFacts,
    ) -> Io {
        Io(Rc::new(Inner {
            id,
            flight: RefCell::default(),
            door: Some(door),
            pool: Rc::new(FramePool::new(id, frames_bytes)),
            direct,
            reason,
            facts,
            directories: RefCell::default(),
            counters: Cell::default(),
            parked_completions: Cell::new(0),
            ready: Cell::default(),
            wakers: Cell::default(),
            visits: Visits::none(),
        }))
    }

    /// Holds an existing directory. On a simulated disk and in memory the path is one of a name space of its own, made when
    /// missing. Blocks.
    pub fn directory(&self, path: &Path) -> Result<Directory> {
        match self.0.door() {
            Door::Simulated(host) => host.directory(path).map(Directory::simulated),
            Door::Memory(door) => door.directory(path).map(Directory::memory),
            Door::Ring(_) | Door::Portable(_) => Directory::kernel(&self.0, path),
        }
    }

    /// One page from the registered frame pool, or plain memory when the pool is exhausted. The contents are
    /// unspecified. Goes back to the pool when dropped.
    pub fn frame(&self) -> Buffer {
        let inner = &self.0;
        inner.drop_unwanted();
        inner.pool.take().unwrap_or_else(|| {
            match inner.visits.are_under_way() {
                // The owner sees to it that the next visitor finds some, if there may be more.
                true => inner.visits.lack_frames(inner.pool.may_grow()),
                false => inner.stock_frames(),
            }
            inner.pool.take().unwrap_or_else(|| Buffer::zeroed(PAGE))
        })
    }

    /// Moves the ceiling of the frame pool by so many bytes. Of chunks above it, whoever keeps frames is asked to let go:
    /// see [`Io::wishes`].
    pub fn move_frames_ceiling(&self, bytes: isize) {
        let pool = &self.0.pool;
        pool.set_ceiling(pool.ceiling().saturating_add_signed(bytes));
        self.0.drop_unwanted();
    }

    /// How often frames were wanted back. When this has changed, those that [`Buffer::is_wanted_back`] are to be dropped.
    pub fn wishes(&self) -> u64 {
        self.0.pool.wishes()
    }

    /// Fills the whole buffer from `offset`, unless the file ends before.
    pub fn read(&self, file: &File, offset: u64, buffer: Buffer) -> Ticket {
        let length = buffer.len();
        self.0.count(|counters| counters.reads += 1);
        self.start(Kind::Read, file, offset, buffer, length)
    }

    /// Writes the first `length` bytes of the buffer at `offset`.
    pub fn write(
        &self,
        file: &File,
        offset: u64,
        buffer: Buffer,
        length: usize,
        durability: WriteDurability,
    ) -> Ticket {
        self.0.count(|counters| {
            counters.writes += 1;
            counters.syncs += u64::from(durability == WriteDurability::Durable);
        });
        self.start(Kind::Write(durability), file, offset, buffer, length)
    }

    /// Makes this file's data durable: every write that completed before this call, and the size they need.
    pub fn sync(&self, file: &File) -> Ticket {
        self.0.count(|counters| counters.syncs += 1);
        self.start(Kind::Sync, file, 0, Buffer::empty(), 0)
    }

    /// Makes the names in a directory durable; see [`Directory::sync`].
    pub(crate) fn sync_names(inner: &Rc<Inner>, directory: &File) -> Ticket {
        let io = Io(Rc::clone(inner));
        io.start(Kind::SyncNames, directory, 0, Buffer::empty(), 0)
    }

    fn start(&self, kind: Kind, file: &File, offset: u64, buffer: Buffer, length: usize) -> Ticket {
        assert!(
            offset.is_multiple_of(PAGE as u64) && length.is_multiple_of(PAGE),
            "offset {offset} and length {length} must be multiples of {PAGE}"
        );
        assert!(length <= buffer.len(), "a write is longer than its buffer");
        let operation = Operation::new(kind, file.clone(), offset, buffer, length);
        let mut flight = self.0.flight.borrow_mut();
        let token = flight.insert(operation);
        self.0.enqueue(token, flight.operation(token));
        drop(flight);
        Ticket::new(Rc::clone(&self.0), token)
    }

    /// Submits everything queued and reaps everything ready. Wakes the wakers of what completed and runs nothing
    /// else. Returns how many operations completed since the last turn. Makes no system call when nothing is queued and
    /// nothing in flight.
    pub fn turn(&self) -> usize {
        self.0.parked_completions.take() + self.reap().1
    }

    /// Turns until everything is with the kernel, also the rest of operations that took it more than one step; true if
    /// operations completed meanwhile. Whoever waits for [`bell`](Self::bell) does this first.
    pub fn submit(&self) -> bool {
        let mut completed = self.0.parked_completions.take();
        loop {
            match self.reap() {
                (0, _) => return completed > 0,
                (_, done) => completed += done,
            }
        }
    }

    /// How many steps of operations have ended, and how many operations with them.
    fn reap(&self) -> (usize, usize) {
        let mut ready = self.0.ready.take();
        self.0.tidy_up_after_visits(&mut ready);
        match self.0.door() {
            Door::Ring(ring) => ring.turn(&mut ready),
            Door::Portable(portable) => portable.turn(&mut ready),
            Door::Simulated(host) => host.turn(&self.0.flight, &mut ready),
            Door::Memory(door) => door.turn(&self.0.flight, &mut ready),
        }
        (ready.len(), self.0.settle(ready))
    }

    /// Submits, then sleeps until a completion, the doorbell or the deadline (of [`now`](Self::now)'s clock).
    /// May return early. Idle, it is one blocked system call.
    pub fn park(&self, deadline: Option<Nanos>) {
        if let Some(sleep) = self.lie_down(deadline) {
            sleep.sleep();
        }
        self.get_up();
    }

    /// The first half of [`park`](Self::park): the sleep itself, while which another thread may [visit](Self::begin_visit),
    /// unless there is a reason to stay awake. [`get_up`](Self::get_up) comes next in any case.
    pub fn lie_down(&self, deadline: Option<Nanos>) -> Option<Sleep> {
        let mut ready = self.0.ready.take();
        self.0.tidy_up_after_visits(&mut ready);
        let sleep = match self.0.door() {
            Door::Ring(ring) => ring.lie_down(deadline, &mut ready),
            Door::Portable(portable) => portable.lie_down(deadline),
            Door::Simulated(host) => {
                host.park(deadline, &self.0.flight, &mut ready);
                None
            }
            Door::Memory(door) => {
                door.turn(&self.0.flight, &mut ready);
                ready.is_empty().then(|| door.lie_down(deadline))
            }
        };
        let stays = !ready.is_empty();
        self.settle_parked(ready);
        sleep.filter(|_| !stays)
    }

    /// The second half.
    pub fn get_up(&self) {
        let mut ready = self.0.ready.take();
        match self.0.door() {
            Door::Ring(ring) => ring.get_up(&mut ready),
            Door::Portable(portable) => portable.get_up(&mut ready),
            Door::Simulated(_) | Door::Memory(_) => {}
        }
        self.settle_parked(ready);
    }

    fn settle_parked(&self, ready: Vec<(Token, i32)>) {
        let completed = self.0.settle(ready);
        let parked = &self.0.parked_completions;
        parked.set(parked.get() + completed);
    }

    /// From here to [`end_visit`](Self::end_visit) this is used by a thread that is not its own, which sleeps or waits
    /// meanwhile. Nothing that is started goes to the kernel.
    pub fn begin_visit(&self) {
        self.0.visits.begin();
    }

    /// Ends what errands have done, and what takes no kernel, which wakes who waits for it; true if there was any.
    pub fn settle_visit(&self) -> bool {
        let mut ready = self.0.ready.take();
        self.0.visits.take_returned(&mut ready);
        if let Door::Memory(door) = self.0.door() {
            door.turn(&self.0.flight, &mut ready);
        }
        self.0.settle(ready) > 0
    }

    /// What the visit has left to do. `may_block`: the visitor may be asked to do it.
    pub fn end_visit(&self, may_block: bool) -> Visited {
        let visits = &self.0.visits;
        let mut visited = visits.end(may_block, &mut self.0.flight.borrow_mut());
        if let Door::Memory(door) = self.0.door() {
            visited.left |= door.is_asked();
        }
        visited
    }

    /// Sleeps until visitors have done what they took along.
    pub fn wait_for_errands(&self) {
        self.0.visits.wait();
    }

    /// What wakes this `Io` from other threads.
    pub fn doorbell(&self) -> Doorbell {
        match self.0.door() {
            Door::Ring(ring) => ring.doorbell(),
            Door::Portable(portable) => portable.doorbell(),
            Door::Simulated(host) => host.doorbell(),
            Door::Memory(door) => door.doorbell(),
        }
    }

    /// What the doorbell rings, an eventfd, for who waits for that in an executor instead of [`park`](Self::park). From
    /// now on completions ring it as well. Whoever is about to wait for it [`submit`](Self::submit)s first.
    pub fn bell(&self) -> Result<OwnedFd> {
        let inner = &self.0;
        let bell = match inner.door() {
            Door::Ring(ring) => ring.announce().and_then(|()| ring.bell().try_clone()),
            Door::Portable(portable) => {
                portable.announce();
                portable.bell().try_clone()
            }
            // Nothing is ever in flight.
            Door::Memory(door) => door.bell().try_clone(),
            Door::Simulated(_) => Err(std::io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        };
        bell.map(OwnedFd::from).map_err(probe::setup_error)
    }

    /// Operations started and not completed.
    pub fn in_flight(&self) -> usize {
        self.0.flight.borrow().pending()
    }

    /// Whether a turn would deliver something; known of the simulated disk alone.
    pub fn has_answers(&self) -> bool {
        matches!(self.0.door(), Door::Simulated(host) if host.has_answers())
    }

    /// Monotonic time; virtual on the simulated disk.
    pub fn now(&self) -> Nanos {
        match self.0.door() {
            Door::Simulated(host) => host.now(),
            Door::Ring(_) | Door::Portable(_) | Door::Memory(_) => system::monotonic(),
        }
    }

    /// Nanoseconds since 1970; virtual on the simulated disk.
    pub fn wall_clock(&self) -> Nanos {
        match self.0.door() {
            Door::Simulated(host) => host.wall_clock(),
            Door::Ring(_) | Door::Portable(_) | Door::Memory(_) => system::wall_clock(),
        }
    }

    /// Which door is in use and why.
    pub fn report(&self) -> Report {
        let inner = &self.0;
        let mut refused = inner.facts.refused.clone();
        let (backend, registered_bytes) = match inner.door() {
            Door::Ring(ring) => {
                if let Some(errno) = ring.registration_refused() {
                    let error = std::io::Error::from_raw_os_error(errno);
                    refused.push((
                        "more registered frames",
                        format!("{error}; raise the memlock limit (ulimit -l)"),
                    ));
                }
                (BackendKind::Ring, ring.registered_bytes())
            }
            Door::Portable(_) => (BackendKind::Portable, 0),
            Door::Simulated(_) => (BackendKind::Simulated, 0),
            Door::Memory(_) => (BackendKind::Memory, 0),
        };
        Report {
            kernel: system::kernel_release(),
            backend,
            reason: inner.reason.clone(),
            granted: inner.facts.granted.clone(),
            refused,
            fixed_files: inner.facts.fixed_files,
            registered_max_bytes: u64::from(inner.facts.chunks_max) * FramePool::CHUNK_BYTES as u64,
            registered_bytes,
            memlock_bytes: system::limit(libc::RLIMIT_MEMLOCK),
            directories: inner.directories.borrow().clone(),
        }
    }

    /// What was done since the `Io` was opened.
    pub fn counters(&self) -> Counters {
        let enters = match self.0.door() {
            Door::Ring(ring) => ring.enters(),
            Door::Portable(portable) => portable.enters(),
            Door::Memory(door) => door.enters(),
            Door::Simulated(_) => 0,
        };
        Counters {
            enters: enters + self.0.visits.errands(),
            ..self.0.counters.get()
        }
    }

    /// Keeps a lock descriptor until the `Io` closes. The ring holds it as one of its own files, so that a killed
    /// process's lock ends only after its last write has landed.
    pub fn hold(&self, lock: OwnedFd) {
        match self.0.door() {
            Door::Ring(ring) => ring.hold(lock),
            Door::Portable(portable) => portable.hold(lock),
            Door::Simulated(host) => host.hold(lock),
            // What it would keep others from ends with this process.
            Door::Memory(_) => drop(lock),
        }
    }
}

#[cfg(test)]
impl Io {
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }
}

impl Inner {
    fn door(&self) -> &Door {
        self.door.as_ref().expect("the door closes only in drop")
    }

    fn enqueue(&self, token: Token, operation: &Operation) {
        match self.door() {
            // What is in memory is never with the kernel.
            Door::Memory(door) => door.enqueue(token),
            _ if self.visits.are_under_way() => self.visits.put_aside(token),
            Door::Ring(ring) => ring.enqueue(token, operation),
            Door::Portable(portable) => portable.enqueue(token, operation),
            Door::Simulated(host) => host.enqueue(token, operation),
        }
    }

    fn drop_unwanted(&self) {
        if self.visits.are_under_way() {
            return;
        }
        while let Some((index, chunk)) = self.pool.gone() {
            // Should the ring refuse, it holds the pages until it is closed, and nobody reads into them meanwhile.
            if let Door::Ring(ring) = self.door() {
                ring.forget_chunk(index);
            }
            drop(chunk);
        }
    }

    fn stock_frames(&self) {
        let Some(chunk) = self.pool.grow() else {
            return;
        };
        let registered = match self.door() {
            Door::Ring(ring) => ring.register_chunk(&chunk),
            Door::Portable(_) | Door::Simulated(_) | Door::Memory(_) => false,
        };
        self.pool.stock(&chunk, registered);
    }

    /// Tells the kernel what visitors have left to tell it, and collects what they did themselves.
    fn tidy_up_after_visits(&self, ready: &mut Vec<(Token, i32)>) {
        if self.visits.lacked_frames() {
            self.stock_frames();
        }
        while let Some(slot) = self.visits.take_slot() {
            self.release_slot(slot);
        }
        while let Some(token) = self.visits.take_aside() {
            let mut flight = self.flight.borrow_mut();
            self.enqueue(token, flight.operation(token));
        }
        self.visits.take_returned(ready);
    }

    /// Acts on completions that were collected: continues what is unfinished, ends the rest, then wakes.
    fn settle(&self, mut ready: Vec<(Token, i32)>) -> usize {
        if ready.is_empty() {
            self.ready.set(ready);
            return 0;
        }
        let mut wakers = self.wakers.take();
        let mut completed = 0;
        for (token, answer) in ready.drain(..) {
            let mut flight = self.flight.borrow_mut();
            let operation = flight.operation(token);
            let kind = operation.kind;
            let Some(result) = operation.advance(answer) else {
                self.enqueue(token, operation);
                continue;
            };
            let finished = flight.finish(token, result);
            drop(flight);
            completed += 1;
            self.count_bytes(kind, result);
            wakers.extend(finished.waker);
            drop(finished.abandoned);
        }
        self.ready.set(ready);
        wakers.drain(..).for_each(Waker::wake);
        self.wakers.set(wakers);
        completed
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    fn count_bytes(&self, kind: Kind, result: Result<usize>) {
        let bytes = result.unwrap_or(0) as u64;
        self.count(|counters| match kind {
            Kind::Read => counters.read_bytes += bytes,
            Kind::Write(_) => counters.write_bytes += bytes,
            Kind::Sync | Kind::SyncNames => {}
        });
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn direct(&self) -> Direct {
        self.direct
    }

    pub(crate) fn fix(&self, fd: BorrowedFd<'_>) -> Option<u32> {
        match self.door() {
            Door::Ring(ring) if !self.visits.are_under_way() => ring.fix(fd),
            Door::Ring(_) | Door::Portable(_) | Door::Simulated(_) | Door::Memory(_) => None,
        }
    }

    /// Closes a file without waiting for it. The last close of a file whose name is gone frees its space, for which some
    /// file systems take tens of milliseconds.
    pub(crate) fn close(&self, fd: OwnedFd) {
        match &self.door {
            Some(Door::Ring(ring)) => ring.leave(fd),
            Some(Door::Portable(portable)) => portable.leave(fd),
            Some(Door::Simulated(_) | Door::Memory(_)) | None => drop(fd),
        }
    }

    /// Closes at once what waits to be closed; false when nothing did.
    pub(crate) fn close_waiting(&self) -> bool {
        match &self.door {
            Some(Door::Ring(ring)) => ring.close_waiting(),
            Some(Door::Portable(portable)) => portable.close_waiting(),
            Some(Door::Simulated(_) | Door::Memory(_)) | None => false,
        }
    }

    pub(crate) fn release_slot(&self, slot: u32) {
        if let Some(Door::Ring(ring)) = &self.door {
            match self.visits.are_under_way() {
                true => self.visits.leave_slot(slot),
                false => ring.release_slot(slot),
            }
        }
    }

    /// Remembers a directory for the report; returns where.
    pub(crate) fn note_directory(&self, facts: DirectoryFacts) -> usize {
        let mut directories = self.directories.borrow_mut();
        let known = directories
            .iter()
            .position(|known| known.path == facts.path);
        known.unwrap_or_else(|| {
            directories.push(facts);
            directories.len() - 1
        })
    }

    pub(crate) fn note_opened(&self, facts: usize, direct: bool, alignment: Option<(u32, u32)>) {
        let facts = &mut self.directories.borrow_mut()[facts];
        facts.direct = Some(direct);
        facts.alignment = alignment.or(facts.alignment);
    }

    pub(crate) fn directory_path(&self, facts: usize) -> String {
        self.directories.borrow()[facts].path.clone()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.visits.wait();
        let ring = match self.door.take() {
            Some(Door::Ring(ring)) => ring,
            Some(Door::Portable(portable)) => return portable.close(),
            Some(Door::Simulated(host)) => return host.close(),
            Some(Door::Memory(_)) | None => return,
        };
        if !ring.close() {
            // The kernel may still write to these: losing the memory is better than losing its next owner.
            std::mem::forget(std::mem::take(self.flight.get_mut()));
            std::mem::forget(Rc::clone(&self.pool));
            ring.leak();
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

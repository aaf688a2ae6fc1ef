//! The handle of a simulated disk: what a test does to it and asks of it.

use std::cell::{BorrowMutError, RefCell, RefMut};
use std::ops::Range;
use std::rc::Rc;

use super::device::{Disk, DiskCounters};
use super::faults::{Fate, Times};
use super::inode::InodeRef;
use super::namespace::{DirectoryRef, Node};
use super::{Crash, SimulatedOptions};
use crate::{Doing, Nanos};

/// A seeded disk with virtual time; clones share it. Give it hosts with [`Io::simulated`](crate::Io::simulated).
#[derive(Clone)]
pub struct SimulatedDisk(Rc<RefCell<Disk>>);

impl SimulatedDisk {
    /// An empty disk.
    pub fn new(seed: u64, options: SimulatedOptions) -> SimulatedDisk {
        SimulatedDisk::of(Disk::new(seed, options))
    }

    fn of(disk: Disk) -> SimulatedDisk {
        SimulatedDisk(Rc::new(RefCell::new(disk)))
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

    /// Cuts the power when `spared` more operations have been asked for and the next one is under way: 0 is the next
    /// one. Blocking calls count too, see [`operations`](Self::operations).
    pub fn crash_at(&self, spared: u64, crash: Crash) {
        self.disk().end_at(spared, Some(crash));
    }

    /// Kills every host's process in the same way, instead of a power cut that was planned. See [`kill`](Self::kill).
    pub fn kill_at(&self, spared: u64) {
        self.disk().end_at(spared, None);
    }

    /// A crash that was planned by [`crash_at`](Self::crash_at) is to have these outcomes, too, each on a copy.
    pub fn crash_also(&self, ways: Vec<Crash>) {
        self.disk().ways = ways;
    }

    /// The copies that the last planned crash has made.
    pub fn take_outcomes(&self) -> Vec<SimulatedDisk> {
        let outcomes = std::mem::take(&mut self.disk().outcomes);
        outcomes.into_iter().map(SimulatedDisk::of).collect()
    }

    /// Sets the wall clock forward, or back.
    pub fn move_wall_clock(&self, nanos: i64) {
        let options = &mut self.disk().options;
        options.wall_clock_start = options.wall_clock_start.saturating_add_signed(nanos);
    }

    /// What this disk would be after a crash now, drawn with another seed; this one goes on undisturbed. So one
    /// run can be cut at one point in many ways.
    pub fn crashed_copy(&self, seed: u64, crash: Crash) -> SimulatedDisk {
        SimulatedDisk::of(self.disk().crashed_copy(seed, crash))
    }

    /// What this disk would be after a kill now, when all has landed; this one goes on undisturbed.
    pub fn killed_copy(&self, seed: u64) -> SimulatedDisk {
        SimulatedDisk::of(self.disk().killed_copy(seed))
    }

    /// Operations asked for so far: reads, writes, syncs, and the blocking calls on files and directories.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// How often the power was cut so far, or a kill came that was planned.
    pub fn crashes(&self) -> u64 {
        self.disk().crashes
    }

    /// Kills every host's process. Nothing is lost: what is in flight still lands, each write in its time.
    pub fn kill(&self) {
        self.disk().kill();
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

    /// The same for a write after `spared` more have passed.
    pub fn misdirect_write_at(&self, spared: u64) {
        let mut disk = self.disk();
        let (doing, times) = (Doing::Write, Times::Once);
        disk.faults
            .add(doing, None, spared, Fate::Misdirected, times);
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
        self.disk().unstick();
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

//! What an `Io`, a file and a directory are on a simulated disk.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::device::{Disk, Request};
use super::inode::InodeRef;
use super::namespace::{DirectoryRef, Node};
use super::trace::fold;
use crate::directory::is_plain;
use crate::flight::{Flight, Token};
use crate::operation::{Operation, Step};
use crate::{Doing, Doorbell, IoError, Nanos, OpenMode, PAGE, Result, SimulatedDisk};

/// One `Io` on a simulated disk. Dead after a crash: then what was in flight has no answer, and what comes later is EIO. Only
/// a park answers what was in flight with EIO, so that code that blocks gets out.
#[derive(Clone)]
pub(crate) struct Host(Rc<Seat>);

struct Seat {
    disk: SimulatedDisk,
    host: usize,
    bell: Arc<AtomicBool>,
    /// Operations that a dead host was asked for.
    refused: RefCell<VecDeque<Token>>,
    held: RefCell<Vec<OwnedFd>>,
}

#[derive(Clone)]
pub(crate) struct SimulatedFile {
    host: Host,
    inode: InodeRef,
}

#[derive(Clone)]
pub(crate) struct SimulatedDirectory {
    host: Host,
    node: DirectoryRef,
}

impl Host {
    pub fn new(disk: &SimulatedDisk) -> Host {
        let host = disk.disk().add_host();
        Host(Rc::new(Seat {
            disk: disk.clone(),
            host,
            bell: Arc::default(),
            refused: RefCell::default(),
            held: RefCell::default(),
        }))
    }

    fn is_alive(&self) -> bool {
        self.0.disk.disk().is_alive(self.0.host)
    }

    pub fn doorbell(&self) -> Doorbell {
        Doorbell::simulated(Arc::clone(&self.0.bell))
    }

    pub fn hold(&self, lock: OwnedFd) {
        self.0.held.borrow_mut().push(lock);
    }

    pub fn now(&self) -> Nanos {
        self.0.disk.disk().now
    }

    pub fn wall_clock(&self) -> Nanos {
        let disk = self.0.disk.disk();
        disk.options.wall_clock_start + disk.now
    }

    /// Something has ended that was not delivered yet.
    pub fn has_answers(&self) -> bool {
        self.0.disk.disk().has_answers(self.0.host)
    }

    pub fn enqueue(&self, token: Token, operation: &Operation) {
        let file = operation.file.in_simulation();
        if !self.is_alive() || !file.host.is_alive() {
            self.0.refused.borrow_mut().push_back(token);
            return;
        }
        let (offset, length) = operation.remaining();
        let step = operation.step();
        let pages = match step {
            Step::Write { .. } => operation.buffer[operation.done..][..length]
                .chunks_exact(PAGE)
                .map(|page| match page.iter().all(|&byte| byte == 0) {
                    true => None,
                    false => Rc::<[u8]>::from(page).try_into().ok(),
                })
                .collect(),
            Step::Read | Step::Sync | Step::SyncNames => Vec::new(),
        };
        self.0.disk.disk().submit(Request {
            host: self.0.host,
            token,
            step,
            inode: Rc::clone(&file.inode),
            offset,
            length,
            pages,
        });
    }

    pub fn turn(&self, flight: &RefCell<Flight>, ready: &mut Vec<(Token, i32)>) {
        if self.is_alive() {
            let mut disk = self.0.disk.disk();
            disk.now += disk.options.turn_nanos;
            disk.run_due();
        }
        self.deliver(flight, ready);
    }

    /// Moves time to the next completion of anybody or to the deadline.
    pub fn park(
        &self,
        deadline: Option<Nanos>,
        flight: &RefCell<Flight>,
        ready: &mut Vec<(Token, i32)>,
    ) {
        let rung = self.0.bell.swap(false, Ordering::Acquire);
        if !self.is_alive() {
            self.0.refused.take();
            let flight = flight.borrow();
            return ready.extend(flight.tokens().map(|token| (token, -libc::EIO)));
        }
        if !rung {
            let mut disk = self.0.disk.disk();
            disk.run_due();
            if !disk.has_answers(self.0.host) {
                match (disk.next_event(), deadline) {
                    (Some(next), deadline) if deadline.is_none_or(|deadline| next <= deadline) => {
                        disk.run_next();
                    }
                    (_, Some(deadline)) => disk.now = disk.now.max(deadline),
                    // Nothing will ever happen; a real disk would sleep for ever.
                    _ => {}
                }
            }
        }
        self.deliver(flight, ready);
    }

    fn deliver(&self, flight: &RefCell<Flight>, ready: &mut Vec<(Token, i32)>) {
        let refused = self.0.refused.take();
        ready.extend(refused.into_iter().map(|token| (token, -libc::EIO)));
        for answer in self.0.disk.disk().answers(self.0.host) {
            let mut flight = flight.borrow_mut();
            let operation = flight.operation(answer.token);
            let rest = &mut operation.buffer[operation.done..];
            let bytes = answer.answer.max(0) as usize;
            if !answer.pages.is_empty() {
                let rest = &mut rest[..bytes];
                for (bytes, page) in rest.chunks_mut(PAGE).zip(&answer.pages) {
                    match page {
                        Some(page) => bytes.copy_from_slice(&page[..bytes.len()]),
                        None => bytes.fill(0),
                    }
                }
            }
            ready.push((answer.token, answer.answer));
        }
    }

    /// Waits for what is in flight, as a process that ends in order does. Stuck operations are left behind.
    pub fn close(&self) {
        // A panic inside the disk unwinds through here.
        let Ok(mut disk) = self.0.disk.try_disk() else {
            return;
        };
        while disk.is_alive(self.0.host) && disk.in_flight(self.0.host) > 0 {
            if !disk.run_next() {
                break;
            }
        }
        disk.end_host(self.0.host);
    }

    /// Finds a directory, and makes what is missing of the path, durably.
    pub fn directory(&self, path: &Path) -> Result<SimulatedDirectory> {
        let mut node = self.blocking(Doing::Open, None, |disk| Ok(Rc::clone(&disk.root)))?;
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let name = name
                .to_str()
                .ok_or(IoError::new(libc::EINVAL, Doing::Open))?;
            let known = node.borrow().get(name).cloned();
            let next = match known {
                Some(Node::Directory(next)) => next,
                Some(Node::File(_)) => return Err(IoError::new(libc::ENOTDIR, Doing::Open)),
                None => {
                    let next = DirectoryRef::default();
                    node.borrow_mut()
                        .add_durable(name, Node::Directory(Rc::clone(&next)));
                    next
                }
            };
            node = next;
        }
        Ok(SimulatedDirectory {
            host: self.clone(),
            node,
        })
    }

    /// A blocking call: refused when dead, failed when a fault says so, traced with its outcome.
    fn blocking<T>(
        &self,
        doing: Doing,
        inode: Option<u64>,
        call: impl FnOnce(&mut Disk) -> std::result::Result<T, i32>,
    ) -> Result<T> {
        let disk = &mut *self.0.disk.disk();
        let mut outcome = Err(libc::EIO);
        if disk.is_alive(self.0.host) {
            outcome = disk.strike(doing, inode).and_then(|()| call(disk));
            disk.count_operation();
            if !disk.is_alive(self.0.host) {
                outcome = Err(libc::EIO);
            }
        }
        let code = outcome.as_ref().map_or_else(|&errno| errno as u64, |_| 0);
        let values = [self.0.host as u64, inode.unwrap_or(0), code];
        disk.trace.note(&doing.to_string(), &values);
        outcome.map_err(|errno| IoError::new(errno, doing))
    }
}

impl SimulatedFile {
    fn blocking<T>(
        &self,
        doing: Doing,
        call: impl FnOnce(&mut Disk) -> std::result::Result<T, i32>,
    ) -> Result<T> {
        let inode = self.inode.borrow().id;
        self.host.blocking(doing, Some(inode), call)
    }

    pub fn size(&self) -> Result<u64> {
        self.blocking(Doing::Stat, |_| Ok(self.inode.borrow().size()))
    }

    /// Writes into the page cache, at any byte. One that fails has done a part.
    pub fn store(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let stored = self.blocking(Doing::Store, |disk| {
            if self.inode.borrow().growth(end) > disk.free_bytes() {
                return Err(libc::ENOSPC);
            }
            disk.store(&self.inode, offset, bytes);
            Ok(())
        });
        let is_inside = end <= self.inode.borrow().size();
        if stored.is_err() && is_inside && self.host.is_alive() {
            let part = &bytes[..bytes.len() / 2];
            self.host.0.disk.disk().store(&self.inode, offset, part);
        }
        stored
    }

    /// The first bytes, from the page cache.
    pub fn load(&self, bytes: usize) -> Result<Vec<u8>> {
        self.blocking(Doing::Read, |_| {
            let mut content = self.inode.borrow().contents();
            content.truncate(bytes);
            Ok(content)
        })
    }

    pub fn allocate(&self, bytes: u64) -> Result<()> {
        self.blocking(Doing::Allocate, |disk| {
            let mut inode = self.inode.borrow_mut();
            if inode.growth(bytes) > disk.free_bytes() {
                return Err(libc::ENOSPC);
            }
            let stamp = disk.next_stamp();
            inode.extend(stamp, bytes, false);
            Ok(())
        })
    }

    pub fn truncate(&self, bytes: u64) -> Result<()> {
        self.blocking(Doing::Allocate, |disk| {
            let mut inode = self.inode.borrow_mut();
            if inode.growth(bytes) > disk.free_bytes() {
                return Err(libc::ENOSPC);
            }
            let stamp = disk.next_stamp();
            inode.set_size(stamp, bytes);
            Ok(())
        })
    }
}

impl SimulatedDirectory {
    fn blocking<T>(
        &self,
        doing: Doing,
        name: &str,
        call: impl FnOnce(&mut Disk) -> std::result::Result<T, i32>,
    ) -> Result<T> {
        self.host.blocking(doing, None, |disk| {
            disk.trace.note("name", &[fold(name.as_bytes())]);
            if !is_plain(name) {
                return Err(libc::EINVAL);
            }
            call(disk)
        })
    }

    pub fn open(&self, name: &str, mode: OpenMode) -> Result<SimulatedFile> {
        let doing = match mode {
            OpenMode::CreateNew => Doing::Create,
            OpenMode::Read | OpenMode::ReadWrite => Doing::Open,
        };
        let inode = self.blocking(doing, name, |disk| {
            let mut node = self.node.borrow_mut();
            match (node.get(name), mode) {
                (Some(Node::Directory(_)), _) => Err(libc::EISDIR),
                (Some(Node::File(_)), OpenMode::CreateNew) => Err(libc::EEXIST),
                (Some(Node::File(inode)), _) => Ok(Rc::clone(inode)),
                (None, OpenMode::CreateNew) => {
                    let inode = disk.new_inode();
                    node.add(name, Node::File(Rc::clone(&inode)));
                    Ok(inode)
                }
                (None, _) => Err(libc::ENOENT),
            }
        })?;
        Ok(SimulatedFile {
            host: self.host.clone(),
            inode,
        })
    }

    pub fn remove(&self, name: &str) -> Result<()> {
        self.blocking(Doing::Remove, name, |_| {
            let mut node = self.node.borrow_mut();
            match node.get(name) {
                None => Err(libc::ENOENT),
                Some(Node::Directory(_)) => Err(libc::EISDIR),
                Some(Node::File(_)) => {
                    node.remove(name);
                    Ok(())
                }
            }
        })
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.blocking(Doing::Rename, from, |_| {
            if !is_plain(to) {
                return Err(libc::EINVAL);
            }
            let mut node = self.node.borrow_mut();
            if node.get(from).is_none() {
                return Err(libc::ENOENT);
            }
            node.rename(from, to);
            Ok(())
        })
    }

    pub fn list(&self) -> Result<Vec<String>> {
        self.host
            .blocking(Doing::List, None, |_| Ok(self.node.borrow().names()))
    }

    pub fn create_directory(&self, name: &str) -> Result<()> {
        self.blocking(Doing::Create, name, |_| {
            let mut node = self.node.borrow_mut();
            if node.get(name).is_some() {
                return Err(libc::EEXIST);
            }
            node.add(name, Node::Directory(DirectoryRef::default()));
            Ok(())
        })
    }

    pub fn directory(&self, name: &str) -> Result<SimulatedDirectory> {
        let node = self.blocking(Doing::Open, name, |_| match self.node.borrow().get(name) {
            None => Err(libc::ENOENT),
            Some(Node::File(_)) => Err(libc::ENOTDIR),
            Some(Node::Directory(node)) => Ok(Rc::clone(node)),
        })?;
        Ok(SimulatedDirectory {
            host: self.host.clone(),
            node,
        })
    }

    pub fn sync(&self) -> Result<()> {
        self.host.blocking(Doing::SyncDirectory, None, |disk| {
            disk.counters.directory_syncs += 1;
            self.node.borrow_mut().sync();
            Ok(())
        })
    }

    pub fn free_bytes(&self) -> Result<u64> {
        self.host
            .blocking(Doing::Stat, None, |disk| Ok(disk.free_bytes()))
    }
}

//! Files in memory, with what of them is durable, and with faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::content::{Content, Write};
use super::wire::{self, Answer, Request};

const ROOT: u64 = 1;
const DIRECTORY: u32 = 0o040_700;
const FILE: u32 = 0o100_600;

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOTEMPTY: i32 = 39;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;

type Outcome = Result<Answer, i32>;

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Write,
    Sync,
    Read,
}

pub struct Fault {
    pub call: Call,
    /// Calls that still pass.
    pub spared: u64,
    pub errno: i32,
    /// Again and again, or once.
    pub sticky: bool,
}

/// What reached the file that is recorded.
#[derive(Clone)]
pub enum Event {
    Write(Write),
    Flush,
}

enum Node {
    Directory {
        names: BTreeMap<String, u64>,
        durable: BTreeMap<String, u64>,
    },
    File {
        content: Content,
        durable: Content,
        /// Since the last sync, in their order.
        unsynced: Vec<Write>,
    },
}

/// The state of a mounted file system.
#[derive(Default)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Used space, and the most that there may be of it.
    pub capacity: u64,
    pub faults: Vec<Fault>,
    /// How long each write takes.
    pub delay: Duration,
    /// Opens are answered with the flag that makes the kernel forget about O_DSYNC.
    pub direct: bool,
    pub syncs: u64,
    pub writes: u64,
    /// Writes that were asked for and have not landed, by the number of their request.
    pub in_flight: BTreeSet<u64>,
    /// Writes and flushes of one file, in their order.
    pub record: Option<(u64, Vec<Event>)>,
}

fn directory() -> Node {
    Node::Directory {
        names: BTreeMap::new(),
        durable: BTreeMap::new(),
    }
}

fn file(content: Content) -> Node {
    Node::File {
        durable: content.clone(),
        content,
        unsynced: Vec::new(),
    }
}

impl Disk {
    pub fn new() -> Disk {
        Disk {
            nodes: BTreeMap::from([(ROOT, directory())]),
            next: ROOT + 1,
            capacity: u64::MAX,
            ..Disk::default()
        }
    }

    /// Puts a file into the root, or replaces what it holds.
    pub fn put(&mut self, name: &str, content: Content) -> u64 {
        let found = self.names(ROOT).expect("the root").get(name).copied();
        let node = found.unwrap_or_else(|| self.link(ROOT, name, Content::default()).expect("new"));
        self.nodes.insert(node, file(content));
        node
    }

    /// What a file holds now.
    pub fn content_of(&mut self, node: u64) -> Content {
        self.content(node).expect("a file").clone()
    }

    /// Cuts the power: what was not synced is kept or lost sector by sector as `kept` says, and names that were
    /// not synced are lost. Open files go on to exist without meaning.
    pub fn cut_power(&mut self, mut kept: impl FnMut() -> bool) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Directory { names, durable } => *names = durable.clone(),
                Node::File {
                    content,
                    durable,
                    unsynced,
                } => {
                    for write in unsynced.drain(..) {
                        durable.write_torn(&write, &mut kept);
                    }
                    *content = durable.clone();
                }
            }
        }
    }

    /// Does what the kernel asks.
    pub fn answer(&mut self, request: &Request<'_>) -> Outcome {
        let node = request.node;
        match request.opcode {
            wire::INIT => Ok(Answer::init(request.u32(8))),
            wire::LOOKUP => {
                let name = request.names(0).next().unwrap_or_default();
                let found = self.names(node)?.get(&name).copied().ok_or(ENOENT)?;
                self.entry(found)
            }
            wire::GETATTR => self.attributes(node),
            wire::SETATTR => {
                if request.u32(0) & wire::SET_SIZE != 0 {
                    self.resize(node, request.u64(16))?;
                }
                self.attributes(node)
            }
            wire::MKDIR => {
                let name = request.names(8).next().unwrap_or_default();
                let made = self.link(node, &name, Content::default())?;
                self.nodes.insert(made, directory());
                self.entry(made)
            }
            wire::CREATE => {
                let name = request.names(16).next().unwrap_or_default();
                let made = self.link(node, &name, Content::default())?;
                Ok(self.entry(made)?.u64(0).u32(self.open_flags()).u32(0))
            }
            wire::UNLINK | wire::RMDIR => {
                let name = request.names(0).next().unwrap_or_default();
                let gone = self.names(node)?.get(&name).copied().ok_or(ENOENT)?;
                if let Some(Node::Directory { names, .. }) = self.nodes.get(&gone)
                    && !names.is_empty()
                {
                    return Err(ENOTEMPTY);
                }
                // The node stays: it may be open, and a power cut may bring its name back.
                self.names(node)?.remove(&name);
                Ok(Answer::default())
            }
            wire::RENAME => self.rename(node, request.u64(0), request.names(8)),
            wire::RENAME2 => self.rename(node, request.u64(0), request.names(16)),
            wire::OPEN => Ok(Answer::default().u64(0).u32(self.open_flags()).u32(0)),
            wire::OPENDIR => Ok(Answer::default().u64(0).u32(0).u32(0)),
            wire::READ => {
                self.strike(Call::Read)?;
                let (offset, length) = (request.u64(8), request.u32(16) as usize);
                Ok(Answer::default().bytes(&self.content(node)?.read(offset, length)))
            }
            wire::WRITE => {
                let bytes = &request.rest(40)[..request.u32(16) as usize];
                self.write(node, request.u64(8), bytes)?;
                Ok(Answer::default().u32(bytes.len() as u32).u32(0))
            }
            wire::FSYNC => {
                self.sync(node)?;
                Ok(Answer::default())
            }
            wire::FSYNCDIR => {
                self.strike(Call::Sync)?;
                if let Some(Node::Directory { names, durable }) = self.nodes.get_mut(&node) {
                    *durable = names.clone();
                }
                Ok(Answer::default())
            }
            wire::FALLOCATE if request.u32(24) == 0 => {
                let end = request.u64(8) + request.u64(16);
                let size = self.content(node)?.size;
                self.resize(node, size.max(end))?;
                Ok(Answer::default())
            }
            wire::READDIR => {
                let (offset, room) = (request.u64(8), request.u32(16) as usize);
                self.list(node, offset as usize, room)
            }
            wire::STATFS => {
                let blocks = (self.capacity / 4096).min(1 << 40);
                let free = blocks.saturating_sub(self.used() / 4096);
                let answer = Answer::default().u64(blocks).u64(free).u64(free);
                let answer = answer
                    .u64(1 << 20)
                    .u64(1 << 20)
                    .u32(4096)
                    .u32(255)
                    .u32(4096);
                Ok((0..7).fold(answer, |answer, _| answer.u32(0)))
            }
            wire::FLUSH | wire::RELEASE | wire::RELEASEDIR | wire::DESTROY => Ok(Answer::default()),
            _ => Err(ENOSYS),
        }
    }

    fn open_flags(&self) -> u32 {
        if self.direct { wire::OPEN_DIRECT } else { 0 }
    }

    fn names(&mut self, node: u64) -> Result<&mut BTreeMap<String, u64>, i32> {
        match self.nodes.get_mut(&node) {
            Some(Node::Directory { names, .. }) => Ok(names),
            _ => Err(ENOENT),
        }
    }

    fn content(&mut self, node: u64) -> Result<&mut Content, i32> {
        match self.nodes.get_mut(&node) {
            Some(Node::File { content, .. }) => Ok(content),
            _ => Err(ENOENT),
        }
    }

    fn link(&mut self, parent: u64, name: &str, content: Content) -> Result<u64, i32> {
        let made = self.next;
        let names = self.names(parent)?;
        if names.contains_key(name) {
            return Err(EEXIST);
        }
        names.insert(name.to_owned(), made);
        self.next += 1;
        self.nodes.insert(made, file(content));
        Ok(made)
    }

    fn rename(
        &mut self,
        parent: u64,
        new_parent: u64,
        mut names: impl Iterator<Item = String>,
    ) -> Outcome {
        let (from, to) = (names.next().ok_or(ENOENT)?, names.next().ok_or(ENOENT)?);
        let moved = self.names(parent)?.remove(&from).ok_or(ENOENT)?;
        self.names(new_parent)?.insert(to, moved);
        Ok(Answer::default())
    }

    fn size_and_mode(&mut self, node: u64) -> Result<(u64, u32), i32> {
        match self.nodes.get(&node) {
            Some(Node::Directory { .. }) => Ok((0, DIRECTORY)),
            Some(Node::File { content, .. }) => Ok((content.size, FILE)),
            None => Err(ENOENT),
        }
    }

    fn entry(&mut self, node: u64) -> Outcome {
        let (size, mode) = self.size_and_mode(node)?;
        Ok(Answer::entry(node, size, mode))
    }

    fn attributes(&mut self, node: u64) -> Outcome {
        let (size, mode) = self.size_and_mode(node)?;
        let head = Answer::default().u64(0).u32(0).u32(0);
        Ok(head.attributes(node, size, mode))
    }

    fn list(&mut self, node: u64, offset: usize, room: usize) -> Outcome {
        let names: Vec<(String, u64)> = self.names(node)?.clone().into_iter().collect();
        let mut answer = Answer::default();
        for (index, (name, node)) in names.iter().enumerate().skip(offset) {
            let padding = name.len().next_multiple_of(8) - name.len();
            if answer.len() + 24 + name.len() + padding > room {
                break;
            }
            let (_, mode) = self.size_and_mode(*node)?;
            let head = answer.u64(*node).u64(index as u64 + 1);
            let head = head.u32(name.len() as u32).u32(mode >> 12);
            answer = head.bytes(name.as_bytes()).bytes(&[0; 8][..padding]);
        }
        Ok(answer)
    }

    /// Space of all files that have a name.
    pub fn used(&self) -> u64 {
        self.used_in(ROOT)
    }

    fn used_in(&self, node: u64) -> u64 {
        match self.nodes.get(&node) {
            Some(Node::Directory { names, .. }) => names.values().map(|it| self.used_in(*it)).sum(),
            Some(Node::File { content, .. }) => content.used(),
            None => 0,
        }
    }

    /// The size of a file is durable with the next sync; a truncation counts as one.
    fn resize(&mut self, node: u64, size: u64) -> Result<(), i32> {
        let mut synced = None;
        if let Some(Node::File {
            content, unsynced, ..
        }) = self.nodes.get_mut(&node)
        {
            let shrinks = size < content.size;
            content.resize(size);
            if shrinks {
                unsynced.clear();
                synced = Some(content.clone());
            }
        }
        if let (Some(now), Some(Node::File { durable, .. })) = (synced, self.nodes.get_mut(&node)) {
            *durable = now;
        }
        Ok(())
    }

    fn write(&mut self, node: u64, offset: u64, bytes: &[u8]) -> Result<(), i32> {
        self.writes += 1;
        self.strike(Call::Write)?;
        if self.capacity != u64::MAX && self.used() + bytes.len() as u64 > self.capacity {
            // Space that a file has is written again without more of it.
            let mut copy = self.content(node)?.clone();
            let before = copy.used();
            copy.write(offset, bytes);
            if self.used() + (copy.used() - before) > self.capacity {
                return Err(ENOSPC);
            }
        }
        let recorded = self.record.as_ref().is_some_and(|record| record.0 == node);
        let write = Write {
            offset,
            bytes: Arc::from(bytes),
        };
        if let Some(Node::File {
            content, unsynced, ..
        }) = self.nodes.get_mut(&node)
        {
            content.write(offset, bytes);
            // What is recorded keeps its own account.
            if !recorded {
                unsynced.push(write.clone());
            }
        }
        if recorded && let Some((_, events)) = &mut self.record {
            events.push(Event::Write(write));
        }
        Ok(())
    }

    /// A sync that fails has thrown away what it should have kept, and the next one succeeds: as on Linux.
    fn sync(&mut self, node: u64) -> Result<(), i32> {
        self.syncs += 1;
        let struck = self.strike(Call::Sync);
        if let Some((recorded, events)) = &mut self.record
            && *recorded == node
        {
            events.push(Event::Flush);
            return struck;
        }
        if let Some(Node::File {
            content,
            durable,
            unsynced,
        }) = self.nodes.get_mut(&node)
        {
            match struck {
                Ok(()) => {
                    for write in unsynced.drain(..) {
                        durable.write(write.offset, &write.bytes);
                    }
                    durable.resize(content.size);
                }
                Err(_) => unsynced.clear(),
            }
        }
        struck
    }

    fn strike(&mut self, call: Call) -> Result<(), i32> {
        let due = self.faults.iter_mut().position(|fault| {
            let due = fault.call == call && fault.spared == 0;
            if fault.call == call && fault.spared > 0 {
                fault.spared -= 1;
            }
            due
        });
        let Some(due) = due else { return Ok(()) };
        let errno = self.faults[due].errno;
        if !self.faults[due].sticky {
            self.faults.remove(due);
        }
        Err(errno)
    }
}

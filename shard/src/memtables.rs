//! The generations of the memtable: one that takes writes, and those on their way to tables.

use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::RANGE_DELETES_MAX;
use crate::memtable::Memtable;
use crate::ranges::RangeDelete;
use crate::replay::ReplayedGeneration;
use crate::tasks::yield_now;
use crate::version::Version;

/// So many range deletes make a memtable full.
const RANGES_FILL: usize = RANGE_DELETES_MAX / 16;

/// One memtable and the stretch of log that it stands for.
pub(crate) struct Generation {
    pub table: Rc<RefCell<Memtable>>,
    /// Its range deletes, oldest first.
    pub ranges: RefCell<Vec<RangeDelete>>,
    /// Frames up to this one are in this generation or an older one. Set when sealed.
    pub last_sequence: Cell<u64>,
    /// The oldest prepare frame whose changes were applied here: recovery needs it for as long as
    /// this generation is not in tables.
    pub needs_from: Cell<u64>,
}

impl Generation {
    fn new() -> Rc<Generation> {
        Generation::of(ReplayedGeneration {
            table: Memtable::new(),
            ranges: Vec::new(),
            last_sequence: u64::MAX,
            needs_from: u64::MAX,
        })
    }

    fn of(replayed: ReplayedGeneration) -> Rc<Generation> {
        Rc::new(Generation {
            table: Rc::new(RefCell::new(replayed.table)),
            ranges: RefCell::new(replayed.ranges),
            last_sequence: Cell::new(replayed.last_sequence),
            needs_from: Cell::new(replayed.needs_from),
        })
    }

    /// For a look at this key.
    #[inline]
    pub fn table_for(&self, key: &[u8]) -> Ref<'_, Memtable> {
        if self.table.borrow().is_late() {
            // Who walks over a memtable, and holds it meanwhile, let all its keys come to their places before.
            self.table.borrow_mut().place_near(key);
        }
        self.table.borrow()
    }

    pub fn bytes(&self) -> usize {
        self.table.borrow().bytes()
    }

    /// The same for who asks whether it is full: a few hundred range deletes fill any, since flushes are what rids the
    /// shard of them.
    pub fn filled(&self, full: usize) -> usize {
        match self.ranges.borrow().len() < RANGES_FILL {
            true => self.bytes(),
            false => self.bytes().max(full),
        }
    }

    /// Nothing of it has to go to tables, or into the manifest with them.
    pub fn is_empty(&self) -> bool {
        self.table.borrow().is_empty() && self.ranges.borrow().is_empty()
    }

    /// Sorts keys that came from the log, in slices: all at once would stop the shard.
    pub async fn sort(&self) {
        while self.table.borrow_mut().sort_some() {
            yield_now().await;
        }
    }

    /// The newest version in here.
    pub fn newest(&self) -> Version {
        let ranges = self.ranges.borrow();
        let newest = ranges.iter().map(|range| range.version).max();
        let table = self.table.borrow().newest();
        newest.max(table).unwrap_or_default()
    }
}

/// All of them.
pub(crate) struct Memtables {
    active: Rc<Generation>,
    /// Oldest first.
    sealed: VecDeque<Rc<Generation>>,
}

impl Memtables {
    /// What recovery found.
    pub fn replayed(generations: Vec<ReplayedGeneration>) -> Memtables {
        let mut generations: VecDeque<_> = generations.into_iter().map(Generation::of).collect();
        Memtables {
            active: generations.pop_back().unwrap_or_else(Generation::new),
            sealed: generations,
        }
    }

    pub fn active(&self) -> &Rc<Generation> {
        &self.active
    }

    /// Newest first, as a read must look at them.
    pub fn newest_first(&self) -> impl Iterator<Item = &Rc<Generation>> {
        std::iter::once(&self.active).chain(self.sealed.iter().rev())
    }

    /// Of those with keys that came from the log and wait to be sorted the one that goes to a table first.
    pub fn oldest_unsorted(&self) -> Option<Rc<Generation>> {
        let mut all = self.sealed.iter().chain([&self.active]);
        let unsorted = |generation: &&Rc<Generation>| generation.table.borrow().is_unsorted();
        all.find(unsorted).cloned()
    }

    pub fn oldest_sealed(&self) -> Option<&Rc<Generation>> {
        self.sealed.front()
    }

    pub fn sealed_count(&self) -> usize {
        self.sealed.len()
    }

    /// Ends the active generation at `last_sequence` and starts another.
    pub fn seal(&mut self, last_sequence: u64) -> Rc<Generation> {
        let sealed = std::mem::replace(&mut self.active, Generation::new());
        sealed.last_sequence.set(last_sequence);
        self.sealed.push_back(Rc::clone(&sealed));
        sealed
    }

    /// Forgets the oldest sealed generation: its content is in tables.
    pub fn drop_oldest(&mut self) {
        self.sealed.pop_front();
    }

    /// The oldest prepare frame that generations not yet in tables need, but for the oldest sealed
    /// one, which is about to be.
    pub fn needs_from_after_flush(&self) -> u64 {
        let rest = self.sealed.iter().skip(1);
        let generations = rest.chain(std::iter::once(&self.active));
        generations
            .map(|g| g.needs_from.get())
            .min()
            .unwrap_or(u64::MAX)
    }

    /// Everything is in tables.
    pub fn are_empty(&self) -> bool {
        self.newest_first().all(|generation| generation.is_empty())
    }

    pub fn bytes(&self) -> usize {
        self.newest_first().map(|g| g.bytes()).sum()
    }
}

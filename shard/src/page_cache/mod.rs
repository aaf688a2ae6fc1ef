//! Blocks of tables, in memory, within a budget. S3-FIFO: a block comes into the small queue, which
//! holds a tenth; if it is asked for again while there, it moves to the main queue, otherwise it is
//! evicted and only remembered, as is what the main queue lets go. A remembered block that comes back goes to the main
//! queue. So a scan passes through the small queue and drives nothing else out. A hit only counts; it moves nothing.
//!
//! Whoever got a block keeps it in memory beyond eviction for as long as it holds on to it.

mod ghosts;
mod list;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hashbrown::HashTable;
use ringkeep_io::PAGE;
use ringkeep_io::planted::{Defect, planted};

use crate::table::{Block, BlockHandle, BlockSource, TableId};
use ghosts::Ghosts;
use list::{Links, List, NONE};

/// The small queue's share of the budget is one part in so many.
const SMALL_PARTS: usize = 10;
/// A block larger than one part in so many of the budget is not cached.
const BLOCK_PARTS: usize = 4;
/// A block hit more often than this while in the small queue is kept. One hit is not enough: it may
/// be the same caller's next page, or the neighbouring key.
const HITS_TO_STAY: u8 = 1;
const HITS_COUNTED: u8 = 3;
/// Slots looked through at a time for memory that is wanted back.
const SLOTS_PER_SLICE: usize = 512;

/// What a cached block costs beside its buffer: slot, block, reference counts, hash table, ghost.
pub(crate) const ENTRY_OVERHEAD: usize = size_of::<Slot>() + size_of::<Block>() + 16 + 10 + 26;

/// The cache of one shard.
pub(crate) struct PageCache {
    budget: usize,
    bytes: usize,
    small_bytes: usize,
    map: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// So many slots, from this one on, were not looked through since memory was last wanted back.
    unsearched: usize,
    search_at: usize,
    small: List,
    main: List,
    ghosts: Ghosts,
    tables: BTreeMap<TableId, List>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    came_back: u64,
}

struct Slot {
    table: TableId,
    page: u32,
    hits: Cell<u8>,
    queue: Queue,
    in_queue: Links,
    in_table: Links,
    /// Nothing while the slot is free.
    block: Option<Rc<Block>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Small,
    Main,
}

impl PageCache {
    /// An empty cache that will take at most `budget` bytes.
    pub fn new(budget: usize) -> PageCache {
        PageCache {
            budget,
            bytes: 0,
            small_bytes: 0,
            map: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            unsearched: 0,
            search_at: 0,
            small: List::EMPTY,
            main: List::EMPTY,
            ghosts: Ghosts::new(),
            tables: BTreeMap::new(),
            hits: Cell::new(0),
            misses: Cell::new(0),
            came_back: 0,
        }
    }

    /// The block, if it is here.
    #[inline]
    pub fn get(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>> {
        let found = self.at_hand(table, handle);
        if found.is_none() {
            self.misses.set(self.misses.get() + 1);
        }
        found
    }

    /// The same for who asks again if it is not: that is when it is missed.
    #[inline]
    pub fn at_hand(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>> {
        let slot = self.find(table, handle.page)?;
        let slot = &self.slots[slot as usize];
        slot.hits.set(HITS_COUNTED.min(slot.hits.get() + 1));
        self.hits.set(self.hits.get() + 1);
        slot.block.clone()
    }

    /// Takes a block in and makes room for it. One that is here already stays; one that is large
    /// beside the budget, or whose memory is wanted back, is not taken.
    pub fn insert(&mut self, table: TableId, block: Rc<Block>) {
        let page = block.handle().page;
        let is_too_large = cost(&block) > self.budget / BLOCK_PARTS;
        if is_too_large || block.is_wanted_back() || self.find(table, page).is_some() {
            return;
        }
        let hash = hash(table, page);
        let queue = match self.ghosts.forget(hash) {
            true => Queue::Main,
            false => Queue::Small,
        };
        self.came_back += u64::from(queue == Queue::Main);
        self.bytes += cost(&block);
        let slot = Slot {
            table,
            page,
            hits: Cell::new(0),
            queue,
            in_queue: Links::UNLINKED,
            in_table: Links::UNLINKED,
            block: Some(block),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        let slots = &self.slots;
        self.map.insert_unique(hash, index, |&other| {
            let other = &slots[other as usize];
            self::hash(other.table, other.page)
        });
        let of_table = self.tables.entry(table).or_insert(List::EMPTY);
        of_table.push(&mut self.slots, index, |slot| &mut slot.in_table);
        self.enqueue(index, queue);
        self.evict();
    }

    /// A block that was asked for and shall drive out no other: remembered as if it had been here for a moment.
    pub fn pass_by(&mut self, table: TableId, block: &Block) {
        let hash = hash(table, block.handle().page);
        self.came_back += u64::from(self.ghosts.forget(hash));
        self.ghosts.remember(hash, self.map.len());
    }

    /// Drops all blocks of a table that is no more.
    pub fn forget(&mut self, table: TableId) {
        while let Some(of_table) = self.tables.get(&table) {
            let slot = of_table.oldest;
            self.dequeue(slot);
            self.remove(slot);
        }
    }

    /// What it may take from now on: at once, when that is less.
    pub fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
        self.evict();
    }

    /// Of some blocks the memory is wanted back.
    pub fn begin_giving_back(&mut self) {
        self.unsearched = self.slots.len();
    }

    /// Drops some of these: to look for all at once would stop the shard.
    pub fn give_back_some(&mut self) {
        for _ in 0..self.unsearched.min(SLOTS_PER_SLICE) {
            self.unsearched -= 1;
            let index = self.search_at % self.slots.len();
            self.search_at = index + 1;
            let block = self.slots[index].block.as_deref();
            if block.is_some_and(Block::is_wanted_back) {
                self.dequeue(index as u32);
                self.remove(index as u32);
            }
        }
    }

    /// This block would drive no other out.
    pub fn has_room_for(&self, block: &Block) -> bool {
        self.bytes + cost(block) <= self.budget
    }

    /// Blocks of so many bytes would drive no other out, whatever they cost beside their bytes.
    pub fn has_room_for_bytes(&self, bytes: usize) -> bool {
        self.bytes + 2 * bytes <= self.budget
    }

    /// Whether a block is here, for who does not ask for it.
    pub fn has(&self, table: TableId, handle: BlockHandle) -> bool {
        self.find(table, handle.page).is_some()
    }

    /// Blocks of so many bytes may come at once for somebody who asks for them in a moment: they are here then, if nobody else's
    /// come between.
    pub fn passing_bytes(&self) -> usize {
        self.budget / SMALL_PARTS / (PAGE + ENTRY_OVERHEAD) * PAGE
    }

    /// Every further block drives another one out.
    pub fn is_full(&self) -> bool {
        self.bytes + PAGE + ENTRY_OVERHEAD > self.budget
    }

    /// Blocks taken in that had been evicted not long before: with twice the memory they would have been here.
    pub fn came_back(&self) -> u64 {
        self.came_back
    }

    /// Memory taken: buffers, and `ENTRY_OVERHEAD` for each block.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Blocks here.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// How often a block that was asked for was here.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// How often it was not.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }

    #[inline]
    fn find(&self, table: TableId, page: u32) -> Option<u32> {
        let is = |&slot: &u32| {
            let slot = &self.slots[slot as usize];
            let same = slot.table == table || planted(Defect::StaleCacheLine);
            same && slot.page == page
        };
        self.map.find(hash(table, page), is).copied()
    }

    fn evict(&mut self) {
        while self.bytes > self.budget {
            if self.small_bytes > self.budget / SMALL_PARTS || self.main.is_empty() {
                self.evict_small();
            } else {
                self.evict_main();
            }
        }
    }

    fn evict_small(&mut self) {
        let index = self.small.oldest;
        self.dequeue(index);
        let slot = &self.slots[index as usize];
        if slot.hits.get() > HITS_TO_STAY {
            slot.hits.set(0);
            self.enqueue(index, Queue::Main);
        } else {
            let hash = hash(slot.table, slot.page);
            self.ghosts.remember(hash, self.map.len());
            self.remove(index);
        }
    }

    fn evict_main(&mut self) {
        let index = self.main.oldest;
        self.dequeue(index);
        let slot = &self.slots[index as usize];
        match slot.hits.get() {
            0 => {
                let hash = hash(slot.table, slot.page);
                self.ghosts.remember(hash, self.map.len());
                self.remove(index);
            }
            hits => {
                slot.hits.set(hits - 1);
                self.enqueue(index, Queue::Main);
            }
        }
    }

    fn enqueue(&mut self, index: u32, queue: Queue) {
        self.slots[index as usize].queue = queue;
        let list = match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        };
        list.push(&mut self.slots, index, |slot| &mut slot.in_queue);
        if queue == Queue::Small {
            self.small_bytes += self.cost_of(index);
        }
    }

    fn dequeue(&mut self, index: u32) {
        let queue = self.slots[index as usize].queue;
        let list = match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        };
        list.remove(&mut self.slots, index, |slot| &mut slot.in_queue);
        if queue == Queue::Small {
            self.small_bytes -= self.cost_of(index);
        }
    }

    /// Drops the block of a slot that is in no queue any more.
    fn remove(&mut self, index: u32) {
        self.bytes -= self.cost_of(index);
        let Slot { table, page, .. } = self.slots[index as usize];
        if let Ok(found) = self
            .map
            .find_entry(hash(table, page), |&slot| slot == index)
        {
            found.remove();
        }
        if let Some(of_table) = self.tables.get_mut(&table) {
            of_table.remove(&mut self.slots, index, |slot| &mut slot.in_table);
            if of_table.oldest == NONE {
                self.tables.remove(&table);
            }
        }
        self.slots[index as usize].block = None;
        self.free.push(index);
    }

    fn cost_of(&self, index: u32) -> usize {
        self.slots[index as usize].block.as_deref().map_or(0, cost)
    }
}

impl BlockSource for PageCache {
    #[inline]
    fn block(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>> {
        self.get(table, handle)
    }
}

fn cost(block: &Block) -> usize {
    block.bytes() + ENTRY_OVERHEAD
}

/// Tables and pages count up from zero: mixed so that both halves of the hash are good.
#[inline]
fn hash(table: TableId, page: u32) -> u64 {
    let mut hash = table.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(page);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

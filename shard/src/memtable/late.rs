//! Keys that came from the log and have no place in the index yet. They wait by its segments: who looks for a key
//! or writes one brings those of its segment to their places first, once. That reads and writes a stretch
//! of memory that fits in the processor's caches, and takes some tens of nanoseconds a key. The rest go
//! there in slices, before keys are sorted, and from then on a memtable is like any other.

use super::Memtable;
use super::arena::{Address, Arena};
use super::key_index::{Found, Hash, SEGMENTS};

/// Keys that go to their places at a time, at most: some tens of microseconds.
const PLACED_AT_A_TIME: usize = 1024;

/// So few are not worth the way to their segment as long as more may come.
const MANY: usize = 128;

pub(super) struct LateKeys {
    segments: Box<[Late]>,
    /// The segment whose turn it is.
    turn: usize,
}

/// Keys of one segment in the order in which they came, the first `placed` of them in their places.
#[derive(Default)]
struct Late {
    keys: Vec<(Hash, Address)>,
    placed: usize,
}

impl LateKeys {
    pub fn new() -> LateKeys {
        LateKeys {
            segments: (0..SEGMENTS).map(|_| Late::default()).collect(),
            turn: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        let keys: usize = self.segments.iter().map(|late| late.keys.capacity()).sum();
        keys * size_of::<(Hash, Address)>() + size_of_val(&*self.segments)
    }

    /// A key of which the arena has a record, perhaps not for the first time.
    #[inline]
    pub fn add(&mut self, hash: Hash, key: Address) {
        self.segments[hash.segment()].keys.push((hash, key));
    }

    /// No key with this hash waits.
    pub fn is_placed(&self, hash: Hash) -> bool {
        self.segments[hash.segment()].left() == 0
    }

    /// Brings some keys to their places, where many wait; false when nowhere.
    pub fn place_many(&mut self, table: &mut Memtable) -> bool {
        self.place_where(MANY, table)
    }

    /// Brings some keys to their places; false when none waits any more.
    pub fn place_some(&mut self, table: &mut Memtable) -> bool {
        self.place_where(1, table)
    }

    /// Brings all keys to their places that share the segment of this one.
    pub fn place_near(&mut self, hash: Hash, table: &mut Memtable) {
        let late = &mut self.segments[hash.segment()];
        late.place(hash.segment(), usize::MAX, table);
        late.keys = Vec::new();
    }

    fn place_where(&mut self, at_least: usize, table: &mut Memtable) -> bool {
        let mut turns = (self.turn..SEGMENTS).chain(0..self.turn);
        let Some(turn) = turns.find(|&turn| self.segments[turn].left() >= at_least) else {
            return false;
        };
        self.turn = turn;
        self.segments[turn].place(turn, PLACED_AT_A_TIME, table);
        true
    }
}

impl Late {
    fn left(&self) -> usize {
        self.keys.len() - self.placed
    }

    fn place(&mut self, segment: usize, at_most: usize, table: &mut Memtable) {
        table.index.make_room_for(segment, self.left());
        for &(hash, key) in self.keys[self.placed..].iter().take(at_most) {
            let is = |arena: &Arena, there| arena.key(there) == arena.key(key);
            match table.index.find_or_add(hash, &mut table.arena, is, |_| key) {
                Found::New(_) => {}
                Found::Old(first) => table.join(first, key),
            }
        }
        self.placed = self.keys.len().min(self.placed.saturating_add(at_most));
        if self.left() == 0 {
            self.keys.clear();
            self.placed = 0;
        }
    }
}

//! From a key to its record, by hash. Split into segments that grow one at a time: growing a single
//! table of half a million keys would stop the shard for milliseconds. The hash is kept beside the
//! address, so that growing reads no keys.
//!
//! A key that is looked for lies at the place that its hash names or close behind it, nearly always in the
//! same cache line: where the index is larger than the processor's caches, a look costs one wait.

use xxhash_rust::xxh3::xxh3_64;

use super::arena::Address;

const SEGMENT_BITS: u32 = 6;
const SEGMENTS: usize = 1 << SEGMENT_BITS;
const PLACES_MIN: usize = 8;

/// Of a key.
#[derive(Clone, Copy, Default)]
pub(super) struct Hash(u32);

pub(super) struct KeyIndex {
    segments: Box<[Segment]>,
    bytes: usize,
}

/// An index on its way: its keys are in memory, and go to their places a few at a time while something else is waited
/// for. They wait by segment, so that each time a stretch of memory is written to that fits in the processor's caches.
pub(super) struct IndexToBe {
    index: KeyIndex,
    waiting: Box<[Waiting]>,
    /// The segment whose turn it is.
    turn: usize,
}

/// Keys of one segment in the order in which they came, the first `placed` of them in their places.
#[derive(Default)]
struct Waiting {
    keys: Vec<Place>,
    placed: usize,
}

/// Keys that go to their places at a time, at most: some tens of microseconds.
const PLACED_AT_A_TIME: usize = 1024;

/// So few are not worth the way to their segment.
const WAITING_MIN: usize = 128;

/// Places in a row, with a key at the one that its hash names or, where others were before it, at the next
/// free one, around the end.
#[derive(Default)]
struct Segment {
    places: Vec<Place>,
    used: usize,
}

#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    /// `Address::NONE` where the place is free.
    key: Address,
}

const FREE: Place = Place {
    hash: 0,
    key: Address::NONE,
};

impl KeyIndex {
    pub fn new() -> KeyIndex {
        KeyIndex {
            segments: (0..SEGMENTS).map(|_| Segment::default()).collect(),
            bytes: SEGMENTS * size_of::<Segment>(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Brings near what the next look at this hash will read. Several of these wait for memory together;
    /// several looks wait one after the other.
    #[inline]
    pub fn approach(&self, hash: Hash) {
        let segment = &self.segments[segment(hash)];
        let place = segment.places.get(segment.home(hash.0));
        std::hint::black_box(place.map(|place| place.hash));
    }

    #[inline]
    pub fn find(&self, hash: Hash, is: impl Fn(Address) -> bool) -> Option<Address> {
        let segment = &self.segments[segment(hash)];
        if segment.used == 0 {
            return None;
        }
        segment.look(hash.0, is).ok()
    }

    /// The address of a key that is there already, or else of the one that `add` makes.
    #[inline]
    pub fn find_or_add<C>(
        &mut self,
        hash: Hash,
        context: &mut C,
        is: impl Fn(&C, Address) -> bool,
        add: impl FnOnce(&mut C) -> Address,
    ) -> Found {
        let segment = &mut self.segments[segment(hash)];
        if segment.is_full() {
            self.bytes += segment.grow();
        }
        match segment.look(hash.0, |address| is(context, address)) {
            Ok(key) => Found::Old(key),
            Err(free) => {
                let key = add(context);
                segment.put(free, Place { hash: hash.0, key });
                Found::New(key)
            }
        }
    }
}

impl IndexToBe {
    pub fn new() -> IndexToBe {
        IndexToBe {
            index: KeyIndex::new(),
            waiting: (0..SEGMENTS).map(|_| Waiting::default()).collect(),
            turn: 0,
        }
    }

    #[inline]
    pub fn add(&mut self, hash: Hash, key: Address) {
        let place = Place { hash: hash.0, key };
        self.waiting[segment(hash)].keys.push(place);
    }

    /// Brings some keys to their places; false when too few wait. `is` tells whether two addresses have the same key; if
    /// so, the first one stays, and `join` hears of both.
    pub fn place_some(
        &mut self,
        is: impl Fn(Address, Address) -> bool,
        join: impl FnMut(Address, Address),
    ) -> bool {
        let turns = (self.turn..SEGMENTS).chain(0..self.turn);
        let enough = |&turn: &usize| self.waiting[turn].left() >= WAITING_MIN;
        let Some(turn) = turns.into_iter().find(enough) else {
            return false;
        };
        self.place(turn, PLACED_AT_A_TIME, is, join);
        if self.waiting[turn].left() < WAITING_MIN {
            self.turn = (turn + 1) % SEGMENTS;
        } else {
            self.turn = turn;
        }
        true
    }

    /// The index with all keys in their places.
    pub fn finish(
        mut self,
        is: impl Fn(Address, Address) -> bool,
        mut join: impl FnMut(Address, Address),
    ) -> KeyIndex {
        for turn in 0..SEGMENTS {
            self.place(turn, usize::MAX, &is, &mut join);
            self.waiting[turn] = Waiting::default();
        }
        self.index
    }

    fn place(
        &mut self,
        turn: usize,
        at_most: usize,
        is: impl Fn(Address, Address) -> bool,
        mut join: impl FnMut(Address, Address),
    ) {
        let (waiting, segment) = (&mut self.waiting[turn], &mut self.index.segments[turn]);
        let left = &waiting.keys[waiting.placed..];
        let now = left.len().min(at_most);
        self.index.bytes += segment.make_room_for(now);
        for place in &left[..now] {
            match segment.look(place.hash, |there| is(there, place.key)) {
                Ok(there) => join(there, place.key),
                Err(free) => segment.put(free, *place),
            }
        }
        waiting.placed += now;
        if waiting.left() == 0 {
            waiting.keys.clear();
            waiting.placed = 0;
        }
    }
}

impl Waiting {
    fn left(&self) -> usize {
        self.keys.len() - self.placed
    }
}

pub(super) enum Found {
    Old(Address),
    New(Address),
}

impl Hash {
    #[inline]
    pub fn of(key: &[u8]) -> Hash {
        Hash((xxh3_64(key) >> 32) as u32)
    }
}

fn segment(hash: Hash) -> usize {
    (hash.0 >> (u32::BITS - SEGMENT_BITS)) as usize
}

impl Segment {
    /// Taken from the bits behind those that chose the segment, the highest first: where places are doubled,
    /// keys keep their order and memory is written from front to back.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        let below = u64::from(hash << SEGMENT_BITS);
        ((below * self.places.len() as u64) >> u32::BITS) as usize
    }

    /// Where the key is, or else the free place to put it. There is one.
    #[inline]
    fn look(&self, hash: u32, is: impl Fn(Address) -> bool) -> Result<Address, usize> {
        let mut at = self.home(hash);
        loop {
            let place = self.places[at];
            if place.key == Address::NONE {
                return Err(at);
            }
            if place.hash == hash && is(place.key) {
                return Ok(place.key);
            }
            at = if at + 1 == self.places.len() {
                0
            } else {
                at + 1
            };
        }
    }

    /// Rows of used places stay short as long as a quarter of all is free.
    fn is_full(&self) -> bool {
        self.used >= self.places.len() / 4 * 3
    }

    #[inline]
    fn put(&mut self, free: usize, place: Place) {
        self.places[free] = place;
        self.used += 1;
    }

    /// So many more keys will find a place; returns the bytes that this takes.
    fn make_room_for(&mut self, keys: usize) -> usize {
        let mut count = self.places.len();
        while self.used + keys >= count / 4 * 3 {
            count = (2 * count).max(PLACES_MIN);
        }
        self.spread_over(count)
    }

    /// Doubles the places; returns the bytes that this takes.
    fn grow(&mut self) -> usize {
        self.spread_over((2 * self.places.len()).max(PLACES_MIN))
    }

    fn spread_over(&mut self, count: usize) -> usize {
        if count == self.places.len() {
            return 0;
        }
        let old = std::mem::replace(&mut self.places, vec![FREE; count]);
        for place in old.iter().filter(|place| place.key != Address::NONE) {
            if let Err(free) = self.look(place.hash, |_| false) {
                self.places[free] = *place;
            }
        }
        (count - old.len()) * size_of::<Place>()
    }
}

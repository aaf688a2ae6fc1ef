//! From a key to its record, by hash. Split into segments that grow one at a time: growing a single
//! table of half a million keys would stop the shard for milliseconds. The hash is kept beside the
//! address, so that growing reads no keys.
//!
//! A key that is looked for lies at the place that its hash names or close behind it, nearly always in the
//! same cache line: where the index is larger than the processor's caches, a look costs one wait.

use xxhash_rust::xxh3::xxh3_64;

use super::arena::Address;

const SEGMENT_BITS: u32 = 6;
pub(super) const SEGMENTS: usize = 1 << SEGMENT_BITS;
const PLACES_MIN: usize = 8;

/// Of a key.
#[derive(Clone, Copy, Default)]
pub(super) struct Hash(u32);

pub(super) struct KeyIndex {
    segments: Box<[Segment]>,
    bytes: usize,
}

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
        let segment = &self.segments[hash.segment()];
        let place = segment.places.get(segment.home(hash.0));
        std::hint::black_box(place.map(|place| place.hash));
    }

    /// So many more keys of a segment will find a place without its growing meanwhile.
    pub fn make_room_for(&mut self, segment: usize, keys: usize) {
        self.bytes += self.segments[segment].make_room_for(keys);
    }

    #[inline]
    pub fn find(&self, hash: Hash, is: impl Fn(Address) -> bool) -> Option<Address> {
        let segment = &self.segments[hash.segment()];
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
        let segment = &mut self.segments[hash.segment()];
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

pub(super) enum Found {
    Old(Address),
    New(Address),
}

impl Hash {
    #[inline]
    pub fn of(key: &[u8]) -> Hash {
        Hash((xxh3_64(key) >> 32) as u32)
    }

    /// Of the index, where the key belongs.
    #[inline]
    pub fn segment(self) -> usize {
        (self.0 >> (u32::BITS - SEGMENT_BITS)) as usize
    }
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

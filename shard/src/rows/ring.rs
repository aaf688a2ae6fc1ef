//! Where rows lie: segments of words, filled one behind the other under positions that only grow, and given up oldest
//! first. How many there are may change at any time: which memory a segment has is looked up.
//!
//! ```text
//! position = segment number << shift | word          segment number → place: `places`, newest of each residue
//! ```

use super::atomics::{AtomicU32, AtomicU64, Ordering, Words};

pub(super) struct Ring {
    words: Words,
    /// The place of each segment in `words`, by its number modulo a power of two that is no less than the segments.
    places: Box<[AtomicU32]>,
    shift: u32,
}

impl Ring {
    /// Room for so many segments, each of so many words, a power of two.
    pub fn new(segments: usize, segment_words: usize) -> Option<Ring> {
        let places = segments.next_power_of_two();
        Some(Ring {
            words: Words::zeroes(segments * segment_words)?,
            places: (0..places).map(|_| AtomicU32::new(0)).collect(),
            shift: segment_words.trailing_zeros(),
        })
    }

    pub fn segment_words(&self) -> usize {
        1 << self.shift
    }

    pub fn segments(&self) -> usize {
        self.words.len() >> self.shift
    }

    /// The number of the segment that a position is in.
    pub fn segment(&self, position: u64) -> u64 {
        position >> self.shift
    }

    /// The first position of a segment.
    pub fn start(&self, segment: u64) -> u64 {
        segment << self.shift
    }

    /// Words into its segment.
    pub fn offset(&self, position: u64) -> usize {
        position as usize & (self.segment_words() - 1)
    }

    /// From a position to the end of its segment. Of a segment that was given up it may be any other's words.
    #[inline]
    pub fn at(&self, position: u64) -> &[AtomicU64] {
        let segment = (position >> self.shift) as usize & (self.places.len() - 1);
        let start = (self.places[segment].load(Ordering::Relaxed) as usize) << self.shift;
        &self.words[start + self.offset(position)..start + self.segment_words()]
    }

    /// Gives a segment a place. Whoever looks for an older one there must find that it is gone.
    pub fn put(&self, segment: u64, place: u32) {
        let at = segment as usize & (self.places.len() - 1);
        self.places[at].store(place, Ordering::Relaxed);
    }

    pub fn place(&self, segment: u64) -> u32 {
        self.places[segment as usize & (self.places.len() - 1)].load(Ordering::Relaxed)
    }

    /// Gives back the memory of a place.
    pub fn release(&self, place: u32) {
        let start = (place as usize) << self.shift;
        self.words.release(start..start + self.segment_words());
    }
}

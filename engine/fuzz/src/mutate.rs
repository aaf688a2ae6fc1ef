//! Mutations from a seed, where the compiler's coverage counters are missing.

/// Draws inputs.
pub struct Mutator(u64);

/// Numbers at which something changes.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX,
];

impl Mutator {
    /// The same inputs for the same seed.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of the seeds with a few changes; now and then bytes of no descent.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = match self.below(20) {
            0 => {
                let length = self.below(300);
                (0..length).map(|_| self.next() as u8).collect()
            }
            _ => seeds[self.below(seeds.len())].clone(),
        };
        for _ in 0..1 + self.below(4) {
            self.change(&mut bytes, seeds);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(8) {
            0..3 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            3 if at < bytes.len() => bytes[at] = self.next() as u8,
            4 => {
                let (edge, width) = (EDGES[self.below(EDGES.len())], 1 << self.below(4));
                let room = &mut bytes[at..];
                for (to, from) in room.iter_mut().zip(&edge.to_le_bytes()[..width]) {
                    *to = *from;
                }
            }
            5 => bytes.truncate(at),
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let (from, length) = (self.below(other.len()), self.below(64));
                let piece = other[from..].iter().take(length).copied();
                let end = (at + self.below(length.max(1))).min(bytes.len());
                bytes.splice(at..end, piece);
            }
            _ => {
                let (from, length) = (self.below(bytes.len()), self.below(64));
                let piece: Vec<u8> = bytes[from..].iter().take(length).copied().collect();
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, piece);
            }
        }
    }
}

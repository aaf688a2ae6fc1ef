//! Intervals that are over. A phase of ten minutes has hundreds, each with several histograms of a hundred KiB, which
//! would be counted as memory of the target; packed they take a few KiB each.

use std::borrow::Cow;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

use crate::recorder::{Clocks, Interval, KindTally, add, histogram};

/// An interval as it was recorded, or packed.
#[derive(Clone, Debug)]
pub enum Past {
    /// Somebody may still add to it.
    Open(Interval),
    /// Everybody has probably left it.
    Packed(Packed),
}

/// An interval whose histograms are bytes.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Without their clocks.
    kinds: Vec<(KindTally, [Box<[u8]>; 3])>,
    own_slip: Box<[u8]>,
}

impl Past {
    /// The interval.
    pub fn open(&self) -> Cow<'_, Interval> {
        match self {
            Past::Open(interval) => Cow::Borrowed(interval),
            Past::Packed(packed) => Cow::Owned(packed.unpack()),
        }
    }

    /// The interval, for adding to it.
    pub fn reopen(&mut self) -> &mut Interval {
        if let Past::Packed(packed) = self {
            *self = Past::Open(packed.unpack());
        }
        match self {
            Past::Open(interval) => interval,
            Past::Packed(_) => unreachable!("it was unpacked"),
        }
    }

    /// Packs it.
    pub fn close(&mut self) {
        if let Past::Open(interval) = self {
            *self = Past::Packed(Packed::new(interval));
        }
    }
}

impl Packed {
    fn new(interval: &Interval) -> Packed {
        let kind = |tally: &KindTally| {
            let clocks = &tally.clocks;
            let bytes = [&clocks.response, &clocks.service, &clocks.slip].map(pack);
            (tally.without_clocks(), bytes)
        };
        Packed {
            kinds: interval.kinds.iter().map(kind).collect(),
            own_slip: pack(&interval.own_slip),
        }
    }

    fn unpack(&self) -> Interval {
        let kind = |(tally, bytes): &(KindTally, [Box<[u8]>; 3])| {
            let [response, service, slip] = [0, 1, 2].map(|clock| unpack(&bytes[clock]));
            KindTally {
                clocks: Clocks {
                    response,
                    service,
                    slip,
                },
                ..tally.without_clocks()
            }
        };
        Interval {
            kinds: self.kinds.iter().map(kind).collect(),
            own_slip: unpack(&self.own_slip),
        }
    }
}

fn pack(histogram: &Histogram<u64>) -> Box<[u8]> {
    let mut bytes = Vec::new();
    V2Serializer::new()
        .serialize(histogram, &mut bytes)
        .expect("memory takes any histogram");
    bytes.into_boxed_slice()
}

fn unpack(mut bytes: &[u8]) -> Histogram<u64> {
    let packed: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes)
        .expect("it was packed here");
    // One that still grows.
    let mut unpacked = histogram();
    add(&mut unpacked, &packed);
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::note;

    #[test]
    fn what_is_packed_comes_back_and_takes_little_and_more_can_be_added() {
        let mut interval = Interval::empty(2);
        for i in 1..50_000 {
            let clocks = &mut interval.kinds[1].clocks;
            note(&mut clocks.response, 300_000 + i * 7);
            note(&mut clocks.service, 250_000 + i * 6);
            note(&mut clocks.slip, i % 900);
            note(&mut interval.own_slip, i % 70);
        }
        note(&mut interval.kinds[1].clocks.response, 48_000_000);
        interval.kinds[1].count = 50_000;
        let mut past = Past::Open(interval.clone());
        past.close();
        let Past::Packed(packed) = &past else {
            panic!("still open")
        };
        let clocks = packed.kinds.iter().flat_map(|(_, clocks)| clocks);
        let bytes: usize = clocks.map(|clock| clock.len()).sum();
        assert!(bytes + packed.own_slip.len() < 12_000, "{bytes} bytes");
        let found = past.open().into_owned();
        assert_eq!(found.count(), 50_000);
        for (found, kept) in found.kinds.iter().zip(&interval.kinds) {
            assert_eq!(found.clocks.response, kept.clocks.response);
            assert_eq!(found.clocks.service, kept.clocks.service);
            assert_eq!(found.clocks.slip, kept.clocks.slip);
        }
        assert_eq!(found.own_slip, interval.own_slip);
        note(&mut past.reopen().own_slip, 1 << 40);
        past.close();
        assert!(past.open().own_slip.max() >= 1 << 40);
    }
}

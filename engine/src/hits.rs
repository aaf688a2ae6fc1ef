//! How much of what was read lately was found in memory, by the slices of time that latencies go by.

use std::fmt;

use ringkeep_io::Nanos;
use ringkeep_shard::{Lookups, ShardId};

use crate::latency::{LAST_10S, LAST_60S, SLICE};

/// How much was found in memory lately. A slice of ten seconds begins with the first call in it that the shard is asked and
/// that is timed; what callers read from rows before that counts for the slice before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HitRates {
    /// Of one shard, or of all together.
    pub shard: Option<ShardId>,
    /// Over the last 10 to 20 seconds.
    pub last_10s: Hits,
    /// Over the last 60 to 70 seconds.
    pub last_60s: Hits,
}

/// What was looked for, and what of it was found in memory.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Hits {
    /// Point reads.
    pub gets: u64,
    /// Those that their callers answered themselves from rows.
    pub row_hits: u64,
    /// Blocks of tables.
    pub blocks: u64,
    /// Those that were in the page cache.
    pub cache_hits: u64,
}

impl Hits {
    /// The part of point reads that rows answered; not a number where there were none.
    pub fn row_hit_rate(&self) -> f64 {
        self.row_hits as f64 / self.gets as f64
    }

    /// The part of blocks that were in the page cache; not a number where none was looked for.
    pub fn cache_hit_rate(&self) -> f64 {
        self.cache_hits as f64 / self.blocks as f64
    }

    fn between(before: Lookups, now: Lookups) -> Hits {
        Hits {
            gets: now.gets - before.gets,
            row_hits: now.row_hits - before.row_hits,
            blocks: now.blocks - before.blocks,
            cache_hits: now.cache_hits - before.cache_hits,
        }
    }

    fn plus(self, other: Hits) -> Hits {
        Hits {
            gets: self.gets + other.gets,
            row_hits: self.row_hits + other.row_hits,
            blocks: self.blocks + other.blocks,
            cache_hits: self.cache_hits + other.cache_hits,
        }
    }
}

/// What one shard had looked up when slices began, each in the place of the one that is a window older.
#[derive(Default)]
pub(crate) struct Marks([Option<Mark>; LAST_60S as usize]);

#[derive(Clone, Copy)]
struct Mark {
    /// Which slice.
    index: u64,
    begins: Lookups,
}

impl Marks {
    /// A call was answered now.
    pub(crate) fn mark(&mut self, now: Nanos, lookups: impl FnOnce() -> Lookups) {
        let index = now / SLICE;
        let is_first = self.0.iter().all(Option::is_none);
        let mark = &mut self.0[(index % LAST_60S) as usize];
        if mark.is_none_or(|mark| mark.index != index) {
            // Nothing was looked up before the opening.
            let begins = if is_first {
                Lookups::default()
            } else {
                lookups()
            };
            *mark = Some(Mark { index, begins });
        }
    }

    /// Of the shard that has looked up this much.
    pub(crate) fn rates(&self, shard: ShardId, now: Nanos, lookups: Lookups) -> HitRates {
        let within = |slices| Hits::between(self.before(slices, now / SLICE), lookups);
        HitRates {
            shard: Some(shard),
            last_10s: within(LAST_10S),
            last_60s: within(LAST_60S),
        }
    }

    /// What had been looked up when so many slices began, or the last one before them.
    fn before(&self, slices: u64, index: u64) -> Lookups {
        let marks = || self.0.iter().flatten();
        let recent = marks().filter(|mark| mark.index + slices > index);
        let first = recent.min_by_key(|mark| mark.index);
        let mark = first.or_else(|| marks().max_by_key(|mark| mark.index));
        mark.map_or_else(Lookups::default, |mark| mark.begins)
    }
}

/// Puts what all shards have in common in front.
pub(crate) fn with_sum(mut each: Vec<HitRates>) -> Vec<HitRates> {
    each.sort_by_key(|rates| rates.shard);
    let mut all = HitRates {
        shard: None,
        last_10s: Hits::default(),
        last_60s: Hits::default(),
    };
    for rates in &each {
        all.last_10s = all.last_10s.plus(rates.last_10s);
        all.last_60s = all.last_60s.plus(rates.last_60s);
    }
    each.insert(0, all);
    each
}

/// A part of a whole in per cent, or nothing.
pub(crate) struct Percent(pub(crate) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self.0 {
            part if part.is_nan() => "-".to_owned(),
            part => format!("{:.1} %", part * 100.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups(gets: u64, row_hits: u64) -> Lookups {
        Lookups {
            gets,
            row_hits,
            blocks: 10 * gets,
            cache_hits: 10 * row_hits,
        }
    }

    #[test]
    fn a_window_counts_from_the_beginning_of_its_first_slice() {
        let mut marks = Marks::default();
        let gets = |marks: &Marks, slice: u64, now| {
            let rates = marks.rates(ShardId(0), slice * SLICE, lookups(now, now));
            (rates.last_10s.gets, rates.last_60s.gets)
        };
        assert_eq!(gets(&marks, 3, 5), (5, 5), "since the opening");
        marks.mark(2 * SLICE, || {
            unreachable!("all that there was came after the opening")
        });
        assert_eq!(gets(&marks, 2, 9), (9, 9));
        marks.mark(3 * SLICE, || lookups(10, 4));
        marks.mark(3 * SLICE + 1, || unreachable!("the slice has begun"));
        assert_eq!(gets(&marks, 4, 30), (20, 30));
        marks.mark(5 * SLICE, || lookups(50, 40));
        assert_eq!(gets(&marks, 5, 60), (10, 60));
        assert_eq!(gets(&marks, 9, 60), (10, 50));
        assert_eq!(gets(&marks, 10, 60), (10, 10), "the third slice is too old");
        assert_eq!(gets(&marks, 99, 61), (11, 11), "rows were read meanwhile");
        marks.mark(12 * SLICE, || lookups(70, 40));
        assert_eq!(gets(&marks, 12, 75), (5, 5), "in the place of the fifth");
    }

    #[test]
    fn rates_are_parts_and_sums_are_of_counts() {
        let of = |shard, hits| HitRates {
            shard: Some(ShardId(shard)),
            last_10s: hits,
            last_60s: hits,
        };
        let hits = |gets, row_hits| Hits::between(Lookups::default(), lookups(gets, row_hits));
        let all = with_sum(vec![of(1, hits(30, 30)), of(0, hits(10, 0))]);
        assert_eq!(all[0].last_10s, hits(40, 30));
        assert_eq!(all[0].last_60s.row_hit_rate(), 0.75);
        assert_eq!(all[0].last_60s.cache_hit_rate(), 0.75);
        assert_eq!(all[1].shard, Some(ShardId(0)));
        assert_eq!(Percent(0.5).to_string(), "50.0 %");
        assert_eq!(Percent(Hits::default().row_hit_rate()).to_string(), "-");
    }
}

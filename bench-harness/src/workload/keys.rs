//! Keys: which one an operation touches, and what it looks like in bytes.
//!
//! A key is a number 0..n first. The law picks the number, the shape writes it down. The hashed form passes
//! it through a 64-bit bijection, so load order and key order have nothing to do with each other.

use serde::{Deserialize, Serialize};

use super::bijection::Bijection;
use super::zipf::Zipf;
use crate::random::{Draws, mix};

/// Items that YCSB's scrambled generator draws from, whatever the number of records.
const YCSB_ITEMS: u64 = 10_000_000_000;

/// Numbers from here on are never loaded: keys that are guaranteed absent.
pub const ABSENT: u64 = 1 << 60;

/// How the number of a key is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "dist")]
pub enum KeyLaw {
    /// Every key alike.
    Uniform,
    /// Rank r with mass (r + 1)^-theta.
    Zipf {
        /// The exponent.
        theta: f64,
        /// Scatter the hot keys over the key space.
        scramble: bool,
    },
    /// As YCSB's scrambled Zipf draws: over ten thousand million ranks, hashed onto the keys, which flattens the
    /// skew and leaves some keys out. For comparing with numbers taken by it.
    YcsbZipf {
        /// The exponent.
        theta: f64,
    },
    /// Zipf counted back from the newest key.
    Latest {
        /// The exponent.
        theta: f64,
    },
    /// 0, 1, 2, ... shared out among the streams.
    Sequential,
    /// A hot share of the keys takes its share of the operations.
    Hotspot {
        /// Share of keys that are hot.
        hot: f64,
        /// Share of operations that go to them.
        ops: f64,
    },
    /// Neighbouring keys share a group; groups follow a Zipf law, keys inside one are alike.
    Prefix {
        /// Number of groups.
        groups: u64,
        /// Exponent of the law over groups; 0 makes them alike.
        theta: f64,
    },
    /// Meta's model of production traffic (FAST '20): the heat of key ranges falls as a sum of two exponentials,
    /// and within a range as a power of the rank.
    Mixgraph {
        /// Number of ranges; 1 leaves only the power law.
        ranges: u64,
        /// Over ranges: a e^(b x) + c e^(d x).
        a: f64,
        /// See `a`.
        b: f64,
        /// See `a`.
        c: f64,
        /// See `a`.
        d: f64,
        /// Within a range the first share x of the keys gets the share x^beta of the operations; 1 is even
        /// (db_bench's key_dist_b).
        beta: f64,
    },
    /// Any popularity: key number and weight, as counted somewhere.
    Histogram {
        /// Shares of the key space, each with the share of operations that it gets, both adding up to 1.
        steps: Vec<(f64, f64)>,
    },
}

/// What a key looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShape {
    /// How the number is written.
    pub form: KeyForm,
    /// Bytes of every key.
    pub size: usize,
}

/// How a key's number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// 16 hex digits of the mixed number, padded.
    Hashed,
    /// The number in decimal with leading zeros: key order is number order.
    Ordered,
    /// YCSB: `user` and the mixed number in decimal.
    User,
}

impl KeyForm {
    /// The fewest bytes that keep keys apart.
    pub fn size_min(self) -> usize {
        match self {
            KeyForm::Hashed => 16,
            KeyForm::Ordered => 12,
            KeyForm::User => 24,
        }
    }
}

impl KeyShape {
    /// Appends key `number`.
    #[inline]
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + self.size, b'0');
        let key = &mut out[start..];
        match self.form {
            KeyForm::Hashed => hex(mix(number ^ 0x5bd1_e995), &mut key[..16]),
            KeyForm::Ordered => decimal(number, key),
            KeyForm::User => {
                key[..4].copy_from_slice(b"user");
                decimal(mix(number ^ 0x5bd1_e995), &mut key[4..]);
            }
        }
    }
}

fn hex(number: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (i, byte) in number.to_be_bytes().into_iter().enumerate() {
        out[2 * i] = DIGITS[usize::from(byte >> 4)];
        out[2 * i + 1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Right-aligned; `out` is already full of zeros.
fn decimal(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        if number == 0 {
            return;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A `KeyLaw` made ready for a key space of a given size.
#[derive(Clone, Debug)]
pub enum KeyPicker {
    /// See `KeyLaw::Uniform`.
    Uniform,
    /// Ranks, and where they lie.
    Zipf(Zipf, Option<Bijection>),
    /// Ranks of a law over far more items than there are keys, hashed onto them.
    Ycsb(Zipf),
    /// Ranks back from the newest.
    Latest(Zipf),
    /// By position.
    Sequential,
    /// Hot keys are the first ones of the permutation.
    Hotspot {
        /// How many keys are hot.
        hot_keys: u64,
        /// Share of operations on them.
        ops: f64,
        /// Where they lie.
        place: Bijection,
    },
    /// Groups of neighbours.
    Prefix {
        /// Which group.
        group: Zipf,
        /// Where groups lie.
        place: Bijection,
        /// Keys of each group but the last.
        size: u64,
    },
    /// Stretches of the key space, each with the share of operations up to its end.
    Steps {
        /// `(share of operations up to here, first key, keys)`.
        steps: Vec<(f64, u64, u64)>,
        /// Exponent of the rank within a step; 1 draws evenly.
        bend: f64,
        /// Scatters keys, unless neighbours are meant to stay together.
        place: Option<Bijection>,
    },
}

impl KeyPicker {
    /// Ready for keys 0..n.
    pub fn new(law: &KeyLaw, n: u64, seed: u64) -> KeyPicker {
        let n = n.max(1);
        match law.clone() {
            KeyLaw::Prefix { groups, theta } => {
                let groups = groups.clamp(1, n);
                KeyPicker::Prefix {
                    group: Zipf::new(groups, theta),
                    place: Bijection::new(groups, seed),
                    size: n.div_ceil(groups),
                }
            }
            KeyLaw::Mixgraph {
                ranges,
                a,
                b,
                c,
                d,
                beta,
            } => {
                let ranges = ranges.clamp(1, n);
                let heat = |x: u64| {
                    let x = (x + 1) as f64;
                    a * (b * x).exp() + c * (d * x).exp()
                };
                let shares: Vec<(f64, f64)> = (0..ranges)
                    .map(|x| (1.0 / ranges as f64, heat(x).max(0.0)))
                    .collect();
                KeyPicker::Steps {
                    steps: stretches(&shares, n),
                    bend: 1.0 / beta,
                    place: None,
                }
            }
            KeyLaw::Histogram { steps } => KeyPicker::Steps {
                steps: stretches(&steps, n),
                bend: 1.0,
                place: Some(Bijection::new(n, seed)),
            },
            KeyLaw::Uniform => KeyPicker::Uniform,
            KeyLaw::Zipf { theta, scramble } => KeyPicker::Zipf(
                Zipf::new(n, theta),
                scramble.then(|| Bijection::new(n, seed)),
            ),
            KeyLaw::YcsbZipf { theta } => KeyPicker::Ycsb(Zipf::new(YCSB_ITEMS, theta)),
            KeyLaw::Latest { theta } => KeyPicker::Latest(Zipf::new(n, theta)),
            KeyLaw::Sequential => KeyPicker::Sequential,
            KeyLaw::Hotspot { hot, ops } => KeyPicker::Hotspot {
                hot_keys: ((n as f64 * hot) as u64).clamp(1, n),
                ops,
                place: Bijection::new(n, seed),
            },
        }
    }

    /// The key number for one operation. `loaded` keys exist from the start, `newest` is one past the last
    /// key this stream may rely on, `turn` counts this stream's operations interleaved with its siblings'.
    #[inline]
    pub fn pick(&self, draws: &mut Draws, loaded: u64, newest: u64, turn: u64) -> u64 {
        match self {
            KeyPicker::Uniform => draws.below(loaded),
            KeyPicker::Zipf(zipf, None) => zipf.rank(draws),
            KeyPicker::Zipf(zipf, Some(place)) => place.apply(zipf.rank(draws)),
            KeyPicker::Ycsb(zipf) => mix(zipf.rank(draws)) % loaded,
            KeyPicker::Latest(zipf) => newest - 1 - zipf.rank(draws).min(newest - 1),
            KeyPicker::Sequential => turn % loaded,
            KeyPicker::Hotspot {
                hot_keys,
                ops,
                place,
            } => {
                let rank = if *hot_keys == loaded || draws.unit() < *ops {
                    draws.below(*hot_keys)
                } else {
                    hot_keys + draws.below(loaded - hot_keys)
                };
                place.apply(rank)
            }
            KeyPicker::Prefix { group, place, size } => {
                let first = place.apply(group.rank(draws)) * size;
                // The last groups may begin beyond the end when the division has a large rest.
                let first = first.min(loaded - 1);
                first + draws.below((*size).min(loaded - first))
            }
            KeyPicker::Steps { steps, bend, place } => {
                let at = draws.unit();
                let step = steps.partition_point(|step| step.0 <= at);
                let (_, first, keys) = steps[step.min(steps.len() - 1)];
                let within = match *bend {
                    1.0 => draws.below(keys),
                    bend => ((draws.unit().powf(bend) * keys as f64) as u64).min(keys - 1),
                };
                let number = first + within;
                place.as_ref().map_or(number, |place| place.apply(number))
            }
        }
    }
}

/// Cuts `n` keys by the first of each pair and sums up the second; a stretch has at least one key.
fn stretches(shares: &[(f64, f64)], n: u64) -> Vec<(f64, u64, u64)> {
    let keys_total: f64 = shares.iter().map(|share| share.0).sum();
    let ops_total: f64 = shares.iter().map(|share| share.1).sum();
    let (mut keys, mut ops) = (0.0, 0.0);
    shares
        .iter()
        .map(|share| {
            let first = ((keys / keys_total * n as f64) as u64).min(n - 1);
            keys += share.0;
            ops += share.1;
            let end = ((keys / keys_total * n as f64).round() as u64).clamp(first + 1, n);
            (ops / ops_total, first, end - first)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use std::collections::HashSet;

    fn text(form: KeyForm, size: usize, number: u64) -> String {
        let mut key = Vec::new();
        KeyShape { form, size }.write(number, &mut key);
        String::from_utf8(key).unwrap()
    }

    #[test]
    fn keys_have_their_size_and_differ() {
        for form in [KeyForm::Hashed, KeyForm::Ordered, KeyForm::User] {
            let keys: HashSet<String> = (0..10_000).map(|n| text(form, 24, n)).collect();
            assert_eq!(keys.len(), 10_000);
            assert!(keys.iter().all(|k| k.len() == 24));
        }
        assert_eq!(text(KeyForm::Ordered, 12, 1234), "000000001234");
        assert!(text(KeyForm::User, 24, 1).starts_with("user"));
    }

    #[test]
    fn a_hotspot_takes_its_share() {
        let n = 10_000;
        let law = KeyLaw::Hotspot { hot: 0.2, ops: 0.8 };
        let picker = KeyPicker::new(&law, n, 5);
        let stream = Stream::new(5, "keys", 0);
        let mut counts = vec![0u32; n as usize];
        for i in 0..200_000 {
            counts[picker.pick(&mut stream.at(i), n, n, i) as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let hot: u32 = counts[..2000].iter().sum();
        let share = f64::from(hot) / 200_000.0;
        assert!((0.79..0.83).contains(&share), "share {share}");
    }

    #[test]
    fn latest_follows_the_newest_key() {
        let picker = KeyPicker::new(&KeyLaw::Latest { theta: 0.99 }, 1000, 1);
        let stream = Stream::new(9, "keys", 0);
        let hits = (0..10_000)
            .filter(|&i| picker.pick(&mut stream.at(i), 1000, 5000, i) >= 4900)
            .count();
        assert!(hits > 6000, "{hits} of 10000 in the newest hundred");
    }

    fn counts(law: &KeyLaw, n: u64, draws: u64) -> Vec<u32> {
        let picker = KeyPicker::new(law, n, 5);
        let stream = Stream::new(5, "keys", 0);
        let mut counts = vec![0u32; n as usize];
        for i in 0..draws {
            counts[picker.pick(&mut stream.at(i), n, n, i) as usize] += 1;
        }
        counts
    }

    #[test]
    fn groups_of_neighbours_are_hot_together() {
        let law = KeyLaw::Prefix {
            groups: 100,
            theta: 1.0,
        };
        let counts = counts(&law, 10_000, 200_000);
        let mut groups: Vec<u32> = counts.chunks(100).map(|group| group.iter().sum()).collect();
        groups.sort_unstable_by(|a, b| b.cmp(a));
        // Zipf 1.0 over 100: the first has 1 / H(100) = 19.3 %.
        let share = f64::from(groups[0]) / 200_000.0;
        assert!((share - 0.193).abs() < 0.01, "{share}");
        assert!(groups[99] > 0);
    }

    #[test]
    fn mixgraph_heat_falls_over_ranges_as_its_formula_says() {
        let (a, b, c, d) = (14.18, -2.917, 0.0164, -0.08082);
        let law = KeyLaw::Mixgraph {
            ranges: 30,
            a,
            b,
            c,
            d,
            beta: 1.0,
        };
        let counts = counts(&law, 30_000, 300_000);
        let heat = |x: f64| a * (b * x).exp() + c * (d * x).exp();
        let total: f64 = (1..=30).map(|x| heat(f64::from(x))).sum();
        for range in [0usize, 1, 2, 10, 29] {
            let found: u32 = counts[range * 1000..(range + 1) * 1000].iter().sum();
            let found = f64::from(found) / 300_000.0;
            let expected = heat(range as f64 + 1.0) / total;
            assert!(
                (found - expected).abs() < 0.01,
                "range {range}: {found} for {expected}"
            );
        }
    }

    #[test]
    fn a_histogram_is_drawn_as_counted() {
        let law = KeyLaw::Histogram {
            steps: vec![(0.01, 0.5), (0.09, 0.3), (0.9, 0.2)],
        };
        let mut counts = counts(&law, 10_000, 400_000);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let hot: u32 = counts[..100].iter().sum();
        let share = f64::from(hot) / 400_000.0;
        assert!((share - 0.5).abs() < 0.01, "{share}");
        assert!(counts[1000..].iter().any(|&count| count > 0));
    }

    #[test]
    fn sequential_wraps() {
        let picker = KeyPicker::new(&KeyLaw::Sequential, 10, 1);
        let stream = Stream::new(9, "keys", 0);
        let seen: Vec<u64> = (8..12)
            .map(|t| picker.pick(&mut stream.at(t), 10, 10, t))
            .collect();
        assert_eq!(seen, [8, 9, 0, 1]);
    }
}

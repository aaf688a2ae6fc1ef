//! Keys: which one an operation touches, and what it looks like in bytes.
//!
//! A key is a number 0..n first. The law picks the number, the shape writes it down. The hashed form passes
//! it through a 64-bit bijection, so load order and key order have nothing to do with each other.

use serde::{Deserialize, Serialize};

use super::bijection::Bijection;
use super::zipf::Zipf;
use crate::random::{Draws, mix};

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
}

impl KeyPicker {
    /// Ready for keys 0..n.
    pub fn new(law: &KeyLaw, n: u64, seed: u64) -> KeyPicker {
        let n = n.max(1);
        match *law {
            KeyLaw::Uniform => KeyPicker::Uniform,
            KeyLaw::Zipf { theta, scramble } => KeyPicker::Zipf(
                Zipf::new(n, theta),
                scramble.then(|| Bijection::new(n, seed)),
            ),
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
        }
    }
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

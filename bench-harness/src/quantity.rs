//! The numbers people type: spans of time, rates, sizes and counts.
//!
//! One grammar serves suite files and command lines: a number, an optional fraction, an optional unit.
//! Sizes know binary (`KiB`) and decimal (`kB`) units; rates end in `/s`; a count takes `k`, `M`, `G`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// A length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Nanoseconds.
    pub ns: u64,
}

/// Operations per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate {
    /// Operations per second.
    pub per_s: f64,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
}

/// A number of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// How many.
    pub n: u64,
}

/// How long a phase lasts: a time or a number of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// For this long.
    Time(Span),
    /// For this many operations.
    Ops(Count),
}

impl Span {
    /// `seconds` as a span.
    pub const fn secs(seconds: u64) -> Span {
        Span {
            ns: seconds * 1_000_000_000,
        }
    }

    /// `millis` as a span.
    pub const fn millis(millis: u64) -> Span {
        Span {
            ns: millis * 1_000_000,
        }
    }

    /// The span in seconds.
    pub fn as_secs(self) -> f64 {
        self.ns as f64 / 1e9
    }

    /// The span as the standard library counts it.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.ns)
    }
}

const TIME_UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("min", 60e9),
    ("h", 3600e9),
];

const SIZE_UNITS: &[(&str, f64)] = &[
    ("", 1.0),
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1048576.0),
    ("GiB", 1073741824.0),
    ("TiB", 1099511627776.0),
];

const COUNT_UNITS: &[(&str, f64)] = &[
    ("", 1.0),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("B", 1e9),
];

fn parse(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.replace('_', "").parse().ok()?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    let value = number * factor;
    (value.is_finite() && (0.0..=u64::MAX as f64).contains(&value)).then_some(value)
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        if text.trim() == "0" {
            return Ok(Span { ns: 0 });
        }
        match parse(text, TIME_UNITS) {
            Some(ns) => Ok(Span {
                ns: ns.round() as u64,
            }),
            None => Err(format!(
                "`{text}` is not a time: write it as 250us, 20ms, 60s or 5m"
            )),
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let number = text.trim();
        let number = number.strip_suffix("/s").unwrap_or(number);
        match parse(number, COUNT_UNITS) {
            Some(per_s) if per_s > 0.0 => Ok(Rate { per_s }),
            _ => Err(format!(
                "`{text}` is not a rate: write it as 500/s, 50k/s or 1.5M/s"
            )),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        match parse(text, SIZE_UNITS) {
            Some(bytes) => Ok(Size {
                bytes: bytes.round() as u64,
            }),
            None => Err(format!(
                "`{text}` is not a size: write it as 100, 64KiB or 2GiB"
            )),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Count, String> {
        match parse(text, COUNT_UNITS) {
            Some(n) => Ok(Count {
                n: n.round() as u64,
            }),
            None => Err(format!(
                "`{text}` is not a count: write it as 1000, 50k or 10M"
            )),
        }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Length, String> {
        // `1M` is a million operations and `1m` a minute: the case decides, as it does for counts.
        if let Ok(span) = text.parse::<Span>()
            && text.trim() != "0"
        {
            return Ok(Length::Time(span));
        }
        match text.parse::<Count>() {
            Ok(count) if count.n > 0 => Ok(Length::Ops(count)),
            _ => Err(format!(
                "`{text}` is not a length: write a time (60s) or a number of operations (1M)"
            )),
        }
    }
}

/// At most three significant digits, no trailing zeros.
pub fn short(value: f64) -> String {
    let digits = if value >= 100.0 || value == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if digits == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let mut chosen = units[0];
    for &unit in units {
        if value >= unit.0 * 0.9995 {
            chosen = unit;
        }
    }
    format!("{}{}", short(value / chosen.0), chosen.1)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ns == 0 {
            return f.pad("0");
        }
        let text = scaled(
            self.ns as f64,
            &[(1.0, "ns"), (1e3, "us"), (1e6, "ms"), (1e9, "s")],
        );
        f.pad(&text)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = scaled(self.per_s, &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s")]);
        f.pad(&text)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = scaled(
            self.bytes as f64,
            &[
                (1.0, "B"),
                (1024.0, "KiB"),
                (1048576.0, "MiB"),
                (1073741824.0, "GiB"),
                (1099511627776.0, "TiB"),
            ],
        );
        f.pad(&text)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = scaled(
            self.n as f64,
            &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")],
        );
        f.pad(&text)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Time(span) => span.fmt(f),
            Length::Ops(count) => write!(f, "{count} ops"),
        }
    }
}

/// Exact text that parses back to the same value; what suites and reports store.
trait Exact {
    fn exact(&self) -> String;
}

impl Exact for Span {
    fn exact(&self) -> String {
        let units: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
        for (factor, unit) in units {
            if self.ns.is_multiple_of(factor) {
                return format!("{}{unit}", self.ns / factor);
            }
        }
        format!("{}ns", self.ns)
    }
}

impl Exact for Rate {
    fn exact(&self) -> String {
        format!("{}/s", self.per_s)
    }
}

impl Exact for Size {
    fn exact(&self) -> String {
        self.bytes.to_string()
    }
}

impl Exact for Count {
    fn exact(&self) -> String {
        self.n.to_string()
    }
}

impl Exact for Length {
    fn exact(&self) -> String {
        match self {
            Length::Time(span) => span.exact(),
            Length::Ops(count) => count.exact(),
        }
    }
}

macro_rules! text_or_number {
    ($type:ty, $what:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.exact())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

text_or_number!(Span, "a time such as \"20ms\"");
text_or_number!(Rate, "a rate such as \"50k/s\"");
text_or_number!(Size, "a size such as \"1KiB\"");
text_or_number!(Count, "a count such as \"10M\"");
text_or_number!(Length, "a time such as \"60s\" or a count such as \"1M\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_numbers_in_many_ways() {
        let spans = [
            ("0", 0),
            ("20ms", 20_000_000),
            ("1.5s", 1_500_000_000),
            ("5m", 300_000_000_000),
            ("250 us", 250_000),
        ];
        for (text, ns) in spans {
            assert_eq!(text.parse::<Span>().unwrap().ns, ns, "{text}");
        }
        assert_eq!("50k/s".parse::<Rate>().unwrap().per_s, 50_000.0);
        assert_eq!("1.5M".parse::<Rate>().unwrap().per_s, 1_500_000.0);
        assert_eq!("64KiB".parse::<Size>().unwrap().bytes, 65536);
        assert_eq!("10_000".parse::<Count>().unwrap().n, 10_000);
        assert_eq!(
            "1M".parse::<Length>().unwrap(),
            Length::Ops(Count { n: 1_000_000 })
        );
        assert_eq!(
            "1m".parse::<Length>().unwrap(),
            Length::Time(Span::secs(60))
        );
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        assert!("fast".parse::<Rate>().unwrap_err().contains("50k/s"));
        assert!("-1s".parse::<Span>().unwrap_err().contains("20ms"));
        assert!("0/s".parse::<Rate>().is_err());
        assert!("10 parsecs".parse::<Size>().is_err());
    }

    #[test]
    fn exact_text_parses_back() {
        for ns in [0, 1, 999, 1_000, 1_500_000, 3_000_000_000, 123_456_789] {
            let span = Span { ns };
            assert_eq!(span.exact().parse::<Span>().unwrap(), span);
        }
        let rate = Rate { per_s: 33_333.25 };
        assert_eq!(rate.exact().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn display_is_short() {
        assert_eq!(Span { ns: 1_234_567 }.to_string(), "1.23ms");
        assert_eq!(Rate { per_s: 49_987.0 }.to_string(), "50k/s");
        assert_eq!(
            Size {
                bytes: 10 * 1024 * 1024 * 1024
            }
            .to_string(),
            "10GiB"
        );
    }
}

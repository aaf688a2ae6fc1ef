//! What a service needs, as people write it: `read=50k/s; read.p99<5ms; keys=200M; value=1KiB; growth=30%/y`.

use ringkeep_bench::quantity::{Count, Rate, Size};
use ringkeep_bench::slo::Slo;
use ringkeep_bench::workload::OpKind;

/// The need.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Operations per second of each kind.
    pub rates: Vec<(OpKind, f64)>,
    /// What must hold.
    pub slo: Vec<Slo>,
    pub keys: u64,
    pub key_size: u64,
    pub value_size: u64,
    /// Exponent of the popularity of keys; none takes that of the evidence.
    pub theta: Option<f64>,
    /// Growth of the data in a year, as a share of it.
    pub growth_per_year: Option<f64>,
}

impl std::str::FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Need, String> {
        let mut need = Need {
            rates: Vec::new(),
            slo: Vec::new(),
            keys: 0,
            key_size: 24,
            value_size: 0,
            theta: None,
            growth_per_year: None,
        };
        for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
            if part.contains(['<', '>']) || part.contains("==") {
                need.slo.push(part.parse()?);
                continue;
            }
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!(
                    "`{part}` says nothing: write read=50k/s, read.p99<5ms, keys=200M or value=1KiB"
                )
            })?;
            let (name, value) = (name.trim(), value.trim());
            match name {
                "keys" => need.keys = value.parse::<Count>()?.n,
                "key" => need.key_size = value.parse::<Size>()?.bytes,
                "value" => need.value_size = value.parse::<Size>()?.bytes,
                "theta" => {
                    let theta = value.parse().ok().filter(|t| (0.0..=10.0).contains(t));
                    need.theta = Some(theta.ok_or_else(|| format!("theta={value}: 0 to 10"))?);
                }
                "growth" => {
                    let share = value
                        .strip_suffix("%/y")
                        .and_then(|percent| percent.parse::<f64>().ok())
                        .ok_or_else(|| format!("`{part}`: write it as growth=30%/y"))?;
                    need.growth_per_year = Some(share / 100.0);
                }
                op => {
                    let kind = OpKind::from_name(op).ok_or_else(|| {
                        format!(
                            "`{op}` is neither an operation ({}) nor keys, key, value, theta or growth",
                            OpKind::ALL.map(OpKind::name).join(", ")
                        )
                    })?;
                    need.rates.push((kind, value.parse::<Rate>()?.per_s));
                }
            }
        }
        if need.rates.is_empty() || need.keys == 0 || need.value_size == 0 {
            return Err(
                "a need has at least a rate, keys and a value size: 'read=50k/s; keys=200M; value=1KiB'"
                    .to_string(),
            );
        }
        Ok(need)
    }
}

impl Need {
    /// All operations per second.
    pub fn rate(&self) -> f64 {
        self.rates.iter().map(|rate| rate.1).sum()
    }

    /// Operations per second of each class.
    pub fn classes(&self) -> [f64; CLASSES] {
        let mut classes = [0.0; CLASSES];
        for &(kind, rate) in &self.rates {
            classes[class(kind)] += rate;
        }
        classes
    }

    /// Bytes of keys and values.
    pub fn user_bytes(&self) -> f64 {
        self.keys as f64 * (self.key_size + self.value_size) as f64
    }
}

/// Reads, writes and scans cost differently enough to be told apart.
pub const CLASSES: usize = 3;
pub const CLASS_NAMES: [&str; CLASSES] = ["read", "write", "scan"];

/// The class of a kind of operation.
pub fn class(kind: OpKind) -> usize {
    match kind {
        OpKind::Get | OpKind::MultiGet => 0,
        OpKind::Scan => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_read_as_people_write_it() {
        let need: Need = "read=50k/s; write=5k/s;read.p99<5ms; keys=200M; value=1KiB; growth=30%/y"
            .parse()
            .unwrap();
        assert_eq!(need.rates, [(OpKind::Get, 50e3), (OpKind::Put, 5e3)]);
        assert_eq!((need.keys, need.value_size), (200_000_000, 1024));
        assert_eq!(need.slo[0].to_string(), "read.p99 < 5ms");
        assert_eq!(need.growth_per_year, Some(0.3));
        assert_eq!(need.classes(), [50e3, 5e3, 0.0]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, part) in [
            ("read=50k/s", "at least a rate"),
            ("reed=50k/s; keys=1; value=1", "`reed` is neither"),
            ("read=50k/s; keys=many; value=1", "not a count"),
            ("read", "says nothing"),
            ("growth=30", "growth=30%/y"),
        ] {
            let message = text.parse::<Need>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

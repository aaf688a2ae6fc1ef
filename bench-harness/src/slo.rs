//! Service level objectives: what a phase is held to.
//!
//! ```text
//! read.p99 < 5ms            an operation, a quantile (or mean, max), a time; response clock
//! put.service.p99.9 < 1ms   the same with the clock named
//! throughput >= 40k/s       answered operations per second
//! achieved >= 0.98          answered over offered
//! errors == 0               failed operations
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quantity::{Rate, Span};
use crate::workload::OpKind;

/// One objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// What is compared.
    pub metric: Metric,
    /// How.
    pub relation: Relation,
    /// With what, in the metric's unit: nanoseconds, operations per second, a ratio or a count.
    pub limit: f64,
    text: String,
}

/// What an objective looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// A latency of one kind of operation.
    Latency(OpKind, ClockName, Statistic),
    /// Answered operations per second.
    Throughput,
    /// Answered over offered operations.
    Achieved,
    /// Failed operations.
    Errors,
}

/// One of the three clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockName {
    /// Due to done.
    Response,
    /// Issued to done.
    Service,
    /// Due to issued.
    Slip,
}

impl ClockName {
    /// The three, in report order.
    pub const ALL: [ClockName; 3] = [ClockName::Response, ClockName::Service, ClockName::Slip];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            ClockName::Response => "response",
            ClockName::Service => "service",
            ClockName::Slip => "slip",
        }
    }
}

/// A statistic of a latency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// A quantile between 0 and 1.
    Quantile(f64),
    /// The mean.
    Mean,
    /// The largest.
    Max,
}

/// How a metric is held against its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

impl Relation {
    /// Does `value` keep the relation with `limit`?
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Relation::Below => value < limit,
            Relation::AtMost => value <= limit,
            Relation::Above => value > limit,
            Relation::AtLeast => value >= limit,
            Relation::Equal => value == limit,
        }
    }
}

const RELATIONS: [(&str, Relation); 5] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("<", Relation::Below),
    (">", Relation::Above),
];

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Slo, String> {
        let (symbol, relation) = RELATIONS
            .iter()
            .find(|(symbol, _)| text.contains(symbol))
            .ok_or_else(|| format!("`{text}` compares nothing: write it as `read.p99 < 5ms`"))?;
        let (left, right) = text.split_once(symbol).expect("the symbol was found");
        let (left, right) = (left.trim(), right.trim());
        let number = || {
            right
                .parse::<f64>()
                .map_err(|_| format!("`{right}` in `{text}` is not a number"))
        };
        let (metric, limit) = match left {
            "throughput" => (Metric::Throughput, right.parse::<Rate>()?.per_s),
            "achieved" => (Metric::Achieved, number()?),
            "errors" => (Metric::Errors, number()?),
            _ => (latency(left)?, right.parse::<Span>()?.ns as f64),
        };
        Ok(Slo {
            metric,
            relation: *relation,
            limit,
            text: format!("{left} {symbol} {right}"),
        })
    }
}

fn latency(left: &str) -> Result<Metric, String> {
    let unknown = || {
        format!(
            "`{left}` is not a metric: write an operation and a statistic (read.p99, put.service.max), \
             throughput, achieved or errors"
        )
    };
    let (op, rest) = left.split_once('.').ok_or_else(unknown)?;
    let kind = OpKind::from_name(op).ok_or_else(unknown)?;
    let (clock, statistic) = ClockName::ALL
        .iter()
        .find_map(|&clock| Some((clock, rest.strip_prefix(clock.name())?.strip_prefix('.')?)))
        .unwrap_or((ClockName::Response, rest));
    let statistic = match statistic {
        "mean" => Statistic::Mean,
        "max" => Statistic::Max,
        quantile => {
            let percent: f64 = quantile
                .strip_prefix('p')
                .and_then(|p| p.parse().ok())
                .filter(|p| (0.0..100.0).contains(p))
                .ok_or_else(unknown)?;
            Statistic::Quantile(percent / 100.0)
        }
    };
    Ok(Metric::Latency(kind, clock, statistic))
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Slo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Slo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slo, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_as_people_write_them() {
        let slo: Slo = "read.p99 < 5ms".parse().unwrap();
        assert_eq!(
            slo.metric,
            Metric::Latency(OpKind::Get, ClockName::Response, Statistic::Quantile(0.99))
        );
        assert_eq!((slo.relation, slo.limit), (Relation::Below, 5e6));
        let slo: Slo = "put.service.p99.9<=1ms".parse().unwrap();
        let Metric::Latency(OpKind::Put, ClockName::Service, Statistic::Quantile(q)) = slo.metric
        else {
            panic!("{slo:?}");
        };
        assert!((q - 0.999).abs() < 1e-12);
        let slo: Slo = "throughput >= 40k/s".parse().unwrap();
        assert_eq!((slo.metric, slo.limit), (Metric::Throughput, 40_000.0));
        assert_eq!(slo.to_string(), "throughput >= 40k/s");
        assert!(
            "errors == 0"
                .parse::<Slo>()
                .unwrap()
                .relation
                .holds(0.0, 0.0)
        );
    }

    #[test]
    fn nonsense_is_named() {
        for (text, part) in [
            ("read.p99", "compares nothing"),
            ("speed < 5ms", "`speed` is not a metric"),
            ("read.p100 < 5ms", "`read.p100` is not a metric"),
            ("read.p99 < fast", "`fast` is not a time"),
        ] {
            let message = text.parse::<Slo>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

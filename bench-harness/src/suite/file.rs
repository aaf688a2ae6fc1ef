//! What people write in a suite file.
//!
//! Every table refuses unknown entries. What is optional here gets its value in `resolve`.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::quantity::{Count, Length, Rate, Size, Span};
use crate::slo::Slo;
use crate::workload::{Drive, KeyForm, OnFull};

/// The version of this format.
pub const SCHEMA: u32 = 1;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// Version of the format.
    pub schema: u32,
    pub(super) suite: Head,
    #[serde(default)]
    pub(super) defaults: Defaults,
    #[serde(default)]
    pub(super) dataset: Vec<DatasetSpec>,
    #[serde(default)]
    pub(super) workload: Vec<WorkloadSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub name: String,
    #[serde(default)]
    pub about: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub seed: Option<u64>,
    pub durability: Option<String>,
    pub cache: Option<String>,
    pub warmup: Option<WarmupSpec>,
    pub duration: Option<PerScale<Length>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetSpec {
    pub id: String,
    pub keys: PerScale<Count>,
    pub key: Option<KeyShapeSpec>,
    pub value: Option<LengthSpec>,
    pub age: Option<AgeSpec>,
    #[serde(default)]
    pub empty: bool,
    #[serde(default)]
    pub killed: bool,
    #[serde(default)]
    pub reopened: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyShapeSpec {
    pub form: KeyForm,
    pub size: usize,
}

/// A law of lengths. Flat, because a fault in a tagged table loses its place in the file; `compress` means
/// something for values only.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LengthSpec {
    pub dist: Option<String>,
    pub size: Option<Size>,
    pub min: Option<Size>,
    pub max: Option<Size>,
    pub mean: Option<f64>,
    pub sigma: Option<f64>,
    pub theta: Option<f64>,
    pub k: Option<f64>,
    pub steps: Option<Vec<(f64, u32, u32)>>,
    pub compress: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgeSpec {
    pub overwrite: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadSpec {
    pub name: String,
    pub about: Option<String>,
    pub extends: Option<String>,
    pub dataset: Option<String>,
    pub tags: Option<Vec<String>>,
    pub cache: Option<String>,
    pub durability: Option<String>,
    pub keys: Option<KeysSpec>,
    pub clients: Option<Count>,
    pub rate: Option<Rate>,
    pub drive: Option<Drive>,
    pub slo: Option<Vec<Slo>>,
    pub phase: Option<Vec<PhaseSpec>>,
    /// Traffic added beside the first stream of every phase.
    pub beside: Option<Vec<TrafficSpec>>,
    pub matrix: Option<MatrixSpec>,
}

/// Values of each axis; the workload is repeated for every combination.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatrixSpec {
    #[serde(default)]
    pub theta: Vec<f64>,
    #[serde(default)]
    pub cache: Vec<String>,
    #[serde(default)]
    pub clients: Vec<Count>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PhaseSpec {
    pub name: String,
    pub warmup: Option<WarmupSpec>,
    pub duration: Option<PerScale<Length>>,
    /// Operations as a multiple of the number of keys, instead of a duration.
    pub passes: Option<f64>,
    pub load: LoadSpec,
    pub ops: OpsSpec,
    pub drive: Option<Drive>,
    pub slo: Option<Vec<Slo>>,
    pub report: Option<Vec<String>>,
    /// Wait for background work of the phase before? Yes, unless meeting it is the point.
    pub settle: Option<bool>,
    /// Hold a snapshot open from before the warm-up to the end.
    #[serde(default)]
    pub snapshot: bool,
    #[serde(default)]
    pub beside: Vec<TrafficSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrafficSpec {
    pub name: String,
    pub load: LoadSpec,
    pub ops: OpsSpec,
    pub drive: Option<Drive>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadSpec {
    pub mode: LoadMode,
    pub rate: Option<Rate>,
    pub arrival: Option<String>,
    pub max_in_flight: Option<Count>,
    pub on_full: Option<OnFull>,
    pub clients: Option<Count>,
    pub think: Option<ThinkSpec>,
    pub on: Option<Span>,
    pub off: Option<Span>,
    pub factor: Option<f64>,
    pub period: Option<Span>,
    pub depth: Option<f64>,
    pub k: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LoadMode {
    Open,
    Closed,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysSpec {
    pub dist: String,
    pub theta: Option<f64>,
    pub scramble: Option<bool>,
    pub hot: Option<f64>,
    pub ops: Option<f64>,
    pub groups: Option<u64>,
    pub ranges: Option<u64>,
    pub a: Option<f64>,
    pub b: Option<f64>,
    pub c: Option<f64>,
    pub d: Option<f64>,
    pub beta: Option<f64>,
    pub steps: Option<Vec<(f64, f64)>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpSpec {
    pub op: String,
    pub weight: Option<f64>,
    pub keys: Option<KeysSpec>,
    pub miss: Option<f64>,
    pub n: Option<u32>,
    pub len: Option<ScanLength>,
    pub reverse: Option<bool>,
    pub durability: Option<String>,
}

/// A value for all scales, or one for each.
#[derive(Clone, Debug)]
pub(super) enum PerScale<T> {
    Same(T),
    Each {
        quick: Option<T>,
        s: Option<T>,
        m: Option<T>,
        l: Option<T>,
    },
}

/// The mix itself, or the name of a phase that has it.
#[derive(Clone, Debug)]
pub(super) enum OpsSpec {
    As(String),
    Mix(Vec<OpSpec>),
}

#[derive(Clone, Debug)]
pub(super) enum WarmupSpec {
    Fixed(Span),
    Between(Span, Span),
}

#[derive(Clone, Debug)]
pub(super) enum ThinkSpec {
    Fixed(Span),
    Exp(Span),
}

#[derive(Clone, Debug)]
pub(super) enum ScanLength {
    Fixed(Count),
    Law(LengthSpec),
}

// The types below take either a plain value or a table. Written by hand because serde's untagged enums answer
// every fault with the same useless sentence.

impl<'de, T: Deserialize<'de> + std::str::FromStr<Err = String>> Deserialize<'de> for PerScale<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, bound = "T: Deserialize<'de>")]
        struct Each<T> {
            quick: Option<T>,
            s: Option<T>,
            m: Option<T>,
            l: Option<T>,
        }
        plain_or_table(
            deserializer,
            |text| text.parse().map(PerScale::Same),
            |Each { quick, s, m, l }| Ok(PerScale::Each { quick, s, m, l }),
        )
    }
}

impl<'de> Deserialize<'de> for WarmupSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Between {
            min: Span,
            max: Span,
        }
        plain_or_table(
            deserializer,
            |text| text.parse().map(WarmupSpec::Fixed),
            |Between { min, max }| match min <= max {
                true => Ok(WarmupSpec::Between(min, max)),
                false => Err("a warm-up needs min <= max".to_string()),
            },
        )
    }
}

impl<'de> Deserialize<'de> for ThinkSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Law {
            dist: String,
            mean: Span,
        }
        plain_or_table(
            deserializer,
            |text| text.parse().map(ThinkSpec::Fixed),
            |Law { dist, mean }| match dist.as_str() {
                "exp" => Ok(ThinkSpec::Exp(mean)),
                "fixed" => Ok(ThinkSpec::Fixed(mean)),
                other => Err(format!(
                    "think time cannot be `{other}`: write exp or fixed"
                )),
            },
        )
    }
}

impl<'de> Deserialize<'de> for ScanLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        plain_or_table(
            deserializer,
            |text| text.parse().map(ScanLength::Fixed),
            |law| Ok(ScanLength::Law(law)),
        )
    }
}

impl<'de> Deserialize<'de> for OpsSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ops;
        impl<'de> Visitor<'de> for Ops {
            type Value = OpsSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of operations or the name of a phase that has one")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<OpsSpec, E> {
                Ok(OpsSpec::As(name.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OpsSpec, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OpsSpec::Mix)
            }
        }
        deserializer.deserialize_any(Ops)
    }
}

fn plain_or_table<'de, D, T, Table>(
    deserializer: D,
    plain: impl Fn(&str) -> Result<T, String>,
    table: impl Fn(Table) -> Result<T, String>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    Table: Deserialize<'de>,
{
    struct Either<P, F, T, Table> {
        plain: P,
        table: F,
        types: std::marker::PhantomData<(T, Table)>,
    }
    impl<'de, P, F, T, Table> Visitor<'de> for Either<P, F, T, Table>
    where
        P: Fn(&str) -> Result<T, String>,
        F: Fn(Table) -> Result<T, String>,
        Table: Deserialize<'de>,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value or a table")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.plain)(text).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            (self.plain)(&number.to_string()).map_err(E::custom)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            (self.plain)(&number.to_string()).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            let table = Table::deserialize(MapAccessDeserializer::new(map))?;
            (self.table)(table).map_err(de::Error::custom)
        }
    }
    deserializer.deserialize_any(Either {
        plain,
        table,
        types: std::marker::PhantomData,
    })
}

/// Carries out one `path=value`.
pub(super) fn assign(table: &mut toml::Table, assignment: &str) -> Result<(), String> {
    let (path, value) = assignment
        .split_once('=')
        .ok_or_else(|| format!("`{assignment}` assigns nothing: write --set dataset.kv.keys=1M"))?;
    let (path, text) = (path.trim(), value.trim());
    // As TOML if it is, else as the bare word that it looks like.
    let value = toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| toml::Value::String(text.to_string()));
    let mut place = &mut *table;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            place.insert(part.to_string(), value);
            return Ok(());
        }
        let next = place
            .entry(part)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = match next {
            toml::Value::Table(table) => table,
            toml::Value::Array(list) => {
                let wanted = parts.next().expect("peeked");
                let known: Vec<String> = list.iter().filter_map(title).collect();
                let found = list
                    .iter_mut()
                    .find(|item| title(item).as_deref() == Some(wanted));
                match (found, parts.peek()) {
                    (Some(toml::Value::Table(table)), Some(_)) => table,
                    (Some(_), _) => {
                        return Err(format!("`{path}` names a table, not an entry of it"));
                    }
                    (None, _) => {
                        return Err(format!(
                            "`{path}`: no {part} `{wanted}`; there is {}",
                            known.join(", ")
                        ));
                    }
                }
            }
            _ => return Err(format!("`{path}`: `{part}` is a value, not a table")),
        };
    }
    Err(format!("`{assignment}` names no entry"))
}

fn title(item: &toml::Value) -> Option<String> {
    let table = item.as_table()?;
    let name = table.get("id").or_else(|| table.get("name"))?;
    name.as_str().map(str::to_string)
}

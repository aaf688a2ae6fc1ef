//! From what was written to what is run: inheritance, defaults, scale, overrides, matrix.

use super::file::{
    DatasetSpec, KeysSpec, LoadMode, LoadSpec, OpSpec, OpsSpec, PerScale, PhaseSpec, SCHEMA,
    ScanLength, SuiteFile, ThinkSpec, TrafficSpec, WarmupSpec, WorkloadSpec,
};
use super::laws::{arrival_from, durability_from, keys_from, length_from};
use super::{Scale, nearest};
use crate::quantity::{Count, Length, Rate, Span};
use crate::slo::Slo;
use crate::workload::{
    Arrival, Dataset, Drive, Durability, KeyForm, KeyLaw, KeyShape, LengthLaw, Load, OnFull,
    OpKind, OpShape, Phase, SpecError, Think, Traffic, ValueShape, Warmup, Workload,
};

/// What the command line changes in every selected workload.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Seed of everything random.
    pub seed: Option<u64>,
    /// Measured length of each phase.
    pub duration: Option<Length>,
    /// Warm-up of each phase.
    pub warmup: Option<Warmup>,
    /// Keys of each dataset.
    pub keys: Option<u64>,
    /// Replaces the phases by one with the first phase's operations under this load.
    pub load: Option<(String, Load)>,
    /// Arrivals of every open load.
    pub arrival: Option<Arrival>,
    /// Objectives added to every phase that shows response times.
    pub slo: Vec<Slo>,
}

/// All workloads of a file.
pub fn workloads(
    file: &SuiteFile,
    scale: Scale,
    overrides: &Overrides,
) -> Result<Vec<Workload>, SpecError> {
    if file.schema != SCHEMA {
        return Err(SpecError(format!(
            "schema = {} is unknown; this version reads schema = {SCHEMA}",
            file.schema
        )));
    }
    let mut all: Vec<Workload> = Vec::new();
    for spec in &file.workload {
        let spec = inherit(file, spec, 0)?;
        for variant in variants(&spec) {
            let resolver = Resolver {
                file,
                spec: &variant,
                scale,
                overrides,
            };
            let workload = resolver
                .workload()
                .map_err(|message| SpecError(format!("workload `{}`: {message}", variant.name)))?;
            if all.iter().any(|other| other.name == workload.name) {
                return Err(SpecError(format!(
                    "two workloads are called `{}`",
                    workload.name
                )));
            }
            all.push(workload);
        }
    }
    Ok(all)
}

/// Fills what `spec` leaves out from the workload it extends.
fn inherit(file: &SuiteFile, spec: &WorkloadSpec, depth: usize) -> Result<WorkloadSpec, SpecError> {
    let Some(parent) = &spec.extends else {
        return Ok(spec.clone());
    };
    if depth > 8 {
        return Err(SpecError(format!(
            "workload `{}` extends itself",
            spec.name
        )));
    }
    let parent = file
        .workload
        .iter()
        .find(|other| other.name == *parent)
        .ok_or_else(|| {
            let names = file.workload.iter().map(|w| w.name.as_str());
            let near = nearest(parent, names, 1);
            let hint = near
                .first()
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            SpecError(format!(
                "workload `{}` extends `{parent}`, which is not in this file{hint}",
                spec.name
            ))
        })?;
    let parent = inherit(file, parent, depth + 1)?;
    let child = spec.clone();
    Ok(WorkloadSpec {
        name: child.name,
        about: child.about.or(parent.about),
        extends: None,
        dataset: child.dataset.or(parent.dataset),
        tags: child.tags.or(parent.tags),
        cache: child.cache.or(parent.cache),
        durability: child.durability.or(parent.durability),
        keys: child.keys.or(parent.keys),
        clients: child.clients.or(parent.clients),
        rate: child.rate.or(parent.rate),
        drive: child.drive.or(parent.drive),
        slo: child.slo.or(parent.slo),
        phase: child.phase.or(parent.phase),
        beside: child.beside.or(parent.beside),
        // A matrix describes one workload; its children are the variants, not more matrices.
        matrix: child.matrix,
    })
}

/// One workload per combination of the matrix, named `name/axis=value`; the plain one if there is none.
fn variants(spec: &WorkloadSpec) -> Vec<WorkloadSpec> {
    let plain = WorkloadSpec {
        matrix: None,
        ..spec.clone()
    };
    let Some(matrix) = &spec.matrix else {
        return vec![plain];
    };
    let mut all = vec![plain];
    all = vary(
        all,
        "theta",
        &matrix.theta,
        f64::to_string,
        |spec, &theta| {
            spec.keys = Some(KeysSpec {
                dist: if theta == 0.0 { "uniform" } else { "zipf" }.to_string(),
                theta: (theta != 0.0).then_some(theta),
                ..KeysSpec::default()
            });
        },
    );
    let percent = |cache: &String| cache.replace('%', "pct");
    all = vary(all, "cache", &matrix.cache, percent, |spec, cache| {
        spec.cache = Some(cache.clone());
    });
    let number = |clients: &Count| clients.n.to_string();
    vary(all, "clients", &matrix.clients, number, |spec, &clients| {
        spec.clients = Some(clients);
    })
}

/// Each workload once per value of the axis; as it was if the axis has none.
fn vary<T>(
    all: Vec<WorkloadSpec>,
    axis: &str,
    values: &[T],
    text: impl Fn(&T) -> String,
    change: impl Fn(&mut WorkloadSpec, &T),
) -> Vec<WorkloadSpec> {
    if values.is_empty() {
        return all;
    }
    let mut varied = Vec::new();
    for base in &all {
        for value in values {
            let mut variant = base.clone();
            variant.name = format!("{}/{axis}={}", base.name, text(value));
            change(&mut variant, value);
            varied.push(variant);
        }
    }
    varied
}

struct Resolver<'a> {
    file: &'a SuiteFile,
    spec: &'a WorkloadSpec,
    scale: Scale,
    overrides: &'a Overrides,
}

impl Resolver<'_> {
    fn workload(&self) -> Result<Workload, String> {
        let spec = self.spec;
        if spec.name.is_empty() || spec.name.starts_with('/') {
            return Err("a name is words separated by slashes".to_string());
        }
        let dataset = self.dataset()?;
        let phase_specs = spec.phase.as_deref().unwrap_or(&[]);
        if phase_specs.is_empty() {
            return Err("it has no [[workload.phase]]".to_string());
        }
        let mut phases = Vec::new();
        for phase in phase_specs {
            let phase = self
                .phase(phase, phase_specs, &dataset)
                .map_err(|message| format!("phase `{}`: {message}", phase.name))?;
            phases.push(phase);
        }
        if let Some((name, load)) = &self.overrides.load {
            phases.truncate(1);
            phases[0].name = name.clone();
            phases[0].traffic[0].load = load.clone();
            phases[0].shows_response = shows_response(load);
        }
        let durability = spec
            .durability
            .as_ref()
            .or(self.file.defaults.durability.as_ref());
        Ok(Workload {
            name: spec.name.clone(),
            about: spec.about.clone().unwrap_or_default(),
            tags: spec.tags.clone().unwrap_or_default(),
            cache_share: self.cache_share()?,
            durability: durability.map_or(Ok(Durability::Sync), |text| durability_from(text))?,
            seed: self
                .overrides
                .seed
                .or(self.file.defaults.seed)
                .unwrap_or(42),
            dataset,
            phases,
        })
    }

    fn cache_share(&self) -> Result<f64, String> {
        let text = self
            .spec
            .cache
            .as_ref()
            .or(self.file.defaults.cache.as_ref());
        let Some(text) = text else {
            return Ok(0.5);
        };
        text.strip_suffix('%')
            .and_then(|percent| percent.parse::<f64>().ok())
            .map(|percent| percent / 100.0)
            .filter(|share| *share > 0.0 && *share <= 100.0)
            .ok_or_else(|| {
                format!("cache = \"{text}\" is not a share of the dataset: write it as \"50%\"")
            })
    }

    fn dataset(&self) -> Result<Dataset, String> {
        let wanted = self.spec.dataset.as_ref().ok_or("it names no dataset")?;
        let known = || self.file.dataset.iter().map(|dataset| dataset.id.as_str());
        let spec = self
            .file
            .dataset
            .iter()
            .find(|dataset| dataset.id == *wanted)
            .ok_or_else(|| {
                let near = nearest(wanted, known(), 1);
                let hint = near
                    .first()
                    .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
                format!("there is no dataset `{wanted}`{hint}")
            })?;
        self.dataset_from(spec)
            .map_err(|message| format!("dataset `{wanted}`: {message}"))
    }

    fn dataset_from(&self, spec: &DatasetSpec) -> Result<Dataset, String> {
        let keys = self
            .at_scale(&spec.keys)
            .ok_or("keys has no value for this size")?
            .n;
        let keys = match (self.overrides.keys, self.scale) {
            (Some(keys), _) => keys,
            (None, Scale::Quick) => keys.min(20_000),
            (None, _) => keys,
        };
        if keys == 0 || keys >= 1 << 40 {
            return Err(format!("keys = {keys} is out of range: 1 to about 10^12"));
        }
        let key = match &spec.key {
            None => KeyShape {
                form: KeyForm::Hashed,
                size: 24,
            },
            Some(key) => KeyShape {
                form: key.form,
                size: key.size,
            },
        };
        if key.size < key.form.size_min() || key.size > 4096 {
            return Err(format!(
                "key size {} does not fit this form: {} to 4096 bytes",
                key.size,
                key.form.size_min()
            ));
        }
        let value = match &spec.value {
            None => ValueShape {
                length: LengthLaw::Fixed { size: 1024 },
                compress: 0.5,
            },
            Some(value) => ValueShape {
                length: length_from(value)?,
                compress: value.compress.unwrap_or(0.5),
            },
        };
        if !(0.0..=1.0).contains(&value.compress) {
            return Err("compress is a share: 0 to 1".to_string());
        }
        if value.length.max() > 64 << 20 {
            return Err("a value is at most 64MiB".to_string());
        }
        if spec.killed && spec.empty {
            return Err(
                "killed and empty: nothing is loaded whose process could be killed".to_string(),
            );
        }
        if spec.reopened && (spec.killed || spec.empty) {
            return Err(
                "reopened and killed or empty: what settled and closed is opened again".to_string(),
            );
        }
        let age_overwrite = spec.age.as_ref().map_or(0.0, |age| age.overwrite);
        if !(0.0..=100.0).contains(&age_overwrite) {
            return Err("age.overwrite is a multiple of the dataset: 0 to 100".to_string());
        }
        Ok(Dataset {
            id: spec.id.clone(),
            keys,
            key,
            value,
            empty: spec.empty,
            age_overwrite,
            killed: spec.killed,
            reopened: spec.reopened,
        })
    }

    fn phase(
        &self,
        spec: &PhaseSpec,
        siblings: &[PhaseSpec],
        dataset: &Dataset,
    ) -> Result<Phase, String> {
        let ops = self.ops(&spec.ops, siblings)?;
        let mut traffic = vec![Traffic {
            name: spec.name.clone(),
            load: self.load(&spec.load)?,
            drive: spec.drive.or(self.spec.drive).unwrap_or(Drive::Auto),
            ops,
            script: None,
        }];
        for beside in spec.beside.iter().chain(self.spec.beside.iter().flatten()) {
            traffic.push(self.beside(beside, siblings)?);
        }
        let shows = match &spec.report {
            None => shows_response(&traffic[0].load),
            Some(words) => {
                let known = ["response", "service", "throughput"];
                if let Some(odd) = words.iter().find(|word| !known.contains(&word.as_str())) {
                    return Err(format!("report knows {}, not `{odd}`", known.join(", ")));
                }
                words.iter().any(|word| word == "response")
            }
        };
        let mut slo = spec.slo.clone().unwrap_or_default();
        if shows {
            slo.extend(self.spec.slo.clone().unwrap_or_default());
            slo.extend(self.overrides.slo.clone());
        }
        let (length, warmup) = self.length(spec, dataset)?;
        Ok(Phase {
            name: spec.name.clone(),
            warmup,
            length,
            traffic,
            slo,
            shows_response: shows,
            settles: spec.settle.unwrap_or(true),
            holds_snapshot: spec.snapshot,
        })
    }

    fn length(&self, spec: &PhaseSpec, dataset: &Dataset) -> Result<(Length, Warmup), String> {
        if spec.passes.is_some() && spec.duration.is_some() {
            return Err("it has both passes and a duration".to_string());
        }
        let none = Warmup {
            min: Span::default(),
            max: Span::default(),
        };
        if let (Some(passes), None) = (spec.passes, self.overrides.duration) {
            let n = ((dataset.keys as f64 * passes) as u64).max(1);
            return Ok((Length::Ops(Count { n }), none));
        }
        let written = spec
            .duration
            .as_ref()
            .or(self.file.defaults.duration.as_ref());
        let length = match self.overrides.duration {
            Some(length) => length,
            None => written
                .and_then(|duration| self.at_scale(duration))
                .unwrap_or(Length::Time(self.scale.duration())),
        };
        let written = spec.warmup.as_ref().or(self.file.defaults.warmup.as_ref());
        let warmup = match (self.overrides.warmup, written, self.scale, length) {
            // Counted from the first operation: a warm-up could use all of them up.
            (.., Length::Ops(_)) => none,
            (Some(warmup), ..) => warmup,
            (None, _, Scale::Quick, _) | (None, None, ..) => self.scale.warmup(),
            (None, Some(&WarmupSpec::Fixed(span)), ..) => Warmup {
                min: span,
                max: span,
            },
            (None, Some(&WarmupSpec::Between(min, max)), ..) => Warmup { min, max },
        };
        Ok((length, warmup))
    }

    fn beside(&self, spec: &TrafficSpec, siblings: &[PhaseSpec]) -> Result<Traffic, String> {
        let fault = |message| format!("beside `{}`: {message}", spec.name);
        if spec.load.rate.is_none() && spec.load.clients.is_none() {
            return Err(fault(
                "its load needs a rate or clients of its own".to_string(),
            ));
        }
        Ok(Traffic {
            name: spec.name.clone(),
            load: self.load(&spec.load).map_err(fault)?,
            drive: spec.drive.unwrap_or(Drive::Auto),
            ops: self.ops(&spec.ops, siblings).map_err(fault)?,
            script: None,
        })
    }

    fn ops(&self, spec: &OpsSpec, siblings: &[PhaseSpec]) -> Result<Vec<OpShape>, String> {
        let mix = match spec {
            OpsSpec::Mix(mix) => mix,
            OpsSpec::As(name) => match siblings.iter().find(|phase| phase.name == *name) {
                Some(PhaseSpec {
                    ops: OpsSpec::Mix(mix),
                    ..
                }) => mix,
                Some(_) => {
                    return Err(format!(
                        "ops = \"{name}\" points at a phase that points elsewhere itself"
                    ));
                }
                None => return Err(format!("ops = \"{name}\" names no phase of this workload")),
            },
        };
        if mix.is_empty() {
            return Err("its ops are empty".to_string());
        }
        mix.iter().map(|op| self.op(op)).collect()
    }

    fn op(&self, spec: &OpSpec) -> Result<OpShape, String> {
        let kind = OpKind::from_name(&spec.op).ok_or_else(|| {
            let names = OpKind::ALL.map(OpKind::name);
            let near = nearest(&spec.op, names, 1);
            let hint = near
                .first()
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            format!(
                "there is no operation `{}`{hint} Known: {}",
                spec.op,
                names.join(", ")
            )
        })?;
        let weight = spec.weight.unwrap_or(1.0);
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(format!("the weight of `{}` must be above 0", spec.op));
        }
        let miss = spec.miss.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&miss) || miss > 0.0 && kind.writes() {
            return Err(format!(
                "miss of `{}` is a share of reads: 0 to 1, and only for reads",
                spec.op
            ));
        }
        let keys = spec.keys.as_ref().or(self.spec.keys.as_ref());
        Ok(OpShape {
            op: kind,
            weight,
            keys: keys.map_or(Ok(KeyLaw::Uniform), keys_from)?,
            miss,
            n: match (kind, spec.n) {
                (OpKind::MultiGet | OpKind::Batch, n) => n.unwrap_or(10).clamp(1, 10_000),
                (_, None) => 1,
                (_, Some(_)) => {
                    return Err(format!(
                        "n belongs to multi_get and batch, not to `{}`",
                        spec.op
                    ));
                }
            },
            entries: match (&spec.len, kind) {
                (None, _) => LengthLaw::Fixed { size: 100 },
                (Some(_), kind) if kind != OpKind::Scan => {
                    return Err(format!("len belongs to scan, not to `{}`", spec.op));
                }
                (Some(ScanLength::Fixed(count)), _) => LengthLaw::Fixed {
                    size: count.n as u32,
                },
                (Some(ScanLength::Law(law)), _) if law.compress.is_none() => length_from(law)?,
                (Some(_), _) => return Err("compress belongs to values, not to scans".to_string()),
            },
            reverse: spec.reverse.unwrap_or(false),
            durability: spec
                .durability
                .as_deref()
                .map(durability_from)
                .transpose()?,
        })
    }

    fn load(&self, spec: &LoadSpec) -> Result<Load, String> {
        match spec.mode {
            LoadMode::Open => {
                let rate = spec
                    .rate
                    .or(self.spec.rate)
                    .ok_or("an open load needs a rate")?;
                let refuse = [
                    ("clients", spec.clients.is_some()),
                    ("think", spec.think.is_some()),
                ];
                if let Some((word, _)) = refuse.iter().find(|(_, set)| *set) {
                    return Err(format!(
                        "{word} belongs to a closed load; an open one has a rate"
                    ));
                }
                let clients = spec.max_in_flight.or(self.spec.clients);
                Ok(Load::Open {
                    rate_per_s: self.quick_rate(rate),
                    arrival: match self.overrides.arrival {
                        Some(arrival) => arrival,
                        None => arrival_from(spec)?,
                    },
                    in_flight_max: clients.map_or(1000, |c| c.n as usize).clamp(1, 1 << 20),
                    on_full: spec.on_full.unwrap_or(OnFull::Queue),
                })
            }
            LoadMode::Closed => {
                if spec.rate.is_some() || spec.arrival.is_some() || spec.max_in_flight.is_some() {
                    return Err(
                        "rate, arrival and max_in_flight belong to an open load".to_string()
                    );
                }
                let clients = spec
                    .clients
                    .or(self.spec.clients)
                    .ok_or("a closed load needs clients")?;
                Ok(Load::Closed {
                    clients: (clients.n as usize).clamp(1, 1 << 20),
                    think: match spec.think {
                        None => Think::Fixed {
                            time: Span::default(),
                        },
                        Some(ThinkSpec::Fixed(time)) => Think::Fixed { time },
                        Some(ThinkSpec::Exp(mean)) => Think::Exp { mean },
                    },
                })
            }
        }
    }

    /// A quick run on a busy machine must not drown in its own backlog.
    fn quick_rate(&self, rate: Rate) -> f64 {
        match self.scale {
            Scale::Quick => rate.per_s.min(5_000.0),
            _ => rate.per_s,
        }
    }

    fn at_scale<T: Copy>(&self, value: &PerScale<T>) -> Option<T> {
        match value {
            PerScale::Same(value) => Some(*value),
            PerScale::Each { quick, s, m, l } => match self.scale {
                Scale::Quick => quick.or(*s),
                Scale::S => *s,
                Scale::M => m.or(*s),
                Scale::L => l.or(*m).or(*s),
            },
        }
    }
}

/// Without think time a closed loop's response time only says clients over throughput.
fn shows_response(load: &Load) -> bool {
    !matches!(load, Load::Closed { clients, think } if think.is_zero() && *clients > 1)
}

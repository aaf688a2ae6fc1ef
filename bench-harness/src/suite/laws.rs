//! The laws that a file may name, and what each of them needs.

use super::file::{KeysSpec, LengthSpec, LoadSpec};
use super::nearest;
use crate::quantity::Span;
use crate::workload::{Arrival, Durability, KeyLaw, LengthLaw};

pub(super) fn keys_from(spec: &KeysSpec) -> Result<KeyLaw, String> {
    let theta = || {
        let theta = spec.theta.unwrap_or(0.99);
        match (0.0..=10.0).contains(&theta) {
            true => Ok(theta),
            false => Err(format!("theta = {theta} is out of range: 0 to 10")),
        }
    };
    Ok(match spec.dist.as_str() {
        "uniform" => KeyLaw::Uniform,
        "zipf" => KeyLaw::Zipf {
            theta: theta()?,
            scramble: spec.scramble.unwrap_or(true),
        },
        "ycsb_zipf" => KeyLaw::YcsbZipf { theta: theta()? },
        "latest" => KeyLaw::Latest { theta: theta()? },
        "sequential" => KeyLaw::Sequential,
        "hotspot" => {
            let (hot, ops) = (spec.hot.unwrap_or(0.2), spec.ops.unwrap_or(0.8));
            if !(0.0..=1.0).contains(&hot) || !(0.0..=1.0).contains(&ops) {
                return Err("hot and ops of a hotspot are shares: 0 to 1".to_string());
            }
            KeyLaw::Hotspot { hot, ops }
        }
        "prefix" => KeyLaw::Prefix {
            groups: spec.groups.unwrap_or(1000).max(1),
            theta: theta()?,
        },
        "mixgraph" => KeyLaw::Mixgraph {
            ranges: spec.ranges.unwrap_or(1).max(1),
            a: spec.a.unwrap_or(1.0),
            b: spec.b.unwrap_or(0.0),
            c: spec.c.unwrap_or(0.0),
            d: spec.d.unwrap_or(0.0),
            beta: match spec.beta.unwrap_or(1.0) {
                beta if beta > 0.0 => beta,
                beta => return Err(format!("beta = {beta} is no exponent of a share: above 0")),
            },
        },
        "histogram" => {
            let steps = spec.steps.clone().unwrap_or_default();
            let whole = |pick: fn(&(f64, f64)) -> f64| {
                steps.iter().all(|step| pick(step) >= 0.0)
                    && (steps.iter().map(pick).sum::<f64>() - 1.0).abs() < 1e-6
            };
            if steps.is_empty() || !whole(|step| step.0) || !whole(|step| step.1) {
                return Err(
                    "a histogram needs steps = [[share of keys, share of operations], ...] that add up to 1 each"
                        .to_string(),
                );
            }
            KeyLaw::Histogram { steps }
        }
        other => {
            let known = [
                "uniform",
                "zipf",
                "ycsb_zipf",
                "latest",
                "sequential",
                "hotspot",
                "prefix",
                "mixgraph",
                "histogram",
            ];
            let near = nearest(other, known, 1);
            let hint = near
                .first()
                .map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            return Err(format!(
                "keys cannot be `{other}`{hint} Known: {}",
                known.join(", ")
            ));
        }
    })
}

pub(super) fn length_from(spec: &LengthSpec) -> Result<LengthLaw, String> {
    let need = |what: &str, value: Option<f64>| {
        value.ok_or_else(|| format!("this length law needs {what}"))
    };
    let max = spec
        .max
        .map_or(1 << 20, |max| max.bytes.min(1 << 30) as u32);
    Ok(match spec.dist.as_deref().unwrap_or("fixed") {
        "fixed" => LengthLaw::Fixed {
            size: spec
                .size
                .ok_or("a fixed length needs size")?
                .bytes
                .min(1 << 30) as u32,
        },
        "uniform" => {
            let min = spec.min.map_or(1, |min| min.bytes as u32);
            match min <= max {
                true => LengthLaw::Uniform { min, max },
                false => return Err("min is above max".to_string()),
            }
        }
        "normal" => LengthLaw::Normal {
            mean: need("mean", spec.mean)?,
            sigma: need("sigma", spec.sigma)?,
            max,
        },
        "histogram" => {
            let steps = spec.steps.clone().unwrap_or_default();
            let sum: f64 = steps.iter().map(|step| step.0).sum();
            let odd = |&(share, min, max): &(f64, u32, u32)| share < 0.0 || min > max || min == 0;
            if (sum - 1.0).abs() > 1e-6 || steps.iter().any(odd) {
                return Err(
                    "a histogram of lengths needs steps = [[share, shortest, longest], ...] whose shares add up to 1"
                        .to_string(),
                );
            }
            LengthLaw::Histogram { steps }
        }
        "log_normal" => LengthLaw::LogNormal {
            mean: need("mean", spec.mean)?,
            sigma: spec.sigma.unwrap_or(0.5),
            max,
        },
        "pareto" => LengthLaw::Pareto {
            theta: spec.theta.unwrap_or(0.0),
            k: need("k", spec.k)?,
            sigma: need("sigma", spec.sigma)?,
            max,
        },
        other => {
            return Err(format!(
                "a length cannot be `{other}`: write fixed, uniform, normal, log_normal, pareto or histogram"
            ));
        }
    })
}

pub(super) fn arrival_from(spec: &LoadSpec) -> Result<Arrival, String> {
    Ok(match spec.arrival.as_deref().unwrap_or("poisson") {
        "poisson" => Arrival::Poisson,
        "uniform" => Arrival::Uniform,
        "bursty" => {
            let (on, off) = (
                spec.on.unwrap_or(Span::secs(5)),
                spec.off.unwrap_or(Span::secs(10)),
            );
            let factor = spec.factor.unwrap_or(3.0);
            let longest = (on.ns + off.ns) as f64 / on.ns.max(1) as f64;
            if !(1.0..=longest).contains(&factor) {
                return Err(format!(
                    "factor = {factor} cannot keep the mean rate: 1 to {longest:.2}"
                ));
            }
            Arrival::Bursty { on, off, factor }
        }
        "pareto" => {
            let k = spec.k.unwrap_or(0.15);
            if !(0.0..1.0).contains(&k) {
                return Err(format!("k = {k} has no mean: from 0 to below 1"));
            }
            Arrival::Pareto { k }
        }
        "sine" => {
            let depth = spec.depth.unwrap_or(0.5);
            if !(0.0..1.0).contains(&depth) {
                return Err("depth of a sine is a share of the rate below 1".to_string());
            }
            Arrival::Sine {
                period: spec.period.unwrap_or(Span::secs(60)),
                depth,
            }
        }
        other => {
            return Err(format!(
                "arrivals cannot be `{other}`: write poisson, uniform, bursty, sine or pareto"
            ));
        }
    })
}

pub(super) fn durability_from(text: &str) -> Result<Durability, String> {
    match text.split_once(' ') {
        None if text == "sync" => Ok(Durability::Sync),
        None if text == "buffered" => Ok(Durability::Buffered),
        Some(("periodic", interval)) => Ok(Durability::Periodic {
            interval: interval.parse()?,
        }),
        _ => Err(format!(
            "durability cannot be `{text}`: write sync, buffered or \"periodic 100ms\""
        )),
    }
}

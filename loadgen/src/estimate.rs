//! What a run will take, printed before it starts.

use std::fmt::Write;

use ringkeep_bench::quantity::{Count, Length, Size, Span};
use ringkeep_bench::suite::Scale;
use ringkeep_bench::target::TargetKind;
use ringkeep_bench::workload::{Dataset, Load, Phase, Workload};

/// Load rate assumed before anything has been loaded, per second.
const LOAD_BYTES_PER_S: f64 = 80e6;
const LOAD_KEYS_PER_S: f64 = 150e3;
/// Rate assumed for phases that count operations.
const OPS_PER_S: f64 = 100e3;
/// Starting, draining and calibrating, for each phase.
const PHASE_EXTRA_S: f64 = 0.5;
/// Space that a store may need at its worst moment, over the user's bytes.
pub const SPACE_FACTOR: f64 = 2.5;

/// Time, disk and memory of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    pub seconds: f64,
    pub disk_bytes: u64,
    pub memory_bytes: u64,
}

/// How long a run takes that nobody gave a size or a duration.
const BUDGET_S: f64 = 120.0;
/// Of this, for loading.
const LOAD_BUDGET_S: f64 = 40.0;
/// A shorter phase than this measures too little to be worth it.
const PHASE_MIN_S: f64 = 5.0;

/// Shrinks data and durations until the run fits its budget, or until it cannot shrink further.
pub fn fit(workloads: &mut [(String, Workload)], targets: &[TargetKind], repeat: u32) {
    let rounds = f64::from(repeat) * targets.len() as f64;
    let load = loads(workloads).map(load_seconds).sum::<f64>() * rounds;
    if load > LOAD_BUDGET_S {
        for (_, workload) in workloads.iter_mut() {
            let keys = workload.dataset.keys as f64 * LOAD_BUDGET_S / load;
            workload.dataset.keys = (keys as u64).max(50_000).min(workload.dataset.keys);
        }
    }
    let load = loads(workloads).map(load_seconds).sum::<f64>() * rounds;
    let phases = || workloads.iter().flat_map(|(_, workload)| &workload.phases);
    let all = phases()
        .map(|phase| phase_seconds(phase, Scale::S))
        .sum::<f64>()
        * rounds;
    let share = (BUDGET_S - load) / all;
    if share >= 1.0 {
        return;
    }
    for phase in workloads
        .iter_mut()
        .flat_map(|(_, workload)| &mut workload.phases)
    {
        if let Length::Time(span) = &mut phase.length {
            let least = PHASE_MIN_S.min(span.as_secs());
            let seconds = (span.as_secs() * share).max(least);
            *span = Span {
                ns: (seconds * 1e9) as u64,
            };
            phase.warmup.max.ns = phase
                .warmup
                .max
                .ns
                .min(span.ns / 2)
                .max(phase.warmup.min.ns);
        }
    }
}

/// The datasets that will be loaded: one after the other, each kept while the next workload wants the same.
fn loads(workloads: &[(String, Workload)]) -> impl Iterator<Item = &Dataset> {
    let datasets = || workloads.iter().map(|(_, workload)| &workload.dataset);
    let before = std::iter::once(None).chain(datasets().map(Some));
    datasets()
        .zip(before)
        .filter(|(dataset, before)| !dataset.empty && *before != Some(dataset))
        .map(|(dataset, _)| dataset)
}

/// Adds up what the workloads will take on each of the targets.
pub fn estimate(
    workloads: &[(String, Workload)],
    targets: &[TargetKind],
    repeat: u32,
    scale: Scale,
) -> Estimate {
    let mut sum = Estimate {
        seconds: loads(workloads).map(load_seconds).sum(),
        ..Estimate::default()
    };
    for (_, workload) in workloads {
        let bytes = workload.dataset.user_bytes();
        sum.seconds += workload
            .phases
            .iter()
            .map(|phase| phase_seconds(phase, scale))
            .sum::<f64>();
        sum.disk_bytes = sum.disk_bytes.max((bytes as f64 * SPACE_FACTOR) as u64);
        let cache = (bytes as f64 * workload.cache_share) as u64;
        sum.memory_bytes = sum.memory_bytes.max(cache + (256 << 20));
    }
    sum.seconds *= f64::from(repeat) * targets.len() as f64;
    // All targets are open at the same time. One that stores nothing on disk keeps the data in memory instead.
    let (disk, memory) = (sum.disk_bytes, sum.memory_bytes);
    let persisting = targets.iter().filter(|kind| kind.persists).count() as u64;
    let holding = targets
        .iter()
        .filter(|kind| kind.answers && !kind.persists)
        .count() as u64;
    sum.disk_bytes = disk * persisting;
    sum.memory_bytes = memory * persisting + disk * holding + (64 << 20);
    sum
}

fn load_seconds(dataset: &Dataset) -> f64 {
    let keys = dataset.keys as f64 * (1.0 + dataset.age_overwrite);
    let bytes = dataset.user_bytes() as f64 * (1.0 + dataset.age_overwrite);
    (bytes / LOAD_BYTES_PER_S).max(keys / LOAD_KEYS_PER_S) + 1.0
}

fn phase_seconds(phase: &Phase, scale: Scale) -> f64 {
    let measured = match phase.length {
        Length::Time(span) => span.as_secs(),
        Length::Ops(count) => match phase.traffic[0].load {
            Load::Open { rate_per_s, .. } => count.n as f64 / rate_per_s,
            Load::Closed { .. } => count.n as f64 / OPS_PER_S,
        },
    };
    let warmup = (phase.warmup.min.as_secs() + phase.warmup.max.as_secs()) / 2.0;
    let extra = if scale == Scale::Quick {
        0.02
    } else {
        PHASE_EXTRA_S
    };
    measured + warmup + extra
}

/// The plan in a few lines.
pub fn describe(
    workloads: &[(String, Workload)],
    targets: &[TargetKind],
    repeat: u32,
    scale: Scale,
    fitted: bool,
    estimate: &Estimate,
) -> String {
    let mut text = String::new();
    let names: Vec<&str> = targets.iter().map(|kind| kind.name).collect();
    let _ = writeln!(
        text,
        "plan: {} on {}, size {}{}{}",
        match workloads {
            [(_, one)] => one.name.clone(),
            many => format!("{} workloads", many.len()),
        },
        names.join(", "),
        scale.name(),
        match fitted {
            true =>
                ", fitted to about two minutes (--size, --duration and --keys choose otherwise)",
            false => "",
        },
        match repeat {
            1 => String::new(),
            n => format!(", {n} times"),
        },
    );
    for (_, workload) in workloads {
        let phases: Vec<String> = workload
            .phases
            .iter()
            .map(|phase| format!("{} {}", phase.name, phase.length))
            .collect();
        let dataset = &workload.dataset;
        let _ = writeln!(
            text,
            "  {}: {} keys, {}{}; {}",
            workload.name,
            Count { n: dataset.keys },
            Size {
                bytes: dataset.user_bytes()
            },
            if dataset.empty { " to be written" } else { "" },
            phases.join(", "),
        );
    }
    let _ = writeln!(
        text,
        "estimate: about {}, {} of disk, {} of memory",
        minutes(estimate.seconds),
        Size {
            bytes: estimate.disk_bytes
        },
        Size {
            bytes: estimate.memory_bytes
        },
    );
    text
}

/// Seconds as people say them.
pub fn minutes(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => Span {
            ns: (s * 1e9) as u64,
        }
        .to_string(),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

//! `--verify`: the needed rate on this machine, a burst of one and a half times that, and saturation.

use ringkeep_bench::quantity::{Length, Span};
use ringkeep_bench::report::Report;
use ringkeep_bench::workload::{
    Arrival, Dataset, Drive, Durability, KeyForm, KeyLaw, KeyShape, LengthLaw, Load, OnFull,
    OpShape, Phase, Think, Traffic, ValueShape, Warmup, Workload,
};

use super::need::Need;
use super::place::Place;
use crate::cli::RunArgs;
use crate::exit::Fault;
use crate::run::Plan;
use crate::session::Session;
use crate::{estimate, select, targets};

const BURST: f64 = 1.5;
const IN_FLIGHT: usize = 1000;
/// Data is cut to what loads in about this long, unless --keys or --size says otherwise.
const KEYS_MAX: u64 = 2_000_000;

/// Runs it and hands back what it found.
pub fn verify(arguments: &RunArgs, need: &Need, place: &Place) -> Result<Report, Fault> {
    let scale = select::scale(arguments);
    let quick = arguments.quick;
    let cut = match (arguments.keys, quick, arguments.size.is_some()) {
        (Some(keys), ..) => keys.n,
        (None, true, _) => 20_000,
        (None, false, true) => need.keys,
        (None, false, false) => KEYS_MAX,
    };
    let keys = need.keys.min(cut).max(1);
    // The cache keeps its share of the data, whatever the data is cut to.
    let share = (place.ram_bytes * 0.7 / need.user_bytes()).clamp(0.01, 1.0);
    if keys < need.keys {
        eprintln!(
            "verify: {keys} of {} keys, with a cache of the same share of the data ({:.0} %); --size m loads all",
            need.keys,
            share * 100.0
        );
    }
    let ops: Vec<OpShape> = need
        .rates
        .iter()
        .map(|&(op, weight)| OpShape {
            op,
            weight,
            keys: match need.theta.unwrap_or(0.99) {
                0.0 => KeyLaw::Uniform,
                theta => KeyLaw::Zipf {
                    theta,
                    scramble: true,
                },
            },
            miss: 0.0,
            n: if op.name().contains("batch") || op.name().contains("multi") {
                10
            } else {
                1
            },
            entries: LengthLaw::Fixed { size: 100 },
            reverse: false,
            durability: None,
        })
        .collect();
    let length = match (arguments.duration, quick) {
        (Some(length), _) => length,
        (None, true) => Length::Time(Span::millis(100)),
        (None, false) => Length::Time(Span::secs(60)),
    };
    let warm = if quick {
        Span::millis(10)
    } else {
        Span::secs(2)
    };
    let open = |rate_per_s: f64| Load::Open {
        rate_per_s,
        arrival: Arrival::Poisson,
        in_flight_max: IN_FLIGHT,
        on_full: OnFull::Queue,
    };
    let phase = |name: &str, load: Load, length: Length| Phase {
        name: name.to_string(),
        warmup: Warmup {
            min: warm,
            max: warm,
        },
        length,
        shows_response: matches!(load, Load::Open { .. }),
        settles: true,
        holds_snapshot: false,
        slo: match load {
            Load::Open { .. } => need.slo.clone(),
            Load::Closed { .. } => Vec::new(),
        },
        traffic: vec![Traffic {
            name: name.to_string(),
            load,
            drive: Drive::Auto,
            ops: ops.clone(),
            script: None,
        }],
    };
    let short = match length {
        Length::Time(span) => Length::Time(Span {
            ns: (span.ns / 4).max(50_000_000),
        }),
        ops => ops,
    };
    let flat_out = Load::Closed {
        clients: IN_FLIGHT,
        think: Think::Fixed {
            time: Span::default(),
        },
    };
    let workload = Workload {
        name: "plan/verify".to_string(),
        about: "the need, a burst of 1.5 times it, and saturation".to_string(),
        tags: Vec::new(),
        dataset: Dataset {
            id: "need".to_string(),
            keys,
            key: KeyShape {
                form: KeyForm::Hashed,
                size: (need.key_size as usize).clamp(16, 4096),
            },
            value: ValueShape {
                length: LengthLaw::Fixed {
                    size: need.value_size.clamp(1, 64 << 20) as u32,
                },
                compress: 0.5,
            },
            empty: false,
            age_overwrite: 0.0,
            killed: false,
            reopened: false,
        },
        cache_share: share,
        durability: Durability::Sync,
        seed: arguments.seed.unwrap_or(42),
        phases: vec![
            phase("need", open(need.rate()), length),
            phase("burst", open(need.rate() * BURST), short),
            phase("saturate", flat_out, short),
        ],
    };
    let mut kinds = targets::choose(&arguments.target)?;
    kinds.truncate(1);
    let plan = Plan::new(
        vec![("plan".to_string(), workload)],
        kinds.clone(),
        1,
        scale,
        false,
    );
    eprintln!("verify: about {}", estimate::minutes(plan.estimate.seconds));
    let mut session = Session::open(arguments, scale, &kinds, &plan.estimate)?;
    plan.carry_out(&mut session);
    Ok(session.finish()?.1)
}

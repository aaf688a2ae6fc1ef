//! From what happened in a phase to its record.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use super::quantiles::clock_record;
use super::verdict::{judge, slo_record};
use super::{CostRecord, IntervalRecord, OpRecord, PhaseRecord, SloRecord, StreamRecord};
use crate::past::Past;
use crate::phase::{PhaseOutcome, TrafficOutcome};
use crate::recorder::{Interval, add, histogram};
use crate::workload::{Load, Phase, Traffic};

/// What is known about a phase besides its outcome.
#[derive(Clone, Copy, Debug)]
pub struct PhaseContext<'a> {
    /// What was asked for.
    pub phase: &'a Phase,
    /// Generator CPU per operation, one per stream.
    pub generator_cpu_ns: &'a [f64],
    /// The target is the null target: the generator is what is measured.
    pub measures_generator: bool,
    /// Bytes under the target's directory after the phase.
    pub disk_bytes: u64,
}

/// The record of a phase.
pub fn phase_record(outcome: &PhaseOutcome, context: PhaseContext<'_>) -> PhaseRecord {
    let PhaseContext {
        phase,
        generator_cpu_ns,
        measures_generator,
        disk_bytes,
    } = context;
    let seconds = outcome.measured_ns.max(1) as f64 / 1e9;
    let streams: Vec<StreamRecord> = phase
        .traffic
        .iter()
        .zip(&outcome.traffic)
        .zip(generator_cpu_ns)
        .enumerate()
        .map(|(index, ((traffic, found), &generator))| {
            let shows = match index {
                0 => phase.shows_response,
                _ => true,
            };
            stream_record(traffic, found, seconds, generator, shows, outcome)
        })
        .collect();
    let operations: u64 = streams.iter().flat_map(|s| &s.ops).map(|op| op.count).sum();
    let driver_cpu_ns = outcome
        .traffic
        .iter()
        .map(|t| t.totals.cpu_ns.load(Ordering::Relaxed))
        .sum();
    let slo: Vec<SloRecord> = phase
        .slo
        .iter()
        .map(|slo| slo_record(slo, &streams))
        .collect();
    let cost = CostRecord {
        operations,
        cpu_ns: outcome.used.cpu_ns,
        driver_cpu_ns,
        others_cpu_ns: outcome.used.others_cpu_ns(),
        cores_ns: outcome.used.cores_ns,
        read_bytes: outcome.used.read_bytes,
        write_bytes: outcome.used.write_bytes,
        rss_bytes: outcome.used.rss_bytes,
        disk_bytes,
    };
    let mut notes = Vec::new();
    if phase.holds_snapshot {
        let note = match outcome.held_snapshot {
            true => "a snapshot was held open throughout",
            false => "no snapshot was held open: this target has none",
        };
        notes.push(note.to_string());
    }
    if let Some(share) = cost.shared_with_others() {
        notes.push(format!(
            "other processes took {:.0} % of the cores meanwhile: times hold the waits for them",
            share * 100.0
        ));
    }
    let verdict = judge(
        phase,
        outcome,
        &streams,
        &slo,
        measures_generator,
        &mut notes,
    );
    PhaseRecord {
        name: phase.name.clone(),
        warmup_ns: outcome.warmup_ns,
        measured_ns: outcome.measured_ns,
        steady: outcome.steady,
        cost,
        counters: counters(outcome),
        levels: outcome.counters_after.levels.clone(),
        streams,
        slo,
        verdict,
        notes,
        interval_ns: outcome.interval_ns,
    }
}

fn stream_record(
    traffic: &Traffic,
    found: &TrafficOutcome,
    seconds: f64,
    generator_cpu_ns: f64,
    shows_response: bool,
    outcome: &PhaseOutcome,
) -> StreamRecord {
    let measured = &found.intervals.measured;
    let mut all = Interval::empty(found.kinds.len());
    measured
        .iter()
        .for_each(|interval| all.add(&interval.open()));
    let ops = found
        .kinds
        .iter()
        .enumerate()
        .map(|(i, kind)| {
            let tally = &all.kinds[i];
            let clock = |pick: fn(&crate::recorder::Clocks) -> &Histogram<u64>| {
                let part = |interval: &Past| pick(&interval.open().kinds[i].clocks).clone();
                clock_record(pick(&tally.clocks), measured.iter().map(part))
            };
            OpRecord {
                op: kind.name().to_string(),
                count: tally.count,
                per_s: tally.in_window as f64 / seconds,
                errors: tally.errors,
                given_up: tally.given_up,
                rows: tally.rows,
                bytes: tally.bytes,
                absent: tally.absent,
                response: clock(|clocks| &clocks.response),
                service: clock(|clocks| &clocks.service),
                slip: clock(|clocks| &clocks.slip),
            }
        })
        .collect();
    let totals = &found.totals;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let in_window: u64 = all.kinds.iter().map(|kind| kind.in_window).sum();
    StreamRecord {
        name: traffic.name.clone(),
        drive: format!("{} x{}", found.way.name(), found.threads),
        offered_per_s: match traffic.load {
            Load::Open { rate_per_s, .. } => Some(rate_per_s),
            Load::Closed { .. } => None,
        },
        achieved_per_s: in_window as f64 / seconds,
        in_flight_max: load(&totals.in_flight_max),
        held_by_limit: load(&totals.held_by_limit),
        dropped: load(&totals.dropped),
        never_issued: load(&totals.never_issued),
        wrong: load(&totals.wrong),
        messages: totals.messages.lock().expect("drivers are done").clone(),
        generator_cpu_ns,
        generator_share: generator_cpu_ns * all.count() as f64 / load(&totals.cpu_ns).max(1) as f64,
        own_slip_p99_ns: all.own_slip.value_at_quantile(0.99),
        shows_response,
        ops,
        intervals: measured
            .iter()
            .enumerate()
            .map(|(i, interval)| interval_record(&interval.open(), i as u64 * outcome.interval_ns))
            .collect(),
    }
}

fn interval_record(interval: &Interval, start_ns: u64) -> IntervalRecord {
    let (mut response, mut service, mut slip) = (histogram(), histogram(), histogram());
    for kind in &interval.kinds {
        add(&mut response, &kind.clocks.response);
        add(&mut service, &kind.clocks.service);
        add(&mut slip, &kind.clocks.slip);
    }
    let four = |h: &Histogram<u64>| {
        [
            h.value_at_quantile(0.5),
            h.value_at_quantile(0.99),
            h.value_at_quantile(0.999),
            h.max(),
        ]
    };
    let mut heat: BTreeMap<u64, u64> = BTreeMap::new();
    for bucket in response.iter_recorded() {
        let step = (bucket.value_iterated_to().max(1) as f64).log2() * 4.0;
        *heat.entry(step as u64).or_default() += bucket.count_since_last_iteration();
    }
    IntervalRecord {
        start_ns,
        count: interval.count(),
        errors: interval.kinds.iter().map(|kind| kind.errors).sum(),
        response_ns: four(&response),
        service_ns: four(&service),
        slip_p99_ns: slip.value_at_quantile(0.99),
        heat: heat
            .into_iter()
            .map(|(step, count)| [step, count])
            .collect(),
    }
}

fn counters(outcome: &PhaseOutcome) -> BTreeMap<String, u64> {
    let before = &outcome.counters_before.totals;
    outcome
        .counters_after
        .totals
        .iter()
        .map(|(name, &after)| {
            let moved = after.saturating_sub(before.get(name).copied().unwrap_or(0));
            (name.clone(), moved)
        })
        .collect()
}

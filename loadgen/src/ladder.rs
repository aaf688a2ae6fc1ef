//! One workload's first phase at one load after another, against one target that stays open.

use std::sync::atomic::Ordering;

use ringkeep_bench::curve::{Point, judge};
use ringkeep_bench::experiment::{Bench, Event};
use ringkeep_bench::quantity::{Length, Rate, Span};
use ringkeep_bench::slo::Slo;
use ringkeep_bench::target::{TargetKind, counter};
use ringkeep_bench::workload::{Arrival, Load, OnFull, Phase, Think, Warmup, Workload};

use crate::exit::Fault;
use crate::session::{STOP, Session};

/// Clients of a closed loop that is meant to saturate, and operations in flight of an open one.
const IN_FLIGHT: usize = 1000;
/// How long the first look at what the target can do takes.
const LOOK: Span = Span::secs(4);

/// The workload with one phase, whose load is turned.
pub struct Ladder {
    workload: Workload,
    phase: Phase,
    pub in_flight: usize,
    pub arrival: Arrival,
    pub length: Span,
    pub warmup: Span,
}

impl Ladder {
    /// A ladder over the first phase of `workload`, with every objective that the workload has.
    pub fn new(workload: Workload, more: &[Slo], length: Span, warmup: Span) -> Ladder {
        let mut phase = workload.phases[0].clone();
        for slo in more {
            if !phase.slo.contains(slo) {
                phase.slo.push(slo.clone());
            }
        }
        let (in_flight, arrival) = match phase.traffic[0].load {
            Load::Open {
                in_flight_max,
                arrival,
                ..
            } => (in_flight_max, arrival),
            Load::Closed { .. } => (IN_FLIGHT, Arrival::Poisson),
        };
        Ladder {
            workload,
            phase,
            in_flight,
            arrival,
            length,
            warmup,
        }
    }

    /// The objectives.
    pub fn slo(&self) -> &[Slo] {
        &self.phase.slo
    }

    /// An open loop at this rate.
    pub fn open(&self, rate_per_s: f64) -> Load {
        Load::Open {
            rate_per_s,
            arrival: self.arrival,
            in_flight_max: self.in_flight,
            on_full: OnFull::Queue,
        }
    }

    /// What clients without think time achieve: about the most that there is.
    pub fn look(
        &self,
        session: &mut Session,
        bench: &mut Bench<'_>,
        kind: &TargetKind,
    ) -> Result<f64, Fault> {
        let load = closed(self.in_flight);
        let mut short = self.phase_under("look", load);
        short.length = Length::Time(Span {
            ns: LOOK.ns.min(self.length.ns),
        });
        short.slo.clear();
        short.shows_response = false;
        let (point, _) = self.run(session, bench, kind, short, 0.0)?;
        Ok(point.achieved_per_s)
    }

    /// Runs one point; nothing after Ctrl-C.
    pub fn point(
        &self,
        session: &mut Session,
        bench: &mut Bench<'_>,
        kind: &TargetKind,
        load: Load,
    ) -> Result<Option<Point>, Fault> {
        if STOP.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (value, name) = match load {
            Load::Open { rate_per_s, .. } => {
                (rate_per_s, format!("rate={}", Rate { per_s: rate_per_s }))
            }
            Load::Closed { clients, .. } => (clients as f64, format!("clients={clients}")),
        };
        let (point, whole) =
            self.run(session, bench, kind, self.phase_under(&name, load), value)?;
        Ok(whole.then_some(point))
    }

    fn phase_under(&self, name: &str, load: Load) -> Phase {
        let mut phase = self.phase.clone();
        phase.name = name.to_string();
        phase.length = Length::Time(self.length);
        phase.warmup = Warmup {
            min: self.warmup,
            max: self.warmup,
        };
        phase.shows_response =
            !matches!(load, Load::Closed { clients, think } if think.is_zero() && clients > 1);
        phase.traffic[0].load = load;
        phase
    }

    fn run(
        &self,
        session: &mut Session,
        bench: &mut Bench<'_>,
        kind: &TargetKind,
        phase: Phase,
        load: f64,
    ) -> Result<(Point, bool), Fault> {
        let workload = Workload {
            phases: vec![phase.clone()],
            ..self.workload.clone()
        };
        let mut debt = (0, 0);
        let prefix = format!("{}@{}/{}/", workload.name, kind.name, phase.name);
        let Session {
            report, log, line, ..
        } = session;
        let record = bench.run(kind, &workload, 0, &mut |event| {
            if let Event::Done(phase, outcome, _) = &event {
                log.add(&prefix, phase, outcome);
                let level = |counters: &ringkeep_bench::target::Counters| {
                    counters
                        .levels
                        .get(counter::DEBT_BYTES)
                        .copied()
                        .unwrap_or(0)
                };
                debt = (
                    level(&outcome.counters_before),
                    level(&outcome.counters_after),
                );
            }
            line.event(&event);
        });
        line.clear();
        let failure = record.failure.clone();
        let interrupted = STOP.load(Ordering::Relaxed);
        let point = record
            .phases
            .first()
            .map(|found| judge(load, &phase, found, debt));
        report.results.push(record);
        match (point, failure) {
            (Some(point), None) => Ok((point, !interrupted)),
            (_, Some(failure)) => Err(Fault::target(failure)),
            (None, None) => Err(Fault::interrupted()),
        }
    }
}

/// Clients without think time.
pub fn closed(clients: usize) -> Load {
    Load::Closed {
        clients,
        think: Think::Fixed {
            time: Span::default(),
        },
    }
}

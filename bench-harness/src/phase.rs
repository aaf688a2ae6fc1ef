//! One phase: start the drivers, warm up, measure, drain, and collect what happened.
//!
//! The calling thread is the watcher. It alone decides when the measured window opens and closes; drivers only
//! look at the window.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::drive::{Crew, Run, Totals, Way};
use crate::past::Past;
use crate::process::ProcessUse;
use crate::quantity::{Length, Span};
use crate::recorder::{Intervals, Ledger};
use crate::steady::{self, Steady};
use crate::target::{Counters, Failure, Target};
use crate::window::{OPEN, Window};
use crate::workload::stream::Mix;
use crate::workload::{Drive, Load, Phase, Traffic, Workload};

/// How phases are run on this machine.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Driver threads of a pipelined stream.
    pub drivers: usize,
    /// Cores to pin them to, in order; empty leaves them to the scheduler.
    pub driver_cores: Vec<usize>,
    /// Prove every read.
    pub validate: bool,
    /// Overrides what streams say about who issues operations.
    pub drive: Drive,
}

/// What the watcher tells whoever is interested, a few times a second.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The phase.
    pub phase: String,
    /// Warming up still?
    pub warming: bool,
    /// Time since the start of what is going on.
    pub elapsed: Span,
    /// How long that will take, if known.
    pub expected: Option<Span>,
    /// Operations per second asked for by the first stream.
    pub offered_per_s: Option<f64>,
    /// Operations per second of the last full interval.
    pub done_per_s: f64,
    /// Response P50, P99 and P99.9 of that interval.
    pub response_ns: [u64; 3],
    /// Slip P99 of that interval.
    pub slip_p99_ns: u64,
    /// Errors so far.
    pub errors: u64,
}

/// What happened in a phase, unjudged.
#[derive(Debug)]
pub struct PhaseOutcome {
    /// Wait between start and window.
    pub warmup_ns: u64,
    /// Length of the window.
    pub measured_ns: u64,
    /// Length of an interval.
    pub interval_ns: u64,
    /// Did the warm-up end because things were steady?
    pub steady: Steady,
    /// One per stream, in the order of the phase.
    pub traffic: Vec<TrafficOutcome>,
    /// What the process used inside the window and the drain.
    pub used: ProcessUse,
    /// The target's counters at the start of the window.
    pub counters_before: Counters,
    /// The target's counters after the drain.
    pub counters_after: Counters,
    /// Ended early on request.
    pub interrupted: bool,
    /// A snapshot was held open throughout.
    pub held_snapshot: bool,
}

/// What happened in one stream.
#[derive(Debug)]
pub struct TrafficOutcome {
    /// Its kinds; samples refer to them by index.
    pub kinds: Vec<crate::workload::OpKind>,
    /// Everything recorded.
    pub intervals: Intervals,
    /// Everything counted.
    pub totals: Totals,
    /// How it was driven.
    pub way: Way,
    /// Threads that drove it.
    pub threads: usize,
}

/// Runs `phase` of `workload` against `target`.
pub fn run_phase(
    target: &dyn Target,
    workload: &Workload,
    phase: &Phase,
    setting: &Setting,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(&Progress),
) -> Result<PhaseOutcome, Failure> {
    // Until this returns.
    let snapshot = match phase.holds_snapshot {
        true => target.snapshot()?,
        false => None,
    };
    let clock = Clock::real();
    let interval_ns = interval_ns(phase.length);
    let drain_ns = match phase.length {
        Length::Time(span) => span.ns.clamp(1_000_000_000, 10_000_000_000),
        Length::Ops(_) => 10_000_000_000,
    };
    let plans: Vec<Plan> = phase
        .traffic
        .iter()
        .map(|traffic| Plan::new(target, workload, traffic, setting, interval_ns))
        .collect::<Result<_, _>>()?;
    let threads: usize = plans.iter().map(|plan| plan.threads).sum();
    // Every driver plans its first operations before the load starts.
    let head_start = Duration::from_millis(5) + Duration::from_micros(60) * threads as u32;
    let start_ns = clock.now_ns() + head_start.as_nanos() as u64;
    let window = Window::starting(start_ns, drain_ns);
    let main_running = AtomicUsize::new(plans[0].threads);
    let all_running = AtomicUsize::new(threads);
    let counters = [&all_running, &main_running];
    let mut watch = Watch {
        clock: &clock,
        window: &window,
        phase,
        plans: &plans,
        stop,
        steady: Steady::Fixed,
        measuring: None,
    };
    if phase.warmup.max.ns == 0 {
        // Before there are drivers: they may be done before this thread has its turn again.
        watch.measure_from(start_ns, target);
    }
    std::thread::scope(|scope| {
        for (index, (plan, traffic)) in plans.iter().zip(&phase.traffic).enumerate() {
            let run = Run {
                clock: &clock,
                window: &window,
                mix: &plan.mix,
                load: &traffic.load,
                ledger: &plan.ledger,
                seed: workload.seed,
                ops_max: match phase.length {
                    Length::Ops(count) if index == 0 => Some(count.n),
                    _ => None,
                },
                validate: setting.validate,
                totals: &plan.totals,
            };
            let crew = Crew {
                way: plan.way,
                threads: plan.threads,
                cores: &setting.driver_cores,
                running: if index == 0 {
                    &counters
                } else {
                    &counters[..1]
                },
            };
            if let Err(failure) = run.start(scope, target, crew) {
                window.stop(clock.now_ns());
                return Err(failure);
            }
        }
        watch.until_over(target, &main_running, &all_running, progress);
        Ok(())
    })?;
    let Watch {
        steady, measuring, ..
    } = watch;
    let (from_ns, used_before, counters_before) =
        measuring.unwrap_or_else(|| (window.to_ns(), ProcessUse::now(), target.counters()));
    let to_ns = match window.to_ns() {
        OPEN => clock.now_ns(),
        to_ns => to_ns,
    };
    Ok(PhaseOutcome {
        warmup_ns: from_ns.saturating_sub(start_ns),
        measured_ns: to_ns.saturating_sub(from_ns),
        interval_ns,
        steady,
        used: ProcessUse::now().since(&used_before),
        counters_before,
        counters_after: target.counters(),
        interrupted: window.stopped(),
        held_snapshot: snapshot.is_some(),
        traffic: plans.into_iter().map(Plan::outcome).collect(),
    })
}

/// About thirty intervals a phase, none longer than a second.
fn interval_ns(length: Length) -> u64 {
    const MS: u64 = 1_000_000;
    let target_ns = match length {
        Length::Time(span) => span.ns / 30,
        Length::Ops(_) => 1000 * MS,
    };
    [50, 100, 200, 250, 500, 1000]
        .into_iter()
        .map(|ms| ms * MS)
        .find(|&ns| ns >= target_ns)
        .unwrap_or(1000 * MS)
}

struct Plan {
    mix: Mix,
    ledger: Ledger,
    totals: Totals,
    way: Way,
    threads: usize,
}

impl Plan {
    fn new(
        target: &dyn Target,
        workload: &Workload,
        traffic: &Traffic,
        setting: &Setting,
        interval_ns: u64,
    ) -> Result<Plan, Failure> {
        let mix = Mix::new(workload, traffic);
        let kinds = mix.kinds();
        let clients = match traffic.load {
            Load::Open { in_flight_max, .. } => in_flight_max,
            Load::Closed { clients, .. } => clients,
        };
        let wanted = match setting.drive {
            Drive::Auto => traffic.drive,
            forced => forced,
        };
        let way = match wanted {
            Drive::Resident => Way::Resident,
            Drive::Auto | Drive::Pipelined if target.pipeline(1, &kinds).is_some() => {
                Way::Pipelined
            }
            _ => Way::Threads,
        };
        if way == Way::Resident {
            can_reside(target, traffic)?;
        }
        let threads = match way {
            Way::Pipelined => setting.drivers.min(clients).max(1),
            Way::Threads | Way::Resident => clients,
        };
        Ok(Plan {
            ledger: Ledger::new(kinds, interval_ns),
            mix,
            totals: Totals::default(),
            way,
            threads,
        })
    }

    fn outcome(self) -> TrafficOutcome {
        TrafficOutcome {
            kinds: self.ledger.kinds.clone(),
            intervals: self.ledger.into_intervals(),
            totals: self.totals,
            way: self.way,
            threads: self.threads,
        }
    }
}

/// A client on a shard has nothing to wait with but the shard's own time.
fn can_reside(target: &dyn Target, traffic: &Traffic) -> Result<(), Failure> {
    let refused = match traffic.load {
        Load::Closed { think, .. } if think.is_zero() => match target.resident() {
            Some(_) => return Ok(()),
            None => "this target cannot host clients: drive it by threads or async",
        },
        _ => "clients on the shards take closed loads without think time: add --max",
    };
    Err(Failure(format!("stream {}: {refused}", traffic.name)))
}

struct Watch<'a> {
    clock: &'a Clock,
    window: &'a Window,
    phase: &'a Phase,
    plans: &'a [Plan],
    stop: &'a AtomicBool,
    steady: Steady,
    measuring: Option<(u64, ProcessUse, Counters)>,
}

impl Watch<'_> {
    fn until_over(
        &mut self,
        target: &dyn Target,
        main_running: &AtomicUsize,
        all_running: &AtomicUsize,
        progress: &mut dyn FnMut(&Progress),
    ) {
        let mut next_report_ns = 0;
        loop {
            let now_ns = self.clock.now_ns();
            if all_running.load(Ordering::Acquire) == 0 {
                break;
            }
            if self.stop.load(Ordering::Relaxed) && !self.window.stopped() {
                self.window.stop(now_ns);
            }
            if main_running.load(Ordering::Acquire) == 0 {
                self.window.close(now_ns);
            }
            if self.measuring.is_none() && self.warm_enough(now_ns) {
                self.measure_from(now_ns, target);
            }
            if now_ns >= next_report_ns && now_ns > self.window.start_ns {
                progress(&self.report(now_ns));
                self.plans.iter().for_each(|plan| plan.ledger.pack());
                next_report_ns = now_ns + 250_000_000;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.window.close(self.clock.now_ns());
    }

    fn measure_from(&mut self, from_ns: u64, target: &dyn Target) {
        self.measuring = Some((from_ns, ProcessUse::now(), target.counters()));
        let to_ns = match self.phase.length {
            Length::Time(span) => from_ns + span.ns,
            Length::Ops(_) => OPEN,
        };
        self.window.measure(from_ns, to_ns);
    }

    fn warm_enough(&mut self, now_ns: u64) -> bool {
        let warmup = self.phase.warmup;
        let elapsed_ns = now_ns.saturating_sub(self.window.start_ns);
        if now_ns < self.window.start_ns || elapsed_ns < warmup.min.ns {
            return false;
        }
        if warmup.min == warmup.max {
            return true;
        }
        let plan = &self.plans[0];
        self.steady = plan.ledger.look(|intervals| steady::judge(&intervals.warm));
        self.steady == Steady::Yes || elapsed_ns >= warmup.max.ns
    }

    fn report(&self, now_ns: u64) -> Progress {
        let plan = &self.plans[0];
        let warming = self.measuring.is_none();
        let since = match &self.measuring {
            None => self.window.start_ns,
            Some((from_ns, ..)) => *from_ns,
        };
        let (done_per_s, response_ns, slip_p99_ns) = plan.ledger.look(|intervals| {
            let last = match warming {
                true => intervals.warm.last().map(Cow::Borrowed),
                false => intervals.measured.last().map(Past::open),
            };
            let Some(last) = last else {
                return (0.0, [0; 3], 0);
            };
            let interval_ns = match warming {
                true => plan.ledger.warm_interval_ns,
                false => plan.ledger.interval_ns,
            };
            let done = last.count() as f64 * 1e9 / interval_ns as f64;
            let clocks = &last.kinds[0].clocks;
            let quantile = |q| clocks.response.value_at_quantile(q);
            (
                done,
                [quantile(0.5), quantile(0.99), quantile(0.999)],
                clocks.slip.value_at_quantile(0.99),
            )
        });
        Progress {
            phase: self.phase.name.clone(),
            warming,
            elapsed: Span {
                ns: now_ns.saturating_sub(since),
            },
            expected: match (warming, self.phase.length) {
                (true, _) => Some(self.phase.warmup.max),
                (false, Length::Time(span)) => Some(span),
                (false, Length::Ops(_)) => None,
            },
            offered_per_s: match self.phase.traffic[0].load {
                Load::Open { rate_per_s, .. } => Some(rate_per_s),
                Load::Closed { .. } => None,
            },
            done_per_s,
            response_ns,
            slip_p99_ns,
            errors: self
                .plans
                .iter()
                .map(|plan| plan.totals.errors.load(Ordering::Relaxed))
                .sum(),
        }
    }
}

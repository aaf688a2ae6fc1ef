//! The generator's own cost: the same stream against a target that does nothing.

use crate::clock::Clock;
use crate::drive::{self, Run, Totals, Way};
use crate::quantity::Span;
use crate::recorder::{Ledger, Recorder};
use crate::target::{NullTarget, Target};
use crate::window::{OPEN, Window};
use crate::workload::stream::Mix;
use crate::workload::{Arrival, Load, OnFull, OpKind, Think, Traffic, Workload};

/// Enough operations for a mean, however many keys each has.
const OPS_MIN: u64 = 500;

/// CPU nanoseconds per operation that `traffic` costs without a target: planning, writing out bytes, three
/// clock readings' worth of bookkeeping and recording, over `ops` operations of one key or fewer of several.
pub fn cost_ns(workload: &Workload, traffic: &Traffic, way: Way, ops: u64) -> f64 {
    let keys = traffic.ops.iter().map(|shape| match shape.op {
        OpKind::Batch | OpKind::MultiGet => u64::from(shape.n),
        _ => 1,
    });
    let ops = (ops / keys.max().unwrap_or(1).max(1)).max(OPS_MIN);
    let clock = Clock::real();
    let mix = Mix::new(workload, traffic);
    let ledger = Ledger::new(mix.kinds(), 1_000_000_000);
    let totals = Totals::default();
    let window = Window::fixed(0, 0, OPEN, 0);
    let load = without_waiting(&traffic.load);
    let run = Run {
        clock: &clock,
        window: &window,
        mix: &mix,
        load: &load,
        ledger: &ledger,
        seed: workload.seed,
        ops_max: Some(ops),
        validate: false,
        totals: &totals,
    };
    let null = NullTarget::new();
    let recorder = std::sync::Mutex::new(Recorder::new(&ledger, &window));
    // A thread of its own, so that pinning and timer settings of the caller stay as they are.
    std::thread::scope(|scope| {
        scope.spawn(|| match way {
            Way::Pipelined => {
                let mut pipeline = null.pipeline(1, &[]).expect("null always has a pipeline");
                drive::pipelined(&run, 0, 1, &mut *pipeline);
            }
            Way::Resident => {
                let mut host = null.resident().expect("null hosts whoever comes");
                drive::resident(&run, 0, 1, &mut *host, &recorder);
            }
            Way::Threads => {
                let mut caller = null.caller().expect("null always has a caller");
                match load {
                    Load::Open { .. } => {
                        let due = std::sync::Mutex::new(drive::Due::new(&run));
                        drive::threads_open(&run, &due, &mut *caller, &recorder);
                    }
                    Load::Closed { .. } => {
                        drive::threads_closed(&run, 0, 1, &mut *caller, &recorder)
                    }
                }
            }
        });
    });
    drop(recorder);
    totals.cpu_ns.into_inner() as f64 / ops as f64
}

/// The same load with every operation due at once.
fn without_waiting(load: &Load) -> Load {
    match *load {
        Load::Open {
            arrival,
            in_flight_max,
            ..
        } => Load::Open {
            rate_per_s: 1e9,
            arrival: match arrival {
                // A trace has times of its own, which would have to be waited for.
                Arrival::Trace => Arrival::Uniform,
                arrival => arrival,
            },
            in_flight_max,
            on_full: OnFull::Queue,
        },
        Load::Closed { clients, think } => Load::Closed {
            clients,
            think: match think.is_zero() {
                true => think,
                false => Think::Exp {
                    mean: Span { ns: 1 },
                },
            },
        },
    }
}

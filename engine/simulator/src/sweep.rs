//! Everything that can go wrong once, at every place where it can: each canonical trace is repeated as often as
//! it has operations, and each time another one is cut, or fails, or finds no room.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::plan::{Action, End, Failing, Fault, Leaves, Plan, Step};
use crate::random::mix;
use crate::totals::Totals;
use crate::{canonical, world};

/// Different outcomes of each power cut, one of them in the course of the run.
pub const WAYS: usize = 16;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Strike {
    /// The power goes within an operation of an opening.
    CutOpening,
    /// Of what is done then.
    Cut,
    /// Of the closing.
    CutClosing,
    /// An operation of an opening fails, or all of its kind from there on.
    FailOpening(Fault, u64),
    /// Of what is done then.
    Fail(Fault, u64),
    /// There is room for so many pages more, until the life ends.
    Full,
    /// And while it does.
    FullAtEnd,
}

/// Of a kind of strikes, over all traces.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Places where it struck.
    pub points: u64,
    /// Time of all threads.
    pub took: Duration,
    /// What was done.
    pub totals: Totals,
    /// Plans that failed, by name.
    pub failures: Vec<(String, Plan, Failure)>,
}

/// For ever.
const ALWAYS: u64 = u64::MAX;
/// Further on than any trace goes.
const NOWHERE: u64 = 1 << 27;

impl Strike {
    /// Every kind.
    pub fn all() -> Vec<Strike> {
        let mut all = vec![
            Strike::Cut,
            Strike::CutOpening,
            Strike::CutClosing,
            Strike::Full,
            Strike::FullAtEnd,
        ];
        for fault in Fault::all() {
            for times in [1, ALWAYS] {
                all.push(Strike::Fail(fault, times));
                all.push(Strike::FailOpening(fault, times));
            }
        }
        all
    }

    /// As it stands in the report.
    pub fn name(self) -> String {
        let how = |times| if times == 1 { "once" } else { "for ever" };
        match self {
            Strike::Cut => "power cut".into(),
            Strike::CutOpening => "power cut while opening".into(),
            Strike::CutClosing => "power cut while closing".into(),
            Strike::Full => "disk full".into(),
            Strike::FullAtEnd => "disk full to the end".into(),
            Strike::Fail(fault, times) => format!("{fault:?} fails {}", how(times)),
            Strike::FailOpening(fault, times) => {
                format!("{fault:?} fails {} while opening", how(times))
            }
        }
    }

    fn is_cut(self) -> bool {
        matches!(self, Strike::Cut | Strike::CutOpening | Strike::CutClosing)
    }

    /// The trace up to one of its lives, with the strike at one place in that.
    fn plan(self, trace: &Plan, life: usize, place: u64) -> Plan {
        let mut plan = trace.clone();
        plan.lives.truncate(life + 1);
        let life = &mut plan.lives[life];
        let leaves = Leaves::Random;
        let fails = |doing, times| Failing {
            doing,
            spared: place,
            times,
        };
        let step = |action| Step { client: 0, action };
        if let (Strike::Fail(..) | Strike::FullAtEnd, End::Close { cut, .. }) =
            (self, &mut life.end)
        {
            *cut = true;
        }
        match self {
            Strike::Cut => {
                life.end = End::Cut {
                    spared: place,
                    leaves,
                }
            }
            Strike::CutOpening => life.cuts_while_opening = vec![place],
            Strike::CutClosing => {
                life.end = End::Close {
                    cut: true,
                    within: Some(place),
                }
            }
            Strike::FailOpening(fault, times) => {
                life.fails_while_opening = vec![fails(fault, times)];
            }
            Strike::Fail(doing, times) => {
                let fail = Action::Fail {
                    doing,
                    spared: place,
                    times,
                };
                life.steps.insert(0, step(fail));
            }
            Strike::Full | Strike::FullAtEnd => {
                let bytes = place * 4096;
                life.steps.insert(0, step(Action::Fill { bytes }));
                if self == Strike::Full {
                    life.steps.extend([step(Action::Free), step(Action::Wait)]);
                }
            }
        }
        if self.is_cut() {
            plan.ways = WAYS - 1;
        }
        plan
    }
}

/// Sweeps over every trace, at every `stride`th place from one that `from` decides; over those with `only` in the name of
/// the trace or the strike.
pub fn sweep(stride: u64, from: u64, only: &str, jobs: usize) -> BTreeMap<String, Swept> {
    let traces = canonical::traces();
    let mut work = Vec::new();
    for strike in Strike::all() {
        for (name, trace) in &traces {
            let chosen = name.contains(only) || strike.name().contains(only);
            let lives = 0..if chosen { trace.lives.len() } else { 0 };
            work.extend(lives.map(|life| (strike, name, trace, life)));
        }
    }
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::<String, Swept>::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((strike, name, trace, life)) = work.get(index) else {
                        return;
                    };
                    let name = format!("{name}, life {life}");
                    // A stride misses other places in each.
                    let first = mix(from ^ (index as u64) << 32) % stride;
                    let began = Instant::now();
                    let swept = sweep_one(*strike, &name, trace, *life, (first, stride));
                    let mut found = found.lock().expect("no thread panics with it");
                    let sum = found.entry(strike.name()).or_default();
                    sum.points += swept.points;
                    sum.took += began.elapsed();
                    sum.totals += swept.totals;
                    sum.failures.extend(swept.failures);
                }
            });
        }
    });
    found.into_inner().expect("no thread panics with it")
}

/// One life of one trace, until the strike comes too late.
fn sweep_one(
    strike: Strike,
    name: &str,
    trace: &Plan,
    life: usize,
    (mut place, stride): (u64, u64),
) -> Swept {
    let mut swept = Swept::default();
    let untouched = world::run(&strike.plan(trace, life, NOWHERE), None);
    if let Err(failure) = untouched.verdict {
        let plan = strike.plan(trace, life, NOWHERE);
        swept
            .failures
            .push((format!("{name}, untouched"), plan, failure));
        return swept;
    }
    loop {
        let plan = strike.plan(trace, life, place);
        let run = world::run(&plan, None);
        let is_over = match strike.is_cut() {
            true => run.missed > untouched.missed.saturating_sub(1),
            false => run.hash == untouched.hash,
        };
        if let Err(failure) = run.verdict {
            let name = format!("{name}, {} at {place}", strike.name());
            swept.failures.push((name, plan, failure));
            return swept;
        }
        if is_over {
            return swept;
        }
        swept.points += 1;
        swept.totals += run.totals;
        place += stride;
    }
}

//! Many seeds on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{Check, Failure};
use crate::plan::Plan;
use crate::totals::Totals;
use crate::world;

/// One in so many seeds runs twice, and both must do the same.
const REPEATED: u64 = 64;

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// What a seed stands for.
    pub draw: fn(u64) -> Plan,
    /// The first seed.
    pub from: u64,
    /// No more seeds than this.
    pub seeds: u64,
    /// No longer than this.
    pub budget: Option<Duration>,
    /// Threads.
    pub jobs: usize,
    /// Failures after which it is enough.
    pub failures_max: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Failing seeds, in order.
    pub failures: Vec<(u64, Failure)>,
    /// What was done.
    pub totals: Totals,
    /// Time that it took.
    pub took: Duration,
}

/// Runs seeds until the search is over; `progress` hears now and then how far it is.
pub fn search(search: &Search, progress: impl Fn(&Totals, Duration) + Sync) -> Found {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    let found = Mutex::new((Found::default(), began));
    std::thread::scope(|scope| {
        for _ in 0..search.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let late = search
                        .budget
                        .is_some_and(|budget| began.elapsed() >= budget);
                    if number >= search.seeds || late || over.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = search.from.wrapping_add(number);
                    let (failure, totals) = run_seed(search.draw, seed);
                    let mut guard = found.lock().expect("no thread panics with it");
                    let (found, told) = &mut *guard;
                    found.totals += totals;
                    found
                        .failures
                        .extend(failure.map(|failure| (seed, failure)));
                    if found.failures.len() >= search.failures_max {
                        over.store(true, Ordering::Relaxed);
                    }
                    if told.elapsed() >= Duration::from_secs(10) {
                        *told = Instant::now();
                        progress(&found.totals, began.elapsed());
                    }
                }
            });
        }
    });
    let (mut found, _) = found.into_inner().expect("no thread panics with it");
    found.failures.sort_by_key(|(seed, _)| *seed);
    found.took = began.elapsed();
    found
}

/// One seed; some run twice.
pub fn run_seed(draw: fn(u64) -> Plan, seed: u64) -> (Option<Failure>, Totals) {
    let plan = draw(seed);
    let run = world::run(&plan, None);
    if run.verdict.is_ok() && seed.is_multiple_of(REPEATED) {
        let again = world::run(&plan, None);
        if again.hash != run.hash {
            let failure = Failure {
                check: Check::Repeatability,
                story: format!(
                    "two runs have the hashes {:x} and {:x}",
                    run.hash, again.hash
                ),
            };
            return (Some(failure), run.totals);
        }
    }
    (run.verdict.err(), run.totals)
}

//! Starting the threads of a run: pinned drivers with a pipeline each, or a thread per client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, Scope};

use super::{Due, Run, Way, pipelined, resident, slots_of, threads_closed, threads_open};
use crate::recorder::Recorder;
use crate::target::{Failure, Target};

/// How a run is driven.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    /// How operations are issued.
    pub way: Way,
    /// How many threads.
    pub threads: usize,
    /// Cores to pin pipelined drivers to, in order; the rest go where the scheduler likes.
    pub cores: &'a [usize],
    /// Counted down as threads end, by a panic too.
    pub running: &'a [&'a AtomicUsize],
}

/// Counts a thread down when it ends, or when it never began.
struct Ending<'a>(&'a [&'a AtomicUsize]);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        for running in self.0 {
            running.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Run<'_> {
    /// Starts the crew of this run. On an error the threads already started go on until the window is stopped.
    pub fn start<'s, 'e>(
        self,
        scope: &'s Scope<'s, 'e>,
        target: &'e dyn Target,
        crew: Crew<'e>,
    ) -> Result<(), Failure>
    where
        Self: 'e,
    {
        let run = Arc::new(self);
        let stripes = std::thread::available_parallelism().map_or(4, usize::from);
        let recorders: Arc<Vec<_>> = Arc::new(
            (0..stripes.min(crew.threads))
                .map(|_| Mutex::new(Recorder::new(run.ledger, run.window)))
                .collect(),
        );
        let due = run.is_open().then(|| Arc::new(Mutex::new(Due::new(&run))));
        for part in 0..crew.threads {
            let (run, recorders, due) = (run.clone(), recorders.clone(), due.clone());
            let ending = Ending(crew.running);
            let body = move || {
                let _ending = ending;
                let recorder = &recorders[part % recorders.len()];
                let done = match (crew.way, due) {
                    (Way::Pipelined, _) => drive_pipeline(&run, target, part, crew),
                    (Way::Resident, _) => target.resident().ok_or_else(no_way).map(|mut host| {
                        resident(&run, part, crew.threads, &mut *host, recorder);
                    }),
                    (Way::Threads, Some(due)) => target.caller().map(|mut caller| {
                        threads_open(&run, &due, &mut *caller, recorder);
                    }),
                    (Way::Threads, None) => target.caller().map(|mut caller| {
                        threads_closed(&run, part, crew.threads, &mut *caller, recorder);
                    }),
                };
                if let Err(failure) = done {
                    run.totals.failed(&failure.0);
                }
            };
            // Client threads are many and shallow.
            let builder = Builder::new()
                .name("load".to_string())
                .stack_size(256 * 1024);
            builder.spawn_scoped(scope, body).map_err(|error| {
                Failure(format!(
                    "cannot start thread {part} of {} ({error}): raise the limit on threads or use fewer clients",
                    crew.threads
                ))
            })?;
        }
        Ok(())
    }
}

fn no_way() -> Failure {
    Failure("the target cannot be driven in this way after all".to_string())
}

fn drive_pipeline(
    run: &Run<'_>,
    target: &dyn Target,
    part: usize,
    crew: Crew<'_>,
) -> Result<(), Failure> {
    if let Some(&core) = crew.cores.get(part) {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
    }
    let slots = slots_of(run.clients(), part, crew.threads);
    let mut pipeline = target
        .pipeline(slots, &run.mix.kinds())
        .ok_or_else(no_way)?;
    pipelined(run, part, crew.threads, &mut *pipeline);
    Ok(())
}

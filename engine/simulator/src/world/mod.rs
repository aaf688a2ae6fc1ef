//! Runs a plan: the production engine on a simulated disk, its clients, and whatever fate has planned.
//!
//! ```text
//!   mod.rs        a life after another
//!   openings.rs   opening after any stop, and what must be there then
//!   steps.rs      one step of the plan
//!   clients.rs    calls under way, and their answers
//!   transactions.rs   transactions over keys and over lists
//!   spaces.rs     keyspaces made, dropped, written and read
//!   endings.rs    how a life stops
//!   copies.rs     what is done to copies of the disk: cut, damaged, misled
//!   kills.rs      a process that is killed, again and again, and what becomes of the log's tail meanwhile
//!   quiet.rs      a database with nothing to do: still, and without leaks
//! ```

mod clients;
mod copies;
mod endings;
mod kills;
mod openings;
mod quiet;
mod spaces;
mod steps;
mod transactions;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringkeep::simulation::{self, ByHand};
use ringkeep::{Database, Version};
use ringkeep_io::SimulatedDisk;

use crate::content;
use crate::failure::{Check, Verdict, failed};
use crate::model::{Lists, Loss, Model, Spaces, Tick};
use crate::plan::{End, Life, Plan};
use crate::random::{Random, mix};
use crate::totals::Totals;
use clients::Clients;

const PATH: &str = "/db";
const STORE: [u8; 16] = *b"one of many seed";

/// What came of a run.
pub struct Run {
    /// Whether everything held.
    pub verdict: Verdict,
    /// One number for everything that happened.
    pub hash: u64,
    /// What was done.
    pub totals: Totals,
    /// Power cuts that were planned within an operation that there was not.
    pub missed: u64,
}

/// Runs a plan to its end or to the first check that fails. `tell` gets every event.
pub fn run(plan: &Plan, tell: Option<fn(&str)>) -> Run {
    let mut world = World::new(plan, tell);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live_all()));
    let verdict = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        failed(Check::Panic, text.unwrap_or_default())
    });
    // After a panic parts of it may be in no state to be dropped.
    if matches!(&verdict, Err(failure) if failure.check == Check::Panic) {
        std::mem::forget(world.clients.take_all());
    }
    let seen = world.seen;
    world.totals.simulated_millis = world.disk.now() / 1_000_000;
    Run {
        hash: mix(world.disk.trace_hash() ^ seen),
        verdict,
        totals: world.totals,
        missed: world.missed,
    }
}

struct World<'p> {
    plan: &'p Plan,
    tell: Option<fn(&str)>,
    disk: SimulatedDisk,
    model: Model,
    lists: Lists,
    spaces: Spaces,
    random: Random,
    clients: Clients,
    now: Tick,
    /// What may go wrong in this life.
    causes: Causes,
    /// There is no room at the moment: what is written half waits for it.
    is_full: bool,
    /// Operations of the disk, and turns since the last one that left something to do.
    busy: Cell<(u64, u64)>,
    /// When the last process ended: from then on nobody makes anything durable.
    ended_at: u64,
    totals: Totals,
    /// The hash of all answers.
    seen: u64,
    /// Power cuts that were planned within an operation, and came too late.
    missed: u64,
    /// How large the logs' tails are in this life, if not as in the others.
    tail_bytes: Option<usize>,
    /// What they held at some moments.
    tails: Vec<Vec<u8>>,
}

/// Why errors are to be expected.
#[derive(Clone, Copy, Default)]
struct Causes {
    reads: bool,
    writes: bool,
    /// Of these, writes and syncs, which a log may meet: what it has answered for later is not promised any more then.
    log: bool,
    full: bool,
    /// No call waits for room any longer: a write of which a part is in the log is given up, and its shard with it.
    gives_up: bool,
    /// An operation does not end, so no time is too long.
    stuck: bool,
    /// When the last such operation was let go: what waited for it begins anew.
    unstuck_at: u64,
    /// Until when a host gets no core.
    held_until: u64,
}

/// The database while it is open.
struct Open {
    db: Database,
    hosts: ByHand,
    /// Power cuts, and planned kills, until then.
    crashes: u64,
    /// Its version then.
    began: Version,
}

impl<'p> World<'p> {
    fn new(plan: &'p Plan, tell: Option<fn(&str)>) -> World<'p> {
        let place = simulation::placement(plan.setting.shards);
        let shards = (0..plan.setting.keys).map(|key| place(&content::key(key)).0);
        World {
            plan,
            tell,
            disk: SimulatedDisk::new(plan.seed, plan.setting.disk()),
            model: Model::new(shards.collect()),
            lists: Lists::default(),
            spaces: Spaces::default(),
            random: Random::new(plan.seed ^ 0x5eed),
            clients: Clients::new(plan.setting.clients),
            now: 0,
            causes: Causes::default(),
            is_full: false,
            busy: Cell::default(),
            ended_at: 0,
            totals: Totals::default(),
            seen: 0,
            missed: 0,
            tail_bytes: None,
            tails: Vec::new(),
        }
    }

    fn live_all(&mut self) -> Verdict {
        self.totals.runs += 1;
        self.disk.crash_also(self.plan.ways());
        let mut loss = Loss::Nothing;
        for (number, life) in self.plan.lives.iter().enumerate() {
            self.say(|| format!("life {number}"));
            let open = self.open(life, loss)?;
            loss = self.live(life, open)?;
            self.totals.lives += 1;
        }
        // Whatever happened, it ends in order.
        let undisturbed = Life::default();
        let open = self.open(&undisturbed, loss)?;
        let end = End::Close {
            cut: true,
            within: None,
        };
        self.end(&end, open, 0)?;
        drop(self.open(&undisturbed, Loss::Nothing)?);
        Ok(())
    }

    fn live(&mut self, life: &Life, open: Open) -> Verdict<Loss> {
        let began = self.disk.operations();
        if let End::Cut { spared, leaves } = life.end {
            self.disk.crash_at(spared, leaves.crash());
        }
        if let End::KillWithin { spared } = life.end {
            self.disk.kill_at(spared);
        }
        let kill_at = match life.end {
            End::Kill { spared } => began + spared,
            _ => u64::MAX,
        };
        for step in &life.steps {
            if open.is_cut(&self.disk) || self.disk.operations() >= kill_at {
                break;
            }
            self.take_step(step, &open)?;
        }
        self.end(&life.end, open, kill_at)
    }

    fn say(&self, line: impl FnOnce() -> String) {
        if let Some(tell) = self.tell {
            let line = line();
            tell(&format!(
                "{:>12} ns, operation {:>6}: {line}",
                self.disk.now(),
                self.disk.operations()
            ));
        }
    }
}

impl Open {
    fn is_cut(&self, disk: &SimulatedDisk) -> bool {
        disk.crashes() > self.crashes
    }
}

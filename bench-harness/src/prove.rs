//! The same proof for every target: right answers, and nothing lost that was promised.
//!
//! For the tests of target crates, each of which hands [`prove`] its target and its real options.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::load::load;
use crate::phase::{Setting, run_phase};
use crate::suite::{Overrides, Scale, Suite};
use crate::target::{Answer, Failure, OpenOptions, Target, TargetKind};
use crate::workload::stream::Mix;
use crate::workload::values::Values;
use crate::workload::{Drive, Durability, Op, OpKind, Workload};

/// Every kind of operation but those that add and remove keys, which are counted below.
const SUITE: &str = r#"
schema = 1
suite = { name = "proof" }
defaults = { durability = "sync", warmup = "0", cache = "100%" }

[[dataset]]
id = "proof"
keys = 5000
key = { form = "hashed", size = 16 }
value = { dist = "fixed", size = 100 }

[[workload]]
name = "proof"
dataset = "proof"

  [[workload.phase]]
  name = "mix"
  duration = "800"
  load = { mode = "closed", clients = 4 }
  ops = [
    { op = "get", weight = 3 }, { op = "get", miss = 1.0 }, { op = "multi_get", n = 7 }, { op = "put" },
    { op = "rmw" }, { op = "batch", n = 20 }, { op = "scan", len = 40 }, { op = "scan", len = 40, reverse = true },
  ]
"#;

/// Keys that are added after the load, and keys that are removed.
const ADDED: u64 = 20;
const REMOVED: u64 = 30;

const MEMORY_BYTES: u64 = 64 << 20;

/// Loads a target, puts it through every kind of operation, reads what a killed process would have left behind,
/// then what a closed store keeps. `dir` must be empty. The error says what was wrong first.
pub fn prove(kind: &TargetKind, dir: &Path) -> Result<(), Failure> {
    let workload = workload()?;
    let (first, copied) = (dir.join("first"), dir.join("copy"));
    std::fs::create_dir_all(&first).map_err(Failure::new)?;
    let target = open(kind, &first)?;
    if target.options().is_empty() {
        return Err(Failure("it names no options".to_string()));
    }
    let stop = AtomicBool::new(false);
    let (dataset, seed) = (&workload.dataset, workload.seed);
    load(&*target, dataset, seed, 2, &stop, &mut |_, _| {})?;
    run(&*target, &workload)?;
    add_and_remove(&*target, &workload)?;
    let check = |target: &dyn Target, when: &str| {
        everything_is_there(target, &workload)
            .map_err(|failure| Failure(format!("{when}: {failure}")))
    };
    check(&*target, "while open")?;
    // Acknowledged with `Sync` and not closed: the files as they are now must hold everything.
    copy(&first, &copied)?;
    let second = open(kind, &copied)?;
    check(&*second, "after a kill")?;
    second.close()?;
    target.close()?;
    let target = open(kind, &first)?;
    check(&*target, "after a close")?;
    target.close()
}

fn workload() -> Result<Workload, Failure> {
    let suite = Suite::parse("proof", SUITE, &[]).map_err(Failure::new)?;
    let workloads = suite.workloads(Scale::Quick, &Overrides::default());
    Ok(workloads.map_err(Failure::new)?.remove(0))
}

fn open(kind: &TargetKind, dir: &Path) -> Result<Box<dyn Target>, Failure> {
    (kind.open)(&OpenOptions {
        dir: dir.to_path_buf(),
        memory_bytes: Some(MEMORY_BYTES),
        data_exceeds_memory: false,
        shards: None,
        durability: Durability::Sync,
        extra: BTreeMap::new(),
    })
}

fn run(target: &dyn Target, workload: &Workload) -> Result<(), Failure> {
    let setting = Setting {
        drivers: 2,
        driver_cores: Vec::new(),
        validate: true,
        drive: Drive::Auto,
    };
    let stop = AtomicBool::new(false);
    for phase in &workload.phases {
        let outcome = run_phase(target, workload, phase, &setting, &stop, &mut |_| {})?;
        for traffic in &outcome.traffic {
            let totals = &traffic.totals;
            let faults =
                totals.wrong.load(Ordering::Relaxed) + totals.errors.load(Ordering::Relaxed);
            if faults > 0 {
                let messages = totals.messages.lock().expect("no driver panicked");
                return Err(Failure(format!("{faults} faults: {}", messages.join("; "))));
            }
        }
    }
    Ok(())
}

fn add_and_remove(target: &dyn Target, workload: &Workload) -> Result<(), Failure> {
    let dataset = &workload.dataset;
    let values = Values::new(&dataset.value, workload.seed);
    let mut caller = target.caller()?;
    for i in 0..ADDED {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        dataset.key.write(dataset.keys + i, &mut key);
        values.write(dataset.keys + i, 1, 100, &mut value);
        caller.call(&op(OpKind::Insert, &key, &value), &mut Answer::counting())?;
    }
    for i in 0..REMOVED {
        let mut key = Vec::new();
        dataset.key.write(i * 3, &mut key);
        caller.call(&op(OpKind::Delete, &key, &[]), &mut Answer::counting())?;
    }
    Ok(())
}

/// Looks for each key alone, then for all of them in order both ways.
fn everything_is_there(target: &dyn Target, workload: &Workload) -> Result<(), Failure> {
    let dataset = &workload.dataset;
    let mix = Mix::new(workload, &workload.phases[0].traffic[0]);
    let mut caller = target.caller()?;
    for number in 0..dataset.keys + ADDED {
        let removed = number < REMOVED * 3 && number % 3 == 0;
        let mut key = Vec::new();
        dataset.key.write(number, &mut key);
        let mut answer = match removed {
            true => Answer::counting(),
            false => Answer::checking(&mix),
        };
        answer.expect(&[number], false);
        caller.call(&op(OpKind::Get, &key, &[]), &mut answer)?;
        if let Some(message) = answer.first_wrong {
            return Err(Failure(message));
        }
        if (answer.rows, answer.absent) != (u64::from(!removed), u64::from(removed)) {
            return Err(Failure(format!(
                "key {number} (removed: {removed}) was found {} times",
                answer.rows
            )));
        }
    }
    for (from, reverse) in [([0; 16], false), ([255; 16], true)] {
        let mut answer = Answer::checking(&mix);
        answer.expect(&[], reverse);
        let scan = Op {
            entries: u32::MAX,
            reverse,
            ..op(OpKind::Scan, &from, &[])
        };
        caller.call(&scan, &mut answer)?;
        if let Some(message) = answer.first_wrong {
            return Err(Failure(message));
        }
        let due = dataset.keys + ADDED - REMOVED;
        if answer.rows != due {
            return Err(Failure(format!(
                "a scan (reverse: {reverse}) found {} of {due} entries",
                answer.rows
            )));
        }
    }
    Ok(())
}

fn op<'a>(kind: OpKind, key: &'a [u8], value: &'a [u8]) -> Op<'a> {
    Op {
        kind,
        keys: key,
        key_size: key.len(),
        values: value,
        value_size: value.len(),
        entries: 0,
        reverse: false,
        durability: Durability::Sync,
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(Failure::new)?;
    for entry in std::fs::read_dir(from).map_err(Failure::new)? {
        let path = entry.map_err(Failure::new)?.path();
        let there = to.join(path.file_name().expect("an entry has a name"));
        match path.is_dir() {
            true => copy(&path, &there)?,
            false => {
                std::fs::copy(&path, &there).map_err(Failure::new)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use crate::target::BUILT_IN;

    #[test]
    fn a_store_that_forgets_does_not_pass() {
        let memory = BUILT_IN.iter().find(|kind| kind.name == "memory").unwrap();
        let dir = DataDir::temporary().unwrap();
        let failure = prove(memory, dir.path()).unwrap_err();
        assert!(failure.0.starts_with("after a kill: "), "{failure}");
    }

    #[test]
    fn a_store_that_does_not_answer_does_not_pass() {
        let null = BUILT_IN.iter().find(|kind| kind.name == "null").unwrap();
        let dir = DataDir::temporary().unwrap();
        assert!(prove(null, dir.path()).is_err());
    }
}

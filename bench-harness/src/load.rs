//! Filling a target with the keys of a dataset.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::target::{Answer, Failure, Target};
use crate::workload::bijection::Bijection;
use crate::workload::values::Values;
use crate::workload::{Dataset, Durability, Op, OpKind};

/// Bytes and keys of a batch, whichever is reached first.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_KEYS: usize = 256;

/// How the writes of a load went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// Keys written, overwrites included.
    pub keys: u64,
    /// Time to write them.
    pub write_ns: u64,
    /// Ended early on request.
    pub interrupted: bool,
}

/// How a load went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadOutcome {
    /// The writes.
    pub written: Written,
    /// Time the target then took to settle.
    pub settle_ns: u64,
}

/// Writes a dataset and waits until the target has settled. `progress` hears how many of how many keys are
/// written.
pub fn load(
    target: &dyn Target,
    dataset: &Dataset,
    seed: u64,
    loaders: usize,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<LoadOutcome, Failure> {
    let written = write(target, dataset, seed, loaders, stop, progress)?;
    let began = Instant::now();
    let mut settled = began;
    if !written.interrupted {
        progress(written.keys, written.keys);
        settled = target.settle()?;
    }
    Ok(LoadOutcome {
        written,
        settle_ns: settled.saturating_duration_since(began).as_nanos() as u64,
    })
}

/// Writes every key of `dataset` once and ages it as it says.
pub fn write(
    target: &dyn Target,
    dataset: &Dataset,
    seed: u64,
    loaders: usize,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, Failure> {
    let values = Values::new(&dataset.value, seed);
    let again = (dataset.keys as f64 * dataset.age_overwrite) as u64;
    let total = dataset.keys + again;
    let order = Bijection::new(dataset.keys.max(1), seed ^ 0xa6e);
    let next = AtomicU64::new(0);
    let written = AtomicU64::new(0);
    let failure: Mutex<Option<Failure>> = Mutex::new(None);
    let batch_keys = (BATCH_BYTES / (dataset.user_bytes() / dataset.keys.max(1)).max(1) as usize)
        .clamp(1, BATCH_KEYS);
    let quit =
        || stop.load(Ordering::Relaxed) || failure.lock().expect("no loader panics").is_some();
    let began = Instant::now();

    let one_loader = || -> Result<(), Failure> {
        let mut caller = target.caller()?;
        let (mut keys, mut bytes) = (Vec::new(), Vec::new());
        let lengths = Stream::new(seed, "load lengths", 0);
        while !quit() {
            let from = next.fetch_add(batch_keys as u64, Ordering::Relaxed);
            if from >= total {
                break;
            }
            let to = (from + batch_keys as u64).min(total);
            // A batch holds values of one length; with varying lengths each key goes alone.
            let mut at = from;
            while at < to {
                let length = dataset.value.length.draw(&mut lengths.at(at));
                keys.clear();
                bytes.clear();
                let mut count = 0;
                while at < to && dataset.value.length.draw(&mut lengths.at(at)) == length {
                    let (number, version) = match at < dataset.keys {
                        true => (at, 0),
                        false => (order.apply((at - dataset.keys) % dataset.keys), 1),
                    };
                    dataset.key.write(number, &mut keys);
                    values.write(number, version, length as usize, &mut bytes);
                    at += 1;
                    count += 1;
                }
                let op = Op {
                    kind: OpKind::Batch,
                    keys: &keys,
                    key_size: dataset.key.size,
                    values: &bytes,
                    value_size: length as usize,
                    entries: 0,
                    reverse: false,
                    durability: Durability::Buffered,
                };
                caller.call(&op, &mut Answer::counting())?;
                written.fetch_add(count, Ordering::Relaxed);
            }
        }
        Ok(())
    };

    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..loaders.max(1))
            .map(|_| {
                scope.spawn(|| {
                    if let Err(error) = one_loader() {
                        failure
                            .lock()
                            .expect("no loader panics")
                            .get_or_insert(error);
                    }
                })
            })
            .collect();
        let mut next_report = Instant::now();
        while handles.iter().any(|handle| !handle.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
            if Instant::now() >= next_report {
                progress(written.load(Ordering::Relaxed), total);
                next_report = Instant::now() + Duration::from_millis(250);
            }
        }
    });
    let write_ns = began.elapsed().as_nanos() as u64;
    if let Some(failure) = failure.into_inner().expect("no loader panics") {
        return Err(Failure(format!("the load failed: {failure}")));
    }
    Ok(Written {
        keys: written.into_inner(),
        write_ns,
        interrupted: stop.load(Ordering::Relaxed),
    })
}

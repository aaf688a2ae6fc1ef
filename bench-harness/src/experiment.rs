//! One workload against one target: open, load, run the phases, close.
//!
//! A `Bench` keeps the target open between workloads that want the same dataset in the same settings, so that
//! a suite does not load the same bytes again and again. Phases that add or remove keys use the dataset up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::data_dir::DataDir;
use crate::environment::disk_bytes;
use crate::generator;
use crate::kept::{self, Kept};
use crate::killed::Errand;
use crate::load::{Written, load};
use crate::phase::{PhaseOutcome, Progress, Setting, run_phase};
use crate::placement::Placement;
use crate::process::ProcessUse;
use crate::random::mix;
use crate::report::{
    LoadRecord, PhaseContext, PhaseRecord, TargetRecord, WorkloadRecord, phase_record,
};
use crate::suite::Scale;
use crate::target::{Answer, Failure, OpenOptions, Target, TargetKind};
use crate::trace::{Recording, TappedTarget};
use crate::workload::stream::Mix;
use crate::workload::{Dataset, Durability, Op, OpKind, Phase, Workload};

/// What a bench tells whoever watches it.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A workload begins.
    Begin(&'a Workload, &'a str),
    /// Keys written of keys to write.
    Loading(u64, u64),
    /// All keys are written; the target finishes its work.
    Settling,
    /// A phase is under way.
    Running(Progress),
    /// A phase is over: what was asked for, what happened, and what the report says of it.
    Done(&'a Phase, &'a PhaseOutcome, &'a PhaseRecord),
}

/// How experiments are carried out.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Drivers and validation.
    pub setting: Setting,
    /// The scale, which decides how long the generator is calibrated.
    pub scale: Scale,
    /// Who sits where.
    pub placement: Placement,
    /// Threads that load.
    pub loaders: usize,
    /// Shards asked for, if any.
    pub shards: Option<usize>,
    /// Take datasets that an earlier run left, and leave them for the next.
    pub reuse: bool,
    /// Notes what the phases ask.
    pub record: Option<std::sync::Arc<Recording>>,
    /// The program that carries out errands for this one: itself. Nothing is killed without one.
    pub program: Option<PathBuf>,
    /// Further target settings.
    pub extra: std::collections::BTreeMap<String, String>,
}

/// Runs experiments one after the other.
pub struct Bench<'a> {
    dir: &'a DataDir,
    manner: Manner,
    stop: &'a AtomicBool,
    open: Option<Open>,
    opened: u32,
}

struct Open {
    kind: &'static str,
    target: Box<dyn Target>,
    path: PathBuf,
    dataset: Dataset,
    seed: u64,
    options: OpenOptions,
    used_up: bool,
    /// Written to since it last settled: the debt of one phase must not be paid in the next.
    unsettled: bool,
}

impl<'a> Bench<'a> {
    /// A bench whose targets live under `dir`. Setting `stop` ends what is under way.
    pub fn new(dir: &'a DataDir, manner: Manner, stop: &'a AtomicBool) -> Bench<'a> {
        Bench {
            dir,
            manner,
            stop,
            open: None,
            opened: 0,
        }
    }

    /// Runs `workload` against a target of this kind. A failure is part of the record: what was measured before
    /// it stays measured.
    pub fn run(
        &mut self,
        kind: &TargetKind,
        workload: &Workload,
        repetition: u32,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> WorkloadRecord {
        watch(Event::Begin(workload, kind.name));
        let mut record = WorkloadRecord {
            workload: workload.clone(),
            workload_hash: workload_hash(workload),
            target: TargetRecord {
                name: kind.name.to_string(),
                options: Vec::new(),
            },
            repetition,
            load: None,
            phases: Vec::new(),
            failure: None,
        };
        if let Err(failure) = self.run_into(kind, workload, &mut record, watch) {
            record.failure = Some(failure.0);
            self.close().ok();
        }
        record
    }

    /// Closes what is still open.
    pub fn close(&mut self) -> Result<(), Failure> {
        match self.open.take() {
            None => Ok(()),
            Some(open) => {
                let closed = open.target.close();
                self.dir.clear(&open.path);
                closed
            }
        }
    }

    fn run_into(
        &mut self,
        kind: &TargetKind,
        workload: &Workload,
        record: &mut WorkloadRecord,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Failure> {
        record.load = self.provide(kind, workload, watch)?;
        let open = self.open.as_mut().expect("it was just provided");
        record.target.options = open.target.options();
        let setting = Setting {
            validate: self.manner.setting.validate && kind.answers,
            ..self.manner.setting.clone()
        };
        for phase in &workload.phases {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let changes = phase
                .traffic
                .iter()
                .flat_map(|traffic| &traffic.ops)
                .any(|shape| matches!(shape.op, OpKind::Insert | OpKind::Delete));
            open.used_up |= changes || workload.dataset.empty;
            if open.used_up {
                kept::forget(&open.path);
            }
            let target = &*open.target;
            if open.unsettled && phase.settles && self.manner.scale != Scale::Quick {
                watch(Event::Settling);
                target.settle()?;
            }
            open.unsettled = phase
                .traffic
                .iter()
                .flat_map(|traffic| &traffic.ops)
                .any(|shape| shape.op.writes());
            if let Some(recording) = &self.manner.record {
                recording.start();
            }
            let outcome = run_phase(
                target,
                workload,
                phase,
                &setting,
                self.stop,
                &mut |progress| {
                    watch(Event::Running(progress.clone()));
                },
            )?;
            if let Some(recording) = &self.manner.record {
                recording.pause();
            }
            let calibration = match self.manner.scale {
                Scale::Quick => 20_000,
                _ => 200_000,
            };
            let generator: Vec<f64> = phase
                .traffic
                .iter()
                .zip(&outcome.traffic)
                .map(|(traffic, found)| {
                    generator::cost_ns(workload, traffic, found.way, calibration)
                })
                .collect();
            let context = PhaseContext {
                phase,
                generator_cpu_ns: &generator,
                measures_generator: !kind.answers,
                disk_bytes: disk_bytes(&open.path),
            };
            record.phases.push(phase_record(&outcome, context));
            watch(Event::Done(
                phase,
                &outcome,
                record.phases.last().expect("just pushed"),
            ));
        }
        Ok(())
    }

    /// Sees to it that the open target is of this kind and holds the workload's dataset.
    fn provide(
        &mut self,
        kind: &TargetKind,
        workload: &Workload,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<Option<LoadRecord>, Failure> {
        let options = OpenOptions {
            dir: PathBuf::new(),
            memory_bytes: Some(
                (workload.dataset.user_bytes() as f64 * workload.cache_share) as u64,
            ),
            data_exceeds_memory: workload.cache_share < 1.0,
            shards: self.manner.shards,
            durability: workload.durability,
            extra: self.manner.extra.clone(),
        };
        let usable = self.open.as_ref().is_some_and(|open| {
            open.kind == kind.name
                && open.dataset == workload.dataset
                && open.seed == workload.seed
                && !open.used_up
        });
        if usable {
            return self.reopen(kind, options).map(|()| None);
        }
        self.close()?;
        let kept = Kept {
            target: kind.name.to_string(),
            dataset: workload.dataset.clone(),
            seed: workload.seed,
            shards: self.manner.shards,
        };
        let found = match self.manner.reuse && kind.persists && !workload.dataset.empty {
            true => kept.find(self.dir.path()),
            false => None,
        };
        let loaded = found.is_some();
        let path = match found {
            Some(path) => path,
            None => self.fresh(kind.name)?,
        };
        let options = OpenOptions {
            dir: path.clone(),
            ..options
        };
        let written = match &self.manner.program {
            Some(program) if workload.dataset.killed && kind.persists && !loaded => {
                watch(Event::Loading(0, workload.dataset.keys));
                Some(self.errand(kind, workload, &options).send(program)?)
            }
            _ => None,
        };
        let began = Instant::now();
        let target = self
            .manner
            .placement
            .on_target_cores(|| (kind.open)(&options))?;
        if written.is_some() {
            first_answer(&*target, &workload.dataset)?;
        }
        let reopen_ns = began.elapsed().as_nanos() as u64;
        let target = self.tapped(target);
        self.open = Some(Open {
            kind: kind.name,
            target,
            path,
            dataset: workload.dataset.clone(),
            seed: workload.seed,
            options,
            used_up: false,
            unsettled: false,
        });
        if workload.dataset.empty || loaded {
            return Ok(None);
        }
        let mut record = match written {
            None => self.fill(workload, watch)?,
            Some(written) => self.settle_again(written, reopen_ns, watch)?,
        };
        let is_whole = self.open.as_ref().is_some_and(|open| !open.used_up);
        if workload.dataset.reopened && kind.persists && is_whole {
            record.reopen_ns = Some(self.open_settled(kind, &workload.dataset)?);
        }
        let open = self.open.as_ref().expect("it was just filled");
        if self.manner.reuse && kind.persists && !open.used_up {
            kept.remember(&open.path).map_err(Failure)?;
        }
        Ok(Some(record))
    }

    /// A folder of its own for a target; earlier runs may have left some.
    fn fresh(&mut self, name: &str) -> Result<PathBuf, Failure> {
        loop {
            self.opened += 1;
            let name = format!("{name}-{}", self.opened);
            if !self.dir.path().join(&name).exists() {
                return self.dir.fresh(&name).map_err(Failure);
            }
        }
    }

    fn tapped(&self, target: Box<dyn Target>) -> Box<dyn Target> {
        match &self.manner.record {
            Some(recording) => Box::new(TappedTarget::new(target, recording.clone())),
            None => target,
        }
    }

    /// Opens the same directory again if the settings differ from what is open.
    fn reopen(&mut self, kind: &TargetKind, options: OpenOptions) -> Result<(), Failure> {
        let open = self.open.as_mut().expect("asked only while one is open");
        let same = open.options.memory_bytes == options.memory_bytes
            && open.options.data_exceeds_memory == options.data_exceeds_memory
            && open.options.durability == options.durability;
        if same || !kind.persists {
            return Ok(());
        }
        self.open_again(kind, options).map(drop)
    }

    /// Closes what was settled and opens it again; how long the opening takes, up to the first answer.
    fn open_settled(&mut self, kind: &TargetKind, dataset: &Dataset) -> Result<u64, Failure> {
        let open = self.open.as_ref().expect("it was just filled");
        let began = self.open_again(kind, open.options.clone())?;
        let open = self.open.as_ref().expect("it was just opened");
        first_answer(&*open.target, dataset)?;
        Ok(began.elapsed().as_nanos() as u64)
    }

    /// Closes what is open and opens its directory with these options. Gives the time in between.
    fn open_again(&mut self, kind: &TargetKind, options: OpenOptions) -> Result<Instant, Failure> {
        let Open {
            target,
            path,
            dataset,
            seed,
            used_up,
            unsettled,
            ..
        } = self.open.take().expect("it is open");
        target.close()?;
        let options = OpenOptions {
            dir: path.clone(),
            ..options
        };
        let began = Instant::now();
        let reopened = self
            .manner
            .placement
            .on_target_cores(|| (kind.open)(&options))?;
        self.open = Some(Open {
            kind: kind.name,
            target: self.tapped(reopened),
            path,
            dataset,
            seed,
            options,
            used_up,
            unsettled,
        });
        Ok(began)
    }

    fn errand(&self, kind: &TargetKind, workload: &Workload, options: &OpenOptions) -> Errand {
        Errand {
            target: kind.name.to_string(),
            options: options.clone(),
            dataset: workload.dataset.clone(),
            seed: workload.seed,
            loaders: self.manner.loaders,
        }
    }

    /// The record of a load that a killed process made.
    fn settle_again(
        &mut self,
        written: Written,
        reopen_ns: u64,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<LoadRecord, Failure> {
        let open = self.open.as_ref().expect("it was just opened");
        let began = Instant::now();
        watch(Event::Settling);
        let settled = open.target.settle()?;
        Ok(LoadRecord {
            keys: written.keys,
            user_bytes: loaded_bytes(&open.dataset, written.keys),
            write_ns: written.write_ns,
            settle_ns: settled.saturating_duration_since(began).as_nanos() as u64,
            // What the killed process sent is not known.
            storage_write_bytes: 0,
            reopen_ns: Some(reopen_ns),
            disk_bytes: disk_bytes(&open.path),
        })
    }

    fn fill(
        &mut self,
        workload: &Workload,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<LoadRecord, Failure> {
        let open = self.open.as_mut().expect("it was just opened");
        let before = ProcessUse::now();
        let outcome = load(
            &*open.target,
            &workload.dataset,
            workload.seed,
            self.manner.loaders,
            self.stop,
            &mut |written, total| {
                watch(match written < total {
                    true => Event::Loading(written, total),
                    false => Event::Settling,
                });
            },
        )?;
        let written = outcome.written;
        open.used_up = written.interrupted;
        Ok(LoadRecord {
            keys: written.keys,
            user_bytes: loaded_bytes(&workload.dataset, written.keys),
            write_ns: written.write_ns,
            settle_ns: outcome.settle_ns,
            storage_write_bytes: ProcessUse::now().since(&before).write_bytes,
            reopen_ns: None,
            disk_bytes: disk_bytes(&open.path),
        })
    }
}

/// Keys and values of so many of its keys, before any engine adds its own.
fn loaded_bytes(dataset: &Dataset, keys: u64) -> u64 {
    (keys as f64 * (dataset.user_bytes() as f64 / dataset.keys.max(1) as f64)) as u64
}

/// An opening is over when the store answers, and has what was acknowledged.
fn first_answer(target: &dyn Target, dataset: &Dataset) -> Result<(), Failure> {
    let mut key = Vec::new();
    dataset.key.write(0, &mut key);
    let get = Op {
        kind: OpKind::Get,
        keys: &key,
        key_size: dataset.key.size,
        values: &[],
        value_size: 0,
        entries: 0,
        reverse: false,
        durability: Durability::Sync,
    };
    let mut answer = Answer::counting();
    target.caller()?.call(&get, &mut answer)?;
    match answer.rows {
        1 => Ok(()),
        _ => Err(Failure(
            "a write is missing that was there before it was opened again".to_string(),
        )),
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        // Whoever cares about the error has closed already.
        let _ = self.close();
    }
}

/// A fingerprint of what a workload asks for, down to the first operations of every stream. How long it is
/// asked and what is expected of the answers does not enter.
pub fn workload_hash(workload: &Workload) -> String {
    let fold = |hash, text: serde_json::Result<String>| {
        let text = text.expect("descriptions have only string keys");
        text.bytes()
            .fold(hash, |hash, byte| mix(hash ^ u64::from(byte)))
    };
    let settings = (workload.cache_share, workload.durability);
    let mut hash = fold(1, serde_json::to_string(&workload.dataset));
    hash = fold(hash, serde_json::to_string(&settings));
    for traffic in workload.phases.iter().flat_map(|phase| &phase.traffic) {
        hash = fold(hash, serde_json::to_string(traffic));
        hash = mix(hash ^ Mix::new(workload, traffic).fingerprint());
    }
    format!("{hash:016x}")
}

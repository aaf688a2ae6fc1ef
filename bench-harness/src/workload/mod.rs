//! The workload model: what is stored, what is asked for, and when.
//!
//! Everything here is a pure function of the workload and a seed. Nothing in this folder knows a target, a
//! thread or a clock; the drivers take planned operations and intended times from it.
//!
//! `Workload` has one `Dataset` and runs its `Phase`s in order; a phase is one or more `Traffic` streams side
//! by side (readers next to a paced writer), each with a `Load` (when) and a mix of `OpShape`s (what).

pub mod arrivals;
pub mod bijection;
pub mod keys;
pub mod length;
pub mod operation;
pub mod stream;
pub mod values;
pub mod zipf;

use serde::{Deserialize, Serialize};

use crate::quantity::{Length, Span};
use crate::slo::Slo;
use crate::trace::ScriptUse;
pub use arrivals::Arrival;
pub use keys::{KeyForm, KeyLaw, KeyShape};
pub use length::LengthLaw;
pub use operation::{Durability, Op, OpKind, OpShape};
pub use values::ValueShape;

/// One experiment: a dataset and the phases that run over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Slash-separated name, unique in its suite.
    pub name: String,
    /// One sentence for `list`.
    pub about: String,
    /// Words to look for.
    pub tags: Vec<String>,
    /// What is stored before the first phase.
    pub dataset: Dataset,
    /// Cache given to the target, as a share of the user bytes of the dataset.
    pub cache_share: f64,
    /// What an acknowledged write promises, unless an operation says otherwise.
    pub durability: Durability,
    /// Seed of keys, values and arrivals.
    pub seed: u64,
    /// Run one after the other.
    pub phases: Vec<Phase>,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name inside the suite.
    pub id: String,
    /// Keys 0..keys exist after the load, unless `empty`.
    pub keys: u64,
    /// What a key looks like.
    pub key: KeyShape,
    /// What a value looks like.
    pub value: ValueShape,
    /// Start with nothing stored; phases write the keys themselves.
    pub empty: bool,
    /// Share of the keys rewritten after the load, in random order, before the target settles.
    pub age_overwrite: f64,
    /// The process that loads is killed, and what it leaves is opened: how long that takes is part of the report.
    #[serde(default)]
    pub killed: bool,
    /// Behind the load the target settles, is closed and opened again: how long the opening takes is part of the report.
    #[serde(default)]
    pub reopened: bool,
}

impl Dataset {
    /// Bytes of keys and values, before any engine adds its own.
    pub fn user_bytes(&self) -> u64 {
        (self.keys as f64 * (self.key.size as f64 + self.value.length.mean())) as u64
    }
}

/// One measured stretch of load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Name inside the workload.
    pub name: String,
    /// Load before the measured window.
    pub warmup: Warmup,
    /// How long is measured.
    pub length: Length,
    /// Streams that run side by side; the first one is the phase's headline.
    pub traffic: Vec<Traffic>,
    /// What must hold.
    pub slo: Vec<Slo>,
    /// False where response time only restates Little's law: a closed loop without think time.
    pub shows_response: bool,
    /// Wait until the target has settled from the phase before.
    #[serde(default = "yes")]
    pub settles: bool,
    /// A snapshot is held open throughout, warm-up included.
    #[serde(default)]
    pub holds_snapshot: bool,
}

fn yes() -> bool {
    true
}

/// How a phase warms up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// Never shorter.
    pub min: Span,
    /// Never longer; equal to `min` for a fixed warm-up.
    pub max: Span,
}

/// One stream of operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Name inside the phase.
    pub name: String,
    /// When operations start.
    pub load: Load,
    /// Who issues them.
    pub drive: Drive,
    /// What they are.
    pub ops: Vec<OpShape>,
    /// A trace to follow, in its times, its operations or both. Reports name it and do not carry it.
    #[serde(skip)]
    pub script: Option<ScriptUse>,
}

/// When operations start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Load {
    /// At times fixed in advance, whatever the target does.
    Open {
        /// Mean operations per second.
        rate_per_s: f64,
        /// The process that spaces them.
        arrival: Arrival,
        /// Operations under way at once; beyond it `on_full` decides.
        in_flight_max: usize,
        /// What happens to an operation that is due while the limit is reached.
        on_full: OnFull,
    },
    /// When the client's previous one is done and it has thought.
    Closed {
        /// Clients, each with one operation under way at most.
        clients: usize,
        /// Time between an answer and the next question.
        think: Think,
    },
}

/// What an open loop does at its in-flight limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// Wait; the wait is part of the response time.
    Queue,
    /// Give up on the operation and count it.
    Drop,
}

/// Think time of a closed-loop client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "dist")]
pub enum Think {
    /// Always the same; zero for saturation.
    Fixed {
        /// How long.
        time: Span,
    },
    /// Exponential.
    Exp {
        /// Mean time.
        mean: Span,
    },
}

impl Think {
    /// Saturation: no pause at all.
    pub fn is_zero(&self) -> bool {
        self.mean().ns == 0
    }

    /// The mean pause.
    pub fn mean(&self) -> Span {
        match *self {
            Think::Fixed { time } => time,
            Think::Exp { mean } => mean,
        }
    }

    /// One pause.
    pub fn draw(&self, draws: &mut crate::random::Draws) -> u64 {
        match *self {
            Think::Fixed { time } => time.ns,
            Think::Exp { mean } => draws.exponential(mean.ns as f64) as u64,
        }
    }
}

/// Who issues the operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// Pipelined where the target can, else threads.
    Auto,
    /// A thread per client that waits for each answer.
    Threads,
    /// A few threads with many operations in flight each.
    Pipelined,
    /// Clients on the threads of the target that have the data: closed loads without think time.
    Resident,
}

/// A fault in a description, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(pub String);

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

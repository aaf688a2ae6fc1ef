//! The stream of operations of one driver, planned ahead of time.
//!
//! A planned operation is small and says only numbers; its bytes are written out just before it is issued.
//! Plans are made in blocks while the driver has nothing to do, never between an issue and a completion that
//! could have been seen.

use std::collections::VecDeque;

use super::keys::{ABSENT, KeyPicker};
use super::operation::{Durability, Op, OpKind, OpShape};
use super::values::Values;
use super::{Dataset, Traffic, Workload};
use crate::random::{Draws, Stream};
use crate::trace::ScriptUse;

/// What all drivers of one traffic share: the mix made ready.
#[derive(Debug)]
pub struct Mix {
    shapes: Vec<(OpShape, KeyPicker)>,
    /// Running sums of the weights, the last one 1.
    shares: Vec<f64>,
    dataset: Dataset,
    durability: Durability,
    seed: u64,
    name: String,
    /// Writes and checks values.
    pub values: Values,
    /// A missing key proves nothing once keys are being removed.
    pub deletes: bool,
    /// A trace to follow.
    pub script: Option<ScriptUse>,
}

impl Mix {
    /// The mix of `traffic`, one of the streams of `workload`.
    pub fn new(workload: &Workload, traffic: &Traffic) -> Mix {
        let total: f64 = traffic.ops.iter().map(|shape| shape.weight).sum();
        let mut sum = 0.0;
        let shares = traffic
            .ops
            .iter()
            .map(|shape| {
                sum += shape.weight / total;
                sum
            })
            .collect();
        let shapes = traffic
            .ops
            .iter()
            .map(|shape| {
                let picker = KeyPicker::new(&shape.keys, workload.dataset.keys, workload.seed);
                (shape.clone(), picker)
            })
            .collect();
        Mix {
            shapes,
            shares,
            dataset: workload.dataset.clone(),
            durability: workload.durability,
            seed: workload.seed,
            name: traffic.name.clone(),
            values: Values::new(&workload.dataset.value, workload.seed),
            deletes: workload
                .phases
                .iter()
                .flat_map(|phase| &phase.traffic)
                .flat_map(|traffic| &traffic.ops)
                .any(|shape| shape.op == OpKind::Delete),
            script: traffic.script.clone(),
        }
    }

    /// The kinds in the mix.
    pub fn kinds(&self) -> Vec<OpKind> {
        let mut kinds: Vec<OpKind> = self.shapes.iter().map(|(shape, _)| shape.op).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// One operation as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Which line of the mix.
    pub shape: u16,
    /// Value bytes, or entries of a scan.
    pub length: u32,
    /// Position in the stream.
    pub position: u64,
    /// Number of the first key.
    pub number: u64,
}

/// The operations of one driver.
#[derive(Debug)]
pub struct OpStream<'m> {
    mix: &'m Mix,
    draws: Stream,
    part: u64,
    parts: u64,
    position: u64,
    inserted: u64,
    ready: VecDeque<Planned>,
}

/// Plans made at once when a driver has run dry.
const BLOCK: usize = 256;
/// Plans kept ready by an idle driver.
const AHEAD: usize = 64 * 1024;

impl<'m> OpStream<'m> {
    /// Stream `part` of `parts` over `mix`.
    pub fn new(mix: &'m Mix, part: usize, parts: usize) -> OpStream<'m> {
        OpStream {
            mix,
            draws: Stream::new(mix.seed, &mix.name, part as u64),
            part: part as u64,
            parts: parts as u64,
            position: 0,
            inserted: 0,
            ready: VecDeque::new(),
        }
    }

    /// Plans another block, unless enough are ready. True when there was something to do.
    pub fn plan_ahead(&mut self) -> bool {
        if self.ready.len() >= AHEAD {
            return false;
        }
        for _ in 0..BLOCK {
            let planned = self.plan();
            self.ready.push_back(planned);
        }
        true
    }

    /// Plans all that is kept ready; called before the phase starts.
    pub fn fill(&mut self) {
        self.ready.reserve(AHEAD + BLOCK);
        while self.plan_ahead() {}
    }

    /// The next operation.
    #[inline]
    pub fn next_planned(&mut self) -> Planned {
        match self.ready.pop_front() {
            Some(planned) => planned,
            None => {
                self.plan_ahead();
                self.ready.pop_front().expect("a block was just planned")
            }
        }
    }

    #[inline]
    fn plan(&mut self) -> Planned {
        let mix = self.mix;
        let position = self.position;
        self.position += 1;
        if let Some(step) = self.scripted(position) {
            return step;
        }
        let mut draws = self.draws.at(position);
        let line = if mix.shapes.len() == 1 {
            0
        } else {
            let at = draws.unit();
            mix.shares
                .iter()
                .position(|&share| at < share)
                .unwrap_or(mix.shapes.len() - 1)
        };
        let shape = &mix.shapes[line].0;
        let number = match shape.op {
            OpKind::Insert => {
                let number = mix.dataset.keys + self.inserted * self.parts + self.part;
                self.inserted += 1;
                number
            }
            _ => self.number(line, position, &mut draws),
        };
        let length = match shape.op {
            OpKind::Scan => shape.entries.draw(&mut draws),
            kind if kind.writes() => mix.dataset.value.length.draw(&mut draws),
            _ => 0,
        };
        Planned {
            shape: line as u16,
            length,
            position,
            number,
        }
    }

    /// What the trace has at this position. Lines of the mix are then the kinds of the trace.
    #[inline]
    fn scripted(&self, position: u64) -> Option<Planned> {
        let used = self.mix.script.as_ref().filter(|used| used.ops)?;
        let step = used.script.step(position * self.parts + self.part);
        Some(Planned {
            shape: step.kind,
            length: step.length,
            position,
            number: used.script.numbers_of(step)[0],
        })
    }

    #[inline]
    fn number(&self, line: usize, position: u64, draws: &mut Draws) -> u64 {
        let (shape, picker) = &self.mix.shapes[line];
        let loaded = self.mix.dataset.keys;
        if shape.miss > 0.0 && draws.unit() < shape.miss {
            return ABSENT + draws.below(loaded);
        }
        let newest = loaded + self.inserted * self.parts;
        picker.pick(draws, loaded, newest, position * self.parts + self.part)
    }

    /// The numbers of all keys of `planned`, in the order of their bytes.
    pub fn numbers(&self, planned: &Planned, out: &mut Vec<u64>) {
        out.clear();
        if let Some(used) = self.mix.script.as_ref().filter(|used| used.ops) {
            let step = used.script.step(planned.position * self.parts + self.part);
            out.extend_from_slice(used.script.numbers_of(step));
            return;
        }
        out.push(planned.number);
        let (shape, _) = &self.mix.shapes[usize::from(planned.shape)];
        if matches!(shape.op, OpKind::MultiGet | OpKind::Batch) {
            // A stream of its own for each further key keeps single-key plans cheap.
            for i in 1..u64::from(shape.n) {
                let turn = planned.position * u64::from(shape.n) + i;
                let mut draws = self.draws.at(turn ^ (1 << 62));
                out.push(self.number(usize::from(planned.shape), turn, &mut draws));
            }
        }
    }
}

/// The bytes of the operation at hand; one per place where an operation can be under way.
#[derive(Clone, Debug, Default)]
pub struct OpBytes {
    numbers: Vec<u64>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl OpBytes {
    /// Writes out `planned` and lends it as an operation.
    #[inline]
    pub fn write<'a>(&'a mut self, stream: &OpStream<'_>, planned: &Planned) -> Op<'a> {
        let mix = stream.mix;
        let shape = &mix.shapes[usize::from(planned.shape)].0;
        stream.numbers(planned, &mut self.numbers);
        self.keys.clear();
        self.values.clear();
        let writes = shape.op.writes() && shape.op != OpKind::Delete;
        // Version 0 is the load; later versions only need to differ from their neighbours.
        let version = (planned.position as u32).wrapping_add(1).max(1);
        for &number in &self.numbers {
            mix.dataset.key.write(number, &mut self.keys);
            if writes {
                let length = planned.length as usize;
                mix.values.write(number, version, length, &mut self.values);
            }
        }
        Op {
            kind: shape.op,
            keys: &self.keys,
            key_size: mix.dataset.key.size,
            values: &self.values,
            value_size: if writes { planned.length as usize } else { 0 },
            entries: planned.length,
            reverse: shape.reverse,
            durability: shape.durability.unwrap_or(mix.durability),
        }
    }

    /// The key numbers of the operation last written.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }
}

impl Mix {
    /// The kind of `planned`.
    #[inline]
    pub fn kind(&self, planned: &Planned) -> OpKind {
        self.shapes[usize::from(planned.shape)].0.op
    }

    /// Must a read of key `number` find something?
    pub fn must_exist(&self, number: u64) -> bool {
        !self.dataset.empty && !self.deletes && number < self.dataset.keys
    }

    /// Was key `number` never written?
    pub fn must_be_absent(&self, number: u64) -> bool {
        number >= ABSENT
    }

    /// A fingerprint of the first operations: two runs with the same one asked for the same things.
    pub fn fingerprint(&self) -> u64 {
        let mut stream = OpStream::new(self, 0, 1);
        let mut hash = 0;
        for _ in 0..4096 {
            let p = stream.plan();
            for word in [u64::from(p.shape), u64::from(p.length), p.number] {
                hash = crate::random::mix(hash ^ word).wrapping_add(0x9e37);
            }
        }
        hash
    }
}

impl Mix {
    /// Is `key` how `number` is written?
    pub fn is_key(&self, number: u64, key: &[u8]) -> bool {
        let mut written = Vec::new();
        self.dataset.key.write(number, &mut written);
        written == key
    }
}

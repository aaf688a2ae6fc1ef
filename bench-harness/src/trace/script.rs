//! A trace made ready for the drivers: key numbers instead of keys, times from zero.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Key, Trace};
use crate::workload::OpKind;
use crate::workload::keys::ABSENT;

/// What a trace asks, as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// In the order of time.
    pub steps: Vec<Step>,
    /// Numbers of all keys of all steps, one after the other.
    pub numbers: Vec<u64>,
    /// The kinds in it; steps name them by position.
    pub kinds: Vec<OpKind>,
    /// Keys that exist when the replay begins: 0..keys.
    pub keys: u64,
    /// Mean bytes of a key.
    pub key_size: usize,
    /// Mean bytes of a written value, or of a KiB if nothing was written.
    pub value_size: u32,
    /// Time that the trace took.
    pub span_ns: u64,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the first operation.
    pub at_ns: u64,
    /// Position among the kinds.
    pub kind: u16,
    /// Value bytes, or entries of a scan.
    pub length: u32,
    /// Where its key numbers begin.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// How a stream uses a script.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptUse {
    /// The script.
    pub script: Arc<Script>,
    /// Times are divided by this.
    pub speed: f64,
    /// Ask what it asks, and not only when.
    pub ops: bool,
}

/// Values are no longer than this, whatever a trace says.
const VALUE_MAX: u32 = 16 << 20;

impl Script {
    /// A trace as a script. A key that was only ever looked for in vain is never loaded.
    pub fn new(trace: &Trace) -> Result<Script, String> {
        if trace.records.is_empty() {
            return Err("the trace is empty".to_string());
        }
        let found: HashMap<&Key, bool> = {
            let mut found = HashMap::new();
            for record in &trace.records {
                for key in &record.keys {
                    *found.entry(key).or_insert(false) |= !record.absent;
                }
            }
            found
        };
        let mut script = Script {
            steps: Vec::with_capacity(trace.records.len()),
            numbers: Vec::new(),
            kinds: Vec::new(),
            keys: 0,
            key_size: 0,
            value_size: 0,
            span_ns: 0,
        };
        let mut known: HashMap<&Key, u64> = HashMap::new();
        let mut absent = ABSENT;
        let (mut key_bytes, mut value_bytes, mut values) = (0u64, 0u64, 0u64);
        let start_ns = trace.records[0].at_ns;
        for record in &trace.records {
            if record.keys.is_empty() {
                return Err("an operation in the trace has no key".to_string());
            }
            // A new key is a key of the replay's dataset like any other.
            let op = match record.op {
                OpKind::Insert => OpKind::Put,
                op => op,
            };
            let first = script.numbers.len() as u32;
            for key in &record.keys {
                let number = *known.entry(key).or_insert_with(|| match found[key] {
                    true => {
                        script.keys += 1;
                        script.keys - 1
                    }
                    false => {
                        absent += 1;
                        absent - 1
                    }
                });
                script.numbers.push(number);
            }
            let kind = match script.kinds.iter().position(|&kind| kind == op) {
                Some(kind) => kind,
                None => {
                    script.kinds.push(op);
                    script.kinds.len() - 1
                }
            };
            key_bytes += u64::from(record.key_size);
            if op.writes() && op != OpKind::Delete {
                value_bytes += u64::from(record.value_size);
                values += 1;
            }
            script.steps.push(Step {
                at_ns: record.at_ns - start_ns,
                kind: kind as u16,
                length: match op {
                    OpKind::Scan => record.entries.max(1),
                    op if op.writes() => record.value_size.clamp(1, VALUE_MAX),
                    _ => 0,
                },
                first,
                count: record.keys.len() as u32,
            });
        }
        script.keys = script.keys.max(1);
        script.key_size = (key_bytes / trace.records.len() as u64) as usize;
        script.value_size = match values {
            0 => 1024,
            n => (value_bytes / n).clamp(1, u64::from(VALUE_MAX)) as u32,
        };
        script.span_ns = script.steps.last().map_or(0, |step| step.at_ns).max(1);
        Ok(script)
    }

    /// Operations per second.
    pub fn rate_per_s(&self) -> f64 {
        self.steps.len() as f64 * 1e9 / self.span_ns as f64
    }

    /// Step `i`, round and round.
    #[inline]
    pub fn step(&self, i: u64) -> &Step {
        &self.steps[(i % self.steps.len() as u64) as usize]
    }

    /// When step `i` is due; the second round begins one mean gap after the first.
    #[inline]
    pub fn at_ns(&self, i: u64) -> u64 {
        let n = self.steps.len() as u64;
        let round = self.span_ns + self.span_ns / n;
        (i / n) * round + self.step(i).at_ns
    }

    /// The key numbers of a step.
    pub fn numbers_of(&self, step: &Step) -> &[u64] {
        &self.numbers[step.first as usize..][..step.count as usize]
    }
}

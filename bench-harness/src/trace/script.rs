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

    /// Every operation `copies` times, each on a copy of the key space of its own, spread over the time until the
    /// next one: a sampled trace back at the size of what it was sampled from.
    pub fn amplified(self, copies: u32) -> Result<Script, String> {
        let fits = (self.numbers.len() as u64)
            .checked_mul(u64::from(copies))
            .is_some_and(|all| all <= u64::from(u32::MAX));
        if copies == 0 || !fits {
            return Err(format!(
                "{copies} copies cannot be made of this trace: from 1 to {}",
                u64::from(u32::MAX) / self.numbers.len() as u64
            ));
        }
        let absent = self.numbers.iter().filter(|&&number| number >= ABSENT);
        let absent = absent.max().map_or(0, |last| last - ABSENT + 1);
        let mean_gap_ns = self.span_ns / self.steps.len() as u64;
        let mut numbers = Vec::with_capacity(self.numbers.len() * copies as usize);
        let mut steps = Vec::with_capacity(self.steps.len() * copies as usize);
        for (i, step) in self.steps.iter().enumerate() {
            let next_ns = self
                .steps
                .get(i + 1)
                .map_or(step.at_ns + mean_gap_ns, |next| next.at_ns);
            for copy in 0..u64::from(copies) {
                steps.push(Step {
                    at_ns: step.at_ns + (next_ns - step.at_ns) * copy / u64::from(copies),
                    first: numbers.len() as u32,
                    ..*step
                });
                numbers.extend(self.numbers_of(step).iter().map(|&number| {
                    match number >= ABSENT {
                        true => number + copy * absent,
                        false => number + copy * self.keys,
                    }
                }));
            }
        }
        Ok(Script {
            span_ns: steps.last().map_or(1, |step| step.at_ns).max(1),
            keys: self.keys * u64::from(copies),
            steps,
            numbers,
            ..self
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Head, Keys, Record};

    fn record(at_ns: u64, key: u64, absent: bool) -> Record {
        Record {
            at_ns,
            op: OpKind::Get,
            keys: vec![Key::Hash(key)],
            key_size: 8,
            value_size: 0,
            entries: 0,
            absent,
        }
    }

    #[test]
    fn copies_have_keys_of_their_own_and_their_turn() {
        let trace = Trace {
            head: Head {
                keys: Keys::Anonymous,
                one_in: 2,
                started_unix_ns: 0,
            },
            records: vec![
                record(0, 1, false),
                record(100, 2, true),
                record(400, 1, false),
            ],
            torn_bytes: 0,
        };
        let script = Script::new(&trace).unwrap().amplified(2).unwrap();
        let asked: Vec<(u64, u64)> = script
            .steps
            .iter()
            .map(|step| (step.at_ns, script.numbers_of(step)[0]))
            .collect();
        assert_eq!(
            asked,
            [
                (0, 0),
                (50, 1),
                (100, ABSENT),
                (250, ABSENT + 1),
                (400, 0),
                (466, 1)
            ]
        );
        assert_eq!((script.keys, script.span_ns), (2, 466));
        assert!(Script::new(&trace).unwrap().amplified(0).is_err());
    }
}

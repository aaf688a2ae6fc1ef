//! One number out of a workload's record.

use super::WorkloadRecord;
use crate::quantity::{Rate, Span, short};
use crate::slo::ClockName;

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Operations per second of the stream with this index.
    Rate(usize),
    /// Entries per second of the first stream.
    Entries,
    /// A quantile of the first stream: response where it shows one, else service.
    Quantile(f64),
    /// CPU of the whole process per operation.
    CpuPerOp,
    /// Keys per second of the load, settling included.
    SettledLoad,
    /// Bytes on disk after settling over the user's bytes.
    DiskShare,
    /// Bytes sent to storage while loading and settling over the user's bytes.
    WriteAmplification,
    /// Time from the opening behind the load to the first answer.
    Reopen,
}

impl Metric {
    /// The number in `record`; none if it was not measured or operations failed.
    pub fn of(self, record: &WorkloadRecord) -> Option<f64> {
        let phase = record.phases.first();
        let failed = |p: &super::PhaseRecord| {
            let mut ops = p.streams.iter().flat_map(|stream| &stream.ops);
            ops.any(|op| op.errors > 0)
        };
        if record.failure.is_some() || phase.is_some_and(failed) {
            return None;
        }
        let load = record.load.as_ref();
        match self {
            Metric::Rate(stream) => Some(phase?.streams.get(stream)?.achieved_per_s),
            Metric::Entries => {
                let ops = &phase?.streams.first()?.ops;
                Some(
                    ops.iter()
                        .map(|op| op.rows as f64 / op.count.max(1) as f64 * op.per_s)
                        .sum(),
                )
            }
            Metric::Quantile(q) => {
                let stream = phase?.streams.first()?;
                let clock = match stream.shows_response {
                    true => ClockName::Response,
                    false => ClockName::Service,
                };
                let op = stream.ops.iter().find(|op| op.count > 0)?;
                let known = op
                    .clock(clock)
                    .quantiles
                    .iter()
                    .find(|known| known.q == q)?;
                Some(known.value_ns as f64)
            }
            Metric::CpuPerOp => {
                let cost = &phase?.cost;
                (cost.operations > 0).then(|| cost.cpu_ns as f64 / cost.operations as f64)
            }
            Metric::SettledLoad => {
                let load = load?;
                let seconds = (load.write_ns + load.settle_ns) as f64 / 1e9;
                (seconds > 0.0).then(|| load.keys as f64 / seconds)
            }
            Metric::DiskShare => load.map(|l| l.disk_bytes as f64 / l.user_bytes.max(1) as f64),
            Metric::WriteAmplification => load
                .filter(|l| l.storage_write_bytes > 0)
                .map(|l| l.storage_write_bytes as f64 / l.user_bytes.max(1) as f64),
            Metric::Reopen => load?.reopen_ns.map(|ns| ns as f64),
        }
    }

    /// Is more better?
    pub fn higher_is_better(self) -> bool {
        matches!(
            self,
            Metric::Rate(_) | Metric::Entries | Metric::SettledLoad
        )
    }

    /// The number for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::Rate(_) | Metric::Entries | Metric::SettledLoad => {
                Rate { per_s: value }.to_string()
            }
            Metric::Quantile(_) | Metric::CpuPerOp | Metric::Reopen => {
                Span { ns: value as u64 }.to_string()
            }
            Metric::DiskShare | Metric::WriteAmplification => format!("{}x", short(value)),
        }
    }
}

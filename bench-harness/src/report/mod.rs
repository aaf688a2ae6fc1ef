//! Report data: what a run found, in the shape in which it is saved.
//!
//! The types here are the JSON schema, published as `docs/report.schema.json`, which a test holds against a
//! report. Names carry their unit (`_ns`, `_bytes`, `_per_s`). A change that an older reader would misread raises
//! `SCHEMA_VERSION`; additions do not.

mod build;
mod compare;
mod csv;
mod curves;
pub mod hlog;
mod html;
mod junit;
mod markdown;
mod metric;
mod quantiles;
mod svg;
pub mod table;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::{PhaseContext, phase_record};
pub use compare::{
    Compared, Comparison, Ratio, compare, comparison, comparison_rows, paired_ratio,
};
pub use csv::intervals_csv;
pub use curves::{conclusions, curve_table, curves_text};
pub use hlog::IntervalLog;
pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use metric::Metric;
pub use quantiles::{clock_record, decode_histogram, samples_needed};

use crate::curve::Curve;
use crate::environment::Environment;
use crate::steady::Steady;
use crate::suite::Scale;
use crate::workload::Workload;

/// Version of the JSON.
pub const SCHEMA_VERSION: u32 = 1;

/// Below this share of the cores, what other processes do is the noise of any machine.
const OTHERS_FELT: f64 = 0.1;

/// One invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this schema.
    pub schema_version: u32,
    /// What was run.
    pub run: RunRecord,
    /// Where.
    pub environment: Environment,
    /// Found, in the order in which it was run.
    pub results: Vec<WorkloadRecord>,
    /// Capacity curves, of sweeps and searches; their points are results too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
    /// What a reader must know before believing a number.
    pub warnings: Vec<String>,
    /// Ended early on request: what is here is whole, but there was more to do.
    pub interrupted: bool,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Unique enough: time and process.
    pub id: String,
    /// When, in RFC 3339.
    pub started: String,
    /// The arguments.
    pub command: Vec<String>,
    /// Version of the program.
    pub version: String,
    /// Commit that the program was built from.
    pub git_commit: String,
    /// `release` or `debug`.
    pub build_profile: String,
    /// The scale.
    pub scale: Scale,
    /// Was every read proven?
    pub validated: bool,
    /// Driver threads of pipelined streams.
    pub drivers: usize,
}

/// One workload against one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// As resolved: everything that decides what was asked.
    pub workload: Workload,
    /// Fingerprint of the operations and the dataset; unlike runs must not be compared.
    pub workload_hash: String,
    /// The target and its settings.
    pub target: TargetRecord,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The load, unless the dataset was there already or there is none.
    pub load: Option<LoadRecord>,
    /// One per phase that was run.
    pub phases: Vec<PhaseRecord>,
    /// Why the workload ended before its last phase.
    pub failure: Option<String>,
}

/// A target as it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Its name.
    pub name: String,
    /// Settings in effect, in its own order.
    pub options: Vec<(String, String)>,
}

/// How the dataset got there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// Keys written, overwrites included.
    pub keys: u64,
    /// Bytes of keys and values written.
    pub user_bytes: u64,
    /// Time to write.
    pub write_ns: u64,
    /// Time to settle afterwards.
    pub settle_ns: u64,
    /// Bytes the process sent to storage while it loaded and settled.
    #[serde(default)]
    pub storage_write_bytes: u64,
    /// Time from the opening behind the load, whose process was killed or had settled and closed, to the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen_ns: Option<u64>,
    /// Bytes under the target's directory afterwards.
    pub disk_bytes: u64,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// Its name.
    pub name: String,
    /// Warm-up before the window.
    pub warmup_ns: u64,
    /// Length of the window.
    pub measured_ns: u64,
    /// Had things settled?
    pub steady: Steady,
    /// Streams; the first is the headline.
    pub streams: Vec<StreamRecord>,
    /// What the whole process used, per answered operation of all streams.
    pub cost: CostRecord,
    /// How far each counter of the target moved in the window and the drain.
    pub counters: BTreeMap<String, u64>,
    /// The target's levels after the drain.
    pub levels: BTreeMap<String, u64>,
    /// Objectives and whether they were met.
    pub slo: Vec<SloRecord>,
    /// May the numbers be used?
    pub verdict: Verdict,
    /// Why not, or what else to know.
    pub notes: Vec<String>,
    /// Length of an interval.
    pub interval_ns: u64,
}

/// May a phase's numbers be used?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Valid,
    /// No: the generator, not the target, set the pace.
    GeneratorLimited,
    /// No: an answer was wrong.
    WrongAnswers,
    /// No: it did not run to its end.
    Interrupted,
}

/// One stream of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Its name.
    pub name: String,
    /// `pipelined x1`, `threads x1000`.
    pub drive: String,
    /// Operations per second asked for; none in a closed loop.
    pub offered_per_s: Option<f64>,
    /// Operations due and answered inside the window, per second.
    pub achieved_per_s: f64,
    /// Most operations in flight at once.
    pub in_flight_max: u64,
    /// Operations that were due while the in-flight limit was reached.
    pub held_by_limit: u64,
    /// Operations given up because of the limit.
    pub dropped: u64,
    /// Operations due in the window and never issued.
    pub never_issued: u64,
    /// Answers proven wrong.
    pub wrong: u64,
    /// Messages of failed or wrong operations, the first few.
    pub messages: Vec<String>,
    /// The generator's own CPU per operation, measured without a target.
    pub generator_cpu_ns: f64,
    /// The share of the driver threads' CPU that this makes.
    pub generator_share: f64,
    /// Lateness that the generator caused, P99.
    pub own_slip_p99_ns: u64,
    /// Does the response clock tell more than clients over throughput?
    pub shows_response: bool,
    /// One per kind of operation.
    pub ops: Vec<OpRecord>,
    /// One per interval of the window.
    pub intervals: Vec<IntervalRecord>,
}

/// One kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpRecord {
    /// Its name.
    pub op: String,
    /// Operations due in the window, however they ended.
    pub count: u64,
    /// Those answered in the window, per second.
    pub per_s: f64,
    /// Those that failed.
    pub errors: u64,
    /// Those given up; their times are lower bounds.
    pub given_up: u64,
    /// Values or entries returned.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys not found.
    pub absent: u64,
    /// Due to done.
    pub response: ClockRecord,
    /// Issued to done.
    pub service: ClockRecord,
    /// Due to issued.
    pub slip: ClockRecord,
}

impl OpRecord {
    /// The clock of this name.
    pub fn clock(&self, name: crate::slo::ClockName) -> &ClockRecord {
        match name {
            crate::slo::ClockName::Response => &self.response,
            crate::slo::ClockName::Service => &self.service,
            crate::slo::ClockName::Slip => &self.slip,
        }
    }
}

/// One clock of one kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// Samples.
    pub count: u64,
    /// Mean.
    pub mean_ns: f64,
    /// Smallest.
    pub min_ns: u64,
    /// Largest.
    pub max_ns: u64,
    /// The quantiles that have enough samples behind them.
    pub quantiles: Vec<QuantileRecord>,
    /// Everything: HdrHistogram V2, deflated, base64.
    pub histogram: String,
}

/// One quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantileRecord {
    /// Between 0 and 1.
    pub q: f64,
    /// Its value.
    pub value_ns: u64,
    /// Lower end of the 95 % interval.
    pub lo_ns: u64,
    /// Upper end of the 95 % interval.
    pub hi_ns: u64,
}

/// One interval of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalRecord {
    /// Start, from the start of the window.
    pub start_ns: u64,
    /// Operations that ended in it.
    pub count: u64,
    /// Those that failed.
    pub errors: u64,
    /// Response P50, P99, P99.9 and maximum over all kinds.
    pub response_ns: [u64; 4],
    /// Service P50, P99, P99.9 and maximum over all kinds.
    pub service_ns: [u64; 4],
    /// Slip P99.
    pub slip_p99_ns: u64,
    /// Coarse response counts for the heat map: `[power of two / 4, count]`.
    pub heat: Vec<[u64; 2]>,
}

/// What an operation cost the machine; totals of the phase over its operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostRecord {
    /// Operations of all streams.
    pub operations: u64,
    /// CPU time of the process.
    pub cpu_ns: u64,
    /// CPU time of the driver threads, a part of it.
    pub driver_cpu_ns: u64,
    /// CPU time that other processes took of the same cores meanwhile.
    #[serde(default)]
    pub others_cpu_ns: u64,
    /// CPU time that those cores had.
    #[serde(default)]
    pub cores_ns: u64,
    /// Bytes the process read from storage.
    pub read_bytes: u64,
    /// Bytes the process wrote to storage.
    pub write_bytes: u64,
    /// Memory resident at the end.
    pub rss_bytes: u64,
    /// Bytes under the target's directory at the end.
    pub disk_bytes: u64,
}

impl CostRecord {
    /// The share of the cores that other processes took, if that is enough to be felt.
    pub fn shared_with_others(&self) -> Option<f64> {
        let share = self.others_cpu_ns as f64 / self.cores_ns.max(1) as f64;
        (share >= OTHERS_FELT).then_some(share)
    }
}

/// One objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloRecord {
    /// As written.
    pub slo: String,
    /// What was found, if there was enough to say.
    pub found: Option<f64>,
    /// The same for people.
    pub found_text: String,
    /// Met? Not knowing is not meeting.
    pub met: bool,
}

impl Report {
    /// The whole report as JSON, with the comparison of its targets worked out for other readers.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct WithComparison<'a> {
            #[serde(flatten)]
            report: &'a Report,
            comparison: Vec<Compared>,
        }
        let whole = WithComparison {
            report: self,
            comparison: comparison_rows(self),
        };
        let mut text = serde_json::to_string(&whole).expect("report data has only string keys");
        text.push('\n');
        text
    }

    /// A saved report.
    pub fn from_json(text: &str) -> Result<Report, String> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let version: Version = serde_json::from_str(text)
            .map_err(|error| format!("this is not a report of loadgen: {error}"))?;
        if version.schema_version != SCHEMA_VERSION {
            return Err(format!(
                "the report has schema {}, this version reads {SCHEMA_VERSION}; use the loadgen that wrote it",
                version.schema_version
            ));
        }
        serde_json::from_str(text).map_err(|error| format!("the report is damaged: {error}"))
    }

    /// Every phase with the workload that it belongs to.
    pub fn phases(&self) -> impl Iterator<Item = (&WorkloadRecord, &PhaseRecord)> {
        self.results
            .iter()
            .flat_map(|result| result.phases.iter().map(move |phase| (result, phase)))
    }
}

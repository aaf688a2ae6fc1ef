//! A trace in a few numbers, and as a suite that asks much the same.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use super::Trace;
use crate::workload::OpKind;

/// What a trace is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Operations.
    pub operations: u64,
    /// Time between the first and the last.
    pub span_ns: u64,
    /// Operations of each kind.
    pub kinds: BTreeMap<OpKind, u64>,
    /// Keys that are touched.
    pub keys: u64,
    /// Keys that are touched once.
    pub once: u64,
    /// Share of operations on the hottest key.
    pub hottest: f64,
    /// Exponent of the Zipf law nearest to the keys' popularity.
    pub theta: f64,
    /// Mean bytes of keys and written values.
    pub key_size: f64,
    /// See `key_size`.
    pub value_size: f64,
    /// Share of reads that found nothing.
    pub miss: f64,
    /// Mean entries of scans, keys of batches and of multi_gets.
    pub entries: f64,
    /// See `entries`.
    pub keys_per_batch: f64,
}

/// Counts a trace.
pub fn summarize(trace: &Trace) -> Summary {
    let records = &trace.records;
    let mut kinds = BTreeMap::new();
    let mut keys: HashMap<_, u64> = HashMap::new();
    let mean = |pick: &dyn Fn(&super::Record) -> Option<u32>| {
        let picked: Vec<f64> = records.iter().filter_map(pick).map(f64::from).collect();
        picked.iter().sum::<f64>() / picked.len().max(1) as f64
    };
    for record in records {
        *kinds.entry(record.op).or_insert(0) += 1;
        for key in &record.keys {
            *keys.entry(key).or_insert(0) += 1;
        }
    }
    let mut counts: Vec<u64> = keys.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let touches: u64 = counts.iter().sum();
    let reads = records.iter().filter(|record| record.op == OpKind::Get);
    let times = || records.iter().map(|record| record.at_ns);
    Summary {
        operations: records.len() as u64,
        span_ns: times().max().unwrap_or(0) - times().min().unwrap_or(0),
        kinds,
        keys: counts.len() as u64,
        once: counts.iter().filter(|&&count| count == 1).count() as u64,
        hottest: counts.first().copied().unwrap_or(0) as f64 / touches.max(1) as f64,
        theta: zipf_exponent(&counts),
        key_size: mean(&|record| Some(record.key_size)),
        value_size: mean(&|record| (record.value_size > 0).then_some(record.value_size)),
        miss: reads.clone().filter(|record| record.absent).count() as f64
            / reads.count().max(1) as f64,
        entries: mean(&|record| (record.op == OpKind::Scan).then_some(record.entries)),
        keys_per_batch: mean(&|record| {
            matches!(record.op, OpKind::Batch | OpKind::MultiGet)
                .then_some(record.keys.len() as u32)
        }),
    }
}

/// The exponent with the greatest likelihood over the ranks: counts of rank r have mass r^-theta / zeta.
fn zipf_exponent(counts: &[u64]) -> f64 {
    if counts.len() < 2 {
        return 0.0;
    }
    let total: f64 = counts.iter().sum::<u64>() as f64;
    let logs: Vec<f64> = (1..=counts.len()).map(|rank| (rank as f64).ln()).collect();
    let weighted: f64 = counts
        .iter()
        .zip(&logs)
        .map(|(&count, log)| count as f64 * log)
        .sum();
    let loss = |theta: f64| {
        let zeta: f64 = logs.iter().map(|log| (-theta * log).exp()).sum();
        theta * weighted + total * zeta.ln()
    };
    // The loss is convex in theta.
    let (mut low, mut high) = (0.0, 4.0);
    for _ in 0..40 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        match loss(a) < loss(b) {
            true => high = b,
            false => low = a,
        }
    }
    (low + high) / 2.0
}

/// A suite file with one workload that asks much the same by laws instead of by name.
pub fn suite(name: &str, summary: &Summary, one_in: u32) -> String {
    let scale = u64::from(one_in);
    let rate = summary.operations as f64 * 1e9 / summary.span_ns.max(1) as f64 * scale as f64;
    let mut text = format!(
        "# Fitted to a trace of {} operations on {} keys, one key in {one_in}. Popularity is a Zipf law, sizes are\n\
         # log-normal around the mean, arrivals are Poisson: what the trace knew beyond that is gone.\n\
         schema = 1\n\n[suite]\nname = \"fitted\"\nabout = \"fitted to a trace\"\n\n\
         [[dataset]]\nid = \"fitted\"\nkeys = {{ quick = \"2k\", s = {} }}\n\
         key = {{ form = \"hashed\", size = {} }}\n\
         value = {{ dist = \"log_normal\", mean = {:.0}, sigma = 0.5, max = {} }}\n\n\
         [[workload]]\nname = \"{name}\"\nabout = \"fitted to a trace\"\ndataset = \"fitted\"\nclients = 256\n\
         keys = {{ dist = \"zipf\", theta = {:.3} }}\n\n  [[workload.phase]]\n  name = \"mix\"\n  \
         load = {{ mode = \"open\", rate = \"{:.0}/s\" }}\n  ops = [\n",
        summary.operations,
        summary.keys,
        summary.keys * scale,
        (summary.key_size.round() as usize).clamp(16, 4096),
        summary.value_size.max(1.0),
        ((summary.value_size * 20.0) as u64).clamp(64, 16 << 20),
        summary.theta,
        rate.max(1.0),
    );
    for (&kind, &count) in &summary.kinds {
        let weight = count as f64 / summary.operations.max(1) as f64;
        let more = match kind {
            OpKind::Get if summary.miss > 0.0 => format!(", miss = {:.4}", summary.miss),
            OpKind::Scan => format!(", len = {}", summary.entries.round().max(1.0)),
            OpKind::Batch | OpKind::MultiGet => {
                format!(", n = {}", summary.keys_per_batch.round().max(1.0))
            }
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "    {{ op = \"{}\", weight = {weight:.6}{more} }},",
            kind.name()
        );
    }
    text.push_str("  ]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use crate::suite::{Overrides, Scale, Suite};
    use crate::trace::{Head, Key, Keys, Record};
    use crate::workload::zipf::Zipf;

    #[test]
    fn a_known_law_is_found_and_the_suite_can_be_run() {
        let zipf = Zipf::new(2_000, 0.9);
        let stream = Stream::new(1, "fit", 0);
        let records = (0..200_000)
            .map(|i| Record {
                at_ns: i * 100_000,
                op: if i % 4 == 0 { OpKind::Put } else { OpKind::Get },
                keys: vec![Key::Hash(zipf.rank(&mut stream.at(i)))],
                key_size: 20,
                value_size: if i % 4 == 0 { 300 } else { 0 },
                entries: 0,
                absent: false,
            })
            .collect();
        let head = Head {
            keys: Keys::Anonymous,
            one_in: 1,
            started_unix_ns: 0,
        };
        let summary = summarize(&Trace {
            head,
            records,
            torn_bytes: 0,
        });
        assert!((summary.theta - 0.9).abs() < 0.02, "{}", summary.theta);
        assert_eq!(summary.value_size, 300.0);
        let text = suite("fitted/mine", &summary, 1);
        let suite = Suite::parse("fitted", &text, &[]).unwrap();
        let workload = &suite.workloads(Scale::S, &Overrides::default()).unwrap()[0];
        assert_eq!(workload.dataset.keys, summary.keys);
    }
}

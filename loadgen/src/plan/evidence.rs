//! What saved runs say about the cost of operations.

use ringkeep_bench::report::{PhaseRecord, Report, Verdict, WorkloadRecord};
use ringkeep_bench::target::counter;
use ringkeep_bench::workload::{KeyLaw, OpKind};

use super::need::{CLASSES, class};

/// One phase that can be used.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where it is from, for people.
    pub from: String,
    pub keys: u64,
    pub value_size: f64,
    pub user_bytes: f64,
    pub cache_share: f64,
    pub theta: f64,
    /// Cores of the machine.
    pub cores: usize,
    /// Operations answered per second, of each class and in all.
    pub classes: [f64; CLASSES],
    pub rate: f64,
    /// Offered rate, if it was an open loop.
    pub offered: Option<f64>,
    /// Is CPU worth reading? An idle target polls; a saturated one works.
    pub saturated: bool,
    /// Totals over the phase.
    pub operations: [f64; CLASSES],
    pub target_cpu_ns: f64,
    pub device_reads: f64,
    pub device_write_bytes: f64,
    pub user_write_bytes: f64,
    pub disk_bytes: f64,
    pub resident_bytes: f64,
    pub memtable_bytes: f64,
    pub record: PhaseRecord,
}

/// Every phase of these reports on `target` whose numbers may be used.
pub fn seen(reports: &[(String, Report)], target: &str) -> Vec<Seen> {
    let mut all = Vec::new();
    for (from, report) in reports {
        for (result, phase) in report.phases() {
            if result.target.name == target && phase.verdict == Verdict::Valid {
                all.extend(look(from, report, result, phase));
            }
        }
    }
    all
}

fn look(from: &str, report: &Report, result: &WorkloadRecord, phase: &PhaseRecord) -> Option<Seen> {
    let dataset = &result.workload.dataset;
    let head = phase.streams.first()?;
    let mut operations = [0.0; CLASSES];
    for op in phase.streams.iter().flat_map(|stream| &stream.ops) {
        operations[class(OpKind::from_name(&op.op)?)] += op.count as f64;
    }
    let seconds = phase.measured_ns.max(1) as f64 / 1e9;
    let moved = |name: &str| phase.counters.get(name).copied().unwrap_or(0) as f64;
    let level = |name: &str| phase.levels.get(name).copied().unwrap_or(0) as f64;
    let law = result
        .workload
        .phases
        .iter()
        .find(|asked| asked.name == phase.name)
        .or(result.workload.phases.first())
        .and_then(|asked| asked.traffic.first()?.ops.first().map(|op| &op.keys));
    Some(Seen {
        from: format!("{from}: {} {}", result.workload.name, phase.name),
        keys: dataset.keys,
        value_size: dataset.value.length.mean(),
        user_bytes: dataset.user_bytes() as f64,
        cache_share: result.workload.cache_share,
        theta: match law {
            Some(KeyLaw::Zipf { theta, .. } | KeyLaw::Latest { theta }) => *theta,
            _ => 0.0,
        },
        cores: report.environment.cores,
        classes: operations.map(|n| n / seconds),
        rate: phase
            .streams
            .iter()
            .map(|stream| stream.achieved_per_s)
            .sum(),
        offered: head.offered_per_s,
        saturated: !head.shows_response,
        operations,
        target_cpu_ns: phase.cost.cpu_ns.saturating_sub(phase.cost.driver_cpu_ns) as f64,
        device_reads: moved(counter::DEVICE_READS),
        device_write_bytes: moved(counter::DEVICE_WRITE_BYTES),
        user_write_bytes: moved(counter::USER_WRITE_BYTES),
        disk_bytes: phase.cost.disk_bytes as f64,
        resident_bytes: level("resident_bytes"),
        memtable_bytes: level("memtable_bytes"),
        record: phase.clone(),
    })
}

/// What one operation of each class costs; nothing for a class that was never seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demands {
    pub cpu_ns: [Option<f64>; CLASSES],
    pub device_reads: [Option<f64>; CLASSES],
}

impl Demands {
    /// Least squares over all phases: totals are sums of operations times their cost. CPU is read from saturated
    /// phases where there are any.
    pub fn of(seen: &[Seen]) -> Demands {
        let busy: Vec<&Seen> = seen.iter().filter(|phase| phase.saturated).collect();
        let all: Vec<&Seen> = seen.iter().collect();
        let covers = |phases: &[&Seen]| {
            (0..CLASSES).all(|c| {
                phases.iter().any(|p| p.operations[c] > 0.0)
                    || !all.iter().any(|p| p.operations[c] > 0.0)
            })
        };
        let for_cpu = if covers(&busy) { &busy } else { &all };
        let rows = |phases: &[&Seen], total: fn(&Seen) -> f64| -> Vec<([f64; CLASSES], f64)> {
            phases.iter().map(|p| (p.operations, total(p))).collect()
        };
        Demands {
            cpu_ns: split(&rows(for_cpu, |p| p.target_cpu_ns)),
            device_reads: split(&rows(&all, |p| p.device_reads)),
        }
    }
}

/// Costs per class that explain the totals best, none below zero. Each row weighs the same, whatever its length.
fn split(rows: &[([f64; CLASSES], f64)]) -> [Option<f64>; CLASSES] {
    let mut cost = [0.0f64; CLASSES];
    let known: Vec<usize> = (0..CLASSES)
        .filter(|&c| rows.iter().any(|row| row.0[c] > 0.0))
        .collect();
    let scaled: Vec<([f64; CLASSES], f64)> = rows
        .iter()
        .map(|(n, total)| {
            let all: f64 = n.iter().sum::<f64>().max(1.0);
            (n.map(|n| n / all), total / all)
        })
        .collect();
    // Coordinate descent: at most three unknowns, each kept at zero or above.
    for _ in 0..500 {
        for &c in &known {
            let (mut above, mut below) = (0.0, 0.0);
            for (share, total) in &scaled {
                let others: f64 = (0..CLASSES)
                    .filter(|&o| o != c)
                    .map(|o| share[o] * cost[o])
                    .sum();
                above += share[c] * (total - others);
                below += share[c] * share[c];
            }
            cost[c] = (above / below).max(0.0);
        }
    }
    std::array::from_fn(|c| known.contains(&c).then_some(cost[c]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_phases_are_told_apart() {
        let rows = [
            ([1e6, 0.0, 0.0], 2e9),
            ([9e5, 1e5, 0.0], 0.9 * 2e9 + 1e5 * 30e3),
            ([5e3, 5e3, 0.0], 5e3 * 2e3 + 5e3 * 30e3),
        ];
        let [read, write, scan] = split(&rows);
        assert!((read.unwrap() / 2e3 - 1.0).abs() < 1e-3, "{read:?}");
        assert!((write.unwrap() / 30e3 - 1.0).abs() < 1e-3, "{write:?}");
        assert_eq!(scan, None);
    }
}

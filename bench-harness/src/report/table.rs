//! Aligned text tables, and the report as one reads it in a terminal.

use std::fmt::Write;

use super::{OpRecord, PhaseRecord, Report, StreamRecord, Verdict, WorkloadRecord, samples_needed};
use crate::quantity::{Count, Rate, Size, Span, short};
use crate::slo::ClockName;
use crate::steady::Steady;

/// Rows of cells; the first column is aligned left, the others right unless told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    all_left: bool,
}

impl Table {
    /// A table with these column titles.
    pub fn new<const N: usize>(titles: [&str; N]) -> Table {
        Table {
            rows: vec![titles.map(str::to_string).to_vec()],
            all_left: false,
        }
    }

    /// A table whose columns are known only now.
    pub fn titled(titles: Vec<String>) -> Table {
        Table {
            rows: vec![titles],
            all_left: false,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// With every column aligned left, for cells that are sentences.
    pub fn left(mut self) -> Table {
        self.all_left = true;
        self
    }

    /// All cells, titles first.
    pub fn cells(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// As plain text, indented.
    pub fn text(&self, indent: &str) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                self.rows
                    .iter()
                    .filter_map(|row| row.get(c))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_string();
            for (c, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                let _ = match c {
                    0 => write!(line, "{cell}{pad}"),
                    _ if self.all_left => write!(line, "  {cell}{pad}"),
                    _ => write!(line, "  {pad}{cell}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (i, row) in self.rows.iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if i == 0 {
                let rule: Vec<&str> = row
                    .iter()
                    .enumerate()
                    .map(|(c, _)| if c == 0 { "---" } else { "---:" })
                    .collect();
                let _ = writeln!(text, "|{}|", rule.join("|"));
            }
        }
        text
    }
}

/// A quantile of a clock, or what is missing to give it.
pub fn quantile_cell(op: &OpRecord, clock: ClockName, q: f64) -> String {
    let record = op.clock(clock);
    match record.quantiles.iter().find(|known| known.q == q) {
        Some(known) => Span { ns: known.value_ns }.to_string(),
        None => {
            let n = samples_needed(q).saturating_sub(record.count);
            format!("+{} ops", Count { n })
        }
    }
}

/// The latency table of a phase.
pub fn phase_table(phase: &PhaseRecord) -> Table {
    let mut table = Table::new([
        "stream", "op", "done/s", "clock", "mean", "p50", "p90", "p99", "p99.9", "max", "errors",
    ]);
    for stream in &phase.streams {
        for op in stream.ops.iter().filter(|op| op.count > 0) {
            for (i, clock) in clocks_shown(stream).into_iter().enumerate() {
                let record = op.clock(clock);
                let head = |text: String| if i == 0 { text } else { String::new() };
                let mut row = vec![
                    head(stream.name.clone()),
                    head(op.op.clone()),
                    head(Rate { per_s: op.per_s }.to_string()),
                    clock.name().to_string(),
                    Span {
                        ns: record.mean_ns as u64,
                    }
                    .to_string(),
                ];
                row.extend([0.5, 0.9, 0.99, 0.999].map(|q| quantile_cell(op, clock, q)));
                row.push(Span { ns: record.max_ns }.to_string());
                row.push(head(op.errors.to_string()));
                table.row(row);
            }
        }
    }
    table
}

fn clocks_shown(stream: &StreamRecord) -> Vec<ClockName> {
    match stream.shows_response {
        true => ClockName::ALL.to_vec(),
        false => vec![ClockName::Service],
    }
}

/// One line that says how the phase was driven and how it went.
pub fn phase_headline(phase: &PhaseRecord) -> String {
    let head = &phase.streams[0];
    let offered = match head.offered_per_s {
        Some(per_s) => format!("offered {}, ", Rate { per_s }),
        None => String::new(),
    };
    let steady = match phase.steady {
        Steady::Fixed => "",
        Steady::Yes => ", steady",
        Steady::No => ", NOT STEADY",
    };
    format!(
        "{offered}achieved {} for {} after {} of warm-up{steady}; {}, in flight <= {}",
        Rate {
            per_s: head.achieved_per_s
        },
        Span {
            ns: phase.measured_ns
        },
        Span {
            ns: phase.warmup_ns
        },
        head.drive,
        head.in_flight_max,
    )
}

/// What an operation cost.
pub fn cost_line(phase: &PhaseRecord) -> String {
    let cost = &phase.cost;
    let per_op = |total: u64| total as f64 / cost.operations.max(1) as f64;
    let head = &phase.streams[0];
    let mut line = format!(
        "per op: {} us CPU in the process, {} us of it in drivers (generator alone {} ns)",
        short(per_op(cost.cpu_ns) / 1e3),
        short(per_op(cost.driver_cpu_ns) / 1e3),
        head.generator_cpu_ns.round(),
    );
    for (total, what) in [(cost.read_bytes, "read"), (cost.write_bytes, "written")] {
        let bytes = per_op(total).round() as u64;
        if bytes > 0 {
            let _ = write!(line, ", {} {what}", Size { bytes });
        }
    }
    let counter = |name: &str| phase.counters.get(name).copied().unwrap_or(0);
    let (hits, misses) = (
        counter(crate::target::counter::CACHE_HITS),
        counter(crate::target::counter::CACHE_MISSES),
    );
    if hits + misses > 0 {
        let share = hits as f64 * 100.0 / (hits + misses) as f64;
        let _ = write!(line, ", {share:.1} % cache hits");
    }
    let _ = write!(
        line,
        "; {} resident",
        Size {
            bytes: cost.rss_bytes
        }
    );
    line
}

/// How even the first stream was, which its mean does not say. Nothing to say of a few intervals.
pub fn evenness_line(phase: &PhaseRecord) -> Option<String> {
    let intervals = phase.streams[0].intervals.iter();
    let counts: Vec<(u64, u64)> = intervals.map(|i| (i.start_ns, i.count)).collect();
    let (length, slowest, share) = slowest(&counts, phase.measured_ns)?;
    let what = match length {
        1_000_000_000 => "second".to_string(),
        ns => Span { ns }.to_string(),
    };
    let per_s = slowest as f64 * 1e9 / length as f64;
    let (rate, percent) = (Rate { per_s }, share * 100.0);
    Some(format!(
        "slowest {what}: {rate}, {percent:.0} % of the mean"
    ))
}

/// Of intervals, given by start and count: how long they are, the least count of one, and its share of the mean. The last
/// one is left out if the window ended within it.
fn slowest(intervals: &[(u64, u64)], measured_ns: u64) -> Option<(u64, u64, f64)> {
    let length = intervals.get(1)?.0;
    let full = intervals
        .iter()
        .filter(|(start, _)| start + length <= measured_ns);
    let counts: Vec<u64> = full.map(|(_, count)| *count).collect();
    let least = *counts.iter().min()?;
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    (counts.len() >= INTERVALS_MIN && mean > 0.0).then(|| (length, least, least as f64 / mean))
}

/// Fewer say little about how even a stream is.
const INTERVALS_MIN: usize = 10;

/// The verdict in words.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::GeneratorLimited => "INVALID: limited by the generator",
        Verdict::WrongAnswers => "INVALID: wrong answers",
        Verdict::Interrupted => "interrupted",
    }
}

/// One workload.
pub fn workload_text(result: &WorkloadRecord) -> String {
    let mut text = String::new();
    let options: Vec<String> = result
        .target
        .options
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let _ = writeln!(
        text,
        "\n{}  on {}{}",
        result.workload.name,
        result.target.name,
        match options.is_empty() {
            true => String::new(),
            false => format!(" ({})", options.join(", ")),
        }
    );
    let dataset = &result.workload.dataset;
    let _ = write!(
        text,
        "  dataset {}: {} keys",
        dataset.id,
        Count { n: dataset.keys }
    );
    if let Some(load) = &result.load {
        let seconds = (load.write_ns as f64 / 1e9).max(1e-9);
        let _ = write!(
            text,
            ", {} loaded in {} ({}, {}/s), settled in {}, {} on disk",
            Size {
                bytes: load.user_bytes
            },
            Span { ns: load.write_ns },
            Rate {
                per_s: load.keys as f64 / seconds
            },
            Size {
                bytes: (load.user_bytes as f64 / seconds) as u64
            },
            Span { ns: load.settle_ns },
            Size {
                bytes: load.disk_bytes
            },
        );
    }
    if let Some(ns) = result.load.as_ref().and_then(|load| load.reopen_ns) {
        let _ = write!(text, ", open again in {}", Span { ns });
    }
    text.push('\n');
    for phase in &result.phases {
        let _ = writeln!(text, "\n  {}: {}", phase.name, phase_headline(phase));
        text.push_str(&phase_table(phase).text("    "));
        let _ = writeln!(text, "    {}", cost_line(phase));
        if let Some(line) = evenness_line(phase) {
            let _ = writeln!(text, "    {line}");
        }
        for slo in &phase.slo {
            let word = if slo.met { "met" } else { "MISSED" };
            let _ = writeln!(text, "    SLO {}: {word}, {}", slo.slo, slo.found_text);
        }
        for note in &phase.notes {
            let _ = writeln!(text, "    note: {note}");
        }
        if phase.verdict != Verdict::Valid {
            let _ = writeln!(text, "    {}", verdict_word(phase.verdict));
        }
    }
    if let Some(failure) = &result.failure {
        let _ = writeln!(text, "\n  FAILED: {failure}");
    }
    text
}

/// The whole report.
pub fn report_text(report: &Report) -> String {
    let mut text = environment_line(report);
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text.push_str(&super::curves::curves_text(report));
    // The points of a curve are in its table; their own tables are in the saved report.
    for result in &report.results {
        if report.curves.is_empty() || result.failure.is_some() {
            text.push_str(&workload_text(result));
        }
    }
    if let Some(table) = super::comparison(report) {
        let _ = write!(text, "\ncomparison\n{}", table.text("  "));
    }
    text
}

/// Where and with what, in a line or two.
pub fn environment_line(report: &Report) -> String {
    let e = &report.environment;
    let mut text = format!(
        "loadgen {} ({}, {}) on {} x {}, {} RAM, {}, {} on {}\n",
        report.run.version,
        report.run.git_commit,
        report.run.build_profile,
        e.cores,
        e.cpu,
        Size { bytes: e.ram_bytes },
        e.kernel,
        e.file_system,
        e.device,
    );
    if let Some(probe) = &e.probe {
        let _ = writeln!(
            text,
            "device: {} 4 KiB read {}, durable 4 KiB write {}, sequential write {}/s",
            if probe.direct { "direct" } else { "cached" },
            Span {
                ns: probe.read_p50_ns
            },
            Span {
                ns: probe.sync_p50_ns
            },
            Size {
                bytes: probe.write_bytes_per_s
            },
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_interval_is_a_full_one_among_enough() {
        let mut intervals: Vec<(u64, u64)> = (0..11).map(|i| (i * 100, 10)).collect();
        intervals[4].1 = 5;
        intervals[10].1 = 1;
        let (length, least, share) = slowest(&intervals, 1050).expect("ten are full");
        assert_eq!((length, least), (100, 5));
        assert!((share - 5.0 / 9.5).abs() < 1e-9);
        assert_eq!(slowest(&intervals, 1100).map(|found| found.1), Some(1));
        assert_eq!(slowest(&intervals, 950), None, "nine are full");
        assert_eq!(slowest(&intervals[..1], 950), None);
    }
}

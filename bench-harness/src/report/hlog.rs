//! Interval logs that the tools of HdrHistogram open: one line per interval and tag, nanoseconds.
//!
//! Tags are `phase.op.clock`, with the workload and the target in front where a run has several.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::phase::PhaseOutcome;
use crate::slo::ClockName;
use crate::workload::Phase;

/// An interval log in the making.
#[derive(Debug)]
pub struct IntervalLog {
    base: SystemTime,
    lines: Vec<u8>,
}

impl IntervalLog {
    /// An empty log; times in it count from now.
    pub fn new() -> IntervalLog {
        IntervalLog {
            base: SystemTime::now(),
            lines: Vec::new(),
        }
    }

    /// Adds every interval of a phase that has just ended.
    pub fn add(&mut self, prefix: &str, phase: &Phase, outcome: &PhaseOutcome) {
        let ended = self.base.elapsed().unwrap_or_default();
        let began = ended.saturating_sub(Duration::from_nanos(outcome.measured_ns));
        let mut serializer = V2DeflateSerializer::new();
        let builder = IntervalLogWriterBuilder::new();
        let mut log = builder
            .begin_log_with(&mut self.lines, &mut serializer)
            .expect("memory takes any log");
        for (traffic, found) in phase.traffic.iter().zip(&outcome.traffic) {
            for (i, interval) in found.intervals.measured.iter().enumerate() {
                let start = began + Duration::from_nanos(outcome.interval_ns * i as u64);
                for (kind, tally) in found.kinds.iter().zip(&interval.open().kinds) {
                    for clock in ClockName::ALL {
                        let histogram = match clock {
                            ClockName::Response => &tally.clocks.response,
                            ClockName::Service => &tally.clocks.service,
                            ClockName::Slip => &tally.clocks.slip,
                        };
                        let tag =
                            format!("{prefix}{}.{}.{}", traffic.name, kind.name(), clock.name());
                        log.write_histogram(
                            histogram,
                            start,
                            Duration::from_nanos(outcome.interval_ns),
                            Tag::new(&tag),
                        )
                        .expect("memory takes any log");
                    }
                }
            }
        }
    }

    /// The whole file.
    pub fn text(&self) -> String {
        let seconds = self
            .base
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let lines = String::from_utf8_lossy(&self.lines);
        // Each phase began a log of its own; one header serves all.
        let lines: Vec<&str> = lines
            .lines()
            .filter(|line| !line.starts_with(['#', '"']))
            .collect();
        let mut text = format!(
            "#[Logged with loadgen, nanoseconds]\n#[Histogram log format version 1.3]\n\
             #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Default for IntervalLog {
    fn default() -> IntervalLog {
        IntervalLog::new()
    }
}

/// One interval of a log that was read.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its tag, or nothing.
    pub tag: String,
    /// Start in seconds, as absolute as the log allows.
    pub start_s: f64,
    /// Length in seconds.
    pub length_s: f64,
    /// Maximum as the log has it, in its own unit.
    pub max: f64,
    /// The histogram as text.
    pub encoded: String,
    /// The histogram.
    pub histogram: hdrhistogram::Histogram<u64>,
}

/// Reads an interval log by any tool.
pub fn read_log(text: &str) -> Result<Vec<LogEntry>, String> {
    let mut base_s = 0.0;
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fault = |what: &str| format!("line {}: {what}", number + 1);
        if let Some(rest) = line.strip_prefix("#[BaseTime:") {
            let seconds = rest.split_whitespace().next();
            base_s = seconds
                .and_then(|word| word.parse().ok())
                .ok_or_else(|| fault("BaseTime is not a number"))?;
        }
        if line.is_empty() || line.starts_with(['#', '"']) {
            continue;
        }
        let (tag, rest) = match line.strip_prefix("Tag=") {
            Some(rest) => rest
                .split_once(',')
                .ok_or_else(|| fault("a tag and nothing else"))?,
            None => ("", line),
        };
        let fields: Vec<&str> = rest.split(',').collect();
        let [start, length, max, encoded] = fields[..] else {
            return Err(fault(
                "an interval has a start, a length, a maximum and a histogram",
            ));
        };
        let number = |text: &str| {
            text.parse::<f64>()
                .map_err(|_| fault(&format!("`{text}` is not a number")))
        };
        all.push(LogEntry {
            tag: tag.to_string(),
            start_s: base_s + number(start)?,
            length_s: number(length)?,
            max: number(max)?,
            encoded: encoded.to_string(),
            histogram: super::decode_histogram(encoded).map_err(|error| fault(&error))?,
        });
    }
    Ok(all)
}

//! Intervals as comma-separated values, one line for each interval of each stream.

use std::fmt::Write;

use super::Report;

const TITLES: &str = "workload,target,repetition,phase,stream,start_s,count,errors,response_p50_ns,response_p99_ns,\
                      response_p999_ns,response_max_ns,service_p50_ns,service_p99_ns,service_p999_ns,\
                      service_max_ns,slip_p99_ns\n";

/// All intervals of a report.
pub fn intervals_csv(report: &Report) -> String {
    let mut text = TITLES.to_string();
    for (result, phase) in report.phases() {
        for stream in &phase.streams {
            for interval in &stream.intervals {
                let [r50, r99, r999, rmax] = interval.response_ns;
                let [s50, s99, s999, smax] = interval.service_ns;
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{:.3},{},{},{r50},{r99},{r999},{rmax},{s50},{s99},{s999},{smax},{}",
                    field(&result.workload.name),
                    field(&result.target.name),
                    result.repetition,
                    field(&phase.name),
                    field(&stream.name),
                    interval.start_ns as f64 / 1e9,
                    interval.count,
                    interval.errors,
                    interval.slip_p99_ns,
                );
            }
        }
    }
    text
}

fn field(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

//! The report as one page: no script, no network, light and dark. Warnings and verdicts come first.

use std::fmt::Write;

use super::compare::comparison;
use super::junit::escape;
use super::svg::{Axis, Plot};
use super::table::{
    Table, cost_line, environment_line, evenness_line, phase_headline, phase_table, quantile_cell,
    verdict_word,
};
use super::{
    OpRecord, PhaseRecord, Report, StreamRecord, Verdict, WorkloadRecord, decode_histogram,
};
use crate::quantity::{Count, Rate, Size, Span};
use crate::slo::ClockName;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>loadgen: {}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n",
        escape(&title(report))
    );
    let _ = writeln!(page, "<h1>{}</h1>", escape(&title(report)));
    let _ = writeln!(
        page,
        "<p class=\"dim\">{} · {}</p>",
        escape(&report.run.started),
        escape(environment_line(report).trim_end())
    );
    for warning in &report.warnings {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", escape(warning));
    }
    if report.interrupted {
        page.push_str("<p class=\"warning\">Interrupted: what is here is whole, but there was more to do.</p>\n");
    }
    page.push_str(&super::curves::curves_html(report));
    page.push_str(&summary(report));
    if let Some(table) = comparison(report) {
        let _ = writeln!(page, "<h2>Comparison</h2>\n{}", rows(&table, "numbers"));
    }
    for result in &report.results {
        page.push_str(&workload(result));
    }
    page.push_str(&environment(report));
    page.push_str("</main></body></html>\n");
    page
}

fn title(report: &Report) -> String {
    let mut names: Vec<&str> = report
        .results
        .iter()
        .map(|r| r.workload.name.as_str())
        .collect();
    names.dedup();
    match names.as_slice() {
        [] => "nothing was run".to_string(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn summary(report: &Report) -> String {
    let mut table = Table::new([
        "workload", "target", "phase", "offered", "achieved", "p50", "p99", "p99.9", "verdict",
    ]);
    for (result, phase) in report.phases() {
        let stream = &phase.streams[0];
        let Some(op) = stream.ops.iter().find(|op| op.count > 0) else {
            continue;
        };
        let clock = headline_clock(stream);
        let mut row = vec![
            result.workload.name.clone(),
            result.target.name.clone(),
            phase.name.clone(),
            stream
                .offered_per_s
                .map_or("as fast as answered".to_string(), |per_s| {
                    Rate { per_s }.to_string()
                }),
            Rate {
                per_s: stream.achieved_per_s,
            }
            .to_string(),
        ];
        row.extend([0.5, 0.99, 0.999].map(|q| quantile_cell(op, clock, q)));
        let missed = phase.slo.iter().filter(|slo| !slo.met).count();
        row.push(match (phase.verdict, missed) {
            (Verdict::Valid, 0) => "ok".to_string(),
            (Verdict::Valid, n) => format!("{n} SLO missed"),
            (verdict, _) => verdict_word(verdict).to_string(),
        });
        table.row(row);
    }
    format!("<h2>Summary</h2>\n{}", rows(&table, "numbers"))
}

fn headline_clock(stream: &StreamRecord) -> ClockName {
    match stream.shows_response {
        true => ClockName::Response,
        false => ClockName::Service,
    }
}

fn workload(result: &WorkloadRecord) -> String {
    let mut text = format!(
        "<section>\n<h2>{} <span class=\"dim\">on {}</span></h2>\n<p>{}</p>\n",
        escape(&result.workload.name),
        escape(&result.target.name),
        escape(&result.workload.about)
    );
    let dataset = &result.workload.dataset;
    let mut facts = vec![
        ("keys", Count { n: dataset.keys }.to_string()),
        (
            "user data",
            Size {
                bytes: dataset.user_bytes(),
            }
            .to_string(),
        ),
        (
            "cache",
            format!("{:.0} % of it", result.workload.cache_share * 100.0),
        ),
        ("durability", result.workload.durability.to_string()),
    ];
    if let Some(load) = &result.load {
        let seconds = (load.write_ns as f64 / 1e9).max(1e-9);
        let bytes = (load.user_bytes as f64 / seconds) as u64;
        facts.push((
            "loaded in",
            format!("{} ({}/s)", Span { ns: load.write_ns }, Size { bytes }),
        ));
        facts.push((
            "on disk",
            Size {
                bytes: load.disk_bytes,
            }
            .to_string(),
        ));
    }
    facts.extend(
        result
            .target
            .options
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    text.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(
            text,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            escape(name),
            escape(&value)
        );
    }
    text.push_str("</dl>\n");
    for phase in &result.phases {
        text.push_str(&phase_card(phase));
    }
    if let Some(failure) = &result.failure {
        let _ = writeln!(text, "<p class=\"bad\">Failed: {}</p>", escape(failure));
    }
    text.push_str("</section>\n");
    text
}

fn phase_card(phase: &PhaseRecord) -> String {
    let stream = &phase.streams[0];
    let mut text = format!(
        "<article>\n<h3>{}</h3>\n<p class=\"dim\">{}</p>\n",
        escape(&phase.name),
        escape(&phase_headline(phase))
    );
    if phase.verdict != Verdict::Valid {
        let _ = writeln!(text, "<p class=\"bad\">{}</p>", verdict_word(phase.verdict));
    }
    for note in &phase.notes {
        let _ = writeln!(text, "<p class=\"warning\">{}</p>", escape(note));
    }
    for slo in &phase.slo {
        let (class, word) = if slo.met {
            ("good", "met")
        } else {
            ("bad", "missed")
        };
        let _ = writeln!(
            text,
            "<p class=\"slo\"><span class=\"{class}\">{word}</span> <code>{}</code> {}</p>",
            escape(&slo.slo),
            escape(&slo.found_text)
        );
    }
    text.push_str(&rows(&phase_table(phase), "numbers"));
    let _ = writeln!(text, "<p class=\"dim\">{}</p>", escape(&cost_line(phase)));
    if let Some(line) = evenness_line(phase) {
        let _ = writeln!(text, "<p class=\"dim\">{}</p>", escape(&line));
    }
    text.push_str("<div class=\"plots\">\n");
    text.push_str(&throughput_plot(phase, stream));
    text.push_str(&latency_plot(phase, stream));
    if stream.shows_response {
        text.push_str(&heat_map(phase, stream));
    }
    if let Some(op) = stream.ops.iter().max_by_key(|op| op.count) {
        text.push_str(&spectrum(stream, op));
    }
    text.push_str("</div>\n");
    text.push_str(&counters(phase));
    text.push_str("</article>\n");
    text
}

fn seconds_axis(phase: &PhaseRecord) -> Axis {
    Axis::linear(phase.measured_ns as f64 / 1e9, |s| {
        format!("{}s", crate::quantity::short(s))
    })
}

fn throughput_plot(phase: &PhaseRecord, stream: &StreamRecord) -> String {
    let step = phase.interval_ns as f64 / 1e9;
    // What ended after the window belongs to the drain.
    let whole = (phase.measured_ns / phase.interval_ns.max(1)) as usize;
    let points: Vec<(f64, f64)> = stream
        .intervals
        .iter()
        .take(whole.max(1))
        .map(|interval| {
            (
                interval.start_ns as f64 / 1e9 + step / 2.0,
                interval.count as f64 / step,
            )
        })
        .collect();
    let top = points
        .iter()
        .map(|p| p.1)
        .fold(stream.offered_per_s.unwrap_or(0.0), f64::max);
    let y = Axis::linear(top * 1.05, |per_s| Rate { per_s }.to_string());
    let mut plot = Plot::new("operations per second", seconds_axis(phase), y);
    if let Some(offered) = stream.offered_per_s {
        let end = phase.measured_ns as f64 / 1e9;
        plot.line("offered", "dashed", &[(0.0, offered), (end, offered)]);
    }
    plot.line("done", "a", &points);
    plot.svg()
}

fn latency_plot(phase: &PhaseRecord, stream: &StreamRecord) -> String {
    let of = |interval: &super::IntervalRecord| match stream.shows_response {
        true => interval.response_ns,
        false => interval.service_ns,
    };
    let inside = |interval: &&super::IntervalRecord| {
        interval.count > 0 && interval.start_ns < phase.measured_ns
    };
    let mut shown: Vec<_> = stream.intervals.iter().filter(inside).collect();
    if shown.is_empty() {
        // Everything was answered after the window, which is what there is to see.
        shown = stream.intervals.iter().filter(|i| i.count > 0).collect();
    }
    let top = shown.iter().map(|i| of(i)[3]).max().unwrap_or(1) as f64;
    let bottom = shown.iter().map(|i| of(i)[0]).min().unwrap_or(1) as f64;
    let y = Axis::log(bottom, top, |ns| Span { ns: ns as u64 }.to_string());
    let name = headline_clock(stream).name();
    let mut plot = Plot::new(&format!("{name} time over the run"), seconds_axis(phase), y);
    for (i, (name, class)) in [("p50", "a"), ("p99", "b"), ("p99.9", "c"), ("max", "d")]
        .into_iter()
        .enumerate()
    {
        let points: Vec<(f64, f64)> = shown
            .iter()
            .map(|interval| {
                let middle = interval.start_ns + phase.interval_ns / 2;
                (middle as f64 / 1e9, of(interval)[i] as f64)
            })
            .collect();
        plot.line(name, class, &points);
    }
    plot.svg()
}

fn heat_map(phase: &PhaseRecord, stream: &StreamRecord) -> String {
    let steps = stream.intervals.iter().flat_map(|i| &i.heat);
    let edge = |step: u64| 2f64.powf(step as f64 / 4.0);
    let (low, high) = steps
        .clone()
        .fold((u64::MAX, 0), |(low, high), &[step, _]| {
            (low.min(step), high.max(step + 1))
        });
    if high == 0 {
        return String::new();
    }
    let most = steps.map(|&[_, count]| count).max().unwrap_or(1) as f64;
    let y = Axis::log(edge(low), edge(high), |ns| {
        Span { ns: ns as u64 }.to_string()
    });
    let mut plot = Plot::new(
        "response times: where the operations were",
        seconds_axis(phase),
        y,
    );
    let width = phase.interval_ns as f64 / 1e9;
    for interval in &stream.intervals {
        let start = interval.start_ns as f64 / 1e9;
        for &[step, count] in &interval.heat {
            let strength = 0.08 + 0.92 * (count as f64 + 1.0).ln() / (most + 1.0).ln();
            let most = Span {
                ns: edge(step + 1) as u64,
            };
            let title = format!("{count} x {most} at {}s", crate::quantity::short(start));
            plot.cell(
                (start, start + width),
                (edge(step), edge(step + 1)),
                strength,
                &title,
            );
        }
    }
    plot.svg()
}

fn spectrum(stream: &StreamRecord, op: &OpRecord) -> String {
    let clocks: Vec<(ClockName, &str)> = match stream.shows_response {
        true => vec![
            (ClockName::Response, "b"),
            (ClockName::Service, "a"),
            (ClockName::Slip, "c"),
        ],
        false => vec![(ClockName::Service, "a")],
    };
    // The right end is the last quantile that the samples support.
    let nines = (op.service.count.max(100) as f64 / 100.0)
        .log10()
        .clamp(1.0, 6.0);
    let mut lines = Vec::new();
    for (clock, class) in clocks {
        let Ok(histogram) = decode_histogram(&op.clock(clock).histogram) else {
            continue;
        };
        let points: Vec<(f64, f64)> = (0..=120)
            .map(|i| {
                let tail = 10f64.powf(nines * f64::from(i) / 120.0);
                (
                    tail,
                    histogram.value_at_quantile(1.0 - 1.0 / tail).max(1) as f64,
                )
            })
            .collect();
        lines.push((clock.name(), class, points));
    }
    let values = || {
        lines
            .iter()
            .flat_map(|(_, _, points)| points.iter().map(|p| p.1))
    };
    let (low, high) = (
        values().fold(f64::MAX, f64::min),
        values().fold(1.0, f64::max),
    );
    let ticks = [
        (1.0, "0"),
        (2.0, "50"),
        (10.0, "90"),
        (100.0, "99"),
        (1e3, "99.9"),
        (1e4, "99.99"),
        (1e5, "99.999"),
    ];
    let ticks = ticks
        .into_iter()
        .filter(|&(tail, _): &(f64, _)| tail.log10() <= nines + 1e-9)
        .map(|(tail, name)| (tail, format!("{name}%")))
        .collect();
    let x = Axis::log(1.0, 10f64.powf(nines), |_| String::new()).with_ticks(ticks);
    let y = Axis::log(low.min(high), high, |ns| Span { ns: ns as u64 }.to_string());
    let mut plot = Plot::new(&format!("{} by percentile", op.op), x, y);
    for (name, class, points) in &lines {
        plot.line(name, class, points);
    }
    plot.svg()
}

fn counters(phase: &PhaseRecord) -> String {
    let moved: Vec<_> = phase.counters.iter().filter(|(_, n)| **n > 0).collect();
    let levels: Vec<_> = phase.levels.iter().filter(|(_, n)| **n > 0).collect();
    if moved.is_empty() && levels.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["target counter", "in the window", "per operation"]);
    let operations = phase.cost.operations.max(1) as f64;
    for (name, n) in moved {
        table.row(vec![
            name.clone(),
            n.to_string(),
            format!("{:.4}", *n as f64 / operations),
        ]);
    }
    for (name, n) in levels {
        table.row(vec![format!("{name} (now)"), n.to_string(), String::new()]);
    }
    format!(
        "<details><summary>target counters</summary>\n{}</details>\n",
        rows(&table, "numbers")
    )
}

fn environment(report: &Report) -> String {
    let e = &report.environment;
    let mut table = Table::new(["environment", ""]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_string(), value]);
    row("kernel", e.kernel.clone());
    row("cpu", format!("{} x {}", e.cores, e.cpu));
    row("memory", Size { bytes: e.ram_bytes }.to_string());
    row("virtualized", e.virtualized.to_string());
    row("clock source", e.clock_source.clone());
    row("governor", e.governor.clone());
    row("directory", e.dir.clone());
    row("file system", format!("{} on {}", e.file_system, e.device));
    if let Some(limit) = e.cgroup_cpu_milli {
        row("cgroup CPU", format!("{:.2} cores", limit as f64 / 1000.0));
    }
    if let Some(bytes) = e.cgroup_memory_bytes {
        row("cgroup memory", Size { bytes }.to_string());
    }
    if let Some(probe) = &e.probe {
        row(
            "device probe",
            format!(
                "4 KiB read P50 {} P99 {}; durable 4 KiB write P50 {} P99 {}; {}/s sequential writes",
                Span {
                    ns: probe.read_p50_ns
                },
                Span {
                    ns: probe.read_p99_ns
                },
                Span {
                    ns: probe.sync_p50_ns
                },
                Span {
                    ns: probe.sync_p99_ns
                },
                Size {
                    bytes: probe.write_bytes_per_s
                },
            ),
        );
    }
    row(
        "built",
        format!(
            "{} {} ({})",
            report.run.version, report.run.git_commit, report.run.build_profile
        ),
    );
    row(
        "command",
        format!("loadgen {}", report.run.command.join(" ")),
    );
    format!("<h2>Environment</h2>\n{}", rows(&table, "facts"))
}

pub(super) fn rows(table: &Table, class: &str) -> String {
    let mut text = format!("<div class=\"scroll\"><table class=\"{class}\">\n");
    for (i, row) in table.cells().iter().enumerate() {
        let tag = if i == 0 { "th" } else { "td" };
        text.push_str("<tr>");
        for cell in row {
            let _ = write!(text, "<{tag}>{}</{tag}>", escape(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
    text
}

//! Capacity curves as text and as plots.

use std::fmt::Write;

use super::Report;
use super::junit::escape;
use super::svg::{Axis, Plot};
use super::table::Table;
use crate::curve::{Curve, Knob, Outcome};
use crate::quantity::{Count, Rate, Span};

fn load_text(knob: Knob, load: f64) -> String {
    match knob {
        Knob::Rate => Rate { per_s: load }.to_string(),
        Knob::Clients => format!("{} clients", Count { n: load as u64 }),
    }
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed => "FAIL",
        Outcome::Unusable => "unusable",
    }
}

/// One row per point, by rising load.
pub fn curve_table(curve: &Curve) -> Table {
    let mut table = Table::new([
        "load",
        "achieved",
        "mean",
        "p50",
        "p99",
        "p99.9",
        "service p99",
        "",
        "why",
    ]);
    for point in curve.sorted() {
        let ns = |ns: Option<u64>| ns.map_or("-".to_string(), |ns| Span { ns }.to_string());
        let mut row = vec![
            load_text(curve.knob, point.load),
            Rate {
                per_s: point.achieved_per_s,
            }
            .to_string(),
            Span {
                ns: point.mean_ns as u64,
            }
            .to_string(),
        ];
        row.extend(point.quantiles_ns.map(ns));
        row.push(ns(point.service_p99_ns));
        row.push(outcome_word(point.outcome).to_string());
        row.push(point.reasons.join("; "));
        table.row(row);
    }
    table
}

/// What the curve says, a line each.
pub fn conclusions(curve: &Curve) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(answer) = &curve.answer {
        let percent = answer.confidence * 100.0;
        lines.push(match answer.per_s {
            Some(per_s) => format!(
                "SLO rate {} ({percent:.0} % interval {} to {}; {} probes, {} misclassified)",
                Rate { per_s },
                Rate {
                    per_s: answer.lo_per_s
                },
                Rate {
                    per_s: answer.hi_per_s
                },
                answer.probes,
                answer.misclassified,
            ),
            None => "SLO rate: none, the lowest rate probed failed".to_string(),
        });
        if let Some(per_s) = answer.per_s {
            let per_s = per_s * 0.7;
            lines.push(format!("plan for at most {} (70 % of it)", Rate { per_s }));
        }
        if answer.generator_limited {
            lines.push("the generator gave out before the target: it can do more than this".into());
        }
    } else if let Some(load) = curve.passed {
        lines.push(format!(
            "highest load that passed {}",
            load_text(curve.knob, load)
        ));
    }
    if let Some(knee) = curve.knee {
        lines.push(format!(
            "knee {} (most throughput for its latency)",
            load_text(curve.knob, knee)
        ));
    }
    let per_s = curve.wall_per_s;
    lines.push(format!("wall {} (most ever achieved)", Rate { per_s }));
    if let Some(law) = &curve.scaling {
        let mut line = format!(
            "scaling law: one client {}, serial share {:.4}, cost per pair {:.2e}",
            Rate { per_s: law.lambda },
            law.sigma,
            law.kappa
        );
        if law.peak().is_finite() {
            let _ = write!(line, ", most at about {:.0} clients", law.peak());
        }
        lines.push(line);
    } else if curve.knob == Knob::Clients {
        lines.push("scaling law: none, it takes four loads at which something was done".into());
    }
    lines
}

/// All curves of a report.
pub fn curves_text(report: &Report) -> String {
    let mut text = String::new();
    for curve in &report.curves {
        let _ = writeln!(text, "\n{}  on {}", curve.workload, curve.target);
        text.push_str(&curve_table(curve).left().text("  "));
        for line in conclusions(curve) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// All curves of a report as sections of the page.
pub fn curves_html(report: &Report) -> String {
    let mut text = String::new();
    for curve in &report.curves {
        let _ = writeln!(
            text,
            "<section>\n<h2>{} <span class=\"dim\">on {}</span></h2>\n<article>",
            escape(&curve.workload),
            escape(&curve.target)
        );
        for line in conclusions(curve) {
            let _ = writeln!(text, "<p>{}</p>", escape(&line));
        }
        text.push_str("<div class=\"plots\">\n");
        text.push_str(&throughput(curve));
        text.push_str(&latency(curve));
        text.push_str("</div>\n");
        text.push_str(&super::html::rows(&curve_table(curve), "facts"));
        text.push_str("</article>\n</section>\n");
    }
    text
}

fn load_axis(curve: &Curve) -> Axis {
    let loads = || curve.points.iter().map(|point| point.load);
    let (low, high) = (
        loads().fold(f64::MAX, f64::min),
        loads().fold(1.0, f64::max),
    );
    match curve.knob {
        Knob::Rate => Axis::linear(high, |per_s| Rate { per_s }.to_string()),
        Knob::Clients => Axis::log(low.min(high), high, |n| n.to_string()),
    }
}

fn throughput(curve: &Curve) -> String {
    let sorted = curve.sorted();
    let points: Vec<(f64, f64)> = sorted.iter().map(|p| (p.load, p.achieved_per_s)).collect();
    let top = points.iter().map(|p| p.1).fold(1.0, f64::max);
    let y = Axis::linear(top * 1.05, |per_s| Rate { per_s }.to_string());
    let title = match curve.knob {
        Knob::Rate => "achieved over offered",
        Knob::Clients => "throughput over clients",
    };
    let mut plot = Plot::new(title, load_axis(curve), y);
    if curve.knob == Knob::Rate {
        plot.line("offered", "dashed", &[(0.0, 0.0), (top, top)]);
    }
    if let Some(law) = &curve.scaling {
        let law: Vec<(f64, f64)> = sorted.iter().map(|p| (p.load, law.at(p.load))).collect();
        plot.line("scaling law", "dashed", &law);
    }
    plot.line("achieved", "a", &points);
    for point in sorted {
        let class = match point.outcome {
            Outcome::Passed => "a",
            Outcome::Failed => "b",
            Outcome::Unusable => "d",
        };
        let title = format!(
            "{}: {}",
            load_text(curve.knob, point.load),
            outcome_word(point.outcome)
        );
        plot.dot((point.load, point.achieved_per_s), class, &title);
    }
    plot.svg()
}

fn latency(curve: &Curve) -> String {
    let sorted = curve.sorted();
    let all = || {
        sorted
            .iter()
            .flat_map(|point| point.quantiles_ns.into_iter().flatten())
    };
    let (low, high) = (all().min().unwrap_or(1), all().max().unwrap_or(10));
    let y = Axis::log(low as f64, high as f64, |ns| {
        Span { ns: ns as u64 }.to_string()
    });
    let mut plot = Plot::new("latency over load", load_axis(curve), y);
    for (i, (name, class)) in [("p50", "a"), ("p99", "b"), ("p99.9", "c")]
        .into_iter()
        .enumerate()
    {
        let points: Vec<(f64, f64)> = sorted
            .iter()
            .filter_map(|point| Some((point.load, point.quantiles_ns[i]? as f64)))
            .collect();
        if !points.is_empty() {
            plot.line(name, class, &points);
        }
    }
    plot.svg()
}

//! The history as one file without scripts or anything fetched: a plot of each metric that changed, of each that
//! varies, and a list of those that were the same in all runs.

use std::fmt::Write;

use ringkeep_bench::quantity::{Size, Span};

use super::{Series, is_counted};
use crate::statistics::ChangePoint;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 110.0;
/// Room for what stands beside and below a plot.
const LEFT: f64 = 4.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 18.0;

const STYLE: &str = ":root{--text:#1c2330;--dim:#5b6675;--edge:#dde2ea;--back:#fff;--line:#2563eb;--worse:#c2410c;\
--better:#15803d}@media(prefers-color-scheme:dark){:root{--text:#e4e8ee;--dim:#98a3b3;--edge:#2c3442;--back:#14181f;\
--line:#7aa7ff;--worse:#f0874a;--better:#4ade80}}\
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem;color:var(--text);\
background:var(--back)}h1{font-size:1.4rem;margin:0 0 .3rem}h2{font-size:1.05rem;margin:2rem 0 .6rem}\
p{color:var(--dim);margin:.2rem 0}section{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));\
gap:1rem}figure{margin:0;padding:.7rem .8rem;border:1px solid var(--edge);border-radius:6px}\
figcaption{display:flex;justify-content:space-between;gap:1rem;font-weight:600}\
figcaption span,td+td{font-weight:400;color:var(--dim);font-variant-numeric:tabular-nums}\
svg{display:block;width:100%;margin:.3rem 0}svg text{font-size:10px;fill:var(--dim)}\
.end{text-anchor:end}.line{fill:none;stroke:var(--line);stroke-width:1.6}.dot{fill:var(--line)}\
.zero{stroke:var(--edge)}.cut{stroke-dasharray:3 3;stroke:currentColor}.worse{color:var(--worse)}\
.better{color:var(--better)}small{display:block;font-variant-numeric:tabular-nums}\
ul{columns:3 300px;list-style:none;margin:0;padding:0}li{display:flex;justify-content:space-between;gap:1rem;\
padding-right:1rem;break-inside:avoid}li span{color:var(--dim);font-variant-numeric:tabular-nums}";

/// The page.
pub fn page(series: &[Series]) -> String {
    let mut changed: Vec<&Series> = series
        .iter()
        .filter(|one| !one.changes.is_empty())
        .collect();
    // What grew most, then what shrank least.
    changed.sort_by(|a, b| growth(b).total_cmp(&growth(a)));
    // Counts are the code's; a time of another hour may as well be the machine's.
    let (counted, timed): (Vec<&Series>, Vec<&Series>) =
        changed.into_iter().partition(|one| is_counted(&one.metric));
    let same = |one: &&Series| one.values.windows(2).all(|pair| pair[0] == pair[1]);
    let unchanged = || series.iter().filter(|one| one.changes.is_empty());
    let varying: Vec<&Series> = unchanged().filter(|one| !same(one)).collect();
    let constant: Vec<&Series> = unchanged().filter(same).collect();
    let is_zero = |one: &&&Series| one.values.last().is_none_or(|value| *value == 0.0);
    let zeros = constant.iter().filter(is_zero).count();

    let longest = series.iter().max_by_key(|one| one.values.len());
    let runs = longest.map_or(0, |one| one.values.len());
    let ends = longest.and_then(|one| Some((one.labels.first()?, one.labels.last()?)));
    let ends = ends.map_or(String::new(), |(first, last)| {
        format!(", from {} to {}", escape(first), escape(last))
    });
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>perf history</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>perf history</h1>\n<p>{runs} runs{ends}. Everything is per operation, less is better, and every \
         plot begins at zero.</p>\n"
    );
    let groups = [
        ("Changed for good", "", &counted),
        (
            "Times that moved and stayed",
            "<p>The code's doing or the machine's: <code>perf bisect</code> asks again, side by side.</p>\n",
            &timed,
        ),
        ("Varying", "", &varying),
    ];
    for (title, remark, shown) in groups {
        if shown.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "<h2>{title}: {}</h2>\n{remark}<section>\n",
            shown.len()
        );
        for one in shown {
            figure(&mut text, one);
        }
        text.push_str("</section>\n");
    }
    if !constant.is_empty() {
        let _ = write!(
            text,
            "<h2>The same in all runs: {}</h2>\n<p>{zeros} of them are zero and left out.</p>\n<ul>\n",
            constant.len()
        );
        for one in constant.iter().filter(|one| !is_zero(one)) {
            let newest = one.values.last().copied().unwrap_or(0.0);
            let (name, value) = (escape(&one.metric), amount(&one.metric, newest));
            let _ = writeln!(text, "<li>{name}<span>{value}</span></li>");
        }
        text.push_str("</ul>\n");
    }
    text.push_str("</body></html>\n");
    text
}

/// By the newest change; something out of nothing is the most.
fn growth(series: &Series) -> f64 {
    let newest = series.changes.last();
    newest.map_or(0.0, |point| point.after / point.before - 1.0)
}

fn class(point: &ChangePoint) -> &'static str {
    match point.after > point.before {
        true => "worse",
        false => "better",
    }
}

fn figure(text: &mut String, series: &Series) {
    let newest = series.values.last().copied().unwrap_or(0.0);
    let _ = write!(
        text,
        "<figure{}><figcaption>{}<span>{}</span></figcaption>",
        if series.changes.is_empty() {
            ""
        } else {
            " class=\"changed\""
        },
        escape(&series.metric),
        amount(&series.metric, newest)
    );
    plot(text, series);
    for point in &series.changes {
        let share = match point.before {
            0.0 => "from nothing".to_owned(),
            before => format!("{:+.1} %", (point.after / before - 1.0) * 100.0),
        };
        let _ = write!(
            text,
            "<small class=\"{}\">{share} at {}: {} to {}</small>",
            class(point),
            escape(&series.labels[point.index]),
            amount(&series.metric, point.before),
            amount(&series.metric, point.after)
        );
    }
    text.push_str("</figure>\n");
}

fn plot(text: &mut String, series: &Series) {
    let values = series.values.iter().copied();
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    let steps = (series.values.len().max(2) - 1) as f64;
    let x = |i: f64| LEFT + (WIDTH - LEFT - RIGHT) * i / steps;
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / most;
    let (zero, right) = (y(0.0), WIDTH - RIGHT);
    let _ = write!(
        text,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><path class=\"zero\" d=\"M{LEFT} {zero}H{right}\"/>"
    );
    for point in &series.changes {
        let at = x(point.index as f64 - 0.5);
        let class = class(point);
        let _ = write!(
            text,
            "<path class=\"cut {class}\" d=\"M{at:.1} {TOP}V{zero}\"/>"
        );
    }
    let places: Vec<String> = (0..)
        .zip(&series.values)
        .map(|(i, value)| format!("{:.1},{:.1}", x(f64::from(i)), y(*value)))
        .collect();
    let _ = write!(
        text,
        "<polyline class=\"line\" points=\"{}\"/>",
        places.join(" ")
    );
    for ((i, value), label) in (0..).zip(&series.values).zip(&series.labels) {
        let _ = write!(
            text,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.2\"><title>{}: {}</title></circle>",
            x(f64::from(i)),
            y(*value),
            escape(label),
            amount(&series.metric, *value)
        );
    }
    if let (Some(first), Some(last)) = (series.labels.first(), series.labels.last()) {
        let below = HEIGHT - 5.0;
        let (first, last) = (escape(first), escape(last));
        let _ = write!(
            text,
            "<text x=\"{LEFT}\" y=\"{below}\">{first}</text><text class=\"end\" x=\"{right}\" y=\"{below}\">{last}</text>"
        );
    }
    text.push_str("</svg>");
}

/// With the unit that the metric's name tells, and digits enough for a change of one in a thousand to show.
pub fn amount(metric: &str, value: f64) -> String {
    match metric {
        _ if metric.ends_with("_ns") => Span { ns: value as u64 }.to_string(),
        _ if metric.ends_with("_bytes") && value >= 1.0 => Size {
            bytes: value as u64,
        }
        .to_string(),
        _ if value >= 1000.0 => format!("{value:.0}"),
        _ => {
            let magnitude = value.abs().max(1e-9).log10().floor() as i32;
            let decimals = (4 - magnitude).clamp(1, 9) as usize;
            let text = format!("{value:.decimals$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

//! The history as one file without scripts or anything fetched: a small plot for each metric that is not always
//! zero, those with changes first.

use std::fmt::Write;

use super::Series;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 90.0;
const MARGIN: f64 = 8.0;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem;\
color:#1c2330;background:#fff}h1{font-size:1.4rem;margin:0 0 .3rem}p{color:#5b6675;margin:.2rem 0 1.5rem}\
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(360px,1fr));gap:1rem}\
figure{margin:0;padding:.7rem;border:1px solid #dde2ea;border-radius:6px}figure.changed{border-color:#c2410c}\
figcaption{display:flex;justify-content:space-between;gap:1rem;font-weight:600}\
figcaption span{font-weight:400;color:#5b6675;font-variant-numeric:tabular-nums}svg{display:block;width:100%}\
small{color:#c2410c}.line{fill:none;stroke:#2563eb;stroke-width:1.6}.dot{fill:#2563eb}.cut{stroke:#c2410c;\
stroke-dasharray:3 3}@media(prefers-color-scheme:dark){body{color:#e4e8ee;background:#14181f}\
figure{border-color:#2c3442}p,figcaption span{color:#98a3b3}.line{stroke:#7aa7ff}.dot{fill:#7aa7ff}\
figure.changed{border-color:#f0874a}small{color:#f0874a}.cut{stroke:#f0874a}}";

/// The page.
pub fn page(series: &[Series]) -> String {
    let mut shown: Vec<&Series> = series
        .iter()
        .filter(|one| one.values.iter().any(|value| *value != 0.0))
        .collect();
    shown.sort_by_key(|one| one.changes.is_empty());
    let changed = shown.iter().filter(|one| !one.changes.is_empty()).count();
    let runs = shown.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>perf history</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>perf history</h1><p>{runs} runs, {} metrics that are not zero, {changed} of them changed. \
         Per operation, smaller is better; each plot begins at zero.</p>\n<main>\n",
        shown.len()
    );
    for one in shown {
        figure(&mut text, one);
    }
    text.push_str("</main></body></html>\n");
    text
}

fn figure(text: &mut String, series: &Series) {
    let class = if series.changes.is_empty() {
        ""
    } else {
        " class=\"changed\""
    };
    let newest = series.values.last().copied().unwrap_or(0.0);
    let _ = write!(
        text,
        "<figure{class}><figcaption>{}<span>{}</span></figcaption>",
        escape(&series.metric),
        number(newest)
    );
    plot(text, series);
    for point in &series.changes {
        let _ = write!(
            text,
            "<small>{}: {} to {}</small><br>",
            escape(&series.labels[point.index]),
            number(point.before),
            number(point.after)
        );
    }
    text.push_str("</figure>\n");
}

fn plot(text: &mut String, series: &Series) {
    let most = series
        .values
        .iter()
        .copied()
        .fold(f64::MIN_POSITIVE, f64::max);
    let steps = (series.values.len().max(2) - 1) as f64;
    let x = |i: f64| MARGIN + (WIDTH - 2.0 * MARGIN) * i / steps;
    let y = |value: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * value / most;
    let _ = write!(text, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for point in &series.changes {
        let at = x(point.index as f64 - 0.5);
        let _ = write!(text, "<path class=\"cut\" d=\"M{at:.1} 0V{HEIGHT}\"/>");
    }
    let places: Vec<String> = series
        .values
        .iter()
        .enumerate()
        .map(|(i, value)| format!("{:.1},{:.1}", x(i as f64), y(*value)))
        .collect();
    let _ = write!(
        text,
        "<polyline class=\"line\" points=\"{}\"/>",
        places.join(" ")
    );
    for ((i, value), label) in series.values.iter().enumerate().zip(&series.labels) {
        let _ = write!(
            text,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.4\"><title>{}: {}</title></circle>",
            x(i as f64),
            y(*value),
            escape(label),
            number(*value)
        );
    }
    text.push_str("</svg>");
}

fn number(value: f64) -> String {
    let text = match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value => format!("{value:.4}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

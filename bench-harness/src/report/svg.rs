//! Plots as inline SVG: axes, ticks, lines and cells. Colours come from the page's style sheet.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;

/// A direction of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    min: f64,
    max: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to at least `max`, with round steps.
    pub fn linear(max: f64, label: impl Fn(f64) -> String) -> Axis {
        let max = if max > 0.0 { max } else { 1.0 };
        let rough = max / 4.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|m| m * magnitude)
            .find(|&step| step >= rough)
            .unwrap_or(rough);
        let top = (max / step).ceil();
        Axis {
            min: 0.0,
            max: top * step,
            log: false,
            ticks: (0..=top as u64)
                .map(|i| (i as f64 * step, label(i as f64 * step)))
                .collect(),
        }
    }

    /// From `min` to `max` in powers of ten.
    pub fn log(min: f64, max: f64, label: impl Fn(f64) -> String) -> Axis {
        let low = min.max(1.0).log10().floor();
        let high = max.max(10.0).log10().ceil().max(low + 1.0);
        let steps = (high - low) as i32;
        Axis {
            min: 10f64.powf(low),
            max: 10f64.powf(high),
            log: true,
            ticks: (0..=steps)
                .map(|i| {
                    let value = 10f64.powf(low + f64::from(i));
                    (value, label(value))
                })
                .collect(),
        }
    }

    /// With ticks of its own.
    pub fn with_ticks(mut self, ticks: Vec<(f64, String)>) -> Axis {
        self.ticks = ticks;
        self
    }

    fn at(&self, value: f64) -> f64 {
        let part = match self.log {
            true => (value.max(self.min) / self.min).ln() / (self.max / self.min).ln(),
            false => (value - self.min) / (self.max - self.min),
        };
        part.clamp(0.0, 1.0)
    }
}

/// One plot.
#[derive(Debug)]
pub struct Plot {
    x: Axis,
    y: Axis,
    marks: String,
    legend: Vec<(String, String)>,
    title: String,
}

impl Plot {
    /// An empty plot.
    pub fn new(title: &str, x: Axis, y: Axis) -> Plot {
        Plot {
            x,
            y,
            marks: String::new(),
            legend: Vec::new(),
            title: title.to_string(),
        }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + self.x.at(x) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.at(y) * (HEIGHT - TOP - BOTTOM)
    }

    /// A line through points, under a name for the legend.
    pub fn line(&mut self, name: &str, class: &str, points: &[(f64, f64)]) {
        self.legend.push((name.to_string(), class.to_string()));
        if points.is_empty() {
            return;
        }
        // A path of one point shows nothing.
        if let [only] = *points {
            return self.dot(only, class, name);
        }
        let mut path = String::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.px(x), self.py(y));
        }
        let _ = writeln!(
            self.marks,
            "<path class=\"line {class}\" d=\"{path}\"><title>{}</title></path>",
            super::junit::escape(name)
        );
    }

    /// A dot that says `title` when pointed at.
    pub fn dot(&mut self, (x, y): (f64, f64), class: &str, title: &str) {
        let _ = writeln!(
            self.marks,
            "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}</title></circle>",
            self.px(x),
            self.py(y),
            super::junit::escape(title),
        );
    }

    /// A filled cell, `strength` from 0 to 1, that says `title` when pointed at.
    pub fn cell(&mut self, (x0, x1): (f64, f64), (y0, y1): (f64, f64), strength: f64, title: &str) {
        let (left, right) = (self.px(x0), self.px(x1));
        let (top, bottom) = (self.py(y1), self.py(y0));
        let _ = writeln!(
            self.marks,
            "<rect class=\"cell\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
             fill-opacity=\"{strength:.2}\"><title>{}</title></rect>",
            (right - left).max(0.5),
            (bottom - top).max(0.5),
            super::junit::escape(title),
        );
    }

    /// The plot as an element.
    pub fn svg(&self) -> String {
        let title = super::junit::escape(&self.title);
        let mut text = format!(
            "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n"
        );
        for (value, label) in &self.y.ticks {
            let y = self.py(*value);
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick end\" x=\"{:.0}\" y=\"{:.1}\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 3.5,
            );
        }
        for (value, label) in &self.x.ticks {
            let _ = writeln!(
                text,
                "<text class=\"tick mid\" x=\"{:.1}\" y=\"{:.0}\">{label}</text>",
                self.px(*value),
                HEIGHT - BOTTOM + 14.0,
            );
        }
        text.push_str(&self.marks);
        let mut x = LEFT;
        for (name, class) in &self.legend {
            let y = HEIGHT - 6.0;
            let _ = writeln!(
                text,
                "<line class=\"line {class}\" x1=\"{x:.0}\" x2=\"{:.0}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" x=\"{:.0}\" y=\"{y:.1}\">{}</text>",
                x + 14.0,
                y - 3.5,
                y - 3.5,
                x + 18.0,
                super::junit::escape(name),
            );
            x += 34.0 + 6.2 * name.chars().count() as f64;
        }
        text.push_str("</svg></figure>\n");
        text
    }
}

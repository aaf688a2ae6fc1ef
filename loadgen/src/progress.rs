//! What a run says while it runs: one line that rewrites itself on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use ringkeep_bench::experiment::Event;
use ringkeep_bench::phase::Progress;
use ringkeep_bench::quantity::{Count, Rate, Span};

use crate::cli::When;

/// How often a plain line is printed.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Where progress goes.
#[derive(Debug)]
pub struct Line {
    live: bool,
    silent: bool,
    shown: usize,
    began: Instant,
    last: Option<Instant>,
}

impl Line {
    /// A line as asked for.
    pub fn new(when: When) -> Line {
        Line {
            live: match when {
                When::Auto => std::io::stderr().is_terminal(),
                When::Always => true,
                When::Never => false,
            },
            silent: when == When::Never,
            shown: 0,
            began: Instant::now(),
            last: None,
        }
    }

    /// Shows what happened.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin(workload, target) => {
                self.began = Instant::now();
                self.say(&format!("{} on {target}", workload.name));
            }
            Event::Loading(written, total) => {
                self.update(&loading(*written, *total, self.began.elapsed()))
            }
            Event::Settling => self.update("load: all keys written, settling"),
            Event::Running(progress) => self.update(&running(progress)),
            Event::Done(..) => {
                self.clear();
                self.last = None;
            }
        }
    }

    /// A line that stays.
    pub fn say(&mut self, text: &str) {
        self.clear();
        if !self.silent {
            eprintln!("{text}");
        }
    }

    fn update(&mut self, text: &str) {
        if self.silent {
            return;
        }
        if self.live {
            let width = text.chars().count();
            let pad = " ".repeat(self.shown.saturating_sub(width));
            eprint!("\r{text}{pad}");
            let _ = std::io::stderr().flush();
            self.shown = width;
        } else if self.last.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) {
            // The first line of a phase is old news by the time it is read; start the interval with it.
            if self.last.is_some() {
                eprintln!("{text}");
            }
            self.last = Some(Instant::now());
        }
    }

    /// Takes the live line away.
    pub fn clear(&mut self) {
        if self.shown > 0 {
            eprint!("\r{}\r", " ".repeat(self.shown));
            let _ = std::io::stderr().flush();
            self.shown = 0;
        }
    }
}

fn clock(span: Span) -> String {
    let seconds = span.ns / 1_000_000_000;
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

fn loading(written: u64, total: u64, elapsed: Duration) -> String {
    let per_s = written as f64 / elapsed.as_secs_f64().max(1e-3);
    if written == 0 {
        return format!("load: {} keys", Count { n: total });
    }
    let left = total.saturating_sub(written) as f64 / per_s.max(1.0);
    format!(
        "load: {} of {} keys | {} | {} to go",
        Count { n: written },
        Count { n: total },
        Rate { per_s },
        clock(Span {
            ns: (left * 1e9) as u64
        }),
    )
}

fn running(progress: &Progress) -> String {
    let time = match progress.expected {
        Some(expected) => format!("{}/{}", clock(progress.elapsed), clock(expected)),
        None => clock(progress.elapsed),
    };
    let offered = progress.offered_per_s.map_or(String::new(), |per_s| {
        format!(" | offered {}", Rate { per_s })
    });
    let [p50, p99, p999] = progress.response_ns.map(|ns| Span { ns });
    format!(
        "{} {}{time}{offered} | done {} | p50 {p50} p99 {p99} p99.9 {p999} | slip p99 {} | err {}",
        progress.phase,
        if progress.warming { "warm-up " } else { "" },
        Rate {
            per_s: progress.done_per_s
        },
        Span {
            ns: progress.slip_p99_ns
        },
        progress.errors,
    )
}

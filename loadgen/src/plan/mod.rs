//! `loadgen plan`: will this machine do, and what limits it first?
//!
//! `need` is what is asked, `evidence` what saved or fresh runs found, `place` the machine. `model` puts them
//! together with `skew` and `queue`; `growth` says when the disk is full. What was measured at the needed rate
//! counts for more than what was modelled, and what was neither is UNKNOWN.

mod evidence;
mod growth;
mod model;
mod need;
mod place;
mod queue;
mod skew;
mod verify;

use std::fmt::Write;
use std::path::Path;

use ringkeep_bench::quantity::{Rate, Size};
use ringkeep_bench::report::Report;
use ringkeep_bench::report::table::Table;
use ringkeep_bench::slo::{ClockName, Metric, Relation, Statistic};

use crate::cli::PlanArgs;
use crate::exit::{Code, Fault};
use crate::outputs::print;
use crate::saved;
use evidence::Seen;
use model::Model;
use need::{CLASS_NAMES, Need};
use place::Place;

/// With less headroom than this the answer is MARGINAL: plan for at most 70 % of what is possible.
const COMFORT: f64 = 1.0 / 0.7;
/// Beyond this factor of what was measured nothing is promised.
const REACH: f64 = 2.0;
/// A simulation further off than this at the measured points is no evidence.
const ERROR_MAX: f64 = 0.15;

/// The four answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    Marginal,
    No,
    Unknown,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Answer::Yes => "YES",
            Answer::Marginal => "MARGINAL",
            Answer::No => "NO",
            Answer::Unknown => "UNKNOWN",
        }
    }

    fn code(self) -> Code {
        match self {
            Answer::Yes | Answer::Marginal => Code::Done,
            Answer::No => Code::SloMissed,
            Answer::Unknown => Code::Invalid,
        }
    }
}

/// Answers the need.
pub fn plan(arguments: &PlanArgs) -> Result<Code, Fault> {
    let need: Need = arguments.need.parse().map_err(Fault::usage)?;
    let mut reports = Vec::new();
    for path in &arguments.from {
        reports.extend(read_all(path)?);
    }
    let place = match &arguments.place {
        Some(path) if path != Path::new("auto") => Place::read(path),
        _ => Place::here(arguments.probe_dir.as_deref()),
    }
    .map_err(Fault::usage)?;
    if arguments.verify {
        let report = verify::verify(&arguments.run, &need, &place)?;
        reports.push(("--verify".to_string(), report));
    }
    let target = arguments
        .run
        .target
        .first()
        .map_or("ringkeep", String::as_str);
    let seen = evidence::seen(&reports, target);
    let mut samples = growth::sampled(&reports);
    if let Some(path) = &arguments.samples {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Fault::usage(format!("cannot read {}: {error}", path.display())))?;
        samples = growth::samples(&text)
            .map_err(|error| Fault::usage(format!("{}: {error}", path.display())))?;
    }
    let (answer, mut text) = judge(&need, &place, &seen, arguments.extrapolate);
    text.push_str(&full(
        &need,
        &place,
        &seen,
        &samples,
        arguments.samples.is_some(),
    ));
    print(&text)?;
    Ok(answer.code())
}

/// A report, or those in a folder and in the folders inside it.
fn read_all(path: &Path) -> Result<Vec<(String, Report)>, Fault> {
    let name = |path: &Path| path.display().to_string();
    if path.is_file() || path.join("report.json").exists() {
        return Ok(vec![(name(path), saved::read(path)?)]);
    }
    let mut folders: Vec<_> = std::fs::read_dir(path)
        .map_err(|error| Fault::usage(format!("cannot read {}: {error}", path.display())))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("report.json").exists())
        .collect();
    folders.sort();
    if folders.is_empty() {
        return Err(Fault::usage(format!(
            "{} holds no report.json, nor does a folder in it; save runs with `loadgen run --out DIR`",
            path.display()
        )));
    }
    folders
        .iter()
        .map(|folder| Ok((name(folder), saved::read(folder)?)))
        .collect()
}

fn judge(need: &Need, place: &Place, seen: &[Seen], extrapolate: bool) -> (Answer, String) {
    if seen.is_empty() {
        let text = "UNKNOWN: nothing usable was measured; give saved runs with --from, or --verify to measure now\n";
        return (Answer::Unknown, text.to_string());
    }
    let model = Model::new(need, seen);
    let unseen = model.unseen();
    if !unseen.is_empty() {
        let names: Vec<&str> = unseen.iter().map(|&c| CLASS_NAMES[c]).collect();
        let text = format!(
            "UNKNOWN: no usable run has {}s; measure them, or use --verify\n",
            names.join("s and ")
        );
        return (Answer::Unknown, text);
    }
    let resources = model.resources(place);
    let direct = direct(need, place, seen);
    let scarcest = &resources[0];
    let (headroom, limit) = match &direct {
        // A rate that was run and held says more about latency and CPU than a model of them.
        Some((rate, _)) => resources
            .iter()
            .filter(|r| !matches!(r.name, "CPU" | "latency"))
            .map(|r| (r.headroom, r.name))
            .chain([(rate / need.rate(), "highest rate measured")])
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .expect("there is one"),
        None => (scarcest.headroom, scarcest.name),
    };
    let mut answer = match headroom {
        h if h < 1.0 => Answer::No,
        h if h < COMFORT => Answer::Marginal,
        _ => Answer::Yes,
    };
    let mut doubts = Vec::new();
    if direct.is_none() && answer != Answer::No {
        match model.error() {
            Some(error) if error > ERROR_MAX => doubts.push(format!(
                "the simulated P99 is {:.0} % off at the measured points",
                error * 100.0
            )),
            _ => {}
        }
    }
    doubts.extend(beyond(need, place, seen));
    let mut text = String::new();
    if !doubts.is_empty() && !extrapolate && answer != Answer::No {
        answer = Answer::Unknown;
    }
    let _ = writeln!(
        text,
        "{}: {} on {}; {:.2}x headroom, limited by {limit}",
        answer.word(),
        rates_text(need),
        place.from,
        headroom,
    );
    for doubt in &doubts {
        let advice = if extrapolate {
            "extrapolated"
        } else {
            "measure closer, or --extrapolate"
        };
        let _ = writeln!(text, "  doubt: {doubt} ({advice})");
    }
    let mut table = Table::new(["resource", "headroom", "terms"]);
    for resource in &resources {
        let headroom = match resource.headroom {
            h if h > 999.0 => ">999x".to_string(),
            h => format!("{h:.2}x"),
        };
        table.row(vec![
            resource.name.to_string(),
            headroom,
            resource.terms.clone(),
        ]);
    }
    let _ = write!(text, "\n{}", table.left().text("  "));
    text.push_str(&what_if(&model, place));
    text.push_str("\nevidence\n");
    match &direct {
        Some((rate, from)) => {
            let _ = writeln!(text, "  held at {} in {from}", Rate { per_s: *rate });
        }
        None => text.push_str("  no run held the objectives at the need; the answer is modelled\n"),
    }
    for phase in seen.iter().take(8) {
        let _ = writeln!(
            text,
            "  {}: {} over {} keys of {}, cache {:.0} %",
            phase.from,
            Rate { per_s: phase.rate },
            phase.keys,
            Size {
                bytes: phase.value_size as u64
            },
            phase.cache_share * 100.0
        );
    }
    let _ = writeln!(
        text,
        "\nassumptions\n  \
         one core in {} is left to callers; more cores yield 0.9 of one each (no scaling law was fitted)\n  \
         keys are hashed over shards and none is replicated; popularity zipf {:.2}\n  \
         the cache holds the hottest keys (an upper bound on what it catches)\n  \
         amplifications are the worst of the runs above; merges take a quarter of the data; a disk is full at 80 %",
        place.cores, model.theta,
    );
    (answer, text)
}

fn rates_text(need: &Need) -> String {
    let rates: Vec<String> = need
        .rates
        .iter()
        .map(|(kind, per_s)| format!("{} {}", kind.name(), Rate { per_s: *per_s }))
        .collect();
    let slo: Vec<String> = need.slo.iter().map(ToString::to_string).collect();
    format!(
        "{} with {}",
        rates.join(", "),
        match slo.is_empty() {
            true => "no objective".to_string(),
            false => slo.join(", "),
        }
    )
}

/// The highest rate of a run like the need whose own numbers meet the objectives.
fn direct(need: &Need, place: &Place, seen: &[Seen]) -> Option<(f64, String)> {
    let share = |classes: &[f64; need::CLASSES], c: usize| {
        classes[c] / classes.iter().sum::<f64>().max(1e-9)
    };
    let asked = need.classes();
    seen.iter()
        .filter(|phase| phase.offered.is_some() && phase.cores <= place.cores)
        .filter(|phase| {
            (0..asked.len()).all(|c| (share(&phase.classes, c) - share(&asked, c)).abs() < 0.05)
        })
        .filter(|phase| phase.value_size >= 0.5 * need.value_size as f64)
        .filter(|phase| need.slo.iter().all(|slo| holds(slo, phase)))
        .map(|phase| (phase.rate, phase.from.clone()))
        .filter(|found| found.0 >= 0.98 * need.rate())
        .max_by(|a, b| a.0.total_cmp(&b.0))
}

fn holds(slo: &ringkeep_bench::slo::Slo, phase: &Seen) -> bool {
    let ops = || phase.record.streams.iter().flat_map(|stream| &stream.ops);
    match slo.metric {
        Metric::Latency(kind, clock, statistic) => {
            ops().filter(|op| op.op == kind.name()).all(|op| {
                let record = op.clock(clock);
                let found = match statistic {
                    Statistic::Mean => Some(record.mean_ns),
                    Statistic::Max => Some(record.max_ns as f64),
                    Statistic::Quantile(q) => record
                        .quantiles
                        .iter()
                        .find(|known| (known.q - q).abs() < 1e-9)
                        .map(|known| match (slo.relation, clock) {
                            (Relation::Below | Relation::AtMost, ClockName::Response) => {
                                known.hi_ns as f64
                            }
                            _ => known.value_ns as f64,
                        }),
                };
                found.is_some_and(|value| slo.relation.holds(value, slo.limit))
            })
        }
        Metric::Throughput => slo.relation.holds(phase.rate, slo.limit),
        Metric::Achieved => phase.offered.is_some_and(|offered| {
            slo.relation
                .holds(phase.record.streams[0].achieved_per_s / offered, slo.limit)
        }),
        Metric::Errors => slo
            .relation
            .holds(ops().map(|op| op.errors).sum::<u64>() as f64, slo.limit),
    }
}

/// Where the need lies further out than anything that was measured.
fn beyond(need: &Need, place: &Place, seen: &[Seen]) -> Vec<String> {
    let most = |pick: fn(&Seen) -> f64| seen.iter().map(pick).fold(0.0, f64::max);
    let facts = [
        ("keys", need.keys as f64, most(|p| p.keys as f64)),
        ("rate", need.rate(), most(|p| p.rate)),
        ("cores", place.cores as f64, most(|p| p.cores as f64)),
    ];
    facts
        .iter()
        .filter(|(_, asked, measured)| *asked > REACH * measured)
        .map(|(what, asked, measured)| {
            format!("{what}: {asked:.0} asked, at most {measured:.0} measured")
        })
        .collect()
}

/// The highest rate within the objectives for machines like this one with more or less of it.
fn what_if(model: &Model<'_>, place: &Place) -> String {
    let mut text = String::from("\nhighest rate within the objectives, cores x RAM (modelled)\n");
    let rams = [0.25, 0.5, 1.0, 2.0].map(|factor| place.ram_bytes * factor);
    let mut table = Table::new(["cores", "", "", "", ""]);
    let mut head = vec!["RAM".to_string()];
    head.extend(rams.map(|ram| Size { bytes: ram as u64 }.to_string()));
    table.row(head);
    let mut cores: Vec<usize> = vec![2, 4, 8, 16, 32, place.cores];
    cores.sort_unstable();
    cores.dedup();
    for cores in cores {
        let mut row = vec![format!(
            "{cores}{}",
            if cores == place.cores { " (this)" } else { "" }
        )];
        row.extend(rams.map(|ram| {
            let per_s = model.rate_max(cores, ram, place);
            Rate { per_s }.to_string()
        }));
        table.row(row);
    }
    text.push_str(&table.text("  "));
    text
}

/// When the disk is full: by samples, and by the growth that the need states.
fn full(
    need: &Need,
    place: &Place,
    seen: &[Seen],
    samples: &[growth::Sample],
    asked: bool,
) -> String {
    let mut text = String::new();
    let capacity = place.disk_bytes * 0.8;
    if asked || samples.len() >= 2 {
        match growth::until_full(samples, capacity) {
            Some((slope, Some(days))) => {
                let _ = writeln!(
                    text,
                    "\ngrowth: {} a day over {} samples; 80 % of {} is reached in {days:.0} days",
                    Size {
                        bytes: slope.max(0.0) as u64
                    },
                    samples.len(),
                    Size {
                        bytes: place.disk_bytes as u64
                    }
                );
            }
            Some((_, None)) => text.push_str("\ngrowth: the samples do not grow\n"),
            None if asked => text.push_str(
                "\ngrowth: UNKNOWN, at least two samples at different times are needed\n",
            ),
            None => {}
        }
    }
    if let Some(growth) = need.growth_per_year.filter(|g| *g > 0.0)
        && !seen.is_empty()
    {
        let space = Model::new(need, seen).measured().space;
        let years = (capacity / (need.user_bytes() * space * 1.25)).ln() / (1.0 + growth).ln();
        let _ = match years > 0.0 {
            true => writeln!(
                text,
                "growth: at {:.0} % a year the disk is full in {:.0} days",
                growth * 100.0,
                years * 365.25
            ),
            false => writeln!(text, "growth: the data does not fit even now"),
        };
    }
    text
}

//! `loadgen calibrate`: what this machine does to any measurement, before a target comes into it.

use std::time::{Duration, Instant};

use ringkeep_bench::clock::{Clock, sharpen_sleep, thread_cpu_ns};
use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::drive::Way;
use ringkeep_bench::generator;
use ringkeep_bench::probe::{probe, reads_at_depth};
use ringkeep_bench::quantity::{Rate, Size, Span};
use ringkeep_bench::random::mix;
use ringkeep_bench::recorder::{histogram, note};
use ringkeep_bench::report::table::Table;
use ringkeep_bench::suite::{Overrides, Scale};

use crate::cli::{DirArgs, SelectArgs};
use crate::exit::{Code, Fault};
use crate::outputs::print;
use crate::select;

const PAIRS: usize = 15;

/// Measures clock, sleep, generator, noise and device.
pub fn calibrate(arguments: &DirArgs) -> Result<Code, Fault> {
    let dir = match &arguments.dir {
        Some(path) => DataDir::at(path),
        None => DataDir::temporary(),
    }
    .map_err(Fault::usage)?;
    let mut table = Table::new(["", "found"]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_string(), value]);
    row(
        "reading the clock",
        Span {
            ns: clock_cost_ns(),
        }
        .to_string(),
    );
    let (p50, p99) = sleep_overshoot_ns();
    row(
        "sleep of 100us ends late by",
        format!("P50 {}, P99 {}", Span { ns: p50 }, Span { ns: p99 }),
    );

    let headline = SelectArgs {
        filter: vec![select::HEADLINE.to_string()],
        ..SelectArgs::default()
    };
    let workloads = select::workloads(&headline, Scale::S, &Overrides::default())?;
    let workload = &workloads[0].1;
    let mut costs = Vec::new();
    for phase in &workload.phases {
        let traffic = &phase.traffic[0];
        let cost = generator::cost_ns(workload, traffic, Way::Pipelined, 200_000);
        costs.push((phase.name.clone(), cost));
    }
    for (name, cost) in costs {
        row(
            &format!("generator CPU per op, {name}"),
            format!("{cost:.0}ns"),
        );
    }
    let (wall, cpu) = noise();
    row(
        "A/A noise of wall time",
        format!("median {:.1} %, worst {:.1} %", wall.median, wall.worst),
    );
    row(
        "A/A noise of CPU time",
        format!("median {:.1} %, worst {:.1} %", cpu.median, cpu.worst),
    );

    let found = probe(dir.path(), Duration::from_millis(300)).map_err(Fault::usage)?;
    row("direct I/O", found.direct.to_string());
    let bytes = found.write_bytes_per_s;
    row("sequential write", format!("{}/s", Size { bytes }));
    row(
        "durable 4 KiB write",
        format!(
            "P50 {}, P99 {}",
            Span {
                ns: found.sync_p50_ns
            },
            Span {
                ns: found.sync_p99_ns
            }
        ),
    );
    for depth in [1, 4, 16, 64] {
        let (per_s, p50, p99) =
            reads_at_depth(dir.path(), depth, Duration::from_millis(500)).map_err(Fault::usage)?;
        row(
            &format!("4 KiB reads, {depth} at a time"),
            format!(
                "{}, P50 {}, P99 {}",
                Rate { per_s },
                Span { ns: p50 },
                Span { ns: p99 }
            ),
        );
    }
    print(&table.left().text(""))?;
    Ok(Code::Done)
}

fn clock_cost_ns() -> u64 {
    let clock = Clock::real();
    let reads = 1_000_000;
    let began = clock.now_ns();
    for _ in 0..reads {
        std::hint::black_box(clock.now_ns());
    }
    (clock.now_ns() - began) / reads
}

fn sleep_overshoot_ns() -> (u64, u64) {
    std::thread::spawn(|| {
        sharpen_sleep();
        let mut late = histogram();
        for _ in 0..2_000 {
            let began = Instant::now();
            std::thread::sleep(Duration::from_micros(100));
            let took = began.elapsed().as_nanos() as u64;
            note(&mut late, took.saturating_sub(100_000));
        }
        (late.value_at_quantile(0.5), late.value_at_quantile(0.99))
    })
    .join()
    .expect("sleeping does not panic")
}

/// How far two runs of the same work differ, in percent.
struct Noise {
    median: f64,
    worst: f64,
}

/// Noise of wall time and of CPU time over pairs of runs.
fn noise() -> (Noise, Noise) {
    let pairs: Vec<_> = (0..PAIRS).map(|_| (same_work(), same_work())).collect();
    let of = |time: fn(&WorkTime) -> f64| {
        let mut all: Vec<f64> = pairs
            .iter()
            .map(|(a, b)| (time(b) / time(a)).ln().abs() * 100.0)
            .collect();
        all.sort_by(f64::total_cmp);
        Noise {
            median: all[PAIRS / 2],
            worst: all[PAIRS - 1],
        }
    };
    (of(|time| time.wall_ns), of(|time| time.cpu_ns))
}

struct WorkTime {
    wall_ns: f64,
    cpu_ns: f64,
}

/// Some twenty milliseconds of arithmetic.
fn same_work() -> WorkTime {
    let (wall, cpu) = (Instant::now(), thread_cpu_ns());
    let sum = (0..10_000_000u64).fold(0u64, |sum, i| sum.wrapping_add(mix(i ^ sum)));
    std::hint::black_box(sum);
    WorkTime {
        wall_ns: wall.elapsed().as_nanos() as f64,
        cpu_ns: (thread_cpu_ns() - cpu) as f64,
    }
}

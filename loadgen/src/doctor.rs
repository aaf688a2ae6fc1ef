//! `loadgen doctor`: what on this machine would spoil a measurement.

use std::path::Path;
use std::time::Duration;

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::environment::Environment;
use ringkeep_bench::probe::probe;
use ringkeep_bench::process::ProcessUse;
use ringkeep_bench::quantity::{Size, Span};
use ringkeep_bench::report::table::Table;

use crate::cli::DirArgs;
use crate::exit::{Code, Fault};
use crate::outputs::print;

/// Looks at everything that is known to spoil numbers and says what to do about it.
pub fn doctor(arguments: &DirArgs) -> Result<Code, Fault> {
    let dir = match &arguments.dir {
        Some(path) => DataDir::at(path),
        None => DataDir::temporary(),
    }
    .map_err(Fault::usage)?;
    let environment = Environment::of(dir.path());
    let mut table = Table::new(["", "found", "advice"]);
    for finding in findings(&environment, dir.path()) {
        table.row(vec![
            format!(
                "{} {}",
                if finding.advice.is_empty() {
                    "ok  "
                } else {
                    "LOOK"
                },
                finding.what
            ),
            finding.found,
            finding.advice,
        ]);
    }
    print(&table.left().text(""))?;
    Ok(Code::Done)
}

/// Long enough for ticks of 10 ms to tell a share.
const OTHERS_WATCHED: Duration = Duration::from_millis(400);

struct Finding {
    what: &'static str,
    found: String,
    advice: String,
}

fn findings(e: &Environment, dir: &Path) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut add = |what: &'static str, found: String, bad: bool, advice: &str| {
        all.push(Finding {
            what,
            found,
            advice: if bad {
                advice.to_string()
            } else {
                String::new()
            },
        });
    };
    let release = !cfg!(debug_assertions);
    let build = if release { "release" } else { "debug" };
    add("build", build.to_string(), !release, "build with --release");
    add(
        "cores",
        e.cores.to_string(),
        e.cores < 4,
        "generator and target will share cores",
    );
    // Not the load average: for minutes after a build that still tells of the build.
    let before = ProcessUse::now();
    std::thread::sleep(OTHERS_WATCHED);
    let used = ProcessUse::now().since(&before);
    let others = used.others_cpu_ns() as f64 / used.cores_ns.max(1) as f64;
    add(
        "other processes",
        format!("took {:.0} % of the cores just now", others * 100.0),
        others > 0.1,
        "something else uses this machine; wait for it",
    );
    let limited = e
        .cgroup_cpu_milli
        .is_some_and(|milli| milli < e.cores as u64 * 1000);
    let limit = e.cgroup_cpu_milli.map_or("none".to_string(), |milli| {
        format!("{:.2} cores", milli as f64 / 1000.0)
    });
    add(
        "cgroup CPU limit",
        limit,
        limited,
        "throttling stalls every thread; raise the limit or use fewer cores",
    );
    let limit = e
        .cgroup_memory_bytes
        .map_or("none".to_string(), |bytes| Size { bytes }.to_string());
    add("cgroup memory limit", limit, false, "");
    let governor = if e.governor.is_empty() {
        "not visible".to_string()
    } else {
        e.governor.clone()
    };
    add(
        "frequency governor",
        governor,
        !matches!(e.governor.as_str(), "" | "performance"),
        "set it to performance",
    );
    add(
        "clock source",
        e.clock_source.clone(),
        e.clock_source != "tsc",
        "reading this clock is slow",
    );
    let vm = if e.virtualized { "yes" } else { "no" };
    add(
        "virtual machine",
        vm.to_string(),
        e.virtualized,
        "neighbours show in the tail; repeat runs",
    );
    add(
        "swap",
        Size {
            bytes: e.swap_bytes,
        }
        .to_string(),
        e.swap_bytes > 0,
        "turn it off for the run",
    );
    let memory_fs = matches!(e.file_system.as_str(), "tmpfs" | "overlay" | "ramfs");
    add(
        "file system",
        format!("{} on {}", e.file_system, e.device),
        memory_fs,
        "name a directory on a real device with --dir",
    );
    add(
        "free disk",
        Size {
            bytes: e.free_bytes,
        }
        .to_string(),
        e.free_bytes < 4 << 30,
        "size s needs about 3 GiB",
    );
    let disabled = read_number("/proc/sys/kernel/io_uring_disabled");
    add(
        "io_uring",
        if disabled == Some(0) || disabled.is_none() {
            "allowed"
        } else {
            "restricted"
        }
        .to_string(),
        disabled.is_some_and(|n| n > 0),
        "the engine falls back to blocking calls; set kernel.io_uring_disabled = 0",
    );
    let (files, locked) = (limit_of("Max open files"), limit_of("Max locked memory"));
    add(
        "open files",
        shown(files),
        files.is_some_and(|n| n < 4096),
        "raise it: ulimit -n 65536",
    );
    add(
        "locked memory",
        shown(locked),
        locked.is_some_and(|n| n < 64 << 20),
        "raise it: ulimit -l unlimited",
    );
    match probe(dir, Duration::from_millis(200)) {
        Ok(found) => {
            add(
                "direct I/O",
                found.direct.to_string(),
                !found.direct,
                "reads come from the page cache; use another --dir",
            );
            add(
                "4 KiB read",
                format!(
                    "P50 {}, P99 {}",
                    Span {
                        ns: found.read_p50_ns
                    },
                    Span {
                        ns: found.read_p99_ns
                    }
                ),
                found.read_p50_ns > 1_000_000,
                "slow for a local device: spinning, remote or busy",
            );
            add(
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
                found.sync_p50_ns < 10_000,
                "too fast to be durable: a cache that may lie",
            );
            let bytes = found.write_bytes_per_s;
            add(
                "sequential write",
                format!("{}/s", Size { bytes }),
                false,
                "",
            );
        }
        Err(error) => add("device", error, true, "name another --dir"),
    }
    all
}

fn read_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A soft limit of this process; `u64::MAX` for none.
fn limit_of(name: &str) -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn shown(limit: Option<u64>) -> String {
    match limit {
        None => "unknown".to_string(),
        Some(u64::MAX) => "unlimited".to_string(),
        Some(n) => n.to_string(),
    }
}

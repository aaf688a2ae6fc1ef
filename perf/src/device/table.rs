//! The table that people read.

use ringkeep_bench::quantity::{Size, Span, short};
use ringkeep_bench::report::table::Table;

use super::DeviceReport;
use super::job::{Job, JobKind, Measured};

/// Everything.
pub fn text(report: &DeviceReport) -> String {
    let e = &report.environment;
    let mut text = format!(
        "{} on {}, {} cores, {}\nthrough {} ({}), scratch file of {}\n",
        e.file_system,
        e.device,
        e.cores,
        e.kernel,
        report.backend,
        report.reason,
        Size {
            bytes: report.file_bytes
        },
    );
    let titles = [
        "job", "depth", "per s", "MiB/s", "p50", "p99", "p99.9", "CPU us",
    ];
    let mut table = Table::new(titles);
    for row in &report.rows {
        table.row(cells(&row.job, name(&row.job), &row.measured));
        if let (Some(fio), Some(over)) = (&row.fio, row.over_fio) {
            let [median, low, high] = over.map(|ratio| (ratio - 1.0) * 100.0);
            let name = format!("  fio (here {median:+.0} %, {low:+.0}..{high:+.0})");
            table.row(cells(&row.job, name, fio));
        }
    }
    text.push_str(&table.text(""));
    let mut table = Table::new(["one shard on this device", "per s", "of the device's"]);
    for share in &report.engine {
        table.row(vec![
            share.operation.clone(),
            short(share.per_s),
            format!("{:.0} %", share.of_device * 100.0),
        ]);
    }
    if !report.engine.is_empty() {
        text.push('\n');
        text.push_str(&table.text(""));
    }
    if e.load_average_centi as usize > e.cores * 100 {
        text.push_str("warning: this machine was busy with other work; tails and CPU are worse than the device\n");
    }
    text
}

/// For readers.
pub fn name(job: &Job) -> String {
    let size = Size { bytes: job.bytes };
    match job.kind {
        JobKind::Read => format!("random read {size}"),
        JobKind::DurableWrite => format!("durable write {size}"),
        JobKind::Sync => format!("sync after a {size} write"),
    }
}

fn cells(job: &Job, name: String, measured: &Measured) -> Vec<String> {
    let span = |ns| Span { ns }.to_string();
    let rate = match job.kind {
        JobKind::Sync => String::new(),
        JobKind::Read | JobKind::DurableWrite => {
            short(measured.per_s * job.bytes as f64 / f64::from(1 << 20))
        }
    };
    // Fewer than ten samples beyond a quantile say nothing about it.
    let quantile = |ns, beyond: u64| match measured.operations >= 10 * beyond {
        true => span(ns),
        false => "-".to_owned(),
    };
    vec![
        name,
        job.depth.to_string(),
        short(measured.per_s),
        rate,
        span(measured.p50_ns),
        quantile(measured.p99_ns, 100),
        quantile(measured.p999_ns, 1000),
        measured
            .cpu_ns_per_operation
            .map_or("-".to_owned(), |ns| short(ns / 1000.0)),
    ]
}

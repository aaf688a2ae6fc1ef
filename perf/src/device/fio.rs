//! The same jobs by fio, as a second opinion.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::job::{Job, JobKind, Measured};
use crate::exit::Fault;

/// An error that says what to do unless fio can be run.
pub fn must_be_installed() -> Result<(), Fault> {
    match Command::new("fio").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Fault::usage(
            "fio is not installed; install it or leave out --against-fio",
        )),
    }
}

/// fio on our file.
pub struct Fio {
    file: PathBuf,
    file_bytes: u64,
}

impl Fio {
    /// The file must be there, and written.
    pub fn on(file: &Path, file_bytes: u64) -> Fio {
        Fio {
            file: file.to_path_buf(),
            file_bytes,
        }
    }

    /// One job, with the same share of warm-up as ours.
    pub fn run(&self, job: &Job, seconds: f64) -> Result<Option<Measured>, Fault> {
        let particular: &[&str] = match job.kind {
            JobKind::Read => &["--rw=randread", "--fixedbufs=1"],
            // O_DSYNC on the file is RWF_DSYNC on each write.
            JobKind::DurableWrite => &["--rw=write", "--sync=dsync"],
            JobKind::Sync => &["--rw=write", "--fdatasync=1"],
        };
        let mut options = vec![
            format!("--bs={}", job.bytes),
            format!("--iodepth={}", job.depth),
            "--time_based=1".to_owned(),
            format!("--runtime={}ms", (seconds * 900.0) as u64),
            format!("--ramp_time={}ms", (seconds * 100.0) as u64),
        ];
        options.extend(particular.iter().map(|&option| option.to_owned()));
        let report = self.call(&options)?;
        if timed(&report, job.kind)["N"].as_u64() == Some(0) {
            return Ok(None);
        }
        let measured = parse(&report, job.kind)
            .ok_or_else(|| Fault::internal(format!("fio's report on {job:?} is not understood")))?;
        Ok(Some(measured))
    }

    fn call(&self, options: &[String]) -> Result<Value, Fault> {
        let output = Command::new("fio")
            .arg("--name=perf")
            .arg(format!("--filename={}", self.file.display()))
            .arg(format!("--size={}", self.file_bytes))
            .args([
                "--ioengine=io_uring",
                "--direct=1",
                "--overwrite=1",
                "--allow_file_create=0",
            ])
            .args([
                "--output-format=json",
                "--thread=1",
                "--refill_buffers=0",
                "--norandommap=1",
                "--registerfiles=1",
            ])
            .args(options)
            .output()
            .map_err(|error| Fault::usage(format!("cannot run fio: {error}")))?;
        let failed = |why: String| Fault::internal(format!("fio {}: {why}", options.join(" ")));
        if !output.status.success() {
            return Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
        // Warnings may stand before the report.
        let text = String::from_utf8_lossy(&output.stdout);
        let json = text.find('{').map_or("", |start| &text[start..]);
        serde_json::from_str(json).map_err(|error| failed(error.to_string()))
    }
}

/// What was timed, each from its submission, as ours.
fn timed(report: &Value, kind: JobKind) -> &Value {
    let job = &report["jobs"][0];
    match kind {
        JobKind::Read => &job["read"]["clat_ns"],
        JobKind::DurableWrite => &job["write"]["clat_ns"],
        JobKind::Sync => &job["sync"]["lat_ns"],
    }
}

fn parse(report: &Value, kind: JobKind) -> Option<Measured> {
    let job = &report["jobs"][0];
    let per_s = match kind {
        JobKind::Read => &job["read"]["iops"],
        // One sync for each write, and fio has the rate of the writes alone.
        JobKind::DurableWrite | JobKind::Sync => &job["write"]["iops"],
    };
    let (per_s, timed) = (per_s.as_f64()?, timed(report, kind));
    let times = &timed["percentile"];
    let cpu_percent = job["usr_cpu"].as_f64()? + job["sys_cpu"].as_f64()?;
    Some(Measured {
        operations: timed["N"].as_u64()?,
        per_s,
        p50_ns: times["50.000000"].as_u64()?,
        p99_ns: times["99.000000"].as_u64()?,
        p999_ns: times["99.900000"].as_u64()?,
        cpu_ns_per_operation: (kind != JobKind::Sync).then(|| cpu_percent * 1e7 / per_s),
    })
}

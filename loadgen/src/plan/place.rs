//! The machine that is planned for.

use std::path::Path;
use std::time::Duration;

use ringkeep_bench::data_dir::DataDir;
use ringkeep_bench::environment::Environment;
use ringkeep_bench::probe::{probe, reads_at_depth};
use ringkeep_bench::quantity::{Count, Size};
use serde::Deserialize;

/// What a machine has.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub cores: usize,
    pub ram_bytes: f64,
    pub disk_bytes: f64,
    pub read_per_s: f64,
    pub write_bytes_per_s: f64,
    pub from: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cores: usize,
    ram: Size,
    disk: Size,
    reads_per_s: Count,
    writes_per_s: Size,
}

const READS_AT: usize = 64;
const EACH: Duration = Duration::from_millis(300);

impl Place {
    /// This machine as it is now, with a short look at the device under `dir`.
    pub fn here(dir: Option<&Path>) -> Result<Place, String> {
        let dir = match dir {
            Some(path) => DataDir::at(path),
            None => DataDir::temporary(),
        }?;
        let environment = Environment::of(dir.path());
        let found = probe(dir.path(), EACH)?;
        let (read_per_s, ..) = reads_at_depth(dir.path(), READS_AT, EACH)?;
        let limit = environment
            .cgroup_cpu_milli
            .map(|milli| milli.div_ceil(1000));
        let cores = limit.map_or(environment.cores, |n| environment.cores.min(n as usize));
        let ram = environment
            .cgroup_memory_bytes
            .map_or(environment.ram_bytes, |n| n.min(environment.ram_bytes));
        Ok(Place {
            cores: cores.max(1),
            ram_bytes: ram as f64,
            disk_bytes: environment.free_bytes as f64,
            read_per_s,
            write_bytes_per_s: found.write_bytes_per_s as f64,
            from: format!(
                "this machine: {} x {}, {} on {}",
                environment.cores, environment.cpu, environment.file_system, environment.device
            ),
        })
    }

    /// As described in a file.
    pub fn read(path: &Path) -> Result<Place, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            format!(
                "{}: {error}a box has cores = 16, ram = \"64GiB\", disk = \"2TB\", reads_per_s = \"400k\", \
                 writes_per_s = \"1GB\"",
                path.display()
            )
        })?;
        Ok(Place {
            cores: file.cores.max(1),
            ram_bytes: file.ram.bytes as f64,
            disk_bytes: file.disk.bytes as f64,
            read_per_s: file.reads_per_s.n as f64,
            write_bytes_per_s: file.writes_per_s.bytes as f64,
            from: path.display().to_string(),
        })
    }

    /// Cores that the target works on: all but the one left to callers.
    pub fn target_cores(&self) -> usize {
        self.cores.saturating_sub(1).max(1)
    }
}

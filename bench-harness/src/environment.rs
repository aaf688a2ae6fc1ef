//! Where a run took place: what must be equal before two numbers may be compared.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The machine as the kernel describes it. What it does not tell is empty or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Host kernel.
    pub kernel: String,
    /// CPU model.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory of the machine.
    pub ram_bytes: u64,
    /// Memory that could be had when the run began.
    pub available_bytes: u64,
    /// CPU limit of the control group, in thousandths of a core.
    pub cgroup_cpu_milli: Option<u64>,
    /// Memory limit of the control group.
    pub cgroup_memory_bytes: Option<u64>,
    /// Frequency governor.
    pub governor: String,
    /// Clock source.
    pub clock_source: String,
    /// Virtual machine, if the CPU admits it.
    pub virtualized: bool,
    /// Swap in the machine.
    pub swap_bytes: u64,
    /// The directory that was measured.
    pub dir: String,
    /// Its file system.
    pub file_system: String,
    /// Its device.
    pub device: String,
    /// Does the device say it rotates?
    pub rotational: Option<bool>,
    /// Free bytes there before the run.
    pub free_bytes: u64,
    /// Load average before the run, in hundredths.
    pub load_average_centi: u64,
    /// What the device answered to a short probe, if one was made.
    pub probe: Option<DeviceProbe>,
}

/// A short look at the device under the data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProbe {
    /// Were the reads direct?
    pub direct: bool,
    /// P50 of a 4 KiB random read at depth 1.
    pub read_p50_ns: u64,
    /// P99 of the same.
    pub read_p99_ns: u64,
    /// P50 of a 4 KiB append made durable.
    pub sync_p50_ns: u64,
    /// P99 of the same.
    pub sync_p99_ns: u64,
    /// Sequential write rate.
    pub write_bytes_per_s: u64,
}

impl Environment {
    /// As of now, for data in `dir`.
    pub fn of(dir: &Path) -> Environment {
        let (device, rotational) = device(dir);
        Environment {
            kernel: kernel(),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            ram_bytes: kib("MemTotal"),
            available_bytes: kib("MemAvailable"),
            cgroup_cpu_milli: cgroup_cpu_milli(),
            cgroup_memory_bytes: read("/sys/fs/cgroup/memory.max")
                .and_then(|text| text.parse().ok()),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
                .unwrap_or_default(),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                .unwrap_or_default(),
            virtualized: field("/proc/cpuinfo", "flags")
                .is_some_and(|flags| flags.contains("hypervisor")),
            swap_bytes: kib("SwapTotal"),
            dir: dir.display().to_string(),
            file_system: file_system(dir),
            device,
            rotational,
            free_bytes: free_bytes(dir),
            load_average_centi: load_average_centi(),
            probe: None,
        }
    }
}

/// Bytes that an unprivileged process may still write under `dir`.
pub fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |stat| stat.f_bavail * stat.f_frsize)
}

/// Bytes of the files under `dir`, as allocated on disk.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_string())
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn kib(name: &str) -> u64 {
    field("/proc/meminfo", name)
        .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

fn kernel() -> String {
    let name = rustix::system::uname();
    format!(
        "{} {} {}",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy()
    )
}

fn cgroup_cpu_milli() -> Option<u64> {
    let text = read("/sys/fs/cgroup/cpu.max")?;
    let (quota, period) = text.split_once(' ')?;
    Some(quota.parse::<u64>().ok()? * 1000 / period.parse::<u64>().ok()?.max(1))
}

fn load_average_centi() -> u64 {
    let text = read("/proc/loadavg").unwrap_or_default();
    let first = text
        .split(' ')
        .next()
        .and_then(|word| word.parse::<f64>().ok());
    first.map_or(0, |load| (load * 100.0) as u64)
}

/// The file system type of the longest mount point above `dir`.
fn file_system(dir: &Path) -> String {
    let dir = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_path_buf());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let point = words.next()?;
            dir.starts_with(point)
                .then_some((point.len(), words.next()?))
        })
        .max()
        .map_or(String::new(), |(_, kind)| kind.to_string())
}

fn device(dir: &Path) -> (String, Option<bool>) {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::metadata(dir) else {
        return (String::new(), None);
    };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let link = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"));
    let Ok(link) = link else {
        return (format!("{major}:{minor}"), None);
    };
    let name = link
        .file_name()
        .map_or(String::new(), |name| name.to_string_lossy().to_string());
    // A partition has no queue of its own; its disk does.
    let rotational = [
        link.join("queue/rotational"),
        link.join("../queue/rotational"),
    ]
    .iter()
    .find_map(|path| std::fs::read_to_string(path).ok())
    .map(|text| text.trim() == "1");
    (name, rotational)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_described() {
        let environment = Environment::of(&std::env::temp_dir());
        assert!(environment.kernel.starts_with("Linux"));
        assert!(environment.cores > 0 && environment.ram_bytes > 0);
        assert!(environment.free_bytes > 0 && !environment.file_system.is_empty());
    }
}

//! What this process costs the machine, and what the others on it do, as the kernel counts it.

use crate::clock::process_cpu_ns;
use crate::placement::cores_allowed;

/// One tick of `/proc/stat`: USER_HZ is 100 wherever this runs.
const TICK_NS: u64 = 10_000_000;

/// Running totals and levels of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// CPU time of all threads.
    pub cpu_ns: u64,
    /// Bytes fetched from storage.
    pub read_bytes: u64,
    /// Bytes sent to storage.
    pub write_bytes: u64,
    /// Memory resident now.
    pub rss_bytes: u64,
    /// Time for which the cores of this process were busy, whoever kept them so. In steps of 10 ms.
    pub cores_busy_ns: u64,
    /// Time that those cores had.
    pub cores_ns: u64,
}

impl ProcessUse {
    /// As of now. What the kernel does not tell is zero.
    pub fn now() -> ProcessUse {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field = |name: &str| {
            io.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                .unwrap_or(0)
        };
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let (cores_busy_ns, cores_ns) = cores_use(&stat, &cores_allowed());
        ProcessUse {
            cpu_ns: process_cpu_ns(),
            read_bytes: field("read_bytes:"),
            write_bytes: field("write_bytes:"),
            rss_bytes: rss_bytes(),
            cores_busy_ns,
            cores_ns,
        }
    }

    /// What was used since `before`; the resident size stays what it is now.
    pub fn since(&self, before: &ProcessUse) -> ProcessUse {
        ProcessUse {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            write_bytes: self.write_bytes.saturating_sub(before.write_bytes),
            rss_bytes: self.rss_bytes,
            cores_busy_ns: self.cores_busy_ns.saturating_sub(before.cores_busy_ns),
            cores_ns: self.cores_ns.saturating_sub(before.cores_ns),
        }
    }

    /// CPU time that other processes, and other machines on the same host, took of these cores.
    pub fn others_cpu_ns(&self) -> u64 {
        self.cores_busy_ns.saturating_sub(self.cpu_ns)
    }
}

/// Busy time and all time of `cores`. Time that the host gave to another machine (steal) is busy; waiting for
/// a device is not.
fn cores_use(stat: &str, cores: &[usize]) -> (u64, u64) {
    let ours = |name: &str| {
        name.strip_prefix("cpu")
            .and_then(|number| number.parse().ok())
            .is_some_and(|core: usize| cores.contains(&core))
    };
    let mut sum = (0, 0);
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(ours) {
            continue;
        }
        // user nice system idle iowait irq softirq steal; what follows is counted in user and nice already.
        let ticks: Vec<u64> = words.take(8).filter_map(|word| word.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        sum = (sum.0 + (all - idle) * TICK_NS, sum.1 + all * TICK_NS);
    }
    sum
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib: u64 = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0);
    kib * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_all_but_idle_and_waiting_on_the_cores_asked_for() {
        let stat = "cpu  30 0 0 100 0 0 0 0 0 0\ncpu0 10 1 2 30 5 3 4 6 9 9\ncpu1 20 0 0 70 0 0 0 0 0 0\n\
                    cpu10 9 9 9 9 9 9 9 9 9 9\nintr 5\n";
        assert_eq!(cores_use(stat, &[0]), (26 * TICK_NS, 61 * TICK_NS));
        assert_eq!(cores_use(stat, &[0, 1]), (46 * TICK_NS, 151 * TICK_NS));
        assert_eq!(cores_use("", &[0]), (0, 0));
    }

    #[test]
    fn others_have_what_the_process_has_not() {
        let used = ProcessUse {
            cpu_ns: 30,
            cores_busy_ns: 100,
            ..ProcessUse::default()
        };
        assert_eq!(used.others_cpu_ns(), 70);
        // Ticks are coarse: a process may seem to have used more than there was.
        let fine = ProcessUse {
            cores_busy_ns: 0,
            ..used
        };
        assert_eq!(fine.others_cpu_ns(), 0);
    }
}

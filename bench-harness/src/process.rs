//! What this process costs the machine, as the kernel counts it.

use crate::clock::process_cpu_ns;

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
        ProcessUse {
            cpu_ns: process_cpu_ns(),
            read_bytes: field("read_bytes:"),
            write_bytes: field("write_bytes:"),
            rss_bytes: rss_bytes(),
        }
    }

    /// What was used since `before`; the resident size stays what it is now.
    pub fn since(&self, before: &ProcessUse) -> ProcessUse {
        ProcessUse {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            read_bytes: self.read_bytes.saturating_sub(before.read_bytes),
            write_bytes: self.write_bytes.saturating_sub(before.write_bytes),
            rss_bytes: self.rss_bytes,
        }
    }
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

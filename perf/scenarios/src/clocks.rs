//! Real time and CPU time: the shard's own clock is virtual here.

use rustix::time::{ClockId, clock_gettime};

/// Whether clocks may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Yes.
    Running,
    /// No: all times are zero. Under Valgrind the search for the kernel's clock page ends in a fault.
    Stopped,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub cpu_ns: u64,
    pub wall_ns: u64,
}

impl Clocks {
    pub(crate) fn read(self) -> Times {
        let nanos = |clock| match self {
            Clocks::Stopped => 0,
            Clocks::Running => {
                let time = clock_gettime(clock);
                time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
            }
        };
        Times {
            cpu_ns: nanos(ClockId::ThreadCPUTime),
            wall_ns: nanos(ClockId::Monotonic),
        }
    }
}

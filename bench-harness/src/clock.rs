//! Time as the harness sees it: nanoseconds since the clock was made.
//!
//! The real clock is the operating system's monotonic one. The virtual clock stands still until someone
//! moves it, so that a test can run an hour of load in a millisecond and always the same way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A source of nanoseconds; clones share one time line.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's monotonic clock, counted from its own start.
    Real(Instant),
    /// Moves only when told to.
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// The operating system's clock, starting now.
    pub fn real() -> Clock {
        Clock::Real(Instant::now())
    }

    /// A clock at zero that only `advance_to` and `sleep_until` move.
    pub fn virtual_at_zero() -> Clock {
        Clock::Virtual(Arc::new(AtomicU64::new(0)))
    }

    /// Nanoseconds since the clock began.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        match self {
            Clock::Real(start) => start.elapsed().as_nanos() as u64,
            Clock::Virtual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Moves a virtual clock forward to `ns`; the real clock moves by itself.
    pub fn advance_to(&self, ns: u64) {
        if let Clock::Virtual(now) = self {
            now.fetch_max(ns, Ordering::AcqRel);
        }
    }

    /// Gives the thread away until `ns`. Returns late by what the scheduler takes, never early.
    pub fn sleep_until(&self, ns: u64) {
        match self {
            Clock::Virtual(_) => self.advance_to(ns),
            Clock::Real(_) => loop {
                let now = self.now_ns();
                if now >= ns {
                    return;
                }
                std::thread::sleep(Duration::from_nanos(ns - now));
            },
        }
    }

    /// Is this a virtual clock?
    pub fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }
}

/// CPU nanoseconds used by the calling thread.
pub fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU nanoseconds used by the process.
pub fn process_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Asks the kernel to end this thread's sleeps on time instead of up to 50 us late.
pub fn sharpen_sleep() {
    // A refusal (a sandbox) only makes sleeps coarser, and slip shows that.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

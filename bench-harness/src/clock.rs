//! Time as the harness sees it: nanoseconds since the clock was made.
//!
//! The real clock reads the processor's counter where it runs evenly, scaled to the operating system's clock,
//! and that clock elsewhere: three readings for each operation are most of what a generator costs. The virtual
//! clock stands still until someone moves it, so that a test can run an hour of load in a millisecond and always
//! the same way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of nanoseconds; clones share one time line.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Counted from its own start, which the second field holds as the counter had it.
    Real(quanta::Clock, u64),
    /// Moves only when told to.
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// Real time, starting now.
    pub fn real() -> Clock {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        Clock::Real(clock, start)
    }

    /// A clock at zero that only `advance_to` and `sleep_until` move.
    pub fn virtual_at_zero() -> Clock {
        Clock::Virtual(Arc::new(AtomicU64::new(0)))
    }

    /// Nanoseconds since the clock began.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        match self {
            Clock::Real(clock, start) => clock.delta_as_nanos(*start, clock.raw()),
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
            Clock::Real(..) => loop {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_runs_like_the_systems() {
        let clock = Clock::real();
        let system = std::time::Instant::now();
        let start = clock.now_ns();
        clock.sleep_until(start + 50_000_000);
        let (ours, theirs) = (clock.now_ns() - start, system.elapsed().as_nanos() as u64);
        // The two are read one after the other, so the later reading can only be larger by what lies between.
        assert!(ours >= 50_000_000);
        assert!(ours as f64 <= theirs as f64 * 1.001, "{ours} and {theirs}");
    }

    #[test]
    fn virtual_time_moves_only_when_told() {
        let clock = Clock::virtual_at_zero();
        let twin = clock.clone();
        clock.sleep_until(5);
        clock.advance_to(3);
        assert_eq!(twin.now_ns(), 5);
    }
}

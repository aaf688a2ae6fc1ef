//! The measured window of a phase, shared by its drivers and the one who watches them.
//!
//! An operation belongs to the window if its intended start does. What was intended inside and answered after
//! the end is still waited for, so a stall at the end is not cut off.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Not decided yet.
pub const OPEN: u64 = u64::MAX;

/// Times are clock nanoseconds. Written by the watcher (and by drivers that count operations), read by drivers.
#[derive(Debug)]
pub struct Window {
    /// When load starts.
    pub start_ns: u64,
    from_ns: AtomicU64,
    to_ns: AtomicU64,
    drain_ns: u64,
    stop: AtomicBool,
}

impl Window {
    /// A window whose ends are not known yet; unanswered operations are given up `drain_ns` after its end.
    pub fn starting(start_ns: u64, drain_ns: u64) -> Window {
        Window {
            start_ns,
            from_ns: AtomicU64::new(OPEN),
            to_ns: AtomicU64::new(OPEN),
            drain_ns,
            stop: AtomicBool::new(false),
        }
    }

    /// A window known in advance.
    pub fn fixed(start_ns: u64, from_ns: u64, to_ns: u64, drain_ns: u64) -> Window {
        let window = Window::starting(start_ns, drain_ns);
        window.measure(from_ns, to_ns);
        window
    }

    /// Measures from now on; `OPEN` leaves the end to `close`.
    pub fn measure(&self, from_ns: u64, to_ns: u64) {
        self.to_ns.store(to_ns, Ordering::Release);
        self.from_ns.store(from_ns, Ordering::Release);
    }

    /// Ends the window at `now_ns`, unless it ends earlier anyway.
    pub fn close(&self, now_ns: u64) {
        self.to_ns.fetch_min(now_ns, Ordering::AcqRel);
    }

    /// Ends everything at once: someone wants out.
    pub fn stop(&self, now_ns: u64) {
        self.stop.store(true, Ordering::Release);
        self.close(now_ns);
    }

    /// Has someone asked to end early?
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// First nanosecond measured, or `OPEN`.
    #[inline]
    pub fn from_ns(&self) -> u64 {
        self.from_ns.load(Ordering::Relaxed)
    }

    /// First nanosecond after the window, or `OPEN`.
    #[inline]
    pub fn to_ns(&self) -> u64 {
        self.to_ns.load(Ordering::Relaxed)
    }

    /// When unanswered operations are given up.
    pub fn give_up_ns(&self) -> u64 {
        match self.stopped() {
            true => self.to_ns(),
            false => self.to_ns().saturating_add(self.drain_ns),
        }
    }
}

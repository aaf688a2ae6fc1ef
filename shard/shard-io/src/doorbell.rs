//! Wakes a parked `Io` from any thread.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends [`Io::park`](crate::Io::park) from any thread. A ring while nobody is parked ends the next park at once.
#[derive(Clone)]
pub struct Doorbell(Bell);

#[derive(Clone)]
enum Bell {
    Kernel(Arc<File>),
    Simulated(Arc<AtomicBool>),
}

impl Doorbell {
    pub(crate) fn kernel(eventfd: Arc<File>) -> Doorbell {
        Doorbell(Bell::Kernel(eventfd))
    }

    pub(crate) fn simulated(flag: Arc<AtomicBool>) -> Doorbell {
        Doorbell(Bell::Simulated(flag))
    }

    /// Ends the current or the next park. One system call.
    pub fn ring(&self) {
        match &self.0 {
            // Blocks only when the counter is full, which takes 2^64 rings without a park.
            Bell::Kernel(eventfd) => drop((&**eventfd).write(&1u64.to_ne_bytes())),
            Bell::Simulated(flag) => flag.store(true, Ordering::Release),
        }
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorbell")
    }
}

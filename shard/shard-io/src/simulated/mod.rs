//! A disk whose every fault comes from a seed.
//!
//! ```text
//!   host.rs       what an `Io`, a file and a directory are on this disk
//!   disk.rs       what a test does to the disk and asks of it
//!   device.rs     the event queue: virtual time, latency, completion, crash
//!   faults.rs     what goes wrong next
//!   inode.rs      one file: what reads see, what is durable, what lies between
//!   namespace.rs  names: what lookups see, what is durable, what lies between
//!   trace.rs      one number for everything that happened
//! ```
//!
//! It is stricter than most real disks, because the engine may rely on nothing more:
//! a durable write flushes nothing but itself, a sync covers only writes that had completed when it was asked for,
//! and names survive only by a sync of their directory.

mod device;
mod disk;
mod faults;
mod host;
mod inode;
mod namespace;
mod options;
mod random;
mod trace;

pub use device::DiskCounters;
pub use disk::SimulatedDisk;
pub use faults::Times;
pub(crate) use host::{Host, SimulatedDirectory, SimulatedFile};
pub use options::{Crash, Latency, Probabilities, SimulatedOptions};

/// What the device writes whole: a larger write can tear between any two of these.
pub(crate) const SECTOR: usize = 512;

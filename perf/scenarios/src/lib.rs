//! Fixed work for one shard, or for a database of two on two hosts, on a simulated disk, and what it cost.
//!
//! Everything here repeats: keys and values come from counters, the disk from a seed, and a shard is a function of
//! its calls and its disk's answers, as are hosts that one thread turns. So two runs of one binary count the same reads, writes, bytes and allocations,
//! and a change of a count is a change of the code.
//!
//! A scenario prepares its world, then does its work inside [`measured_part`]. All calls are made before, and nothing
//! in between allocates but the engine and the simulated disk.
//!
//! The one who judges (`perf`) never links against the two sides that it compares: it starts a binary, which may be
//! its own or that of another commit, and reads an [`Outcome`].

mod allocation;
mod clocks;
mod counts;
mod hosts;
mod ledger;
mod on_device;
mod outcome;
mod scenario;
mod through;
mod world;

pub use allocation::{Allocated, CountingAllocator, allocated};
pub use clocks::Clocks;
pub use on_device::OnDevice;
pub use outcome::{Outcome, Toolchain};
pub use scenario::{SCENARIOS, Scenario};

/// The only code whose instructions and times count. Its name is what Callgrind is told to look for.
#[inline(never)]
pub fn measured_part(work: &mut dyn FnMut()) {
    work();
    // Or the last call is a jump, and Callgrind sees this function end before its work begins.
    std::hint::black_box(());
}

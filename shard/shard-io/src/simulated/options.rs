//! What a simulated disk is like. Everything random is drawn from its seed.

use crate::Nanos;

/// How a simulated disk behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedOptions {
    /// How long operations take.
    pub latency: Latency,
    /// What the device transfers, one request at a time in the order in which they came; nothing: as much as is asked
    /// for. The latency comes on top.
    pub bytes_per_second: Option<u64>,
    /// What goes wrong by itself.
    pub probabilities: Probabilities,
    /// Room for all files together.
    pub capacity_bytes: u64,
    /// The wall clock when virtual time is zero.
    pub wall_clock_start: Nanos,
    /// Virtual time that one turn takes, so that a loop that polls and never parks still gets on.
    pub turn_nanos: Nanos,
    /// How much longer than others an operation takes that fails.
    pub failing_factor: u64,
}

/// How long operations take: evenly between least and most, sometimes much longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    /// Shortest.
    pub least: Nanos,
    /// Longest of the usual ones.
    pub most: Nanos,
    /// How often an operation is in the tail, 0 to 1.
    pub tail_probability: f64,
    /// How much longer it takes then.
    pub tail_factor: u64,
}

/// How often things go wrong by themselves, each from 0 to 1 per operation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probabilities {
    /// A read fails with EIO.
    pub read_error: f64,
    /// A write fails with EIO, any part of it done.
    pub write_error: f64,
    /// A sync fails with EIO, and the next one will not make up for it.
    pub sync_error: f64,
    /// A transfer of several pages ends early and is continued, as with the kernel.
    pub short: f64,
}

/// What a power loss leaves of what was not durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crash {
    /// One of the others, by seed.
    #[default]
    Random,
    /// Nothing.
    LoseAll,
    /// Everything, also what was in flight.
    KeepAll,
    /// Each write whole or not at all.
    Writes,
    /// Each sector of each write, and of overlapping writes either.
    Sectors,
}

impl Default for SimulatedOptions {
    fn default() -> SimulatedOptions {
        SimulatedOptions {
            latency: Latency {
                least: 10_000,
                most: 100_000,
                tail_probability: 0.001,
                tail_factor: 50,
            },
            bytes_per_second: None,
            probabilities: Probabilities::default(),
            capacity_bytes: 1 << 40,
            // 2026-01-01, so that times look like times.
            wall_clock_start: 1_767_225_600_000_000_000,
            turn_nanos: 200,
            failing_factor: 1,
        }
    }
}

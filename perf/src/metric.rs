//! What is measured, how it may be compared, and by how much it may grow.

use serde::{Deserialize, Serialize};

/// How much a metric can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Counted: two runs of one binary are equal, so any difference is the code's.
    Work,
    /// CPU time: compared in pairs of runs made side by side.
    Cpu,
    /// Real time: as CPU time, and only where the machine is quiet enough to tell.
    Wall,
}

/// Instructions of the measured part, by Callgrind. Depend on the compiler.
pub const INSTRUCTIONS: &str = "instructions";
/// CPU time of the measured part.
pub const CPU: &str = "cpu_ns";
/// Real time of it.
pub const WALL: &str = "wall_ns";
/// Bytes written to the device for each byte that the caller wrote.
pub const WRITE_AMPLIFICATION: &str = "write_amplification";
/// Bytes in tables for each byte of records that exist.
pub const SPACE_AMPLIFICATION: &str = "space_amplification";

/// The class of a metric.
pub fn class(metric: &str) -> Class {
    match metric {
        CPU => Class::Cpu,
        WALL => Class::Wall,
        _ => Class::Work,
    }
}

/// By what share a metric may grow: nothing for counts, little for sizes, a compiler's whim for instructions.
pub fn threshold(metric: &str) -> f64 {
    match metric {
        INSTRUCTIONS => 0.02,
        CPU => 0.05,
        WALL => 0.10,
        WRITE_AMPLIFICATION | SPACE_AMPLIFICATION => 0.01,
        _ if metric.ends_with("_bytes") => 0.01,
        _ => 0.0,
    }
}

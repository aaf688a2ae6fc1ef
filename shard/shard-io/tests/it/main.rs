//! Everything an `Io` promises, on every backend, and everything a simulated disk may do to it.

mod conformance;
mod files;
mod limits;
mod memory;
mod model;
#[cfg(feature = "quarantine")]
mod quarantine;
mod rig;
mod simulated;
mod waiting;

//! Everything an `Io` promises, on every backend.

mod conformance;
mod rig;

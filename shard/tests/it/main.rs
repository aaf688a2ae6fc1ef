//! Whole shards on the simulated disk.

mod counters;
mod faults;
mod model;
mod random;
mod world;

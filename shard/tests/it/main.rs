//! Whole shards on the simulated disk.

mod compaction;
mod counters;
mod cross;
mod faults;
mod model;
mod random;
mod reads;
mod world;

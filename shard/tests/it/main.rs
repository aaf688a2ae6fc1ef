//! Whole shards on the simulated disk.

mod compaction;
mod counters;
mod cross;
mod faults;
mod held_letters;
mod model;
mod random;
mod reads;
mod rows;
mod verify;
mod world;

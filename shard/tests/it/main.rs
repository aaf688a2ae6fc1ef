//! Whole shards on the simulated disk.

mod blobs;
mod closing;
mod compaction;
mod counters;
mod cross;
mod expiry;
mod faults;
mod held_letters;
mod history;
mod log_space;
mod model;
mod random;
mod range_deletes;
mod reads;
mod rows;
mod salvage;
mod sustained;
mod tail;
mod verify;
mod world;

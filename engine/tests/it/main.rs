//! The engine on real files, as a service uses it.

mod folder;

mod asynchronous;
mod batch;
mod blobs;
mod codecs;
mod crud;
mod damage;
mod examples;
#[cfg(feature = "glommio")]
mod executor;
mod expiry;
mod hot_rows;
mod idle;
mod in_memory;
mod keyspace;
mod latency;
mod leak;
mod limits;
mod memory_budget;
mod on_shard;
mod options;
mod panics;
mod past;
mod paths;
mod range_delete;
mod receipt;
mod reopen;
mod salvage;
mod scan;
mod scan_work;
mod second_opener;
mod size;
mod snapshot;
mod transaction;
mod update;
mod visits;
mod windows;

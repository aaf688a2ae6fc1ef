//! The whole database from one seed: several shards on hosts that are driven by hand, clients, and a disk and
//! clock that are simulated. The engine is the one of production, from the door to the kernel upwards.
//!
//! ```text
//!   random.rs    seeded numbers
//!   draw.rs      seed → plan: configuration, workload and faults, each seed with some of them (swarm)
//!   plan.rs      a plan: data that can be printed, kept and made shorter
//!   world/       runs a plan
//!   content.rs   keys and values that tell who wrote them
//!   model/       what reads, scans, transactions and recoveries may show
//!   history/     whether transactions over lists can have happened in any order: two judges
//!   failure.rs   the checks
//!   tails.rs     plans of processes that are killed behind answers that the log does not have yet
//!   canonical.rs short plans that between them do everything
//!   sweep.rs     each of them with everything that can go wrong, at every place
//!   search.rs    many seeds on several threads
//!   shrink.rs    a failing plan made shorter
//!   corpus.rs    what failed once, run for ever
//!   alarms.rs    planted mistakes, and which check finds each
//! ```
//!

#![allow(
    missing_docs,
    reason = "fields of plans are named to be read; nobody links this crate"
)]

#[cfg(feature = "planted")]
pub mod alarms;
pub mod canonical;
pub mod content;
pub mod corpus;
pub mod draw;
pub mod failure;
pub mod history;
pub mod model;
pub mod plan;
pub mod random;
pub mod search;
pub mod shrink;
pub mod sweep;
pub mod tails;
pub mod totals;
pub mod world;

pub use failure::{Check, Failure, Verdict};
pub use totals::Totals;
pub use world::{Run, run};

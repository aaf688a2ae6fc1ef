//! ringkeep-bench: one experiment against one store, measured so that the numbers can be believed.
//!
//! A [`workload`] says what is stored, what is asked for and when. A [`target`] is the store. A [`drive`]r
//! issues planned operations at their intended times; a [`recorder`] keeps three clocks for each of them:
//! response (due to done), service (issued to done) and slip (due to issued). A [`phase`] warms up, measures
//! and drains; an [`experiment`] loads a dataset, runs the phases and hands back [`report`] data, which is
//! printed as a table, JSON, an interval log, CSV, Markdown, JUnit or one HTML page.
//!
//! What never happens here: a clock that starts at the issue and is called latency; an operation generated
//! between an issue and a completion that could have been seen; a failed or unanswered operation left out of
//! the histogram; a percentile printed without enough samples behind it.

pub mod clock;
pub mod quantity;
pub mod random;
pub mod slo;
pub mod statistics;

pub mod workload;

pub mod suite;

pub mod trace;

pub mod target;

pub mod window;

pub mod drive;
pub mod past;
pub mod recorder;
pub mod steady;

pub mod phase;

pub mod data_dir;
pub mod kept;
pub mod killed;
pub mod load;
pub mod placement;

pub mod experiment;

pub mod curve;
pub mod generator;

pub mod prove;

pub mod environment;
pub mod probe;
pub mod process;

pub mod report;

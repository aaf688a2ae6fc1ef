//! The one door between a shard and the kernel.
//!
//! An [`Io`] belongs to one thread and speaks through one of three backends, chosen when it is opened:
//! the ring (io_uring), the portable one (blocking calls on a few threads, for places that deny io_uring),
//! or a [`SimulatedDisk`], where time is virtual and every fault comes from a seed. While that thread sleeps, another
//! may [visit](Io::begin_visit), and carry out what it started by a blocking call of its own, an [`Errand`].
//!
//! Three rules hold on all of them:
//!
//! 1. **A buffer belongs to the operation in flight.** It goes in with [`Io::read`] or [`Io::write`] and
//!    comes back in the [`Completion`]. Dropping the [`Ticket`] abandons the result, never the buffer: `Io` keeps
//!    it until the kernel is done with it.
//! 2. **Completions come in any order** and nothing orders one write before another except waiting.
//! 3. **A completed write is not a durable write** unless it was [`WriteDurability::Durable`] or an
//!    [`Io::sync`] of that file, asked for later, has succeeded. Names are durable after
//!    [`Directory::sync`] only.
//!
//! Beside them there are [`CachedFile`]s, which the call itself writes: into the page cache, which outlives a process.
//!
//! ```
//! use ringkeep_io::{Buffer, Io, OpenMode, PAGE, SimulatedDisk, SimulatedOptions, WriteDurability};
//!
//! // In production: `Io::open(&IoOptions::default())` and an existing directory.
//! let disk = SimulatedDisk::new(1, SimulatedOptions::default());
//! let io = Io::simulated(&disk);
//! let directory = io.directory("/db".as_ref())?;
//! let file = directory.open("log", OpenMode::CreateNew)?;
//! directory.sync()?;
//!
//! let mut ticket = io.write(&file, 0, Buffer::zeroed(PAGE), PAGE, WriteDurability::Durable);
//! let completion = loop {
//!     io.turn(); // submits and reaps
//!     match ticket.try_take() {
//!         Some(completion) => break completion,
//!         None => io.park(None), // sleeps until something completes
//!     }
//! };
//! assert_eq!(completion.result, Ok(PAGE));
//! # Ok::<(), ringkeep_io::IoError>(())
//! ```
//!
//! A process that may meet a file size limit must ignore SIGXFSZ: the kernel kills it otherwise, before any error
//! is seen.
//!
//! Absent on purpose: cancellation, appends, unaligned I/O past the page cache, two writes in flight over one block.

mod error;
mod options;

mod doorbell;
mod file_system;
mod report;

mod block;
mod buffer;
mod cached;
mod directory;
mod errand;
mod file;
mod flight;
mod io;
mod operation;
mod sleep;
mod ticket;
mod visit;
mod words;

mod entry;
mod memory;
pub mod planted;
mod portable;
mod probe;
#[cfg(feature = "quarantine")]
mod quarantine;
mod ring;
mod simulated;
mod system;

pub use block::Span;
pub use buffer::Buffer;
pub use cached::CachedFile;
pub use directory::Directory;
pub use doorbell::Doorbell;
pub use errand::Errand;
pub use error::{Doing, IoError, Result};
pub use file::{File, OpenMode};
pub use file_system::FileSystem;
pub use io::Io;
pub use memory::MemoryDisk;
pub use operation::WriteDurability;
pub use options::{Backend, Direct, IoOptions};
pub use report::{BackendKind, Counters, DirectoryFacts, Report};
pub use simulated::{
    Crash, DiskCounters, Latency, Probabilities, SimulatedDisk, SimulatedOptions, Times,
};
pub use sleep::Sleep;
pub use ticket::{Completion, Ticket};
pub use visit::Visited;
pub use words::Words;

/// Every offset, length and buffer is a multiple of this.
pub const PAGE: usize = 4096;

/// Nanoseconds: since an arbitrary start for the monotonic clock, since 1970 for the wall clock.
pub type Nanos = u64;

/// The machine's monotonic clock, which every [`Io`] but a simulated one goes by.
pub fn now() -> Nanos {
    system::monotonic()
}

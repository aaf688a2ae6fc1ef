//! Traces: what a store was asked, sampled while it ran, and asked again later.
//!
//! `format` holds the bytes, `recording` writes them from a running process, `script` makes a trace ready to be
//! replayed by the drivers, `twitter`, `cachebench` and `ycsb` read what other tools wrote, `fit` describes a trace
//! by laws.
//!
//! Any process can record. The key is hashed with a secret that is not stored, unless raw keys are asked for:
//!
//! ```
//! use ringkeep_bench::trace::{Keys, Recording, read};
//! use ringkeep_bench::workload::OpKind;
//!
//! let path = std::env::temp_dir().join(format!("doc-{}.trace", std::process::id()));
//! let recording = Recording::create(&path, Keys::Anonymous, 1, 1 << 20)?;
//! recording.start();
//! let mut tap = recording.tap(); // one per thread
//! tap.note(OpKind::Get, [&b"user:17"[..]].into_iter(), 0, 0, false);
//! drop(tap);
//! assert_eq!(read(&path)?.records.len(), 1);
//! # std::fs::remove_file(&path).unwrap();
//! # Ok::<(), String>(())
//! ```

pub mod cachebench;
pub mod fit;
pub mod format;
mod import;
mod recording;
mod script;
mod tap;
pub mod twitter;
pub mod ycsb;

pub use format::{Head, Key, Keys, Record};
pub use recording::{Recording, Tap};
pub use script::{Script, ScriptUse};
pub use tap::TappedTarget;

use std::path::Path;

/// A whole trace, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What it says about itself.
    pub head: Head,
    /// What was asked.
    pub records: Vec<Record>,
    /// Bytes at the end that are no whole block: the process died while it recorded.
    pub torn_bytes: usize,
}

/// Reads a trace file.
pub fn read(path: &Path) -> Result<Trace, String> {
    let bytes =
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    format::decode(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a trace to a new file.
pub fn write(path: &Path, head: &Head, records: &[Record]) -> Result<(), String> {
    use std::io::Write;
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let mut file = std::fs::File::create_new(path).map_err(cannot)?;
    let mut bytes = format::encode_head(head);
    let mut block = format::BlockBuilder::new(head.keys);
    for record in records {
        if block.is_full() {
            bytes.extend(block.take());
        }
        block.push(record);
    }
    bytes.extend(block.take());
    file.write_all(&bytes).map_err(cannot)
}

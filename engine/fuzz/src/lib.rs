//! Bytes that nobody wrote, for every decoder and for opening a database.
//!
//! A target takes any bytes and returns. It may not panic, ask for memory by what the bytes say, or take for its
//! own what it could not have written. `fuzz_targets/` has each for cargo-fuzz, which needs the compiler's coverage
//! counters; `tests/it` feeds all of them mutations from a seed, and needs nothing.
//!
//! What made a target fail once is a file in `corpus/<target>/`, and is run by both.

mod mutate;
mod open;
mod trace;

use std::path::PathBuf;

pub use mutate::Mutator;
pub use open::{Flips, flip_every};

/// Something that takes any bytes.
pub struct Target {
    /// As in `fuzz_targets/`.
    pub name: &'static str,
    /// Returns whatever the bytes are.
    pub run: fn(&[u8]),
    /// Inputs that get far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 12] = {
    use ringkeep::fuzz as engine;
    use ringkeep_shard::fuzz as shard;
    [
        target("varint", shard::varint, shard::varint_seeds),
        target("log", shard::log, shard::log_seeds),
        target("tail", shard::tail, shard::tail_seeds),
        target("manifest", shard::manifest, shard::manifest_seeds),
        target("superblock", shard::superblock, shard::superblock_seeds),
        target("block", shard::block, shard::block_seeds),
        target("filter", shard::filter, shard::filter_seeds),
        target("table", shard::table, shard::table_seeds),
        target(
            "database_file",
            engine::database_file,
            engine::database_file_seeds,
        ),
        target("keyspaces", engine::keyspaces, engine::keyspaces_seeds),
        target("trace", trace::trace, trace::seeds),
        target("open", open::open, open::seeds),
    ]
};

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Runs one target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(input);
}

impl Target {
    /// What made it fail once, by file name.
    pub fn corpus(&self) -> Vec<(String, Vec<u8>)> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let Ok(files) = std::fs::read_dir(folder.join("corpus").join(self.name)) else {
            return Vec::new();
        };
        let read = |path: PathBuf| (path.display().to_string(), std::fs::read(path));
        let files = files.map(|file| read(file.expect("a folder").path()));
        files
            .map(|(name, bytes)| (name, bytes.expect("a file")))
            .collect()
    }
}

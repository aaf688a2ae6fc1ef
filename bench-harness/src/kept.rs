//! Datasets that a run left behind for the next one.
//!
//! Beside a target's folder lies a description of what was loaded into it. It goes away before anything adds or
//! removes keys, so that a folder with a description holds exactly what it says.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::workload::Dataset;

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The target that wrote it.
    pub target: String,
    /// The dataset.
    pub dataset: Dataset,
    /// The seed of its keys and values.
    pub seed: u64,
    /// Shards asked for when it was made.
    pub shards: Option<usize>,
}

impl Kept {
    /// A folder inside `dir` that holds this.
    pub fn find(&self, dir: &Path) -> Option<PathBuf> {
        std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
            let folder = entry.path();
            let text = std::fs::read_to_string(description(&folder)).ok()?;
            let found: Kept = serde_json::from_str(&text).ok()?;
            (folder.is_dir() && found == *self).then_some(folder)
        })
    }

    /// Says that `folder` holds this.
    pub fn remember(&self, folder: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).expect("descriptions have only string keys");
        let path = description(folder);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// `folder` is about to hold something else.
pub fn forget(folder: &Path) {
    let _ = std::fs::remove_file(description(folder));
}

fn description(folder: &Path) -> PathBuf {
    folder.with_extension("dataset.json")
}

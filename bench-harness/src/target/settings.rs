//! What the targets of foreign stores have in common when they open: a budget, settings for the report, and the
//! kernel's page cache kept out where it would serve as memory beyond the budget.

use std::fmt::Display;

use super::{Failure, OpenOptions, PageCacheOff};

/// Memory for a store where the run names none.
const MEMORY_BYTES: u64 = 1 << 30;
/// Write buffers of log-structured stores, each.
const BUFFER_MIN: u64 = 4 << 20;
/// See `BUFFER_MIN`.
const BUFFER_MAX: u64 = 64 << 20;
/// The least cache that such stores open with.
const CACHE_MIN: u64 = 8 << 20;

impl OpenOptions {
    /// Cache of a store that keeps everything in it.
    pub fn cache_bytes(&self) -> u64 {
        self.memory_bytes.unwrap_or(MEMORY_BYTES).max(CACHE_MIN)
    }

    /// Write buffer and block cache of a log-structured store. The budget is for both, and two buffers are alive
    /// as a rule: one fills while the other is flushed.
    pub fn buffer_and_cache_bytes(&self) -> (u64, u64) {
        let budget = self.memory_bytes.unwrap_or(MEMORY_BYTES);
        let buffer = (budget / 8).clamp(BUFFER_MIN, BUFFER_MAX);
        (buffer, budget.saturating_sub(2 * buffer).max(CACHE_MIN))
    }
}

/// What a store was opened with, as the report shows it.
#[derive(Debug)]
pub struct Settings {
    shown: Vec<(String, String)>,
    _page_cache: Option<PageCacheOff>,
}

impl Settings {
    /// Of a store that takes no `--target-set`.
    pub fn of(target: &str, wanted: &OpenOptions) -> Result<Settings, Failure> {
        match wanted.extra.keys().next() {
            Some(name) => Err(Failure(format!(
                "{target} has no target setting `{name}`; leave --target-set out"
            ))),
            None => Ok(Settings {
                shown: vec![("durability".to_string(), wanted.durability.to_string())],
                _page_cache: None,
            }),
        }
    }

    /// One setting.
    pub fn show(mut self, name: &str, value: impl Display) -> Settings {
        self.shown.push((name.to_string(), value.to_string()));
        self
    }

    /// One setting that is a size.
    pub fn show_mib(self, name: &str, bytes: u64) -> Settings {
        self.show(name, format!("{} MiB", bytes >> 20))
    }

    /// For a store that cannot read past the page cache: drops its pages where the data is meant not to fit.
    pub fn keep_page_cache_out(mut self, wanted: &OpenOptions) -> Settings {
        self._page_cache = wanted
            .data_exceeds_memory
            .then(|| PageCacheOff::below(&wanted.dir));
        let shown = match wanted.data_exceeds_memory {
            true => "dropped every 20 ms",
            false => "in use",
        };
        self.show("page cache", shown)
    }

    /// All of them.
    pub fn shown(&self) -> Vec<(String, String)> {
        self.shown.clone()
    }
}

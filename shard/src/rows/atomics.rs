//! The shim: the build's own words and atomics, loom's checked ones under `--cfg loom`.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub(super) use ringkeep_io::Words;

/// Given back they are what they were, which readers must bear as well.
#[cfg(loom)]
pub(super) struct Words(Vec<AtomicU64>);

#[cfg(loom)]
impl Words {
    pub fn zeroes(count: usize) -> Option<Words> {
        Some(Words((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    pub fn release(&self, _words: std::ops::Range<usize>) {}
}

#[cfg(loom)]
impl std::ops::Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.0
    }
}

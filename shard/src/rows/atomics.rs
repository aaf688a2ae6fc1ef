//! The shim: std's atomics in the build, loom's checked ones under `--cfg loom`.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};

/// So many words of zero. Of std's, the system gives memory only as they are written.
#[cfg(not(loom))]
pub(super) fn zeroes(count: usize) -> Box<[AtomicU64]> {
    use zerocopy::FromZeros;
    <[AtomicU64]>::new_box_zeroed_with_elems(count).expect("the row cache fits into memory")
}

#[cfg(loom)]
pub(super) fn zeroes(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

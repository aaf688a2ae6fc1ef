//! Counts what is asked of the system's allocator.
#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait; every call is handed on unchanged.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting calls and bytes of each thread. A binary opts in with `#[global_allocator]`.
#[derive(Debug, Default)]
pub struct CountingAllocator;

/// What this thread has asked for so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    /// Calls that hand out memory; growing counts as one.
    pub calls: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
}

thread_local! {
    // Const and without a destructor: reading it never allocates and never ends.
    static ALLOCATED: Cell<Allocated> = const { Cell::new(Allocated { calls: 0, bytes: 0 }) };
}

/// What this thread has asked for; nothing where the binary has not opted in.
pub fn allocated() -> Allocated {
    ALLOCATED.get()
}

/// A scenario can tell a binary that counts from one that does not.
pub(crate) fn is_counting() -> bool {
    let before = allocated().calls;
    drop(std::hint::black_box(Box::new(1u64)));
    allocated().calls > before
}

fn count(bytes: usize) {
    let Allocated { calls, bytes: sum } = ALLOCATED.get();
    ALLOCATED.set(Allocated {
        calls: calls + 1,
        bytes: sum + bytes as u64,
    });
}

// SAFETY: every method is the system allocator's with the same arguments; counting touches a plain thread-local.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above; `pointer` came from `System` through this allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

//! A hardened build (feature `quarantine`): memory of freed buffers faults when somebody still uses it.
//!
//! A free frame cannot be touched until it is handed out again, the one that has been free for longest first. Other freed
//! buffers cannot be touched for as long as there is room to keep them, and the kernel refuses to read or write them for
//! an operation that begins later. Nothing is registered, because registered pages stay the kernel's whatever becomes
//! of the mapping.

#![allow(
    unsafe_code,
    reason = "access to memory is taken away behind the compiler's back"
)]

use std::alloc::{Layout, dealloc};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Freed buffers kept by each thread. Each splits a mapping in up to three, of which a process may have some 65,000.
const KEPT_MAX: usize = 1024;

thread_local! {
    static KEPT: RefCell<VecDeque<Kept>> = const { RefCell::new(VecDeque::new()) };
}

struct Kept {
    start: NonNull<u8>,
    layout: Layout,
}

impl Drop for Kept {
    fn drop(&mut self) {
        unlock(self.start, self.layout.size());
        // SAFETY: `retire` was given a buffer that nobody uses, with the layout it was allocated with.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Takes whole pages that nobody may use any more; whoever does is killed by SIGSEGV.
pub(crate) fn lock(start: NonNull<u8>, bytes: usize) {
    protect(start, bytes, libc::PROT_NONE);
}

/// Makes locked pages usable again.
pub(crate) fn unlock(start: NonNull<u8>, bytes: usize) {
    protect(start, bytes, libc::PROT_READ | libc::PROT_WRITE);
}

/// Frees a buffer: its memory at once, its address later.
pub(crate) fn retire(start: NonNull<u8>, layout: Layout) {
    // SAFETY: whole pages that nobody uses; when the allocator has them again they are zero.
    unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_DONTNEED) };
    lock(start, layout.size());
    let kept = Kept { start, layout };
    // A thread that ends has dropped its list; then the buffer is freed at once.
    let _ = KEPT.try_with(|list| {
        let mut list = list.borrow_mut();
        list.push_back(kept);
        if list.len() > KEPT_MAX {
            list.pop_front();
        }
    });
}

fn protect(start: NonNull<u8>, bytes: usize, access: libc::c_int) {
    // SAFETY: whole pages of a buffer or frame that is free or just being handed out, so no reference into them lives.
    let result = unsafe { libc::mprotect(start.as_ptr().cast(), bytes, access) };
    assert_eq!(
        result,
        0,
        "cannot change the access to a buffer: {}",
        std::io::Error::last_os_error()
    );
}

//! Memory from the kernel, which has it back as soon as nobody uses it: an allocator keeps what it gets back, for each
//! thread that asked. Much of it comes in blocks of a huge page: that costs a quarter of the page faults' time that the
//! small pages in it cost, and one entry of the processor's address cache.

#![allow(
    unsafe_code,
    reason = "mappings, some of them aligned to the size of a huge page"
)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// A mapping, zero at first.
pub(crate) struct Block {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory, of which nothing belongs to the thread that mapped it.
unsafe impl Send for Block {}
// SAFETY: a shared block gives out nothing but its address.
unsafe impl Sync for Block {}

impl Block {
    pub const BYTES: usize = 2 << 20;

    /// A huge page's worth, in small pages where the kernel has no huge one. Nothing when the system has no memory.
    pub fn map() -> Option<Block> {
        let bytes = Block::BYTES;
        let mapped = map(bytes * 2)?.as_ptr();
        // SAFETY: what lies before and after the aligned middle of the mapping is unmapped again, and nothing else can
        // know these addresses. The advice may be refused without harm.
        unsafe {
            let before = mapped.align_offset(bytes);
            let start = mapped.add(before);
            if before > 0 {
                libc::munmap(mapped.cast(), before);
            }
            libc::munmap(start.add(bytes).cast(), bytes - before);
            libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
            let start = NonNull::new(start)?;
            Some(Block { start, bytes })
        }
    }

    pub fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: so many bytes are mapped there, and whoever gives out memory of it keeps it until nobody has any.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Nothing when the system has no memory.
fn map(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous mapping at no address in particular touches nothing that is mapped.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    match mapped {
        libc::MAP_FAILED => None,
        mapped => NonNull::new(mapped.cast()),
    }
}

/// A part of a block, owned like a boxed slice, and zero at first.
pub struct Span {
    start: NonNull<u8>,
    bytes: usize,
    _block: Arc<Block>,
}

// SAFETY: spans do not overlap, so this one's owner is the only one who reads or writes its memory.
unsafe impl Send for Span {}
// SAFETY: through a shared span memory can only be read.
unsafe impl Sync for Span {}

impl Span {
    /// A mapping of its own; none when the system has no memory.
    pub fn alone(bytes: usize) -> Option<Span> {
        let start = map(bytes)?;
        let _block = Arc::new(Block { start, bytes });
        Some(Span {
            start,
            bytes,
            _block,
        })
    }

    /// A huge page, cut into as many spans as fit; none when the system has no memory.
    pub fn several(bytes: usize) -> Vec<Span> {
        let Some(block) = Block::map().map(Arc::new) else {
            return Vec::new();
        };
        let count = Block::BYTES / bytes;
        let span = |index: usize| Span {
            // SAFETY: `index` is below `count`, so the whole span lies in the block.
            start: unsafe { block.start().add(index * bytes) },
            bytes,
            _block: Arc::clone(&block),
        };
        (0..count).map(span).collect()
    }
}

impl Deref for Span {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `bytes` bytes, which the kernel filled with zeroes, for as long as the block
        // is kept; the memory is this span's alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Span {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the exclusive borrow makes it the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_are_zero_apart_and_outlive_each_other() {
        let mut spans = Span::several(64 << 10);
        assert_eq!(spans.len(), 32);
        for (index, span) in spans.iter_mut().enumerate() {
            assert!(span.len() == 64 << 10 && span.iter().all(|byte| *byte == 0));
            span.fill(index as u8 + 1);
        }
        let last = spans.pop().unwrap();
        assert!(
            spans
                .iter()
                .enumerate()
                .all(|(i, s)| s.iter().all(|b| *b == i as u8 + 1))
        );
        drop(spans);
        let mut alone = Span::alone(5000).unwrap();
        assert!(alone.len() == 5000 && alone.iter().all(|byte| *byte == 0));
        alone.fill(1);
        drop(alone);
        let moved = std::thread::spawn(move || last.iter().all(|byte| *byte == 32));
        assert!(moved.join().unwrap());
    }
}

//! Words that threads share, in one range of addresses that stays. The kernel gives memory only where something is
//! written, and what is not needed any more is given back: there are zeroes then, so that a reader who comes late
//! finds nothing, and nothing that could fault.

#![allow(
    unsafe_code,
    reason = "memory that is given back while others may look at it needs a mapping of its own"
)]

use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::PAGE;
use crate::block::Block;

/// From so many bytes on huge pages are asked for: below, the one that is barely used would be felt.
const HUGE_FROM: usize = 32 << 20;

/// See the module.
pub struct Words {
    start: NonNull<AtomicU64>,
    count: usize,
    /// Address and length of the mapping; none without words.
    mapping: Option<(NonNull<libc::c_void>, usize)>,
}

// SAFETY: nothing belongs to the thread that mapped it, and the words can only be used as atomics.
unsafe impl Send for Words {}
// SAFETY: the same.
unsafe impl Sync for Words {}

impl Words {
    /// So many zeroes; nothing when the system has no addresses left for them.
    pub fn zeroes(count: usize) -> Option<Words> {
        if count == 0 {
            return Some(Words {
                start: NonNull::dangling(),
                count: 0,
                mapping: None,
            });
        }
        let bytes = count.checked_mul(size_of::<AtomicU64>())?;
        let huge = bytes >= HUGE_FROM;
        let length = bytes.checked_add(Block::BYTES)?;
        // SAFETY: a fresh anonymous mapping. The words begin at its first multiple of a huge page, behind which there
        // is room for all of them; the advice may be refused without harm.
        unsafe {
            let mapped = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            if mapped == libc::MAP_FAILED {
                return None;
            }
            let start = mapped.cast::<u8>();
            let start = start.add(start.align_offset(Block::BYTES));
            if huge {
                libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
            }
            Some(Words {
                start: NonNull::new(start.cast())?,
                count,
                mapping: Some((NonNull::new(mapped)?, length)),
            })
        }
    }

    /// Gives back the memory of these, as far as it is whole pages. They are zero afterwards, or what they were.
    pub fn release(&self, words: Range<usize>) {
        let words = &self[words];
        let start = words.as_ptr() as usize;
        let from = start.next_multiple_of(PAGE);
        let to = (start + size_of_val(words)) / PAGE * PAGE;
        if from < to {
            // SAFETY: whole pages of this mapping, private and anonymous, in the range that was just borrowed. For
            // whoever reads them meanwhile the effect is that of storing zeroes, which any holder of a shared
            // reference to these atomics may do.
            unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED) };
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `start` leads to `count` aligned words inside the mapping, zeroed by the kernel, for as long as
        // `self` is there; dangling for none.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        if let Some((start, length)) = self.mapping {
            // SAFETY: mapped in `zeroes` with this length, and no reference outlives `self`.
            unsafe { libc::munmap(start.as_ptr(), length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::Words;

    #[test]
    fn what_is_given_back_is_zero_and_the_rest_is_kept() {
        for words in [1, 511, 4096, 5 << 20] {
            let shared = Words::zeroes(words).expect("addresses");
            assert_eq!(shared.len(), words);
            for at in [0, words / 3, words / 2, words - 1] {
                shared[at].store(at as u64 + 1, Relaxed);
            }
            shared.release(words / 2..words);
            assert_eq!(shared[words / 3].load(Relaxed), words as u64 / 3 + 1);
            let whole_pages = (words / 2).next_multiple_of(512)..words / 512 * 512;
            for at in [words / 2, words - 1] {
                let is_zero = shared[at].load(Relaxed) == 0;
                assert_eq!(is_zero, whole_pages.contains(&at), "word {at} of {words}");
            }
            shared.release(0..words);
            shared[0].store(7, Relaxed);
            assert_eq!(shared[0].load(Relaxed), 7);
        }
        assert!(Words::zeroes(0).expect("nothing").is_empty());
    }
}

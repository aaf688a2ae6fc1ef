//! A binary min-heap whose order is a closure, because what decides (an arena, the cursors' current
//! keys) is borrowed only for the call. The first element is the least.

/// Restores the order after the element at `at` has grown.
#[inline]
pub(crate) fn sift_down<T>(heap: &mut [T], mut at: usize, before: impl Fn(&T, &T) -> bool) {
    loop {
        let mut child = 2 * at + 1;
        if child >= heap.len() {
            return;
        }
        if child + 1 < heap.len() && before(&heap[child + 1], &heap[child]) {
            child += 1;
        }
        if !before(&heap[child], &heap[at]) {
            return;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// Orders arbitrary elements.
pub(crate) fn heapify<T>(heap: &mut [T], before: impl Fn(&T, &T) -> bool) {
    for at in (0..heap.len() / 2).rev() {
        sift_down(heap, at, &before);
    }
}

/// Takes the least element off.
pub(crate) fn pop<T>(heap: &mut Vec<T>, before: impl Fn(&T, &T) -> bool) {
    if !heap.is_empty() {
        heap.swap_remove(0);
        sift_down(heap, 0, before);
    }
}

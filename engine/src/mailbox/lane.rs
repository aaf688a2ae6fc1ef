//! A bounded lock-free ring: any thread sends, one takes. After Dmitry Vyukov's bounded queue.
//!
//! Each cell carries a sequence number that says whose turn it is at position `p`:
//!
//! ```text
//! sequence == p             free: the sender that claims p may write it
//! sequence == p + 1         full: the receiver may take it
//! sequence == p + capacity  free again, for the next lap
//! ```
//!
//! Senders claim a position by moving `tail`; the receiver's position is its own and never shared,
//! because the cells already say when the ring is full.
#![allow(
    unsafe_code,
    reason = "cells are handed over by their sequence numbers"
)]

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use super::atomics::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// Makes a ring of `capacity` items, a power of two of at least two (with a single cell "full" and
/// "free for the next lap" would be the same number).
pub(crate) fn ring<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two() && capacity >= 2);
    let cells = (0..capacity).map(|position| Cell {
        sequence: AtomicUsize::new(position),
        item: UnsafeCell::new(MaybeUninit::uninit()),
    });
    let ring = Arc::new(Ring {
        tail: CachePadded::new(AtomicUsize::new(0)),
        cells: cells.collect(),
    });
    let sender = Sender(Arc::clone(&ring));
    (sender, Receiver { ring, head: 0 })
}

/// The shared end.
pub(crate) struct Sender<T>(Arc<Ring<T>>);

/// The one taking end.
pub(crate) struct Receiver<T> {
    ring: Arc<Ring<T>>,
    head: usize,
}

struct Ring<T> {
    /// Written by senders, read by senders.
    tail: CachePadded<AtomicUsize>,
    cells: Box<[Cell<T>]>,
}

struct Cell<T> {
    /// Written by whoever has the turn, read by all.
    sequence: AtomicUsize,
    item: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: an item is reached only by the thread whose turn its cell's sequence number shows (see
// `send` and `take`), so sharing the ring moves items between threads and never shares one.
unsafe impl<T: Send> Sync for Ring<T> {}
// SAFETY: the same; the ring owns its items and nothing tied to a thread.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Send> Sender<T> {
    /// Puts an item in, or gives it back when the ring is full.
    pub(crate) fn send(&self, item: T) -> Result<(), T> {
        let ring = &*self.0;
        let mut position = ring.tail.load(Ordering::Relaxed);
        loop {
            let cell = ring.cell(position);
            let sequence = cell.sequence.load(Ordering::Acquire);
            match sequence.wrapping_sub(position) as isize {
                0 => {
                    let claim = ring.tail.compare_exchange_weak(
                        position,
                        position.wrapping_add(1),
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    match claim {
                        Ok(_) => {
                            // SAFETY: the sequence number said "free for position p" and moving the tail
                            // from p gave p to this thread alone; nobody else touches the cell until the
                            // store below hands it to the receiver. The Acquire load above orders this
                            // write after the receiver's last read of the cell.
                            cell.item.with_mut(|place| unsafe { (*place).write(item) });
                            let full = position.wrapping_add(1);
                            cell.sequence.store(full, Ordering::Release);
                            return Ok(());
                        }
                        Err(moved) => position = moved,
                    }
                }
                behind if behind < 0 => return Err(item),
                _ => position = ring.tail.load(Ordering::Relaxed),
            }
        }
    }
}

impl<T> Receiver<T> {
    /// The oldest item, if one is complete. A sender that has claimed the oldest position and not yet
    /// filled it hides the items behind it; it announces itself again when it has.
    pub(crate) fn take(&mut self) -> Option<T> {
        let cell = self.ring.cell(self.head);
        let full = self.head.wrapping_add(1);
        if cell.sequence.load(Ordering::Acquire) != full {
            return None;
        }
        // SAFETY: "full" hands the cell to the receiver, of which there is one (`&mut self`, not Clone).
        // The Acquire load orders this read after the sender's write, which initialised the item; it
        // is read once, because the store below ends this receiver's turn.
        let item = cell
            .item
            .with_mut(|place| unsafe { (*place).assume_init_read() });
        let free = self.head.wrapping_add(self.ring.cells.len());
        cell.sequence.store(free, Ordering::Release);
        self.head = full;
        Some(item)
    }
}

impl<T> Ring<T> {
    fn cell(&self, position: usize) -> &Cell<T> {
        &self.cells[position & (self.cells.len() - 1)]
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let mask = self.cells.len() - 1;
        for (index, cell) in self.cells.iter().enumerate() {
            let sequence = cell.sequence.load(Ordering::Acquire);
            // Every free cell's number equals its index modulo the capacity, every full one's is one more.
            if sequence & mask != index {
                // SAFETY: the last handle is gone, so no send or take is under way, and the number says
                // that an item was written here and never taken.
                cell.item
                    .with_mut(|place| unsafe { (*place).assume_init_drop() });
            }
        }
    }
}

//! What readers count, on lines of their own: one line for all would cost more than the reads.

use crossbeam_utils::CachePadded;

use super::atomics::{AtomicU64, Ordering};

const STRIPES: usize = 16;

/// Sums over all readers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct RowReads {
    /// Answered without asking the shard.
    pub hits: u64,
    /// Rows that were overwritten while they were copied.
    pub lost: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    stripes: [CachePadded<Stripe>; STRIPES],
}

#[derive(Default)]
struct Stripe {
    hits: AtomicU64,
    lost: AtomicU64,
}

impl Counters {
    #[inline]
    pub fn hit(&self) {
        self.stripe().hits.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub fn lost(&self) {
        self.stripe().lost.fetch_add(1, Ordering::Relaxed);
    }

    pub fn sum(&self) -> RowReads {
        let mut sum = RowReads::default();
        for stripe in &self.stripes {
            sum.hits += stripe.hits.load(Ordering::Relaxed);
            sum.lost += stripe.lost.load(Ordering::Relaxed);
        }
        sum
    }

    #[inline]
    fn stripe(&self) -> &Stripe {
        &self.stripes[STRIPE.with(|stripe| *stripe)]
    }
}

static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

thread_local! {
    /// This thread's, in the order in which threads first read.
    static STRIPE: usize =
        NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % STRIPES;
}

//! How many segments the log has: one more before the last is full, and one in all when nothing in it is needed.

use std::rc::Rc;

use ringkeep_io::Nanos;
use ringkeep_io::planted::{Defect, planted};

use crate::core::Core;
use crate::error::Result;
use crate::full_disk::Starved;
use crate::log::segments::{create_slots, remove_slots};
use crate::manifest::Manifest;
use crate::open::drop_dead_pieces;
use crate::token::Token;

/// A log grows by a quarter, since each time costs a directory sync and a manifest, and by no more than this, since a
/// caller may wait for the first of the new slots already.
const SLOTS_AT_ONCE_MAX: usize = 4;

/// A log of which nothing is needed is given back if that is still so after this long.
const LOG_REST: Nanos = 5_000_000;

impl<T: Token> Core<T> {
    /// Keeps a free log slot ready before the active one is full, so that a commit never waits for one to be
    /// zeroed, and only one when nothing is in the log. Nobody else changes how many there are.
    pub async fn keep_log_room(self: Rc<Self>) {
        loop {
            self.work
                .wait_until(|| {
                    let log = self.log.borrow();
                    log.wants_slot() || log.has_spare_slots()
                })
                .await;
            if self.log.borrow().has_spare_slots() {
                if let Err(error) = self.remove_spare_slots().await {
                    let errand = Starved::Manifest.errand();
                    return self.fail_because(&format!("{errand}: {error}"));
                }
                continue;
            }
            let added = self
                .persist(Starved::Log, async || self.add_log_slots().await)
                .await;
            if added.is_none() {
                return;
            }
        }
    }

    /// Adds a few slots: their files first, then the manifest that counts them, then their use.
    pub async fn add_log_slots(&self) -> Result<()> {
        let (count, segment_bytes) = self
            .manifest
            .with(|manifest| (manifest.log_slots as usize, manifest.segment_bytes));
        let more = (count / 4).clamp(1, SLOTS_AT_ONCE_MAX);
        let range = count..count + more;
        let slots = create_slots(
            &self.io,
            &self.directory,
            &self.identity,
            range,
            segment_bytes,
        )
        .await?;
        let counted = (count + slots.len()) as u32;
        let count = move |manifest: &mut Manifest| manifest.log_slots = counted;
        self.commit_manifest(count).await?;
        self.log.borrow_mut().add_slots(slots);
        self.notice_dead_log();
        Ok(())
    }

    /// The same backwards.
    async fn remove_spare_slots(&self) -> Result<()> {
        let spare = self.log.borrow_mut().take_spare_slots();
        let left = self.log.borrow().slot_counts().0;
        let count = move |manifest: &mut Manifest| manifest.log_slots = left as u32;
        self.stats.borrow_mut().log_emptied += 1;
        if planted(Defect::SegmentsRemovedEarly) {
            remove_slots(&self.directory, left, spare);
            return self.commit_manifest(count).await;
        }
        self.commit_manifest(count).await?;
        remove_slots(&self.directory, left, spare);
        Ok(())
    }

    /// Where nobody writes behind a flush, frees what is left in the log: outcomes of batches, and its closing frame.
    pub async fn keep_log_small(self: Rc<Self>) {
        loop {
            self.log_may_be_dead
                .wait_until(|| self.log.borrow().slot_counts().0 > 1 && self.log_is_dead())
                .await;
            self.tasks.sleep_until(self.io.now() + LOG_REST).await;
            if self.is_failed() || self.closing.get() {
                return;
            }
            if self.log_is_dead()
                && let Err(error) = self.forget_log().await
            {
                let errand = Starved::Manifest.errand();
                return self.fail_because(&format!("{errand}: {error}"));
            }
        }
    }

    /// After anything that may have been the last to need the log: a write, a flush, what another shard had to say.
    pub fn notice_dead_log(&self) {
        if self.log_is_dead() {
            self.log_may_be_dead.raise();
        }
    }

    /// Nothing in the log would be missed, and nothing is on its way there.
    fn log_is_dead(&self) -> bool {
        let memtables = self.memtables.borrow();
        memtables.are_empty()
            && memtables.active().needs_from.get() == u64::MAX
            && (self.transactions.borrow().oldest_needed() == u64::MAX
                || planted(Defect::LogEmptiedEarly))
            && self.commits.borrow().is_quiet()
            && self.log.borrow().is_quiet()
    }

    async fn forget_log(&self) -> Result<()> {
        let last_sequence = self.log.borrow().last_sequence();
        let newest = self.visible.get();
        self.add_latest();
        let moments = self.pins.timeline().moments();
        let forget = move |manifest: &mut Manifest| {
            manifest.newest = manifest.newest.max(newest);
            manifest.moments = moments;
            manifest.replay_after = manifest.replay_after.max(last_sequence);
            manifest.flushed = manifest.flushed.max(last_sequence);
            drop_dead_pieces(manifest);
        };
        self.commit_manifest(forget).await?;
        self.log.borrow_mut().release(last_sequence);
        self.work.raise();
        Ok(())
    }
}

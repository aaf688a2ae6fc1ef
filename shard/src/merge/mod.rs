//! One ordered stream out of several: what scans, flushes and compactions read.
//!
//! Sources are given newest first. A scan sees each key at its newest version up to one, without
//! deleted keys, in both directions. A flush or compaction sees the versions that have to be kept,
//! forward. Nothing is borrowed while it waits for a block.

pub(crate) mod heap;
#[cfg(test)]
pub(crate) mod seeded;
mod source;
mod stretch;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};

use crate::blob::BlobRef;
use crate::content::Content;
use crate::join::join_all;
use crate::keyspace::Living;
use crate::needs::{Need, Needs, is_of_named};
use crate::ranges::{Ranges, hides};
use crate::scan_page::Pieces;
use crate::tasks::yield_now;
use crate::timeline::Moment;
use crate::{Result, Version};
use source::Held;
use stretch::Stretch;

pub(crate) use source::Source;

/// A position on an entry of the merged stream, or on none.
pub(crate) struct MergeCursor {
    /// Newest first: where two have the very same entry, the first one's counts.
    sources: Vec<Source>,
    keep: Keep,
    backward: bool,
    /// The sources that are on an entry, as a heap by that entry.
    heap: Vec<usize>,
    /// The last key met, shown or not. Forward, sources may still be on entries of it.
    key: Vec<u8>,
    version: Version,
    /// Whether `key` and `version` mean anything.
    met: bool,
    /// The value of the entry under the cursor, when there is one.
    shown: Option<Held>,
    /// Backward, the newest version so far of the last key met.
    found: Option<Held>,
    /// A step that was begun goes on behind this.
    wait: Option<Wait>,
    passed_over: u32,
    /// Stretches were short, and so many steps are made before the next.
    steps_first: u32,
    /// Entries that range deletes hide, since one that they do not.
    hidden_in_a_row: u32,
    /// Values that had ended and were dropped, or not shown.
    expired: u64,
    /// Keys of other keyspaces are passed over.
    living: Option<Arc<Living>>,
    /// What these hide is, too.
    ranges: Option<Rc<Ranges>>,
    /// What is kept where not all keys are kept alike, or something is pinned.
    needs: Option<Box<Needs>>,
}

/// Entries passed over between two looks at what else there is to do.
const PASSED_OVER_PER_SLICE: u32 = 512;

/// A stretch of fewer entries costs more than its steps, and is followed by so many of these.
const STRETCH_MIN: usize = 8;
const STEPS_INSTEAD: u32 = 32;

/// A leap to the end of what is hidden costs as much as so many steps.
const HIDDEN_BEFORE_A_LEAP: u32 = 16;

#[derive(Clone, Copy)]
enum Keep {
    /// Each key's newest version up to that of the moment, unless it is a deletion or has ended.
    Visible { at: Moment },
    /// All versions above where the past is whole, and each key's newest one up to there and up to each version that is
    /// pinned; of those up to the watermark, deletions only where something older may lie below. What has ended for
    /// everybody is a deletion.
    Needed {
        need: Need,
        last: bool,
        /// Nobody has read yet which windows keyspaces have,
        unread: bool,
        /// and the key at hand is of one: all of it is kept.
        all: bool,
    },
}

impl Keep {
    /// Of the key at hand.
    #[inline]
    fn need(self) -> Need {
        match self {
            Keep::Needed {
                need, all: false, ..
            } => need,
            _ => Need::default(),
        }
    }
}

/// What a step cannot do at once. What it can is no future: those are moved about, which costs more than the step.
#[derive(Clone, Copy)]
enum Wait {
    /// The source on top has to load a block.
    Block(usize),
    /// The source on top is on an entry that is hidden.
    Hidden(usize),
    /// Others get their turn.
    Others,
}

impl MergeCursor {
    /// What a reader at the moment `at` sees.
    pub fn visible(mut sources: Vec<Source>, at: Moment) -> MergeCursor {
        for source in &mut sources {
            source.only_visible(at.version);
        }
        MergeCursor::new(sources, Keep::Visible { at })
    }

    /// What has to be kept for those who read at what is pinned, and from some version on at any, by the needs of each key's
    /// keyspace: below that version, of each key the newest one up to it and up to each pin. A value that has ended for everybody still hides what is older, and
    /// becomes a deletion. With `last`, nothing older lies below the sources, so a
    /// deletion up to the watermark has nothing left to hide and goes as well. Forward only.
    pub fn needed(sources: Vec<Source>, needs: &Needs, last: bool) -> MergeCursor {
        let need = needs.common;
        let keep = Keep::Needed {
            need,
            last,
            unread: needs.unread,
            all: false,
        };
        let mut cursor = MergeCursor::new(sources, keep);
        let is_simple = needs.own.is_empty() && needs.pinned.is_empty();
        cursor.needs = (!is_simple).then(|| Box::new(needs.clone()));
        cursor
    }

    /// Without what belongs to keyspaces that are gone, at whatever version.
    pub fn among(mut self, living: Arc<Living>) -> MergeCursor {
        self.living = Some(living);
        self
    }

    /// Without what range deletes hide: from the reader, or from everybody who reads at the watermark or above. Of
    /// that nothing is needed for as long as there are these range deletes, whatever else is older.
    pub fn under(mut self, ranges: Rc<Ranges>) -> MergeCursor {
        let ignored =
            matches!(self.keep, Keep::Visible { .. }) && planted(Defect::RangeIgnoredByScan);
        if !ignored {
            self.ranges = (!ranges.is_empty()).then_some(ranges);
        }
        self
    }

    /// Values that had ended, so far.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    fn new(sources: Vec<Source>, keep: Keep) -> MergeCursor {
        MergeCursor {
            heap: Vec::with_capacity(sources.len()),
            sources,
            keep,
            backward: false,
            key: Vec::new(),
            version: Version(0),
            met: false,
            shown: None,
            found: None,
            wait: None,
            passed_over: 0,
            steps_first: 0,
            hidden_in_a_row: 0,
            expired: 0,
            living: None,
            ranges: None,
            needs: None,
        }
    }

    /// To the first entry within the lower bound `from`. Blocks of all sources are read at once.
    pub async fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        self.leave(false);
        let mut others: Vec<&mut Source> = Vec::new();
        for source in &mut self.sources {
            if !source.seek_at_hand(from) {
                others.push(source);
            }
        }
        if !others.is_empty() {
            join_all(others.into_iter().map(|source| source.seek(from))).await?;
        }
        self.order();
        self.show_next().await
    }

    /// To the last entry within the upper bound `to`. Blocks of all sources are read at once.
    pub async fn seek_back(&mut self, to: Bound<&[u8]>) -> Result<()> {
        debug_assert!(
            matches!(self.keep, Keep::Visible { .. }),
            "walked forward only"
        );
        self.leave(true);
        join_all(self.sources.iter_mut().map(|source| source.seek_back(to))).await?;
        self.order();
        self.show_prev().await
    }

    /// To the following entry if nothing has to be waited for. If not, `next` has to be awaited before
    /// anything else.
    #[inline]
    pub fn next_at_hand(&mut self) -> bool {
        if self.shown.is_none() {
            return true;
        }
        if self.backward {
            return false;
        }
        self.wait = self.find_next();
        self.wait.is_none()
    }

    /// As `next_at_hand`, behind all that follows the entry under the cursor, is at hand, and `take` takes. It is shown nothing
    /// beyond the upper bound `to`.
    #[inline]
    pub fn pass_at_hand(&mut self, to: Bound<&[u8]>, take: impl FnMut(Pieces<'_>) -> bool) -> bool {
        if self.shown.is_none() {
            return true;
        }
        if self.backward {
            return false;
        }
        self.wait = match self.pass(to, take) {
            Some(top) if !self.sources[top].advance_at_hand(false) => Some(Wait::Block(top)),
            Some(top) => {
                self.settle(top);
                self.find_next()
            }
            None => self.find_next(),
        };
        self.wait.is_none()
    }

    /// As `next_at_hand`, the other way.
    #[inline]
    pub fn prev_at_hand(&mut self) -> bool {
        if self.shown.is_none() {
            return true;
        }
        if !self.backward {
            return false;
        }
        self.wait = self.find_prev();
        self.wait.is_none()
    }

    /// To the following entry.
    pub async fn next(&mut self) -> Result<()> {
        match self.wait.take() {
            Some(wait) => self.wait_for(wait).await?,
            None if self.shown.is_none() => return Ok(()),
            None if self.backward => {
                let key = std::mem::take(&mut self.key);
                return self.seek(Bound::Excluded(&key)).await;
            }
            None => {}
        }
        self.show_next().await
    }

    /// To the preceding entry.
    pub async fn prev(&mut self) -> Result<()> {
        match self.wait.take() {
            Some(wait) => self.wait_for(wait).await?,
            None if self.shown.is_none() => return Ok(()),
            None if !self.backward => {
                let key = std::mem::take(&mut self.key);
                return self.seek_back(Bound::Excluded(&key)).await;
            }
            None => {}
        }
        self.show_prev().await
    }

    /// The key under the cursor; nothing past either end.
    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.shown.is_some().then_some(&self.key)
    }

    /// Lets `visit` see the entry under the cursor, where it lies: key, version, content. Nothing past
    /// either end.
    #[inline]
    pub fn visit<R>(&self, visit: impl FnOnce(&[u8], Version, Content<'_>) -> R) -> Option<R> {
        let (key, version) = (&self.key, self.version);
        Some(match self.shown.as_ref()? {
            Held::Deleted => visit(key, version, Content::Removed),
            Held::Block(value) => visit(key, version, Content::Value(value)),
            Held::BlockUntil(_, value) if planted(Defect::EndForgotten) => {
                visit(key, version, Content::Value(value))
            }
            Held::BlockUntil(until, value) => visit(key, version, Content::Until(*until, value)),
            Held::Elsewhere(until, bytes) => {
                let found = BlobRef::read(bytes).map(|to| Content::Elsewhere(*until, to));
                visit(key, version, found.unwrap_or_default())
            }
            Held::Memtable(source, address) => {
                self.sources[*source].visit(*address, |content| visit(key, version, content))
            }
        })
    }

    async fn show_next(&mut self) -> Result<()> {
        while let Some(wait) = self.find_next() {
            self.wait_for(wait).await?;
        }
        Ok(())
    }

    async fn show_prev(&mut self) -> Result<()> {
        while let Some(wait) = self.find_prev() {
            self.wait_for(wait).await?;
        }
        Ok(())
    }

    async fn wait_for(&mut self, wait: Wait) -> Result<()> {
        match wait {
            Wait::Block(top) => {
                let advanced = self.sources[top].advance(self.backward).await;
                self.moved(top, advanced)?;
            }
            Wait::Hidden(top) => self.leave_hidden(top).await?,
            Wait::Others => yield_now().await,
        }
        Ok(())
    }

    fn find_next(&mut self) -> Option<Wait> {
        // What is shown forward is what the source on top is on.
        if self.shown.take().is_some()
            && let Some(&top) = self.heap.first()
        {
            if !self.sources[top].advance_at_hand(false) {
                return Some(Wait::Block(top));
            }
            self.settle(top);
        }
        while let Some(&top) = self.heap.first() {
            let Some((key, version)) = self.sources[top].position() else {
                break;
            };
            let same_key = self.met && self.key == key;
            let wanted = match self.keep {
                Keep::Visible { at } => !same_key && version <= at.version,
                // Of one key, what follows a version is hidden by it from all who read there or above; and the same version
                // once more is an older source's.
                Keep::Needed { .. } => {
                    let next = self.version;
                    !same_key
                        || (version < next
                            && (next > self.keep.need().whole_from
                                || self.is_pinned_between(version, next)))
                }
            };
            let is_gone = |living: &Arc<Living>| living.is_gone(key);
            if !wanted || self.living.as_ref().is_some_and(is_gone) {
                if let Some(wait) = self.pass_over(top) {
                    return Some(wait);
                }
                continue;
            }
            if !same_key {
                self.key.clear();
                self.key.extend_from_slice(key);
                if let Keep::Needed {
                    need, unread, all, ..
                } = &mut self.keep
                {
                    match &self.needs {
                        Some(needs) => *need = needs.of(&self.key),
                        None => *all = *unread && is_of_named(&self.key),
                    }
                }
            }
            self.version = version;
            self.met = true;
            if self.ranges.is_some() {
                if self.is_hidden() {
                    return Some(Wait::Hidden(top));
                }
                self.hidden_in_a_row = 0;
            }
            let (mut held, ends) = self.sources[top].hold(top);
            let (gone, time) = match self.keep {
                Keep::Visible { at } => (true, at.millis),
                Keep::Needed { last, .. } => {
                    let need = self.keep.need();
                    (last && version <= need.watermark, need.ended_by)
                }
            };
            if ends <= time && !matches!(held, Held::Deleted) {
                self.expired += 1;
                held = Held::Deleted;
                if planted(Defect::EndedDroppedEarly) {
                    continue;
                }
            }
            if !(gone && matches!(held, Held::Deleted)) {
                self.shown = Some(held);
                return None;
            }
        }
        None
    }

    fn is_pinned_between(&self, version: Version, next: Version) -> bool {
        let needs = self.needs.as_ref();
        needs.is_some_and(|needs| needs.is_pinned(version, next))
    }

    /// A stretch behind the entry under the cursor. The source that has to load a block now: it is on top.
    #[inline]
    fn pass(&mut self, to: Bound<&[u8]>, take: impl FnMut(Pieces<'_>) -> bool) -> Option<usize> {
        let Keep::Visible { at } = self.keep else {
            return None;
        };
        if self.ranges.is_some() || self.living.is_some() {
            return None;
        }
        if self.steps_first > 0 {
            self.steps_first -= 1;
            return None;
        }
        // What is shown forward is what the source on top is on.
        let mut stretch = Stretch::new(&self.sources, &self.heap, to)?;
        let at_its_end = stretch.run(at, take);
        if at_its_end.is_none() && stretch.passed < STRETCH_MIN {
            self.steps_first = STEPS_INSTEAD;
        }
        self.expired += stretch.expired;
        let (start, rest, version) = stretch.met();
        self.key.clear();
        self.key.extend_from_slice(start);
        self.key.extend_from_slice(rest);
        self.version = version;
        self.shown = None;
        let mut places = [(0, 0); stretch::LANES_MAX];
        let mut count = 0;
        for (to, place) in places.iter_mut().zip(stretch.places()) {
            *to = place;
            count += 1;
        }
        for &(source, at) in &places[..count] {
            self.sources[source].move_in_block(at);
        }
        let sources = &self.sources;
        heap::heapify(&mut self.heap, |&a, &b| before(sources, a, b, false));
        debug_assert!(at_its_end.is_none() || at_its_end == self.heap.first().copied());
        at_its_end
    }

    /// The version under the cursor, and with it all older ones of its key.
    fn is_hidden(&self) -> bool {
        let at = match self.keep {
            Keep::Visible { at } => at.version,
            Keep::Needed { .. } => self.keep.need().watermark,
        };
        let ranges = self.ranges.as_ref();
        ranges.is_some_and(|ranges| hides(ranges.hidden_below(&self.key, at), self.version))
    }

    /// Off an entry that is hidden.
    #[cold]
    async fn leave_hidden(&mut self, top: usize) -> Result<()> {
        self.hidden_in_a_row += 1;
        let fragment = match self.hidden_in_a_row >= HIDDEN_BEFORE_A_LEAP {
            true => {
                let ranges = self.ranges.as_ref();
                ranges.and_then(|ranges| ranges.fragment_of(&self.key).cloned())
            }
            false => None,
        };
        let at = match self.keep {
            Keep::Visible { at } => at.version,
            Keep::Needed { .. } => self.keep.need().watermark,
        };
        let leaped = match fragment {
            Some(fragment) => {
                let source = &mut self.sources[top];
                let floor = fragment.newest_up_to(at);
                let leaped = source.leap(&fragment, floor, self.backward).await;
                self.moved(top, leaped)?
            }
            None => false,
        };
        if !leaped {
            let advanced = self.sources[top].advance(self.backward).await;
            self.moved(top, advanced)?;
        }
        if self.has_to_rest() {
            yield_now().await;
        }
        Ok(())
    }

    /// What is passed over shows nobody anything, so nobody else would stop to let others run.
    #[inline]
    fn has_to_rest(&mut self) -> bool {
        self.passed_over += 1;
        self.passed_over.is_multiple_of(PASSED_OVER_PER_SLICE)
    }

    /// Moves the source on top on and finds it its new place, as far as nothing has to be waited for.
    #[inline]
    fn pass_over(&mut self, top: usize) -> Option<Wait> {
        if !self.sources[top].advance_at_hand(self.backward) {
            return Some(Wait::Block(top));
        }
        self.settle(top);
        self.has_to_rest().then_some(Wait::Others)
    }

    /// Versions come oldest first here, so the last one met of a key is the one.
    fn find_prev(&mut self) -> Option<Wait> {
        self.shown = None;
        let Keep::Visible { at } = self.keep else {
            return None;
        };
        while let Some(&top) = self.heap.first() {
            let Some((key, version)) = self.sources[top].position() else {
                break;
            };
            if self.found.is_some() && self.key != key {
                if !matches!(self.found, Some(Held::Deleted)) {
                    break;
                }
                self.found = None;
            }
            if version <= at.version {
                self.key.clear();
                self.key.extend_from_slice(key);
                self.version = version;
                let (held, ends) = self.sources[top].hold(top);
                let hidden = self.ranges.is_some() && self.is_hidden();
                self.found = Some(match hidden || ends <= at.millis {
                    true => Held::Deleted,
                    false => held,
                });
                if hidden {
                    return Some(Wait::Hidden(top));
                }
                self.hidden_in_a_row = 0;
            }
            if let Some(wait) = self.pass_over(top) {
                return Some(wait);
            }
        }
        self.shown = self
            .found
            .take()
            .filter(|held| !matches!(held, Held::Deleted));
        None
    }

    /// Off every entry, so that an error while seeking leaves it there.
    fn leave(&mut self, backward: bool) {
        self.heap.clear();
        self.shown = None;
        self.found = None;
        self.wait = None;
        self.met = false;
        self.backward = backward;
    }

    fn order(&mut self) {
        let on_entry = |index: &usize| self.sources[*index].position().is_some();
        self.heap.extend((0..self.sources.len()).filter(on_entry));
        let (sources, backward) = (&self.sources, self.backward);
        heap::heapify(&mut self.heap, |&a, &b| before(sources, a, b, backward));
    }

    /// The source on top is on another entry, unless that failed. After an error there is nothing more.
    fn moved<R>(&mut self, top: usize, outcome: Result<R>) -> Result<R> {
        match &outcome {
            Ok(_) => self.settle(top),
            Err(_) => {
                self.heap.clear();
                self.found = None;
            }
        }
        outcome
    }

    /// Finds the source on top its new place.
    #[inline]
    fn settle(&mut self, top: usize) {
        let (sources, backward) = (&self.sources, self.backward);
        let order = |&a: &usize, &b: &usize| before(sources, a, b, backward);
        match sources[top].position() {
            Some(_) => heap::sift_down(&mut self.heap, 0, order),
            None => heap::pop(&mut self.heap, order),
        }
    }
}

/// (key ascending, version descending, newest source first), or exactly the reverse.
#[inline]
fn before(sources: &[Source], a: usize, b: usize, backward: bool) -> bool {
    let order = match (sources[a].position(), sources[b].position()) {
        (Some((key_a, version_a)), Some((key_b, version_b))) => {
            let order = key_a.cmp(key_b).then_with(|| version_b.cmp(&version_a));
            order.then(a.cmp(&b))
        }
        _ => Ordering::Equal,
    };
    order
        == if backward {
            Ordering::Greater
        } else {
            Ordering::Less
        }
}

//! Walks the entries of a section of a table in their order, either way. Only crossing from one block to another
//! waits. Holds no borrow and no block but the two that it is in.

use std::ops::Bound;
use std::rc::Rc;

use super::{Block, BlockReader, Kept, Section, Table, ValueRef};
#[cfg(test)]
use crate::content::Content;
use crate::{Result, Version};

/// A position on an entry of a section of a table, or on none.
pub(crate) struct TableCursor {
    table: Rc<Table>,
    section: Section,
    reader: BlockReader,
    place: Option<Place>,
    /// What a seek that had nothing to wait for came to before it had: for the one that is awaited in its place.
    halfway: Option<Rc<Block>>,
    /// The key under the cursor: the block's prefix, then the entry's suffix.
    key: Vec<u8>,
    version: Version,
}

struct Place {
    top: usize,
    top_at: usize,
    partition: Rc<Block>,
    partition_at: usize,
    block: Rc<Block>,
    at: usize,
}

impl TableCursor {
    /// On no entry yet.
    pub fn new(table: Rc<Table>, section: Section, reader: BlockReader) -> TableCursor {
        TableCursor {
            table,
            section,
            reader,
            place: None,
            halfway: None,
            key: Vec::new(),
            version: Version(0),
        }
    }

    /// Gives the reader back for another table.
    pub(super) fn into_reader(self) -> BlockReader {
        self.reader.for_another_table()
    }

    /// To the first entry within the lower bound `from`.
    pub async fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        let (key, at) = lowest(from);
        match self.locate(key, at).await? {
            None => {}
            Some(place) if place.at == place.block.count() => self.enter_next_block(place).await?,
            Some(place) => self.show(place),
        }
        // Nothing is newer than all versions but version 0 itself.
        while matches!(from, Bound::Excluded(key) if self.is_at(key)) {
            self.next().await?;
        }
        Ok(())
    }

    /// To the first entry within the lower bound `from` if nothing has to be waited for. If not, `seek` has to be awaited.
    pub fn seek_at_hand(&mut self, from: Bound<&[u8]>) -> bool {
        let (key, at) = lowest(from);
        match self.locate_at_hand(key, at) {
            Some(Some(place)) if place.at < place.block.count() => self.show(place),
            Some(None) => {}
            _ => return false,
        }
        !matches!(from, Bound::Excluded(key) if self.is_at(key))
    }

    /// To the last entry within the upper bound `to`.
    pub async fn seek_back(&mut self, to: Bound<&[u8]>) -> Result<()> {
        let place = match to {
            Bound::Unbounded => None,
            Bound::Included(key) => self.locate(key, Version(0)).await?,
            Bound::Excluded(key) => self.locate(key, Version(u64::MAX)).await?,
        };
        let Some(mut place) = place else {
            return self.place_at_end().await;
        };
        let is_version_0 =
            |key| place.at < place.block.count() && place.block.is_key(place.at, key);
        if matches!(to, Bound::Included(key) if is_version_0(key)) {
            self.show(place);
        } else if place.at > 0 {
            place.at -= 1;
            self.show(place);
        } else {
            self.enter_prev_block(place).await?;
        }
        Ok(())
    }

    /// To the following entry.
    #[inline]
    pub async fn next(&mut self) -> Result<()> {
        if !self.next_in_block()
            && let Some(place) = self.place.take()
        {
            self.enter_next_block(place).await?;
        }
        Ok(())
    }

    /// To the preceding entry.
    #[inline]
    pub async fn prev(&mut self) -> Result<()> {
        if !self.prev_in_block()
            && let Some(place) = self.place.take()
        {
            self.enter_prev_block(place).await?;
        }
        Ok(())
    }

    /// To the following entry if it is in the same block. If not, nothing has moved and `next` has
    /// to be awaited.
    #[inline]
    pub fn next_in_block(&mut self) -> bool {
        match &mut self.place {
            Some(place) if place.at + 1 < place.block.count() => place.at += 1,
            _ => return false,
        }
        self.show_suffix();
        true
    }

    /// To the following entry if nothing has to be waited for. If not, nothing has moved and `next` has to be awaited.
    #[inline]
    pub fn next_at_hand(&mut self) -> bool {
        self.next_in_block() || self.next_block_at_hand()
    }

    fn next_block_at_hand(&mut self) -> bool {
        let Some(place) = &mut self.place else {
            return false;
        };
        let at = place.partition_at + 1;
        if at == place.partition.count() {
            return false;
        }
        let (reader, partition) = (&mut self.reader, &place.partition);
        let Some(block) = reader.listed_at_hand(&self.table, partition, at) else {
            return false;
        };
        place.partition_at = at;
        place.block = block;
        place.at = 0;
        self.show_prefix();
        true
    }

    /// To the preceding entry if it is in the same block. If not, nothing has moved and `prev` has
    /// to be awaited.
    #[inline]
    pub fn prev_in_block(&mut self) -> bool {
        match &mut self.place {
            Some(place) if place.at > 0 => place.at -= 1,
            _ => return false,
        }
        self.show_suffix();
        true
    }

    /// The block that the cursor is in, and on which of its entries.
    #[inline]
    pub fn in_block(&self) -> Option<(&Block, usize)> {
        let place = self.place.as_ref()?;
        Some((&place.block, place.at))
    }

    /// To another entry of the block that it is in.
    #[inline]
    pub fn move_in_block(&mut self, at: usize) {
        if let Some(place) = &mut self.place {
            debug_assert!(at < place.block.count(), "an entry of the block");
            place.at = at;
        }
        self.show_suffix();
    }

    /// The key and version under the cursor; nothing past either end.
    #[inline]
    pub fn position(&self) -> Option<(&[u8], Version)> {
        self.place.as_ref()?;
        Some((&self.key, self.version))
    }

    /// What the entry under the cursor says.
    #[cfg(test)]
    #[inline]
    pub fn content(&self) -> Option<Content<'_>> {
        let place = self.place.as_ref()?;
        Some(place.block.entry(place.at).content)
    }

    /// The value under the cursor, or the reference to it, to be kept beyond its next step.
    #[inline]
    pub fn value_ref(&self) -> Option<(ValueRef, Kept)> {
        let place = self.place.as_ref()?;
        let (span, kept) = place.block.value_at(place.at)?;
        Some((ValueRef::of(Rc::clone(&place.block), span), kept))
    }

    fn top(&self) -> &[Rc<Block>] {
        self.table.top(self.section)
    }

    fn is_at(&self, key: &[u8]) -> bool {
        self.place.is_some() && self.key == key
    }

    /// Puts the cursor on a place. Until then it is on none, so that an error on the way leaves it
    /// there.
    fn show(&mut self, place: Place) {
        self.place = Some(place);
        self.show_prefix();
    }

    fn show_prefix(&mut self) {
        if let Some(place) = &self.place {
            self.key.clear();
            self.key.extend_from_slice(place.block.prefix());
            self.show_suffix();
        }
    }

    #[inline]
    fn show_suffix(&mut self) {
        if let Some(place) = &self.place {
            let entry = place.block.entry(place.at);
            self.key.truncate(place.block.prefix().len());
            self.key.extend_from_slice(entry.suffix);
            self.version = entry.version;
        }
    }

    /// The first entry at or behind (`key`, `at`), or the end of the block before it. Nothing when
    /// all entries come before.
    async fn locate(&mut self, key: &[u8], at: Version) -> Result<Option<Place>> {
        self.place = None;
        let Some((top, top_at)) = self.table.seek_top(self.section, key, at) else {
            return Ok(None);
        };
        let handle = self.top()[top].handle_at(top_at);
        // A seek that an error ended may have left another one.
        let halfway = self.halfway.take().filter(|it| it.handle() == handle);
        let partition = match halfway {
            Some(partition) => partition,
            None => self.reader.load(&self.table, handle).await?,
        };
        let partition_at = partition.lower_bound(key, at).min(partition.count() - 1);
        let reader = &mut self.reader;
        let block = reader.load_listed(&self.table, &partition, partition_at);
        let block = block.await?;
        let at = block.lower_bound(key, at);
        Ok(Some(Place {
            top,
            top_at,
            partition,
            partition_at,
            block,
            at,
        }))
    }

    /// The same; nothing at all if something has to be waited for.
    fn locate_at_hand(&mut self, key: &[u8], at: Version) -> Option<Option<Place>> {
        self.place = None;
        let Some((top, top_at)) = self.table.seek_top(self.section, key, at) else {
            return Some(None);
        };
        let handle = self.top()[top].handle_at(top_at);
        let partition = self.reader.at_hand(&self.table, handle)?;
        let partition_at = partition.lower_bound(key, at).min(partition.count() - 1);
        let reader = &mut self.reader;
        let Some(block) = reader.listed_at_hand(&self.table, &partition, partition_at) else {
            self.halfway = Some(partition);
            return None;
        };
        let at = block.lower_bound(key, at);
        Some(Some(Place {
            top,
            top_at,
            partition,
            partition_at,
            block,
            at,
        }))
    }

    async fn place_at_end(&mut self) -> Result<()> {
        let Some(top) = self.top().len().checked_sub(1) else {
            return Ok(());
        };
        let last = &self.top()[top];
        let top_at = last.count() - 1;
        let partition = self
            .reader
            .load(&self.table, last.handle_at(top_at))
            .await?;
        let partition_at = partition.count() - 1;
        let reader = &mut self.reader;
        let block = reader.load_listed(&self.table, &partition, partition_at);
        let block = block.await?;
        let at = block.count() - 1;
        self.show(Place {
            top,
            top_at,
            partition,
            partition_at,
            block,
            at,
        });
        Ok(())
    }

    /// To the first entry of the block behind `place`, or off the end.
    async fn enter_next_block(&mut self, mut place: Place) -> Result<()> {
        place.partition_at += 1;
        if place.partition_at == place.partition.count() {
            place.top_at += 1;
            if place.top_at == self.top()[place.top].count() {
                place.top += 1;
                place.top_at = 0;
            }
            let Some(top) = self.top().get(place.top) else {
                return Ok(());
            };
            let handle = top.handle_at(place.top_at);
            place.partition = self.reader.load(&self.table, handle).await?;
            place.partition_at = 0;
        }
        let (partition, at) = (&place.partition, place.partition_at);
        place.block = self.reader.load_listed(&self.table, partition, at).await?;
        place.at = 0;
        self.show(place);
        Ok(())
    }

    /// To the last entry of the block before `place`, or off the beginning.
    async fn enter_prev_block(&mut self, mut place: Place) -> Result<()> {
        if place.partition_at == 0 {
            if place.top_at == 0 {
                if place.top == 0 {
                    return Ok(());
                }
                place.top -= 1;
                place.top_at = self.top()[place.top].count();
            }
            place.top_at -= 1;
            let handle = self.top()[place.top].handle_at(place.top_at);
            place.partition = self.reader.load(&self.table, handle).await?;
            place.partition_at = place.partition.count();
        }
        place.partition_at -= 1;
        let (partition, at) = (&place.partition, place.partition_at);
        place.block = self.reader.load_listed(&self.table, partition, at).await?;
        place.at = place.block.count() - 1;
        self.show(place);
        Ok(())
    }
}

/// The key and version that a lower bound stands before.
fn lowest(from: Bound<&[u8]>) -> (&[u8], Version) {
    match from {
        Bound::Unbounded => (&[], Version(u64::MAX)),
        Bound::Included(key) => (key, Version(u64::MAX)),
        Bound::Excluded(key) => (key, Version(0)),
    }
}

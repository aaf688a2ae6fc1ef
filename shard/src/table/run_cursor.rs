//! Walks a section of a run, tables that do not overlap, as if it were one table. Opens no table before it gets
//! there.

use std::ops::Bound;
use std::rc::Rc;

use super::{Block, BlockReader, Kept, Section, Table, TableCursor, ValueRef};
use crate::table_set::TableRun;
use crate::{Result, Version};

/// A position on an entry of a run, or on none.
pub(crate) struct RunCursor {
    /// Each of its tables has entries of the section, but maybe none near its ends.
    run: Rc<TableRun>,
    section: Section,
    at: usize,
    state: State,
}

enum State {
    /// On no entry of the run.
    Idle(BlockReader),
    On(TableCursor),
    /// Between the two.
    Moving,
}

impl RunCursor {
    /// On no entry yet.
    pub fn new(run: Rc<TableRun>, section: Section, reader: BlockReader) -> RunCursor {
        RunCursor {
            run,
            section,
            at: 0,
            state: State::Idle(reader),
        }
    }

    /// To the first entry within the lower bound `from`.
    pub async fn seek(&mut self, from: Bound<&[u8]>) -> Result<()> {
        let run = Rc::clone(&self.run);
        let from = within(&run.from, from);
        self.enter(self.first_table(from));
        if let State::On(cursor) = &mut self.state {
            cursor.seek(from).await?;
            self.leave_end().await?;
        }
        Ok(())
    }

    /// As `TableCursor::seek_at_hand`.
    pub fn seek_at_hand(&mut self, from: Bound<&[u8]>) -> bool {
        let run = Rc::clone(&self.run);
        let from = within(&run.from, from);
        self.enter(self.first_table(from));
        match &mut self.state {
            State::On(cursor) => cursor.seek_at_hand(from) && cursor.position().is_some(),
            _ => true,
        }
    }

    /// The first one that has something behind a lower bound.
    fn first_table(&self, from: Bound<&[u8]>) -> usize {
        match from {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.run.tables.partition_point(|t| t.last_key() < key),
            Bound::Excluded(key) => self.run.tables.partition_point(|t| t.last_key() <= key),
        }
    }

    /// To the last entry within the upper bound `to`.
    pub async fn seek_back(&mut self, to: Bound<&[u8]>) -> Result<()> {
        let end = match to {
            Bound::Unbounded => self.run.tables.len(),
            Bound::Included(key) => self.run.tables.partition_point(|t| t.first_key() <= key),
            Bound::Excluded(key) => self.run.tables.partition_point(|t| t.first_key() < key),
        };
        self.enter(end.wrapping_sub(1));
        if let State::On(cursor) = &mut self.state {
            cursor.seek_back(to).await?;
            self.leave_beginning().await?;
        }
        self.stop_at_start();
        Ok(())
    }

    /// To the following entry.
    pub async fn next(&mut self) -> Result<()> {
        let State::On(cursor) = &mut self.state else {
            return Ok(());
        };
        cursor.next().await?;
        self.leave_end().await
    }

    /// To the preceding entry.
    pub async fn prev(&mut self) -> Result<()> {
        let State::On(cursor) = &mut self.state else {
            return Ok(());
        };
        cursor.prev().await?;
        self.leave_beginning().await?;
        self.stop_at_start();
        Ok(())
    }

    /// From behind the last entry of a table to the first one of the next.
    async fn leave_end(&mut self) -> Result<()> {
        if self.position().is_none() {
            self.enter(self.at + 1);
            if let State::On(cursor) = &mut self.state {
                cursor.seek(Bound::Unbounded).await?;
            }
        }
        Ok(())
    }

    /// The other way.
    async fn leave_beginning(&mut self) -> Result<()> {
        if self.position().is_none() {
            self.enter(self.at.wrapping_sub(1));
            if let State::On(cursor) = &mut self.state {
                cursor.seek_back(Bound::Unbounded).await?;
            }
        }
        Ok(())
    }

    /// As `TableCursor::next_at_hand`.
    #[inline]
    pub fn next_at_hand(&mut self) -> bool {
        match &mut self.state {
            State::On(cursor) => cursor.next_at_hand(),
            _ => false,
        }
    }

    /// As `TableCursor::prev_in_block`.
    #[inline]
    pub fn prev_in_block(&mut self) -> bool {
        let moved = match &mut self.state {
            State::On(cursor) => cursor.prev_in_block(),
            _ => false,
        };
        self.stop_at_start();
        moved
    }

    /// As `TableCursor::in_block`.
    #[inline]
    pub fn in_block(&self) -> Option<(&Block, usize)> {
        match &self.state {
            State::On(cursor) => cursor.in_block(),
            _ => None,
        }
    }

    /// As `TableCursor::move_in_block`.
    #[inline]
    pub fn move_in_block(&mut self, at: usize) {
        if let State::On(cursor) = &mut self.state {
            cursor.move_in_block(at);
        }
    }

    /// Walked back past the start of the run: there is nothing more.
    fn stop_at_start(&mut self) {
        let is_below = |(key, _): (&[u8], _)| *key < *self.run.from;
        if self.at == 0 && !self.run.from.is_empty() && self.position().is_some_and(is_below) {
            self.enter(usize::MAX);
        }
    }

    /// The key and version under the cursor; nothing past either end.
    #[inline]
    pub fn position(&self) -> Option<(&[u8], Version)> {
        match &self.state {
            State::On(cursor) => cursor.position(),
            _ => None,
        }
    }

    /// The table under the cursor.
    pub fn table(&self) -> Option<&Rc<Table>> {
        match &self.state {
            State::On(_) => self.run.tables.get(self.at),
            _ => None,
        }
    }

    /// The value under the cursor, to be kept, and when it ends; nothing where it is a deletion.
    #[inline]
    pub fn value_ref(&self) -> Option<(ValueRef, Kept)> {
        match &self.state {
            State::On(cursor) => cursor.value_ref(),
            _ => None,
        }
    }

    /// Turns to another table, or to none when `at` is past the ends.
    fn enter(&mut self, at: usize) {
        let on_it = at == self.at && matches!(self.state, State::On(_));
        self.at = at;
        if on_it {
            return;
        }
        let reader = match std::mem::replace(&mut self.state, State::Moving) {
            State::Idle(reader) => reader,
            State::On(cursor) => cursor.into_reader(),
            State::Moving => return,
        };
        self.state = match self.run.tables.get(at) {
            Some(table) => State::On(TableCursor::new(Rc::clone(table), self.section, reader)),
            None => State::Idle(reader),
        };
    }
}

/// A lower bound of what lies at and above `start`.
fn within<'a>(start: &'a [u8], from: Bound<&'a [u8]>) -> Bound<&'a [u8]> {
    match from {
        Bound::Included(key) | Bound::Excluded(key) if *key >= *start => from,
        Bound::Unbounded if start.is_empty() => from,
        _ => Bound::Included(start),
    }
}

//! Where a cursor gets its blocks from: the page cache, single reads, or reads ahead of it.
//!
//! A scan starts with the cache, and others come along with a block that is missed (`together`). When it misses data blocks one
//! behind the other it reads windows: first as much as its page is expected to take, and if that was too little, twice as much each time, up
//! to `WINDOW_BYTES` at a time with the next window in flight. What comes by windows drives nothing out of the cache: it goes
//! there only while there is room, and if there is none the cache takes note of it. Compaction reads windows from the start,
//! and no cache.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use ringkeep_io::{Buffer, Io, PAGE};

use super::open_table::{Reading, block_buffer, read_part};
use super::{Block, BlockHandle, Table};
use crate::page_cache::PageCache;
use crate::{Error, Result};

const WINDOW_BYTES: usize = 128 << 10;
const WINDOW_BYTES_MIN: usize = 8 << 10;
/// Misses in a row, each right behind the one before, after which reading ahead pays.
const MISSES_BEFORE_WINDOW: u32 = 2;

/// Reads blocks for one cursor.
pub(crate) struct BlockReader {
    pub(super) io: Io,
    pub(super) cache: Option<Rc<RefCell<PageCache>>>,
    /// The page behind the last data block that was missed, and for how many misses that was so.
    pub(super) expected_page: u32,
    misses: u32,
    /// Asks the cache for nothing, and leaves there what is read while it has less than so many bytes.
    fills_up_to: Option<usize>,
    /// Of data blocks, what is still expected to be asked for.
    pub(super) expected_bytes: usize,
    /// From high keys to low ones.
    pub(super) backward: bool,
    /// The next window, should more be asked for than was expected.
    further_bytes: usize,
    window: Option<Window>,
    ahead: Option<Ahead>,
}

/// Pages of the file in memory.
struct Window {
    page: u32,
    pages: u32,
    bytes: Buffer,
}

/// The window being read.
struct Ahead {
    page: u32,
    pages: u32,
    reading: Reading,
}

/// An entry of a partition.
#[derive(Clone, Copy)]
struct Listed<'a> {
    partition: &'a Block,
    at: usize,
}

impl BlockReader {
    /// For reads that others are likely to repeat, of about so many bytes.
    pub fn cached(io: Io, cache: Rc<RefCell<PageCache>>, expected_bytes: usize) -> BlockReader {
        BlockReader {
            cache: Some(cache),
            misses: 0,
            expected_bytes,
            further_bytes: WINDOW_BYTES_MIN,
            ..BlockReader::sequential(io)
        }
    }

    /// The same for a cursor that goes backward, or forward.
    pub fn going(self, backward: bool) -> BlockReader {
        BlockReader { backward, ..self }
    }

    /// For reading a table once from one end to the other, while blocks take less than so many bytes into the cache.
    pub fn filling(io: Io, cache: Rc<RefCell<PageCache>>, bytes: usize) -> BlockReader {
        BlockReader {
            cache: Some(cache),
            fills_up_to: Some(bytes),
            ..BlockReader::sequential(io)
        }
    }

    /// For reading a table once from one end to the other.
    pub fn sequential(io: Io) -> BlockReader {
        BlockReader {
            io,
            cache: None,
            expected_page: 0,
            misses: MISSES_BEFORE_WINDOW,
            fills_up_to: None,
            expected_bytes: usize::MAX,
            backward: false,
            further_bytes: WINDOW_BYTES,
            window: None,
            ahead: None,
        }
    }

    /// The same reader without what it has read.
    pub(super) fn for_another_table(self) -> BlockReader {
        match (self.cache, self.fills_up_to) {
            (Some(cache), None) => {
                BlockReader::cached(self.io, cache, self.expected_bytes).going(self.backward)
            }
            (Some(cache), Some(bytes)) => BlockReader::filling(self.io, cache, bytes),
            (None, _) => BlockReader::sequential(self.io),
        }
    }

    /// A partition.
    pub(super) async fn load(&mut self, table: &Table, handle: BlockHandle) -> Result<Rc<Block>> {
        if let Some(block) = self.cached_block(table, handle) {
            return Ok(block);
        }
        let buffer = block_buffer(&self.io, handle.pages as usize);
        let buffer = read_part(&self.io, table.file(), table.name(), handle, buffer).await?;
        self.decode(table, handle, buffer, false)
    }

    /// The data block that this entry of a partition leads to.
    pub(super) async fn load_listed(
        &mut self,
        table: &Table,
        partition: &Block,
        at: usize,
    ) -> Result<Rc<Block>> {
        let handle = partition.handle_at(at);
        let block = match self.cached_block(table, handle) {
            Some(block) => block,
            None => {
                let windowed = self.is_long_scan(partition, at);
                if !windowed && let Some(block) = self.load_neighbours(table, partition, at).await {
                    self.expect_less(handle);
                    return Ok(block);
                }
                let buffer = block_buffer(&self.io, handle.pages as usize);
                let buffer = match windowed {
                    true => {
                        let listed = Listed { partition, at };
                        self.read_through_window(table, listed, buffer).await?
                    }
                    false => {
                        read_part(&self.io, table.file(), table.name(), handle, buffer).await?
                    }
                };
                self.decode(table, handle, buffer, windowed)?
            }
        };
        self.expect_less(handle);
        Ok(block)
    }

    /// As `load`, if nothing has to be waited for.
    #[inline]
    pub(super) fn at_hand(&self, table: &Table, handle: BlockHandle) -> Option<Rc<Block>> {
        let cache = self.cache.as_ref().filter(|_| self.is_scan())?;
        let block = cache.borrow().at_hand(table.id(), handle)?;
        (block.handle() == handle).then_some(block)
    }

    /// As `load_listed`, if nothing has to be waited for.
    #[inline]
    pub(super) fn listed_at_hand(
        &mut self,
        table: &Table,
        partition: &Block,
        at: usize,
    ) -> Option<Rc<Block>> {
        let handle = partition.handle_at(at);
        let block = self.at_hand(table, handle)?;
        self.expect_less(handle);
        Some(block)
    }

    fn expect_less(&mut self, handle: BlockHandle) {
        if self.is_scan() {
            let bytes = handle.pages as usize * PAGE;
            self.expected_bytes = self.expected_bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn decode(
        &mut self,
        table: &Table,
        handle: BlockHandle,
        buffer: Buffer,
        windowed: bool,
    ) -> Result<Rc<Block>> {
        let block = Rc::new(table.decode_block(handle, buffer)?);
        if let Some(cache) = &self.cache {
            let mut cache = cache.borrow_mut();
            let fits = cache.has_room_for(&block);
            match self.fills_up_to {
                Some(bytes) if cache.bytes() >= bytes || !fits => {}
                None if windowed && !fits => cache.pass_by(table.id(), &block),
                _ => cache.insert(table.id(), Rc::clone(&block)),
            }
        }
        Ok(block)
    }

    fn cached_block(&self, table: &Table, handle: BlockHandle) -> Option<Rc<Block>> {
        let cache = self.cache.as_ref().filter(|_| self.is_scan())?;
        let block = cache.borrow().get(table.id(), handle)?;
        (block.handle() == handle).then_some(block)
    }

    /// It starts with the cache, and knows how much its page takes.
    pub(super) fn is_scan(&self) -> bool {
        self.cache.is_some() && self.fills_up_to.is_none()
    }

    fn is_long_scan(&mut self, partition: &Block, at: usize) -> bool {
        let handle = partition.handle_at(at);
        if self.is_scan() {
            // A partition may lie between two data blocks, or what is of the other section.
            let before = at.checked_sub(1).map(|before| partition.handle_at(before));
            let is_next =
                before.is_some_and(|before| before.page + before.pages == self.expected_page);
            let behind = is_next || handle.page.wrapping_sub(self.expected_page) <= 1;
            self.misses = if behind { self.misses + 1 } else { 0 };
        }
        self.expected_page = handle.page + handle.pages;
        self.misses >= MISSES_BEFORE_WINDOW
    }

    async fn read_through_window(
        &mut self,
        table: &Table,
        listed: Listed<'_>,
        mut buffer: Buffer,
    ) -> Result<Buffer> {
        let handle = listed.partition.handle_at(listed.at);
        let mut filled = 0;
        while filled < buffer.len() {
            let page = handle.page + (filled / PAGE) as u32;
            let window = self.window_at(table, page, listed).await?;
            let start = (page - window.page) as usize * PAGE;
            let rest = &window.bytes[start..window.pages as usize * PAGE];
            let length = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&rest[..length]);
            filled += length;
        }
        Ok(buffer)
    }

    /// The window that holds `page`. Entering one starts the next.
    async fn window_at(&mut self, table: &Table, page: u32, listed: Listed<'_>) -> Result<&Window> {
        if !self
            .window
            .as_ref()
            .is_some_and(|window| window.holds(page))
        {
            let end = listed.end(table);
            let mut free = self.window.take().map(|window| window.bytes);
            let ahead = self.ahead.take().filter(|ahead| ahead.holds(page));
            let (expected, further) = (self.expected_bytes, self.further_bytes);
            if expected == 0 {
                self.further_bytes = WINDOW_BYTES.min(2 * further);
            }
            let ahead = match ahead {
                Some(ahead) => ahead,
                None => {
                    let bytes = if expected == 0 { further } else { expected };
                    self.read_ahead(table, page..end, bytes, free.take())
                }
            };
            let next = ahead.page + ahead.pages;
            let behind = match expected {
                0 if further == WINDOW_BYTES => WINDOW_BYTES,
                _ => expected.saturating_sub(ahead.pages as usize * PAGE),
            };
            if behind > 0 && next < end {
                self.ahead = Some(self.read_ahead(table, next..end, behind, free));
            }
            let (bytes, read) = ahead.reading.finish(table.name()).await?;
            self.window = Some(Window {
                page: ahead.page,
                pages: (read / PAGE) as u32,
                bytes,
            });
        }
        match &self.window {
            Some(window) if window.holds(page) => Ok(window),
            _ => Err(Error::Missing {
                file: table.name().into(),
            }),
        }
    }

    /// Starts to read a window of about so many bytes, within these pages.
    fn read_ahead(
        &self,
        table: &Table,
        pages: Range<u32>,
        bytes: usize,
        free: Option<Buffer>,
    ) -> Ahead {
        let page = pages.start;
        let left = pages.len().max(1) * PAGE;
        let bytes = bytes.min(WINDOW_BYTES).next_multiple_of(PAGE).min(left);
        let free = free.filter(|buffer| buffer.len() == bytes);
        let buffer = free.unwrap_or_else(|| Buffer::zeroed(bytes));
        let reading = Reading::start(&self.io, table.file(), page, buffer);
        Ahead {
            page,
            pages: (bytes / PAGE) as u32,
            reading,
        }
    }
}

impl Listed<'_> {
    /// The page up to which reading on from here is of use. Where there are two sections, blocks of one lie between those
    /// of the other.
    fn end(self, table: &Table) -> u32 {
        if !table.has_past() {
            return table.data_pages();
        }
        let mut end = self.partition.handle_at(self.at).page;
        for at in self.at..self.partition.count() {
            let handle = self.partition.handle_at(at);
            if handle.page != end {
                break;
            }
            end += handle.pages;
        }
        end
    }
}

impl Ahead {
    fn holds(&self, page: u32) -> bool {
        (self.page..self.page + self.pages).contains(&page)
    }
}

impl Window {
    fn holds(&self, page: u32) -> bool {
        (self.page..self.page + self.pages).contains(&page)
    }
}

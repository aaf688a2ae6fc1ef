//! Where a cursor gets its blocks from: the page cache, single reads, or reads ahead of it.
//!
//! A scan starts with the cache and single reads. When it misses data blocks one behind the other it
//! is a long one: from then on it reads `WINDOW_BYTES` at a time with the next window in flight, and
//! leaves the cache alone. Compaction reads that way from the start.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeep_io::{Buffer, Io, PAGE};

use super::open_table::{Reading, block_buffer, read_part};
use super::{Block, BlockHandle, BlockKind, Table};
use crate::page_cache::PageCache;
use crate::{Error, Result};

const WINDOW_BYTES: usize = 128 << 10;
/// Misses in a row, each right behind the one before, after which reading ahead pays.
const MISSES_BEFORE_WINDOW: u32 = 2;

/// Reads blocks for one cursor.
pub(crate) struct BlockReader {
    io: Io,
    cache: Option<Rc<RefCell<PageCache>>>,
    /// The page behind the last data block that was missed, and for how many misses that was so.
    expected_page: u32,
    misses: u32,
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
    reading: Reading,
}

impl BlockReader {
    /// For reads that others are likely to repeat.
    pub fn cached(io: Io, cache: Rc<RefCell<PageCache>>) -> BlockReader {
        BlockReader {
            io,
            cache: Some(cache),
            expected_page: 0,
            misses: 0,
            window: None,
            ahead: None,
        }
    }

    /// For reading a table once from one end to the other.
    pub fn sequential(io: Io) -> BlockReader {
        BlockReader {
            io,
            cache: None,
            expected_page: 0,
            misses: MISSES_BEFORE_WINDOW,
            window: None,
            ahead: None,
        }
    }

    /// The same reader without what it has read.
    pub(super) fn for_another_table(self) -> BlockReader {
        match self.cache {
            Some(cache) => BlockReader::cached(self.io, cache),
            None => BlockReader::sequential(self.io),
        }
    }

    pub(super) async fn load(&mut self, table: &Table, handle: BlockHandle) -> Result<Rc<Block>> {
        if let Some(block) = self.cached_block(table, handle) {
            return Ok(block);
        }
        let windowed = handle.kind == BlockKind::Data && self.is_long_scan(handle);
        let buffer = block_buffer(&self.io, handle.pages as usize);
        let buffer = match windowed {
            true => self.read_through_window(table, handle, buffer).await?,
            false => read_part(&self.io, table.file(), table.name(), handle, buffer).await?,
        };
        let block = Rc::new(table.decode_block(handle, buffer)?);
        if let (Some(cache), false) = (&self.cache, windowed) {
            cache.borrow_mut().insert(table.id(), Rc::clone(&block));
        }
        Ok(block)
    }

    fn cached_block(&self, table: &Table, handle: BlockHandle) -> Option<Rc<Block>> {
        let block = self.cache.as_ref()?.borrow().get(table.id(), handle)?;
        (block.handle() == handle).then_some(block)
    }

    fn is_long_scan(&mut self, handle: BlockHandle) -> bool {
        if self.cache.is_some() {
            // A partition may lie between two data blocks.
            let behind = handle.page.wrapping_sub(self.expected_page) <= 1;
            self.misses = if behind { self.misses + 1 } else { 0 };
        }
        self.expected_page = handle.page + handle.pages;
        self.misses >= MISSES_BEFORE_WINDOW
    }

    async fn read_through_window(
        &mut self,
        table: &Table,
        handle: BlockHandle,
        mut buffer: Buffer,
    ) -> Result<Buffer> {
        let mut filled = 0;
        while filled < buffer.len() {
            let page = handle.page + (filled / PAGE) as u32;
            let window = self.window_at(table, page).await?;
            let start = (page - window.page) as usize * PAGE;
            let rest = &window.bytes[start..window.pages as usize * PAGE];
            let length = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&rest[..length]);
            filled += length;
        }
        Ok(buffer)
    }

    /// The window that holds `page`. Entering one starts the next.
    async fn window_at(&mut self, table: &Table, page: u32) -> Result<&Window> {
        if !self
            .window
            .as_ref()
            .is_some_and(|window| window.holds(page))
        {
            let pages = (WINDOW_BYTES / PAGE) as u32;
            let free = self.window.take().map(|window| window.bytes);
            let ahead = self
                .ahead
                .take()
                .filter(|a| (a.page..a.page + pages).contains(&page));
            let (ahead, free) = match ahead {
                Some(ahead) => (ahead, free),
                None => (self.read_ahead(table, page, free), None),
            };
            let next = ahead.page + pages;
            if next < table.data_pages() {
                self.ahead = Some(self.read_ahead(table, next, free));
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

    fn read_ahead(&self, table: &Table, page: u32, free: Option<Buffer>) -> Ahead {
        let buffer = free.unwrap_or_else(|| Buffer::zeroed(WINDOW_BYTES));
        let reading = Reading::start(&self.io, table.file(), page, buffer);
        Ahead { page, reading }
    }
}

impl Window {
    fn holds(&self, page: u32) -> bool {
        (self.page..self.page + self.pages).contains(&page)
    }
}

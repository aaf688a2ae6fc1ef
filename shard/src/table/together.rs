//! Blocks that are read at once, as they lie one behind the other.
//!
//! While the cache has room for more than it was asked for, the neighbours of a block that a scan misses come along: seeks all
//! over a table that fits would read it block by block otherwise. While it has none, those come along that the scan's page is
//! expected to take next and that are not there.

use std::ops::Range;
use std::rc::Rc;

use ringkeep_io::{Buffer, PAGE};

use super::open_table::{block_buffer, read_part};
use super::{Block, BlockReader, Table, TableId};

/// Read with a block while the cache has room, as they lie in a partition, unless they are large.
const NEIGHBOURS: usize = 16;
const BYTES_MAX: usize = 128 << 10;
/// So much is read together at most for the page that asks.
const AT_ONCE_BYTES_MAX: usize = 32 << 10;

impl BlockReader {
    /// A block and what lies around it, if that may come along and the device gives it. What is wrong with it will be said when
    /// it is asked for by itself.
    pub(super) async fn load_neighbours(
        &mut self,
        table: &Table,
        partition: &Block,
        at: usize,
    ) -> Option<Rc<Block>> {
        let neighbours = self.neighbours(table.id(), partition, at)?;
        let all = partition.span_of(neighbours.clone());
        let buffer = Buffer::zeroed(all.pages as usize * PAGE);
        let read = read_part(&self.io, table.file(), table.name(), all, buffer).await;
        let read = read.ok()?;
        self.expected_page = all.page + all.pages;
        let mut wanted = None;
        for index in neighbours {
            let handle = partition.handle_at(index);
            let cache = self.cache.as_ref()?;
            if index != at && cache.borrow().has(table.id(), handle) {
                continue;
            }
            let start = (handle.page - all.page) as usize * PAGE;
            let mut buffer = block_buffer(&self.io, handle.pages as usize);
            let length = buffer.len();
            buffer.copy_from_slice(&read[start..start + length]);
            let block = self.decode(table, handle, buffer, false);
            if index == at {
                wanted = block.ok();
            }
        }
        wanted
    }

    /// Those that are read with a block, itself included. They lie one behind the other.
    fn neighbours(&self, table: TableId, partition: &Block, at: usize) -> Option<Range<usize>> {
        let cache = self.cache.as_ref().filter(|_| self.is_scan())?.borrow();
        let touch = |at: usize| partition.touches_next(at);
        let (mut start, mut end) = (at, at + 1);
        if cache.has_room_for_bytes(BYTES_MAX) {
            let group = at - at % NEIGHBOURS;
            let group = group..partition.count().min(group + NEIGHBOURS);
            while start > group.start && touch(start - 1) {
                start -= 1;
            }
            while end < group.end && touch(end - 1) {
                end += 1;
            }
        } else {
            // Half of the first one, in the mean, is before the page.
            let before = bytes(partition, start..end) / 2;
            let page = self.expected_bytes.min(AT_ONCE_BYTES_MAX) + before;
            let passing = cache.passing_bytes();
            let is_missing = |at: usize| !cache.has(table, partition.handle_at(at));
            let takes = |now: Range<usize>, more: Range<usize>| {
                bytes(partition, now) < page && bytes(partition, more) <= passing
            };
            while self.backward && start > 0 && touch(start - 1) && is_missing(start - 1) {
                if !takes(start..end, start - 1..end) {
                    break;
                }
                start -= 1;
            }
            while !self.backward && end < partition.count() && touch(end - 1) && is_missing(end) {
                if !takes(start..end, start..end + 1) {
                    break;
                }
                end += 1;
            }
        }
        let blocks = start..end;
        (blocks.len() > 1 && bytes(partition, blocks.clone()) <= BYTES_MAX).then_some(blocks)
    }
}

fn bytes(partition: &Block, blocks: Range<usize>) -> usize {
    partition.span_of(blocks).pages as usize * PAGE
}

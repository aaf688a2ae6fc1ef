//! Pages in file order, gathered into chunks.

use std::collections::VecDeque;

use ringkeep_io::{Buffer, PAGE};

use super::block_builder::BlockBuilder;
use super::{BlockHandle, BlockKind, TableId};

pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// A table file as it grows.
pub(crate) struct Output {
    pub table: TableId,
    pub next_page: u32,
    chunk: Option<Chunk>,
    ready: VecDeque<(u64, Buffer, usize)>,
}

struct Chunk {
    offset: u64,
    buffer: Buffer,
    filled: usize,
}

impl Output {
    pub fn new(table: TableId) -> Output {
        Output {
            table,
            next_page: 0,
            chunk: None,
            ready: VecDeque::new(),
        }
    }

    /// Writes a block at the end of the file.
    pub(super) fn close(&mut self, builder: &mut BlockBuilder, kind: BlockKind) -> BlockHandle {
        let table = self.table;
        let (handle, part) = self.part(kind, builder.pages());
        builder.close(handle, table, part);
        handle
    }

    /// The next `pages` pages of the file, zeroed. What does not fit the chunk begins the next one.
    pub fn part(&mut self, kind: BlockKind, pages: usize) -> (BlockHandle, &mut [u8]) {
        assert!(pages <= usize::from(u16::MAX), "a part is within 256 MiB");
        let bytes = pages * PAGE;
        let full = |chunk: &Chunk| chunk.filled + bytes > chunk.buffer.len();
        if self.chunk.as_ref().is_none_or(full) {
            self.append(Buffer::zeroed(bytes.max(CHUNK_BYTES)), 0);
        }
        let page = self.advance(pages);
        let chunk = self.chunk.as_mut().expect("there is room in it");
        let start = chunk.filled;
        chunk.filled += bytes;
        let handle = BlockHandle {
            page,
            pages: pages as u32,
            kind,
        };
        (handle, &mut chunk.buffer[start..start + bytes])
    }

    /// Puts whole pages at the end of the file. What is left of the buffer is zeros, for the parts that follow.
    pub fn append(&mut self, buffer: Buffer, filled: usize) {
        self.emit();
        let page = self.advance(filled / PAGE);
        self.chunk = Some(Chunk {
            offset: u64::from(page) * PAGE as u64,
            buffer,
            filled,
        });
    }

    /// Ends the chunk.
    pub fn emit(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            self.ready
                .push_back((chunk.offset, chunk.buffer, chunk.filled));
        }
    }

    /// A finished chunk.
    pub fn pop(&mut self) -> Option<(u64, Buffer, usize)> {
        self.ready.pop_front()
    }

    pub fn finish(mut self) -> Vec<(u64, Buffer, usize)> {
        self.emit();
        self.ready.into()
    }

    fn advance(&mut self, pages: usize) -> u32 {
        let page = self.next_page;
        self.next_page = u32::try_from(page as usize + pages).expect("a table is within 16 TiB");
        page
    }
}

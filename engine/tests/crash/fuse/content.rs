//! The bytes of a file, shared page by page with its copies.

use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: usize = 4096;
pub const SECTOR: usize = 512;

/// Cheap to copy.
#[derive(Clone, Default)]
pub struct Content {
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
    pub size: u64,
}

/// Bytes that were written to a place.
#[derive(Clone)]
pub struct Write {
    pub offset: u64,
    pub bytes: Arc<[u8]>,
}

impl Content {
    pub fn of_size(size: u64) -> Content {
        Content {
            size,
            ..Content::default()
        }
    }

    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = offset;
        while !bytes.is_empty() {
            let within = (at % PAGE as u64) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE - within));
            let page = self.pages.entry(at / PAGE as u64);
            let page = page.or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[within..within + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = rest;
        }
        self.size = self.size.max(at);
    }

    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.size.min(offset + length as u64);
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        let mut at = 0;
        while at < bytes.len() {
            let place = offset + at as u64;
            let within = (place % PAGE as u64) as usize;
            let count = (bytes.len() - at).min(PAGE - within);
            if let Some(page) = self.pages.get(&(place / PAGE as u64)) {
                bytes[at..at + count].copy_from_slice(&page[within..within + count]);
            }
            at += count;
        }
        bytes
    }

    pub fn resize(&mut self, size: u64) {
        if size < self.size {
            self.pages.retain(|page, _| page * (PAGE as u64) < size);
            let within = (size % PAGE as u64) as usize;
            if let Some(page) = self.pages.get_mut(&(size / PAGE as u64)) {
                Arc::make_mut(page)[within..].fill(0);
            }
        }
        self.size = size;
    }

    /// Memory, and what counts as used space.
    pub fn used(&self) -> u64 {
        (self.pages.len() * PAGE) as u64
    }

    /// The sectors of a write that `kept` says yes to.
    pub fn write_torn(&mut self, write: &Write, mut kept: impl FnMut() -> bool) {
        for (index, sector) in write.bytes.chunks(SECTOR).enumerate() {
            if kept() {
                self.write(write.offset + (index * SECTOR) as u64, sector);
            }
        }
    }
}

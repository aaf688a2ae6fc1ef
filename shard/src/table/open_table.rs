//! An open table: the resident top indexes and filter, and finding a key.

use std::cell::{Cell, OnceCell};
use std::ops::{Deref, Range};
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, File, Io, PAGE, Ticket};
use zerocopy::FromBytes;

use super::filter::{self, Filter};
use super::format::{Damage, FOOTER_MAGIC, FORMAT_VERSION, Footer, Identity};
use super::{Block, BlockHandle, BlockKind, BlockSource, Section, TableId, TableSummary};
use crate::blob::{BlobFile, BlobRef};
use crate::content::Content;
use crate::ranges::hides;
use crate::{Error, Result, ShardId, Version};

/// A table file that can be read.
pub(crate) struct Table {
    file: File,
    name: String,
    summary: TableSummary,
    filter: Filter,
    /// Has every key.
    present: Vec<Rc<Block>>,
    /// Empty where nothing is older than the present.
    past: Vec<Rc<Block>>,
    past_pages: u32,
    /// Data blocks and partitions lie before this page.
    data_pages: u32,
    replaces: Cell<u64>,
    /// The blob files that it refers to.
    blobs: OnceCell<Vec<Rc<BlobFile>>>,
}

/// What `Table::find` knows.
pub(crate) enum Found {
    /// The newest version at or below the one asked for.
    Value(ValueRef, Version),
    /// That version is a value that ends at this time.
    Until(u64, ValueRef, Version),
    /// That version is in a blob file, and ends at this time.
    Elsewhere(u64, BlobRef, Version),
    /// That version is a deletion.
    Tombstone(Version),
    /// The table has no version of the key at or below the one asked for.
    Absent,
    /// This block has to be read first.
    Needs(BlockHandle),
}

impl Found {
    /// What was found is newer than this.
    fn is_above(&self, at: Version) -> bool {
        match self {
            Found::Value(_, version)
            | Found::Until(_, _, version)
            | Found::Elsewhere(_, _, version)
            | Found::Tombstone(version) => *version > at,
            Found::Absent | Found::Needs(_) => false,
        }
    }

    /// It is a version that range deletes hide.
    #[inline]
    pub fn is_below(&self, floor: Version) -> bool {
        match self {
            Found::Value(_, version)
            | Found::Until(_, _, version)
            | Found::Elsewhere(_, _, version)
            | Found::Tombstone(version) => hides(floor, *version),
            Found::Absent | Found::Needs(_) => false,
        }
    }
}

/// A value where it lies in its block, which it keeps in memory.
#[derive(Clone)]
pub(crate) struct ValueRef {
    block: Rc<Block>,
    start: u32,
    end: u32,
}

impl ValueRef {
    /// The value of an entry, without its time; deleted ones have none.
    #[inline]
    pub(super) fn new(block: Rc<Block>, index: usize) -> ValueRef {
        let span = block.value_span(index);
        ValueRef::of(block, span)
    }

    /// The value that lies there.
    #[inline]
    pub(super) fn of(block: Rc<Block>, span: Range<usize>) -> ValueRef {
        ValueRef {
            block,
            start: span.start as u32,
            end: span.end as u32,
        }
    }
}

impl Deref for ValueRef {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.block.slice(self.start as usize, self.end as usize)
    }
}

impl Table {
    /// Opens the table that `expected` describes. Reads its last page, then filter and top indexes.
    pub async fn open(
        io: &Io,
        file: File,
        name: String,
        expected: &TableSummary,
        store: [u8; 16],
        shard: ShardId,
    ) -> Result<Table> {
        let pages = u32::try_from(expected.file_bytes / PAGE as u64).unwrap_or(0);
        let Some(footer_page) = pages.checked_sub(1) else {
            return Err(Error::Missing { file: name });
        };
        let footer_handle = BlockHandle {
            page: footer_page,
            pages: 1,
            kind: BlockKind::Footer,
        };
        let bytes = read_part(io, &file, &name, footer_handle, io.frame()).await?;
        let footer = verify_footer(&bytes, footer_handle, expected, &name, store, shard)?;

        let (filter_page, top_page) = (footer.filter_page.get(), footer.top_page.get());
        let top_end = match footer.past_top_page.get() {
            0 => footer_page,
            past_page => past_page,
        };
        let handle = |page: u32, end: u32, kind| BlockHandle {
            page,
            pages: end - page,
            kind,
        };
        let filter_handle = handle(filter_page, top_page, BlockKind::Filter);
        let tops_handle = handle(top_page, footer_page, BlockKind::Top);
        let heap = |handle: BlockHandle| Buffer::zeroed(handle.pages as usize * PAGE);
        let filter = read_part(io, &file, &name, filter_handle, heap(filter_handle));
        let tops = read_part(io, &file, &name, tops_handle, heap(tops_handle));
        let filter = Filter::verify(filter.await?, filter_handle, expected.id)
            .map_err(|damage| corrupt(&name, filter_handle, damage))?;
        let tops = tops.await?;
        let (present, past) = tops.split_at((top_end - top_page) as usize * PAGE);
        let split = |bytes: &[u8], section: Section, page: u32| {
            let whole = handle(page, page + (bytes.len() / PAGE) as u32, section.top());
            split_top(bytes, whole, expected.id, filter_page)
                .map_err(|damage| corrupt(&name, whole, damage))
        };
        Ok(Table {
            summary: expected.clone(),
            filter,
            present: split(present, Section::Present, top_page)?,
            past: split(past, Section::Past, top_end)?,
            past_pages: footer.past_pages.get(),
            file,
            name,
            data_pages: filter_page,
            replaces: Cell::new(0),
            blobs: OnceCell::new(),
        })
    }

    /// Bytes of older tables that are hidden by this one, about: as its writer found. Nothing is known of that after an
    /// opening.
    pub fn replaces(&self) -> u64 {
        self.replaces.get()
    }

    pub fn set_replaces(&self, bytes: u64) {
        self.replaces.set(bytes);
    }

    /// From here on these blob files are there for as long as it is.
    pub fn hold(&self, blobs: Vec<Rc<BlobFile>>) {
        let held = self.blobs.set(blobs);
        debug_assert!(held.is_ok(), "once");
    }

    /// The blob files that it holds.
    pub fn blobs(&self) -> &[Rc<BlobFile>] {
        self.blobs.get().map_or(&[], Vec::as_slice)
    }

    /// The hash of a key for `may_contain`, the same for all tables.
    #[inline]
    pub fn key_hash(key: &[u8]) -> u64 {
        filter::key_hash(key)
    }

    /// False when the table has no version of the key with this hash.
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    pub fn id(&self) -> TableId {
        self.summary.id
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn summary(&self) -> &TableSummary {
        &self.summary
    }

    pub fn first_key(&self) -> &[u8] {
        &self.summary.first_key
    }

    pub fn last_key(&self) -> &[u8] {
        &self.summary.last_key
    }

    /// Memory held as long as the table is open.
    pub fn resident_bytes(&self) -> usize {
        let tops = self.present.iter().chain(&self.past);
        let top: usize = tops.map(|block| block.bytes() + size_of::<Block>()).sum();
        let summary = self.summary.first_key.len() + self.summary.last_key.len();
        size_of::<Table>() + self.filter.bytes() + top + summary + self.name.len()
    }

    /// The newest version of `key` at or below `at`. Does not ask the filter: whoever looks through
    /// several tables hashes the key once and asks `may_contain` first. The past is looked at only for a key whose
    /// newest version is too new.
    #[inline]
    pub fn find(&self, key: &[u8], at: Version, blocks: &impl BlockSource) -> Found {
        if at < self.summary.oldest {
            return Found::Absent;
        }
        // A table of one section has older versions among the present.
        let newest = match self.past.is_empty() {
            true => at,
            false => Version(u64::MAX),
        };
        match self.find_in(Section::Present, key, newest, blocks) {
            found if found.is_above(at) => self.find_older(key, at, blocks),
            found => found,
        }
    }

    #[cold]
    fn find_older(&self, key: &[u8], at: Version, blocks: &impl BlockSource) -> Found {
        match planted(Defect::PastNotRead) {
            false => self.find_in(Section::Past, key, at, blocks),
            true => Found::Absent,
        }
    }

    #[inline]
    fn find_in(
        &self,
        section: Section,
        key: &[u8],
        at: Version,
        blocks: &impl BlockSource,
    ) -> Found {
        let Some((top, index)) = self.seek_top(section, key, at) else {
            return Found::Absent;
        };
        let handle = self.top(section)[top].handle_at(index);
        let Some(partition) = self.block_in(blocks, handle) else {
            return Found::Needs(handle);
        };
        let index = partition.lower_bound(key, at);
        if index == partition.count() {
            return Found::Absent;
        }
        let handle = partition.handle_at(index);
        let Some(block) = self.block_in(blocks, handle) else {
            return Found::Needs(handle);
        };
        let index = block.lower_bound(key, at);
        if index == block.count() || !block.is_key(index, key) {
            return Found::Absent;
        }
        let entry = block.entry(index);
        let version = entry.version;
        match entry.content {
            Content::Value(_) => Found::Value(ValueRef::new(block, index), version),
            Content::Removed => Found::Tombstone(version),
            Content::Until(until, _) => Found::Until(until, ValueRef::new(block, index), version),
            Content::Elsewhere(until, reference) => Found::Elsewhere(until, *reference, version),
        }
    }

    /// The last keys of the parts that the top index divides the table into, or keys a little above them.
    pub fn part_ends(&self) -> impl Iterator<Item = Box<[u8]>> {
        let blocks = self.present.iter();
        blocks.flat_map(|block| (0..block.count()).map(|index| block.key(index)))
    }

    /// Verifies a block that was read from `handle`. Damage is an error that names file and offset.
    pub fn decode_block(&self, handle: BlockHandle, buffer: Buffer) -> Result<Block> {
        Block::verify(buffer, handle, self.id(), self.data_pages)
            .map_err(|damage| corrupt(&self.name, handle, damage))
    }

    /// A block of another kind than its index says is not it: reading it again will say so.
    #[inline]
    fn block_in(&self, blocks: &impl BlockSource, handle: BlockHandle) -> Option<Rc<Block>> {
        let block = blocks.block(self.id(), handle)?;
        (block.handle() == handle).then_some(block)
    }

    /// Which top index block, and which entry in it, lead to (`key`, `at`).
    #[inline]
    pub(super) fn seek_top(
        &self,
        section: Section,
        key: &[u8],
        at: Version,
    ) -> Option<(usize, usize)> {
        let blocks = self.top(section);
        let ends_before = |block: &Rc<Block>| block.compare(block.count() - 1, key, at).is_lt();
        let block = match blocks.len() {
            1 => 0,
            _ => blocks.partition_point(ends_before),
        };
        let top = blocks.get(block)?;
        let index = top.lower_bound(key, at);
        (index < top.count()).then_some((block, index))
    }

    #[inline]
    pub(super) fn top(&self, section: Section) -> &[Rc<Block>] {
        match section {
            Section::Present => &self.present,
            Section::Past => &self.past,
        }
    }

    /// There are older versions than the present's, in a section of their own.
    pub fn has_past(&self) -> bool {
        !self.past.is_empty()
    }

    /// What the past takes; about, where it lies among the present.
    pub fn past_bytes(&self) -> u64 {
        if self.has_past() {
            return u64::from(self.past_pages) * PAGE as u64;
        }
        let summary = &self.summary;
        let old = u128::from(summary.entries - summary.keys);
        (u128::from(summary.file_bytes) * old / u128::from(summary.entries.max(1))) as u64
    }

    pub(super) fn data_pages(&self) -> u32 {
        self.data_pages
    }
}

fn verify_footer(
    bytes: &[u8],
    handle: BlockHandle,
    expected: &TableSummary,
    name: &str,
    store: [u8; 16],
    shard: ShardId,
) -> Result<Footer> {
    let damaged = |at: usize, detail: &str| Err(corrupt(name, handle, Damage::new(at, detail)));
    let Ok((footer, _)) = Footer::read_from_prefix(bytes) else {
        return damaged(0, "no room for a footer");
    };
    if footer.magic != FOOTER_MAGIC {
        return damaged(20, "no footer here");
    }
    let verified = Identity::verify(bytes, handle, expected.id);
    // A version that we do not know is only believed of a whole footer.
    let whole = footer.identity.crc.get() == crate::checksum::crc32c(&bytes[4..]);
    if whole && !footer.identity.is_known() {
        return Err(Error::Version {
            file: name.into(),
            found: footer.identity.format.into(),
            supported: FORMAT_VERSION.into(),
        });
    }
    if whole && (footer.store != store || footer.shard.get() != shard.0) {
        return Err(Error::Foreign {
            file: name.into(),
            detail: format!("it belongs to shard {} of a store", footer.shard),
        });
    }
    verified.map_err(|damage| corrupt(name, handle, damage))?;
    if footer.identity.crc.get() != expected.footer_crc {
        return damaged(0, "not the footer that the manifest knows");
    }
    let (filter_page, top_page) = (footer.filter_page.get(), footer.top_page.get());
    if filter_page == 0 || filter_page >= top_page || top_page >= handle.page {
        return damaged(48, "parts out of order");
    }
    let past_page = footer.past_top_page.get();
    if past_page > 0 && !(top_page + 1..handle.page).contains(&past_page) {
        return damaged(96, "parts out of order");
    }
    Ok(footer)
}

/// Cuts the top index into its blocks.
fn split_top(
    bytes: &[u8],
    whole: BlockHandle,
    table: TableId,
    data_pages: u32,
) -> std::result::Result<Vec<Rc<Block>>, Damage> {
    let mut blocks = Vec::new();
    let mut page = 0;
    while page < whole.pages as usize {
        let rest = &bytes[page * PAGE..];
        let pages = Identity::ref_from_prefix(rest)
            .map_or(0, |(identity, _)| usize::from(identity.pages.get()));
        if pages == 0 || pages * PAGE > rest.len() {
            return Err(Damage::new(
                page * PAGE,
                format!("a block of {pages} pages"),
            ));
        }
        let handle = BlockHandle {
            page: whole.page + page as u32,
            pages: pages as u32,
            kind: whole.kind,
        };
        // Not of the frames: those can be wanted back, and this stays for as long as the table.
        let mut buffer = Buffer::zeroed(pages * PAGE);
        buffer.copy_from_slice(&rest[..pages * PAGE]);
        let block = Block::verify(buffer, handle, table, data_pages)
            .map_err(|damage| Damage::new(page * PAGE + damage.at, damage.detail))?;
        blocks.push(Rc::new(block));
        page += pages;
    }
    Ok(blocks)
}

/// Memory for a block: a frame of the ring where one page is enough.
pub(super) fn block_buffer(io: &Io, pages: usize) -> Buffer {
    match pages {
        1 => io.frame(),
        _ => Buffer::zeroed(pages * PAGE),
    }
}

/// Reads one part whole. The read is on its way before this is awaited.
pub(super) fn read_part(
    io: &Io,
    file: &File,
    name: &str,
    handle: BlockHandle,
    buffer: Buffer,
) -> impl Future<Output = Result<Buffer>> {
    let length = buffer.len();
    let reading = Reading::start(io, file, handle.page, buffer);
    async move {
        let (buffer, read) = reading.finish(name).await?;
        match read == length {
            true => Ok(buffer),
            false => Err(Error::Missing { file: name.into() }),
        }
    }
}

/// A read in flight, which is tried once more if it fails: a path to the device that hiccuped is not
/// a lost page.
pub(super) struct Reading {
    io: Io,
    file: File,
    offset: u64,
    ticket: Ticket,
}

impl Reading {
    pub fn start(io: &Io, file: &File, page: u32, buffer: Buffer) -> Reading {
        let offset = u64::from(page) * PAGE as u64;
        Reading {
            io: io.clone(),
            file: file.clone(),
            offset,
            ticket: io.read(file, offset, buffer),
        }
    }

    /// The buffer, and how much of it the file had.
    pub async fn finish(self, name: &str) -> Result<(Buffer, usize)> {
        let mut done = self.ticket.await;
        if done.result.is_err() {
            done = self.io.read(&self.file, self.offset, done.buffer).await;
        }
        let read = done.result.map_err(|error| Error::io(error, name))?;
        Ok((done.buffer, read))
    }
}

fn corrupt(name: &str, handle: BlockHandle, damage: Damage) -> Error {
    Error::Corrupt {
        file: name.into(),
        offset: u64::from(handle.page) * PAGE as u64 + damage.at as u64,
        detail: damage.detail,
    }
}

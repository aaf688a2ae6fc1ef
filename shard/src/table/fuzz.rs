//! The decoders of a table's parts, for `crate::fuzz`.

use std::future::Future;
use std::ops::Bound;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ringkeep_io::{
    Buffer, Directory, Io, OpenMode, PAGE, SimulatedDisk, SimulatedOptions, WriteDurability,
};
use zerocopy::{FromBytes, IntoBytes};

use super::filter::{Filter, FilterBuilder};
use super::format::{FORMAT_VERSION, Footer, Identity, seal};
use super::{
    Block, BlockHandle, BlockKind, BlockReader, Codec, FilterSize, Make, Section, Table,
    TableCursor, TableId, TableSummary, TableWriter,
};
use crate::blob::{BlobId, BlobRef};
use crate::content::{Content, NEVER};
use crate::fuzz::{MENDED, flagged, split};
use crate::version::{ShardId, Version};

const STORE: [u8; 16] = *b"a store to fuzz.";
const SHARD: ShardId = ShardId(0);
const TABLE: TableId = TableId(1);
const BLOCKS: [BlockKind; 6] = [
    BlockKind::Data,
    BlockKind::Partition,
    BlockKind::Top,
    BlockKind::PastData,
    BlockKind::PastPartition,
    BlockKind::PastTop,
];
/// An index with forged numbers may lead to the same block over and over.
const STEPS_MAX: usize = 10_000;

/// Whole pages of an input, which begins behind its flags.
fn pages(bytes: &[u8]) -> Vec<u8> {
    let mut pages = bytes[..bytes.len().min(64 * PAGE)].to_vec();
    pages.resize(pages.len().next_multiple_of(PAGE).max(PAGE), 0);
    pages
}

fn buffer(bytes: &[u8]) -> Buffer {
    let mut buffer = Buffer::zeroed(bytes.len());
    buffer.copy_from_slice(bytes);
    buffer
}

fn handle(kind: BlockKind, bytes: &[u8]) -> BlockHandle {
    BlockHandle {
        page: 0,
        pages: (bytes.len() / PAGE) as u32,
        kind,
    }
}

fn claim(part: &mut [u8], handle: BlockHandle, table: TableId) -> u32 {
    let identity = Identity::new(handle, table);
    part[..size_of::<Identity>()].copy_from_slice(identity.as_bytes());
    seal(part)
}

/// A block of any kind, compressed or not.
pub fn block(input: &[u8]) {
    let Some((flags, bytes)) = split(input) else {
        return;
    };
    let mut bytes = pages(bytes);
    let handle = handle(BLOCKS[usize::from(flags >> 1) % BLOCKS.len()], &bytes);
    if flags & MENDED != 0 {
        claim(&mut bytes, handle, TABLE);
    }
    let Ok(block) = Block::verify(buffer(&bytes), handle, TABLE, 1000) else {
        return;
    };
    for index in 0..block.count() {
        let entry = block.entry(index);
        let key = [block.prefix(), entry.suffix].concat();
        assert!(block.is_key(index, &key) && block.compare(index, &key, entry.version).is_eq());
        assert!(block.lower_bound(&key, entry.version) <= block.count());
        if !handle.kind.is_data() {
            assert!(block.handle_at(index).pages > 0);
        }
    }
}

/// Data blocks of every shape and codec, and index blocks.
pub fn block_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for table in sample_tables() {
        let pages = table.chunks(PAGE).filter(|page| page[4] != 0);
        for page in pages {
            let kind = BLOCKS.iter().position(|kind| *kind as u8 == page[4]);
            let Some(kind) = kind else { continue };
            seeds.push([&[MENDED | (kind as u8) << 1], trimmed(page)].concat());
        }
    }
    seeds
}

/// A filter.
pub fn filter(input: &[u8]) {
    let Some((flags, bytes)) = split(input) else {
        return;
    };
    let mut bytes = pages(bytes);
    let handle = handle(BlockKind::Filter, &bytes);
    if flags & MENDED != 0 {
        claim(&mut bytes, handle, TABLE);
    }
    if let Ok(filter) = Filter::verify(buffer(&bytes), handle, TABLE) {
        for hash in [0, 1, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            filter.may_contain(hash);
        }
    }
}

/// A filter of some keys.
pub fn filter_seeds() -> Vec<Vec<u8>> {
    let hashes: Vec<u64> = (0..100).map(|n: u64| Table::key_hash(&[n as u8])).collect();
    let mut part = vec![0; PAGE];
    let whole = handle(BlockKind::Filter, &part);
    FilterBuilder::new(FilterSize::LastLevel).finish(&hashes, whole, TABLE, &mut part);
    flagged([trimmed(&part).to_vec()])
}

/// A whole file: opened, asked for keys, walked both ways.
pub fn table(input: &[u8]) {
    if let Some((io, table)) = opened(input) {
        table.may_contain(Table::key_hash(b"key-000003"));
        for section in [Section::Present, Section::Past] {
            walk(&io, Rc::clone(&table), section);
        }
    }
}

fn opened(input: &[u8]) -> Option<(Io, Rc<Table>)> {
    let (flags, bytes) = split(input)?;
    let mut bytes = pages(bytes);
    if flags & MENDED != 0 {
        mend(&mut bytes, TABLE);
    }
    let (_, io, directory) = disk();
    let file = directory.open("t", OpenMode::CreateNew).expect("a file");
    let cached = WriteDurability::Cached;
    let written = io.write(&file, 0, buffer(&bytes), bytes.len(), cached);
    run(&io, written).result.expect("room");
    let footer = &bytes[bytes.len() - PAGE..];
    let expected = TableSummary {
        id: TABLE,
        file_bytes: bytes.len() as u64,
        entries: 1,
        tombstones: 0,
        keys: 1,
        ending: 0,
        last_end: 0,
        first_key: (*b"a").into(),
        last_key: (*b"z").into(),
        oldest: Version(0),
        newest: Version(u64::MAX),
        cleared: Version(0),
        cleared_of: Vec::new(),
        blobs: Vec::new(),
        footer_crc: u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]),
    };
    let opened = Table::open(&io, file, "t".into(), &expected, STORE, SHARD);
    let table = run(&io, opened).ok()?;
    Some((io, Rc::new(table)))
}

fn walk(io: &Io, table: Rc<Table>, section: Section) {
    let mut cursor = TableCursor::new(table, section, BlockReader::sequential(io.clone()));
    let walk = async {
        for key in [&b"key-000003"[..], b"", b"zzz"] {
            cursor.seek(Bound::Included(key)).await?;
        }
        cursor.seek(Bound::Unbounded).await?;
        for _ in 0..STEPS_MAX {
            if cursor.position().is_none() {
                break;
            }
            cursor.next().await?;
        }
        cursor.seek_back(Bound::Unbounded).await?;
        for _ in 0..STEPS_MAX {
            if cursor.position().is_none() {
                break;
            }
            cursor.prev().await?;
        }
        crate::Result::Ok(())
    };
    let _ = run(io, walk);
}

/// Small tables of each codec.
pub fn table_seeds() -> Vec<Vec<u8>> {
    flagged(sample_tables())
}

fn sample_tables() -> Vec<Vec<u8>> {
    let codecs = [Codec::Raw, Codec::Lz4, Codec::Zstd];
    codecs.map(sample_table).to_vec()
}

fn sample_table(codec: Codec) -> Vec<u8> {
    let (disk, io, directory) = disk();
    let file = directory.open("t", OpenMode::CreateNew).expect("a file");
    let make = Make {
        codec,
        filter: FilterSize::LastLevel,
    };
    let mut writer = TableWriter::new(TABLE, STORE, SHARD, make);
    for number in 0..120u64 {
        let key = format!("key-{number:06}");
        let value = (number % 9 != 0).then(|| vec![number as u8 / 16; number as usize]);
        let elsewhere = BlobRef::new(BlobId(7), number as u32, Codec::Raw, 9, b"elsewhere");
        let content = match value.as_deref() {
            Some(_) if number % 13 == 0 => Content::Elsewhere(NEVER, &elsewhere),
            Some(_) if number % 17 == 0 => Content::Elsewhere(1 << 40, &elsewhere),
            Some(value) if number % 7 == 0 => Content::Until(1 << 40, value),
            value => value.into(),
        };
        writer.add(key.as_bytes(), Version(5 + number % 3), content);
        if number % 4 == 0 {
            writer.add(key.as_bytes(), Version(number % 5), content);
        }
    }
    let mut chunks: Vec<_> = std::iter::from_fn(|| writer.pending()).collect();
    chunks.extend(writer.finish().0);
    for (offset, buffer, length) in chunks {
        let written = io.write(&file, offset, buffer, length, WriteDurability::Cached);
        run(&io, written).result.expect("room");
    }
    disk.read_raw("/t").expect("the file")
}

/// Makes every part that can be found claim to be what it is where it is, with the checksum that it should have,
/// and gives the footer's.
pub(crate) fn mend(file: &mut [u8], table: TableId) -> u32 {
    let count = file.len() / PAGE;
    let Some(last) = count.checked_sub(1) else {
        return 0;
    };
    let footer_handle = BlockHandle {
        page: last as u32,
        pages: 1,
        kind: BlockKind::Footer,
    };
    let footer_crc = claim(&mut file[last * PAGE..count * PAGE], footer_handle, table);
    let Ok((footer, _)) = Footer::read_from_prefix(&file[last * PAGE..]) else {
        return footer_crc;
    };
    let (filter, top) = (footer.filter_page.get(), footer.top_page.get());
    if filter < top && top as usize <= last {
        let handle = BlockHandle {
            page: filter,
            pages: top - filter,
            kind: BlockKind::Filter,
        };
        claim(
            &mut file[filter as usize * PAGE..top as usize * PAGE],
            handle,
            table,
        );
    }
    let mut page = 0;
    while page < last {
        let part = &mut file[page * PAGE..last * PAGE];
        let Ok((mut identity, _)) = Identity::read_from_prefix(part) else {
            break;
        };
        let pages = usize::from(identity.pages.get());
        let is_filter = page == filter as usize;
        if !is_filter && (1..=part.len() / PAGE).contains(&pages) {
            identity.format = FORMAT_VERSION;
            identity.table = table.0.into();
            identity.page = (page as u32).into();
            part[..size_of::<Identity>()].copy_from_slice(identity.as_bytes());
            seal(&mut part[..pages * PAGE]);
        }
        page += if is_filter && top as usize > page {
            top as usize - page
        } else {
            pages.max(1)
        };
    }
    footer_crc
}

fn disk() -> (SimulatedDisk, Io, Directory) {
    let disk = SimulatedDisk::new(1, SimulatedOptions::default());
    let io = Io::simulated(&disk);
    let directory = io.directory(Path::new("/")).expect("a folder");
    (disk, io, directory)
}

fn run<F: Future>(io: &Io, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        io.park(None);
    }
}

fn trimmed(page: &[u8]) -> &[u8] {
    let end = page.iter().rposition(|byte| *byte != 0);
    &page[..end.map_or(0, |end| end + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_tables_with_a_past() {
        for seed in table_seeds() {
            let (_, table) = opened(&seed).expect("a table");
            assert!(table.has_past());
        }
    }
}

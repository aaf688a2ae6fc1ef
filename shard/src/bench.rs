//! A door to single components for `benches/`, which sees only what is public. No part of the interface: it
//! promises nothing, and holds nothing that a shard uses.

use std::cell::RefCell;
use std::future::Future;
use std::ops::Bound;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ringkeep_io::{Buffer, Io, OpenMode, PAGE, SimulatedDisk, SimulatedOptions, WriteDurability};

use crate::call::{Change, Op};
use crate::content::Content;
use crate::log::format::{FrameHeader, HEADER_BYTES, frame_bytes, push_op};
use crate::merge::{MergeCursor, Source};
use crate::page_cache::PageCache;
use crate::shard::Identity;
use crate::table::{
    Block, BlockHandle, BlockReader, BlockSource, Codec, FilterSize, Found, Make, TableId,
    TableWriter,
};
use crate::table_set::TableRun;
use crate::timeline::Moment;
use crate::version::{ShardId, Version};

const IDENTITY: Identity = Identity {
    store: *b"a store to bench",
    shard: ShardId(0),
    shards: 1,
};

/// Encodes one group of writes and seals its frame: all of a log append but the device.
pub fn log_frame(ops: &[Op], payload: &mut Vec<u8>, frame: &mut [u8]) -> usize {
    payload.clear();
    for op in ops {
        push_op(payload, op);
    }
    frame[HEADER_BYTES..][..payload.len()].copy_from_slice(payload);
    let header = FrameHeader {
        payload_bytes: payload.len() as u32,
        ..FrameHeader::default()
    };
    header.seal(&IDENTITY, frame);
    frame_bytes(payload.len())
}

const PRESENT: Moment = Moment {
    millis: 0,
    version: Version(u64::MAX),
};

/// Writes in memory.
#[derive(Clone)]
pub struct Memtable(Rc<RefCell<crate::memtable::Memtable>>);

impl Default for Memtable {
    fn default() -> Memtable {
        Memtable(Rc::new(RefCell::new(crate::memtable::Memtable::new())))
    }
}

impl Memtable {
    /// One commit of some writes of the same value.
    pub fn insert(&self, keys: &[[u8; 8]], version: u64, value: &[u8]) {
        let content = Content::Value(value);
        let changes = keys.iter().map(|key| Change { key, content });
        self.0.borrow_mut().insert(changes, Version(version));
    }

    /// Length of the newest value.
    pub fn get(&self, key: &[u8]) -> Option<usize> {
        let table = self.0.borrow();
        let content = table.get(key, Version(u64::MAX))?;
        content.value().map(<[u8]>::len)
    }
}

/// A simulated disk for tables, with a cache that holds all of them.
pub struct Disk {
    io: Io,
    cache: Rc<RefCell<PageCache>>,
    tables: u64,
}

impl Default for Disk {
    fn default() -> Disk {
        Disk {
            io: Io::simulated(&SimulatedDisk::new(1, SimulatedOptions::default())),
            cache: Rc::new(RefCell::new(PageCache::new(256 << 20))),
            tables: 0,
        }
    }
}

/// A table.
pub struct Table {
    io: Io,
    table: Rc<crate::table::Table>,
    /// The same as a run.
    run: Rc<TableRun>,
    cache: Rc<RefCell<PageCache>>,
    /// The block that was read last, as it came from the disk.
    raw: RefCell<Option<(BlockHandle, Vec<u8>)>>,
}

impl Disk {
    /// A table of these records, keys ascending.
    pub fn table<'a>(&mut self, records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Table {
        self.tables += 1;
        let (io, name) = (&self.io, format!("table-{}", self.tables));
        let directory = io.directory(Path::new("/")).expect("a folder");
        let file = directory.open(&name, OpenMode::CreateNew);
        let file = file.expect("a new file");
        let (store, shard) = (IDENTITY.store, IDENTITY.shard);
        let make = Make {
            codec: Codec::Raw,
            filter: FilterSize::LastLevel,
        };
        let mut writer = TableWriter::new(TableId(self.tables), store, shard, make);
        let write = |(offset, buffer, length)| {
            let written = io.write(&file, offset, buffer, length, WriteDurability::Cached);
            run(io, written).result.expect("room");
        };
        for (key, value) in records {
            writer.add(key, Version(1), Content::Value(value));
            while let Some(chunk) = writer.pending() {
                write(chunk);
            }
        }
        let (rest, summary) = writer.finish();
        rest.into_iter().for_each(write);
        let opened = crate::table::Table::open(io, file, name, &summary, store, shard);
        let table = Rc::new(run(io, opened).expect("a whole table"));
        Table {
            run: TableRun::new(vec![Rc::clone(&table)]),
            table,
            cache: Rc::clone(&self.cache),
            raw: RefCell::new(None),
            io: io.clone(),
        }
    }

    /// Walks the merged records of memtables and of this disk's tables, newest first, and gives their number.
    pub fn merge(&self, memtables: &[Memtable], tables: &[Table]) -> usize {
        let memtables = memtables
            .iter()
            .map(|table| Source::memtable(Rc::clone(&table.0)));
        let sources = memtables.chain(tables.iter().flat_map(Table::source));
        let mut cursor = MergeCursor::visible(sources.collect(), PRESENT);
        let walk = async {
            let mut count = 0;
            cursor.seek(Bound::Unbounded).await?;
            while cursor.key().is_some() {
                count += 1;
                if !cursor.next_at_hand() {
                    cursor.next().await?;
                }
            }
            crate::Result::Ok(count)
        };
        run(&self.io, walk).expect("whole tables")
    }
}

impl Table {
    /// What the filter says.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        let hash = crate::table::Table::key_hash(key);
        self.table.may_contain(hash)
    }

    /// Length of a value, from blocks that are cached by then.
    pub fn get(&self, key: &[u8]) -> Option<usize> {
        loop {
            match self.table.find(key, Version(u64::MAX), self) {
                Found::Value(value, _) | Found::Until(_, value, _) => return Some(value.len()),
                Found::Elsewhere(..) | Found::Tombstone(_) | Found::Absent => return None,
                Found::Needs(handle) => self.load(handle),
            }
        }
    }

    fn load(&self, handle: BlockHandle) {
        let buffer = Buffer::zeroed(handle.pages as usize * PAGE);
        let offset = u64::from(handle.page) * PAGE as u64;
        let read = run(&self.io, self.io.read(self.table.file(), offset, buffer));
        *self.raw.borrow_mut() = Some((handle, read.buffer.to_vec()));
        let block = self.table.decode_block(handle, read.buffer);
        let block = Rc::new(block.expect("a whole block"));
        self.cache.borrow_mut().insert(self.table.id(), block);
    }

    /// Checks the bytes of the block that was read last and makes them a block again, which gives the number of
    /// its records: what a read from the device costs beside the device.
    pub fn decode(&self) -> usize {
        let raw = self.raw.borrow();
        let (handle, bytes) = raw.as_ref().expect("something was read");
        let mut buffer = Buffer::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        let block = self.table.decode_block(*handle, buffer);
        block.expect("a whole block").count()
    }

    fn source(&self) -> impl Iterator<Item = Source> {
        let reader = || BlockReader::cached(self.io.clone(), Rc::clone(&self.cache), 0);
        let sources = Source::run(&self.run, PRESENT.version, reader);
        sources.into_iter().flatten()
    }
}

impl BlockSource for Table {
    fn block(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>> {
        self.cache.borrow().get(table, handle)
    }
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

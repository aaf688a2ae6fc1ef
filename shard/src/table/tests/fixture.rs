//! A simulated disk with tables on it, and a map that says what they should answer.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ringkeep_io::{Directory, Io, OpenMode, SimulatedDisk, SimulatedOptions, WriteDurability};

use crate::content::{Content, of_test};
use crate::merge::seeded::Seeded;
use crate::page_cache::PageCache;
use crate::table::{
    Codec, FilterSize, Found, Make, Section, Table, TableId, TableSummary, TableWriter,
};
use crate::{Result, ShardId, Version};

pub(crate) const STORE: [u8; 16] = *b"a store of tests";
pub(crate) const SHARD: ShardId = ShardId(3);

/// Entries in the order of a table.
pub(crate) type Model = BTreeMap<(Vec<u8>, Reverse<Version>), Option<Vec<u8>>>;

pub(crate) struct Fixture {
    pub disk: SimulatedDisk,
    pub io: Io,
    pub directory: Directory,
    pub cache: Rc<RefCell<PageCache>>,
    /// Of tables written from now on.
    pub codec: Cell<Codec>,
    /// The same where a key's first byte is odd, if that is another one.
    pub codec_of_odd: Cell<Option<Codec>>,
}

impl Fixture {
    pub fn new(cache_bytes: usize) -> Fixture {
        let disk = SimulatedDisk::new(1, SimulatedOptions::default());
        let io = Io::simulated(&disk);
        let directory = io.directory(Path::new("/")).unwrap();
        Fixture {
            disk,
            io,
            directory,
            cache: Rc::new(RefCell::new(PageCache::new(cache_bytes))),
            codec: Cell::default(),
            codec_of_odd: Cell::default(),
        }
    }

    /// One for all keys, or two.
    pub fn any_codecs(&self, random: &mut Seeded) {
        self.codec.set(any_codec(random));
        let odd = random.one_in(2).then(|| any_codec(random));
        self.codec_of_odd.set(odd);
    }

    /// Runs one future, and the disk under it.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            self.io.park(None);
        }
    }

    pub fn write(&self, id: u64, model: &Model) -> TableSummary {
        let make = Make {
            codec: self.codec.get(),
            filter: FilterSize::LastLevel,
        };
        let mut writer = TableWriter::new(TableId(id), STORE, SHARD, make);
        let file = self.directory.open(&name(id), OpenMode::CreateNew).unwrap();
        let write = |(offset, buffer, length)| {
            let durability = WriteDurability::Cached;
            let done = self.run(self.io.write(&file, offset, buffer, length, durability));
            assert_eq!(done.result, Ok(length));
        };
        for ((key, Reverse(version)), value) in model {
            let is_odd = key.first().is_some_and(|byte| byte % 2 == 1);
            let odd = self.codec_of_odd.get().filter(|_| is_odd);
            writer.set_codec(odd.unwrap_or(self.codec.get()));
            writer.add(key, *version, of_test(value.as_deref()));
            while let Some(chunk) = writer.pending() {
                write(chunk);
            }
        }
        let estimate = writer.bytes();
        let (rest, summary) = writer.finish();
        rest.into_iter().for_each(write);
        self.run(self.io.sync(&file)).result.unwrap();
        assert!(
            estimate.abs_diff(summary.file_bytes) <= 64 << 10,
            "{estimate}, {summary:?}"
        );
        summary
    }

    pub fn open(&self, summary: &TableSummary) -> Result<Rc<Table>> {
        let file = self
            .directory
            .open(&name(summary.id.0), OpenMode::Read)
            .unwrap();
        let name = name(summary.id.0);
        let open = Table::open(&self.io, file, name, summary, STORE, SHARD);
        self.run(open).map(Rc::new)
    }

    pub fn table(&self, id: u64, model: &Model) -> Rc<Table> {
        let summary = self.write(id, model);
        self.open(&summary).unwrap()
    }

    /// What a read finds: a value, a deletion, or nothing.
    pub fn find(
        &self,
        table: &Table,
        key: &[u8],
        at: Version,
    ) -> Result<Option<(Version, Option<Vec<u8>>)>> {
        let mut held = Vec::new();
        loop {
            let blocks = Blocks {
                cache: &self.cache,
                held: &held,
            };
            match table.find(key, at, &blocks) {
                Found::Value(value, version) => {
                    return Ok(Some((version, Some(told(Content::Value(&value), &value)))));
                }
                Found::Until(until, value, version) => {
                    let value = told(Content::Until(until, &value), &value);
                    return Ok(Some((version, Some(value))));
                }
                Found::Elsewhere(..) => unreachable!("these tables have all their values"),
                Found::Tombstone(version) => return Ok(Some((version, None))),
                Found::Absent => return Ok(None),
                Found::Needs(handle) => {
                    assert!(
                        held.len() < 4,
                        "a lookup needs a partition and a block of each section"
                    );
                    let buffer =
                        crate::table::open_table::block_buffer(&self.io, handle.pages as usize);
                    let read = crate::table::open_table::read_part(
                        &self.io,
                        table.file(),
                        table.name(),
                        handle,
                        buffer,
                    );
                    let block = Rc::new(table.decode_block(handle, self.run(read)?)?);
                    self.cache
                        .borrow_mut()
                        .insert(table.id(), Rc::clone(&block));
                    held.push(block);
                }
            }
        }
    }
}

struct Blocks<'a> {
    cache: &'a RefCell<PageCache>,
    held: &'a [Rc<crate::table::Block>],
}

impl crate::table::BlockSource for Blocks<'_> {
    fn block(
        &self,
        table: TableId,
        handle: crate::table::BlockHandle,
    ) -> Option<Rc<crate::table::Block>> {
        let held = self.held.iter().find(|block| block.handle() == handle);
        held.cloned()
            .or_else(|| self.cache.borrow().get(table, handle))
    }
}

fn any_codec(random: &mut Seeded) -> Codec {
    [Codec::Raw, Codec::Lz4, Codec::Zstd][random.below(3)]
}

pub(crate) fn name(id: u64) -> String {
    format!("table-{id}")
}

/// The value, or none of the model's where it does not end as that says.
fn told(found: Content<'_>, value: &[u8]) -> Vec<u8> {
    match found == of_test(Some(value)) {
        true => value.to_vec(),
        false => [value, b" with another end"].concat(),
    }
}

/// What lies in a section of a table of all this.
pub(crate) fn section_of(model: &Model, section: Section) -> Model {
    let mut last: Option<&[u8]> = None;
    let is_newest = |key| last.replace(key) != Some(key);
    let wanted = section == Section::Present;
    let of_section = model
        .iter()
        .zip(model.keys().map(|(key, _)| key.as_slice()).map(is_newest));
    let of_section = of_section.filter(|(_, is_newest)| *is_newest == wanted);
    of_section
        .map(|((key, value), _)| (key.clone(), value.clone()))
        .collect()
}

/// What the model answers to a read.
pub(crate) fn expected(
    model: &Model,
    key: &[u8],
    at: Version,
) -> Option<(Version, Option<Vec<u8>>)> {
    let from = (key.to_vec(), Reverse(at));
    let ((found, Reverse(version)), value) = model.range(from..).next()?;
    (found == key).then(|| (*version, value.clone()))
}

/// Entries of all sorts: shared prefixes, empty keys, deletions, a key with very many versions, and
/// values from nothing to many pages.
pub(crate) fn random_model(random: &mut Seeded, entries: usize) -> Model {
    let mut model = Model::new();
    let keys = 1 + random.below(2 * entries);
    let typical = [8, 100, 700, 1500][random.below(4)];
    let hot = random.key(keys);
    while model.len() < entries {
        let key = match random.below(40) {
            0 => Vec::new(),
            1..4 => hot.clone(),
            4 => random.bytes(4096),
            _ => random.key(keys),
        };
        let version = Version(random.next() >> [0, 20, 44, 54][random.below(4)]);
        let length = match random.below(100) {
            0 => random.below(40_000),
            1..20 => random.below(2 * typical),
            _ => typical,
        };
        // Half of the values are worth compressing.
        let value = (!random.one_in(8)).then(|| match random.one_in(2) {
            true => vec![random.next() as u8; length],
            false => random.bytes(length),
        });
        model.insert((key, Reverse(version)), value);
    }
    model
}

//! Writing a sorted run: entries in, table files out, and blob files for large values. Shared by flush and merge.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, File, OpenMode, Ticket, WriteDurability};

use crate::blob::{BlobFile, BlobId, BlobRef, BlobShare, BlobWriter, blob_name, blob_number};
use crate::content::Content;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::keyspace::{Living, keyspace_of};
use crate::merge::MergeCursor;
use crate::needs::Needs;
use crate::table::{Make, Table, TableId, TableSummary, TableWriter};
use crate::table_set::{TableRun, table_name};
use crate::tasks::yield_now;
use crate::token::Token;
use crate::version::Version;

/// Chunks on their way to the device. More would only hold memory.
const CHUNKS_IN_FLIGHT: usize = 3;

/// A table is ended when so much of all that is in blob files was written beside it: each table names every file that it refers to.
const BLOB_PARTS: u64 = 16;

/// Work between two looks at what else there is to do: well under 100 us.
const ENTRIES_PER_SLICE: usize = 256;

/// Whom a run is written for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Errand {
    Flush,
    Merge,
}

/// The first so many keys of a table, and of the others one in so many, are looked for in what is older.
const KEYS_LOOKED_FOR: u64 = 64;
const OTHERS_LOOKED_FOR_ONE_IN: u64 = 32;

/// Cuts a stream of entries into tables of about `table_bytes`.
pub(crate) struct RunWriter<'a, T> {
    core: &'a Core<T>,
    errand: Errand,
    make: Make,
    /// Keyspaces may have codecs of their own.
    living: Arc<Living>,
    /// For whom it is written. What range deletes up to this version hide from them is not among what comes.
    cleared: (Needs, Version),
    /// The runs behind the one that is written.
    older: Vec<Rc<TableRun>>,
    /// Of these blob files nothing is to be left that is met here.
    collect: BTreeSet<BlobId>,
    /// So many bytes in blob files are enough for one table.
    blobs_most: u64,
    current: Option<Output>,
    last_key: Vec<u8>,
    done: Vec<Rc<Table>>,
    names: Vec<String>,
}

struct Output {
    writer: TableWriter,
    stream: Stream,
    overlap: Overlap,
    /// The blob file in the making, if there is something for it.
    blobs: Option<(BlobWriter, Stream)>,
    /// Those that are whole, until the table holds them; and their bytes.
    made: Vec<Rc<BlobFile>>,
    made_bytes: u64,
    /// What the table refers to of each blob file.
    shares: BTreeMap<BlobId, u64>,
}

impl Output {
    /// Of the blob file in the making.
    fn blob_bytes(&self) -> u64 {
        self.blobs.as_ref().map_or(0, |(blobs, _)| blobs.bytes())
    }

    /// Ends the blob file in the making: it is on stable storage before any table that refers to it is named.
    async fn end_blobs<T>(&mut self, core: &Core<T>) -> Result<()> {
        let Some((writer, mut stream)) = self.blobs.take() else {
            return Ok(());
        };
        let (id, bytes) = (writer.id(), writer.bytes());
        for chunk in writer.finish() {
            stream.write(core, chunk).await?;
        }
        stream.drain(0).await?;
        if !planted(Defect::BlobsNotSynced) {
            stream.sync(core).await?;
        }
        core.stats.borrow_mut().blob_written_bytes += bytes;
        self.made.push(core.blobs.made(id, bytes, stream.file));
        self.made_bytes += bytes;
        Ok(())
    }

    /// Adds an entry whose value is in a blob file.
    fn refer(&mut self, key: &[u8], version: Version, ends: u64, to: &BlobRef) -> bool {
        *self.shares.entry(to.file()).or_default() += to.file_bytes();
        let content = Content::Elsewhere(ends, to);
        self.writer.try_add(key, version, content)
    }
}

/// How much of a table is in older ones as well, from what their filters say of some of its keys.
#[derive(Default)]
struct Overlap {
    keys: u64,
    looked_for: u64,
    found: u64,
}

impl Overlap {
    fn add(&mut self, key: &[u8], older: &[Rc<TableRun>]) {
        self.keys += 1;
        let is_drawn =
            self.keys <= KEYS_LOOKED_FOR || self.keys.is_multiple_of(OTHERS_LOOKED_FOR_ONE_IN);
        if !is_drawn || older.is_empty() {
            return;
        }
        let hash = Table::key_hash(key);
        let has = |table: &Rc<Table>| table.may_contain(hash);
        self.looked_for += 1;
        self.found += u64::from(older.iter().any(|run| run.table_for(key).is_some_and(has)));
    }

    fn part_of(&self, bytes: u64) -> u64 {
        (u128::from(bytes) * u128::from(self.found) / u128::from(self.looked_for.max(1))) as u64
    }
}

/// A file being written from front to back.
struct Stream {
    file: File,
    name: String,
    in_flight: VecDeque<Ticket>,
}

impl<'a, T: Token> RunWriter<'a, T> {
    pub fn new(
        core: &'a Core<T>,
        errand: Errand,
        make: Make,
        cleared: (Needs, Version),
        older: &[Rc<TableRun>],
    ) -> RunWriter<'a, T> {
        let blob_bytes = core.tables.borrow().census().bytes();
        RunWriter {
            core,
            errand,
            make,
            living: core.pins.living(),
            cleared,
            older: older.to_vec(),
            collect: BTreeSet::new(),
            blobs_most: (blob_bytes / BLOB_PARTS).max(core.options.table_bytes),
            current: None,
            last_key: Vec::new(),
            done: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Values in these blob files are written anew.
    pub fn collect(&mut self, files: BTreeSet<BlobId>) {
        self.collect = files;
    }

    /// Adds everything that the cursor passes, in slices that let others run.
    pub async fn add_all(&mut self, merge: &mut MergeCursor) -> Result<()> {
        while merge.key().is_some() {
            self.add_table(merge, None).await?;
        }
        Ok(())
    }

    /// Adds what the cursor passes until the table is full, or up to the key `until`.
    pub async fn add_table(&mut self, merge: &mut MergeCursor, until: Option<&[u8]>) -> Result<()> {
        // What is passed on is carried off as well, and takes no time.
        let (mut entries, mut bytes, mut carried) = (0, 0, 0);
        let table_bytes = self.core.options.table_bytes;
        let large = self.core.options.blob_bytes;
        let large = large.map_or(usize::MAX, |bytes| bytes.max(1));
        while let Some(key) = merge.key() {
            let full = self.current.as_ref().is_some_and(|output| {
                // All versions of a key stay in one table.
                let blob_bytes = output.made_bytes + output.blob_bytes();
                let is_full = output.writer.bytes() >= table_bytes || blob_bytes >= self.blobs_most;
                is_full && key != self.last_key
            });
            if full || until.is_some_and(|until| key >= until) {
                break;
            }
            let output = match &mut self.current {
                Some(output) => output,
                none => none.insert(start_table(self.core, self.make, &mut self.names)?),
            };
            let codec = self.living.codec_of(key).unwrap_or(self.make.codec);
            output.writer.set_codec(codec);
            output.overlap.add(key, &self.older);
            let (mut in_order, mut failed, mut to_collect) = (true, None, None);
            merge.visit(|key, version, content| {
                let value_bytes = content.value().map_or(0, <[u8]>::len);
                bytes += key.len() + value_bytes;
                self.last_key.clear();
                self.last_key.extend_from_slice(key);
                match content {
                    Content::Elsewhere(ends, to) => {
                        if self.collect.contains(&to.file()) {
                            to_collect = Some((*to, version, ends));
                        } else {
                            carried += to.stored();
                            in_order &= output.refer(key, version, ends, to);
                        }
                    }
                    Content::Value(value) | Content::Until(_, value) if value_bytes >= large => {
                        match start_blobs(self.core, output, &mut self.names) {
                            Ok((blobs, _)) => {
                                let to = blobs.add(value, codec);
                                in_order &= output.refer(key, version, content.ends(), &to);
                            }
                            Err(error) => failed = Some(error),
                        }
                    }
                    _ => in_order &= output.writer.try_add(key, version, content),
                }
            });
            if let Some(error) = failed {
                return Err(error);
            }
            if let Some((to, version, ends)) = to_collect {
                let stored = self.core.blobs.get(to.file())?;
                let stored = stored.read(&self.core.io, &to).await?;
                bytes += to.stored();
                let (blobs, _) = start_blobs(self.core, output, &mut self.names)?;
                let to = blobs.add_stored(&to, &stored);
                in_order &= output.refer(&self.last_key, version, ends, &to);
            }
            if !in_order {
                return Err(out_of_order());
            }
            while let Some(chunk) = output.writer.pending() {
                output.stream.write(self.core, chunk).await?;
            }
            if let Some((blobs, stream)) = &mut output.blobs {
                while let Some(chunk) = blobs.pending() {
                    stream.write(self.core, chunk).await?;
                }
            }
            if output.blob_bytes() >= table_bytes {
                output.end_blobs(self.core).await?;
            }
            if !merge.next_at_hand() {
                merge.next().await?;
            }
            entries += 1;
            if entries == ENTRIES_PER_SLICE || bytes >= codec.slice_bytes() {
                self.end_slice((bytes + carried) as u64).await;
                (entries, bytes, carried) = (0, 0, 0);
            }
        }
        self.end_slice((bytes + carried) as u64).await;
        self.finish_table().await
    }

    async fn end_slice(&self, bytes: u64) {
        match self.errand {
            Errand::Merge => self.core.end_merge_slice(bytes).await,
            Errand::Flush => {
                self.core.compaction.pace.flush(bytes);
                yield_now().await;
            }
        }
    }

    async fn finish_table(&mut self) -> Result<()> {
        let Some(mut output) = self.current.take() else {
            return Ok(());
        };
        let core = self.core;
        output.end_blobs(core).await?;
        let Output {
            mut writer,
            mut stream,
            overlap,
            made: _made,
            shares,
            ..
        } = output;
        while writer.prepare_filter() {
            yield_now().await;
        }
        let (chunks, mut summary) = writer.finish();
        let (needs, cleared) = &self.cleared;
        let need = needs.over(&summary.first_key, &summary.last_key);
        summary.cleared = need.watermark.min(*cleared);
        if needs.differ() {
            summary.cleared_of = self.cleared_of(&summary);
        }
        for chunk in chunks {
            stream.write(core, chunk).await?;
        }
        stream.drain(0).await?;
        if !planted(Defect::TableNotSynced) {
            stream.sync(core).await?;
        }
        for (file, bytes) in shares {
            summary.blobs.push(BlobShare {
                file,
                file_bytes: core.blobs.get(file)?.bytes,
                bytes,
            });
        }
        let Stream { file, name, .. } = stream;
        let (store, shard) = (core.identity.store, core.identity.shard);
        let table = Table::open(&core.io, file, name, &summary, store, shard).await?;
        table.hold(core.blobs.of(&summary)?);
        table.set_replaces(overlap.part_of(summary.weight()));
        self.done.push(Rc::new(table));
        Ok(())
    }

    /// Up to where range deletes of keyspaces that have some at present are applied, if further than all of the table's are.
    fn cleared_of(&self, summary: &TableSummary) -> Vec<(u32, Version)> {
        let (needs, cleared) = &self.cleared;
        let ranges = Rc::clone(&self.core.ranges.borrow());
        let mut all: Vec<(u32, Version)> = Vec::new();
        for fragment in ranges.over(&summary.first_key, &summary.last_key) {
            let number = keyspace_of(&fragment.from).unwrap_or_default().0;
            let version = needs.of(&fragment.from).watermark.min(*cleared);
            let is_known = all.last().is_some_and(|(last, _)| *last == number);
            if !is_known && version > summary.cleared {
                all.push((number, version));
            }
        }
        all
    }

    /// Ends the run: every table is on stable storage and has a durable name.
    pub async fn finish(&mut self) -> Result<Vec<Rc<Table>>> {
        self.finish_table().await?;
        if !self.done.is_empty() && !planted(Defect::TableNameNotSynced) {
            let synced = self.core.directory.synced().await;
            synced.map_err(|e| Error::io(e, "the shard's directory"))?;
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// Gives the space of an unfinished run back.
    pub async fn abandon(mut self) {
        if let Some(output) = &mut self.current {
            let _ = output.stream.drain(0).await;
            if let Some((_, stream)) = &mut output.blobs {
                let _ = stream.drain(0).await;
            }
        }
        self.current = None;
        self.done.clear();
        for name in &self.names {
            let _ = self.core.directory.remove(name);
            if let Some(number) = blob_number(name) {
                self.core.blobs.forget(BlobId(number));
            }
        }
    }
}

/// A number that no file of the shard has had.
fn next_number<T>(core: &Core<T>) -> u64 {
    let number = core.next_table.get();
    core.next_table.set(number + 1);
    number
}

fn start_table<T>(core: &Core<T>, make: Make, names: &mut Vec<String>) -> Result<Output> {
    let id = TableId(next_number(core));
    Ok(Output {
        stream: Stream::start(core, table_name(id), names)?,
        writer: TableWriter::new(id, core.identity.store, core.identity.shard, make),
        overlap: Overlap::default(),
        blobs: None,
        made: Vec::new(),
        made_bytes: 0,
        shares: BTreeMap::new(),
    })
}

/// The blob file beside a table, which is made when there is something for it.
fn start_blobs<'o, T>(
    core: &Core<T>,
    output: &'o mut Output,
    names: &mut Vec<String>,
) -> Result<&'o mut (BlobWriter, Stream)> {
    Ok(match &mut output.blobs {
        Some(blobs) => blobs,
        none => {
            let id = BlobId(next_number(core));
            let stream = Stream::start(core, blob_name(id), names)?;
            none.insert((BlobWriter::new(id), stream))
        }
    })
}

impl Stream {
    fn start<T>(core: &Core<T>, name: String, names: &mut Vec<String>) -> Result<Stream> {
        let file = core
            .directory
            .open(&name, OpenMode::CreateNew)
            .map_err(|e| Error::io(e, name.as_str()))?;
        names.push(name.clone());
        Ok(Stream {
            file,
            name,
            in_flight: VecDeque::new(),
        })
    }

    async fn sync<T>(&self, core: &Core<T>) -> Result<()> {
        let synced = core.io.sync(&self.file).await;
        let synced = synced.result.map(drop);
        synced.map_err(|e| Error::io(e, self.name.as_str()))
    }

    async fn write<T>(&mut self, core: &Core<T>, chunk: (u64, Buffer, usize)) -> Result<()> {
        let (offset, buffer, length) = chunk;
        let cached = WriteDurability::Cached;
        let ticket = core.io.write(&self.file, offset, buffer, length, cached);
        self.in_flight.push_back(ticket);
        self.drain(CHUNKS_IN_FLIGHT).await
    }

    /// Waits until no more than `most` chunks are in flight.
    async fn drain(&mut self, most: usize) -> Result<()> {
        while self.in_flight.len() > most
            && let Some(ticket) = self.in_flight.pop_front()
        {
            let done = ticket.await;
            done.result.map_err(|e| Error::io(e, self.name.as_str()))?;
        }
        Ok(())
    }
}

/// What only a forged table can be: checksums match, and its entries are not in order.
pub(crate) fn out_of_order() -> Error {
    Error::Corrupt {
        file: "one of the tables being merged".into(),
        offset: 0,
        detail: "its entries are not in the order that its index and the manifest say".into(),
    }
}

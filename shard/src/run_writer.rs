//! Writing a sorted run: entries in, table files out. Shared by flush and merge.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, File, OpenMode, Ticket, WriteDurability};

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
    current: Option<Output>,
    last_key: Vec<u8>,
    done: Vec<Rc<Table>>,
    names: Vec<String>,
}

struct Output {
    writer: TableWriter,
    stream: Stream,
    overlap: Overlap,
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
        RunWriter {
            core,
            errand,
            make,
            living: core.pins.living(),
            cleared,
            older: older.to_vec(),
            current: None,
            last_key: Vec::new(),
            done: Vec::new(),
            names: Vec::new(),
        }
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
        let (mut entries, mut bytes) = (0, 0);
        while let Some(key) = merge.key() {
            let full = self.current.as_ref().is_some_and(|output| {
                // All versions of a key stay in one table.
                output.writer.bytes() >= self.core.options.table_bytes && key != self.last_key
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
            let mut in_order = true;
            merge.visit(|key, version, content| {
                in_order &= output.writer.try_add(key, version, content);
                bytes += key.len() + content.value().map_or(0, <[u8]>::len);
                self.last_key.clear();
                self.last_key.extend_from_slice(key);
            });
            if !in_order {
                return Err(out_of_order());
            }
            while let Some(chunk) = output.writer.pending() {
                output.stream.write(self.core, chunk).await?;
            }
            if !merge.next_at_hand() {
                merge.next().await?;
            }
            entries += 1;
            if entries == ENTRIES_PER_SLICE || bytes >= codec.slice_bytes() {
                self.end_slice(bytes as u64).await;
                (entries, bytes) = (0, 0);
            }
        }
        self.end_slice(bytes as u64).await;
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
        let Some(output) = self.current.take() else {
            return Ok(());
        };
        let core = self.core;
        let Output {
            mut writer,
            mut stream,
            overlap,
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
            let synced = core.io.sync(&stream.file).await;
            synced
                .result
                .map_err(|e| Error::io(e, stream.name.as_str()))?;
        }
        let Stream { file, name, .. } = stream;
        let (store, shard) = (core.identity.store, core.identity.shard);
        let table = Table::open(&core.io, file, name, &summary, store, shard).await?;
        table.set_replaces(overlap.part_of(summary.file_bytes));
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
        }
        self.current = None;
        self.done.clear();
        for name in &self.names {
            let _ = self.core.directory.remove(name);
        }
    }
}

fn start_table<T>(core: &Core<T>, make: Make, names: &mut Vec<String>) -> Result<Output> {
    let id = TableId(core.next_table.get());
    core.next_table.set(id.0 + 1);
    let name = table_name(id);
    let file = core
        .directory
        .open(&name, OpenMode::CreateNew)
        .map_err(|e| Error::io(e, name.as_str()))?;
    names.push(name.clone());
    Ok(Output {
        writer: TableWriter::new(id, core.identity.store, core.identity.shard, make),
        stream: Stream {
            file,
            name,
            in_flight: VecDeque::new(),
        },
        overlap: Overlap::default(),
    })
}

impl Stream {
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

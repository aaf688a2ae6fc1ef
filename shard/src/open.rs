//! Making a shard, and bringing one back: superblock, manifest, tables, log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Directory, Io};

use crate::blob::{Blobs, blob_number};
use crate::commit::Commits;
use crate::compaction::Compaction;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::full_disk::{FullDisk, Starved};
use crate::log::format::HEADER_BYTES;
use crate::log::segments::{create_slots, slot_index};
use crate::log::tail::Tail;
use crate::manifest::{LogPiece, Manifest, ManifestStore};
use crate::memtables::Memtables;
use crate::page_cache::PageCache;
use crate::range_deletes::TableRanges;
use crate::ranges::Ranges;
use crate::replay::ReplayedLog;
use crate::rows::Rows;
use crate::shard::{Identity, Recovered, ShardOptions};
use crate::table_set::{TableSet, table_number};
use crate::tasks::{Signal, Tasks};
use crate::token::Token;
use crate::version::{CommitClock, Pins};
use crate::warm::Warmth;

/// The next is made ready while this one takes frames.
const SLOTS_AT_FIRST: usize = 1;

/// Drives one future and the I/O that it waits for, with nothing else running.
pub(crate) fn block_on<R>(io: &Io, future: impl Future<Output = R>) -> R {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            return result;
        }
        if io.turn() == 0 {
            io.park(None);
        }
    }
}

/// Makes an empty shard: its log files first, the superblock that makes it valid last.
pub(crate) async fn create(
    io: &Io,
    directory: &Directory,
    identity: &Identity,
    options: &ShardOptions,
) -> Result<()> {
    let slots = 0..SLOTS_AT_FIRST;
    create_slots(io, directory, identity, slots, options.segment_bytes).await?;
    let manifest = Manifest {
        next_table: 1,
        log_slots: SLOTS_AT_FIRST as u32,
        segment_bytes: options.segment_bytes,
        ..Manifest::default()
    };
    ManifestStore::create(io, directory, identity, manifest).await
}

/// Recovers a shard, whose whole log has been read and judged: before that nothing is written.
pub(crate) async fn open<T: Token>(
    io: &Io,
    directory: &Directory,
    identity: &Identity,
    options: &ShardOptions,
    clock: Arc<CommitClock>,
    pins: Arc<Pins>,
    replayed: ReplayedLog,
) -> Result<(Rc<Core<T>>, Recovered)> {
    let store = ManifestStore::of(io, directory, replayed.chosen).await?;
    let manifest = store.with(Manifest::clone);
    let blobs = Blobs::of_directory(directory);
    let tables = TableSet::open(io, directory, identity, &manifest.runs, &blobs).await?;
    let recovered = replayed.recovered;

    store.make_superblock_whole().await?;
    if !planted(Defect::OrphansKept) {
        sweep(directory, &manifest)?;
    }
    let mut end = replayed.end;
    let files = end.open_slots(directory)?;
    end.restore(io, &files, identity, &replayed.owed).await?;
    end.make_durable(io, &files).await?;
    let piece = end.next_piece();
    let edit = |manifest: &mut Manifest| {
        if let Some(last) = manifest.pieces.last_mut() {
            last.end.get_or_insert(end.last);
        }
        manifest.pieces.push(piece);
        drop_dead_pieces(manifest);
    };
    store.commit(edit).await?;
    let frame_bytes_max = options.group_bytes + HEADER_BYTES;
    let frame_bytes_max = frame_bytes_max.next_multiple_of(ringkeep_io::PAGE);
    let log = end.into_log(identity, files, piece, frame_bytes_max);
    let tail = Tail::open(directory, identity, piece.epoch, options.tail_bytes);

    if !planted(Defect::VersionsReused) {
        clock.raise_to(replayed.newest);
    }
    pins.recover(&manifest.gone());
    for moment in manifest.moments.iter().chain(&replayed.moments) {
        pins.timeline().add(*moment);
    }
    let replayed_ranges = replayed.generations.iter().flat_map(|g| &g.ranges);
    let ranges = Ranges::of(manifest.ranges.iter().chain(replayed_ranges));
    let core = Core {
        io: io.clone(),
        directory: directory.clone(),
        identity: identity.clone(),
        options: options.clone(),
        clock,
        pins,
        log: RefCell::new(log),
        commits: RefCell::new(Commits::with(tail)),
        transactions: RefCell::new(replayed.transactions),
        memtables: RefCell::new(Memtables::replayed(replayed.generations)),
        tables: RefCell::new(Rc::new(tables)),
        blobs,
        ranges: RefCell::new(Rc::new(ranges)),
        table_ranges: RefCell::new(TableRanges::of(manifest.ranges.clone())),
        cache: Rc::new(RefCell::new(PageCache::new(options.cache_bytes))),
        rows: RefCell::new(Rows::new(options.rows_bytes).1),
        to_show: RefCell::default(),
        split: RefCell::default(),
        next_table: Cell::new(manifest.next_table),
        latest: Cell::default(),
        added: Cell::default(),
        manifest: store,
        visible: Cell::new(replayed.newest),
        committed_elsewhere: Cell::default(),
        failure: RefCell::new(None),
        hides_failed: Cell::default(),
        full_disk: FullDisk::default(),
        lacks_room: Cell::default(),
        tasks: Tasks::default(),
        published: Signal::default(),
        work: Signal::default(),
        log_may_be_dead: Signal::default(),
        rows_to_remove: Signal::default(),
        warmth: Warmth::default(),
        to_validate: Signal::default(),
        compaction: Compaction::default(),
        replies: RefCell::default(),
        letters: RefCell::default(),
        stats: RefCell::default(),
        closing: Cell::new(false),
        stopping: Cell::new(false),
        closed: Cell::new(false),
    };
    core.begin_split();
    core.stats.borrow_mut().recovered_frames = recovered.frames;
    if core.log.borrow().slot_counts().1 == 0 {
        match core.add_log_slots().await {
            // Reads need no log: the shard opens, and refuses what adds data until there is space.
            Err(Error::Io { error, .. }) if error.is_full() => {
                core.mark_starved(Starved::Log, true);
            }
            other => other?,
        }
    }
    Ok((Rc::new(core), recovered))
}

/// Forgets the epochs of the log whose frames are all in tables, but for the last one: the next follows it, so that none
/// ever comes again. The log's tail may hold entries of any that was.
pub(crate) fn drop_dead_pieces(manifest: &mut Manifest) {
    let replay_after = manifest.replay_after;
    let last = manifest.pieces.pop();
    manifest.pieces.retain(|piece| !piece.is_dead(replay_after));
    let kept =
        |last: &LogPiece| !last.is_dead(replay_after) || !planted(Defect::TailEpochsComeAgain);
    manifest.pieces.extend(last.filter(kept));
}

/// Removes files that the manifest does not name: what a crash left half made.
fn sweep(directory: &Directory, manifest: &Manifest) -> Result<()> {
    let names = directory
        .list()
        .map_err(|e| Error::io(e, "the shard's directory"))?;
    let tables = || manifest.runs.iter().flat_map(|run| &run.tables);
    let named = |number: u64| tables().any(|table| table.id.0 == number);
    let blobs: BTreeSet<u64> = tables()
        .flat_map(|table| &table.blobs)
        .map(|share| share.file.0)
        .collect();
    let mut removed = false;
    for name in names {
        let stale = slot_index(&name).is_some_and(|slot| slot >= manifest.log_slots as usize)
            || table_number(&name).is_some_and(|number| !named(number))
            || blob_number(&name).is_some_and(|number| !blobs.contains(&number));
        if stale {
            directory
                .remove(&name)
                .map_err(|e| Error::io(e, name.as_str()))?;
            removed = true;
        }
    }
    if removed {
        directory
            .sync()
            .map_err(|e| Error::io(e, "the shard's directory"))?;
    }
    Ok(())
}

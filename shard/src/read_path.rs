//! Reads: memtables, then runs, newest first. What is in memory is answered at once; a block that is
//! not makes the read a task that fetches it and looks again.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use ringkeep_io::planted::{Defect, planted};
use ringkeep_io::{Buffer, PAGE};

use crate::blob::BlobRef;
use crate::call::{Got, Reply};
use crate::content::{Content, NEVER};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::page_cache::PageCache;
use crate::table::{Block, BlockHandle, BlockSource, Found, Table, TableId};
use crate::timeline::Moment;
use crate::token::Token;
use crate::version::{Pin, Version};
use crate::watch::{Phase, Watch};

type Value = Option<Box<[u8]>>;

/// What a look at memory found.
enum Looked {
    /// The value, if any, was put where the looker said. One that ends may not be shown to who does not ask.
    Here {
        found: bool,
        ends: bool,
    },
    Needs(Rc<Table>, BlockHandle),
    /// The value is in a blob file, which the table holds.
    NeedsBlob(Rc<Table>, BlobRef),
}

/// What a read sees: a version, and what has not ended at a time, for which nobody asks before it matters.
struct Instant {
    version: Version,
    time: OnceCell<u64>,
}

/// The cache, and the blocks that one waiting read has fetched: those stay in memory until it is done,
/// however hard the cache is pressed.
pub(crate) struct Blocks<'a> {
    pub cache: &'a RefCell<PageCache>,
    pub held: &'a [(TableId, Rc<Block>)],
}

impl BlockSource for Blocks<'_> {
    fn block(&self, table: TableId, handle: BlockHandle) -> Option<Rc<Block>> {
        let held = self.held.iter();
        let found = held
            .filter(|(id, block)| *id == table && block.handle() == handle)
            .map(|(_, block)| Rc::clone(block))
            .next();
        found.or_else(|| self.cache.borrow().get(table, handle))
    }
}

impl<T: Token> Core<T> {
    pub fn accept_get(
        self: &Rc<Self>,
        mut token: T,
        key: Vec<u8>,
        at: Option<Moment>,
        mut value: Vec<u8>,
    ) {
        debug_assert!(value.is_empty());
        let version = at.map(|at| at.version);
        let settled = self.is_settled(version) && self.check_readable(version).is_ok();
        let looked = settled.then(|| self.look(&key, &self.instant(at), &[], &mut value));
        if let Some(Looked::Here { found, ends }) = looked {
            self.count_get(found);
            self.offer(&key, at, found && !ends, &value);
            return self.reply(token, Reply::Value(Got { found, value, key }));
        }
        self.stats.borrow_mut().gets_waited += 1;
        token.waits(|| self.io.now());
        let (core, watch) = (Rc::clone(self), token.watch().cloned());
        self.start_for(watch.clone(), async move {
            match core
                .get(&key, at, looked, &mut value, watch.as_deref())
                .await
            {
                Ok(found) => core.reply(token, Reply::Value(Got { found, value, key })),
                Err(error) => core.reply(token, Reply::Failed(error)),
            }
        });
    }

    pub fn accept_multi_get(self: &Rc<Self>, token: T, keys: Vec<Box<[u8]>>, at: Option<Moment>) {
        let version = at.map(|at| at.version);
        let instant = self.instant(at);
        // Nothing may yet be applied below the version at which some keys are read now and others later: not even by a batch
        // that only its coordinator can decide.
        let settled = self.is_settled(version)
            && self.is_settled(Some(instant.version))
            && self.check_readable(version).is_ok();
        let mut values: Vec<Value> = vec![None; keys.len()];
        let mut missing = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let mut value = Vec::new();
            match settled.then(|| self.look(&key, &instant, &[], &mut value)) {
                Some(Looked::Here { found, .. }) => {
                    self.count_get(found);
                    values[index] = found.then_some(value.into_boxed_slice());
                }
                looked => missing.push((index, key, looked)),
            }
        }
        if missing.is_empty() {
            return self.reply(token, Reply::Values(values));
        }
        // What has to be fetched is read at the instant of the rest, whatever is written or merged meanwhile.
        let one_instant = at.is_none() && !planted(Defect::MultiGetTwoInstants);
        let pin = one_instant.then(|| match settled {
            true => self.pins.pin_at(Moment {
                millis: self.time(&instant),
                version: instant.version,
            }),
            false => self.pins.pin(),
        });
        let at = at.or(pin.as_ref().map(Pin::moment));
        // One task a key: the device works on all of them at once.
        self.stats.borrow_mut().gets_waited += missing.len() as u64;
        let watch = token.watch().cloned();
        let gathering = Rc::new(RefCell::new(Gathering {
            values,
            missing: missing.len(),
            token: Some(token),
            _pin: pin,
        }));
        for (index, key, looked) in missing {
            let (core, gathering) = (Rc::clone(self), Rc::clone(&gathering));
            let watch = watch.clone();
            self.start_for(watch.clone(), async move {
                let mut value = Vec::new();
                let found = core.get(&key, at, looked, &mut value, watch.as_deref());
                let found = found.await;
                let value = found.map(|found| found.then_some(value.into_boxed_slice()));
                core.gather(&gathering, index, value);
            });
        }
    }

    fn gather(&self, gathering: &RefCell<Gathering<T>>, index: usize, value: Result<Value>) {
        let mut gathering = gathering.borrow_mut();
        gathering.missing -= 1;
        match value {
            Ok(value) => gathering.values[index] = value,
            Err(error) => {
                if let Some(token) = gathering.token.take() {
                    self.reply(token, Reply::Failed(error));
                }
            }
        }
        if gathering.missing == 0
            && let Some(token) = gathering.token.take()
        {
            let values = std::mem::take(&mut gathering.values);
            self.reply(token, Reply::Values(values));
        }
    }

    /// Begins with what was found a moment ago, if somebody has looked.
    async fn get(
        &self,
        key: &[u8],
        at: Option<Moment>,
        mut looked: Option<Looked>,
        value: &mut Vec<u8>,
        watch: Option<&Watch>,
    ) -> Result<bool> {
        let version = at.map(|at| at.version);
        let settled = || self.is_settled(version);
        self.published.wait_until(settled).await;
        if let Some(watch) = watch {
            watch.rests_in(Phase::Io);
        }
        let mut held = Vec::new();
        loop {
            let looked = match looked.take() {
                Some(looked) => looked,
                // The present is asked anew each time: a version seen before the wait may be merged away.
                None => {
                    self.check_readable(version)?;
                    self.look(key, &self.instant(at), &held, value)
                }
            };
            match looked {
                Looked::Here { found, ends } => {
                    self.count_get(found);
                    self.offer(key, at, found && !ends, value);
                    return Ok(found);
                }
                Looked::Needs(table, handle) => {
                    let block = self.load_block(&table, handle).await?;
                    held.push((table.id(), block));
                }
                Looked::NeedsBlob(_table, reference) => {
                    let block = self.load_blob(&reference).await?;
                    held.push((reference.place().0, block));
                }
            }
        }
    }

    /// Only the present may be shown to others, and of it what does not end: nobody takes a row away when its time
    /// has come.
    fn offer(&self, key: &[u8], at: Option<Moment>, lasts: bool, value: &[u8]) {
        if at.is_none() && lasts {
            self.offer_row(key, value);
        }
    }

    fn count_get(&self, found: bool) {
        let mut stats = self.stats.borrow_mut();
        stats.gets += 1;
        stats.gets_found += u64::from(found);
    }

    /// Looks through everything that is in memory, newest first: the first version found is the one, and its value goes
    /// to `room`.
    fn look(
        &self,
        key: &[u8],
        at: &Instant,
        held: &[(TableId, Rc<Block>)],
        room: &mut Vec<u8>,
    ) -> Looked {
        match self.ranges.borrow().hidden_below(key, at.version) {
            Version(0) => self.look_above::<false>(Version(0), key, at, held, room),
            floor => self.look_above::<true>(floor, key, at, held, room),
        }
    }

    /// Where `UNDER` range deletes, without what is below the floor; otherwise there is none.
    fn look_above<const UNDER: bool>(
        &self,
        floor: Version,
        key: &[u8],
        at: &Instant,
        held: &[(TableId, Rc<Block>)],
        room: &mut Vec<u8>,
    ) -> Looked {
        let floor = if UNDER { floor } else { Version(0) };
        // No more than the value needs: most keep it.
        let here = |room: &mut Vec<u8>, value: &[u8]| {
            room.reserve_exact(value.len());
            room.extend_from_slice(value);
        };
        const PRESENT: Looked = Looked::Here {
            found: true,
            ends: false,
        };
        const ABSENT: Looked = Looked::Here {
            found: false,
            ends: false,
        };
        let until = |room: &mut Vec<u8>, until: u64, value: &[u8]| {
            let found = until > self.time(at);
            match found {
                true => here(room, value),
                false => self.stats.borrow_mut().expired_read += 1,
            }
            let ends = !planted(Defect::EndingRowShown);
            Looked::Here { found, ends }
        };
        for generation in self.memtables.borrow().newest_first() {
            match generation.table_for(key).get_above(floor, key, at.version) {
                Some(Content::Value(value)) => {
                    here(room, value);
                    return PRESENT;
                }
                Some(Content::Removed) => return ABSENT,
                Some(Content::Until(end, value)) => return until(room, end, value),
                Some(Content::Elsewhere(..)) | None => {}
            }
        }
        let blocks = Blocks {
            cache: &self.cache,
            held,
        };
        let hash = Table::key_hash(key);
        for run in &self.tables.borrow().runs {
            let Some(table) = run.table_for(key) else {
                continue;
            };
            if UNDER && table.summary().newest < floor {
                continue;
            }
            let wrong = planted(Defect::FilterFalseNegative) && hash.is_multiple_of(60);
            if wrong || !table.may_contain(hash) {
                self.stats.borrow_mut().filter_negatives += 1;
                continue;
            }
            let found = table.find(key, at.version, &blocks);
            if UNDER && found.is_below(floor) {
                return ABSENT;
            }
            match found {
                Found::Value(value, _) => {
                    here(room, &value);
                    return PRESENT;
                }
                Found::Tombstone(_) => return ABSENT,
                Found::Until(end, value, _) => return until(room, end, &value),
                Found::Elsewhere(end, reference, _) => {
                    if end != NEVER && end <= self.time(at) {
                        return until(room, end, &[]);
                    }
                    let (file, handle) = reference.place();
                    let in_memory = blocks.block(file, handle);
                    let Some(block) = in_memory.filter(|block| block.handle() == handle) else {
                        return Looked::NeedsBlob(Rc::clone(table), reference);
                    };
                    let value = block.blob(reference.length());
                    if end != NEVER {
                        return until(room, end, value);
                    }
                    here(room, value);
                    return PRESENT;
                }
                Found::Absent => {}
                Found::Needs(handle) => return Looked::Needs(Rc::clone(table), handle),
            }
        }
        ABSENT
    }

    fn instant(&self, at: Option<Moment>) -> Instant {
        Instant {
            version: self.read_version(at.map(|at| at.version)),
            time: match at {
                Some(at) if !planted(Defect::EndsJudgedNow) => OnceCell::from(at.millis),
                _ => OnceCell::new(),
            },
        }
    }

    fn time(&self, at: &Instant) -> u64 {
        *at.time.get_or_init(|| self.now())
    }

    /// Reads one value of a blob file into the cache. Its caller holds a table that refers to it.
    async fn load_blob(&self, reference: &BlobRef) -> Result<Rc<Block>> {
        let file = self.blobs.get(reference.file())?;
        let stored = file.read(&self.io, reference).await?;
        let value = file.value(reference, stored)?;
        let (file, handle) = reference.place();
        let block = Rc::new(Block::of_blob(value, handle));
        self.cache.borrow_mut().insert(file, Rc::clone(&block));
        self.make_room_for_blocks();
        Ok(block)
    }

    /// Reads one block into the cache.
    pub async fn load_block(&self, table: &Table, handle: BlockHandle) -> Result<Rc<Block>> {
        let offset = u64::from(handle.page) * PAGE as u64;
        let buffer = match handle.pages {
            1 => self.io.frame(),
            pages => Buffer::zeroed(pages as usize * PAGE),
        };
        let mut done = self.io.read(table.file(), offset, buffer).await;
        if done.result.is_err() {
            // Once more: a path to the device that hiccuped is not a damaged block.
            done = self.io.read(table.file(), offset, done.buffer).await;
        }
        let read = done.result.map_err(|e| Error::io(e, table.name()))?;
        if read < handle.pages as usize * PAGE {
            return Err(Error::Corrupt {
                file: table.name().into(),
                offset,
                detail: "the file ends inside this block".into(),
            });
        }
        let block = Rc::new(table.decode_block(handle, done.buffer)?);
        self.cache
            .borrow_mut()
            .insert(table.id(), Rc::clone(&block));
        self.make_room_for_blocks();
        Ok(block)
    }
}

/// A multi-get that waits for blocks.
struct Gathering<T> {
    values: Vec<Value>,
    missing: usize,
    /// Taken by whoever answers.
    token: Option<T>,
    /// Of the instant that all values are from.
    _pin: Option<Pin>,
}

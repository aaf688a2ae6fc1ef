//! A scan over all shards: each shard's pages come in order, and a heap of their first entries gives
//! the order over all. Holds one page per shard in hand, at most one on its way, and one pinned version.

mod cursor;
mod merge;
mod range;

use std::fmt;
use std::future::poll_fn;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ringkeep_shard::keyspace::user_key;
use ringkeep_shard::{Moment, Pin};

use crate::database::Inner;
use crate::keyspace::Space;
use crate::limits::{
    SCAN_BYTES, SCAN_FIRST_BYTES, SCAN_FIRST_BYTES_ACROSS, SCAN_FIRST_PAGE_BYTES_MIN,
    SCAN_PAGE_BYTES, SCAN_PAGE_BYTES_MIN,
};
use crate::{Error, Result, desk};
use cursor::Reading;
use merge::Merge;
pub use range::{KeyRange, Keys};

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// Entries in the order of their keys, all as they were when the scan, or its snapshot, was made. An iterator for threads,
/// [`Scan::next_async`] for futures. It keeps the database open while it lives.
pub struct Scan {
    inner: Arc<Inner>,
    keys: Keys,
    reading: Reading,
    stage: Stage,
    /// Released at the end, so that a finished scan that nobody drops holds no old version back.
    pin: Option<Arc<Pin>>,
    /// Of a keyspace that may be dropped meanwhile; merges do not ask who reads it then.
    space: Option<Arc<Space>>,
}

enum Stage {
    New,
    /// There is nothing to scan.
    Refused(Option<Error>),
    Merging(Merge),
    Ended,
}

impl Scan {
    /// Of the present.
    pub(crate) fn new(inner: Arc<Inner>, keys: Keys) -> Scan {
        let pin = Arc::new(inner.pins.pin());
        Scan::at(inner, keys, pin)
    }

    /// Of the pinned version.
    pub(crate) fn at(inner: Arc<Inner>, keys: Keys, pin: Arc<Pin>) -> Scan {
        let shards = usize::from(inner.shards.routing.shards);
        let first_bytes = match shards {
            1 => SCAN_FIRST_BYTES,
            _ => SCAN_FIRST_BYTES_ACROSS / shards,
        };
        Scan {
            reading: Reading {
                at: pin.moment(),
                reverse: false,
                keys_only: false,
                first_bytes: first_bytes.max(SCAN_FIRST_PAGE_BYTES_MIN),
                page_bytes: (SCAN_BYTES / 2 / shards).clamp(SCAN_PAGE_BYTES_MIN, SCAN_PAGE_BYTES),
                entries: usize::MAX,
            },
            inner,
            keys,
            stage: Stage::New,
            pin: Some(pin),
            space: None,
        }
    }

    /// For as long as that keyspace is there.
    pub(crate) fn of(mut self, space: &Arc<Space>) -> Scan {
        self.space = Some(Arc::clone(space));
        self
    }

    /// Judged by this moment, or not at all.
    pub(crate) fn by(mut self, moment: Result<Moment>) -> Scan {
        match moment {
            Ok(at) => self.reading.at = at,
            Err(error) => self.stage = Stage::Refused(Some(error)),
        }
        self
    }

    pub(crate) fn moment(&self) -> Moment {
        self.reading.at
    }

    /// From the last key to the first. Only before the first entry is taken.
    pub fn reverse(mut self) -> Scan {
        self.turn_around();
        self
    }

    /// Without values, which are empty then. Only before the first entry is taken.
    pub fn keys_only(mut self) -> Scan {
        self.leave_values();
        self
    }

    /// Ends after so many entries, those with the highest keys for a scan in reverse. Unlike [`Iterator::take`] it tells the
    /// shards, which then read little that nobody takes: who knows how many entries it will take should say so.
    ///
    /// # Panics
    ///
    /// When the first entry was taken already.
    ///
    /// ```
    /// # let db = ringkeep::Database::in_memory(ringkeep::Options::small())?;
    /// # for key in ["a", "b", "c"] { db.put(key, "1")?; }
    /// let first: Result<Vec<_>, _> = db.scan(..).limit(2).collect();
    /// assert_eq!(first?, [(b"a".into(), b"1".into()), (b"b".into(), b"1".into())]);
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub fn limit(mut self, entries: usize) -> Scan {
        self.end_after(entries);
        self
    }

    /// With a first page of so many bytes from each shard.
    pub(crate) fn in_pages(mut self, first_bytes: usize) -> Scan {
        self.reading.first_bytes = first_bytes;
        self
    }

    pub(crate) fn end_after(&mut self, entries: usize) {
        self.assert_new();
        self.reading.entries = entries;
    }

    pub(crate) fn turn_around(&mut self) {
        self.assert_new();
        self.reading.reverse = !self.reading.reverse;
    }

    pub(crate) fn leave_values(&mut self) {
        self.assert_new();
        self.reading.keys_only = true;
    }

    fn assert_new(&self) {
        assert!(
            matches!(self.stage, Stage::New | Stage::Refused(_)),
            "a scan cannot change once it has begun"
        );
    }

    /// The next entry, as a future; nothing at the end and after an error.
    pub async fn next_async(&mut self) -> Option<Result<KeyValue>> {
        let entry = self.next_entry_async().await?;
        Some(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    /// The next entry where it lies, without a copy of it, until the next one is asked for.
    ///
    /// ```
    /// # let db = ringkeep::Database::in_memory(ringkeep::Options::small())?;
    /// # db.put("a", "1")?;
    /// # db.put("b", "22")?;
    /// let mut scan = db.scan(..);
    /// let mut bytes = 0;
    /// while let Some(entry) = scan.next_entry() {
    ///     let (_, value) = entry?;
    ///     bytes += value.len();
    /// }
    /// assert_eq!(bytes, 3);
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    pub fn next_entry(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        if !self.step() {
            let inner = Arc::clone(&self.inner);
            let _caller = inner.shards.caller();
            match desk::block_on_poll(|context| self.poll_step(context))? {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        self.entry().map(|(key, value)| Ok((user_key(key), value)))
    }

    /// [`Scan::next_entry`] as a future.
    pub async fn next_entry_async(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        match poll_fn(|context| self.poll_step(context)).await? {
            Ok(()) => {}
            Err(error) => return Some(Err(error)),
        }
        self.entry().map(|(key, value)| Ok((user_key(key), value)))
    }

    /// The next entry with the key as it is stored.
    pub(crate) async fn next_stored_async(&mut self) -> Option<Result<KeyValue>> {
        match poll_fn(|context| self.poll_step(context)).await? {
            Ok(()) => {}
            Err(error) => return Some(Err(error)),
        }
        self.entry()
            .map(|(key, value)| Ok((key.to_vec(), value.to_vec())))
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        match &self.stage {
            Stage::Merging(merge) => merge.entry(),
            Stage::New | Stage::Refused(_) | Stage::Ended => None,
        }
    }

    /// To the next entry if it is in hand. If not, `poll_step` goes on with the step.
    #[inline]
    fn step(&mut self) -> bool {
        match &mut self.stage {
            Stage::Merging(merge) => {
                let pins = &self.inner.pins;
                let is_there = |space: &Arc<Space>| space.check(pins).is_ok();
                self.space.as_ref().is_none_or(is_there) && merge.step()
            }
            _ => false,
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<()>>> {
        if self.step() {
            return Poll::Ready(Some(Ok(())));
        }
        let merge = match &mut self.stage {
            Stage::Merging(merge) => merge,
            Stage::Ended => return Poll::Ready(None),
            Stage::Refused(error) => {
                let error = error.take();
                self.end();
                return Poll::Ready(error.map(Err));
            }
            Stage::New => {
                if let Err(error) = self.inner.shards.check_open() {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                let merge = Merge::new(&self.keys, self.reading, &self.inner.shards);
                self.stage = Stage::Merging(merge);
                return self.poll_step(context);
            }
        };
        let mut stepped = ready!(merge.poll(&self.inner.shards, context));
        if let Some(space) = &self.space
            && let Err(error) = space.check(&self.inner.pins)
        {
            stepped = Err(error);
        }
        if !matches!(stepped, Ok(true)) {
            self.end();
        }
        Poll::Ready(match stepped {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn end(&mut self) {
        self.stage = Stage::Ended;
        self.pin = None;
    }
}

/// Takes off what stands in front of the user's own bytes.
pub(crate) fn user_part(mut stored: Vec<u8>) -> Vec<u8> {
    let prefix = stored.len() - user_key(&stored).len();
    if prefix > 0 {
        stored.drain(..prefix);
    }
    stored
}

impl Iterator for Scan {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Result<KeyValue>> {
        let entry = self.next_entry()?;
        Some(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }
}

impl FusedIterator for Scan {}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("keys", &self.keys)
            .field("reading", &self.reading)
            .finish()
    }
}

//! A scan over all shards: each shard's pages come in order, and a heap of their first entries gives
//! the order over all. Holds one page per shard in hand, at most one on its way, and one pinned version.

mod cursor;
mod range;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;
use std::future::poll_fn;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ringkeep_shard::keyspace::user_key;
use ringkeep_shard::{Entry, Moment, Pin};

use crate::database::Inner;
use crate::keyspace::Space;
use crate::limits::{
    SCAN_BYTES, SCAN_FIRST_BYTES, SCAN_FIRST_PAGE_BYTES_MIN, SCAN_PAGE_BYTES, SCAN_PAGE_BYTES_MIN,
};
use crate::shards::Shards;
use crate::{Result, desk};
use cursor::{Cursor, Reading};
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
    Merging(Merge),
    Ended,
}

/// The entries at the front of each shard's cursor.
struct Merge {
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Head>,
    /// Cursors whose next entry is not known yet.
    headless: Vec<usize>,
}

struct Head {
    entry: Entry,
    cursor: usize,
    reverse: bool,
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
        Scan {
            reading: Reading {
                at: pin.moment(),
                reverse: false,
                keys_only: false,
                first_bytes: (SCAN_FIRST_BYTES / shards).max(SCAN_FIRST_PAGE_BYTES_MIN),
                page_bytes: (SCAN_BYTES / 2 / shards).clamp(SCAN_PAGE_BYTES_MIN, SCAN_PAGE_BYTES),
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

    /// Of which only the first entries will be taken: pages are small.
    pub(crate) fn of_few(mut self) -> Scan {
        self.reading.page_bytes = 1;
        self
    }

    pub(crate) fn turn_around(&mut self) {
        assert!(
            matches!(self.stage, Stage::New),
            "a scan cannot turn around once it has begun"
        );
        self.reading.reverse = !self.reading.reverse;
    }

    pub(crate) fn leave_values(&mut self) {
        assert!(
            matches!(self.stage, Stage::New),
            "a scan cannot change once it has begun"
        );
        self.reading.keys_only = true;
    }

    /// The next entry, as a future; nothing at the end and after an error.
    pub async fn next_async(&mut self) -> Option<Result<KeyValue>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same with the key as it is stored.
    pub(crate) async fn next_stored_async(&mut self) -> Option<Result<KeyValue>> {
        poll_fn(|context| self.poll_stored(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<KeyValue>>> {
        let next = ready!(self.poll_stored(context));
        Poll::Ready(next.map(|next| next.map(|(key, value)| (user_part(key), value))))
    }

    fn poll_stored(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<KeyValue>>> {
        let merge = match &mut self.stage {
            Stage::Merging(merge) => merge,
            Stage::Ended => return Poll::Ready(None),
            Stage::New => {
                if let Err(error) = self.inner.shards.check_open() {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                let merge = Merge::new(&self.keys, self.reading, &self.inner.shards);
                self.stage = Stage::Merging(merge);
                return self.poll_stored(context);
            }
        };
        let mut next = ready!(merge.poll(&self.inner.shards, context)).transpose();
        if let Some(space) = &self.space
            && let Err(error) = space.check(&self.inner.pins)
        {
            next = Some(Err(error));
        }
        if !matches!(next, Some(Ok(_))) {
            self.end();
        }
        Poll::Ready(next.map(|next| next.map(|(key, value)| (key.into_vec(), value.into_vec()))))
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

impl Merge {
    fn new(keys: &Keys, reading: Reading, shards: &Shards) -> Merge {
        let all = shards.routing.shards();
        let cursors: Vec<Cursor> = match keys.is_empty() {
            true => Vec::new(),
            false => all
                .map(|shard| Cursor::new(shard, keys.clone(), reading, shards))
                .collect(),
        };
        Merge {
            heads: BinaryHeap::with_capacity(cursors.len()),
            headless: (0..cursors.len()).collect(),
            cursors,
        }
    }

    fn poll(&mut self, shards: &Shards, context: &mut Context<'_>) -> Poll<Result<Option<Entry>>> {
        while let Some(&cursor) = self.headless.last() {
            if self.cursors[cursor].is_at_its_turn() {
                // Keys are spread evenly: the others have little left, too, and would be waited for one by one.
                for cursor in &mut self.cursors {
                    cursor.read_ahead(shards);
                }
            }
            if let Some(entry) = ready!(self.cursors[cursor].poll(shards, context))? {
                let reverse = self.cursors[cursor].is_reverse();
                self.heads.push(Head {
                    entry,
                    cursor,
                    reverse,
                });
            }
            self.headless.pop();
        }
        let Some(mut first) = self.heads.peek_mut() else {
            return Poll::Ready(Ok(None));
        };
        let cursor = first.cursor;
        let entry = match self.cursors[cursor].in_hand() {
            // In place: the heap moves one head, where a pop and a push would move two.
            Some(following) => std::mem::replace(&mut first.entry, following),
            None => {
                self.headless.push(cursor);
                PeekMut::pop(first).entry
            }
        };
        Poll::Ready(Ok(Some(entry)))
    }
}

impl Iterator for Scan {
    type Item = Result<KeyValue>;

    fn next(&mut self) -> Option<Result<KeyValue>> {
        desk::block_on_poll(|context| self.poll_next(context))
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

impl Ord for Head {
    /// The greatest head is the next one of the scan.
    fn cmp(&self, other: &Head) -> Ordering {
        let order = self.entry.0.cmp(&other.entry.0);
        if self.reverse { order } else { order.reverse() }
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

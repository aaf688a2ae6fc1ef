//! One shard's share of a scan: a page in hand and, from the second on, the next one on its way. Each page is twice
//! as large as the one before, unless less is wanted, so that a short scan reads little that nobody takes, and a long one asks seldom.

use std::task::{Context, Poll, ready};

use ringkeep_shard::{Call, Moment, Reply, ScanCall, ScanPage, ShardId};

use super::range::Keys;
use crate::shards::{Question, Shards};
use crate::{Result, desk};

/// How to read, the same for every shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Moment,
    pub(super) reverse: bool,
    pub(super) keys_only: bool,
    /// Of the first page.
    pub(super) first_bytes: usize,
    /// Of the largest.
    pub(super) page_bytes: usize,
    /// That anyone wants.
    pub(super) entries: usize,
}

pub(super) struct Cursor {
    shard: ShardId,
    reading: Reading,
    /// What lies behind the last page that came, unless it was the last.
    left: Option<Keys>,
    /// The size of the next page.
    next_bytes: usize,
    /// The first page has been turned.
    reads_ahead: bool,
    page: ScanPage,
    /// Its entry that this is on.
    at: usize,
    next: Option<Question>,
    /// A page that was read, for the memory that it has.
    room: ScanPage,
}

impl Cursor {
    /// Asks for the first page. `wanted`, here and below: the entries that it is thought to be asked for from now on.
    pub(super) fn new(
        shard: ShardId,
        keys: Keys,
        reading: Reading,
        shards: &Shards,
        wanted: usize,
    ) -> Cursor {
        let mut cursor = Cursor {
            shard,
            reading,
            left: Some(keys),
            next_bytes: reading.first_bytes.min(reading.page_bytes),
            reads_ahead: false,
            page: ScanPage::default(),
            at: 0,
            next: None,
            room: desk::page(),
        };
        cursor.ask(shards, wanted);
        cursor
    }

    /// The key and value that it is on, as far as they are in hand.
    #[inline]
    pub(super) fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.page.get(self.at)
    }

    /// To the next entry; false if that is not in hand.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        self.at += 1;
        self.at < self.page.len()
    }

    /// It has to wait for its second page, which nobody has asked for yet.
    pub(super) fn is_at_its_turn(&self) -> bool {
        self.at >= self.page.len() && self.next.is_none() && self.left.is_some()
    }

    /// Asks for the page behind the one in hand, if there is any, it is wanted and not on its way.
    pub(super) fn read_ahead(&mut self, shards: &Shards, wanted: usize) {
        self.reads_ahead = true;
        let in_hand = self.page.len() - self.at;
        if self.next.is_none() && wanted > in_hand {
            self.ask(shards, wanted - in_hand);
        }
    }

    /// Until it is on an entry; false at the end.
    pub(super) fn poll(
        &mut self,
        shards: &Shards,
        wanted: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool>> {
        loop {
            if self.at < self.page.len() {
                return Poll::Ready(Ok(true));
            }
            let Some(question) = &mut self.next else {
                return Poll::Ready(Ok(false));
            };
            let outcome = ready!(question.poll(shards, context));
            self.next = None;
            match shards.reply(self.shard, outcome) {
                Ok(Reply::Page(page)) => self.turn_page(page, shards, wanted),
                Ok(reply) => unreachable!("a page was asked for, not {reply:?}"),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn turn_page(&mut self, page: ScanPage, shards: &Shards, wanted: usize) {
        // A page without entries that is not the last would be asked for again for ever.
        let last = page.last().filter(|_| !page.done);
        self.left = self
            .left
            .take()
            .zip(last)
            .and_then(|(mut left, (last, _))| {
                left.pass(last, self.reading.reverse);
                (!left.is_empty()).then_some(left)
            });
        self.room = std::mem::replace(&mut self.page, page);
        self.at = 0;
        if self.reads_ahead {
            self.read_ahead(shards, wanted);
        }
    }

    fn ask(&mut self, shards: &Shards, entries_max: usize) {
        let Some(left) = self.left.clone() else {
            return;
        };
        let call = Call::Scan(Box::new(ScanCall {
            from: left.from,
            to: left.to,
            reverse: self.reading.reverse,
            at: self.reading.at,
            page_bytes: self.next_bytes,
            entries_max,
            keys_only: self.reading.keys_only,
            room: std::mem::take(&mut self.room),
        }));
        self.next_bytes = self.reading.page_bytes.min(2 * self.next_bytes);
        let mut question = shards.question(self.shard, call);
        question.send(shards);
        self.next = Some(question);
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        desk::keep_page(std::mem::take(&mut self.page));
    }
}

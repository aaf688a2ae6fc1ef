//! One shard's share of a scan: a page in hand and the next one on its way.

use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use ringkeep_shard::{Call, Entry, Moment, Reply, ScanCall, ScanPage, ShardId};

use super::range::Keys;
use crate::Result;
use crate::shards::{Question, Shards};

/// How to read, the same for every shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Moment,
    pub(super) reverse: bool,
    pub(super) keys_only: bool,
    pub(super) page_bytes: usize,
}

pub(super) struct Cursor {
    shard: ShardId,
    reading: Reading,
    /// What is not asked for yet.
    left: Keys,
    page: IntoIter<Entry>,
    next: Option<Question>,
}

impl Cursor {
    /// Asks for the first page.
    pub(super) fn new(shard: ShardId, keys: Keys, reading: Reading, shards: &Shards) -> Cursor {
        let mut cursor = Cursor {
            shard,
            reading,
            left: keys,
            page: Vec::new().into_iter(),
            next: None,
        };
        cursor.ask(shards);
        cursor
    }

    pub(super) fn is_reverse(&self) -> bool {
        self.reading.reverse
    }

    /// The next entry, if it is in hand.
    pub(super) fn in_hand(&mut self) -> Option<Entry> {
        self.page.next()
    }

    /// The next entry; nothing at the end.
    pub(super) fn poll(
        &mut self,
        shards: &Shards,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Entry>>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Poll::Ready(Ok(Some(entry)));
            }
            let Some(question) = &mut self.next else {
                return Poll::Ready(Ok(None));
            };
            let outcome = ready!(question.poll(shards, context));
            self.next = None;
            match shards.reply(self.shard, outcome) {
                Ok(Reply::Page(page)) => self.turn_page(page, shards),
                Ok(reply) => unreachable!("a page was asked for, not {reply:?}"),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn turn_page(&mut self, page: ScanPage, shards: &Shards) {
        // A page without entries that is not the last would be asked for again for ever.
        if let (false, Some((last, _))) = (page.done, page.entries.last()) {
            self.left.pass(last, self.reading.reverse);
            if !self.left.is_empty() {
                self.ask(shards);
            }
        }
        self.page = page.entries.into_iter();
    }

    fn ask(&mut self, shards: &Shards) {
        let call = Call::Scan(ScanCall {
            from: self.left.from.clone(),
            to: self.left.to.clone(),
            reverse: self.reading.reverse,
            at: self.reading.at,
            page_bytes: self.reading.page_bytes,
            keys_only: self.reading.keys_only,
        });
        let mut question = shards.question(self.shard, call);
        question.send(shards);
        self.next = Some(question);
    }
}

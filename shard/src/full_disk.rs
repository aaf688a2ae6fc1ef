//! A full disk: who finds it full tries again until it is not, what adds data is refused meanwhile, and whoever waits
//! for such work is told.

use std::cell::Cell;

use ringkeep_io::Nanos;

use crate::core::Core;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::token::Token;

/// Who writes beside the log, and tries again for as long as it finds the disk full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Starved {
    Log,
    Flush,
    Compaction,
    Manifest,
}

impl Starved {
    /// What it was doing when it failed for another reason than space.
    pub fn errand(self) -> &'static str {
        match self {
            Starved::Log => "a log file could not be made",
            Starved::Flush => "a flush failed",
            Starved::Compaction => "a merge failed",
            Starved::Manifest => "the manifest could not be written",
        }
    }

    /// A merge fills what is left before it finds that it is too little, and what a flush brings may be what lets the next
    /// one give some back: that tries more often.
    fn tries_again_after(self) -> Nanos {
        match self {
            Starved::Log | Starved::Flush | Starved::Manifest => 100_000_000,
            Starved::Compaction => 400_000_000,
        }
    }
}

/// What became of a piece of work.
pub(crate) enum Survived<R> {
    Done(R),
    /// It may be tried again now.
    Full,
    Failed,
}

/// How often each `Starved` has found the disk full, ever.
pub(crate) type Found = [u64; 4];

#[derive(Default)]
pub(crate) struct FullDisk {
    starved: [Cell<bool>; 4],
    found: Cell<Found>,
    /// It is why writes were stopped.
    has_given_up: Cell<bool>,
}

impl FullDisk {
    fn is_full(&self) -> bool {
        self.starved.iter().any(Cell::get)
    }

    pub fn found(&self) -> Found {
        self.found.get()
    }

    /// One of `whom` cannot go on since `before`. The first try that fails says nothing: it may have begun before that,
    /// and what has been removed since may be room enough for the next.
    pub fn is_found_since(&self, before: Found, whom: &[Starved]) -> bool {
        let found = self.found.get();
        whom.iter()
            .map(|who| *who as usize)
            .any(|who| self.starved[who].get() && found[who] >= before[who] + 2)
    }

    /// Writes are about to be stopped because of it.
    pub fn give_up(&self) {
        self.has_given_up.set(true);
    }

    fn mark(&self, who: Starved, full: bool) {
        self.starved[who as usize].set(full);
        let mut found = self.found.get();
        found[who as usize] += u64::from(full);
        self.found.set(found);
    }
}

impl<T: Token> Core<T> {
    pub fn is_full(&self) -> bool {
        self.full_disk.is_full()
    }

    pub fn full_error(&self) -> Error {
        Error::Full {
            free_bytes: self.directory.free_bytes().unwrap_or(0),
        }
    }

    /// The disk is full, or not any more, for one who writes to it.
    pub fn mark_starved(&self, who: Starved, full: bool) {
        if !full && !self.full_disk.starved[who as usize].get() {
            return;
        }
        self.full_disk.mark(who, full);
        if full {
            // Whoever waits for a flush or a merge is told.
            self.published.raise();
        }
    }

    /// Runs one piece of work until it succeeds. `None` when the shard failed instead.
    pub async fn persist<R>(
        &self,
        who: Starved,
        mut piece: impl AsyncFnMut() -> Result<R>,
    ) -> Option<R> {
        loop {
            if self.is_failed() {
                return None;
            }
            match self.survive(who, piece().await).await {
                Survived::Done(result) => return Some(result),
                Survived::Full => {}
                Survived::Failed => return None,
            }
        }
    }

    /// What is to be done after a piece of work: a full disk is given some time, any other failure stops all writes.
    pub async fn survive<R>(&self, who: Starved, outcome: Result<R>) -> Survived<R> {
        match outcome {
            Ok(result) => {
                self.mark_starved(who, false);
                Survived::Done(result)
            }
            Err(Error::Io { error, .. }) if error.is_full() => {
                self.wait_for_room(who).await;
                Survived::Full
            }
            Err(error) => {
                self.fail_because(&format!("{}: {error}", who.errand()));
                Survived::Failed
            }
        }
    }

    /// Edits the manifest; a full disk delays it, since the edit cannot be taken back.
    pub async fn commit_manifest(&self, edit: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mut outcome = self.manifest.commit(edit).await;
        while let Err(Error::Io { error, .. }) = &outcome
            && error.is_full()
        {
            self.wait_for_room(Starved::Manifest).await;
            outcome = self.manifest.commit_again().await;
        }
        self.mark_starved(Starved::Manifest, false);
        outcome
    }

    async fn wait_for_room(&self, who: Starved) {
        self.mark_starved(who, true);
        let again = self.io.now() + who.tries_again_after();
        self.tasks.sleep_until(again).await;
    }

    /// Why work that waits for `whom` since `before` does not go on, if it does not.
    pub fn refusal_of_work(&self, before: Found, whom: &[Starved]) -> Option<Error> {
        if let Some(reason) = self.failure.borrow().clone() {
            return Some(match self.full_disk.has_given_up.get() {
                true => self.full_error(),
                false => Error::Failed { reason },
            });
        }
        let is_full = self.full_disk.is_found_since(before, whom);
        is_full.then(|| self.full_error())
    }

    pub fn is_refused_work(&self, before: Found, whom: &[Starved]) -> bool {
        self.is_failed() || self.full_disk.is_found_since(before, whom)
    }
}

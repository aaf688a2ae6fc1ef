//! Who waits for a commit over several shards. Such a commit can be left without an answer by a host
//! that dies elsewhere, so its caller is kept here, where both the shard's answer and the news of
//! the death find it.

use std::collections::HashMap;
use std::rc::Rc;

use ringkeep_io::Nanos;
use ringkeep_shard::{ShardId, Token, Watch};

use super::post::{Answer, Outcome};
use crate::latency::Issued;

/// Who waits for a shard.
pub(super) enum Asker {
    /// A caller of the database.
    Caller(Answer, Issued, Option<Rc<Watch>>),
    /// The caller of a commit, by its ticket.
    Commit(u64, Option<Rc<Watch>>),
    /// The host itself.
    Host,
}

impl Token for Asker {
    fn waits(&mut self, now: impl FnOnce() -> Nanos) {
        if let Asker::Caller(_, issued, _) = self {
            issued.waits(now);
        }
    }

    fn watch(&self) -> Option<&Rc<Watch>> {
        match self {
            Asker::Caller(_, _, watch) | Asker::Commit(_, watch) => watch.as_ref(),
            Asker::Host => None,
        }
    }
}

/// The commits that this host's shards coordinate.
#[derive(Default)]
pub(super) struct Commits {
    last: u64,
    waiting: HashMap<u64, Commit>,
}

struct Commit {
    answer: Answer,
    issued: Issued,
    participants: Vec<ShardId>,
}

impl Commits {
    pub(super) fn enter(
        &mut self,
        answer: Answer,
        issued: Issued,
        watch: Option<Rc<Watch>>,
        participants: Vec<ShardId>,
    ) -> Asker {
        self.last += 1;
        self.waiting.insert(
            self.last,
            Commit {
                answer,
                issued,
                participants,
            },
        );
        Asker::Commit(self.last, watch)
    }

    /// Whom to answer; nobody when the commit was abandoned before.
    pub(super) fn take(&mut self, ticket: u64) -> Option<(Answer, Issued)> {
        let commit = self.waiting.remove(&ticket)?;
        Some((commit.answer, commit.issued))
    }

    /// Answers the commits with a participant that is gone, whose outcome shows at the next opening.
    /// Returns how many.
    pub(super) fn abandon(&mut self, gone: impl Fn(ShardId) -> bool, reason: &str) -> usize {
        let abandoned = self
            .waiting
            .extract_if(|_, commit| commit.participants.iter().any(|shard| gone(*shard)));
        let mut count = 0;
        for (_, commit) in abandoned {
            let shard = commit
                .participants
                .iter()
                .copied()
                .find(|shard| gone(*shard));
            commit.answer.send(Outcome::HostGone {
                shard: shard.unwrap_or_default(),
                reason: reason.to_owned(),
            });
            count += 1;
        }
        count
    }
}

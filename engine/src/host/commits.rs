//! Who waits for a commit over several shards. Such a commit can be left without an answer by a host
//! that dies elsewhere, so its caller is kept here, where both the shard's answer and the news of
//! the death find it.

use std::collections::HashMap;

use ringkeep_shard::{Reply, ShardId};

use super::post::{Answer, Outcome};

/// Who waits for a shard.
pub(super) enum Asker {
    /// A caller of the database.
    Caller(Answer),
    /// The caller of a commit, by its ticket.
    Commit(u64),
    /// The host itself.
    Host,
}

/// The commits that this host's shards coordinate.
#[derive(Default)]
pub(super) struct Commits {
    last: u64,
    waiting: HashMap<u64, Commit>,
}

struct Commit {
    answer: Answer,
    participants: Vec<ShardId>,
}

impl Commits {
    pub(super) fn enter(&mut self, answer: Answer, participants: Vec<ShardId>) -> Asker {
        self.last += 1;
        self.waiting.insert(
            self.last,
            Commit {
                answer,
                participants,
            },
        );
        Asker::Commit(self.last)
    }

    /// Answers a commit; false when it was abandoned before.
    pub(super) fn answer(&mut self, ticket: u64, reply: Reply) -> bool {
        let commit = self.waiting.remove(&ticket);
        commit
            .map(|commit| commit.answer.send(Outcome::Reply(reply)))
            .is_some()
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

//! The two ways to end: `close`, which flushes, and the drop of the last handle, which does not.

use ringkeep_shard::{Call, Reply};

use super::{Inner, wrong};
use crate::host::Post;
use crate::shards::Question;
use crate::{Error, Result, desk};

impl Inner {
    /// First every host answers what it has taken and takes no more, so that no commit over several shards
    /// is cut in the middle; then the shards flush and close; then the threads end.
    pub(super) async fn close(&self) -> Result<()> {
        self.shards.close();
        let drained = self.shards.question_hosts(Post::Drain);
        self.shards.ask_all(drained).await;
        let result = match self.shards.any_lost() {
            // A commit that needs a dead host's shards never ends, and its shard would never close.
            Some(error) => Err(error),
            None => self.close_shards().await,
        };
        self.end();
        // A host may have died on the way down.
        result.and(self.shards.any_lost().map_or(Ok(()), Err))
    }

    fn end(&self) {
        self.shards.stop();
        self.running.end(|| self.shards.any_lost().is_none());
    }

    async fn close_shards(&self) -> Result<()> {
        let all = self.shards.routing.shards();
        let questions: Vec<Question> = all
            .map(|shard| self.shards.question(shard, Call::Close))
            .collect();
        let outcomes = self.shards.ask_all(questions).await;
        let mut result = Ok(());
        for (shard, outcome) in self.shards.routing.shards().zip(outcomes) {
            match self.shards.reply(shard, outcome) {
                // Closed: by somebody else who closes at the same time, or before.
                Ok(Reply::Done) | Err(Error::Closed) => {}
                Ok(reply) => wrong(&reply),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shards.close();
        if desk::is_hosts() {
            // A closure had the last handle.
            self.shards.stop();
            return self.running.end_by_itself();
        }
        self.end();
    }
}

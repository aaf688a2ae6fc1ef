//! Code that runs where its data is: on the thread that serves a key's shard.

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::task::Poll;

use crate::batch::check_key;
use crate::host::{Outcome, Ran, Running, Start};
use crate::keyspace::default_key;
use crate::{Database, Error, Result, desk};

/// The database as seen from the thread of a shard. Calls about keys of this thread's shards cross no thread; all
/// others work as well. Only calls that do not block: one that does ends the closure with an error.
#[derive(Debug)]
pub struct OnShard {
    database: Database,
    /// As it is stored.
    key: Box<[u8]>,
}

impl OnShard {
    /// Whether another key is on the same shard.
    pub fn has(&self, key: impl AsRef<[u8]>) -> bool {
        let routing = &self.database.inner().shards.routing;
        routing.shard(&default_key(key.as_ref())) == routing.shard(&self.key)
    }

    /// Lets everybody else have a turn. Code that goes on for longer than 100 us without waiting for anything
    /// should call this: nobody else is served by the thread meanwhile.
    pub async fn pause(&self) {
        let mut paused = false;
        poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl Deref for OnShard {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl Database {
    /// Runs a closure on the thread that serves a key's shard: one hand-off for any number of steps. Other calls of the
    /// shard go on between its steps, so what has to be one step is a transaction, or
    /// [`update_async`](Database::update_async).
    ///
    /// ```
    /// # use ringkeep::{Database, Options};
    /// let db = Database::in_memory(Options::small())?;
    /// db.put("cart:7:apples", "2")?;
    /// let sum = db.on_shard("cart:7:apples", async |shard| {
    ///     let mut sum = 0;
    ///     for fruit in ["apples", "pears"] {
    ///         let count = shard.get_async(format!("cart:7:{fruit}")).await?;
    ///         sum += count.map_or(0, |count| count[0] - b'0');
    ///     }
    ///     shard.put_async("cart:7:sum", sum.to_string()).await?;
    ///     Ok(sum)
    /// })?;
    /// assert_eq!(sum, 2);
    /// # Ok::<(), ringkeep::Error>(())
    /// ```
    ///
    /// The future that the closure makes never leaves that thread, so it need not be `Send`. A panic in it is an error
    /// here, and nothing for the shard.
    pub fn on_shard<R, F>(&self, key: impl AsRef<[u8]>, closure: F) -> Result<R>
    where
        R: Send + 'static,
        F: AsyncFnOnce(OnShard) -> Result<R> + Send + 'static,
    {
        desk::block_on(self.on_shard_async(key, closure))
    }

    /// [`Database::on_shard`] as a future. Dropped after it was polled, it leaves the closure to run its course.
    pub fn on_shard_async<R, F>(
        &self,
        key: impl AsRef<[u8]>,
        closure: F,
    ) -> impl Future<Output = Result<R>> + Send
    where
        R: Send + 'static,
        F: AsyncFnOnce(OnShard) -> Result<R> + Send + 'static,
    {
        let checked = check_key(key.as_ref());
        let on_shard = OnShard {
            database: self.clone(),
            key: default_key(key.as_ref()).into(),
        };
        async move {
            checked?;
            let shards = &self.inner().shards;
            shards.check_open()?;
            let shard = shards.routing.shard(&on_shard.key);
            let start: Start = Box::new(move || -> Running {
                Box::pin(async move { Box::new(closure(on_shard).await) as Ran })
            });
            let question = shards.question_to_run(shard, start);
            match shards.ask_all(vec![question]).await.pop() {
                Some(Ok(Outcome::Ran(ran))) => match ran.downcast::<Result<R>>() {
                    Ok(result) => *result,
                    Err(_) => unreachable!("the closure's own result"),
                },
                Some(Ok(Outcome::Panicked(reason))) => Err(Error::Panicked { reason }),
                Some(outcome) => match shards.reply(shard, outcome) {
                    Err(error) => Err(error),
                    Ok(_) => unreachable!("a shard's answer to a closure"),
                },
                None => unreachable!("one question, one answer"),
            }
        }
    }
}
